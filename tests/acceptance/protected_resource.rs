//! D7, R14: an API that says itself which authorization servers it trusts (RFC 9728).

mod building;
mod documents;
mod layer;
mod once_a_minute;
mod places;
mod scopes;
mod servers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use oauth_tokens::{
    AccessToken, AuthorizationServer, ClientAuth, ErrorKind, HttpClient, ProtectedResource, Rejection, TokenClient,
};
use tests::canned::{Canned, json, metadata, status};

const RESOURCE: &str = "https://api.test/mcp";
const WELL_KNOWN: &str = "https://api.test/.well-known/oauth-protected-resource/mcp";
const ROOT: &str = "https://api.test/.well-known/oauth-protected-resource";
const ID: &str = "https://id.test";

/// Everything that can be reached: what a test has put there, and two authorization servers, `id.test` and `other.test`.
/// Whatever else is asked for is noted, and answered 404.
#[derive(Clone)]
struct World {
    canned: Canned,
    places: Arc<Mutex<HashMap<String, Response<Bytes>>>>,
}

impl World {
    fn new() -> Self {
        let places = Arc::<Mutex<HashMap<String, Response<Bytes>>>>::default();
        let looked_up = Arc::clone(&places);
        let canned = Canned::new(move |request| {
            let places = looked_up.lock().unwrap_or_else(PoisonError::into_inner);
            let there = places.get(&request.uri().to_string()).cloned();
            there.unwrap_or_else(|| server(request))
        });
        Self { canned, places }
    }

    /// One in which the API names `id.test` at its well-known URL.
    fn usual() -> Self {
        Self::new().with(WELL_KNOWN, document(&[ID]))
    }

    fn with(self, url: &str, response: Response<Bytes>) -> Self {
        self.put(url, response);
        self
    }

    fn put(&self, url: &str, response: Response<Bytes>) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), response);
    }

    fn http(&self) -> HttpClient {
        self.canned.http()
    }

    fn client(&self, issuer: &str) -> TokenClient {
        let server = AuthorizationServer::via(self.http()).issuer(issuer).expect("an issuer");
        server.client("agent", ClientAuth::secret_basic("secret")).expect("a client")
    }

    /// The usual resource, with `id.test` allowed.
    fn resource(&self) -> ProtectedResource {
        self.resource_at(RESOURCE)
    }

    fn resource_at(&self, resource: &str) -> ProtectedResource {
        ProtectedResource::via(self.http(), resource).expect("a resource").allow(self.client(ID))
    }

    /// The host of every request so far.
    fn hosts(&self) -> Vec<String> {
        let host = |request: &Request<Bytes>| request.uri().host().unwrap_or_default().to_owned();
        self.canned.requests().iter().map(host).collect()
    }

    /// The URL of every request so far that did not go to one of the two servers.
    fn looks(&self) -> Vec<String> {
        let is_server = |url: &String| url.starts_with("https://id.test/") || url.starts_with("https://other.test/");
        self.canned.urls().into_iter().filter(|url| !is_server(url)).collect()
    }

    /// A parameter of every token request so far, decoded no further than `%2F`, `%3A` and `%20` ask for.
    fn asked_for(&self, parameter: &str) -> Vec<Option<String>> {
        let requests = self.canned.requests();
        let tokens = requests.iter().filter(|request| request.method() == Method::POST);
        let value = |request: &Request<Bytes>| {
            let form = String::from_utf8_lossy(request.body()).into_owned();
            let values: Vec<_> = form.split('&').filter_map(|pair| pair.split_once('=')).collect();
            let found = values.iter().find(|(name, _)| *name == parameter)?;
            Some(found.1.replace("%2F", "/").replace("%3A", ":").replace("%20", " "))
        };
        tokens.map(value).collect()
    }
}

/// An authorization server whose token says whose it is; nothing elsewhere.
fn server(request: &Request<Bytes>) -> Response<Bytes> {
    let host = request.uri().host().unwrap_or_default();
    let issuer = format!("https://{host}");
    match (host, request.uri().path()) {
        ("id.test" | "other.test", "/.well-known/openid-configuration") => {
            metadata(&issuer, &format!("{issuer}/token"))
        }
        ("id.test" | "other.test", "/token") => tests::canned::token(&format!("token-of-{host}")),
        _ => status(StatusCode::NOT_FOUND),
    }
}

/// Metadata of the usual resource, which names these servers.
fn document(servers: &[&str]) -> Response<Bytes> {
    document_of(RESOURCE, servers)
}

fn document_of(resource: &str, servers: &[&str]) -> Response<Bytes> {
    json(200, serde_json::json!({ "resource": resource, "authorization_servers": servers }).to_string())
}

/// That the API rejected a token, and named this URL.
fn rejection(resource_metadata: &str) -> Rejection {
    rejection_by("https://api.test", resource_metadata)
}

fn rejection_by(origin: &str, resource_metadata: &str) -> Rejection {
    let mut rejection = Rejection::new(origin, AccessToken::bearer("rejected").expect("a token"));
    rejection.resource_metadata = Some(resource_metadata.to_owned());
    rejection
}
