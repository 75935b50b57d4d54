//! A user signs in, in a browser: the authorization code flow (L2, T4, T9, T14).

mod begin;
mod callback;
mod client_auth;
mod dpop;
mod pending;
mod pushed;
mod redemption;
mod refused;
mod with_server;

use bytes::Bytes;
use http::{Request, Response};
use oauth_tokens::{
    AuthorizationServer, Callback, ClientAuth, Error, PendingSignIn, SignInRequest, SignedIn, TokenClient,
};
use serde_json::{Value, json};
use tests::canned::{self, Canned};

const ISSUER: &str = "https://id.test";
const REDIRECT: &str = "https://app.test/callback";
const CODE: &str = "SplxlOBeZQQYbYS6WxSbIA";

/// Metadata with all that a sign-in needs.
fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://id.test/authorize",
        "token_endpoint": "https://id.test/token",
        "pushed_authorization_request_endpoint": "https://id.test/par",
    })
}

/// The same, and this besides.
fn metadata_with(more: &Value) -> Value {
    let mut metadata = metadata();
    for (name, value) in more.as_object().expect("an object") {
        metadata[name] = value.clone();
    }
    metadata
}

/// A server with these metadata, and these answers at its token endpoint.
fn server(metadata: Value, token: impl Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static) -> Canned {
    Canned::new(move |request| match request.uri().path() {
        "/token" => token(request),
        "/par" => canned::json(201, r#"{"request_uri":"urn:example:par:6esc","expires_in":60}"#),
        _ => canned::json(200, metadata.to_string()),
    })
}

/// A server that gives a token for whatever it is given.
fn generous() -> Canned {
    server(metadata(), |_| canned::token("t1"))
}

fn client_at(canned: &Canned, auth: impl Into<ClientAuth>) -> TokenClient {
    AuthorizationServer::via(canned.http()).issuer(ISSUER).and_then(|at| at.client("app", auth)).expect("a client")
}

/// A public client.
fn public(canned: &Canned) -> TokenClient {
    client_at(canned, ClientAuth::none())
}

/// A sign-in that was begun, as the browser sees it.
struct Begun {
    /// The URL without its query.
    page: String,
    query: Vec<(String, String)>,
    pending: PendingSignIn,
}

impl Begun {
    fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.query.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

async fn begin(request: &SignInRequest) -> Result<Begun, Error> {
    let (url, pending) = request.begin().await?.into_parts();
    let (page, query) = url.split_once('?').expect("a query");
    Ok(Begun { page: page.to_owned(), query: pairs(query), pending })
}

/// The parameters of a query or a form, in order.
fn pairs(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("https://form.test/?{query}")).expect("a query");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// What the server's page sends the browser back with after a yes.
fn approved(pending: &PendingSignIn) -> String {
    format!("code={CODE}&state={}", pending.state())
}

async fn finish(client: &TokenClient, pending: PendingSignIn, query: &str) -> Result<SignedIn, Error> {
    client.finish_sign_in(pending, &Callback::from_query(query)?).await
}

/// The forms that arrived at this path.
fn forms_at(canned: &Canned, path: &str) -> Vec<Vec<(String, String)>> {
    let requests = canned.requests();
    let there = requests.iter().filter(|request| request.uri().path() == path);
    there.map(|request| pairs(std::str::from_utf8(request.body()).expect("text"))).collect()
}

fn value<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
