//! Signing in on a device without a browser, a terminal for example: device authorization (RFC 8628).
//!
//! ```sh
//! cargo run -p examples --example device_login
//! ```
//!
//! It needs nothing but this machine: an authorization server and an API are embedded, and the user is a task that goes to the
//! page and enters the code. Against a server of yours you are the user:
//!
//! ```sh
//! cargo run -p examples --example device_login -- https://id.example.com my-client-id "openid offline_access"
//! ```
//!
//! The exit code is 0 only if all of it is as it should be.

use std::{env, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use examples::{Steps, chain, token_requests};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client as HyperClient, rt::TokioExecutor};
use oauth_test_server::{Client, ClientAuthMethod, TestServer};
use tokio::task::JoinHandle;
use tower::{Layer, ServiceExt};
use tower_oauth::{
    OAuthLayer,
    oauth_tokens::{AuthorizationServer, ClientAuth, DeviceAuthorization, Error, ErrorKind, TokenClient, TokenSet},
};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => embedded().await,
        [issuer, client_id, scope] => {
            let client = AuthorizationServer::issuer(issuer)?.client(client_id, ClientAuth::none())?;
            let mut device = begin(&client, scope).await?;
            let tokens = sign_in(&mut device).await?.ok_or_else(|| anyhow!("not signed in"))?;
            println!("Signed in. The access token lives for {:?}.", tokens.expires_in);
            Ok(())
        }
        _ => bail!("usage: device_login [ISSUER CLIENT_ID SCOPE]"),
    }
}

/// Asks for a code and shows it.
async fn begin(client: &TokenClient, scope: &str) -> Result<DeviceAuthorization, Error> {
    let device = client.device_authorization().scope(scope).begin().await?;
    println!();
    println!("   Open {}", device.verification_uri());
    println!("   and enter the code  {}", device.user_code());
    if let Some(link) = device.verification_uri_complete() {
        println!("   (or open {link}, and compare the code)");
    }
    println!("   within {} minutes.", device.expires_in().as_secs().div_ceil(60));
    println!();
    Ok(device)
}

/// Waits for the user's answer: tokens, or none if that was no, or nothing.
async fn sign_in(device: &mut DeviceAuthorization) -> Result<Option<TokenSet>> {
    // Ctrl-C would end the program, and the wait with it. To go on with something else, drop the future.
    match device.wait().await {
        Ok(tokens) => Ok(Some(tokens)),
        Err(error) if error.kind() == ErrorKind::AccessDenied => {
            println!("   You said no.");
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::DeviceCodeExpired => {
            println!("   The code has expired.");
            Ok(None)
        }
        Err(error) => Err(anyhow!(chain(&error))),
    }
}

/// The whole story against servers of our own.
async fn embedded() -> Result<()> {
    let server = start_server().await?;
    let client = AuthorizationServer::issuer(server.issuer())?.client("tv", ClientAuth::none())?;
    let mut steps = Steps::default();

    steps
        .begin("Nobody is signed in. We show a code, and ask the server every second whether somebody has entered it.");
    let mut device = begin(&client, "api offline_access").await?;
    let user = answers(&server, &device, "approve");
    let tokens = sign_in(&mut device).await?.context("the user said yes")?;
    user.await??;
    steps.note(format!("signed in, for {:?}", tokens.scope.as_deref().unwrap_or("what was asked for")));
    steps.note(token_requests(&server));

    steps.begin(
        "From here on it is like any other token: a cache that renews it, and a layer that puts it on requests.",
    );
    // The access token that came first serves first. The refresh token should outlive the program: see `RefreshToken` for
    // how to save it whenever it is rotated.
    let tokens = client.refresh_token(tokens).cached()?;
    let hyper = HyperClient::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let api = OAuthLayer::new(server.api_origin(), tokens)?.layer(hyper);
    for what in ["the token that came with the sign-in", "a renewed one, as the server has forgotten the first"] {
        let request = Request::get(server.api_url("/shows")).body(Full::default())?;
        let response = api.clone().oneshot(request).await.map_err(|error| anyhow!(error))?;
        ensure!(response.status().is_success(), "the API answered {}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        let seen: serde_json::Value = serde_json::from_slice(&body)?;
        steps.note(format!("the API sees {} ({what})", seen["sub"]));
        ensure!(seen["sub"] == "ann", "the API should have seen Ann");
        server.revoke_access_tokens();
    }

    steps.begin("Somebody else tries, and the user says no.");
    let mut device = begin(&client, "api").await?;
    let user = answers(&server, &device, "deny");
    ensure!(sign_in(&mut device).await?.is_none(), "nobody should have signed in");
    user.await??;

    let counted = server.counters();
    println!("\nsigned in: 1");
    println!("said no: 1");
    println!("renewed by the refresh token: {}", counted.tokens_issued - 1);
    ensure!(counted.device_authorizations == 2, "two codes should have been issued");
    ensure!(counted.tokens_issued == 2, "one sign-in and one renewal should have brought tokens");
    ensure!(counted.api_accepted == 2, "both calls should have got through");
    Ok(())
}

async fn start_server() -> Result<TestServer> {
    let tv = Client::new("tv").scopes(["api", "offline_access"]).auth_methods([ClientAuthMethod::None]);
    let builder = TestServer::builder().client(tv).refresh_tokens(true);
    let server = builder.device_interval(Some(Duration::from_secs(1))).start().await?;
    println!("authorization server  {}", server.issuer());
    println!("the API it protects   {}", server.api_origin());
    Ok(server)
}

/// The user: goes to the page that is shown, a little later, and enters the code that is shown.
fn answers(server: &TestServer, device: &DeviceAuthorization, decision: &str) -> JoinHandle<Result<()>> {
    let form = format!("user_code={}&decision={decision}&subject=ann", device.user_code());
    let page = server.verification_uri();
    let shown = device.verification_uri().to_owned();
    tokio::spawn(async move {
        ensure!(shown == page, "another page is shown than the server's");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let request = Request::post(shown).header("content-type", "application/x-www-form-urlencoded");
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        let response = http.request(request.body(Full::<bytes::Bytes>::from(form))?).await?;
        ensure!(response.status().is_success(), "the page answered {}", response.status());
        Ok(())
    })
}
