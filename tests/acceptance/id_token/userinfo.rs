//! What a server says of a user, and that it is said of nobody else.

use std::future::pending;

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION},
};
use http_body_util::Full;
use oauth_test_server::DecodedJwt;
use oauth_tokens::{
    AccessToken, Algorithm, AuthorizationServer, ClientAuth, DpopKey, ErrorKind, HttpClient, SigningKey, TokenSource,
};
use serde_json::{Value, json};
use tests::{
    canned::{json as json_response, status},
    support::shown,
};
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

use super::{CLIENT, FORGER, ISSUER, KEY, NONCE, Provider, assert_refused, now, with};

const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";

fn token() -> AccessToken {
    AccessToken::bearer(TOKEN).expect("a token")
}

fn of_type(content_type: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let response = Response::builder().header(CONTENT_TYPE, content_type);
    response.body(body.into()).expect("a response")
}

#[tokio::test(start_paused = true)]
async fn l4_what_is_said_of_the_user() {
    let provider = Provider::new();
    let client = provider.client();
    let body = json!({ "sub": "alice", "email": "alice@example.com", "email_verified": true }).to_string();
    for content_type in
        ["application/json", "Application/JSON", "application/json;charset=UTF-8", "application/json ; x=y"]
    {
        provider.set_userinfo([of_type(content_type, body.clone())]);
        let user = client.userinfo(&token(), "alice").await.unwrap_or_else(|error| panic!("{content_type}: {error}"));
        assert_eq!((user.subject(), user.claim("email")), ("alice", Some(&json!("alice@example.com"))));
        assert_eq!(user.claims().map(|(name, _)| name).collect::<Vec<_>>(), ["email", "email_verified", "sub"]);
        assert_eq!(format!("{user:?}"), r#"UserInfo(["email", "email_verified", "sub"])"#);
    }
    let requests = provider.canned.requests();
    let asked = requests.iter().find(|request| request.uri().path() == "/me").expect("a request");
    assert_eq!((asked.method(), asked.uri().to_string().as_str()), (&Method::GET, "https://id.test/me"));
    assert_eq!(asked.headers()[AUTHORIZATION], format!("Bearer {TOKEN}"));
    assert!(asked.headers()[AUTHORIZATION].is_sensitive() && !asked.headers().contains_key("dpop"));
    assert_eq!(asked.headers()[ACCEPT], "application/json, application/jwt");
    assert!(asked.body().is_empty());
}

#[tokio::test(start_paused = true)]
async fn l4_what_is_said_of_anybody_else_is_refused() {
    let provider = Provider::new();
    let client = provider.client();
    let cases = [
        (json!({ "sub": "mallory" }), "`sub` is not the user"),
        (json!({ "sub": "Alice" }), "`sub` is not the user"),
        (json!({ "sub": "" }), "`sub` is empty"),
        (json!({ "sub": 7 }), "`sub` is not a string"),
        (json!({ "email": "alice@example.com" }), "no `sub`"),
    ];
    for (body, why) in cases {
        provider.set_userinfo([json_response(200, body.to_string())]);
        assert_refused(client.userinfo(&token(), "alice").await, TOKEN, why);
    }
    provider.set_userinfo([json_response(200, r#"{"sub":""}"#)]);
    assert_refused(client.userinfo(&token(), "").await, TOKEN, "`sub` is empty");
}

#[tokio::test(start_paused = true)]
async fn t5_answers_that_are_none() {
    let provider = Provider::new();
    let client = provider.client();
    let good = json!({ "sub": "alice" }).to_string();
    let elsewhere = Response::builder().status(302).header(LOCATION, "https://id.test/elsewhere").body(Bytes::new());
    let cases = [
        (of_type("application/json", r#"{"sub":"alice","sub":"mallory"}"#), Some(200), 1),
        (of_type("application/json", "[]"), Some(200), 1),
        (of_type("application/json", "{"), Some(200), 1),
        (of_type("text/html", good.clone()), Some(200), 1),
        (of_type("application/jsonp", good.clone()), Some(200), 1),
        (Response::new(good.clone().into()), Some(200), 1),
        (json_response(201, good.clone()), Some(201), 1),
        (elsewhere.expect("a response"), Some(302), 1),
        (status(StatusCode::UNAUTHORIZED), Some(401), 1),
        (status(StatusCode::FORBIDDEN), Some(403), 1),
        (status(StatusCode::NOT_FOUND), Some(404), 1),
        (status(StatusCode::SERVICE_UNAVAILABLE), Some(503), 3),
        (of_type("application/json", vec![b' '; 1024 * 1024 + 1]), Some(200), 1),
    ];
    for (answer, code, requests) in cases {
        provider.set_userinfo([answer.clone()]);
        let before = provider.asked("/me");
        let error = client.userinfo(&token(), "alice").await.expect_err("no answer");
        let text = shown(&error);
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{text}");
        assert_eq!(error.status().map(|status| status.as_u16()), code, "{text}");
        assert_eq!(provider.asked("/me") - before, requests, "{text}");
        assert!(!text.contains(TOKEN) && !text.contains("alice"), "{text}");
    }
    assert_eq!(provider.asked("/elsewhere"), 0);
    provider.remove_metadata("userinfo_endpoint");
    let error = provider.client().userinfo(&token(), "alice").await.expect_err("no endpoint");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint);
}

#[tokio::test(start_paused = true)]
async fn t3_a_server_that_never_answers() {
    let provider = Provider::new();
    let canned = provider.canned.clone();
    let silent = service_fn(move |request: Request<Full<Bytes>>| {
        let canned = canned.clone();
        async move {
            if request.uri().path() == "/me" {
                pending::<()>().await;
            }
            canned.oneshot(request).await
        }
    });
    let server = AuthorizationServer::via(HttpClient::new(silent)).issuer(ISSUER).expect("an issuer");
    let client = server.client(CLIENT, ClientAuth::none()).expect("a client");
    let began = Instant::now();
    let error = client.userinfo(&token(), "alice").await.expect_err("silence");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout, true));
    assert_eq!(began.elapsed().as_secs(), 10);
}

/// OpenID Connect Core 1.0, section 5.3.2.
#[tokio::test(start_paused = true)]
async fn l4_a_signed_answer_says_by_whom_and_for_whom() {
    let provider = Provider::new();
    let client = provider.client();
    let now = now().await;
    let good = json!({ "sub": "alice", "iss": ISSUER, "aud": CLIENT, "email": "alice@example.com" });
    let jwt = |raw: &str| of_type("application/jwt", raw.to_owned());
    for changes in [json!({}), json!({ "exp": now + 1, "iat": now }), json!({ "aud": [CLIENT] })] {
        provider.set_userinfo([jwt(&KEY.sign(&with(&good, changes)))]);
        let user = client.userinfo(&token(), "alice").await.expect("a good answer");
        assert_eq!(user.claim("email"), Some(&json!("alice@example.com")));
    }
    let header = json!({ "alg": "ES256", "kid": "2026-01" });
    let cases = [
        (KEY.sign(&with(&good, json!({ "sub": "mallory" }))), "`sub` is not the user"),
        (KEY.sign(&with(&good, json!({ "sub": null }))), "no `sub`"),
        (KEY.sign(&with(&good, json!({ "iss": null }))), "no `iss`"),
        (KEY.sign(&with(&good, json!({ "iss": "https://other.test" }))), "`iss` is not the server's"),
        (KEY.sign(&with(&good, json!({ "aud": null }))), "no `aud`"),
        (KEY.sign(&with(&good, json!({ "aud": "other" }))), "`aud` is not this client"),
        (KEY.sign(&with(&good, json!({ "aud": [CLIENT, "other"] }))), "`aud` names others"),
        (KEY.sign(&with(&good, json!({ "azp": "other" }))), "`azp` is not this client"),
        (KEY.sign(&with(&good, json!({ "exp": now - 30 }))), "has expired"),
        (KEY.sign(&with(&good, json!({ "iat": now + 31 }))), "in the future"),
        (KEY.sign_with(&with(&header, json!({ "alg": "none" })), &good), "not signed by an algorithm"),
        (KEY.sign_with(&with(&header, json!({ "crit": ["x"] })), &good), "critical"),
        (KEY.sign_with(&with(&header, json!({ "typ": "at+jwt" })), &good), "another kind"),
        (FORGER.sign(&good), "signature is not of"),
        (FORGER.sign_with(&with(&header, json!({ "jwk": FORGER.public_jwk() })), &good), "signature is not of"),
        ("a.b.c.d.e".to_owned(), "encrypted"),
        (json!({ "sub": "alice" }).to_string(), "no JWT"),
    ];
    for (raw, why) in cases {
        provider.set_userinfo([jwt(&raw)]);
        assert_refused(client.userinfo(&token(), "alice").await, &raw, why);
    }
    provider.set_userinfo([of_type("application/jwt", vec![0xff, 0xfe])]);
    assert_refused(client.userinfo(&token(), "alice").await, TOKEN, "no JWT");

    // By the metadata's list for this, not by that of ID tokens.
    provider.set_metadata("userinfo_signing_alg_values_supported", json!(["RS256"]));
    provider.set_userinfo([jwt(&KEY.sign(&good))]);
    assert_refused(provider.client().userinfo(&token(), "alice").await, TOKEN, "not accepted");
    let client = provider.client().id_token_algorithm(Algorithm::Es256);
    client.userinfo(&token(), "alice").await.expect("what the client is registered with");
}

#[tokio::test(start_paused = true)]
async fn r2_a_bound_token_goes_with_a_proof() {
    let provider = Provider::new();
    provider.set_metadata("token_endpoint", "https://id.test/token");
    let key = DpopKey::new(SigningKey::generate(Algorithm::Es256).expect("a key")).expect("a key");
    let client = AuthorizationServer::via(provider.canned.http())
        .issuer(ISSUER)
        .and_then(|server| server.client(CLIENT, ClientAuth::secret_basic("secret")))
        .expect("a client")
        .dpop(key.clone());
    let bound = client.client_credentials().fetch().await.expect("tokens").access_token;
    assert!(bound.is_bound());
    let asks = |nonce: &str| {
        let response = Response::builder().status(401).header("dpop-nonce", nonce);
        let response = response.header("www-authenticate", r#"DPoP error="use_dpop_nonce""#);
        response.body(Bytes::new()).expect("a response")
    };
    let good = json_response(200, json!({ "sub": "alice" }).to_string());
    provider.set_userinfo([asks("n1"), good.clone()]);
    client.userinfo(&bound, "alice").await.expect("with the nonce");
    client.userinfo(&bound, "alice").await.expect("with the nonce at once");
    let sent: Vec<_> = provider.canned.requests().into_iter().filter(|request| request.uri().path() == "/me").collect();
    let proofs: Vec<Value> = sent
        .iter()
        .map(|request| {
            assert_eq!(request.headers()[AUTHORIZATION], "DPoP bound-token");
            let proof = request.headers()["dpop"].to_str().expect("text");
            assert!(request.headers()["dpop"].is_sensitive());
            DecodedJwt::decode(proof).expect("a proof").claims
        })
        .collect();
    let nonces: Vec<_> = proofs.iter().map(|proof| proof["nonce"].as_str()).collect();
    assert_eq!(nonces, [None, Some("n1"), Some("n1")]);
    for proof in &proofs {
        assert_eq!((proof["htm"].as_str(), proof["htu"].as_str()), (Some("GET"), Some("https://id.test/me")));
        // The hash of `bound-token`.
        assert_eq!(proof["ath"], "1UZzyLKzndbtZN8OcOiPRvW7SJ-rr1VMAPv_rM0MfgE");
    }
    assert_ne!(proofs[1]["jti"], proofs[2]["jti"]);

    // Another nonce each time: once is enough.
    provider.set_userinfo([asks("n2"), asks("n3"), good]);
    let before = provider.asked("/me");
    let error = client.userinfo(&bound, "alice").await.expect_err("two nonces");
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(provider.asked("/me") - before, 2);
    // A refused token is no question of nonces.
    provider.set_userinfo([asks("n3")]);
    client.userinfo(&bound, "alice").await.expect_err("refused");
    assert_eq!(provider.asked("/me") - before, 3);
    assert!(!shown(&error).contains("bound-token") && !shown(&error).contains(NONCE));
}
