//! The plain services, without sockets and in paused time.

#![allow(clippy::unwrap_used, missing_docs)]

mod api;
mod assertions;
mod authorization;
#[cfg(feature = "tls")]
mod certificates;
mod challenges;
mod client_auth;
mod device;
mod dpop;
mod exchange;
mod faults;
mod federation;
mod refresh;
mod requests;
mod sign_in;

use std::io;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use oauth_test_server::{Client, TestServer};
use serde_json::Value;
use tower::ServiceExt;

/// The form of the default client.
const CLIENT_CREDENTIALS: &str = "grant_type=client_credentials&client_id=m2m&client_secret=secret";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    #[track_caller]
    fn assert_error(&self, status: u16, error: &str) {
        assert_eq!((self.status.as_u16(), self.text("error").as_str()), (status, error));
    }
}

async fn read(response: http::Response<oauth_test_server::ResponseBody>) -> io::Result<Answer> {
    let (parts, body) = response.into_parts();
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
}

async fn authorize(server: &TestServer, request: Request<Full<Bytes>>) -> io::Result<Answer> {
    read(server.authorization_service().oneshot(request).await?).await
}

async fn call(server: &TestServer, request: Request<Full<Bytes>>) -> io::Result<Answer> {
    read(server.api_service().oneshot(request).await?).await
}

fn form(url: String, form: &str) -> Request<Full<Bytes>> {
    Request::post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form.to_owned()))
        .unwrap()
}

fn get(url: String) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

async fn token(server: &TestServer, parameters: &str) -> Answer {
    authorize(server, form(server.token_endpoint(), parameters)).await.unwrap()
}

async fn api(server: &TestServer, token: &str) -> Answer {
    try_api(server, token).await.unwrap()
}

async fn try_api(server: &TestServer, token: &str) -> io::Result<Answer> {
    let request = Request::get(server.api_url("/things"))
        .header("authorization", format!("Bearer {token}"))
        .body(Full::default())
        .unwrap();
    call(server, request).await
}

fn m2m() -> Client {
    Client::new("m2m").secret("secret").scopes(["api", "read"])
}
