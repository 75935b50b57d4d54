//! `Debug` and `Display` of every public type, with secrets inside, and of every error at building.

use std::time::Duration;

use oauth_tokens::{
    AccessToken, AuthorizationServer, ClientAuth, ClientCredentials, Form, HttpClient, RefreshToken, Secret,
    TokenCache, TokenFile, TokenSet, source_fn,
};
use tests::canned::{Canned, metadata, token};
use tower::{Layer, service_fn};
use tower_oauth::{OAuthLayer, Origin, ReplayLayer, RetryOutcome};
use zeroized::zeroized;

use super::{ACCESS, CLIENT_SECRET, Heard, ID_TOKEN, REFRESH, RENEWED, TOKEN_ENDPOINT};

/// URLs with user name and password, which are refused or hidden wherever a URL can be given.
const USERINFO: [&str; 4] = [
    "https://ann:pl4nt3d@id.test/path",
    "https://pl4nt3d@id.test",
    "http://ann:pl4nt3d@127.0.0.1:8080/token",
    "https://ann:pl4nt3d@id.te st/",
];

/// A secret as `TokenSet` holds it, whose type is another crate's.
mod zeroized {
    pub(super) fn zeroized(text: &str, like: &mut Option<impl From<String>>) {
        *like = Some(text.to_owned().into());
    }
}

#[tokio::test]
async fn s1_debug_and_display_of_every_public_type() {
    let mut heard = Heard::start();
    for secret in [
        Secret::new(CLIENT_SECRET),
        Secret::from(CLIENT_SECRET),
        Secret::from(CLIENT_SECRET.to_owned()),
        Secret::from_fn(|| async { Ok(CLIENT_SECRET.to_owned()) }),
    ] {
        heard.value(&secret);
        for auth in [
            ClientAuth::secret_basic(secret.clone()),
            ClientAuth::secret_basic_raw(secret.clone()),
            ClientAuth::secret_post(secret),
        ] {
            heard.value(&auth);
            let canned = Canned::always(token(ACCESS));
            let server = AuthorizationServer::via(canned.http()).token_endpoint(TOKEN_ENDPOINT).expect("a server");
            heard.text(&server);
            let client = server.client("m2m", auth).expect("a client");
            heard.value(&(&server, &client, canned.http(), client.client_credentials()));
            heard.value(&client.refresh_token(REFRESH).param("api_key", "pl4nt3d-param"));
            let cache = client.refresh_token(REFRESH).cached().expect("a request");
            heard.value(&cache);
            heard.value(&cache.token().await.expect("a token"));
            heard.value(&(cache.status(), &cache));
        }
    }
    let mut set = TokenSet::new(AccessToken::bearer(ACCESS).expect("a token"));
    zeroized(REFRESH, &mut set.refresh_token);
    zeroized(ID_TOKEN, &mut set.id_token);
    set.expires_in = Some(Duration::from_secs(60));
    heard.value(&(&set, set.access_token.authorization()));
    heard.value(&Form::new().with("assertion", REFRESH).with("client_secret", CLIENT_SECRET));
    heard.value(&(RefreshToken::new(REFRESH), RefreshToken::new(REFRESH).on_rotation(|_| async { Ok(()) })));
    heard.value(&(ClientCredentials, HttpClient::reqwest(), TokenFile::new("/run/token")));
    heard.value(&source_fn(|| async { Ok(TokenSet::new(AccessToken::bearer(ACCESS)?)) }));
    heard.value(&TokenCache::fixed(ACCESS));

    let canned = Canned::always(metadata("https://id.test", "https://id.test/token?key=pl4nt3d"));
    let server = AuthorizationServer::via(canned.http()).issuer("https://id.test").expect("a server");
    heard.value(&server.metadata().await.expect("metadata"));

    let cache = TokenCache::fixed(ACCESS).expect("a token");
    let layer = OAuthLayer::new("https://api.test", cache.clone()).expect("a layer");
    let echo = service_fn(|_: http::Request<String>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    });
    let mut service = layer.layer(echo);
    let request = http::Request::get("https://api.test/").body(String::new()).expect("a request");
    heard.value(&(&layer, layer.middleware(), ReplayLayer::default()));
    heard.value(&tower::Service::call(&mut service, request));
    let selecting = OAuthLayer::selecting(["https://api.test"], move |_| Some(cache.clone())).expect("a layer");
    heard.value(&selecting);
    heard.value(&RetryOutcome::Retried);
    heard.assert_no_secret();
    // They do say something.
    let said = heard.texts.join("\n");
    for word in ["AccessToken(Bearer", "m2m", "Secret(value)", "client_secret_basic", "https://id.test/token"] {
        assert!(said.contains(word), "{word} is missing in {said}");
    }
}

#[test]
fn s1_userinfo_of_urls_shows_nowhere() {
    let mut heard = Heard::start();
    let via = || AuthorizationServer::via(Canned::always(token(ACCESS)).http());
    for url in USERINFO {
        heard.error(&via().token_endpoint(url).expect_err("userinfo"));
        heard.error(&via().issuer(url).expect_err("userinfo"));
        heard.error(&via().override_token_endpoint(url).issuer("https://id.test").expect_err("userinfo"));
        // Settings before they are checked.
        heard.value(&via().override_token_endpoint(url));
        heard.value(&via().accept_metadata_issuer(url));
        heard.error(&Origin::parse(url).expect_err("userinfo"));
        let cache = TokenCache::fixed(RENEWED).expect("a token");
        heard.error(&OAuthLayer::new(url, cache.clone()).expect_err("userinfo"));
        heard.error(&OAuthLayer::for_connection(url, cache).expect_err("userinfo"));
        let server = via().token_endpoint(TOKEN_ENDPOINT).expect("a server");
        let request = server.client("m2m", ClientAuth::none()).expect("a client").client_credentials().resource(url);
        heard.value(&request);
        match request.cached() {
            Ok(cache) => heard.value(&cache),
            Err(error) => heard.error(&error),
        }
    }
    heard.assert_no_secret();
}

#[tokio::test]
async fn s1_userinfo_of_an_accepted_issuer_shows_in_no_error() {
    let mut heard = Heard::start();
    let canned = Canned::always(metadata("https://id.test", "https://id.test/token"));
    let via = AuthorizationServer::via(canned.http()).accept_metadata_issuer("https://ann:pl4nt3d@id.test");
    match via.issuer("https://id.test") {
        Ok(server) => heard.error(&server.metadata().await.expect_err("another issuer")),
        Err(error) => heard.error(&error),
    }
    heard.assert_no_secret();
}

#[test]
fn s1_errors_at_building_do_not_repeat_what_was_wrong() {
    let mut heard = Heard::start();
    let server = AuthorizationServer::via(Canned::always(token(ACCESS)).http()).token_endpoint(TOKEN_ENDPOINT);
    let server = server.expect("a server");
    let secret = format!("{CLIENT_SECRET}\n");
    for auth in [ClientAuth::secret_basic(secret.as_str()), ClientAuth::secret_post(secret.as_str())] {
        heard.error(&server.client("m2m", auth).expect_err("a line end"));
    }
    let client = server.client("m2m", ClientAuth::none()).expect("a client");
    for name in ["client_secret", "password", "assertion", "code", "refresh_token"] {
        heard.error(&client.client_credentials().param(name, CLIENT_SECRET).cached().expect_err("reserved"));
    }
    for token in [format!("{ACCESS} "), format!("{ACCESS}\r\nX: 1"), ACCESS.repeat(1000)] {
        heard.error(&TokenCache::fixed(&token).expect_err("unusable"));
    }
    let pem = format!("-----BEGIN CERTIFICATE-----\n{CLIENT_SECRET}\n-----END CERTIFICATE-----\n");
    heard.error(&HttpClient::with_root_certificates(pem.as_bytes()).expect_err("no certificate"));
    heard.assert_no_secret();
}
