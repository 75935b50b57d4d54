//! RFC 9126: the request goes from server to server, and the browser carries a reference.

use http::StatusCode;
use oauth_tokens::{ClientAuth, ErrorKind};
use serde_json::json;
use tests::{
    canned::{self, Canned},
    support::shown,
};

use super::{REDIRECT, approved, begin, client_at, finish, forms_at, metadata, metadata_with, public, server, value};

#[tokio::test]
async fn a_pushed_request_leaves_the_browser_a_reference() {
    let required = metadata_with(&json!({ "require_pushed_authorization_requests": true }));
    let optional = metadata_with(&json!({ "require_pushed_authorization_requests": false }));
    for (metadata, asked, pushed) in
        [(&required, false, true), (&required, true, true), (&optional, true, true), (&optional, false, false)]
    {
        let canned = server(metadata.clone(), |_| canned::token("t1"));
        let client = client_at(&canned, ClientAuth::secret_post("s3cr3t"));
        let mut request = client.sign_in(REDIRECT).scope("openid").login_hint("ann").param("x", "y");
        if asked {
            request = request.pushed();
        }
        let begun = begin(&request).await.expect("begun");
        let forms = forms_at(&canned, "/par");
        assert_eq!(forms.len(), usize::from(pushed));
        if !pushed {
            assert_eq!(begun.get("login_hint"), Some("ann"));
            continue;
        }
        assert_eq!(begun.names(), ["client_id", "request_uri"]);
        assert_eq!((begun.get("client_id"), begun.get("request_uri")), (Some("app"), Some("urn:example:par:6esc")));
        let form = &forms[0];
        let expected = [
            ("client_id", "app"),
            ("client_secret", "s3cr3t"),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", "openid"),
            ("code_challenge_method", "S256"),
            ("login_hint", "ann"),
            ("x", "y"),
            ("state", begun.pending.state()),
        ];
        for (name, text) in expected {
            assert_eq!(value(form, name), Some(text), "{name}");
        }
        assert!(value(form, "nonce").is_some() && value(form, "code_challenge").is_some());
        assert_eq!(form.len(), expected.len() + 2);
        let pending = begun.pending;
        let query = approved(&pending);
        // Without an ID token the end is an error; that the code goes out is enough here.
        let _ = finish(&client, pending, &query).await;
        assert_eq!(forms_at(&canned, "/token").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_push_is_the_servers_word_and_no_page_is_opened() {
    let refusal = |code: &str| json!({ "error": code, "error_description": "no" }).to_string();
    let cases = [
        (canned::json(400, refusal("invalid_request")), ErrorKind::OAuth),
        (canned::json(401, refusal("invalid_client")), ErrorKind::OAuth),
        (canned::json(400, refusal("invalid_scope")), ErrorKind::OAuth),
        (canned::status(StatusCode::BAD_GATEWAY), ErrorKind::UnexpectedResponse),
        (canned::json(201, r#"{"expires_in":60}"#), ErrorKind::InvalidResponse),
        (canned::json(201, r#"{"request_uri":"not a uri","expires_in":60}"#), ErrorKind::InvalidResponse),
    ];
    for (answer, kind) in cases {
        let canned = Canned::new(move |request| match request.uri().path() {
            "/par" => answer.clone(),
            _ => canned::json(200, metadata().to_string()),
        });
        let error = public(&canned).sign_in(REDIRECT).pushed().begin().await.expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_takes_no_pushed_requests_is_told_apart() {
    let mut metadata = metadata();
    metadata.as_object_mut().expect("an object").remove("pushed_authorization_request_endpoint");
    let canned = server(metadata, |_| canned::token("t1"));
    let error = public(&canned).sign_in(REDIRECT).pushed().begin().await.expect_err("no such endpoint");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint);
}

#[tokio::test]
async fn s1_a_refused_push_shows_nothing_of_what_was_pushed() {
    let canned = Canned::new(|request| match request.uri().path() {
        "/par" => {
            let body = String::from_utf8_lossy(request.body()).into_owned();
            canned::json(400, json!({ "error": "invalid_request", "error_description": body }).to_string())
        }
        _ => canned::json(200, metadata().to_string()),
    });
    let request = public(&canned).sign_in(REDIRECT).scope("openid").login_hint("ann@example.com").pushed();
    let error = request.begin().await.expect_err("refused");
    let form = &forms_at(&canned, "/par")[0];
    for name in ["state", "nonce", "code_challenge", "login_hint"] {
        let secret = value(form, name).expect(name);
        assert!(!shown(&error).contains(secret), "{name} in {error}");
    }
}
