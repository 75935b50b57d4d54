//! A layer from settings: TOML, JSON, environment variables, or whatever else serde reads.
//!
//! | file | idea |
//! |---|---|
//! | `node.rs` | the settings as they were written; reading them never fails |
//! | `environment.rs` | the same from environment variables |
//! | `reader.rs`, `names.rs` | typed values with paths; names that are not known |
//! | `server.rs`, `client.rs`, `grant.rs`, `origins.rs`, `policy.rs` | a table each |
//! | `credential.rs`, `signing.rs`, `dpop.rs` | how a client proves who it is, and binds tokens to a key |
//! | `asked.rs`, `json.rs` | what is asked for with a grant |
//! | `secret.rs`, `outside.rs` | what settings refer to: files, variables, an HTTP client |
//! | `configured.rs` | the result |

use std::{ffi::OsString, fmt};

use oauth_tokens::HttpClient;
use serde::{Deserialize, Deserializer};

pub use self::{configured::ConfiguredLayer, error::ConfigError};
use self::{
    environment::Environment,
    names::Keys,
    node::Node,
    outside::{Http, Outside},
    reader::Place,
};

mod asked;
mod client;
mod configured;
mod credential;
mod dpop;
mod environment;
mod error;
mod grant;
mod json;
mod names;
mod node;
mod origins;
mod outside;
mod policy;
mod reader;
mod secret;
mod server;
#[cfg(feature = "signing")]
mod signing;
#[cfg(test)]
mod tests;

/// `$schema` is for editors of JSON.
const KEYS: Keys = &["server", "client", "grant", "origins", "policy", "$schema"];

/// Every table by its path, with its settings.
const TABLES: &[(&str, Keys)] = &[
    ("", KEYS),
    ("server", server::KEYS),
    ("client", client::KEYS),
    ("client.secret", secret::KEYS),
    ("client.key", secret::KEYS),
    ("client.certificate", secret::FILE_KEYS),
    ("client.assertion", secret::FILE_KEYS),
    ("client.dpop", dpop::KEYS),
    ("client.dpop.key", secret::KEYS),
    ("grant", grant::KEYS),
    ("grant.token", secret::KEYS),
    ("grant.subject_token", secret::KEYS),
    ("grant.actor_token", secret::KEYS),
    ("grant.assertion", secret::KEYS),
    ("origins", origins::KEYS),
    ("policy", policy::KEYS),
];

/// The settings of one layer: an authorization server, a client of it, what the client asks for, and where its tokens go.
///
/// They come from any format that serde reads, or [from environment variables](Self::from_env), and are judged when the
/// layer is [built](Self::build): errors name the field and never repeat a value. Secrets are referred to by file or by
/// environment variable, and refused in the settings themselves. The [guide](crate::guide::configuration) has the whole
/// schema.
///
/// ```
/// use tower_oauth::OAuthConfig;
///
/// let config: OAuthConfig = toml::from_str(
///     r#"
///     origins = ["https://api.example.com"]
///
///     [server]
///     issuer = "https://id.example.com"
///
///     [client]
///     id = "m2m"
///     secret = { file = "/run/secrets/m2m" }
///
///     [grant]
///     scope = ["orders.read", "orders.write"]
///     "#,
/// )?;
/// # #[cfg(feature = "reqwest")] {
/// let layer = config.layer()?; // no network: everything is discovered and fetched on first use
/// # let _ = layer;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OAuthConfig {
    root: Node,
    environment: Option<Environment>,
}

impl OAuthConfig {
    /// The schema of the settings (JSON Schema, draft 2020-12), for editors and validators.
    pub const JSON_SCHEMA: &str = include_str!("config/schema.json");

    /// Settings from the process's environment variables whose names begin with the prefix and `__`.
    ///
    /// Names of nested settings are joined by `__`; digits are indexes. With the prefix `ORDERS_OAUTH`,
    /// `ORDERS_OAUTH__SERVER__ISSUER` is `server.issuer`, and `ORDERS_OAUTH__ORIGINS__0__URL` is `origins[0].url`. A list
    /// may be one variable, with spaces or commas between its items. `ORDERS_OAUTH__CLIENT__SECRET` and its like hold the
    /// secret itself: only their names are kept, and they are read when the layer is built.
    ///
    /// # Errors
    ///
    /// When there is no such variable, when one is not Unicode, or when two contradict each other. All else is judged when
    /// the layer is built.
    pub fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        Environment::of_process(prefix).map(Self::of_environment)
    }

    /// As [`from_env`](Self::from_env), with these variables in place of the process's: for tests. They are also where
    /// `{ env = "NAME" }` is looked up.
    ///
    /// ```
    /// use tower_oauth::OAuthConfig;
    ///
    /// let config = OAuthConfig::from_vars("ORDERS_OAUTH", [
    ///     ("ORDERS_OAUTH__SERVER__ISSUER", "https://id.example.com"),
    ///     ("ORDERS_OAUTH__CLIENT__ID", "m2m"),
    ///     ("ORDERS_OAUTH__CLIENT__SECRET", "s3cr3t"),
    ///     ("ORDERS_OAUTH__GRANT__SCOPE", "orders.read orders.write"),
    ///     ("ORDERS_OAUTH__ORIGINS", "https://api.example.com"),
    /// ])?;
    /// config.validate()?;
    /// # Ok::<(), tower_oauth::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_vars<N, V>(prefix: &str, variables: impl IntoIterator<Item = (N, V)>) -> Result<Self, ConfigError>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Environment::given(prefix, variables).map(Self::of_environment)
    }

    fn of_environment((root, environment): (Node, Environment)) -> Self {
        Self { root, environment: Some(environment) }
    }

    /// Makes the layer, over the default HTTP client for tokens. No network; the files of `server.root_certificates`,
    /// `client.dpop.key` and `grant.token` and environment variables are read now, all others for each exchange.
    ///
    /// # Errors
    ///
    /// The first setting that is wrong, in the order of the schema.
    #[cfg(feature = "reqwest")]
    pub fn build(&self) -> Result<ConfiguredLayer, ConfigError> {
        self.read(Http::Default)
    }

    /// As [`build`](Self::build), over an HTTP client of your own: with your proxy, your timeouts, or without any socket.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); and when `server.root_certificates` or `client.certificate` is set, which your client would
    /// not read.
    pub fn build_via(&self, http: HttpClient) -> Result<ConfiguredLayer, ConfigError> {
        self.read(Http::Given(http))
    }

    /// [`build`](Self::build), for those who need nothing but the layer.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    #[cfg(feature = "reqwest")]
    pub fn layer(&self) -> Result<crate::OAuthLayer, ConfigError> {
        self.build().map(|configured| configured.layer())
    }

    /// Judges the settings by themselves: for a check before they are deployed. Neither files nor environment variables are
    /// looked at.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), but for what is outside of the settings.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.read(Http::LeftAlone).map(drop)
    }

    fn read(&self, http: Http) -> Result<ConfiguredLayer, ConfigError> {
        let outside = Outside { http, environment: self.environment.as_ref() };
        read(&self.root, &outside).map_err(|error| match &self.environment {
            Some(environment) => error.in_environment(environment),
            None => error,
        })
    }
}

fn read(root: &Node, outside: &Outside<'_>) -> Result<ConfiguredLayer, ConfigError> {
    let root = Place::new("", root).table(KEYS)?;
    let server = server::read(&root.table("server", server::KEYS)?)?;
    let identity = client::read(&root.table("client", client::KEYS)?, &server, outside)?;
    let certificate_files = identity.certificate_files();
    let (http, root_certificates) = outside.http(server.root_certificates.as_ref(), certificate_files)?;
    let client = identity.at(&server.over(http)?, outside)?;
    let grant = grant::read(&root.table("grant", grant::KEYS)?, &client, outside)?;
    if identity.is_omitted() && !grant.names_the_client() {
        let message =
            "`omitted` goes with a grant that says itself who the client is: `token_exchange` or `jwt_bearer`";
        return Err(ConfigError::at("client.authentication", message));
    }
    let origins = origins::read(&root, &client, &grant)?;
    let policy = policy::read(&root.table("policy", policy::KEYS)?, &origins, &client, &grant)?;
    let layer = policy.layer(&origins, client, grant)?;
    Ok(ConfiguredLayer { layer, origins, root_certificates, certificate_files: certificate_files.cloned() })
}

/// Never fails on a document that is well-formed: what the settings say is judged when the layer is built.
impl<'de> Deserialize<'de> for OAuthConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node::deserialize(deserializer).map(|root| Self { root, environment: None })
    }
}

/// Shows which settings there are, and not their values: one of them may be a secret in the wrong place.
impl fmt::Debug for OAuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OAuthConfig").field(&self.root).finish()
    }
}
