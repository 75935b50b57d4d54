use crate::grants::{Context, Outcome, scopes};
use crate::respond::OAuthError;
use crate::token::Grant;

impl Context<'_> {
    /// RFC 6749 section 4.4.
    pub(super) fn client_credentials(&mut self) -> Result<Outcome, OAuthError> {
        self.only_confidential()?;
        let client = &self.requester.client;
        let mut grant = Grant::new(&client.id, &client.id);
        grant.scopes = scopes(self.form, &client.scopes)?;
        self.complete(&mut grant)?;
        let refresh_token = self.maybe_refresh_token(&mut grant);
        Ok(Outcome::access_token(grant, refresh_token))
    }
}
