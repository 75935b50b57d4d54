use crate::client::Client;
use crate::form::Form;
use crate::grants::{Context, JWT_BEARER, Outcome, scopes};
use crate::jws::Jws;
use crate::respond::OAuthError;
use crate::state::Model;
use crate::token::Grant;

impl Context<'_> {
    /// RFC 7523 section 2.1: the JWT of a trusted issuer stands for its subject.
    pub(super) fn jwt_bearer(&mut self) -> Result<Outcome, OAuthError> {
        let assertion = self.required("assertion", "assertion is missing")?;
        let invalid = |why| OAuthError::new("invalid_grant", why);
        let jws = Jws::parse(assertion).map_err(invalid)?;
        let issuer = jws.claims.required_text("iss", "the assertion has no iss").map_err(invalid)?;
        self.model.verify_foreign(self.shared, issuer, &jws, None).map_err(invalid)?;
        let client = &self.requester.client;
        let mut grant = Grant::new(&client.id, jws.claims.text("sub").unwrap_or_default());
        grant.scopes = scopes(self.form, &client.scopes)?;
        self.complete(&mut grant)?;
        // No refresh token: RFC 7521 section 5.2 advises against it, the assertion does as well.
        Ok(Outcome::signed_in(grant, None))
    }
}

/// The client of a request that names none: the issuer of its assertion, if that is allowed.
pub(super) fn issuer_as_client(model: &Model, form: &Form) -> Option<Client> {
    let jws = Jws::parse(form.get("assertion")?).ok()?;
    let issuer = model.issuers.get(jws.claims.text("iss")?)?;
    let scopes = issuer.scopes.as_ref()?;
    Some(Client::new(&issuer.name).scopes(scopes).grant_types([JWT_BEARER]))
}
