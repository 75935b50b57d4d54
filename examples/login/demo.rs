//! All of it, against servers of our own.

use std::{io, path::Path};

use anyhow::{Result, ensure};
use examples::{Steps, token_requests};
use oauth_test_server::{Client, ClientAuthMethod, TestServer};
use reqwest::{
    Response,
    header::{COOKIE, HeaderName, LOCATION, SET_COOKIE},
    redirect::Policy,
};

use super::{
    args::{Args, Server},
    keys,
    tool::{Tool, Way},
};

pub(crate) async fn run(args: &Args) -> Result<()> {
    let server = start_server().await?;
    let home = Server {
        issuer: server.issuer().to_owned(),
        client_id: "login".to_owned(),
        api: server.api_url("/orders"),
        scope: "openid offline_access api".to_owned(),
    };
    let temporary = tempfile::tempdir()?;
    let folder = keys::folder(Some(args.store.as_deref().unwrap_or(temporary.path())))?;
    // As the tool starts, each time.
    let start = || Tool::new(home.clone(), &folder);
    let mut steps = Steps::default();

    steps.begin("The first start: nobody is signed in.");
    let way = match args.way() {
        Way::Browser if !args.browser => {
            steps.note("a browser is played here, and a user before it; say --browser to use your own");
            Way::Played(server.clone())
        }
        way => way,
    };
    let tool = start()?;
    tool.ready(way).await?;
    tool.call().await?;
    steps.note(token_requests(&server));
    is_for_its_owner_only(&folder)?;

    steps.begin("The second start: what is stored will do.");
    let tool = start()?;
    tool.ready(Way::Device).await?;
    tool.call().await?;
    steps.note(token_requests(&server));
    ensure!(server.counters().token_requests == 1, "nothing should have been asked for");

    steps.begin("The third start: the server has forgotten the access token. It is renewed.");
    server.revoke_access_tokens();
    let tool = start()?;
    tool.ready(Way::Device).await?;
    tool.call().await?;
    steps.note(token_requests(&server));
    ensure!(server.counters().tokens_issued == 2, "one sign-in and one renewal should have brought tokens");

    steps.begin("The user signs out.");
    start()?.sign_out().await?;
    let revoked = server.counters().revocations;
    steps.note(format!("tokens revoked: {revoked}"));
    ensure!(revoked > 0, "the server should have revoked the refresh token");
    start()?.sign_out().await?;
    ensure!(server.counters().revocations == revoked, "there was nothing left to revoke");

    let counted = server.counters();
    println!("\nsigned in: {}", counted.sign_ins);
    println!("{}", token_requests(&server));
    println!("calls that the API answered: {}", counted.api_accepted);
    ensure!(counted.api_accepted == 3, "each start should have called it");
    Ok(())
}

async fn start_server() -> Result<TestServer> {
    let login = Client::new("login").name("login").scopes(["openid", "offline_access", "api"]);
    let login = login.auth_methods([ClientAuthMethod::None]).redirect_uri("http://127.0.0.1/callback");
    let server = TestServer::builder().client(login).offline_access().start().await?;
    println!("authorization server  {}", server.issuer());
    println!("the API it protects   {}", server.api_origin());
    Ok(server)
}

/// Ann before her browser: she opens the URL, signs in, agrees, and is sent back. It runs on a thread of its own, as a browser
/// does.
pub(crate) fn play(server: &TestServer, url: &str) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().map_err(io::Error::other)?;
        let answer = http.get(url).send().await.map_err(io::Error::other)?;
        let place = header(&answer, &LOCATION)?;
        // The sign-in is this browser's from now on.
        let cookie = header(&answer, &SET_COOKIE)?.split(';').next().unwrap_or_default();
        let back = server.browser().authorize(place, "ann").await?;
        let answer = http.get(&back).header(COOKIE, cookie).send().await.map_err(io::Error::other)?;
        let last = answer.url().join("/done").map_err(io::Error::other)?;
        http.get(last).send().await.map_err(io::Error::other)?.error_for_status().map_err(io::Error::other)?;
        Ok(())
    })
}

fn header<'a>(answer: &'a Response, name: &HeaderName) -> io::Result<&'a str> {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| io::Error::other(format!("the tool gave the browser no {name}")))
}

/// What the tool leaves on the disk.
fn is_for_its_owner_only(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    for path in [folder.join("keys"), folder.join("tokens")] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path)?.permissions());
        ensure!(mode & 0o077 == 0, "{} can be read by others: {mode:o}", path.display());
    }
    let _ = folder;
    Ok(())
}
