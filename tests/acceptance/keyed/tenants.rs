//! F14: a tenant has its own tokens, and no other's, whatever happens to them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::future::join_all;
use http::{Request, Response, header::AUTHORIZATION};
use tests::{
    script::{Answer, Script},
    steps::{API, guarded},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_oauth::{BoxError, OAuthLayer, StepUp};

use super::{Issuer, Tenant, WAYS, Way, ok, retried, told};

const TENANTS: [Tenant; 3] = [Tenant("acme"), Tenant("beta"), Tenant("gamma")];

#[tokio::test]
async fn f14_each_tenant_has_its_own_token() {
    for way in WAYS {
        let (issuer, api) = (Issuer::default(), Script::new([]));
        let pool = issuer.pool();
        for _ in 0..2 {
            for tenant in &TENANTS {
                let response = way.call(&pool, &api, tenant).await.expect("a response");
                assert_eq!(told(&response), ok());
            }
        }
        let expected = ["acme.1", "beta.1", "gamma.1", "acme.1", "beta.1", "gamma.1"];
        assert_eq!(api.authorizations(), expected.map(|token| format!("Bearer {token}")), "{way:?}");
        assert_eq!(issuer.issued_in_all(), 3);
    }
}

/// One service for all, and hundreds of calls at once.
#[tokio::test]
async fn f14_calls_of_many_tenants_at_once_never_share() {
    for way in WAYS {
        let issuer = Issuer::default();
        let pool = issuer.pool();
        let api = service_fn(move |request: Request<http_body_util::Empty<bytes::Bytes>>| async move {
            tests::steps::settle().await;
            let token = request.headers()[AUTHORIZATION].to_str().expect("text").to_owned();
            Ok::<_, BoxError>(Response::new(token))
        });
        let calls = (0..300).map(|number| {
            let tenant = &TENANTS[number % 3];
            let client = way.layer(pool.clone(), tenant).layer(api);
            async move { (tenant, client.oneshot(way.request("https://api.test/x", tenant)).await) }
        });
        for (tenant, response) in guarded(join_all(calls)).await {
            let expected = format!("Bearer {}.1", tenant.0);
            assert_eq!(response.expect("a response").into_body(), expected, "{way:?}");
        }
        assert_eq!(issuer.issued_in_all(), 3, "one token request for each");
    }
}

#[tokio::test]
async fn f14_a_401_of_one_tenant_renews_its_own_token_alone() {
    for way in WAYS {
        let (issuer, api) = (Issuer::default(), Script::new([]));
        let pool = issuer.pool();
        for tenant in &TENANTS {
            way.call(&pool, &api, tenant).await.expect("a response");
        }
        api.answer_next(Answer::status(401));
        let response = way.call(&pool, &api, &TENANTS[1]).await.expect("a response");
        assert_eq!(told(&response), retried(200), "{way:?}");
        assert_eq!(api.authorizations()[3..], ["Bearer beta.1", "Bearer beta.2"]);
        for tenant in &TENANTS {
            way.call(&pool, &api, tenant).await.expect("a response");
        }
        assert_eq!(api.authorizations()[5..], ["Bearer acme.1", "Bearer beta.2", "Bearer gamma.1"]);
        assert_eq!(["acme", "beta", "gamma"].map(|name| issuer.issued(name)), [1, 2, 1]);
    }
}

/// The storm guard is of each tenant: one whose 401s no renewal cures holds up nobody else's.
#[tokio::test(start_paused = true)]
async fn f10_one_tenants_rejections_hold_up_no_other() {
    for way in WAYS {
        let (issuer, api) = (Issuer::default(), Script::new([]));
        let pool = issuer.pool();
        for expected in ["Retried", "NotRenewed(Held)"] {
            [Answer::status(401), Answer::status(401)].into_iter().for_each(|answer| api.answer_next(answer));
            let response = way.call(&pool, &api, &TENANTS[0]).await.expect("a response");
            assert_eq!(told(&response), (401, expected.to_owned()), "{way:?}");
        }
        let response = way.call(&pool, &api, &TENANTS[1]).await.expect("a response");
        assert_eq!(told(&response), retried(200), "{way:?}: one of the 401s above was left for it");
    }
}

/// Whoever tells the key is asked once for a request, after its origin, and the retry stays with what it said.
#[tokio::test]
async fn f14_the_key_of_a_request_is_looked_for_once() {
    let (issuer, api) = (Issuer::default(), Script::new([Answer::status(401)]));
    let asked = Arc::new(AtomicUsize::new(0));
    let layer = OAuthLayer::keyed_by(API, issuer.pool(), {
        let asked = asked.clone();
        move |_| Some(TENANTS[asked.fetch_add(1, SeqCst)].clone())
    });
    let client = layer.expect("an origin").layer(api.clone());
    let response = client.clone().oneshot(tests::steps::get("https://api.test/x")).await.expect("a response");
    assert_eq!(told(&response), retried(200));
    assert_eq!(api.authorizations(), ["Bearer acme.1", "Bearer acme.2"]);
    client.clone().oneshot(tests::steps::get("https://other.test/x")).await.expect("a response");
    assert_eq!((asked.load(SeqCst), api.authorizations()[2].as_str()), (1, ""));
    client.oneshot(tests::steps::get("https://api.test/x")).await.expect("a response");
    assert_eq!(api.authorizations()[3], "Bearer beta.1");
}

/// What tells the key sees the whole URL, the method, the headers and the extensions.
#[tokio::test]
async fn f14_a_function_sees_all_of_the_head() {
    let (issuer, api) = (Issuer::default(), Script::new([]));
    let layer = OAuthLayer::keyed_by("https://api.test/v2", issuer.pool(), |head| {
        let all_is_there = head.origin.as_str() == "https://api.test/v2"
            && (head.method, head.path, head.query) == (&http::Method::PUT, "/v2/x", Some("a=b&c"))
            && head.headers["x-a"] == "1";
        all_is_there.then(|| head.extensions.and_then(|extensions| extensions.get::<Tenant>()).cloned())?
    });
    let request = Request::put("https://api.test/v2/x?a=b&c").header("x-a", "1").extension(Tenant("acme"));
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).expect("a request");
    layer.expect("an origin").layer(api.clone()).oneshot(request).await.expect("a response");
    assert_eq!(api.authorizations(), ["Bearer acme.1"]);
}

/// A stronger token that one tenant's request led to would be the next tenant's.
#[tokio::test]
async fn r14_there_is_no_step_up_for_tokens_of_a_key() {
    for way in WAYS {
        let (issuer, asked) = (Issuer::default(), Arc::new(AtomicUsize::new(0)));
        let step_up = StepUp::new({
            let asked = asked.clone();
            move |_, _| {
                asked.fetch_add(1, SeqCst);
                oauth_tokens::TokenCache::fixed("stronger").ok()
            }
        });
        let layer = way.layer(issuer.pool(), &TENANTS[0]).step_up(step_up.allow_scopes(["write"]));
        for status in [401, 403] {
            let challenge = "Bearer error=insufficient_scope, scope=write";
            let api = Script::new([Answer::challenges(status, &[challenge])]);
            let client = layer.layer(api.clone());
            let response = client.oneshot(way.request("https://api.test/x", &TENANTS[0])).await.expect("a response");
            assert_eq!(told(&response), (status, "InsufficientScope".to_owned()), "{way:?}");
            assert_eq!((api.seen().len(), asked.load(SeqCst)), (1, 0));
        }
    }
}

/// A service of one tenant's is that tenant's: extensions and headers of requests change nothing.
#[tokio::test]
async fn f14_a_given_key_is_not_overruled_by_requests() {
    let (issuer, api) = (Issuer::default(), Script::new([]));
    let client = Way::Given.layer(issuer.pool(), &TENANTS[0]).layer(api.clone());
    let mut request = Way::Function.request("https://api.test/x", &TENANTS[1]);
    request.extensions_mut().insert(TENANTS[2].clone());
    client.oneshot(request).await.expect("a response");
    assert_eq!(api.authorizations(), ["Bearer acme.1"]);
}

#[tokio::test]
async fn f14_one_layer_makes_services_for_many() {
    let (issuer, api) = (Issuer::default(), Script::new([]));
    let crm = OAuthLayer::keyed(API, issuer.pool()).expect("an origin").layer(api.clone());
    let (acme, beta) = (crm.key(TENANTS[0].clone()), crm.clone().key(TENANTS[1].clone()));
    for client in [acme.clone(), beta.clone(), acme, beta] {
        client.oneshot(tests::steps::get("https://api.test/x")).await.expect("a response");
    }
    let expected = ["acme.1", "beta.1", "acme.1", "beta.1"].map(|token| format!("Bearer {token}"));
    assert_eq!(api.authorizations(), expected);
}
