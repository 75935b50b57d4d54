use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::grants::{Context, Outcome, WithIdToken, scopes};
use crate::jws::Jws;
use crate::respond::OAuthError;
use crate::token::Grant;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Somebody for whom a token speaks.
struct Party {
    subject: String,
    /// The issuer of a JWT from elsewhere.
    issuer: Option<String>,
    /// What the token was good for; a JWT from elsewhere does not say.
    scopes: Option<BTreeSet<String>>,
    /// Who acted before.
    actor: Option<Value>,
    /// Who may act for it (RFC 8693 section 4.4).
    may_act: Option<Value>,
}

impl Context<'_> {
    /// RFC 8693 section 2.
    pub(super) fn token_exchange(&mut self) -> Result<Outcome, OAuthError> {
        self.only_confidential()?;
        let subject = self.required("subject_token", "subject_token is missing")?;
        let kind = self.required("subject_token_type", "subject_token_type is missing")?;
        let subject = self.party(subject, kind)?;
        let actor = self.actor()?;
        let wanted = self.form.get("requested_token_type").unwrap_or(ACCESS_TOKEN);

        let client = &self.requester.client;
        let mut grant = Grant::new(&client.id, &subject.subject);
        // A token never becomes more than what was given for it, nor than what the client may have.
        let allowed = match &subject.scopes {
            Some(scopes) => scopes.intersection(&client.scopes).cloned().collect(),
            None => client.scopes.clone(),
        };
        grant.scopes = scopes(self.form, &allowed)?;
        grant.actor = match actor {
            Some(actor) => Some(delegate(actor, subject)?),
            // Without an actor the client takes the subject's place; who acted before stays known.
            None => subject.actor,
        };
        self.complete(&mut grant)?;
        match wanted {
            ACCESS_TOKEN => Ok(Outcome::AccessToken {
                grant,
                refresh_token: None,
                issued_token_type: Some(ACCESS_TOKEN),
                id_token: WithIdToken::No,
            }),
            REFRESH_TOKEN => {
                let token = self.model.tokens.issue_refresh_token(grant.clone());
                Ok(Outcome::Other { token, issued_token_type: REFRESH_TOKEN, grant })
            }
            JWT => Ok(self.signed(grant, JWT)),
            ID_TOKEN => Ok(self.signed(grant, ID_TOKEN)),
            _ => Err(invalid("requested_token_type is unknown")),
        }
    }

    fn actor(&mut self) -> Result<Option<Party>, OAuthError> {
        match (self.form.get("actor_token"), self.form.get("actor_token_type")) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(invalid("actor_token_type without actor_token")),
            (Some(_), None) => Err(invalid("actor_token_type is missing")),
            (Some(token), Some(kind)) => self.party(token, kind).map(Some),
        }
    }

    /// A token of this server, or a JWT of an issuer that it trusts.
    fn party(&mut self, token: &str, kind: &str) -> Result<Party, OAuthError> {
        if ![ACCESS_TOKEN, ID_TOKEN, JWT].contains(&kind) {
            return Err(invalid("the type of a token to exchange is unknown"));
        }
        if let Some(own) = self.model.tokens.access.get(token).filter(|_| kind != ID_TOKEN) {
            if !own.is_active() {
                return Err(invalid("a token to exchange is expired or revoked"));
            }
            return Ok(Party {
                subject: own.grant.subject.clone(),
                issuer: None,
                scopes: Some(own.grant.scopes.clone()),
                actor: own.grant.actor.clone(),
                may_act: None,
            });
        }
        if kind == ACCESS_TOKEN {
            return Err(invalid("a token to exchange is unknown"));
        }
        let jws = Jws::parse(token).map_err(invalid)?;
        let issuer = jws.claims.required_text("iss", "the JWT has no iss").map_err(invalid)?;
        // Such a token was often made for the client that now exchanges it.
        let client = self.requester.client.id.clone();
        self.model.verify_foreign(self.shared, issuer, &jws, Some(&client)).map_err(invalid)?;
        let claim = |name: &str| jws.claims.0.get(name).cloned();
        Ok(Party {
            subject: jws.claims.text("sub").unwrap_or_default().to_owned(),
            issuer: Some(issuer.to_owned()),
            scopes: None,
            actor: claim("act"),
            may_act: claim("may_act"),
        })
    }

    /// A JWT that says who the subject is, and that the API does not take.
    fn signed(&mut self, grant: Grant, issued_token_type: &'static str) -> Outcome {
        let now = self.shared.clock.now().as_secs();
        let lifetime = self.model.token_lifetime.map_or(3600, |lifetime| lifetime.as_secs());
        let mut claims = json!({
            "iss": self.shared.settings.issuer,
            "sub": grant.subject,
            "aud": grant.audience(),
            "client_id": grant.client_id,
            "scope": grant.scope(),
            "iat": now,
            "exp": now.saturating_add(lifetime),
        });
        for (name, value) in grant.extras(self.shared) {
            claims[name] = value;
        }
        Outcome::Other { token: self.model.keys.sign("JWT", &claims), issued_token_type, grant }
    }
}

/// The `act` claim: who acts now, and within it who acted before (RFC 8693 section 4.1).
fn delegate(actor: Party, subject: Party) -> Result<Value, OAuthError> {
    if let Some(may_act) = subject.may_act
        && may_act.get("sub").and_then(Value::as_str) != Some(&actor.subject)
    {
        return Err(invalid("the actor may not act for the subject"));
    }
    let mut act = json!({ "sub": actor.subject });
    if let Some(issuer) = actor.issuer {
        act["iss"] = json!(issuer);
    }
    if let Some(before) = subject.actor {
        act["act"] = before;
    }
    Ok(act)
}

/// RFC 8693 section 2.2.2: bad tokens make a bad request.
fn invalid(why: &'static str) -> OAuthError {
    OAuthError::new("invalid_request", why)
}
