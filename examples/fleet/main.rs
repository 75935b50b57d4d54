//! A fleet that shares its tokens: eight processes, one Redis, one token request for each lifetime of a token.
//!
//! ```sh
//! cargo run -p examples --example fleet                                     # one lifetime
//! cargo run -p examples --example fleet -- --lifetimes 3                    # three of them: three token requests
//! cargo run -p examples --example fleet -- --lifetimes 2 --kill-redis       # then each fetches its own; no call fails
//! REDIS_URL=redis://127.0.0.1 cargo run -p examples --example fleet         # a Redis that is there
//! ```
//!
//! The authorization server and the API are embedded in the first process, and count. It starts a Redis of its own (Debian:
//! `apt install redis-server`) unless `REDIS_URL` names one, and then itself, eight times; all of them begin at the same
//! moment, without a token, and call the API until they are told to stop. With `--kill-redis`, Redis is killed in the middle.
//! The exit code is 0 only if no call failed and no token request was made that need not be.
//!
//! What a process of the fleet does is in `worker.rs`.

mod redis;
mod worker;

use std::{fs, io::Write as _, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Parser, Subcommand};
use examples::Steps;
use oauth_test_server::{Endpoint, TestServer};
use tokio::time::{Instant, sleep};

use self::{
    redis::Redis,
    worker::{Report, Worker, Workplace},
};

/// A fleet that shares its tokens on Redis.
#[derive(Parser)]
struct Args {
    /// How many processes there are.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    processes: u8,
    /// How many lifetimes of a token they see: one that is an hour long, or several short ones.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    lifetimes: u32,
    /// Kills Redis in the middle.
    #[arg(long)]
    kill_redis: bool,
    /// A Redis that is there.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// One process of the fleet; started by the first one.
    #[command(hide = true)]
    Worker(Workplace),
}

/// How long a token lives where several of them are to be seen; else it is an hour.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// How long everything goes on after the last token was fetched, or Redis was killed.
const ENCORE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    match (&args.role, &args.redis_url) {
        (Some(Role::Worker(workplace)), Some(redis)) => worker::work(workplace, redis).await,
        (Some(Role::Worker(_)), None) => bail!("a worker needs REDIS_URL"),
        (None, _) => Fleet::start(args).await?.run().await,
    }
}

struct Fleet {
    args: Args,
    server: TestServer,
    redis: Redis,
    workers: Vec<Worker>,
    lifetime: Duration,
    /// Holds the key that the tokens are encrypted with.
    _secrets: tempfile::TempDir,
}

impl Fleet {
    async fn start(args: Args) -> Result<Self> {
        let lifetime = if args.lifetimes == 1 { Duration::from_secs(3600) } else { SHORT_LIFE };
        let server = TestServer::builder().token_lifetime(Some(lifetime)).start().await?;
        let redis = match &args.redis_url {
            Some(url) => Redis::at(url.clone()),
            None => Redis::start().await?,
        };
        let secrets = tempfile::tempdir()?;
        let keys = secrets.path().join("store-keys");
        write_key(&keys)?;
        println!("authorization server  {}", server.issuer());
        println!("the API it protects   {}", server.api_origin());
        println!("Redis                 {redis}");
        let workplace = Workplace { issuer: server.issuer().to_owned(), api: server.api_url("/orders"), keys };
        let mut workers = Vec::new();
        for _ in 0..args.processes {
            workers.push(Worker::start(&workplace, redis.url())?);
        }
        Ok(Self { args, server, redis, workers, lifetime, _secrets: secrets })
    }

    async fn run(mut self) -> Result<()> {
        let mut steps = Steps::default();
        steps.begin(format!("{} processes are ready, and none has a token.", self.workers.len()));
        for worker in &mut self.workers {
            worker.is_ready().await?;
        }
        steps.note(format!("process {}", self.workers.iter().map(Worker::id).collect::<Vec<_>>().join(", ")));

        steps.begin("All of them begin at once. One fetches a token, the others take it from Redis.");
        let began = Instant::now();
        for worker in &mut self.workers {
            worker.begin().await?;
        }
        let last = if self.args.kill_redis { self.args.lifetimes.div_ceil(2) } else { self.args.lifetimes };
        self.tokens_fetched(last).await?;
        sleep(ENCORE).await;
        let shared = self.token_requests();
        steps.note(format!("token requests so far: {shared}"));
        if self.args.kill_redis {
            steps.begin("Redis is killed. The token that is there serves on, and then each process fetches its own.");
            self.redis.kill().await?;
            // Every process has renewed its token then, but those that had just taken one.
            sleep(if self.args.lifetimes == 1 { ENCORE } else { self.lifetime }).await;
            steps.note(format!("token requests so far: {}", self.token_requests()));
        }

        steps.begin("All of them end, and say what they saw.");
        let mut total = Report::default();
        for worker in self.workers.drain(..) {
            let (id, report) = (worker.id(), worker.end().await?);
            steps.note(format!("process {id}: {} calls, {} failed", report.calls, report.failed));
            total.add(report);
        }
        for (number, when) in (1..).zip(self.times_of_token_requests()) {
            steps.note(format!("token request {number} came after {:.1} s", when.duration_since(began).as_secs_f64()));
        }
        self.close(&total, shared)
    }

    /// Waits until there were so many token requests.
    async fn tokens_fetched(&self, count: u32) -> Result<()> {
        let patience = self.lifetime.min(SHORT_LIFE) * (count + 1);
        let began = Instant::now();
        while self.token_requests() < u64::from(count) {
            ensure!(began.elapsed() < patience, "there were fewer token requests than lifetimes");
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The closing lines, from the server's own counters.
    fn close(&self, total: &Report, shared: u64) -> Result<()> {
        let (processes, requests) = (u64::from(self.args.processes), self.token_requests());
        println!("\ncalls succeeded: {}", total.calls - total.failed);
        println!("calls failed: {}", total.failed);
        println!("processes: {processes}");
        println!("token requests: {requests}");
        ensure!(total.failed == 0, "calls failed; the first: {}", total.first_failure.as_deref().unwrap_or_default());
        ensure!(total.calls >= processes * 10, "the processes did not get to do much");
        let times = self.times_of_token_requests();
        let fetched = &times[..usize::try_from(shared)?.min(times.len())];
        let is_due = |pair: &[Instant]| pair[1].duration_since(pair[0]) >= self.lifetime / 2;
        ensure!(fetched.windows(2).all(is_due), "a token was fetched while there was a good one");
        if !self.args.kill_redis {
            ensure!(requests == u64::from(self.args.lifetimes), "more than one token request for each lifetime");
        } else if self.args.lifetimes == 1 {
            ensure!(requests == 1, "a token was fetched while there was a good one");
        } else {
            ensure!(requests > shared && requests <= shared + 2 * processes, "each process was to fetch for itself");
        }
        Ok(())
    }

    fn token_requests(&self) -> u64 {
        self.server.counters().token_requests
    }

    fn times_of_token_requests(&self) -> Vec<Instant> {
        self.server.requests_to(Endpoint::Token).iter().map(|request| request.when).collect()
    }
}

/// A key as `openssl rand -base64 32` makes it, in a file that nobody else reads: the folder is ours alone.
fn write_key(path: &Path) -> Result<()> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key)?;
    let mut file = fs::File::create_new(path).context("the key's file")?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    Ok(())
}
