//! Grants and sources of a user's own.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use std::time::Duration;

use oauth_tokens::{
    AccessToken, Error, ErrorKind, Exchange, Form, Grant, TokenCache, TokenSet, TokenSource, source_fn,
};
use tests::canned::{Canned, json, token};
use tokio::time::advance;

use super::client_at;

/// The resource owner's password, for a server from before.
struct Password {
    username: &'static str,
}

impl Grant for Password {
    fn grant_type(&self) -> &str {
        "password"
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        exchange.send(Form::new().with("username", self.username).with("password", "p w&1")).await
    }

    fn validate(&self) -> Result<(), Error> {
        if self.username.is_empty() { Err(Error::source_failed("who are you?")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn grants_of_a_users_own_are_sent_with_all_that_belongs_to_a_request() {
    let canned = Canned::always(token("t"));
    let request = client_at(&canned).grant(Password { username: "ann" }).scope("api").param("tenant", "7");
    request.cached().expect("valid").token().await.expect("a token");
    assert_eq!(canned.bodies(), ["grant_type=password&username=ann&password=p%20w%261&scope=api&tenant=7"]);
    assert!(canned.requests()[0].headers().contains_key(http::header::AUTHORIZATION), "the client says who it is");
}

#[tokio::test]
async fn grants_of_a_users_own_are_validated_when_built() {
    let canned = Canned::always(token("t"));
    let error = client_at(&canned).grant(Password { username: "" }).cached().expect_err("nobody");
    assert_eq!(error.to_string(), "who are you?");
    assert!(canned.requests().is_empty());
}

/// A grant that says twice what the request says already.
struct Scoped;

impl Grant for Scoped {
    fn grant_type(&self) -> &str {
        "urn:example:scoped"
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        exchange.send(Form::new().with("scope", "mine").with("resource", "urn:a")).await
    }
}

#[tokio::test]
async fn t4_a_grants_parameter_and_a_requests_are_never_sent_both() {
    let canned = Canned::always(token("t"));
    let error = client_at(&canned).grant(Scoped).scope("yours").fetch().await.expect_err("set twice");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(canned.requests().is_empty());

    client_at(&canned).grant(Scoped).resource("urn:b").fetch().await.expect("resources may be several");
    assert_eq!(canned.bodies(), ["grant_type=urn%3Aexample%3Ascoped&scope=mine&resource=urn%3Aa&resource=urn%3Ab"]);
}

#[tokio::test]
async fn grants_of_a_users_own_may_exchange_more_than_once() {
    struct Twice;
    impl Grant for Twice {
        fn grant_type(&self) -> &str {
            "twice"
        }
        async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
            let first = exchange.send(Form::new().with("step", "1")).await?;
            exchange.send(Form::new().with("step", "2").with("proof", first.access_token.secret())).await
        }
    }
    let canned = Canned::sequence([token("first"), token("second")]);
    let tokens = client_at(&canned).grant(Twice).fetch().await.expect("a token");
    assert_eq!(tokens.access_token.secret(), "second");
    assert_eq!(canned.bodies(), ["grant_type=twice&step=1", "grant_type=twice&step=2&proof=first"]);
}

#[tokio::test(start_paused = true)]
async fn sources_of_a_users_own_are_cached_and_their_errors_arrive_as_they_are() {
    let calls = Arc::new(AtomicU32::new(0));
    let tokens = TokenCache::new(source_fn({
        let calls = calls.clone();
        move || {
            let call = calls.fetch_add(1, Relaxed);
            async move {
                if call == 0 {
                    return Err(Error::source_failed("the vault is sealed").caused_by("seal status: true"));
                }
                let mut tokens = TokenSet::new(AccessToken::bearer(&format!("t{call}"))?);
                tokens.expires_in = Some(Duration::from_secs(300));
                Ok(tokens)
            }
        }
    }));
    let error = tokens.token().await.expect_err("sealed");
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Source, "the vault is sealed"));
    assert_eq!(std::error::Error::source(&error).map(ToString::to_string).as_deref(), Some("seal status: true"));
    advance(Duration::from_secs(1)).await;
    for _ in 0..3 {
        assert_eq!(tokens.token().await.expect("a token").secret(), "t1");
    }
    assert_eq!(calls.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn sources_that_panic_are_an_error_for_all_who_wait() {
    let tokens = TokenCache::new(source_fn(|| async {
        tokio::task::yield_now().await;
        panic!("on purpose")
    }));
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn({
                let tokens = tokens.clone();
                async move { tokens.token().await }
            })
        })
        .collect();
    for waiter in waiting {
        let error = waiter.await.expect("the waiter does not panic").expect_err("no token");
        assert_eq!(error.kind(), ErrorKind::Source);
        assert!(error.is_transient() && error.to_string().contains("panicked"), "{error}");
    }
    // Also one that panics before it gives a future.
    let tokens = TokenCache::new(source_fn(|| {
        if true {
            panic!("on purpose")
        }
        std::future::pending()
    }));
    let outcome = tokio::time::timeout(Duration::from_secs(60), tokens.token()).await.expect("an answer");
    assert_eq!(outcome.expect_err("no token").kind(), ErrorKind::Source);
}

/// A source whose credential is refused for good, until it is another one.
struct Credential(Arc<AtomicU64>, Canned);

impl TokenSource for Credential {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        client_at(&self.1).client_credentials().fetch().await
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        Some(self.0.load(Relaxed))
    }
}

#[tokio::test(start_paused = true)]
async fn t15_a_sources_changed_credential_ends_the_waiting() {
    let fingerprint = Arc::new(AtomicU64::new(1));
    let canned = Canned::sequence([json(401, r#"{"error":"invalid_client"}"#), token("t")]);
    let tokens = TokenCache::new(Credential(fingerprint.clone(), canned.clone()));
    tokens.token().await.expect_err("refused");
    advance(Duration::from_secs(5)).await;
    tokens.token().await.expect_err("remembered");
    assert_eq!(canned.requests().len(), 1);
    fingerprint.store(2, Relaxed);
    advance(Duration::from_secs(1)).await;
    tokens.token().await.expect("another credential");
    assert_eq!(canned.requests().len(), 2);
}
