//! The grants besides client credentials and refresh tokens, and the endpoints besides the token endpoint: what arrives, and
//! what is made of the answers.

mod authorization_details;
mod claims;
mod device;
mod device_answers;
mod device_tokens;
mod introspection;
mod jwks;
mod jwt_bearer;
mod pushed_request;
mod revocation;
mod secrets;
mod token_exchange;
mod token_exchange_caches;
mod with_server;

use bytes::Bytes;
use http::Request;
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, TokenClient};
use tests::canned::Canned;

const TOKEN: &str = "https://as.example.com/as/token";
const DEVICE: &str = "https://as.example.com/as/device_authorization";
const REVOKE: &str = "https://as.example.com/as/revoke";
const INTROSPECT: &str = "https://as.example.com/as/introspect";
const PAR: &str = "https://as.example.com/as/par";

/// A server with all its endpoints given, so that nothing is discovered.
fn server_over(http: HttpClient) -> AuthorizationServer {
    AuthorizationServer::via(http)
        .override_endpoint("device_authorization_endpoint", DEVICE)
        .override_endpoint("revocation_endpoint", REVOKE)
        .override_endpoint("introspection_endpoint", INTROSPECT)
        .override_endpoint("pushed_authorization_request_endpoint", PAR)
        .token_endpoint(TOKEN)
        .expect("a server")
}

fn client(canned: &Canned, id: &str, auth: ClientAuth) -> TokenClient {
    server_over(canned.http()).client(id, auth).expect("a client")
}

/// A client with a secret, where it does not matter which.
fn m2m(canned: &Canned) -> TokenClient {
    client(canned, "m2m", ClientAuth::secret_basic("5f-m2m-c1"))
}

/// The parameters of a form, sorted: their order means nothing.
fn form(body: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("https://form.test/?{body}")).expect("a form");
    let mut pairs: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    pairs.sort();
    pairs
}

/// What a request's form says of this parameter.
fn value(request: &Request<Bytes>, name: &str) -> Option<String> {
    let pairs = form(&String::from_utf8_lossy(request.body()));
    pairs.into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// The only request so far is this one, as an RFC shows it: URL, `Authorization` if any, and form, with line breaks in it.
#[track_caller]
fn assert_is_example(canned: &Canned, url: &str, authorization: Option<&str>, body: &str) {
    let requests = canned.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    let request = &requests[0];
    assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", url));
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    let found = request.headers().get("authorization").map(|value| value.to_str().expect("text"));
    assert_eq!(found, authorization);
    let without_breaks: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    assert_eq!(form(&String::from_utf8_lossy(request.body())), form(&without_breaks));
}
