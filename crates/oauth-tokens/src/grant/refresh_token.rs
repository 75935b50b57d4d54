use std::{fmt, pin::Pin};

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::{BoxError, Error, ErrorKind, Exchange, Form, Grant, TokenSet};

/// The refresh-token grant (RFC 6749, section 6).
///
/// A server may answer with a new refresh token, and treat the old one as stolen from then on (RFC 9700, section 4.14.2).
/// So exchanges happen one at a time, a rotated token takes the old one's place at once, and it is saved before the new
/// access token is used (T10). When saving fails, the exchange fails, and saving is tried again before the next one.
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// # use oauth_tokens::{AuthorizationServer, ClientAuth};
/// use oauth_tokens::RefreshToken;
///
/// # let client = AuthorizationServer::issuer("https://id.example.com")?.client("app", ClientAuth::none())?;
/// let grant = RefreshToken::new("8xLOxBtZp8").on_rotation(|new| async move {
///     // Write it where the next start of the program finds it.
///     std::fs::write("/var/lib/app/refresh-token", new.as_bytes())?;
///     Ok(())
/// });
/// let tokens = client.grant(grant).cached()?;
/// # let _ = tokens;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
pub struct RefreshToken {
    held: Mutex<Held>,
    save: Option<Box<Save>>,
    empty: bool,
}

struct Held {
    token: Zeroizing<String>,
    /// A rotated token that could not be saved yet.
    unsaved: bool,
}

type Save = dyn Fn(Zeroizing<String>) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> + Send + Sync;

impl RefreshToken {
    /// A grant that begins with this refresh token, and keeps a rotated one in memory.
    #[must_use]
    pub fn new(refresh_token: impl Into<String>) -> Self {
        let token = Zeroizing::new(refresh_token.into());
        Self { empty: token.is_empty(), held: Mutex::new(Held { token, unsaved: false }), save: None }
    }

    /// Saves each rotated refresh token, before the access token that came with it is used.
    #[must_use]
    pub fn on_rotation<F, Fut>(mut self, save: F) -> Self
    where
        F: Fn(Zeroizing<String>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.save = Some(Box::new(move |token| Box::pin(save(token))));
        self
    }

    async fn save(&self, held: &mut Held) -> Result<(), Error> {
        if let (true, Some(save)) = (held.unsaved, &self.save) {
            save(held.token.clone()).await.map_err(|cause| {
                let message = "a rotated refresh token could not be saved, so the access token is not used; \
                               saving is tried again before the next exchange";
                Error::new(ErrorKind::Source, message).caused_by(cause)
            })?;
        }
        held.unsaved = false;
        Ok(())
    }
}

impl Grant for RefreshToken {
    fn grant_type(&self) -> &str {
        "refresh_token"
    }

    fn validate(&self) -> Result<(), Error> {
        if self.empty { Err(Error::config("the refresh token is empty")) } else { Ok(()) }
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        let mut held = self.held.lock().await;
        self.save(&mut held).await?;
        let mut answer = exchange.send_once(Form::new().with("refresh_token", held.token.as_str())).await;
        // The server may have rotated in an answer that is of no other use.
        let rotated = match &mut answer {
            Ok(tokens) => tokens.refresh_token.clone(),
            Err(error) => error.take_rotated(),
        };
        if let Some(rotated) = rotated.filter(|rotated| *rotated != held.token) {
            held.token = rotated;
            held.unsaved = true;
            self.save(&mut held).await?;
        }
        answer
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("saved", &self.save.is_some()).finish_non_exhaustive()
    }
}
