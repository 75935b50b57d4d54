//! RFC 8628, sections 3.1 and 3.2: what a server may answer when a device begins.

use http::StatusCode;
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind};
use serde_json::{Value, json};
use tests::canned::{self, Canned, status};

use super::{DEVICE, TOKEN, m2m};

fn answer() -> Value {
    json!({
        "device_code": "d",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://example.com/device",
        "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
        "expires_in": 1800,
    })
}

/// The answer with one member changed, or left out.
fn with(member: &str, value: Value) -> Value {
    let mut answer = answer();
    match value {
        Value::Null => answer.as_object_mut().expect("an object").remove(member),
        value => answer.as_object_mut().expect("an object").insert(member.to_owned(), value),
    };
    answer
}

#[tokio::test]
async fn device_answers_that_can_be_used() {
    let good = [
        answer(),
        with("verification_uri_complete", Value::Null),
        with("expires_in", json!("1800")),
        with("user_code", json!("ABCD EFGH")),
        with("user_code", json!("１２３－４５６")),
        with("verification_uri", json!("http://127.0.0.1:8080/device")),
        with("verification_uri", json!("https://example.com/#/device")),
        with("more", json!({ "message": "Open the page." })),
    ];
    for answer in good {
        let canned = Canned::always(canned::json(200, answer.to_string()));
        let device = m2m(&canned).device_authorization().begin().await;
        let device = device.unwrap_or_else(|error| panic!("{answer}: {error}"));
        assert_eq!(Some(device.verification_uri()), answer["verification_uri"].as_str());
        assert_eq!(Some(device.user_code()), answer["user_code"].as_str());
        assert_eq!(device.verification_uri_complete(), answer["verification_uri_complete"].as_str());
    }
    // As Google has called it since before the RFC.
    let mut old = with("verification_uri", Value::Null);
    old["verification_url"] = json!("https://www.google.com/device");
    let canned = Canned::always(canned::json(200, old.to_string()));
    let device = m2m(&canned).device_authorization().begin().await.expect("a code");
    assert_eq!(device.verification_uri(), "https://www.google.com/device");
}

#[tokio::test]
async fn device_answers_that_cannot_be_used() {
    let mut bad = vec![json!([]), json!({})];
    for member in ["device_code", "user_code", "verification_uri", "expires_in"] {
        bad.extend([with(member, Value::Null), with(member, json!("")), with(member, json!([]))]);
    }
    // What a terminal would obey, or what hides a part of it.
    for code in ["AB\nCD", "AB\u{1b}[2JCD", "AB\u{202e}DC", "AB\u{200b}CD", &"A".repeat(513)] {
        bad.push(with("user_code", json!(code)));
    }
    for uri in [
        "http://example.com/device",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "/device",
        "https://user:password@example.com/device",
        "https://example.com/\u{1b}[2J",
        "https://exämple.com/",
        "https://example.com\\@evil.example/",
    ] {
        bad.extend([with("verification_uri", json!(uri)), with("verification_uri_complete", json!(uri))]);
    }
    for answer in bad {
        let canned = Canned::always(canned::json(200, answer.to_string()));
        let error = m2m(&canned).device_authorization().begin().await.expect_err("no use");
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{answer}");
        assert_eq!(canned.requests().len(), 1);
        assert!(!error.to_string().contains("WDJB"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn device_refusals_are_the_servers_words() {
    // status, body, code, kind
    let cases = [
        (400, r#"{"error":"invalid_scope"}"#, Some("invalid_scope"), ErrorKind::OAuth),
        (401, r#"{"error":"invalid_client"}"#, Some("invalid_client"), ErrorKind::OAuth),
        (200, r#"{"error":"slow_down"}"#, Some("slow_down"), ErrorKind::OAuth),
        (404, "<html>", None, ErrorKind::UnexpectedResponse),
        (302, "", None, ErrorKind::UnexpectedResponse),
        (200, "<html>", None, ErrorKind::InvalidResponse),
    ];
    for (code, body, oauth, kind) in cases {
        let canned = Canned::always(canned::json(code, body));
        let error = m2m(&canned).device_authorization().begin().await.expect_err(body);
        assert_eq!((error.kind(), error.oauth().map(|oauth| oauth.code.as_str())), (kind, oauth), "{body}");
        assert!(error.to_string().contains("device authorization request"), "{error}");
    }
    // A stumble is tried again.
    let canned = Canned::sequence([status(StatusCode::BAD_GATEWAY), canned::json(200, answer().to_string())]);
    m2m(&canned).device_authorization().begin().await.expect("a code");
}

#[tokio::test]
async fn device_requests_that_cannot_be_sent() {
    let canned = Canned::always(canned::json(200, answer().to_string()));
    let request = || m2m(&canned).device_authorization();
    let bad = [
        request().scope("a\"b"),
        request().resource("/relative"),
        request().param("client_id", "x"),
        request().param("device_code", "x"),
        request().authorization_details(json!({})),
    ];
    for request in bad {
        assert_eq!(request.begin().await.expect_err("refused").kind(), ErrorKind::Config, "{request:?}");
    }
    let server = AuthorizationServer::via(canned.http()).token_endpoint(TOKEN).expect("a server");
    let client = server.client("app", ClientAuth::none()).expect("a client");
    let error = client.device_authorization().begin().await.expect_err("no endpoint");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint);
    assert!(canned.requests().is_empty());
}

/// The whole URL is shown, what stands behind its `#` too.
#[tokio::test]
async fn s1_device_urls_with_hidden_characters_are_refused() {
    for (name, url) in [
        ("verification_uri", "https://id.test/d#\u{1b}]0;x"),
        ("verification_uri", "https://id.test/d#\u{202e}moc"),
        ("verification_uri_complete", "https://id.test/d#a b"),
    ] {
        let canned = Canned::always(canned::json(200, with(name, json!(url)).to_string()));
        let error = m2m(&canned).device_authorization().begin().await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    }
}

/// Where the caller allowed plain http to the server, the server's own page may be plain, too.
#[tokio::test]
async fn t1_device_pages_are_plain_http_only_where_that_was_allowed() {
    let plain = with("verification_uri", json!("http://as.mesh.test/device"));
    let canned = Canned::always(canned::json(200, plain.to_string()));
    let server = |device: &str| {
        AuthorizationServer::via(canned.http())
            .dangerously_allow_plain_http()
            .override_endpoint("device_authorization_endpoint", device)
            .token_endpoint(TOKEN)
            .and_then(|server| server.client("app", ClientAuth::none()))
            .expect("a client")
    };
    let mut allowed = with("verification_uri_complete", Value::Null);
    allowed["verification_uri"] = json!("http://as.mesh.test/device");
    let canned_allowed = Canned::always(canned::json(200, allowed.to_string()));
    let plain_server = AuthorizationServer::via(canned_allowed.http())
        .dangerously_allow_plain_http()
        .override_endpoint("device_authorization_endpoint", "http://as.mesh.test/device_authorization")
        .token_endpoint(TOKEN)
        .and_then(|server| server.client("app", ClientAuth::none()))
        .expect("a client");
    plain_server.device_authorization().begin().await.expect("a code");
    let error = server(DEVICE).device_authorization().begin().await.expect_err("an https server, a plain page");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}
