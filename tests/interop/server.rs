//! The servers as child processes, and what their first line says of them.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, LazyLock, Once, mpsc},
    thread,
    time::Duration,
};

use serde_json::Value;

/// How long a server may take to start, on a machine that is busy.
const START: Duration = Duration::from_secs(60);
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");

/// A running server, or one of its realms. It ends when the last of them is dropped, or with this process: its stdin is
/// then closed.
#[derive(Clone, Debug)]
pub(crate) struct RealServer {
    told: Value,
    /// Held, not used: it runs as long as somebody has this.
    _process: Arc<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
}

/// A client that a server knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registered<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) scope: &'a str,
}

/// The oidc-provider that tests share.
pub(crate) fn oidc() -> &'static RealServer {
    static SHARED: LazyLock<RealServer> = LazyLock::new(|| RealServer::start("oidc"));
    &SHARED
}

/// The django-oauth-toolkit that tests share.
pub(crate) fn django() -> &'static RealServer {
    static SHARED: LazyLock<RealServer> = LazyLock::new(|| RealServer::start("django"));
    &SHARED
}

impl RealServer {
    /// Starts a server with an empty store: `oidc` or `django`.
    pub(crate) fn start(which: &str) -> Self {
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
            Ok(told) => Self { told, _process: Arc::new(Process { child, stdin }) },
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{which} did not start: {line:?}\n{}", complaints.join().unwrap_or_default());
            }
        }
    }

    /// Another authorization server and API of the same process, for the same clients: `nonce`, `single_use` or `tls`.
    pub(crate) fn realm(&self, name: &str) -> Self {
        let of_realm = self.told.pointer(&format!("/realms/{name}")).and_then(Value::as_object).expect("a realm");
        let mut realm = self.clone();
        let told = realm.told.as_object_mut().expect("an object");
        told.remove("realms");
        told.extend(of_realm.clone());
        realm
    }

    pub(crate) fn is_oidc(&self) -> bool {
        self.text("/server") == "oidc-provider"
    }

    /// What the first line says, by JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.told.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}: {}", self.told))
    }

    pub(crate) fn issuer(&self) -> &str {
        self.text("/issuer")
    }

    pub(crate) fn token_endpoint(&self) -> &str {
        self.text("/token_endpoint")
    }

    /// The protected API, and a path below it.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("{}{path}", self.text("/api"))
    }

    /// The client in this role, which has a secret: the keys of `clients` in what the server says.
    pub(crate) fn registered(&self, role: &str) -> Registered<'_> {
        let of = |what| self.of_client(role, what);
        Registered { id: of("id"), secret: of("secret"), scope: of("scope") }
    }

    /// What the server says of the client in this role: `id`, `alg`, `key_pem` (the path of a file) and so on.
    pub(crate) fn of_client(&self, role: &str, what: &str) -> &str {
        self.text(&format!("/clients/{role}/{what}"))
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

#[cfg(test)]
mod tests {
    use super::oidc;

    #[tokio::test]
    async fn each_realm_is_an_issuer_of_its_own() {
        let mut issuers = vec![oidc().issuer().to_owned()];
        for name in ["nonce", "single_use", "tls"] {
            let realm = oidc().realm(name);
            assert!(realm.token_endpoint().starts_with(realm.issuer()), "{name}");
            assert_eq!(realm.registered("dpop").id, oidc().registered("dpop").id, "{name}");
            assert!(realm.stats().await["token_requests"].is_u64(), "{name}");
            issuers.push(realm.issuer().to_owned());
        }
        issuers.sort_unstable();
        issuers.dedup();
        assert_eq!(issuers.len(), 4);
    }

    #[cfg(unix)]
    #[test]
    fn s3_keys_are_for_their_owner_only() {
        use std::{fs, os::unix::fs::PermissionsExt, path::Path};

        let folder = Path::new(oidc().of_client("es256", "key_pem")).parent().expect("a folder");
        assert_eq!(fs::metadata(folder).expect("a folder").permissions().mode() & 0o777, 0o700);
        let mut files = 0;
        for file in fs::read_dir(folder).expect("files") {
            let file = file.expect("a file");
            assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600, "{file:?}");
            files += 1;
        }
        assert!(files > 20, "{files}");
    }
}
