//! F15: the pool behind a layer is bounded; what it lets go of costs a token request, and what it refuses costs a request.

use tests::{
    script::{Answer, Script},
    steps::{assert_waits, guarded, settle},
    support::shown,
};
use tower::{Layer, ServiceExt};
use tower_oauth::{BoxError, ErrorKind};

use super::{Issuer, Tenant, WAYS, ok, told};

fn cause(error: &BoxError) -> &oauth_tokens::Error {
    let error = error.downcast_ref::<tower_oauth::Error>().expect("ours");
    assert_eq!(error.kind(), ErrorKind::NoToken);
    error.token_error().expect("a cause")
}

/// A service holds no tokens between requests: the pool is free to let them go.
#[tokio::test]
async fn f15_tokens_that_were_let_go_of_are_fetched_again() {
    for way in WAYS {
        let (issuer, api) = (Issuer::default(), Script::new([]));
        let pool = issuer.pool().capacity(1);
        let (acme, beta) = (Tenant("acme"), Tenant("beta"));
        let clients = [&acme, &beta].map(|tenant| (tenant, way.layer(pool.clone(), tenant).layer(api.clone())));
        for _ in 0..2 {
            for (tenant, client) in &clients {
                let call = client.clone().oneshot(way.request("https://api.test/x", tenant));
                assert_eq!(told(&call.await.expect("a response")), ok());
                // The renewal's task has let go of it, too.
                settle().await;
            }
        }
        assert_eq!(
            api.authorizations(),
            ["acme.1", "beta.1", "acme.2", "beta.2"].map(|token| format!("Bearer {token}"))
        );
        assert_eq!((pool.status().keys, pool.status().evicted), (1, 3), "{way:?}");
    }
}

/// While a request is under way, its tokens are in use: for its retry. A full pool refuses others, for now.
#[tokio::test]
async fn f15_a_full_pool_refuses_and_sends_nothing() {
    for way in WAYS {
        let (issuer, api) = (Issuer::default(), Script::new([Answer::never()]));
        let pool = issuer.pool().capacity(1);
        let (acme, beta) = (Tenant("acme"), Tenant("beta"));
        let mut under_way = Box::pin(way.call(&pool, &api, &acme));
        for _ in 0..3 {
            assert_waits(&mut under_way);
            settle().await;
        }
        assert_eq!(api.seen().len(), 1);
        let error = way.call(&pool, &api, &beta).await.expect_err("full");
        assert_eq!(cause(&error).kind(), oauth_tokens::ErrorKind::PoolFull, "{way:?}");
        assert!(cause(&error).is_transient());
        assert_eq!((api.seen().len(), issuer.issued("beta")), (1, 0));
        drop(under_way);
        way.call(&pool, &api, &beta).await.expect("there is room again");
    }
}

#[tokio::test]
async fn r3_a_key_that_has_no_tokens_is_refused_with_the_cause() {
    for way in WAYS {
        let (issuer, api) = (Issuer::default(), Script::new([]));
        let error = way.call(&issuer.pool(), &api, &Tenant("unknown")).await.expect_err("nobody knows it");
        assert_eq!(cause(&error).kind(), oauth_tokens::ErrorKind::Source);
        assert!(shown(&*error).contains("nobody knows this tenant"));
        assert_eq!(api.seen().len(), 0, "{way:?}");
    }
}

/// What is forgotten is forgotten by layers and services, too: they ask at each request.
#[tokio::test]
async fn f14_a_forgotten_key_has_new_tokens() {
    for way in WAYS {
        let (issuer, api) = (Issuer::default(), Script::new([]));
        let (pool, acme) = (issuer.pool(), Tenant("acme"));
        let client = way.layer(pool.clone(), &acme).layer(api.clone());
        for _ in 0..2 {
            client.clone().oneshot(way.request("https://api.test/x", &acme)).await.expect("a response");
            pool.forget(&acme);
        }
        assert_eq!(api.authorizations(), ["Bearer acme.1", "Bearer acme.2"], "{way:?}");
    }
}

/// Building asks for nothing: there is not even a runtime here.
#[test]
fn rule_9_building_does_no_io() {
    for way in WAYS {
        let issuer = Issuer::default();
        let _service = way.layer(issuer.pool(), &Tenant("unknown")).layer(Script::new([]));
        assert_eq!(issuer.issued_in_all(), 0);
    }
}

/// Ten thousand calls of one tenant at once are one token request (F1).
#[tokio::test]
async fn f1_many_calls_of_one_tenant_make_one_token_request() {
    for way in WAYS {
        let (issuer, api) = (Issuer::default(), Script::new([]));
        let (pool, acme) = (issuer.pool(), Tenant("acme"));
        let client = way.layer(pool.clone(), &acme).layer(api);
        let calls = (0..10_000).map(|_| client.clone().oneshot(way.request("https://api.test/x", &acme)));
        for response in guarded(futures_util::future::join_all(calls)).await {
            assert_eq!(told(&response.expect("a response")), ok());
        }
        assert_eq!((issuer.issued("acme"), pool.status().keys), (1, 1), "{way:?}");
    }
}
