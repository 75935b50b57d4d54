//! RFC 7662.

use std::time::{Duration, SystemTime};

use oauth_tokens::{ClientAuth, ErrorKind, Introspection, TokenHint};
use serde_json::json;
use tests::canned::{self, Canned};

use super::{INTROSPECT, assert_is_example, client, m2m};

async fn introspected(answer: serde_json::Value) -> Introspection {
    m2m(&Canned::always(canned::json(200, answer.to_string()))).introspect("t").await.expect("an answer")
}

#[tokio::test]
async fn introspection_is_the_example_of_rfc_7662() {
    let canned = Canned::always(canned::json(
        200,
        r#"{
            "active": true,
            "client_id": "l238j323ds-23ij4",
            "username": "jdoe",
            "scope": "read write dolphin",
            "sub": "Z5O3upPC88QrAjx00dis",
            "aud": "https://protected.example.net/resource",
            "iss": "https://server.example.com/",
            "exp": 1419356238,
            "iat": 1419350238,
            "extension_field": "twenty-seven"
        }"#,
    ));
    let token = client(&canned, "s6BhdRkqt3", ClientAuth::secret_basic("gX1fBat3bV"))
        .introspect("mF_9.B5f-4.1JqM")
        .hint(TokenHint::AccessToken)
        .await
        .expect("an answer");
    assert_is_example(
        &canned,
        INTROSPECT,
        Some("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
        "token=mF_9.B5f-4.1JqM&token_type_hint=access_token",
    );
    assert!(token.is_active());
    assert_eq!(token.client_id(), Some("l238j323ds-23ij4"));
    assert_eq!(token.username(), Some("jdoe"));
    assert_eq!(token.scope(), Some("read write dolphin"));
    assert!(token.has_scope("dolphin") && !token.has_scope("dol") && !token.has_scope("read write"));
    assert_eq!(token.subject(), Some("Z5O3upPC88QrAjx00dis"));
    assert_eq!(token.audiences().collect::<Vec<_>>(), ["https://protected.example.net/resource"]);
    assert_eq!(token.issuer(), Some("https://server.example.com/"));
    assert_eq!(token.expires_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_419_356_238)));
    assert_eq!(token.issued_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_419_350_238)));
    assert_eq!((token.not_before(), token.token_type()), (None, None));
    assert_eq!(token.get("extension_field"), Some(&json!("twenty-seven")));
}

#[tokio::test]
async fn introspection_of_an_inactive_token_is_no_error_and_says_nothing_else() {
    assert!(!introspected(json!({ "active": false })).await.is_active());
    // A careless reader must not take the rest for true.
    let token =
        introspected(json!({ "active": false, "scope": "admin", "sub": "root", "exp": 9_999_999_999_u64 })).await;
    assert!(!token.is_active() && !token.has_scope("admin"));
    assert_eq!((token.scope(), token.subject(), token.expires_at(), token.get("sub")), (None, None, None, None));
}

#[tokio::test]
async fn introspection_reads_odd_members_for_what_they_are() {
    let token = introspected(json!({
        "active": true, "aud": ["a", 7, "b"], "exp": 1_419_356_238.5, "iat": -1, "nbf": "soon", "scope": 3, "sub": "",
        "username": null, "token_type": "DPoP",
    }))
    .await;
    assert_eq!(token.audiences().collect::<Vec<_>>(), ["a", "b"]);
    assert!(token.has_audience("b") && !token.has_audience("7"));
    assert_eq!(token.expires_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1_419_356_238.5)));
    assert_eq!((token.issued_at(), token.not_before()), (None, None));
    assert_eq!((token.scope(), token.subject(), token.username()), (None, None, None));
    assert_eq!(token.token_type(), Some("DPoP"));
    let huge = introspected(json!({ "active": true, "exp": 1e300 })).await;
    assert_eq!(huge.expires_at(), None, "and no panic");
    assert_eq!(introspected(json!({ "active": true })).await.audiences().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn introspection_answers_that_say_nothing_are_errors() {
    let invalid = [
        "{}",
        "[]",
        "",
        "<html>",
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":null}"#,
        r#"{"active":false,"active":true}"#,
    ];
    for body in invalid {
        let canned = Canned::always(canned::json(200, body));
        let error = m2m(&canned).introspect("t0ken").await.expect_err(body);
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{body}");
        assert!(error.to_string().contains("introspection request"), "{error}");
    }
    let refused = [(401, r#"{"error":"invalid_client"}"#, ErrorKind::OAuth), (401, "", ErrorKind::UnexpectedResponse)];
    for (status, body, kind) in refused {
        let canned = Canned::always(canned::json(status, body));
        assert_eq!(m2m(&canned).introspect("t0ken").await.expect_err(body).kind(), kind);
    }
    let canned = Canned::always(canned::json(200, r#"{"active":true}"#));
    assert_eq!(m2m(&canned).introspect("").await.expect_err("empty").kind(), ErrorKind::Config);
    assert!(canned.requests().is_empty());
}

#[tokio::test]
async fn introspection_asks_each_time() {
    let canned = Canned::sequence([canned::json(200, r#"{"active":true}"#), canned::json(200, r#"{"active":false}"#)]);
    assert!(m2m(&canned).introspect("t").await.expect("an answer").is_active());
    assert!(!m2m(&canned).introspect("t").await.expect("an answer").is_active());
}
