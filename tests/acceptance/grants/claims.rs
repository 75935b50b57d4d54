//! R14: claims that an API names go with one request, if the caller allows it, and are not kept.

use std::time::Duration;

use oauth_tokens::{Rejection, TokenCache, TokenSource};
use tests::canned::{Canned, token};
use tokio::time::advance;

use super::{m2m, value};

const CLAIMS: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;
const ENCODED: &str = "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ==";

fn numbered() -> Canned {
    Canned::sequence(["t1", "t2", "t3"].map(token))
}

async fn rejected(tokens: &TokenCache) -> Rejection {
    let mut rejection = Rejection::new("https://api.test", tokens.token().await.expect("a token"));
    assert!(rejection.set_claims(ENCODED));
    rejection
}

#[tokio::test(start_paused = true)]
async fn r14_claims_of_a_challenge_go_with_one_request_and_are_not_kept() {
    let canned = numbered();
    let request = m2m(&canned).client_credentials().scope("api").param("claims", "our own").accept_claims_challenges();
    let tokens = request.cached().expect("a request");
    assert!(tokens.accepts_claims());
    let rejection = rejected(&tokens).await;
    assert_eq!(tokens.renew_after(&rejection).await.expect("a token").secret(), "t2");
    advance(Duration::from_secs(3600)).await;
    assert_eq!(tokens.token().await.expect("a token").secret(), "t3");
    let sent: Vec<_> = canned.requests().iter().map(|request| value(request, "claims")).collect();
    assert_eq!(sent, [Some("our own"), Some(CLAIMS), Some("our own")].map(|claims| claims.map(str::to_owned)));
    assert!(canned.bodies().iter().all(|body| body.matches("claims=").count() == 1));
}

#[tokio::test(start_paused = true)]
async fn r14_claims_of_a_challenge_are_not_heeded_unless_allowed() {
    let canned = numbered();
    let request = m2m(&canned).client_credentials();
    assert!(!request.accepts_claims());
    let tokens = request.cached().expect("a request");
    let rejection = rejected(&tokens).await;
    tokens.renew_after(&rejection).await.expect("a token");
    assert!(canned.requests().iter().all(|request| value(request, "claims").is_none()));
}
