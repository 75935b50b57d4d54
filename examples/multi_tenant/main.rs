//! A service for many tenants, which calls the next API with each tenant's own token.
//!
//! ```sh
//! cargo run -p examples --example multi_tenant
//! ```
//!
//! It needs nothing but this machine. `portal` is an axum service; each of its tenants has an account of its own at the CRM. Whose
//! request it is, is taken from the caller's token, which the authorization server vouches for, and from nothing else; and a
//! request to the CRM cannot be sent before it is said whose it is, as that does not compile. The CRM's log is looked into at
//! each step, and the exit code is 0 only if all of it is as it should be.
//!
//! | file | idea |
//! |---|---|
//! | `tenant.rs` | who calls, and for which tenant |
//! | `portal.rs` | the service, and its client of the CRM |
//! | `main.rs` | the other servers, the callers, what they see |

mod portal;
mod tenant;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use examples::{Steps, token_requests};
use futures_util::future::try_join_all;
use http::{Method, StatusCode, header::AUTHORIZATION};
use oauth_test_server::{Client, Endpoint, Requirement, TestServer};
use serde_json::Value;
use tokio::net::TcpListener;

use self::{
    portal::{Account, Portal},
    tenant::Directory,
};

#[tokio::main]
async fn main() -> Result<()> {
    let server = start_servers().await?;
    let (portal, origin) = start_portal(&server).await?;
    let callers = Callers { http: reqwest::Client::builder().no_proxy().build()?, origin };
    let token = |user: &str| server.issue_access_token_for(user, "web", "portal");
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(token);
    let mut steps = Steps::default();

    steps.begin("Alice of Acme and Bob of Globex ask for their customers.");
    for (user, account) in [(&alice, "acme-crm"), (&bob, "globex-crm")] {
        let (status, seen) = callers.ask(Method::GET, "/customers", user, None).await?;
        steps.note(format!("{status}: {seen}"));
        ensure!(seen["account"] == account, "the CRM should have seen {account}");
    }
    steps.note(token_requests(&server));

    steps.begin("Alice says in a header that she is of Globex. Anybody can say that.");
    let (_, seen) = callers.ask(Method::GET, "/customers", &alice, Some("globex")).await?;
    steps.note(&seen);
    ensure!(seen["account"] == "acme-crm", "she is of Acme");

    steps.begin("Forty calls at once, of both.");
    let calls = (0..40).map(|index| callers.ask(Method::GET, "/customers", [&alice, &bob][index % 2], None));
    let answers = try_join_all(calls).await?;
    let is_own =
        |(index, (_, seen)): (usize, &(StatusCode, Value))| seen["account"] == ["acme-crm", "globex-crm"][index % 2];
    ensure!(answers.iter().enumerate().all(is_own), "a tenant was served by another's account");
    steps.note(token_requests(&server));
    ensure!(server.counters().token_requests == 2, "one token for each tenant should have been enough");

    steps.begin("The CRM forgets Acme's token. It is renewed, and Globex's is not.");
    callers.ask(Method::GET, "/customers", &alice, None).await?;
    let calls = server.requests_to(Endpoint::Api);
    server.revoke(calls.last().and_then(|call| call.bearer_token()).context("Alice's call had a token")?);
    for user in [&alice, &bob] {
        let (status, _) = callers.ask(Method::GET, "/customers", user, None).await?;
        ensure!(status == StatusCode::OK, "nobody should have noticed");
    }
    steps.note(token_requests(&server));
    ensure!(server.counters().token_requests == 3, "one token was renewed");

    steps.begin("Alice places an order. That takes a scope that reading does not: the request asks for it.");
    let (status, seen) = callers.ask(Method::POST, "/orders", &alice, None).await?;
    steps.note(format!("{status}: {seen}"));
    ensure!(seen["scope"] == "crm.read crm.write", "the token for orders should have both");
    let (_, seen) = callers.ask(Method::GET, "/customers", &alice, None).await?;
    ensure!(seen["scope"] == "crm.read", "and the one for reading no more than before");

    steps.begin("Carol's Initech has changed its secret, and Dave's Hooli has no account. The others do not notice.");
    for (user, expected) in [(&carol, StatusCode::BAD_GATEWAY), (&dave, StatusCode::FORBIDDEN), (&bob, StatusCode::OK)]
    {
        let (status, seen) = callers.ask(Method::GET, "/customers", user, None).await?;
        steps.note(format!("{status}: {seen}"));
        ensure!(status == expected, "this should have been {expected}");
    }

    steps.begin("Somebody without a token, and somebody of no tenant.");
    for user in ["made-up", &token("mallory")] {
        let (status, seen) = callers.ask(Method::GET, "/customers", user, Some("acme")).await?;
        steps.note(format!("{status}: {seen}"));
        ensure!(status.is_client_error(), "nobody knows whose request this is");
    }

    steps.begin("Globex leaves. Its token is forgotten, and Bob, whose own token is as good as before, is refused.");
    let before = server.counters();
    ensure!(portal.offboard("globex"), "it was there");
    let (status, seen) = callers.ask(Method::GET, "/customers", &bob, None).await?;
    steps.note(format!("{status}: {seen}"));
    ensure!(status == StatusCode::FORBIDDEN, "Globex has left");
    let after = server.counters();
    ensure!(after.token_requests == before.token_requests, "no token is fetched for who has left");
    ensure!(after.api_accepted == before.api_accepted, "nothing is asked for who has left");
    ensure!(!portal.offboard("globex"), "it has left already");
    let (status, _) = callers.ask(Method::GET, "/customers", &alice, None).await?;
    ensure!(status == StatusCode::OK, "Acme has not left");
    let pool = portal.health();
    steps.note(format!("the pool: {} of {} keys, {} of them failing", pool.keys, pool.capacity, pool.failing));

    println!("\ncalls that the CRM served: {}", server.counters().api_accepted);
    println!("{}", token_requests(&server));
    println!("retried after 401: {}", server.counters().api_unauthorized);
    // One each, Acme's renewal, Acme's for orders, and Initech's, which was refused.
    ensure!(server.counters().token_requests == 5, "there should have been five token requests");
    Ok(())
}

/// An authorization server, and the CRM that it protects: one account for each tenant.
async fn start_servers() -> Result<TestServer> {
    let account = |name: &str, secret: &str| Client::new(name).secret(secret).scopes(["crm.read", "crm.write"]);
    let server = TestServer::builder()
        .client(Client::new("web").secret("w").scopes(["portal"]))
        .client(Client::new("portal").secret("p"))
        .client(account("acme-crm", "a"))
        .client(account("globex-crm", "g"))
        .client(account("initech-crm", "changed"))
        .required_scope("crm.read")
        .start()
        .await?;
    server.require("/orders", Requirement::Scope("crm.write".to_owned()));
    println!("authorization server  {}", server.issuer());
    println!("the CRM               {}", server.api_origin());
    Ok(server)
}

async fn start_portal(server: &TestServer) -> Result<(Arc<Portal>, String)> {
    // In a service of your own, a table of a database, and secrets that a vault keeps.
    let directory = [("alice", "acme"), ("bob", "globex"), ("carol", "initech"), ("dave", "hooli")];
    let account = |tenant: &str, secret: &str| {
        (tenant.to_owned(), Account { client_id: format!("{tenant}-crm"), secret: secret.into() })
    };
    let accounts = [account("acme", "a"), account("globex", "g"), account("initech", "i")];
    let portal = Portal::new(server.issuer(), server.api_origin(), Directory::new(directory), accounts)?;
    let portal = Arc::new(portal);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let router = portal::router(Arc::clone(&portal));
    tokio::spawn(async move { axum::serve(listener, router).await });
    println!("the portal            {origin}");
    Ok((portal, origin))
}

/// Programs that call the portal.
struct Callers {
    http: reqwest::Client,
    origin: String,
}

impl Callers {
    async fn ask(&self, method: Method, path: &str, token: &str, says: Option<&str>) -> Result<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.origin));
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        if let Some(tenant) = says {
            request = request.header("x-tenant", tenant);
        }
        let response = request.send().await.context("the portal should answer")?;
        Ok((response.status(), response.json().await?))
    }
}
