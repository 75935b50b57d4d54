//! RFC 7009.

use std::time::Duration;

use http::StatusCode;
use oauth_tokens::{ClientAuth, ErrorKind, TokenCache, TokenHint};
use tests::canned::{Canned, json, status, token};
use tokio::time::advance;

use super::{REVOKE, TOKEN, assert_is_example, client, m2m, value};

#[tokio::test]
async fn revocation_is_the_example_of_rfc_7009_section_2_1() {
    let canned = Canned::always(status(StatusCode::OK));
    client(&canned, "s6BhdRkqt3", ClientAuth::secret_basic("gX1fBat3bV"))
        .revoke("45ghiukldjahdnhzdauz")
        .hint(TokenHint::RefreshToken)
        .await
        .expect("revoked");
    assert_is_example(
        &canned,
        REVOKE,
        Some("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
        "token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token",
    );
}

#[tokio::test]
async fn revocation_needs_no_hint() {
    let canned = Canned::always(status(StatusCode::OK));
    client(&canned, "app", ClientAuth::none()).revoke("t 1/+").await.expect("revoked");
    assert_eq!(canned.bodies(), ["token=t%201%2F%2B&client_id=app"]);
    m2m(&canned).revoke("t").hint(TokenHint::AccessToken).await.expect("revoked");
    assert_eq!(value(&canned.requests()[1], "token_type_hint").as_deref(), Some("access_token"));
}

/// Section 2.2: the body of the answer says nothing.
#[tokio::test]
async fn revocation_ignores_the_answers_body() {
    for answer in [json(200, "{}"), json(200, "<html>"), json(200, ""), json(200, r#"{"error":"none"}"#), json(204, "")]
    {
        m2m(&Canned::always(answer)).revoke("t").await.expect("revoked");
    }
}

#[tokio::test(start_paused = true)]
async fn revocation_errors_are_the_servers_words() {
    // status, body, code, kind
    let cases = [
        (400, r#"{"error":"unsupported_token_type"}"#, Some("unsupported_token_type"), ErrorKind::OAuth),
        (401, r#"{"error":"invalid_client"}"#, Some("invalid_client"), ErrorKind::OAuth),
        (400, "no", None, ErrorKind::UnexpectedResponse),
        (302, "", None, ErrorKind::UnexpectedResponse),
        (404, "", None, ErrorKind::UnexpectedResponse),
    ];
    for (code, body, oauth, kind) in cases {
        let canned = Canned::always(json(code, body));
        let error = m2m(&canned).revoke("t0ken").hint(TokenHint::AccessToken).await.expect_err("refused");
        assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), oauth, "{body}");
        assert_eq!((error.kind(), canned.requests().len()), (kind, 1), "{body}");
        let text = error.to_string();
        assert!(text.contains("revocation request") && text.contains("m2m"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn revocation_is_tried_again_when_the_server_stumbles() {
    let canned = Canned::sequence([status(StatusCode::BAD_GATEWAY), status(StatusCode::OK)]);
    m2m(&canned).revoke("t").await.expect("revoked");
    assert_eq!(canned.requests().len(), 2);

    let mut busy = status(StatusCode::SERVICE_UNAVAILABLE);
    busy.headers_mut().insert("retry-after", http::HeaderValue::from_static("30"));
    let canned = Canned::always(busy);
    let error = m2m(&canned).revoke("t").await.expect_err("busy");
    assert_eq!((error.retry_after(), canned.requests().len()), (Some(Duration::from_secs(30)), 1));
}

#[tokio::test]
async fn revocation_of_nothing_is_an_error_and_nothing_is_sent() {
    let canned = Canned::always(status(StatusCode::OK));
    assert_eq!(m2m(&canned).revoke("").await.expect_err("empty").kind(), ErrorKind::Config);
    drop(m2m(&canned).revoke("not awaited").hint(TokenHint::AccessToken).into_future());
    assert!(canned.requests().is_empty());
}

#[tokio::test]
async fn revocation_needs_an_endpoint() {
    let canned = Canned::always(status(StatusCode::OK));
    let server = oauth_tokens::AuthorizationServer::via(canned.http()).token_endpoint(TOKEN).expect("a server");
    let client = server.client("m2m", ClientAuth::none()).expect("a client");
    let error = client.revoke("t").await.expect_err("nowhere to go");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint);
    assert!(error.to_string().contains("revocation_endpoint"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn revocation_of_what_a_cache_holds_fetches_nothing() {
    let canned = Canned::new(|request| match request.uri().to_string().as_str() {
        TOKEN => token("h3ld"),
        _ => status(StatusCode::OK),
    });
    let client = m2m(&canned);
    let tokens = client.client_credentials().cached().expect("a request");
    client.revoke_held_by(&tokens).await.expect("nothing to revoke");
    assert!(canned.requests().is_empty(), "there was no token, and none was fetched");

    tokens.token().await.expect("a token");
    // In the refresh window, where a look at the token would begin a renewal.
    advance(Duration::from_secs(3500)).await;
    client.revoke_held_by(&tokens).await.expect("revoked");
    tests::steps::settle().await;
    let requests = canned.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(value(&requests[1], "token").as_deref(), Some("h3ld"));
    assert_eq!(value(&requests[1], "token_type_hint").as_deref(), Some("access_token"));

    // Nothing is revoked when a cache is merely dropped.
    drop((tokens, TokenCache::fixed("t")));
    tests::steps::settle().await;
    assert_eq!(canned.requests().len(), 2);
}
