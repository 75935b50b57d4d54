//! How a client proves who it is: `client.authentication`, and what goes with it.

use oauth_tokens::{ClientAuth, Error, Secret};

#[cfg(feature = "signing")]
use super::signing::{Signed, Signing};
use super::{
    ConfigError,
    outside::Outside,
    reader::{Table, Written},
    secret::{FilePlace, SecretPlace},
    server::Server,
};

/// By the names of the registry of token endpoint authentication methods (RFC 7591), and some of ours.
pub(super) const METHODS: &[(&str, Method)] = &[
    ("client_secret_basic", Method::Basic),
    ("client_secret_basic_raw", Method::RawBasic),
    ("client_secret_post", Method::Post),
    ("client_secret_jwt", Method::SecretJwt),
    ("private_key_jwt", Method::PrivateKeyJwt),
    ("assertion_file", Method::AssertionFile),
    ("spiffe_jwt", Method::Spiffe),
    ("tls_client_auth", Method::Tls),
    ("self_signed_tls_client_auth", Method::SelfSignedTls),
    ("none", Method::None),
    ("omitted", Method::Omitted),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Basic,
    RawBasic,
    Post,
    SecretJwt,
    PrivateKeyJwt,
    AssertionFile,
    Spiffe,
    Tls,
    SelfSignedTls,
    None,
    Omitted,
}

const GOES_WITH: &[(&str, &[Method])] = &[
    ("secret", &[Method::Basic, Method::RawBasic, Method::Post, Method::SecretJwt]),
    ("key", &[Method::PrivateKeyJwt, Method::Tls, Method::SelfSignedTls]),
    ("key_id", &[Method::PrivateKeyJwt]),
    ("algorithm", &[Method::PrivateKeyJwt]),
    ("certificate", &[Method::Tls, Method::SelfSignedTls]),
    ("assertion", &[Method::AssertionFile, Method::Spiffe]),
    ("assertion_type", &[Method::AssertionFile]),
    ("assertion_audience", &[Method::PrivateKeyJwt, Method::SecretJwt]),
    ("assertion_header_type", &[Method::PrivateKeyJwt, Method::SecretJwt]),
];

/// What a client has to show.
pub(super) enum Credential {
    None,
    Omitted,
    Basic(SecretPlace),
    RawBasic(SecretPlace),
    Post(SecretPlace),
    #[cfg(feature = "signing")]
    Signed(Signed),
    AssertionFile {
        file: FilePlace,
        assertion_type: Option<Written>,
    },
    Spiffe(FilePlace),
    Tls {
        self_signed: bool,
        /// None where the program's own HTTP client has them.
        files: Option<CertificateFiles>,
    },
}

/// A certificate and its private key, read anew when they change.
#[derive(Clone)]
pub(super) struct CertificateFiles {
    pub(super) certificate: FilePlace,
    pub(super) key: FilePlace,
}

pub(super) fn read(
    table: &Table<'_>,
    id: &Written,
    server: &Server,
    outside: &Outside<'_>,
) -> Result<Credential, ConfigError> {
    let method = table.get("authentication").map_or(Ok(Method::Basic), |place| place.choice(METHODS))?;
    let secret = table.get("secret").map(SecretPlace::read).transpose()?;
    let key = table.get("key").map(SecretPlace::read).transpose()?;
    let certificate = table.get("certificate").map(FilePlace::read).transpose()?;
    let assertion = table.get("assertion").map(FilePlace::read).transpose()?;
    let assertion_type = table.text("assertion_type")?;
    #[cfg(feature = "signing")]
    let signing = Signing::read(table)?;
    table.refuse_besides("authentication", METHODS, method, GOES_WITH)?;
    let is_signed = cfg!(feature = "signing") && matches!(method, Method::SecretJwt | Method::PrivateKeyJwt);
    if is_signed && !server.has_issuer() && table.get("assertion_audience").is_none() {
        let message = "it is missing: the server is given by its `token_endpoint`, so nothing else says for whom an assertion \
                       is: write what the server expects as `aud`, which may be its token endpoint's URL";
        return Err(table.error("assertion_audience", message));
    }

    let secret = || secret.ok_or_else(|| missing(table, "secret", SECRET_MISSING));
    let assertion = || assertion.ok_or_else(|| missing(table, "assertion", ASSERTION_MISSING));
    Ok(match method {
        Method::Basic => Credential::Basic(secret()?),
        Method::RawBasic if id.text.contains(':') => {
            return Err(id.error("a client id with a colon does not go with `client_secret_basic_raw`"));
        }
        Method::RawBasic => Credential::RawBasic(secret()?),
        Method::Post => Credential::Post(secret()?),
        #[cfg(feature = "signing")]
        Method::SecretJwt => Credential::Signed(signing.by_secret(secret()?)),
        #[cfg(feature = "signing")]
        Method::PrivateKeyJwt => {
            Credential::Signed(signing.by_key(key.ok_or_else(|| missing(table, "key", KEY_MISSING))?))
        }
        #[cfg(not(feature = "signing"))]
        Method::SecretJwt | Method::PrivateKeyJwt => {
            let name = if method == Method::SecretJwt { "client_secret_jwt" } else { "private_key_jwt" };
            let message = format!("`{name}` needs the feature `signing` of tower-oauth");
            return Err(table.error("authentication", message));
        }
        Method::AssertionFile => Credential::AssertionFile { file: assertion()?, assertion_type },
        Method::Spiffe => Credential::Spiffe(assertion()?),
        Method::Tls | Method::SelfSignedTls => {
            let files = match (certificate, key) {
                (None, None) if outside.has_own_http() => None,
                (None, _) => return Err(missing(table, "certificate", CERTIFICATE_MISSING)),
                (Some(_), None) => return Err(missing(table, "key", CERTIFICATE_KEY_MISSING)),
                (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key: key.into_file()? }),
            };
            Credential::Tls { self_signed: method == Method::SelfSignedTls, files }
        }
        Method::None => Credential::None,
        Method::Omitted => Credential::Omitted,
    })
}

/// Never a public client by accident: the secret may just not have been mounted.
const SECRET_MISSING: &str = "write where it is, `{ file = \"/run/secrets/NAME\" }` or `{ env = \"NAME\" }`; a client \
                              without a secret says so by `authentication = \"none\"`";
#[cfg(feature = "signing")]
const KEY_MISSING: &str = "write where the private key is, `{ file = \"/run/secrets/NAME\" }` or `{ env = \"NAME\" }`";
const ASSERTION_MISSING: &str = "write where it is, `{ file = \"/var/run/secrets/tokens/NAME\" }`";
const CERTIFICATE_MISSING: &str = "write where it is, `{ file = \"/run/tls/tls.crt\" }`";
const CERTIFICATE_KEY_MISSING: &str = "write where the certificate's private key is, `{ file = \"/run/tls/tls.key\" }`";

fn missing(table: &Table<'_>, setting: &str, message: &str) -> ConfigError {
    table.error(setting, format!("it is missing: {message}"))
}

impl Credential {
    pub(super) fn certificate_files(&self) -> Option<&CertificateFiles> {
        match self {
            Self::Tls { files, .. } => files.as_ref(),
            _ => None,
        }
    }

    pub(super) fn auth(&self, outside: &Outside<'_>) -> Result<ClientAuth, ConfigError> {
        Ok(match self {
            Self::None => ClientAuth::none(),
            Self::Omitted => ClientAuth::omitted(),
            Self::Basic(secret) => ClientAuth::secret_basic(secret.secret(outside)?),
            Self::RawBasic(secret) => ClientAuth::secret_basic_raw(secret.secret(outside)?),
            Self::Post(secret) => ClientAuth::secret_post(secret.secret(outside)?),
            #[cfg(feature = "signing")]
            Self::Signed(signed) => signed.auth(outside)?,
            Self::AssertionFile { file, assertion_type: None } => ClientAuth::assertion_file(&file.file),
            Self::AssertionFile { file, assertion_type: Some(kind) } => {
                ClientAuth::assertion(kind.text.clone(), Secret::file(&file.file))
            }
            Self::Spiffe(file) => ClientAuth::spiffe_svid_file(&file.file),
            Self::Tls { self_signed: false, .. } => ClientAuth::tls_client_auth(),
            Self::Tls { self_signed: true, .. } => ClientAuth::self_signed_tls_client_auth(),
        })
    }

    /// What was refused, where all else was judged before.
    pub(super) fn refused(&self, error: Error) -> ConfigError {
        let path = match self {
            Self::None | Self::Omitted => "client.authentication",
            Self::Basic(secret) | Self::RawBasic(secret) | Self::Post(secret) => secret.path(),
            #[cfg(feature = "signing")]
            Self::Signed(signed) => signed.path(),
            Self::AssertionFile { assertion_type: Some(kind), .. } => &kind.path,
            Self::AssertionFile { file, .. } | Self::Spiffe(file) => &file.path,
            Self::Tls { .. } => "client.certificate",
        };
        ConfigError::of_tokens(path, error)
    }
}
