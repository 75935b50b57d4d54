//! The same with reqwest, in the two ways it can be used: as a tower service, and with its own manners.
//!
//! ```sh
//! cargo run -p examples --example reqwest_client
//! ```
//!
//! Read `quickstart` first. Like it, this one needs nothing but this machine, prints each step, ends with numbers from
//! the servers' own counters, and exits with 0 only if all of it is as it should be.

use anyhow::{Result, anyhow, ensure};
use examples::{Numbers, Steps, Tally, no_token_arrived, retried, start_servers, token_requests};
use oauth_test_server::TestServer;
use reqwest::{StatusCode, redirect};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt};
use tower_oauth::{
    OAuth, OAuthLayer,
    oauth_tokens::{AuthorizationServer, ClientAuth, Error, TokenCache},
};

#[tokio::main]
async fn main() -> Result<()> {
    let (server, elsewhere) = start_servers().await?;
    let oauth = OAuthLayer::new(server.api_origin(), tokens(&server)?)?;
    let mut steps = Steps::default();
    let mut tally = Tally::default();

    as_a_tower_service(&oauth, &server, &elsewhere, &mut steps, &mut tally).await?;
    with_its_own_manners(&oauth, &server, &elsewhere, &mut steps, &mut tally).await?;

    // 9 calls as a tower service, 4 with reqwest's manners. A token for the first call, and one after each revocation.
    let expected = Numbers { succeeded: 13, failed: 0, token_requests: 4, retried: 3 };
    tally.close(&[&server, &elsewhere], expected)
}

/// Who we are, and what we ask for. No I/O: the token is fetched when the first call needs it.
fn tokens(server: &TestServer) -> Result<TokenCache, Error> {
    let client = AuthorizationServer::issuer(server.issuer())?.client("m2m", ClientAuth::secret_basic("secret"))?;
    client.client_credentials().scope("api").cached()
}

// ---- As a tower service: for code that is generic over tower, or has other layers to put around it.

type Api = OAuth<reqwest::Client>;

async fn as_a_tower_service(
    oauth: &OAuthLayer,
    server: &TestServer,
    elsewhere: &TestServer,
    steps: &mut Steps,
    tally: &mut Tally,
) -> Result<()> {
    println!("\nreqwest::Client as a tower service of reqwest::Request");
    // Redirects off: those that the client follows by itself would go below the layer, and carry the token on.
    let client = builder().redirect(redirect::Policy::none()).build()?;
    let mut api = oauth.layer(client.clone());

    steps.begin("The first call: a token is fetched.");
    let response = send(&mut api, client.get(server.api_url("/orders")).build()?, tally).await?;
    steps.note(answer("GET", &response));

    steps.begin("Five more calls: the token is in memory.");
    for number in 1..=5 {
        send(&mut api, client.get(server.api_url(&format!("/orders/{number}"))).build()?, tally).await?;
    }
    steps.note(token_requests(server));

    steps.begin("The token is revoked at the server. We do not know, and call as before.");
    server.revoke_access_tokens();
    let response = send(&mut api, client.get(server.api_url("/orders")).build()?, tally).await?;
    steps.note(answer("GET", &response));
    steps.note(token_requests(server));

    steps.begin("Revoked again, and this time we upload something.");
    server.revoke_access_tokens();
    // A body in memory is sent again. A stream (`reqwest::Body::wrap_stream`) is not, for reqwest cannot copy it: then the
    // caller gets the 401, the token is renewed for the next call, and the response's `RetryOutcome` says why.
    let upload = client.post(server.api_url("/echo")).body("a whole file").build()?;
    let response = send(&mut api, upload, tally).await?;
    steps.note(answer("POST", &response));
    ensure!(response.text().await? == "a whole file", "the API got another body than we sent");
    steps.note(token_requests(server));

    steps.begin("A call to somebody else's API through the same client.");
    let response = send(&mut api, client.get(elsewhere.api_url("/public/weather")).build()?, tally).await?;
    steps.note(answer("GET", &response));
    steps.note(no_token_arrived(elsewhere)?);
    Ok(())
}

async fn send(api: &mut Api, request: reqwest::Request, tally: &mut Tally) -> Result<reqwest::Response> {
    let api = api.ready().await.map_err(|error| anyhow!(error))?;
    let response = api.call(request).await.map_err(|error| anyhow!(error))?;
    seen(response, tally)
}

// ---- With reqwest's own manners: for everybody else.

async fn with_its_own_manners(
    oauth: &OAuthLayer,
    server: &TestServer,
    elsewhere: &TestServer,
    steps: &mut Steps,
    tally: &mut Tally,
) -> Result<()> {
    println!("\nOAuthLayer::reqwest: client.get(url).send().await, as ever");
    // The same layer, so the same tokens: the one that we have is used on. Redirects are followed above the layer.
    let client: ClientWithMiddleware = oauth.reqwest(builder())?;

    steps.begin("A call, and its JSON.");
    let response = seen(client.get(server.api_url("/orders")).send().await?, tally)?;
    let caller: Value = response.json().await?;
    steps.note(format!("the API knows us as {}, with the scope {}", caller["client_id"], caller["scope"]));

    steps.begin("The token is revoked, and we post JSON.");
    server.revoke_access_tokens();
    let order = json!({ "item": "tea", "count": 2 });
    let response = seen(client.post(server.api_url("/echo")).json(&order).send().await?, tally)?;
    steps.note(answer("POST", &response));
    ensure!(response.json::<Value>().await? == order, "the API got another order than we sent");
    steps.note(token_requests(server));

    steps.begin("The API redirects us to another path of its own: followed, with the token.");
    let response = seen(client.get(server.api_url("/redirect?to=/orders/2024")).send().await?, tally)?;
    steps.note(answer("we are at", &response));

    steps.begin("The API redirects us to somebody else: followed, without the token.");
    let away = server.api_url(&format!("/redirect?to={}", elsewhere.api_url("/public/mirror")));
    let response = seen(client.get(away).send().await?, tally)?;
    steps.note(answer("we are at", &response));
    steps.note(no_token_arrived(elsewhere)?);
    Ok(())
}

// ---- What both ways share.

/// Any settings of reqwest's. Proxies are off, because everything here is on this machine.
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

fn seen(response: reqwest::Response, tally: &mut Tally) -> Result<reqwest::Response> {
    tally.see(response.status(), response.extensions());
    ensure!(response.status() == StatusCode::OK, "{} answered {}", response.url(), response.status());
    Ok(response)
}

fn answer(what: &str, response: &reqwest::Response) -> String {
    format!("{what} {} -> {}{}", response.url(), response.status(), retried(response.extensions()))
}
