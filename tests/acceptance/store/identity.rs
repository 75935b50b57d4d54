//! F14: two requests share a stored token only if nothing tells them apart.

use oauth_tokens::{
    AuthorizationServer, ClientAuth, ErrorKind, HttpClient, Secret, SecurityToken, SharedStore, StoredSource,
    TokenClient, TokenPool, TokenSource,
};
use tests::{
    canned::{Canned, json},
    source::Source,
    store::TestStore,
};

use super::s;

/// Each request gets a token of its own.
fn numbered() -> Canned {
    let count = std::sync::atomic::AtomicU32::new(0);
    Canned::new(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        json(200, format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":3600}}"#))
    })
}

fn client_at(canned: &Canned, endpoint: &str, id: &str) -> TokenClient {
    AuthorizationServer::via(canned.http())
        .token_endpoint(endpoint)
        .and_then(|server| server.client(id, ClientAuth::secret_basic("5f-m2m-c1")))
        .expect("a client")
}

async fn secret_of(source: StoredSource) -> String {
    source.fetch().await.expect("a token").access_token.secret().to_owned()
}

#[tokio::test(start_paused = true)]
async fn f14_what_makes_tokens_differ_makes_records_differ_and_nothing_else() {
    let (canned, test_store) = (numbered(), TestStore::new());
    let store = SharedStore::new(test_store.clone());
    let client = client_at(&canned, "https://id.test/token", "m2m");
    let other_client = client_at(&canned, "https://id.test/token", "m2n");
    let other_server = client_at(&canned, "https://id.test/token2", "m2m");
    let tenant = |tenant: &str| client_at(&canned, &format!("https://id.test/token?tenant={tenant}"), "m2m");
    let elsewhere = |endpoint: &str| {
        AuthorizationServer::via(canned.http())
            .override_token_endpoint(endpoint)
            .issuer("https://id.test")
            .and_then(|server| server.client("m2m", ClientAuth::secret_basic("5f-m2m-c1")))
            .expect("a client")
    };
    let plain = || client.client_credentials();
    let exchange = |token: &str| client.token_exchange(SecurityToken::access_token(token));
    let details = |kind: &str| serde_json::json!([{ "type": kind }]);
    // All in a row share; no two rows do.
    let rows: Vec<Vec<StoredSource>> = vec![
        vec![plain().stored(&store), plain().stored(&store), plain().scope("").stored(&store)],
        vec![
            plain().scope("a b").stored(&store),
            plain().scope("b").scope("a").stored(&store),
            plain().scope("a b a").stored(&store),
            plain().stored(&store).scoped(&["b".into(), "a".into()]).expect("scopes"),
        ],
        vec![plain().scope("a").stored(&store)],
        vec![plain().scope("ab").stored(&store)],
        vec![plain().audience("a").stored(&store)],
        vec![plain().audience("a").audience("b").stored(&store), plain().audience("b").audience("a").stored(&store)],
        vec![plain().resource("urn:a").stored(&store)],
        vec![plain().resource("urn:a").scope("a").stored(&store)],
        vec![plain().param("tenant", "1").stored(&store)],
        vec![plain().param("tenant", "2").stored(&store)],
        vec![plain().param("tenant1", "").stored(&store)],
        vec![
            plain().param("tenant", "1").param("b", "2").stored(&store),
            plain().param("b", "2").param("tenant", "1").stored(&store),
        ],
        vec![plain().authorization_details(details("a")).stored(&store)],
        vec![plain().authorization_details(details("b")).stored(&store)],
        vec![other_client.client_credentials().stored(&store)],
        vec![other_server.client_credentials().stored(&store)],
        vec![tenant("a").client_credentials().stored(&store), tenant("a").client_credentials().stored(&store)],
        vec![tenant("b").client_credentials().stored(&store)],
        vec![elsewhere("https://id.test/token").client_credentials().stored(&store)],
        vec![elsewhere("https://id.test/token?tenant=a").client_credentials().stored(&store)],
        vec![elsewhere("https://id.test/token?tenant=b").client_credentials().stored(&store)],
        vec![exchange("alice").stored(&store), exchange("alice").stored(&store)],
        vec![exchange("bob").stored(&store)],
        vec![exchange("alice").scope("a").stored(&store)],
        vec![exchange("alice").actor(SecurityToken::access_token("svc")).stored(&store)],
        vec![exchange("alice").actor(SecurityToken::id_token("svc")).stored(&store)],
        vec![client.token_exchange(SecurityToken::id_token("alice")).stored(&store)],
        vec![client.jwt_bearer("alice").stored(&store)],
        vec![client.jwt_bearer("bob").stored(&store)],
        vec![plain().stored_as("a", &store)],
        vec![plain().stored_as("b", &store)],
        vec![plain().scope("a").stored_as("a", &store)],
        vec![exchange("alice").stored_as("a", &store), exchange("alice").stored_as("a", &store)],
        vec![exchange("bob").stored_as("a", &store)],
        vec![exchange("alice").actor(SecurityToken::access_token("svc")).stored_as("a", &store)],
        vec![client.jwt_bearer("alice").stored_as("a", &store)],
        vec![client.jwt_bearer("bob").stored_as("a", &store)],
        vec![client.refresh_token("r1").stored_as("a", &store)],
        vec![store.source("a", Source::issuing(Some(s(3600)))), store.source("a", Source::issuing(Some(s(3600))))],
        vec![store.source("b", Source::issuing(Some(s(3600))))],
        vec![store.source("c", plain())],
        vec![
            store.source("c", plain()).scoped(&["x".into(), "y".into()]).expect("scopes"),
            store.source("c", plain()).scoped(&["y".into()]).and_then(|c| c.scoped(&["x".into()])).expect("scopes"),
        ],
    ];
    let mut keys = 0;
    for (number, row) in rows.into_iter().enumerate() {
        let mut tokens = Vec::new();
        for source in row {
            tokens.push(secret_of(source).await);
        }
        assert!(tokens.iter().all(|token| *token == tokens[0]), "row {number}: {tokens:?}");
        keys += 1;
        assert_eq!(test_store.keys().len(), keys, "row {number} has a record of its own, and one");
    }
    for key in test_store.keys() {
        let text = key.as_str();
        assert!(text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn f14_a_subject_that_changes_is_another_subject() {
    let (canned, store) = (numbered(), SharedStore::new(TestStore::new()));
    let client = client_at(&canned, "https://id.test/token", "m2m");
    let subject = std::sync::Arc::new(std::sync::Mutex::new("alice".to_owned()));
    let read = {
        let subject = subject.clone();
        Secret::from_fn(move || {
            let subject = subject.lock().expect("a subject").clone();
            async move { Ok(subject) }
        })
    };
    let source = client.token_exchange(SecurityToken::access_token(read)).stored(&store);
    let alices = source.fetch().await.expect("a token").access_token;
    assert_eq!(source.fetch().await.expect("a token").access_token, alices);
    *subject.lock().expect("a subject") = "bob".to_owned();
    assert_ne!(source.fetch().await.expect("a token").access_token, alices);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_cannot_be_told_apart_are_not_stored() {
    struct Own;

    impl oauth_tokens::Grant for Own {
        fn grant_type(&self) -> &str {
            "own"
        }

        async fn redeem(
            &self,
            exchange: &oauth_tokens::Exchange<'_>,
        ) -> Result<oauth_tokens::TokenSet, oauth_tokens::Error> {
            exchange.send(oauth_tokens::Form::new()).await
        }
    }

    let (canned, store) = (numbered(), SharedStore::new(TestStore::new()));
    let client = client_at(&canned, "https://id.test/token", "m2m");
    let own = client.grant(Own).stored(&store).fetch().await.expect_err("nobody knows whose");
    let refresh = client.refresh_token("r1").stored(&store).fetch().await.expect_err("it rotates");
    let at_build = client.refresh_token("r1").stored(&store).cached().expect_err("it rotates");
    for (error, says) in [(own, "stored_as"), (refresh, "UserTokens"), (at_build, "UserTokens")] {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(says), "{error}");
    }
    client.grant(Own).stored_as("whose", &store).fetch().await.expect("a token");
    let tls = AuthorizationServer::via(HttpClient::new(canned.clone()))
        .token_endpoint("https://id.test/token")
        .and_then(|server| server.client("m2m", ClientAuth::tls_client_auth()))
        .expect("a client");
    let error = tls.client_credentials().stored(&store).cached().expect_err("bound to a certificate");
    assert_eq!(error.kind(), ErrorKind::Config);
    tls.client_credentials().stored_as("cert 1", &store).cached().expect("named");
    assert!(store.source("", Source::issuing(None)).cached().is_err(), "no name");
}

#[tokio::test(start_paused = true)]
async fn f14_two_tenants_of_a_pool_over_a_store_never_share() {
    let (canned, store) = (numbered(), SharedStore::new(TestStore::new()));
    let client = client_at(&canned, "https://id.test/token", "m2m");
    let pool = || {
        let (client, store) = (client.clone(), store.clone());
        TokenPool::new(move |tenant: &String| Ok(client.client_credentials().param("tenant", tenant).stored(&store)))
    };
    let (one, two) = (pool(), pool());
    let mut seen = Vec::new();
    for tenant in ["a", "b", "c"].map(str::to_owned) {
        let token = one.token(&tenant).await.expect("a token");
        assert_eq!(two.token(&tenant).await.expect("a token"), token, "another process's pool");
        assert!(!seen.contains(&token));
        seen.push(token);
        let scoped = one.get_scoped(&tenant, &["x".to_owned()]).expect("a cache").token().await.expect("a token");
        assert!(!seen.contains(&scoped));
        seen.push(scoped);
    }
    assert_eq!(canned.requests().len(), 6);
}
