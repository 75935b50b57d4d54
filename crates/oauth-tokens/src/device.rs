//! Device authorization (RFC 8628): a user says yes on another device, while this one asks again and again.

mod response;

use std::{fmt, future::ready, time::Duration};

use tokio::time::Instant;

use self::response::Response;
use crate::{
    Error, ErrorKind, Exchange, Form, TokenCache, TokenClient, TokenRequest, TokenSet,
    clock::{after, doubled},
    endpoint_url::PlainHttp,
    retry::Repeat,
    timer,
};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ENDPOINT: &str = "device_authorization_endpoint";
/// What `slow_down` adds to the interval (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest pause while the server cannot be reached: it doubles each time, as RFC 8628 (section 3.5) would have it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a client asks a user for by a code (RFC 8628); see [`TokenClient::device_authorization`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceCode;

impl TokenRequest<DeviceCode> {
    /// Asks for a code that the user enters on another device (RFC 8628, section 3.1).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when something was asked for that cannot be sent; whatever keeps a code from being issued.
    pub async fn begin(&self) -> Result<DeviceAuthorization, Error> {
        let form = self.parameters(None)?;
        let mut resources = Form::new();
        self.push_resources(&mut resources)?;
        let server = self.client.server();
        let since = server.clock().now();
        let response = self.client.call(ENDPOINT, "device authorization request", &form, &Response::read).await?;
        let endpoint = server.find_endpoint(ENDPOINT, self.client.auth()).await?;
        // Where plain http was allowed to the server, it is to its pages.
        let plain_http = match endpoint.is_https() || endpoint.is_loopback() {
            true => PlainHttp::LoopbackOnly,
            false => PlainHttp::Anywhere,
        };
        response.check_urls(plain_http)?;
        let now = server.clock().now();
        Ok(DeviceAuthorization {
            client: self.client.clone(),
            resources,
            expires_at: after(since, response.expires_in),
            given_up_at: None,
            next_poll: after(now, response.interval),
            unreached: 0,
            response,
        })
    }
}

impl fmt::Debug for TokenRequest<DeviceCode> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug(GRANT_TYPE, f)
    }
}

/// A user is to say yes: what to show, and the wait for it (RFC 8628, sections 3.2 to 3.5).
///
/// Show [`user_code`](Self::user_code) and [`verification_uri`](Self::verification_uri), and
/// [`verification_uri_complete`](Self::verification_uri_complete) as a QR code if you can; then [`wait`](Self::wait).
pub struct DeviceAuthorization {
    client: TokenClient,
    response: Response,
    /// What each poll asks for besides.
    resources: Form,
    expires_at: Instant,
    given_up_at: Option<Instant>,
    next_poll: Instant,
    /// How often in a row the server could not be reached.
    unreached: u32,
}

/// What one poll came to, if not to tokens.
enum Poll {
    Pending,
    SlowDown,
    /// Nothing was learnt about the code.
    Unreached,
    Over(ErrorKind),
}

impl DeviceAuthorization {
    /// The code that the user enters: to be shown, and not to be logged.
    #[must_use]
    pub fn user_code(&self) -> &str {
        &self.response.user_code
    }

    /// Where the user enters it: https, or http on this very machine.
    #[must_use]
    pub fn verification_uri(&self) -> &str {
        &self.response.verification_uri
    }

    /// The same with the code in it, for a QR code or a link; the code is shown all the same, so that the user can compare
    /// (RFC 8628, section 3.3.1).
    #[must_use]
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.response.verification_uri_complete.as_deref().map(String::as_str)
    }

    /// How long the code is still good.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.expires_at.saturating_duration_since(self.client.server().clock().now())
    }

    /// Gives up after this time from now, though the code may be good for longer: [`wait`](Self::wait) then ends with
    /// [`ErrorKind::Timeout`]. Other than a timeout around it, this interrupts no poll, which may bring the tokens.
    #[must_use]
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.given_up_at = Some(after(self.client.server().clock().now(), time));
        self
    }

    /// Waits until the user has said yes.
    ///
    /// It asks the server as often as that allows (every 5 seconds if it does not say), more slowly when told so
    /// (`slow_down`), and more slowly still while the server cannot be reached. Drop the future to stop; called again, it
    /// goes on at the same pace. A poll that is dropped may have brought the tokens, which are then lost.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AccessDenied`] when the user said no, [`ErrorKind::DeviceCodeExpired`] when the code has expired: begin
    /// anew, if the user wants to. Else whatever the server refused it with.
    pub async fn wait(&mut self) -> Result<TokenSet, Error> {
        let (client, resources) = (self.client.clone(), self.resources.clone());
        let exchange = Exchange::new(&client, GRANT_TYPE, &resources);
        exchange.traced(self.poll_until_answered(&exchange), |tokens| tokens.expires_in).await
    }

    /// [`wait`](Self::wait), and a cache that goes on from there: with the access token first, and with the refresh token,
    /// if there is one, when that is used up. To keep the refresh token for the next start of the program, see
    /// [`RefreshToken`](crate::RefreshToken).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub async fn cached(&mut self) -> Result<TokenCache, Error> {
        let tokens = self.wait().await?;
        self.client.refresh_token(tokens).cached()
    }

    async fn poll_until_answered(&mut self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        let clock = self.client.server().clock().clone();
        let mut last_failure = None;
        loop {
            let end = self.given_up_at.map_or(self.expires_at, |at| at.min(self.expires_at));
            if self.next_poll.max(clock.now()) >= end {
                timer::sleep(end.saturating_duration_since(clock.now()))?.await;
                return Err(self.out_of_time(exchange, last_failure));
            }
            timer::sleep(self.next_poll.saturating_duration_since(clock.now()))?.await;
            // Before the poll: it may be dropped on the way.
            self.next_poll = after(clock.now(), self.response.interval);
            let error = match exchange.within_deadline(self.poll(exchange)).await {
                Ok(tokens) => return Ok(tokens),
                Err(error) => error,
            };
            match Poll::of(&error) {
                Poll::Over(kind) => return Err(error.with_kind(kind)),
                Poll::Pending => self.unreached = 0,
                Poll::SlowDown => {
                    self.unreached = 0;
                    self.response.interval += SLOW_DOWN;
                }
                Poll::Unreached => self.unreached = self.unreached.saturating_add(1),
            }
            let interval = self.response.interval;
            let pause = doubled(interval, self.unreached, LONGEST_PAUSE).max(interval);
            self.next_poll = after(clock.now(), pause.max(error.retry_after().unwrap_or_default()));
            last_failure = (self.unreached > 0).then_some(error);
        }
    }

    /// RFC 8628, section 3.4.
    async fn poll(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        let form = Form::new().with("device_code", self.response.device_code.as_str());
        exchange
            .send_read(&|| Box::pin(ready(Ok(form.clone()))), Repeat::Never, &|answer| exchange.tokens(answer))
            .await
    }

    fn out_of_time(&self, exchange: &Exchange<'_>, last_failure: Option<Error>) -> Error {
        let (kind, why) = match self.given_up_at {
            Some(at) if at < self.expires_at => (ErrorKind::Timeout, "the time that was allowed for it"),
            _ => (ErrorKind::DeviceCodeExpired, "the lifetime of the code"),
        };
        let mut message = format!("{exchange} was not approved by the user within {why}; begin anew");
        if last_failure.is_some() {
            message.push_str(". The server could not be asked of late; see the error's source");
        }
        let error = Error::new(kind, message);
        match last_failure {
            Some(failure) => error.caused_by(failure),
            None => error,
        }
    }
}

impl Poll {
    /// RFC 8628, section 3.5: any other word of the server's than these two ends the polling. A server that is overloaded has
    /// not spoken, and neither has a gateway in front of it.
    fn of(error: &Error) -> Self {
        let stumbled = error.status().is_some_and(|status| status.is_server_error() || status.as_u16() == 429);
        match error.oauth().map(|oauth| oauth.code.as_str()) {
            Some("authorization_pending") => Self::Pending,
            Some("slow_down") => Self::SlowDown,
            Some("access_denied") => Self::Over(ErrorKind::AccessDenied),
            Some("expired_token") => Self::Over(ErrorKind::DeviceCodeExpired),
            _ if stumbled => Self::Unreached,
            None if is_silence(error.kind()) => Self::Unreached,
            _ => Self::Over(error.kind()),
        }
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::ServerUnavailable | ErrorKind::UnexpectedResponse
    )
}

/// The codes are for the user's eyes.
impl fmt::Debug for DeviceAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceAuthorization")
            .field("client", &self.client)
            .field("expires_in", &self.expires_in())
            .field("interval", &self.response.interval)
            .finish_non_exhaustive()
    }
}
