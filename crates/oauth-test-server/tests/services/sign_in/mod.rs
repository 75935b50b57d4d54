//! The authorization code flow (RFC 6749 section 4.1, RFC 7636, OpenID Connect Core section 3.1).

mod codes;
mod id_tokens;
mod pages;
mod requests;
mod sessions;

use std::time::Duration;

use oauth_test_server::{DecodedJwt, User};
use tokio::time::advance;

use super::*;

pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str =
    "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
pub(crate) const CALLBACK: &str = "https://app.test/callback";

pub(crate) fn app() -> Client {
    Client::new("app").secret("secret").scopes(["openid", "profile", "email", "api"]).redirect_uri(CALLBACK)
}

pub(crate) fn url(server: &TestServer, parameters: &str) -> String {
    format!(
        "{}?response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fapp.test%2Fcallback&{CHALLENGE}&{parameters}",
        server.authorization_endpoint()
    )
}

/// Where the user `alice` ends up with this request.
pub(crate) async fn alice(server: &TestServer, parameters: &str) -> String {
    server.authorize(&url(server, parameters), "alice").await.unwrap()
}

/// A parameter of the query of a callback.
pub(crate) fn parameter(callback: &str, name: &str) -> Option<String> {
    let (_, query) = callback.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned())
}

/// The form of the client but for the code.
pub(crate) fn redemption() -> String {
    format!(
        "grant_type=authorization_code&client_id=app&client_secret=secret&code_verifier={VERIFIER}\
         &redirect_uri=https%3A%2F%2Fapp.test%2Fcallback"
    )
}

pub(crate) async fn redeem(server: &TestServer, callback: &str, more: &str) -> Answer {
    let code = parameter(callback, "code").unwrap();
    token(server, &format!("{}&code={code}{more}", redemption())).await
}

#[tokio::test(start_paused = true)]
async fn a_user_signs_in() {
    let alice = User::new("alice").password("s3cr3t").claim("name", "Alice");
    let server = TestServer::builder().client(app()).user(alice).build();
    let begun = server.unix_time().as_secs();
    let callback =
        server.authorize(&url(&server, "state=st&nonce=n&scope=openid+api&acr_values=gold"), "alice").await.unwrap();
    assert!(callback.starts_with("https://app.test/callback?code="), "{callback}");
    assert_eq!(parameter(&callback, "state").unwrap(), "st");
    assert_eq!(parameter(&callback, "iss").unwrap(), server.issuer());

    advance(Duration::from_secs(30)).await;
    let answer = redeem(&server, &callback, "").await;
    assert_eq!((answer.status.as_u16(), answer.text("scope")), (200, "api openid".to_owned()));
    assert_eq!(api(&server, &answer.text("access_token")).await.text("sub"), "alice");
    let jwt = DecodedJwt::decode(&answer.text("id_token")).unwrap();
    assert_eq!(jwt.header["alg"], "RS256");
    let claims = &jwt.claims;
    assert_eq!((claims["iss"].as_str(), claims["aud"].as_str()), (Some(server.issuer()), Some("app")));
    assert_eq!((&claims["sub"], &claims["nonce"], &claims["acr"]), (&"alice".into(), &"n".into(), &"gold".into()));
    assert_eq!(claims["auth_time"], begun);
    assert_eq!(claims["iat"], begun + 30);
    assert_eq!(claims["exp"], begun + 30 + 3600);
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    assert!(claims["sid"].is_string() && claims["at_hash"].is_string());
    assert_eq!(claims.get("name"), None);
    let keys = authorize(&server, get(server.jwks_uri())).await.unwrap().json();
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == jwt.header["kid"]), "{keys}");

    // A second time: refused, and what the first has brought is gone.
    redeem(&server, &callback, "").await.assert_error(400, "invalid_grant");
    assert_eq!(api(&server, &answer.text("access_token")).await.status, 401);
}
