//! T7: the OAuth error, whatever the status, and what is permanent.

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{Error, ErrorKind, TokenSource};
use tests::canned::{Canned, json, status};

use super::{client_at, client_of};

async fn refused(response: http::Response<bytes::Bytes>) -> Error {
    client_at(&Canned::always(response)).client_credentials().fetch().await.expect_err("no token")
}

const PERMANENT: [&str; 7] = [
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_request",
    "invalid_target",
];

#[tokio::test(start_paused = true)]
async fn t7_permanent_are_only_the_known_codes_without_429_or_5xx() {
    let transient = [
        "temporarily_unavailable",
        "server_error",
        "access_denied",
        "slow_down",
        "authorization_pending",
        "interaction_required",
        "invalid_clients",
        "INVALID_CLIENT",
        "vendor specific",
    ];
    for code in [200, 400, 401, 403, 404, 418, 429, 500, 502, 503, 504] {
        for (error_code, known) in PERMANENT.map(|code| (code, true)).into_iter().chain(transient.map(|c| (c, false))) {
            let error = refused(json(code, format!(r#"{{"error":"{error_code}"}}"#))).await;
            let case = format!("{code} {error_code}");
            assert_eq!(error.kind(), ErrorKind::OAuth, "{case}");
            assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some(error_code), "{case}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(code), "{case}");
            assert_eq!(error.oauth().map(|oauth| oauth.status.as_u16()), Some(code), "{case}");
            let permanent = known && code != 429 && code < 500;
            assert_eq!(error.is_transient(), !permanent, "{case}");
            assert!(error.to_string().contains(error_code), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t7_description_and_vendor_fields_are_kept_for_any_status() {
    // As Entra answers.
    let body = r#"{
        "error": "invalid_client",
        "error_description": "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1f2e",
        "error_uri": "https://login.microsoftonline.com/error?code=7000215",
        "error_codes": [7000215, 7000216],
        "timestamp": "2024-01-01 00:00:00Z",
        "trace_id": "1f2e",
        "correlation_id": "9b8c",
        "suberror": "bad_token",
        "retry": true,
        "nested": {"not": "scalar"},
        "nothing": null
    }"#;
    for code in [400, 401, 403, 429] {
        let error = refused(json(code, body)).await;
        let oauth = error.oauth().unwrap_or_else(|| panic!("no OAuth error for {code}"));
        assert_eq!(oauth.code, "invalid_client");
        let description = oauth.description.as_deref().unwrap_or_default();
        assert!(description.starts_with("AADSTS7000215: Invalid client secret provided."), "{description}");
        assert!(!description.contains(char::is_control), "control characters are escaped: {description}");
        assert_eq!(oauth.uri.as_deref(), Some("https://login.microsoftonline.com/error?code=7000215"));
        assert_eq!(oauth.field("error_codes"), Some("7000215,7000216"));
        assert_eq!(oauth.field("trace_id"), Some("1f2e"));
        assert_eq!(oauth.field("correlation_id"), Some("9b8c"));
        assert_eq!(oauth.field("suberror"), Some("bad_token"));
        assert_eq!(oauth.field("retry"), Some("true"));
        assert_eq!((oauth.field("nested"), oauth.field("nothing"), oauth.field("error")), (None, None, None));
        let text = error.to_string();
        for word in ["client_credentials", "m2m", "https://id.test/token", "AADSTS7000215", &code.to_string()] {
            assert!(text.contains(word), "{word} is missing in: {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t7_an_error_of_many_fields_is_cut() {
    let mut body = serde_json::json!({ "error": "invalid_request", "error_description": "é".repeat(5000) });
    for field in 0..1000 {
        body[format!("field{field}")] = "x".repeat(1000).into();
    }
    let error = refused(json(400, body.to_string())).await;
    let oauth = error.oauth().expect("an OAuth error");
    assert!(oauth.fields.len() <= 16, "{} fields", oauth.fields.len());
    assert!(oauth.fields.iter().all(|(_, value)| value.chars().count() <= 513));
    assert!(oauth.description.as_ref().is_some_and(|text| text.chars().count() <= 513));
    assert!(error.to_string().chars().count() < 1500);
}

#[tokio::test(start_paused = true)]
async fn t7_all_else_is_transient_and_says_status_and_content_type() {
    let html = |code: u16| {
        let mut response = json(code, "<html><body>Forbidden by WAF</body></html>");
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    };
    let odd = |value: &'static [u8]| {
        let mut response = status(StatusCode::BAD_REQUEST);
        let value = HeaderValue::from_bytes(value).expect("a value");
        response.headers_mut().insert(CONTENT_TYPE, value);
        response
    };
    let empty = |code| status(StatusCode::from_u16(code).expect("a status"));
    let cases = [
        (html(400), &["400", "text/html"][..]),
        (html(403), &["403", "text/html"]),
        (html(502), &["502", "text/html"]),
        (empty(403), &["403", "no content type", "gateway", "client id"]),
        (empty(401), &["401", "no content type"]),
        (empty(400), &["400", "no content type"]),
        (empty(404), &["404", "token endpoint"]),
        (empty(405), &["405", "token endpoint"]),
        (empty(500), &["500"]),
        (odd(b""), &["400", "content type"]),
        (odd(b"\xff\xfe"), &["400", "content type"]),
        (odd(b"nothing known"), &["400", "content type"]),
        (json(400, "{}"), &["400", "application/json"]),
        (json(400, r#"{"error":""}"#), &["400", "application/json"]),
        (json(400, r#"{"error":5}"#), &["400", "application/json"]),
        (json(400, r#"{"error":{"code":"x"}}"#), &["400", "application/json"]),
        (json(400, r#"{"message":"bad"}"#), &["400", "application/json"]),
        (json(400, r#"{"error":"invalid_client","error":"invalid_client"}"#), &["400", "application/json"]),
        (json(400, "[]"), &["400", "application/json"]),
        (json(400, "error=invalid_client"), &["400", "application/json"]),
    ];
    for (response, words) in cases {
        let what = format!("{} {:?}", response.status(), response.body());
        let error = refused(response).await;
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{what}");
        assert!(error.is_transient() && error.oauth().is_none(), "{what}");
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} are not all in: {text}");
        assert!(!text.contains("WAF"), "a body is not repeated: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn t7_a_transient_error_heals_by_itself_and_a_permanent_one_in_minutes() {
    for (fault, heals_within) in [
        (Fault::Empty(StatusCode::FORBIDDEN), 10),
        (Fault::Html(StatusCode::BAD_GATEWAY), 10),
        (Fault::oauth_error("temporarily_unavailable"), 10),
        (Fault::oauth_error("invalid_client"), 300),
    ] {
        let server = TestServer::builder().build();
        server.token_faults().push_forever(fault.clone());
        let tokens = client_of(&server).client_credentials().cached().expect("a request");
        tokens.token().await.expect_err("it fails");
        server.token_faults().clear();
        tokio::time::advance(std::time::Duration::from_secs(heals_within)).await;
        tokens.token().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(tokens.status().last_error.is_none());
    }
}
