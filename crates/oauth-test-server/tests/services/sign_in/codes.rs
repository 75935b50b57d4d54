//! What a code is worth at the token endpoint.

use oauth_test_server::{Algorithm, TestKey};
use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_the_code_is_refused() {
    let server = TestServer::builder()
        .client(app())
        .client(Client::new("other").secret("secret"))
        .client(Client::new("machine").secret("secret").grant_types(["client_credentials"]))
        .build();
    let callback = alice(&server, "resource=https://api.test/a").await;
    let code = parameter(&callback, "code").unwrap();
    let good = format!("{}&code={code}", redemption());
    for (form, error) in [
        (redemption(), "invalid_request"),
        (format!("{}&code=unknown", redemption()), "invalid_grant"),
        (good.replace("client_id=app", "client_id=other"), "invalid_grant"),
        (good.replace("client_id=app", "client_id=machine"), "unauthorized_client"),
        (good.replace("callback", "callback2"), "invalid_grant"),
        (good.replace("&redirect_uri=https%3A%2F%2Fapp.test%2Fcallback", ""), "invalid_grant"),
        (good.replace(VERIFIER, &VERIFIER.replace('d', "e")), "invalid_grant"),
        (good.replace(VERIFIER, "short"), "invalid_grant"),
        (good.replace(&format!("&code_verifier={VERIFIER}"), ""), "invalid_grant"),
        (format!("{good}&resource=https://api.test/b"), "invalid_target"),
    ] {
        token(&server, &form).await.assert_error(400, error);
    }
    // None of that has spent it.
    let answer = token(&server, &format!("{good}&resource=https://api.test/a")).await;
    assert_eq!(api(&server, &answer.text("access_token")).await.json()["aud"], json!(["https://api.test/a"]));
}

#[tokio::test(start_paused = true)]
async fn a_verifier_without_a_challenge_is_refused() {
    let server = TestServer::builder().client(app()).build();
    let url = format!("{}?client_id=app&response_type=code&redirect_uri={CALLBACK}", server.authorization_endpoint());
    let callback = server.authorize(&url, "alice").await.unwrap();
    redeem(&server, &callback, "").await.assert_error(400, "invalid_grant");
    let code = parameter(&callback, "code").unwrap();
    let without = redemption().replace(&format!("&code_verifier={VERIFIER}"), "");
    assert_eq!(token(&server, &format!("{without}&code={code}")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn codes_expire_after_a_minute() {
    let server = TestServer::builder().client(app()).build();
    let (early, late) = (alice(&server, "").await, alice(&server, "").await);
    advance(Duration::from_millis(59_999)).await;
    assert_eq!(redeem(&server, &early, "").await.status, 200);
    advance(Duration::from_millis(1)).await;
    redeem(&server, &late, "").await.assert_error(400, "invalid_grant");
}

#[tokio::test(start_paused = true)]
async fn a_code_that_comes_again_revokes_what_it_brought() {
    let server = TestServer::builder().client(app()).refresh_tokens(true).build();
    let callback = alice(&server, "").await;
    let first = redeem(&server, &callback, "").await;
    let refresh = |answer: &Answer| {
        format!(
            "grant_type=refresh_token&client_id=app&client_secret=secret&refresh_token={}",
            answer.text("refresh_token")
        )
    };
    let second = token(&server, &refresh(&first)).await;
    let untouched = redeem(&server, &alice(&server, "").await, "").await;
    redeem(&server, &callback, "").await.assert_error(400, "invalid_grant");
    token(&server, &refresh(&second)).await.assert_error(400, "invalid_grant");
    for (answer, status) in [(&first, 401), (&second, 401), (&untouched, 200)] {
        assert_eq!(api(&server, &answer.text("access_token")).await.status, status);
    }
    assert_eq!(token(&server, &refresh(&untouched)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_code_may_be_bound_to_a_dpop_key() {
    let server = TestServer::builder().client(app()).dpop().build();
    let [key, other] = [(); 2].map(|()| TestKey::generate(Algorithm::Es256));
    let proof = |key: &TestKey, url: &str, jti: u32| {
        let mut header = json!({ "typ": "dpop+jwt", "alg": "ES256" });
        let mut jwk = key.public_jwk();
        for member in ["alg", "use", "kid"] {
            jwk.as_object_mut().unwrap().remove(member);
        }
        header["jwk"] = jwk;
        let claims = json!({ "htm": "POST", "htu": url, "iat": server.unix_time().as_secs(), "jti": jti.to_string() });
        key.sign_with(&header, &claims)
    };
    let send = async |url: String, parameters: String, key: &TestKey, jti: u32| {
        let mut request = form(url.clone(), &parameters);
        request.headers_mut().insert("dpop", proof(key, &url, jti).parse().unwrap());
        authorize(&server, request).await.unwrap()
    };
    // Named in the request, or by the proof of a pushed one (RFC 9449 section 10).
    let direct = alice(&server, &format!("dpop_jkt={}", key.thumbprint())).await;
    let push = format!("client_id=app&client_secret=secret&response_type=code&redirect_uri={CALLBACK}&{CHALLENGE}");
    let endpoint = server.pushed_authorization_endpoint();
    let pushed = send(endpoint.clone(), push.clone(), &key, 1).await.text("request_uri");
    let pushed = format!("{}?client_id=app&request_uri={pushed}", server.authorization_endpoint());
    let pushed = server.authorize(&pushed, "alice").await.unwrap();
    for (number, callback) in [(10, direct), (20, pushed)] {
        redeem(&server, &callback, "").await.assert_error(400, "invalid_grant");
        let redeemed = format!("{}&code={}", redemption(), parameter(&callback, "code").unwrap());
        let answer = send(server.token_endpoint(), redeemed.clone(), &other, number).await;
        answer.assert_error(400, "invalid_grant");
        let answer = send(server.token_endpoint(), redeemed, &key, number + 1).await;
        assert_eq!((answer.status.as_u16(), answer.text("token_type").as_str()), (200, "DPoP"));
    }
    let both = format!("{push}&dpop_jkt={}", other.thumbprint());
    send(endpoint, both, &key, 30).await.assert_error(400, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn refresh_tokens_may_need_offline_access() {
    let client = app().scopes(["openid", "api", "offline_access"]);
    let server = TestServer::builder().client(client).offline_access().build();
    for (scope, given) in [("openid+api", false), ("openid+api+offline_access", true)] {
        let answer = redeem(&server, &alice(&server, &format!("scope={scope}")).await, "").await;
        assert_eq!(answer.json().get("refresh_token").is_some(), given, "{scope}");
    }
}
