//! chromedriver as a child process: one for all tests of this binary.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};

/// How long it may take to start, on a machine that is busy.
const START: Duration = Duration::from_secs(60);
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser");
const READY: &str = "was started successfully on port ";

/// Where it listens on 127.0.0.1.
pub(crate) fn port() -> u16 {
    SHARED.port
}

/// It ends with this process, whose end closes the pipe to its stdin.
struct Driver {
    port: u16,
    _process: Child,
    _stdin: Option<ChildStdin>,
}

static SHARED: LazyLock<Driver> = LazyLock::new(|| {
    install();
    let mut command = Command::new(format!("{SCRIPTS}/driver.sh"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // Everything is on loopback, and no business of a proxy's.
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    let mut process = command.spawn().expect("driver.sh runs");
    let stdin = process.stdin.take();
    let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|read| read > 0) && !line.contains(READY) {
            line.clear();
        }
        let _ = send.send(line);
        // Read on to the end, so that whatever else it says never blocks it.
        let _ = stdout.read_to_end(&mut Vec::new());
    });
    let line = receive.recv_timeout(START).unwrap_or_default();
    let port = line.split(READY).nth(1).and_then(|rest| rest.trim().trim_end_matches('.').parse().ok());
    Driver { port: port.expect("chromedriver starts and says its port"), _process: process, _stdin: stdin }
});

/// It does nothing but look when all is there. What is missing is an error, never a skipped test.
fn install() {
    let output = Command::new(format!("{SCRIPTS}/install.sh")).output().expect("install.sh runs");
    assert!(output.status.success(), "no browser: {}", String::from_utf8_lossy(&output.stderr));
}
