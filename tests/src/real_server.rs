//! The servers of the interop tests, as child processes: see `interop/README.md`.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Once, mpsc},
    thread,
    time::Duration,
};

use serde_json::Value;

/// How long a server may take to start, on a machine that is busy.
const START: Duration = Duration::from_secs(60);
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");

/// A server that ends when this is dropped, or with this process: its stdin is then closed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
}

/// Starts a server with an empty store, `oidc` or `django`, and gives what it says of itself.
///
/// # Panics
///
/// When it cannot be installed, or does not start.
#[must_use]
pub fn start(which: &str) -> (Value, Process) {
    install();
    let mut child = Command::new(format!("{SCRIPTS}/start.sh"))
        .arg(which)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start.sh runs");
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().expect("a pipe");
    let mut stderr = child.stderr.take().expect("a pipe");
    let complaints = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let _ = stdout.read_line(&mut line);
        let _ = send.send(line);
        // Read on to the end, so that whatever else the server says never blocks it.
        let _ = stdout.read_to_end(&mut Vec::new());
    });
    let line = receive.recv_timeout(START).unwrap_or_default();
    match serde_json::from_str(&line) {
        Ok(told) => (told, Process { child, stdin }),
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{which} did not start: {line:?}\n{}", complaints.join().unwrap_or_default());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Once for each process; it does nothing when all is there. What is missing is an error, never a skipped test.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let output = Command::new(format!("{SCRIPTS}/install.sh")).output().expect("install.sh runs");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the servers cannot be installed: {complaints}");
    });
}
