//! The token endpoint (RFC 6749 section 3.2): one file per grant.

mod authorization_code;
mod client_credentials;
mod device_code;
mod jwt_bearer;
mod parameters;
mod refresh;
mod token_exchange;

use http::{Response, StatusCode};
use serde_json::{Map, json};

pub(crate) use parameters::{authorization_details, claims, scopes, target};

use crate::body::ResponseBody;
use crate::client::ClientAuthMethod;
use crate::client_auth::{Authenticated, authenticate, names_no_client};
use crate::dpop::{self, Proof};
use crate::form::Form;
use crate::id_token;
use crate::incoming::Incoming;
use crate::respond::{self, Answer, OAuthError};
use crate::state::{Model, Shared, overlay};
use crate::token::{Confirmation, Grant};

pub(crate) const AUTHORIZATION_CODE: &str = "authorization_code";
const CLIENT_CREDENTIALS: &str = "client_credentials";
const REFRESH_TOKEN: &str = "refresh_token";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(crate) const GRANT_TYPES: [&str; 6] =
    [AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN, TOKEN_EXCHANGE, JWT_BEARER, DEVICE_CODE];

/// A token request whose client has shown who it is.
struct Context<'a> {
    shared: &'a Shared,
    model: &'a mut Model,
    form: &'a Form,
    requester: Authenticated,
    confirmation: Confirmation,
}

/// What a grant comes to.
enum Outcome {
    AccessToken {
        grant: Grant,
        refresh_token: Option<String>,
        /// RFC 8693 section 2.2.1, only for token exchange.
        issued_token_type: Option<&'static str>,
        id_token: WithIdToken,
    },
    /// RFC 8693: a token that is no access token.
    Other { token: String, issued_token_type: &'static str, grant: Grant },
}

impl Outcome {
    fn access_token(grant: Grant, refresh_token: Option<String>) -> Self {
        Self::AccessToken { grant, refresh_token, issued_token_type: None, id_token: WithIdToken::No }
    }

    /// The same for a user who has signed in.
    fn signed_in(grant: Grant, refresh_token: Option<String>) -> Self {
        let id_token = WithIdToken::Yes { nonce: None };
        Self::AccessToken { grant, refresh_token, issued_token_type: None, id_token }
    }
}

/// Whether an ID token comes along if the scope has `openid`.
enum WithIdToken {
    No,
    Yes { nonce: Option<String> },
}

/// Carries out one request to the token endpoint.
pub(crate) fn answer(incoming: &Incoming<'_>, form: &Form) -> Answer {
    let shared = incoming.shared;
    let model = &mut *shared.lock();
    let requester = requester(model, incoming, form)?;
    let proof = dpop::at_token_endpoint(model, incoming)?;
    let grant_type =
        form.get("grant_type").ok_or_else(|| OAuthError::new("invalid_request", "grant_type is missing"))?;
    if GRANT_TYPES.contains(&grant_type) && !requester.client.may_use(grant_type) {
        return Err(OAuthError::new("unauthorized_client", "the client may not use this grant type"));
    }
    let confirmation = confirmation(shared, incoming, &requester, proof)?;
    let mut context = Context { shared, model, form, requester, confirmation };
    let outcome = match grant_type {
        AUTHORIZATION_CODE => context.authorization_code()?,
        CLIENT_CREDENTIALS => context.client_credentials()?,
        REFRESH_TOKEN => context.refresh()?,
        TOKEN_EXCHANGE => context.token_exchange()?,
        JWT_BEARER => context.jwt_bearer()?,
        DEVICE_CODE => context.device_code()?,
        _ => {
            return Err(OAuthError::new(
                "unsupported_grant_type",
                "authorization_code, client_credentials, refresh_token, token exchange, JWT bearer and device code are supported",
            ));
        }
    };
    Ok(success(shared, model, outcome, incoming.same_token))
}

/// The client; or, for a JWT-bearer grant that names none, the issuer of the JWT.
fn requester(model: &mut Model, incoming: &Incoming<'_>, form: &Form) -> Result<Authenticated, OAuthError> {
    if form.get("grant_type") == Some(JWT_BEARER)
        && names_no_client(&incoming.parts.headers, form)
        && let Some(client) = jwt_bearer::issuer_as_client(model, form)
    {
        return Ok(Authenticated { client, method: ClientAuthMethod::None });
    }
    authenticate(model, incoming, form)
}

/// What the token is bound to.
fn confirmation(
    shared: &Shared,
    incoming: &Incoming<'_>,
    requester: &Authenticated,
    proof: Option<Proof>,
) -> Result<Confirmation, OAuthError> {
    let client = &requester.client;
    if client.require_dpop && shared.offers_dpop() && proof.is_none() {
        return Err(OAuthError::new("invalid_dpop_proof", "the client must send a DPoP proof"));
    }
    let certificate = match incoming.certificate() {
        _ if !client.certificate_bound_tokens => None,
        None => return Err(OAuthError::new("invalid_request", "the client's tokens are bound to a certificate")),
        certificate => certificate.map(str::to_owned),
    };
    Ok(Confirmation { key: proof.map(|proof| proof.key), certificate })
}

impl<'a> Context<'a> {
    /// Anybody can say the name of a public client; some grants need more.
    fn only_confidential(&self) -> Result<(), OAuthError> {
        if self.requester.is_public() {
            return Err(OAuthError::new("unauthorized_client", "only confidential clients may use this grant type"));
        }
        Ok(())
    }

    fn required(&self, name: &str, missing: &'static str) -> Result<&'a str, OAuthError> {
        self.form.get(name).ok_or_else(|| OAuthError::new("invalid_request", missing))
    }

    /// What every grant takes from the request in the same way: to whom the token goes, what it is
    /// bound to, how the user has signed in.
    fn complete(&self, grant: &mut Grant) -> Result<(), OAuthError> {
        self.bind(grant)?;
        parameters::sign_in(self.form, grant)
    }

    /// To whom the token goes and what it is bound to.
    fn bind(&self, grant: &mut Grant) -> Result<(), OAuthError> {
        let (form, client) = (self.form, &self.requester.client);
        if let Some(audience) = target(form, client)? {
            grant.audience = audience;
        }
        if grant.audience.is_empty() {
            grant.audience = vec![self.shared.settings.api_origin.clone()];
        }
        if let Some(details) = authorization_details(self.shared, form, grant.authorization_details.as_ref())? {
            grant.authorization_details = Some(details);
        }
        grant.requested_claims = parameters::claims(form)?;
        grant.confirmation = self.confirmation.clone();
        Ok(())
    }

    /// A refresh token if the server gives them out.
    fn maybe_refresh_token(&mut self, grant: &mut Grant) -> Option<String> {
        let settings = &self.shared.settings;
        let asked = !settings.offline_access || grant.scopes.contains("offline_access");
        (settings.refresh_tokens && asked).then(|| {
            let token = self.model.tokens.issue_refresh_token(grant.clone());
            grant.family = self.model.tokens.refresh.get(&token).map(|token| token.family);
            token
        })
    }
}

fn success(shared: &Shared, model: &mut Model, outcome: Outcome, same_token: bool) -> Response<ResponseBody> {
    let mut answer = Map::new();
    let mut insert = |name: &str, value| answer.insert(name.to_owned(), value);
    match outcome {
        Outcome::AccessToken { grant, refresh_token, issued_token_type, id_token } => {
            let signed_in = grant.clone();
            let last = model.tokens.last.get(&grant.client_id).cloned();
            let token = match last.filter(|_| same_token) {
                Some(last) => last,
                None => {
                    model.counters.tokens_issued += 1;
                    model.issue_access_token(shared, grant)
                }
            };
            if let Some(issued) = model.tokens.access.get(&token) {
                insert("token_type", json!(issued.grant.confirmation.token_type()));
                insert("scope", json!(issued.grant.scope()));
                if let Some(seconds) = issued.expires_in() {
                    insert("expires_in", json!(seconds));
                }
                if let Some(details) = &issued.grant.authorization_details {
                    insert("authorization_details", details.clone());
                }
            }
            if let WithIdToken::Yes { nonce } = id_token
                && signed_in.scopes.contains("openid")
                && let Some(id_token) = id_token::issue(shared, model, &signed_in, nonce.as_deref(), &token)
            {
                insert("id_token", json!(id_token));
            }
            insert("access_token", json!(token));
            if let Some(refresh_token) = refresh_token {
                insert("refresh_token", json!(refresh_token));
            }
            if let Some(issued_token_type) = issued_token_type {
                insert("issued_token_type", json!(issued_token_type));
            }
        }
        Outcome::Other { token, issued_token_type, grant } => {
            insert("access_token", json!(token));
            insert("token_type", json!("N_A"));
            insert("issued_token_type", json!(issued_token_type));
            insert("scope", json!(grant.scope()));
        }
    }
    overlay(&mut answer, &model.token_response);
    respond::no_store(respond::json(StatusCode::OK, &answer.into()))
}
