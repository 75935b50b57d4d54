//! A store with settings.

use std::{fmt, time::Duration};

use oauth_tokens::{Error, Secret, StoreKeys};

use crate::{
    address::ServerUrl,
    cluster::Cluster,
    settings::Settings,
    store::RedisStore,
    tls::{Identity, Tls, certificates},
};

const DEFAULT_PREFIX: &str = "oauth-tokens";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const OPERATION_TIMEOUT: Duration = Duration::from_millis(250);

/// Settings of a [`RedisStore`]; see [`RedisStore::builder`].
#[must_use]
pub struct RedisStoreBuilder {
    urls: Vec<String>,
    keys: StoreKeys,
    prefix: String,
    password: Option<Secret>,
    roots: Vec<Vec<u8>>,
    identity: Option<Result<Identity, &'static str>>,
    plain_anywhere: bool,
    connect_timeout: Duration,
    operation_timeout: Duration,
}

impl RedisStoreBuilder {
    pub(crate) fn new(url: &str, keys: StoreKeys) -> Self {
        Self {
            urls: vec![url.to_owned()],
            keys,
            prefix: DEFAULT_PREFIX.to_owned(),
            password: None,
            roots: Vec::new(),
            identity: None,
            plain_anywhere: false,
            connect_timeout: CONNECT_TIMEOUT,
            operation_timeout: OPERATION_TIMEOUT,
        }
    }

    /// Another node of the same cluster, to begin with when the first is down. The other nodes are found through these. User
    /// and password are the same for all; they may be left out here.
    pub fn node(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// What the names of keys begin with (`oauth-tokens` unless said otherwise): 1 to 64 letters, digits, `-`, `_`, `.` or `:`.
    /// Services that must not see each other's tokens have keys of their own ([`StoreKeys`]), not only prefixes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Trusts these root certificates (PEM, one or many) besides the system's.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Shows this certificate (PEM, its chain after it) with this private key (PEM, not encrypted): Redis asks for one unless
    /// its `tls-auth-clients` says otherwise.
    pub fn identity(mut self, certificate_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity::from_pem(certificate_pem.as_ref(), key_pem.as_ref()));
        self
    }

    /// How long a connection may take to be made, TLS and login included: 1 s unless said otherwise.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long an answer may take on a connection that is there: 250 ms unless said otherwise.
    pub fn operation_timeout(mut self, limit: Duration) -> Self {
        self.operation_timeout = limit;
        self
    }

    /// Allows `redis://` to other machines: whoever is on the way reads the password, and may delete or put back records, which
    /// stay encrypted. For a mesh that encrypts below, and nothing else.
    pub fn dangerously_allow_plain_redis(mut self) -> Self {
        self.plain_anywhere = true;
        self
    }

    /// The password, where it is not in the URL: from a file or a function it is read anew for each connection, so rotation needs
    /// no restart.
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The store. No I/O: it is connected to when it is first asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](oauth_tokens::ErrorKind::Config) when a URL, certificate, key, prefix or limit cannot be used, and
    /// when the nodes of a cluster are to be talked to in different ways.
    pub fn build(self) -> Result<RedisStore, Error> {
        self.keys.validate()?;
        let urls = self.urls.iter().map(|url| self.checked(url)).collect::<Result<Vec<_>, _>>()?;
        let [first, others @ ..] = &urls[..] else { return Err(refused("there is no URL")) };
        self.check_values(first, others).map_err(refused)?;
        let settings = Settings {
            user: first.login.user.clone(),
            password: self.password.or_else(|| first.login.password.as_ref().map(|value| Secret::new(value.as_str()))),
            database: first.database,
            tls: if first.tls { Some(tls(&self.roots, self.identity).map_err(refused)?) } else { None },
            plain_anywhere: self.plain_anywhere,
            connect_timeout: self.connect_timeout,
            operation_timeout: self.operation_timeout,
        };
        let cluster = Cluster::new(urls.into_iter().map(|url| url.address).collect(), settings);
        Ok(RedisStore::over(cluster, self.keys, self.prefix))
    }

    fn checked(&self, url: &str) -> Result<ServerUrl, Error> {
        // The URL itself is not repeated: there may be a password in it.
        let url = ServerUrl::parse(url).map_err(|why| refused(&format!("its URL cannot be used: {why}")))?;
        if !url.tls && !self.plain_anywhere && !url.address.is_loopback() {
            return Err(refused("its URL cannot be used: it is plain redis:// to another machine: use rediss://"));
        }
        Ok(url)
    }

    fn check_values(&self, first: &ServerUrl, others: &[ServerUrl]) -> Result<(), &'static str> {
        let is_alike = |other: &ServerUrl| {
            let same_login = !other.login.is_given() || other.login == first.login;
            same_login && (other.tls, other.database) == (first.tls, first.database)
        };
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if !others.iter().all(is_alike) {
            Err("the nodes of a cluster have one scheme, user, password and database")
        } else if !others.is_empty() && first.database != 0 {
            Err("a cluster has no databases: leave the number out")
        } else if self.password.is_some() && first.login.password.is_some() {
            Err("there is a password in its URL, and another one beside it")
        } else if first.login.user.is_some() && self.password.is_none() && first.login.password.is_none() {
            Err("there is a user in its URL, but no password")
        } else if !first.tls && (!self.roots.is_empty() || self.identity.is_some()) {
            Err("certificates are of no use with redis://: write rediss://")
        } else if self.connect_timeout.is_zero() || self.operation_timeout.is_zero() {
            Err("a limit of no time at all lets nothing through")
        } else if !(1..=64).contains(&self.prefix.len()) || !self.prefix.bytes().all(is_part) {
            Err("its prefix must be 1 to 64 letters, digits, '-', '_', '.' or ':'")
        } else {
            Ok(())
        }
    }
}

fn tls(roots: &[Vec<u8>], identity: Option<Result<Identity, &'static str>>) -> Result<Tls, &'static str> {
    let unreadable = "the root certificates cannot be read: PEM is expected (-----BEGIN CERTIFICATE-----)";
    let roots = roots.iter().map(|pem| certificates(pem)).collect::<Option<Vec<_>>>().ok_or(unreadable)?;
    Ok(Tls::new(roots.concat(), identity.transpose()?))
}

fn refused(why: &str) -> Error {
    Error::config(format!("the Redis store cannot be used: {why}"))
}

/// URLs are not shown: until they are checked, they may hold a password anywhere.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("urls", &self.urls.len())
            .field("keys", &self.keys)
            .field("prefix", &self.prefix)
            .field("password", &self.password)
            .field("roots", &self.roots.len())
            .field("identity", &self.identity.is_some())
            .field("plain_anywhere", &self.plain_anywhere)
            .field("connect_timeout", &self.connect_timeout)
            .field("operation_timeout", &self.operation_timeout)
            .finish()
    }
}
