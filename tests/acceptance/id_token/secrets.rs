//! S1: neither tokens nor what they say of people are shown or logged.

use std::fmt::Debug;

use oauth_tokens::{AccessToken, Error};
use serde_json::json;
use tests::{canned::json as json_response, capture::Capture, support::shown};

use super::{CLIENT, FORGER, ISSUER, KEY, Provider, claims, now, with};

/// What every planted secret holds.
const MARK: &str = "pl4nt3d";

#[tokio::test(start_paused = true)]
async fn s1_nothing_of_people_shows() {
    let capture = Capture::start();
    let mut texts = Vec::new();
    let provider = Provider::new();
    let client = provider.client();
    let nonce = "pl4nt3d-nonce";
    let now = now().await;
    let good = with(
        &claims(now),
        json!({ "sub": "pl4nt3d-sub", "nonce": nonce, "sid": "pl4nt3d-sid", "acr": "pl4nt3d-acr", "email": "pl4nt3d@example.com" }),
    );
    let logout = with(
        &good,
        json!({
            "nonce": null, "jti": "pl4nt3d-jti", "events": { "http://schemas.openid.net/event/backchannel-logout": {} }
        }),
    );
    let access = AccessToken::bearer("pl4nt3d-access").expect("a token");
    let mut tokens = Vec::new();
    let mut say = |value: &dyn Debug| texts.push(format!("{value:?} {value:#?}"));
    let failed = |result: Result<(), Error>, say: &mut dyn FnMut(&dyn Debug)| {
        let error = result.expect_err("a refusal");
        say(&shown(&error));
    };

    let raw = KEY.sign(&good);
    let check = client.verify_id_token(&raw).nonce(nonce).access_token(&access);
    let user = check.verify().await.expect("a good token");
    say(&(&check, &user, client.end_session().id_token(&user).state("pl4nt3d-state").logout_hint("pl4nt3d-hint")));
    tokens.push(raw.clone());
    for changes in [
        json!({ "iss": "https://pl4nt3d.test" }),
        json!({ "aud": "pl4nt3d-aud" }),
        json!({ "aud": [CLIENT, "pl4nt3d-aud"], "azp": CLIENT }),
        json!({ "azp": "pl4nt3d-azp" }),
        json!({ "exp": "pl4nt3d" }),
        json!({ "exp": 1 }),
        json!({ "nonce": "pl4nt3d-other" }),
        json!({ "nonce": ["pl4nt3d"] }),
        json!({ "at_hash": "pl4nt3d-hash" }),
        json!({ "sub": ["pl4nt3d"] }),
    ] {
        let raw = KEY.sign(&with(&good, changes));
        failed(client.verify_id_token(&raw).nonce(nonce).access_token(&access).verify().await.map(drop), &mut say);
        failed(client.verify_id_token(&raw).renews(&user).access_token(&access).verify().await.map(drop), &mut say);
        failed(client.verify_logout_token(&raw).await.map(drop), &mut say);
        tokens.push(raw);
    }
    let header = json!({ "alg": "pl4nt3d", "typ": "pl4nt3d", "kid": "pl4nt3d" });
    for raw in [
        FORGER.sign(&good),
        KEY.sign_with(&header, &good),
        KEY.sign_with(&json!({ "alg": "ES256", "kid": "pl4nt3d" }), &good),
        KEY.sign_with(&json!({ "alg": "ES256", "typ": "pl4nt3d" }), &good),
        format!("pl4nt3d.{}", &raw[..raw.len() / 2]),
        "pl4nt3d".to_owned(),
    ] {
        failed(client.verify_id_token(&raw).verify().await.map(drop), &mut say);
        failed(client.verify_logout_token(&raw).await.map(drop), &mut say);
        let mut signed = json_response(200, raw.as_str());
        signed.headers_mut().insert("content-type", "application/jwt".parse().expect("a value"));
        provider.set_userinfo([signed]);
        failed(client.userinfo(&access, "pl4nt3d-sub").await.map(drop), &mut say);
        tokens.push(raw);
    }
    let raw = KEY.sign(&logout);
    let logout = client.verify_logout_token(&raw).await.expect("a good token");
    say(&logout);
    logout.taken();
    failed(client.verify_logout_token(&raw).await.map(drop), &mut say);
    tokens.push(raw);

    let about = json!({ "sub": "pl4nt3d-sub", "email": "pl4nt3d@example.com" }).to_string();
    provider.set_userinfo([json_response(200, about.as_str())]);
    say(&client.userinfo(&access, "pl4nt3d-sub").await.expect("an answer"));
    failed(client.userinfo(&access, "pl4nt3d-other").await.map(drop), &mut say);
    for (code, body) in
        [(200, "pl4nt3d"), (401, r#"{"error":"pl4nt3d-access","error_description":"pl4nt3d"}"#), (500, "pl4nt3d")]
    {
        provider.set_userinfo([json_response(code, body)]);
        failed(client.userinfo(&access, "pl4nt3d-sub").await.map(drop), &mut say);
    }

    let lines = capture.lines();
    assert!(lines.iter().any(|line| line.contains("is not believed") && line.contains(ISSUER)), "nothing was logged");
    for text in lines.iter().chain(&texts) {
        assert!(!text.contains(MARK), "a secret shows: {text}");
        for part in tokens.iter().flat_map(|raw| raw.split('.')).filter(|part| part.len() > 12) {
            assert!(!text.contains(part), "a token shows: {text}");
        }
    }
}
