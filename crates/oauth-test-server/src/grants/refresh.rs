use crate::grants::{Context, Outcome, scopes};
use crate::respond::OAuthError;
use crate::token::{Confirmation, Grant, RefreshState};

impl Context<'_> {
    /// RFC 6749 section 6, with the rotation of RFC 9700 section 4.14.2.
    pub(super) fn refresh(&mut self) -> Result<Outcome, OAuthError> {
        let token = self.required("refresh_token", "refresh_token is missing")?;
        let known = self.model.tokens.refresh.get(token).cloned();
        let Some(known) = known.filter(|known| known.grant.client_id == self.requester.client.id) else {
            return Err(OAuthError::new("invalid_grant", "unknown refresh token"));
        };
        match known.state {
            RefreshState::Live => {}
            RefreshState::Revoked => {
                return Err(OAuthError::new("invalid_grant", "the refresh token was revoked"));
            }
            RefreshState::Replaced => {
                self.model.counters.refresh_reuse_detected += 1;
                self.model.tokens.revoke_family(known.family);
                return Err(OAuthError::new(
                    "invalid_grant",
                    "the refresh token was used before; all its tokens are revoked",
                ));
            }
        }
        self.check_binding(&known.grant.confirmation)?;
        let mut grant = Grant { family: Some(known.family), ..known.grant };
        let replacement = self.shared.settings.rotate_refresh_tokens.then(|| grant.clone());
        // What is asked for may narrow this access token, not the refresh token.
        grant.scopes = scopes(self.form, &grant.scopes)?;
        self.complete(&mut grant)?;
        let replacement = replacement.map(|mut grant| {
            if self.requester.is_public() {
                grant.confirmation = self.confirmation.clone();
            }
            if let Some(old) = self.model.tokens.refresh.get_mut(token) {
                old.state = RefreshState::Replaced;
            }
            self.model.tokens.issue_refresh_token(grant)
        });
        // A client's own token has nobody in it who has signed in.
        if self.shared.settings.refresh_id_tokens && grant.subject != grant.client_id {
            return Ok(Outcome::signed_in(grant, replacement));
        }
        Ok(Outcome::access_token(grant, replacement))
    }

    /// The refresh token of a public client is bound to its key (RFC 9449 section 5) or its certificate
    /// (RFC 8705 section 4); that of a confidential one to its authentication, so its key may change.
    fn check_binding(&self, bound: &Confirmation) -> Result<(), OAuthError> {
        let fits = |bound: &Option<String>, shown: &Option<String>| bound.is_none() || bound == shown;
        let shown = &self.confirmation;
        let proven = fits(&bound.key, &shown.key) && fits(&bound.certificate, &shown.certificate);
        if self.requester.is_public() && !proven {
            return Err(OAuthError::new("invalid_grant", "the refresh token is bound to another key"));
        }
        Ok(())
    }
}
