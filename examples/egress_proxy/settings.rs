//! The configuration file.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Deserializer, de::Error as _};
use tower_oauth::OAuthConfig;

const NO_TIME: &str = "a time is a number of seconds above 0 and up to 86400, a day";

/// Of which an error may say that it is about their value.
const FIELDS: [&str; 21] = [
    "listen",
    "admin",
    "dangerously_listen_beyond_loopback",
    "hosts",
    "oauth",
    "upstreams",
    "timeouts",
    "limits",
    "name",
    "path",
    "host",
    "url",
    "cookies",
    "connect",
    "request_head",
    "response_head",
    "idle",
    "shutdown",
    "connections",
    "head_bytes",
    "replay_bytes",
];

/// What the proxy is told, by a TOML file or by a program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where programs find the proxy. Default: `127.0.0.1:8080`.
    #[serde(default = "loopback::<8080>")]
    pub listen: SocketAddr,
    /// Where `/metrics` and `/healthz` are. Default: `127.0.0.1:9090`.
    #[serde(default = "loopback::<9090>")]
    pub admin: SocketAddr,
    /// Allows `listen` and `admin` beyond loopback. Whoever reaches the proxy can use its tokens: then the network has to keep
    /// others away, as a pod's or a container's own network does. Default: no.
    #[serde(default)]
    pub dangerously_listen_beyond_loopback: bool,
    /// Names that callers may give the proxy in `Host`, with a port if only that one is meant. A web page that had its own name
    /// resolved to this machine (DNS rebinding) is refused by this. Default: `localhost`, `127.0.0.1`, `[::1]`.
    #[serde(default = "loopback_names")]
    pub hosts: Vec<String>,
    /// Credentials by name: settings of tower-oauth, as its guide describes them.
    pub oauth: BTreeMap<String, OAuthConfig>,
    /// Where requests go.
    pub upstreams: Vec<UpstreamSettings>,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How much there may be.
    #[serde(default)]
    pub limits: Limits,
}

/// Where requests with a path prefix, or for a host, go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// What it is called in logs and metrics.
    pub name: String,
    /// Requests whose path begins with these segments, which are taken off; `/` for all.
    pub path: Option<String>,
    /// Instead of a path: requests for this host, with a port if only that one is meant. Such a request may come as to a
    /// forward proxy, too (`http_proxy`).
    pub host: Option<String>,
    /// Where they go: `https`, a host, and a path that theirs is added to.
    pub url: String,
    /// The credentials, of those in `oauth`; one of their origins has to cover the URL.
    pub oauth: String,
    /// Lets `Cookie` and `Set-Cookie` pass. To a caller that keeps cookies, all upstreams with a `path` are one origin: it sends
    /// one's cookies to another, where that has this, too. Default: no.
    #[serde(default)]
    pub cookies: bool,
}

/// How long things may take, in seconds in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To connect to an upstream. Default: 2 s.
    #[serde(deserialize_with = "seconds")]
    pub connect: Duration,
    /// For a caller to send the head of a request, and to send the next one on the same connection. Default: 30 s.
    #[serde(deserialize_with = "seconds")]
    pub request_head: Duration,
    /// For an upstream to begin its answer, counted from when the request last made progress; waiting for a token counts.
    /// Default: 30 s.
    #[serde(deserialize_with = "seconds")]
    pub response_head: Duration,
    /// For which a body may stand still, either way, and a caller may leave an answer unread. Default: 60 s.
    #[serde(deserialize_with = "seconds")]
    pub idle: Duration,
    /// For requests that are under way when the proxy is told to end. Default: 25 s.
    #[serde(deserialize_with = "seconds")]
    pub shutdown: Duration,
}

/// How much there may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of callers at a time, and so requests; others wait to be accepted. Default: 256.
    pub connections: usize,
    /// Bytes of a request's head, and about those of a response's. Default: 64 KiB.
    pub head_bytes: usize,
    /// Bytes of a request's body that are remembered for the retry after a 401; bodies may be longer. Default: 64 KiB.
    pub replay_bytes: usize,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(2),
            request_head: seconds(30),
            response_head: seconds(30),
            idle: seconds(60),
            shutdown: seconds(25),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 256, head_bytes: 64 * 1024, replay_bytes: 64 * 1024 }
    }
}

impl Settings {
    /// Reads a file. What it says is judged when the proxy is made.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no TOML, or has settings that are not known.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} cannot be used", file.display()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &str) -> Result<Self> {
        // Neither the lines that toml shows nor its message, which repeats values: a secret may be in the wrong place.
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow::anyhow!("line {line}: {}", without_values(error.message(), before))
        })
    }

    /// What can be said to be wrong without looking at upstreams and credentials.
    pub(super) fn check(&self) -> Result<()> {
        for (name, address) in [("listen", self.listen), ("admin", self.admin)] {
            ensure!(
                address.ip().is_loopback() || self.dangerously_listen_beyond_loopback,
                "`{name}` is beyond loopback: whoever reaches the proxy can use its tokens; if only those can who should, say \
                 `dangerously_listen_beyond_loopback = true`"
            );
        }
        ensure!(!self.upstreams.is_empty(), "no upstream is named: there is nothing to be a proxy for");
        let limits = &self.limits;
        ensure!(limits.connections > 0, "`limits.connections` is 0: nobody could ever connect");
        ensure!(
            (8 * 1024..=1024 * 1024).contains(&limits.head_bytes),
            "`limits.head_bytes` has to be from 8 KiB to 1 MiB"
        );
        Ok(())
    }
}

/// What an error of toml says, but for the value that it is about.
fn without_values(message: &str, before: &str) -> String {
    if message == NO_TIME {
        return message.to_owned();
    }
    // These name a key.
    let mut pieces = message.splitn(3, '`');
    if let (Some(problem @ ("unknown field " | "missing field " | "duplicate field ")), Some(key)) =
        (pieces.next(), pieces.next())
    {
        return format!("{problem}`{key}`");
    }
    match FIELDS.iter().find(|field| is_of(field, before)) {
        Some(field) => format!("`{field}` cannot have this value"),
        None => "this is no TOML, or no value that can be here".to_owned(),
    }
}

/// Whether what comes now is the value of this field.
fn is_of(field: &str, before: &str) -> bool {
    let key = before.trim_end().strip_suffix('=').map(str::trim_end);
    let start = key.and_then(|key| key.strip_suffix(field));
    start.is_some_and(|start| start.is_empty() || start.ends_with([' ', '\t', '\n', '.', '{', ',']))
}

fn loopback<const PORT: u16>() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))
}

fn loopback_names() -> Vec<String> {
    ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec()
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    let is_sane = seconds > 0.0 && seconds <= 86_400.0;
    let duration = is_sane.then(|| Duration::try_from_secs_f64(seconds).ok()).flatten();
    duration.ok_or_else(|| D::Error::custom(NO_TIME))
}
