//! Why settings make no layer.

use std::{error::Error, fmt, io};

use super::environment::Environment;

/// What is wrong with an [`OAuthConfig`](crate::OAuthConfig).
///
/// `Display` names the field, says what is wrong with it and what to write instead; where the settings are environment
/// variables, it names the variable, too. Values are never repeated: any of them may be a secret that was written into
/// the wrong place.
///
/// ```
/// use tower_oauth::OAuthConfig;
///
/// let config: OAuthConfig = toml::from_str(
///     r#"
///     server.isuer = "https://id.example.com"
///     client.id = "m2m"
///     "#,
/// )?;
/// let error = config.validate().expect_err("a typing error");
/// assert_eq!(error.path(), "server.isuer");
/// assert_eq!(error.to_string(), "`server.isuer`: there is no such setting; did you mean `issuer`?");
/// # Ok::<(), toml::de::Error>(())
/// ```
pub struct ConfigError {
    path: String,
    /// The path with names that are not shown: it leads to the variable.
    place: String,
    variable: Option<String>,
    message: String,
    cause: Option<Cause>,
}

enum Cause {
    Io(io::Error),
    /// Its text is the message already, so its own cause is the next one.
    Tokens(oauth_tokens::Error),
}

impl ConfigError {
    pub(super) fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        let path = path.into();
        Self { place: path.clone(), path, variable: None, message: message.into(), cause: None }
    }

    pub(super) fn with_place(self, place: String) -> Self {
        Self { place, ..self }
    }

    pub(super) fn with_variable(self, name: impl Into<String>) -> Self {
        Self { variable: Some(name.into()), ..self }
    }

    pub(super) fn caused_by(self, cause: io::Error) -> Self {
        Self { cause: Some(Cause::Io(cause)), ..self }
    }

    /// An error of the tokens' own, which repeats no value either.
    pub(super) fn of_tokens(path: impl Into<String>, error: oauth_tokens::Error) -> Self {
        let taken_over = Self::at(path, error.to_string());
        Self { cause: Some(Cause::Tokens(error)), ..taken_over }
    }

    pub(super) fn in_environment(self, environment: &Environment) -> Self {
        match self.variable {
            None if !self.place.is_empty() => {
                let name = environment.variable(&self.place);
                self.with_variable(name)
            }
            _ => self,
        }
    }

    /// The field's path, such as `client.secret` or `origins[1].url`; empty when it is about the settings as a whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The environment variable that holds the field, or would, for settings of
    /// [`OAuthConfig::from_env`](crate::OAuthConfig::from_env).
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }

    /// What is wrong, and what to write instead: `Display` without the path.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of variables can hold line ends and terminal controls.
        let variable = self.variable.as_ref().map(|variable| variable.escape_debug());
        match (self.path.as_str(), &variable) {
            ("", None) => {}
            ("", Some(variable)) => write!(f, "environment variable `{variable}`: ")?,
            (path, None) => write!(f, "`{path}`: ")?,
            (path, Some(variable)) => write!(f, "`{path}` (environment variable `{variable}`): ")?,
        }
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigError")
            .field("path", &self.path)
            .field("variable", &self.variable)
            .field("message", &self.message)
            .field("source", &self.source())
            .finish()
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.cause.as_ref()? {
            Cause::Io(error) => Some(error),
            Cause::Tokens(error) => error.source(),
        }
    }
}
