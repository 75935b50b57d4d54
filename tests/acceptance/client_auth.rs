//! T9, T15, D6, S1: every way in which a client proves who it is, against stubs that look closely and against a server that
//! verifies.

mod accepted;
mod assertions;
mod certificates;
mod endpoints;
mod files;
mod providers;
mod refused;
mod rotation;
mod secrets;

use oauth_test_server::{DecodedJwt, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, Error, HttpClient, TokenClient, TokenSet, TokenSource};
use tests::canned::Canned;

const ISSUER: &str = "https://id.test";
const TOKEN_ENDPOINT: &str = "https://id.test/token";
const JWT_BEARER: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
/// Long enough for HS256.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A client of a server whose metadata are canned.
fn client_at(canned: &Canned, auth: impl Into<ClientAuth>) -> TokenClient {
    AuthorizationServer::via(canned.http())
        .issuer(ISSUER)
        .and_then(|server| server.client("m2m", auth))
        .expect("a client")
}

/// A client of a server that verifies, without sockets.
fn client_of(server: &TestServer, auth: impl Into<ClientAuth>) -> TokenClient {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|server| server.client("m2m", auth))
        .expect("a client")
}

async fn fetch(client: &TokenClient) -> Result<TokenSet, Error> {
    client.client_credentials().fetch().await
}

/// What a server that answers to metadata and token requests is asked.
fn answering(token: &'static str) -> Canned {
    Canned::new(move |request| match request.uri().path().contains("/.well-known/") {
        true => tests::canned::metadata(ISSUER, TOKEN_ENDPOINT),
        false => tests::canned::token(token),
    })
}

/// The form of each token request, its values still encoded.
fn forms(canned: &Canned) -> Vec<Vec<(String, String)>> {
    let requests = canned.requests();
    let posts = requests.iter().filter(|request| request.method() == http::Method::POST);
    let pairs = |form: &str| form.split('&').filter_map(|pair| pair.split_once('=')).map(owned).collect();
    posts.map(|request| pairs(&String::from_utf8_lossy(request.body()))).collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn value<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    let found: Vec<_> = form.iter().filter(|(known, _)| known == name).collect();
    assert_eq!(found.len(), 1, "{name} once in {form:?}");
    &found[0].1
}

fn assertion(form: &[(String, String)]) -> DecodedJwt {
    DecodedJwt::decode(value(form, "client_assertion")).expect("a JWT")
}
