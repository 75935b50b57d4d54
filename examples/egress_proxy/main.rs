//! An egress proxy: programs talk to it as if their APIs were open, and it adds the access tokens.
//!
//! ```sh
//! cargo run -p examples --example egress_proxy                        # a demonstration on this machine, which ends by itself
//! cargo run -p examples --example egress_proxy -- --config proxy.toml
//! cargo run -p examples --example egress_proxy -- --config proxy.toml --check
//! ```
//!
//! It is for programs that cannot get tokens themselves: in another language, closed, or older than OAuth. Like Envoy's
//! credential injector it puts a token on each request; when an upstream answers 401, it also renews the token and sends the
//! request again.
//!
//! ```toml
//! listen = "127.0.0.1:8080"               # where programs find it; beyond loopback only if allowed by name
//! admin = "127.0.0.1:9090"                # /healthz and /metrics
//!
//! [oauth.crm]                             # credentials by name: the settings of tower-oauth's guide
//! origins = ["https://crm.example.com"]   # where this token may go, and nowhere else
//! [oauth.crm.server]
//! issuer = "https://id.example.com"
//! [oauth.crm.client]
//! id = "egress"
//! secret = { file = "/run/secrets/crm" }
//! [oauth.crm.grant]
//! scope = "crm.read"
//!
//! [[upstreams]]                           # http://localhost:8080/crm/orders -> https://crm.example.com/v2/orders
//! name = "crm"
//! path = "/crm"                           # or host = "crm.internal": by the name that callers use, as with `http_proxy`
//! url = "https://crm.example.com/v2"
//! oauth = "crm"
//! # cookies = true                      # Cookie and Set-Cookie pass; else they end here
//!
//! # hosts = ["localhost", "127.0.0.1", "[::1]"]      # names of the proxy itself
//!
//! [timeouts]                              # seconds; these are the defaults
//! connect = 2
//! request_head = 30
//! response_head = 30
//! idle = 60
//! shutdown = 25
//!
//! [limits]                                # these are the defaults
//! connections = 256
//! head_bytes = 65536
//! replay_bytes = 65536
//! ```
//!
//! # Who may use it
//!
//! Whoever can connect to it has its tokens' power. So it listens on loopback, and what a browser sends for a web page is
//! refused, by `Host` (DNS rebinding), `Origin`, `Sec-Fetch-Site`, `Upgrade-Insecure-Requests` and `Referer`. It does not tell
//! one user of the machine from another: where that matters, run it in a container or a pod's network, next to the one program
//! that it is for.
//!
//! Browsers send `Sec-Fetch-Site` over plain http to loopback only. Where `hosts` names the proxy otherwise, a page can send it a
//! GET, by an image for example, that looks like a program's; the page cannot read the answer. There, the network has to keep
//! browsers away.
//!
//! # What becomes of a request
//!
//! - Its upstream is one of the settings; a caller cannot make up others. Paths that may lead out of a prefix are refused.
//! - The caller's `Authorization`, `Proxy-Authorization` and `DPoP` end here. So do the headers of the connection, whatever
//!   `Connection` names, and `Forwarded`, `X-Forwarded-*` and their kin, which are not written anew either: an API has no use for
//!   addresses of your network, and may believe what any caller can write there. And headers that stand for another host, path
//!   or method, as `X-Original-URL` and `X-HTTP-Method-Override`.
//! - Cookies end here, both ways: to a caller's cookie jar, all upstreams are one origin. `cookies = true` lets them pass.
//! - `Via` is added both ways, and a request that has been here before is refused.
//! - Bodies are streamed both ways, with their length and trailers; up to 64 KiB are remembered, so that a request whose token
//!   was rejected can be sent again.
//! - `Expect: 100-continue` is met when the upstream is connected and there is a token, and not passed on.
//! - HTTP/1.1 only. CONNECT, TRACE (it would show the token) and upgrades (WebSockets) are refused.
//! - Of transfer codings, only `chunked` is known.
//! - Redirects are not followed. A `Location` within an upstream is rewritten to lead through the proxy, every other to an
//!   absolute URL, past it. One that would lead to the proxy, and so perhaps to another upstream, with its token, is taken off.
//!   Links in bodies and in `Link` are left as they are.
//!
//! # What it answers itself
//!
//! `application/problem+json` with a `code`, and a `Proxy-Status` header, which tells it from an upstream's answer: 502 and 504
//! for an upstream that cannot be reached or does not answer, 503 (and 502, if waiting will not help) when there is no token.
//! The cause is in the log, which goes to stderr, one line a request; `RUST_LOG` sets how much (`info`).
//!
//! SIGTERM and Ctrl-C end it: nobody new is let in, requests under way have 25 s.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use clap::Parser;
use examples::{
    egress_proxy::{Proxy, Settings, demo},
    told_to_end,
};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// A proxy that adds access tokens to the requests of programs; without arguments, a demonstration of it
#[derive(Parser)]
#[command(name = "egress_proxy")]
struct Args {
    /// The settings, a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Only says whether the settings can be used
    #[arg(long, requires = "config")]
    check: bool,

    /// Listens here instead of where the settings say
    #[arg(long, value_name = "ADDRESS", requires = "config")]
    listen: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let Some(file) = args.config else {
        return demo().await;
    };
    log_to_stderr();
    let mut settings = Settings::read(&file)?;
    settings.listen = args.listen.unwrap_or(settings.listen);
    if args.check {
        Proxy::check(&settings)?;
        eprintln!("{} can be used", file.display());
        return Ok(());
    }
    // Before anything can be sent: whoever starts it may end it at once.
    let end = told_to_end()?;
    let proxy = Proxy::bind(&settings).await?;
    eprintln!("listening on {}, with /healthz and /metrics on {}", proxy.address()?, proxy.admin_address()?);
    proxy.serve(end).await
}

fn log_to_stderr() {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    let said = std::env::var("RUST_LOG").ok().and_then(|levels| levels.parse::<Targets>().ok());
    let levels = said.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    tracing_subscriber::registry().with(levels).with(lines).init();
}
