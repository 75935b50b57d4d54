//! A real Redis, as a child process on a free port of this machine.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use crate::support::TempFolder;

/// How long a server may take to start, on a machine that is busy.
const START: Duration = Duration::from_secs(20);

/// Starts the server, says its process id, and ends with it. It is killed when nobody holds our end of the pipe any more: so
/// it ends with this process, however that ends.
const SUPERVISOR: &str = r#"
exec 3<&0 2>/dev/null
"$@" </dev/null >log 2>&1 &
server=$!
echo $server
(read -r _ <&3; kill -9 $server) >/dev/null &
watcher=$!
wait $server
kill $watcher
"#;

/// A Redis of a test's own, which ends when it is dropped. It keeps nothing on disk.
#[derive(Debug)]
pub struct RedisServer {
    arguments: Vec<String>,
    folder: TempFolder,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    supervisor: Child,
    pid: String,
}

impl RedisServer {
    /// A Redis without a password.
    ///
    /// # Panics
    ///
    /// When there is none to be had, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A Redis with these arguments (`--requirepass`, ...).
    ///
    /// # Panics
    ///
    /// When there is none to be had, or it does not start.
    #[must_use]
    pub fn with(arguments: &[&str]) -> Self {
        let mut server = Self::prepared(arguments);
        // Another process may have taken the port that was free a moment ago.
        for _ in 0..3 {
            if server.try_start() {
                return server;
            }
            server.port = free_port();
        }
        panic!("Redis does not start: {}", server.log())
    }

    /// A Redis that is not started yet: a port where nobody listens, until [`restart`](Self::restart).
    #[must_use]
    pub fn prepared(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { arguments, folder: TempFolder::new(), port: free_port(), running: None }
    }

    /// The port on 127.0.0.1; with `--tls-port 0` among the arguments, it speaks TLS there.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, without TLS and password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it, as a crash would; connections break, and what it knew is gone.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "Redis does not start again: {}", self.log());
    }

    /// Stops it without ending it: connections stay, and nobody answers, until [`resume`](Self::resume).
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let running = self.running.as_ref().expect("it runs");
        let done = Command::new("kill").args([signal, &running.pid]).status().expect("kill runs");
        assert!(done.success(), "{signal} did not reach Redis");
    }

    fn try_start(&mut self) -> bool {
        let port = self.port.to_string();
        let speaks_tls = self.arguments.iter().any(|argument| argument == "--tls-cert-file");
        let ports =
            if speaks_tls { ["--port", "0", "--tls-port", &port] } else { ["--tls-port", "0", "--port", &port] };
        let fixed = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--logfile", ""];
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "sh", &PROGRAM]).args(ports).args(fixed).args(&self.arguments);
        command.current_dir(self.folder.path("")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut supervisor = command.spawn().expect("sh runs");
        let mut pid = String::new();
        let said = BufReader::new(supervisor.stdout.take().expect("a pipe")).read_line(&mut pid);
        said.expect("the supervisor says a process id");
        let mut running = Running { supervisor, pid: pid.trim().to_owned() };
        let began = Instant::now();
        while began.elapsed() < START && matches!(running.supervisor.try_wait(), Ok(None)) {
            if self.listens(speaks_tls) {
                self.running = Some(running);
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Somebody listens, and it is Redis where that can be seen.
    fn listens(&self, speaks_tls: bool) -> bool {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else { return false };
        if speaks_tls {
            return true;
        }
        let mut answer = [0; 1];
        let asked = stream.set_read_timeout(Some(Duration::from_secs(1))).and_then(|()| stream.write_all(b"PING\r\n"));
        // `+PONG`, or `-NOAUTH`.
        asked.and_then(|()| stream.read_exact(&mut answer)).is_ok() && matches!(&answer, b"+" | b"-")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path("log")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Once for each process; it does nothing but look when all is there. What is missing is an error, never a skipped test.
static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let script: &OsStr = concat!(env!("CARGO_MANIFEST_DIR"), "/redis/install.sh").as_ref();
    let output = Command::new(script).output().expect("install.sh runs");
    assert!(output.status.success(), "Redis cannot be installed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
});

/// A port where nobody listens, and the one 10,000 above it, where a node of a cluster talks to the others.
fn free_port() -> u16 {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let free = (0..1_000).map(|_| bind(0).and_then(|listener| listener.local_addr()).expect("a socket").port());
    let both = |port: &u16| port.checked_add(10_000).is_some_and(|bus| bind(bus).is_ok());
    free.into_iter().find(both).expect("two free ports")
}
