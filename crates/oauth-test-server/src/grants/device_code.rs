use tokio::time::Instant;

use crate::device::Poll;
use crate::grants::{Context, Outcome};
use crate::respond::OAuthError;

impl Context<'_> {
    /// RFC 8628 section 3.4.
    pub(super) fn device_code(&mut self) -> Result<Outcome, OAuthError> {
        let code = self.required("device_code", "device_code is missing")?;
        let client = &self.requester.client;
        let mut grant = match self.model.devices.poll(code, &client.id, Instant::now()) {
            Poll::Approved(grant) => *grant,
            Poll::Unknown => return Err(OAuthError::new("invalid_grant", "unknown device code")),
            Poll::Pending => return Err(OAuthError::new("authorization_pending", "the user has not decided yet")),
            Poll::TooFast => return Err(OAuthError::new("slow_down", "polled before the interval was over")),
            Poll::Expired => return Err(OAuthError::new("expired_token", "the device code is expired")),
            Poll::Denied => return Err(OAuthError::new("access_denied", "the user has said no")),
        };
        self.complete(&mut grant)?;
        let refresh_token = self.maybe_refresh_token(&mut grant);
        self.model.devices.spend(code);
        Ok(Outcome::signed_in(grant, refresh_token))
    }
}
