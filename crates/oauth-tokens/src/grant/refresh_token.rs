use std::{fmt, pin::Pin, time::Duration};

use tokio::{sync::Mutex, time::Instant};
use zeroize::Zeroizing;

use crate::{BoxError, Error, ErrorKind, Exchange, Form, Grant, TokenSet, renewed_user};

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
///
/// It is made from a refresh token, or from all that an exchange brought: then the access token that came along serves first,
/// and the refresh token is saved like a rotated one. If there was an ID token and a renewal brings one of another user or issuer
/// (OpenID Connect Core, section 12.2), that is an error for good.
///
/// ```no_run
/// # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
/// use oauth_tokens::RefreshToken;
///
/// let issued = client.device_authorization().scope("offline_access").begin().await?.wait().await?;
/// # async fn keep(new: impl AsRef<str>) -> std::io::Result<()> { Ok(()) }
/// let grant = RefreshToken::from(issued).on_rotation(|new| async move { Ok(keep(new).await?) });
/// let tokens = client.grant(grant).cached()?;
/// # let _ = tokens;
/// # Ok(())
/// # }
/// ```
pub struct RefreshToken {
    held: Mutex<Held>,
    save: Option<Box<Save>>,
    empty: bool,
}

struct Held {
    /// None: the access token came without one.
    token: Option<Zeroizing<String>>,
    /// A token that could not be saved yet.
    unsaved: bool,
    /// That of the sign-in: the user must stay the same.
    id_token: Option<Zeroizing<String>>,
    /// What came along with the first refresh token, and when.
    first: Option<(TokenSet, Instant)>,
}

type Save = dyn Fn(Zeroizing<String>) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> + Send + Sync;

impl RefreshToken {
    /// A grant that begins with this refresh token, and keeps a rotated one in memory.
    #[must_use]
    pub fn new(refresh_token: impl Into<String>) -> Self {
        let token = Zeroizing::new(refresh_token.into());
        let empty = token.is_empty();
        Self {
            empty,
            held: Mutex::new(Held { token: Some(token), unsaved: false, id_token: None, first: None }),
            save: None,
        }
    }

    /// Saves each rotated refresh token, before the access token that came with it is used; the first one too, if it came with
    /// an access token.
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
        if let (true, Some(token), Some(save)) = (held.unsaved, &held.token, &self.save) {
            save(token.clone()).await.map_err(|cause| {
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
        if let Some(first) = held.first.take().and_then(still_valid) {
            return Ok(first);
        }
        let token = held.token.clone().ok_or_else(no_refresh_token)?;
        let mut answer = exchange.send_once(Form::new().with("refresh_token", token.as_str())).await;
        if let (Some(id_token), Ok(tokens)) = (&held.id_token, &answer)
            && renewed_user::is_another(Some(id_token), tokens.id_token.as_ref().map(|token| token.as_str()))
        {
            held.token = None;
            return Err(renewed_user::another());
        }
        // The server may have rotated in an answer that is of no other use.
        let rotated = match &mut answer {
            Ok(tokens) => tokens.refresh_token.clone(),
            Err(error) => error.take_rotated(),
        };
        if let Some(rotated) = rotated.filter(|rotated| *rotated != token) {
            held.token = Some(rotated);
            held.unsaved = true;
            self.save(&mut held).await?;
        }
        answer
    }
}

/// What is left of the tokens, if anything.
fn still_valid((mut tokens, received_at): (TokenSet, Instant)) -> Option<TokenSet> {
    let age = Instant::now().saturating_duration_since(received_at);
    tokens.expires_in = tokens.expires_in.map(|lifetime| lifetime.saturating_sub(age));
    tokens.refresh_in = tokens.refresh_in.map(|wait| wait.saturating_sub(age));
    (tokens.expires_in != Some(Duration::ZERO)).then_some(tokens)
}

fn no_refresh_token() -> Error {
    let message = "the access token is used up, and came without a refresh token: sign in again; for a refresh token, ask for \
                   the scope that the server gives one for, often offline_access";
    Error::config(message)
}

impl From<TokenSet> for RefreshToken {
    fn from(mut tokens: TokenSet) -> Self {
        let token = tokens.refresh_token.take().filter(|token| !token.is_empty());
        let id_token = tokens.id_token.clone();
        let held = Held { unsaved: token.is_some(), token, id_token, first: Some((tokens, Instant::now())) };
        Self { empty: false, held: Mutex::new(held), save: None }
    }
}

impl From<&str> for RefreshToken {
    fn from(refresh_token: &str) -> Self {
        Self::new(refresh_token)
    }
}

impl From<String> for RefreshToken {
    fn from(refresh_token: String) -> Self {
        Self::new(refresh_token)
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("saved", &self.save.is_some()).finish_non_exhaustive()
    }
}
