//! What the browser is sent away with.

use std::{collections::HashSet, time::Duration};

use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, Prompt, SignInRequest};
use serde_json::json;
use tests::canned::{self, Canned};

use super::{ISSUER, REDIRECT, begin, generous, metadata_with, public, server};

#[tokio::test]
async fn l2_a_code_is_asked_for_with_pkce_state_and_nonce() {
    let canned = generous();
    let begun = begin(&public(&canned).sign_in(REDIRECT).scope("openid orders").scope("profile")).await.expect("begun");
    assert_eq!(begun.page, "https://id.test/authorize");
    let expected = [
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
    ];
    assert_eq!(begun.names(), expected);
    let known = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid orders profile"),
        ("code_challenge_method", "S256"),
        ("state", begun.pending.state()),
    ];
    for (name, value) in known {
        assert_eq!(begun.get(name), Some(value), "{name}");
    }
    for name in ["state", "nonce", "code_challenge"] {
        // 256 bits in base64url.
        assert_eq!(begun.get(name).map(str::len), Some(43), "{name}");
    }
    assert_eq!(begun.pending.return_to(), "/");
    assert_eq!(canned.urls(), ["https://id.test/.well-known/openid-configuration"], "nothing else is sent");
}

#[tokio::test]
async fn l2_no_two_sign_ins_share_a_secret() {
    let canned = generous();
    let request = public(&canned).sign_in(REDIRECT).scope("openid");
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let begun = begin(&request).await.expect("begun");
        for name in ["state", "nonce", "code_challenge"] {
            assert!(seen.insert(begun.get(name).expect(name).to_owned()), "{name} was there before");
        }
        let fields: serde_json::Value = serde_json::to_value(&begun.pending).expect("serialised");
        let challenge = begun.get("code_challenge").expect("a challenge");
        assert!(!fields.to_string().contains(challenge), "what is kept is the verifier");
    }
}

#[tokio::test]
async fn every_setting_goes_where_it_belongs() {
    type Set = fn(SignInRequest) -> SignInRequest;
    let cases: [(Set, &[(&str, &str)]); 13] = [
        (|r| r.prompt(Prompt::LOGIN), &[("prompt", "login")]),
        (|r| r.prompt(Prompt::LOGIN).prompt("consent"), &[("prompt", "login consent")]),
        (|r| r.prompt(Prompt::NONE), &[("prompt", "none")]),
        (|r| r.max_age(Duration::from_millis(90_900)), &[("max_age", "90")]),
        (|r| r.max_age(Duration::ZERO), &[("max_age", "0")]),
        (|r| r.login_hint("änn+1@example.com & co"), &[("login_hint", "änn+1@example.com & co")]),
        (|r| r.acr_values("phr gold").acr_values("silver"), &[("acr_values", "phr gold silver")]),
        (
            |r| r.resource("https://a.test/").resource("urn:b"),
            &[("resource", "https://a.test/"), ("resource", "urn:b")],
        ),
        (|r| r.audience("https://api.test"), &[("audience", "https://api.test")]),
        (
            |r| r.authorization_details(json!([{ "type": "payment" }])),
            &[("authorization_details", r#"[{"type":"payment"}]"#)],
        ),
        (
            |r| r.param("ui_locales", "de en").param("kc_idp_hint", "x"),
            &[("ui_locales", "de en"), ("kc_idp_hint", "x")],
        ),
        (SignInRequest::form_post, &[("response_mode", "form_post")]),
        (|r| r.return_to("/orders?x=1"), &[]),
    ];
    let canned = generous();
    for (number, (set, expected)) in cases.into_iter().enumerate() {
        let plain = public(&canned).sign_in(REDIRECT).scope("openid");
        let usual = begin(&plain.clone()).await.expect("begun").query.len();
        let begun = begin(&set(plain)).await.expect("begun");
        for (name, value) in expected {
            let pair = ((*name).to_owned(), (*value).to_owned());
            assert!(begun.query.contains(&pair), "{number}: {name} in {:?}", begun.query);
        }
        assert_eq!(begun.query.len(), usual + expected.len(), "{number}: {:?}", begun.query);
    }
}

#[tokio::test]
async fn no_nonce_is_sent_where_no_id_token_is_asked_for() {
    let begun = begin(&public(&generous()).sign_in(REDIRECT).scope("orders")).await.expect("begun");
    assert_eq!(begun.get("nonce"), None);
}

#[tokio::test]
async fn t4_extra_parameters_never_override_the_protocols_own() {
    let canned = generous();
    let own = [
        "response_type",
        "response_mode",
        "client_id",
        "client_secret",
        "client_assertion",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "code",
        "grant_type",
        "prompt",
        "max_age",
        "login_hint",
        "acr_values",
        "dpop_jkt",
        "resource",
        "request",
        "request_uri",
        "Request_URI",
        "STATE",
        " state",
        "",
    ];
    for name in own {
        for request in [public(&canned).sign_in(REDIRECT), public(&canned).sign_in(REDIRECT).pushed()] {
            let error = begin(&request.param(name, "evil")).await.err().unwrap_or_else(|| panic!("{name:?} was taken"));
            assert_eq!(error.kind(), ErrorKind::Config, "{name}");
            assert!(!error.to_string().contains("evil"), "{error}");
        }
    }
    let twice = public(&canned).sign_in(REDIRECT).param("a", "1").param("a", "2");
    assert_eq!(begin(&twice).await.err().map(|error| error.kind()), Some(ErrorKind::Config));
    assert!(canned.requests().is_empty(), "what cannot be sent costs no request");
}

#[tokio::test]
async fn l2_settings_that_cannot_be_sent_are_refused_before_anything_is() {
    type Set = fn(SignInRequest) -> SignInRequest;
    let canned = generous();
    let client = public(&canned);
    for redirect_uri in ["http://app.test/callback", "https://app.test/#x", "javascript:alert(1)", "/callback", ""] {
        let error = begin(&client.sign_in(redirect_uri)).await.err().expect(redirect_uri);
        assert_eq!(error.kind(), ErrorKind::Config, "{redirect_uri}");
    }
    let cases: [(&str, Set); 13] = [
        ("return_to", |r| r.return_to("//evil.example")),
        ("return_to", |r| r.return_to("https://evil.example/")),
        ("return_to", |r| r.return_to("")),
        ("scope", |r| r.scope("a\"b")),
        ("resource", |r| r.resource("/relative")),
        ("resource", |r| r.resource("https://a.test/#x")),
        ("prompt", |r| r.prompt(Prompt::NONE).prompt(Prompt::LOGIN)),
        ("prompt", |r| r.prompt("none login")),
        ("prompt", |r| r.prompt("")),
        ("prompt", |r| r.prompt("log\nin")),
        ("login_hint", |r| r.login_hint("a\r\nb")),
        ("acr_values", |r| r.acr_values("a\tb")),
        ("max_age without openid", |r| r.max_age(Duration::from_secs(60))),
    ];
    for (what, set) in cases {
        let error = begin(&set(client.sign_in(REDIRECT))).await.err().expect(what);
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Config, false), "{what}");
    }
    assert!(canned.requests().is_empty());
}

/// Where no issuer is known, plain OAuth works by given endpoints, and nobody is taken for somebody.
#[tokio::test]
async fn a_server_without_metadata_signs_in_by_given_endpoints() {
    let canned = generous();
    let server = |canned: &Canned| AuthorizationServer::via(canned.http());
    let at = server(&canned)
        .override_endpoint("authorization_endpoint", "https://id.test/login/authorize?v=2")
        .token_endpoint("https://id.test/token")
        .expect("a server");
    let client = at.client("app", ClientAuth::secret_post("s")).expect("a client");
    let begun = begin(&client.sign_in(REDIRECT).scope("repo")).await.expect("begun");
    assert_eq!((begun.page.as_str(), begun.get("v")), ("https://id.test/login/authorize", Some("2")));
    assert!(canned.requests().is_empty(), "there is nothing to discover");
    let query = super::approved(&begun.pending);
    assert_eq!(super::finish(&client, begun.pending, &query).await.expect("tokens").scope(), "repo");

    let error = begin(&client.sign_in(REDIRECT).scope("openid")).await.err().expect("whose ID token would it be?");
    assert_eq!(error.kind(), ErrorKind::Config);
    let bare = server(&canned).token_endpoint("https://id.test/token").expect("a server");
    let bare = bare.client("app", ClientAuth::none()).expect("a client");
    assert_eq!(begin(&bare.sign_in(REDIRECT)).await.err().map(|error| error.kind()), Some(ErrorKind::MissingEndpoint));
}

#[tokio::test]
async fn l1_the_page_is_https_and_its_own_query_is_kept() {
    let page = |url: &str| metadata_with(&json!({ "authorization_endpoint": url }));
    let cases = [
        (page("https://id.test/authorize?p=b2c_1&x=%20"), Ok("p=b2c_1&x=%20&client_id=app&")),
        (page("https://elsewhere.test/authorize"), Ok("client_id=app&")),
        (page("http://id.test/authorize"), Err(ErrorKind::InvalidEndpoint)),
        (page("http://127.0.0.1/authorize"), Err(ErrorKind::InvalidEndpoint)),
        (page("https://localhost/authorize"), Err(ErrorKind::InvalidEndpoint)),
        (page("https://a@id.test/authorize"), Err(ErrorKind::InvalidEndpoint)),
        (page("https://id.test/authorize#x"), Err(ErrorKind::InvalidEndpoint)),
        (page("javascript:alert(1)"), Err(ErrorKind::InvalidEndpoint)),
        (page("https://id.test/authorize?state=x"), Err(ErrorKind::InvalidEndpoint)),
        (page("https://id.test/authorize?client_id=x"), Err(ErrorKind::InvalidEndpoint)),
        (metadata_with(&json!({ "authorization_endpoint": null })), Err(ErrorKind::InvalidEndpoint)),
        (json!({ "issuer": ISSUER, "token_endpoint": "https://id.test/token" }), Err(ErrorKind::MissingEndpoint)),
        (metadata_with(&json!({ "issuer": "https://other.test" })), Err(ErrorKind::IssuerMismatch)),
    ];
    for (metadata, expected) in cases {
        let canned = server(metadata.clone(), |_| canned::token("t1"));
        let begun = public(&canned).sign_in(REDIRECT).begin().await;
        match (begun, expected) {
            (Ok(begun), Ok(query)) => {
                let (_, found) = begun.url().split_once('?').expect("a query");
                assert!(found.starts_with(query), "{metadata} {found}");
            }
            (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{metadata} {error}"),
            (begun, _) => panic!("{metadata} {begun:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t3_a_server_that_is_down_is_a_transient_error() {
    let canned = Canned::always(canned::json(503, "{}"));
    let error = public(&canned).sign_in(REDIRECT).begin().await.expect_err("down");
    assert!(error.is_transient(), "{error}");
}
