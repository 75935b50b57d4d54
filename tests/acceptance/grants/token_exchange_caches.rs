//! RFC 8693 with tokens of other caches: a token that the server refuses is renewed, once, whoever asks.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use oauth_tokens::{SecurityToken, TokenSource};
use tests::{
    canned::{Canned, json, token},
    numbered::{Next, Numbered},
};
use tokio::time::advance;

use super::{m2m, value};

/// A server that takes this subject only, and refuses others by this code.
fn takes_only(subject: &'static str, code: &'static str) -> Canned {
    Canned::new(move |request: &Request<Bytes>| -> Response<Bytes> {
        let found = value(request, "subject_token");
        let issued = |subject: &str| token(&format!("for-{subject}"));
        match found.as_deref() {
            Some(found) if found == subject => issued(subject),
            _ => json(400, format!(r#"{{"error":"{code}"}}"#)),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn exchange_renews_a_cached_subject_that_the_server_refuses() {
    for code in ["invalid_request", "invalid_grant", "invalid_token"] {
        let canned = takes_only("t2", code);
        let numbered = Numbered::new();
        let request = m2m(&canned).token_exchange(&numbered.cache);
        let tokens = request.fetch().await.expect("a token for the second subject");
        assert_eq!(tokens.access_token.secret(), "for-t2", "{code}");
        assert_eq!((canned.requests().len(), numbered.fetches()), (2, 2), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn exchange_tries_again_once_and_keeps_the_servers_words() {
    let canned = takes_only("never", "invalid_grant");
    let numbered = Numbered::new();
    let error = m2m(&canned).token_exchange(&numbered.cache).fetch().await.expect_err("refused");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_grant"));
    assert_eq!((canned.requests().len(), numbered.fetches()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn exchange_does_not_try_the_same_subject_again() {
    let canned = takes_only("never", "invalid_grant");
    let numbered = Numbered::new();
    numbered.cache.token().await.expect("t1");
    for next in [Next::Same, Next::Failure] {
        numbered.will(next);
        let error = m2m(&canned).token_exchange(&numbered.cache).fetch().await.expect_err("refused");
        assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_grant"), "{next:?}");
        advance(Duration::from_secs(60)).await;
    }
    assert_eq!(canned.requests().len(), 2, "one for each exchange");
}

/// What speaks of something else than the subject renews nothing.
#[tokio::test(start_paused = true)]
async fn exchange_renews_nothing_for_other_errors() {
    for code in ["invalid_scope", "invalid_target", "unauthorized_client", "unsupported_grant_type"] {
        let canned = takes_only("t2", code);
        let numbered = Numbered::new();
        m2m(&canned).token_exchange(&numbered.cache).fetch().await.expect_err("refused");
        assert_eq!((canned.requests().len(), numbered.fetches()), (1, 1), "{code}");
    }
    // And neither does a subject that no cache can renew.
    let canned = takes_only("t2", "invalid_grant");
    m2m(&canned).token_exchange(SecurityToken::jwt("t1")).fetch().await.expect_err("refused");
    assert_eq!(canned.requests().len(), 1);
}

/// F10: a server that refuses whatever it gets causes no storm at the source of the subjects.
#[tokio::test(start_paused = true)]
async fn f10_refused_subjects_are_renewed_within_the_caches_own_limits() {
    let canned = takes_only("never", "invalid_request");
    let numbered = Numbered::new();
    for _ in 0..100 {
        m2m(&canned).token_exchange(&numbered.cache).fetch().await.expect_err("refused");
    }
    assert_eq!(numbered.fetches(), 2, "the first, and one renewal; the next is held for 5 s");
}

#[tokio::test(start_paused = true)]
async fn exchange_that_succeeds_ends_the_holding() {
    let canned = takes_only("t2", "invalid_grant");
    let numbered = Numbered::new();
    m2m(&canned).token_exchange(&numbered.cache).fetch().await.expect("t2");
    // The same server, the same token, and now it is refused: the renewal is not held, for t2 was good before.
    let canned = takes_only("t3", "invalid_grant");
    let tokens = m2m(&canned).token_exchange(&numbered.cache).fetch().await.expect("t3");
    assert_eq!(tokens.access_token.secret(), "for-t3");
    assert_eq!(numbered.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn exchange_renews_the_actor_too() {
    let canned = Canned::new(|request| match value(request, "actor_token").as_deref() {
        Some("t2") => token("t"),
        _ => json(400, r#"{"error":"invalid_grant"}"#),
    });
    let actor = Numbered::new();
    m2m(&canned).token_exchange(SecurityToken::jwt("s")).actor(&actor.cache).fetch().await.expect("a token");
    assert_eq!(actor.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn exchange_without_a_subject_sends_nothing() {
    let canned = Canned::always(token("t"));
    let numbered = Numbered::new();
    numbered.will(Next::Failure);
    let error = m2m(&canned).token_exchange(&numbered.cache).fetch().await.expect_err("no subject");
    assert_eq!(error.to_string(), tests::numbered::FAILURE);
    assert!(canned.requests().is_empty());
}
