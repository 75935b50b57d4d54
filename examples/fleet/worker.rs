//! One process of the fleet. [`tokens`] is all that makes it one; the rest makes calls and counts them.

use std::{
    env,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use examples::chain;
use oauth_tokens_redis::RedisStore;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, stdin},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_oauth::{
    OAuthLayer,
    oauth_tokens::{AuthorizationServer, ClientAuth, Error, Secret, StoreKeys, TokenCache},
};

/// Where a process of the fleet works.
#[derive(Args, Clone)]
pub(crate) struct Workplace {
    /// The authorization server.
    #[arg(long)]
    pub(crate) issuer: String,
    /// What is called, with a token.
    #[arg(long)]
    pub(crate) api: String,
    /// The file with the keys that stored tokens are encrypted with.
    #[arg(long)]
    pub(crate) keys: PathBuf,
}

/// A token cache as everybody has it, and `stored` in it.
fn tokens(workplace: &Workplace, store: RedisStore) -> Result<TokenCache, Error> {
    let server = AuthorizationServer::issuer(&workplace.issuer)?;
    let client = server.client("m2m", ClientAuth::secret_basic("secret"))?;
    client.client_credentials().scope("api").stored(store).cached()
}

/// How many calls a process makes at a time, and the pause after each.
const CALLERS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(20);

/// Says that it is ready, waits for a line, makes calls until there are no more lines, and says how they went.
pub(crate) async fn work(workplace: &Workplace, redis: &str) -> Result<()> {
    // An outage of Redis is one warning.
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).with_ansi(false).init();
    let origin = reqwest::Url::parse(&workplace.api)?.origin().ascii_serialization();
    let store = RedisStore::new(redis, StoreKeys::new(Secret::file(&workplace.keys)))?;
    // A service may start without: the store is a help, never a need. This one is here to show it.
    store.ready().await.map_err(|error| anyhow!("{}", chain(&*error)))?;
    let api = OAuthLayer::new(&origin, tokens(workplace, store)?)?.reqwest(reqwest::Client::builder())?;
    println!("ready");
    let mut orders = BufReader::new(stdin());
    orders.read_line(&mut String::new()).await?;
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (api, url, over) = (api.clone(), workplace.api.clone(), Arc::clone(&over));
        callers.spawn(async move {
            let mut report = Report::default();
            while !over.load(Relaxed) {
                let outcome = api.get(&url).send().await.map_err(|error| chain(&error));
                report.see(outcome.and_then(|response| match response.status() {
                    status if status.is_success() => Ok(()),
                    status => Err(format!("the API answered {status}")),
                }));
                sleep(PAUSE).await;
            }
            report
        });
    }
    orders.read_to_end(&mut Vec::new()).await?;
    over.store(true, Relaxed);
    let mut total = Report::default();
    while let Some(report) = callers.join_next().await {
        total.add(report?);
    }
    println!("{}", serde_json::to_string(&total)?);
    Ok(())
}

/// What became of calls.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
}

impl Report {
    fn see(&mut self, outcome: Result<(), String>) {
        let failure = outcome.err();
        let failed = u64::from(failure.is_some());
        self.add(Self { calls: 1, failed, first_failure: failure });
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// The first process's view of another one. It ends when its stdin does, so it never outlives the first.
pub(crate) struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// How long a process may take to start, or to end, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

impl Worker {
    pub(crate) fn start(workplace: &Workplace, redis: &str) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["worker", "--issuer", &workplace.issuer, "--api", &workplace.api, "--keys"]).arg(&workplace.keys);
        // Not an argument: those are for everybody to see, and a URL may hold a password.
        command.env("REDIS_URL", redis).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("a process of the fleet could not be started")?;
        let stdin = child.stdin.take().context("a pipe")?;
        let stdout = BufReader::new(child.stdout.take().context("a pipe")?);
        Ok(Self { child, stdin, stdout })
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().map(|id| id.to_string()).unwrap_or_default()
    }

    pub(crate) async fn is_ready(&mut self) -> Result<()> {
        ensure!(line(&mut self.stdout).await?.trim() == "ready", "a process of the fleet did not start");
        Ok(())
    }

    pub(crate) async fn begin(&mut self) -> Result<()> {
        Ok(self.stdin.write_all(b"begin\n").await?)
    }

    pub(crate) async fn end(mut self) -> Result<Report> {
        drop(self.stdin);
        let report = line(&mut self.stdout).await?;
        serde_json::from_str(&report).context("a process of the fleet failed; what it said is above")
    }
}

async fn line(stdout: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
    read.map_err(|_| anyhow!("a process of the fleet says nothing"))??;
    Ok(line)
}
