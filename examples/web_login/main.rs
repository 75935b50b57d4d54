//! A web application whose users sign in, and which calls an API on their behalf.
//!
//! ```sh
//! cargo run --example web_login             # with an identity server and an API on this machine
//! cargo run --example web_login -- --demo   # a visit, played, which ends by itself
//! cargo run --example web_login -- --issuer https://id.example.com --client-id parcels \
//!     --client-secret-file /run/secrets/parcels --api https://api.example.com/parcels \
//!     --base-url https://parcels.example.com --data /var/lib/parcels
//! ```
//!
//! What is said about security is in `app.rs`, in one place: `axum-oauth` does the rest. Handlers ask for a `User`, and give its
//! key to the API's client. Browsers get a session's id in a cookie, and no access or refresh token; sessions are in SQLite, users'
//! tokens in sealed files, and both outlive the process.
//!
//! At a real server, register `{base-url}/auth/callback` as the redirect URI, `{base-url}/signed-out` as the post-logout
//! redirect URI, and `{base-url}/auth/backchannel-logout` as the back-channel logout URI.
//!
//! TLS is somebody else's: a proxy that ends it passes requests on to `--listen`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use examples::{
    told_to_end,
    web_login::{LocalServers, Settings, WebLogin, demo},
};
use tokio::net::TcpListener;
use tower_oauth::oauth_tokens::Secret;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// A web application whose users sign in; without arguments, with servers on this machine
#[derive(Parser)]
#[command(name = "web_login")]
struct Args {
    /// Plays a visit with servers on this machine, and ends
    #[arg(long)]
    demo: bool,

    /// The identity server
    #[arg(long, env = "WEB_LOGIN_ISSUER", value_name = "URL", requires_all = ["client_id", "client_secret_file", "api"])]
    issuer: Option<String>,

    /// Who the application is there
    #[arg(long, env = "WEB_LOGIN_CLIENT_ID", value_name = "ID")]
    client_id: Option<String>,

    /// A file with the client's secret
    #[arg(long, env = "WEB_LOGIN_CLIENT_SECRET_FILE", value_name = "FILE")]
    client_secret_file: Option<PathBuf>,

    /// The API's URL
    #[arg(long, env = "WEB_LOGIN_API", value_name = "URL")]
    api: Option<String>,

    /// What to ask for, besides `openid`
    #[arg(long, env = "WEB_LOGIN_SCOPE", default_value = "profile email offline_access")]
    scope: String,

    /// How the server is to ask the user: some give a refresh token only with `consent`
    #[arg(long, env = "WEB_LOGIN_PROMPT")]
    prompt: Option<String>,

    /// Where browsers find the application; default: where it listens
    #[arg(long, env = "WEB_LOGIN_BASE_URL", value_name = "URL")]
    base_url: Option<String>,

    /// Where it listens
    #[arg(long, env = "WEB_LOGIN_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,

    /// A folder for sessions and tokens; default: one that goes when the program ends
    #[arg(long, env = "WEB_LOGIN_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// A file with the key that users' tokens are sealed with (`openssl rand -base64 32`); default: one in the folder
    #[arg(long, env = "WEB_LOGIN_STORE_KEYS_FILE", value_name = "FILE")]
    store_keys_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.demo {
        return demo().await;
    }
    log_to_stderr();
    let for_now = tempfile::tempdir()?;
    let data = args.data.clone().unwrap_or_else(|| for_now.path().to_owned());
    let listener = TcpListener::bind(args.listen).await.context("nobody can listen there")?;
    let origin = args.base_url.clone().unwrap_or(format!("http://{}", listener.local_addr()?));
    let keys = match &args.store_keys_file {
        Some(file) => Secret::file(file),
        None => Settings::own_store_keys(&data)?,
    };
    let local = if args.issuer.is_none() { Some(LocalServers::start().await?) } else { None };
    let settings = match &local {
        Some(local) => local.settings(&origin, data, keys),
        None => args.settings(origin, data, keys)?,
    };
    let app = WebLogin::open(&settings).await?;
    println!("open {}", settings.origin);
    if local.is_some() {
        println!("and sign in as alice or bob, with the password: secret");
    }
    app.serve(listener, told_to_end()?).await
}

impl Args {
    fn settings(self, origin: String, data: PathBuf, store_keys: Secret) -> Result<Settings> {
        Ok(Settings {
            origin,
            issuer: self.issuer.context("--issuer is missing")?,
            client_id: self.client_id.context("--client-id is missing")?,
            client_secret: Secret::file(self.client_secret_file.context("--client-secret-file is missing")?),
            scope: self.scope,
            prompt: self.prompt,
            api: self.api.context("--api is missing")?,
            data,
            store_keys,
        })
    }
}

fn log_to_stderr() {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    let said = std::env::var("RUST_LOG").ok().and_then(|levels| levels.parse::<Targets>().ok());
    let levels = said.unwrap_or_else(|| Targets::new().with_default(tracing::Level::WARN));
    tracing_subscriber::registry().with(levels).with(lines).init();
}
