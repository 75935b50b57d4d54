//! The servers, and what their first line says of them.

use std::sync::{Arc, LazyLock};

use ::tests::real_server::{self, Process};
use serde_json::Value;

/// A running server, or one of its realms. It ends when the last of them is dropped, or with this process: its stdin is
/// then closed.
#[derive(Clone, Debug)]
pub(crate) struct RealServer {
    told: Value,
    /// Held, not used: it runs as long as somebody has this.
    _process: Arc<Process>,
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
        let (told, process) = real_server::start(which);
        Self { told, _process: Arc::new(process) }
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
