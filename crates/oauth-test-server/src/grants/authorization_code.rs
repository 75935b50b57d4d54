use crate::authorize::Found;
use crate::grants::{Context, Outcome, WithIdToken};
use crate::jws::sha256;
use crate::respond::OAuthError;

impl Context<'_> {
    /// RFC 6749 section 4.1.3, with the proof of RFC 7636 section 4.6.
    pub(super) fn authorization_code(&mut self) -> Result<Outcome, OAuthError> {
        let name = self.required("code", "code is missing")?;
        let invalid = |why| Err(OAuthError::new("invalid_grant", why));
        let code = match self.model.codes.find(name, &self.requester.client.id) {
            Found::Good(code) => *code,
            Found::Unknown => return invalid("unknown code"),
            Found::Expired => return invalid("the code is expired"),
            Found::Used(family) => {
                // RFC 6749 section 4.1.2: somebody else may have it.
                if let Some(family) = family {
                    self.model.tokens.revoke_family(family);
                }
                return invalid("the code was used before; all that it brought is revoked");
            }
        };
        if self.form.get("redirect_uri") != code.sent_redirect_uri.as_deref() {
            return invalid("the redirect_uri is another");
        }
        self.check_verifier(code.code_challenge.as_deref())?;
        if code.dpop_key.is_some() && code.dpop_key != self.confirmation.key {
            return invalid("the code is bound to another key");
        }
        let mut grant = code.grant;
        self.check_target(&grant.audience)?;
        let claims = grant.requested_claims.take();
        self.bind(&mut grant)?;
        grant.requested_claims = grant.requested_claims.or(claims);
        self.model.codes.spend(name);
        let refresh_token = self.maybe_refresh_token(&mut grant);
        Ok(Outcome::AccessToken {
            grant,
            refresh_token,
            issued_token_type: None,
            id_token: WithIdToken::Yes { nonce: code.nonce },
        })
    }

    fn check_verifier(&self, challenge: Option<&str>) -> Result<(), OAuthError> {
        let verifier = self.form.get("code_verifier");
        let invalid = |why| Err(OAuthError::new("invalid_grant", why));
        match (challenge, verifier) {
            (None, None) => Ok(()),
            // RFC 9700 section 2.1.1: somebody may have removed the challenge.
            (None, Some(_)) => invalid("the request for the code had no code_challenge"),
            (Some(_), None) => invalid("code_verifier is missing"),
            (Some(challenge), Some(verifier)) if is_verifier(verifier) && sha256(verifier.as_bytes()) == challenge => {
                Ok(())
            }
            (Some(_), Some(_)) => invalid("the code_verifier does not fit"),
        }
    }

    /// RFC 8707 section 2.2: some of the resources that were asked for at first.
    fn check_target(&self, granted: &[String]) -> Result<(), OAuthError> {
        let mut asked = self.form.all("resource").chain(self.form.all("audience"));
        if !granted.is_empty() && asked.any(|target| granted.iter().all(|granted| granted != target)) {
            return Err(OAuthError::new("invalid_target", "the user was not asked for this resource"));
        }
        Ok(())
    }
}

/// RFC 7636 section 4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}
