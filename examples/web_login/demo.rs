//! A visit, played: Alice signs in, her access is renewed, she signs out.

use std::{collections::BTreeMap, future, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{
    Request, StatusCode,
    header::{COOKIE, LOCATION, SET_COOKIE},
};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use oauth_test_server::Endpoint;
use tokio::net::TcpListener;

use super::{LocalServers, Settings, WebLogin};
use crate::{Steps, token_requests};

/// Plays a visit on this machine, and ends.
///
/// # Errors
///
/// When something is not as it should be.
pub async fn demo() -> Result<()> {
    let data = tempfile::tempdir()?;
    let servers = LocalServers::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let settings = servers.settings(&origin, data.path().to_owned(), Settings::own_store_keys(data.path())?);
    let app = WebLogin::open(&settings).await?;
    println!("the application  {origin}");
    tokio::select! {
        served = app.serve(listener, future::pending()) => served,
        visited = visit(&origin, &servers) => visited,
    }
}

async fn visit(origin: &str, servers: &LocalServers) -> Result<()> {
    let (mut alice, mut steps) = (Visitor::new(origin), Steps::default());
    let mut at_server = servers.server.browser();

    steps.begin("Alice opens the start page, and goes to sign in.");
    ensure!(alice.open("/").await?.1.contains("Sign in"), "the start page should offer to sign in");
    let (_, _, login) = alice.get("/auth/login").await?;
    steps.note("she is sent to the identity server");
    let callback = at_server.authorize(&login.context("no redirect")?, "alice").await?;
    let (status, page) = alice.open(callback.strip_prefix(origin).context("not our callback")?).await?;
    ensure!(status == StatusCode::OK && page.contains("Alice Example"), "Alice should be greeted");
    ensure!(page.contains("&quot;sub&quot;") || page.contains("&#34;sub&#34;"), "the API should have answered");
    steps.note("she is greeted by her name, and the API has answered on her behalf");
    steps.note(token_requests(&servers.server));

    steps.begin("Her access token is revoked. She notices nothing.");
    servers.server.revoke_access_tokens();
    let (_, page) = alice.open("/").await?;
    ensure!(page.contains("200 OK"), "the API should have answered");
    steps.note(token_requests(&servers.server));

    steps.begin("The callback comes once more, perhaps from her history.");
    let (status, page) = alice.open(callback.strip_prefix(origin).context("not our callback")?).await?;
    ensure!(status == StatusCode::BAD_REQUEST, "a callback is good once");
    steps.note(heading(&page));

    steps.begin("She signs out.");
    let (_, _, end) = alice.send(Request::post(format!("{origin}/auth/logout"))).await?;
    let back = at_server.end_session(&end.context("no redirect")?).await?.context("the server should send her back")?;
    let (_, page) = alice.open(back.strip_prefix(origin).context("not our page")?).await?;
    steps.note(heading(&page));
    ensure!(alice.open("/").await?.1.contains("Sign in"), "Alice should be signed out");
    let revoked = servers.server.requests_to(Endpoint::Revocation).len();
    steps.note(format!("revocations: {revoked}"));
    ensure!(revoked == 2, "both tokens should have been revoked");
    Ok(())
}

fn heading(page: &str) -> &str {
    page.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap_or("a page")
}

/// Alice's browser, as far as it is needed.
struct Visitor {
    origin: String,
    http: Client<HttpConnector, Empty<Bytes>>,
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    fn new(origin: &str) -> Self {
        let http = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::ZERO).build_http();
        Self { origin: origin.to_owned(), http, cookies: BTreeMap::new() }
    }

    /// A page, wherever the application leads.
    async fn open(&mut self, path: &str) -> Result<(StatusCode, String)> {
        let (status, page, location) = self.get(path).await?;
        match location {
            Some(next) => {
                let (status, page, location) = self.get(&next).await?;
                ensure!(location.is_none(), "one redirect should be enough");
                Ok((status, page))
            }
            None => Ok((status, page)),
        }
    }

    async fn get(&mut self, path: &str) -> Result<(StatusCode, String, Option<String>)> {
        self.send(Request::get(format!("{}{path}", self.origin))).await
    }

    async fn send(&mut self, request: http::request::Builder) -> Result<(StatusCode, String, Option<String>)> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(COOKIE, cookies.join("; "))
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        let (head, body) = self.http.request(request.body(Empty::new())?).await?.into_parts();
        for cookie in head.headers.get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str()?.split_once('=').context("an odd cookie")?;
            match rest.split(';').next().unwrap_or_default() {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let location = head.headers.get(LOCATION).map(|location| location.to_str().map(str::to_owned)).transpose()?;
        Ok((head.status, String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned(), location))
    }
}
