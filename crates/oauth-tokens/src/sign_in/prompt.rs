use std::{borrow::Cow, fmt};

/// What the server is to ask the user, whatever it knows already (`prompt`; OpenID Connect Core, section 3.1.2.1).
///
/// ```
/// use oauth_tokens::Prompt;
///
/// assert_eq!(Prompt::from("login"), Prompt::LOGIN);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Prompt(Cow<'static, str>);

impl Prompt {
    /// Nothing at all: who is not signed in at the server, or has not consented, comes back with
    /// [`ErrorKind::InteractionRequired`](crate::ErrorKind::InteractionRequired).
    pub const NONE: Self = Self(Cow::Borrowed("none"));
    /// To sign in again.
    pub const LOGIN: Self = Self(Cow::Borrowed("login"));
    /// To consent again.
    pub const CONSENT: Self = Self(Cow::Borrowed("consent"));
    /// To choose an account.
    pub const SELECT_ACCOUNT: Self = Self(Cow::Borrowed("select_account"));
    /// To sign up (Initiating User Registration via OpenID Connect 1.0).
    pub const CREATE: Self = Self(Cow::Borrowed("create"));

    /// The value, as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One of the server's own, or one that is a setting.
impl From<&str> for Prompt {
    fn from(value: &str) -> Self {
        Self(Cow::Owned(value.to_owned()))
    }
}

impl From<String> for Prompt {
    fn from(value: String) -> Self {
        Self(Cow::Owned(value))
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prompt").field(&self.0).finish()
    }
}
