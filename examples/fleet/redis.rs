//! A Redis of our own, unless there is one.

use std::{env, fmt, net::Ipv4Addr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long it may take to start, on a machine that is busy.
const START: Duration = Duration::from_secs(20);

/// A Redis, and the process that it is, if it is ours; that one ends with this value.
pub(crate) struct Redis {
    url: String,
    process: Option<Child>,
}

impl Redis {
    /// One that is there.
    pub(crate) fn at(url: String) -> Self {
        Self { url, process: None }
    }

    /// One of our own, on a free port of this machine. It keeps nothing on disk.
    pub(crate) async fn start() -> Result<Self> {
        let program = program().context("there is no redis-server: install it, or name a Redis with REDIS_URL")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.current_dir(env::temp_dir()).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().context("redis-server could not be started")?;
        let began = Instant::now();
        while !is_there(port).await {
            if let Some(status) = process.try_wait()? {
                bail!("redis-server ended at once: {status}");
            }
            if began.elapsed() > START {
                bail!("redis-server does not answer");
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { url: format!("redis://127.0.0.1:{port}"), process: Some(process) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it, as a crash would.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("only a Redis of our own can be killed: leave REDIS_URL out")?;
        Ok(process.kill().await?)
    }
}

/// Where it is. A URL that was given may hold a password.
impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.process.is_some() { &self.url } else { "the one that REDIS_URL names" })
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian puts servers where a user's PATH may not look.
    let folders = env::split_paths(&path).chain(["/usr/local/bin", "/usr/sbin"].map(PathBuf::from));
    let programs = folders.flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)));
    programs.into_iter().find(|program| program.is_file())
}

async fn is_there(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let mut answer = [0; 5];
    let asked = stream.write_all(b"PING\r\n").await.is_ok();
    asked && stream.read_exact(&mut answer).await.is_ok() && answer == *b"+PONG"
}
