use std::collections::BTreeSet;

/// A client registered at the authorization server.
///
/// ```
/// use oauth_test_server::{Client, ClientAuthMethod};
///
/// let client = Client::new("m2m")
///     .secret("s3cr3t")
///     .scopes(["read", "write"])
///     .auth_methods([ClientAuthMethod::ClientSecretPost]);
/// # let _ = client;
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) auth_methods: Vec<ClientAuthMethod>,
    pub(crate) raw_basic: bool,
    pub(crate) grant_types: Option<BTreeSet<String>>,
}

impl Client {
    /// A public client without scopes. Give it a [`secret`](Self::secret) to make it confidential.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: None,
            scopes: BTreeSet::new(),
            auth_methods: vec![ClientAuthMethod::None],
            raw_basic: false,
            grant_types: None,
        }
    }

    /// Makes the client confidential: it authenticates by `client_secret_basic` or
    /// `client_secret_post`, until [`auth_methods`](Self::auth_methods) says otherwise.
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        if self.auth_methods == [ClientAuthMethod::None] {
            self.auth_methods = vec![ClientAuthMethod::ClientSecretBasic, ClientAuthMethod::ClientSecretPost];
        }
        self
    }

    /// The scopes that the client may ask for. It gets all of them when it asks for none.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The only ways in which the client may authenticate; others are refused as `invalid_client`.
    /// Call it after [`secret`](Self::secret).
    pub fn auth_methods(mut self, methods: impl IntoIterator<Item = ClientAuthMethod>) -> Self {
        self.auth_methods = methods.into_iter().collect();
        self
    }

    /// Takes the id and secret of `client_secret_basic` as they are, without form decoding, against
    /// RFC 6749 section 2.3.1. Some real servers do so.
    pub fn raw_basic(mut self) -> Self {
        self.raw_basic = true;
        self
    }

    /// The only grant types that the client may use; others are refused as `unauthorized_client`.
    /// Without this, it may use all.
    pub fn grant_types(mut self, grant_types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.grant_types = Some(grant_types.into_iter().map(Into::into).collect());
        self
    }

    pub(crate) fn may_use(&self, grant_type: &str) -> bool {
        self.grant_types.as_ref().is_none_or(|allowed| allowed.contains(grant_type))
    }
}

/// How a client authenticates, by the names of the IANA registry (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuthMethod {
    /// `client_secret_basic`: id and secret, form-encoded, in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// `client_secret_post`: id and secret in the form.
    ClientSecretPost,
    /// `none`: a public client sends its id only.
    None,
}
