//! What an authorization request asks for (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1),
//! parsed once.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::authorize::redirect_uri;
use crate::authorize::response::Reply;
use crate::client::Client;
use crate::form::Form;
use crate::grants::{AUTHORIZATION_CODE, authorization_details, claims, scopes, target};
use crate::respond::OAuthError;
use crate::state::{Model, Shared};

/// A request whose client and redirect URI are good, and all else too.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) client: Client,
    pub(crate) reply: Reply,
    /// The redirect URI as it was sent; the token request must say the same.
    pub(crate) sent_redirect_uri: Option<String>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) audience: Vec<String>,
    pub(crate) authorization_details: Option<Value>,
    pub(crate) claims: Option<Value>,
    pub(crate) nonce: Option<String>,
    /// With the method S256 (RFC 7636); there is no other here.
    pub(crate) code_challenge: Option<String>,
    /// The DPoP key that the code is bound to (RFC 9449 section 10).
    pub(crate) dpop_key: Option<String>,
    pub(crate) prompt: Vec<Prompt>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) login_hint: Option<String>,
    pub(crate) acr_values: Vec<String>,
    /// Whom the client expects.
    pub(crate) expected_user: Option<String>,
}

impl Request {
    pub(crate) fn asks(&self, prompt: Prompt) -> bool {
        self.prompt.contains(&prompt)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("client", &self.client.id).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prompt {
    None,
    Login,
    Consent,
    SelectAccount,
}

impl Prompt {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "login" => Some(Self::Login),
            "consent" => Some(Self::Consent),
            "select_account" => Some(Self::SelectAccount),
            _ => None,
        }
    }
}

/// Why a request goes no further.
pub(crate) enum Refusal {
    /// Nobody knows where it could be sent, so a person reads it.
    Page(&'static str),
    /// The client is told at its redirect URI (RFC 6749 section 4.1.2.1).
    Client(Box<Reply>, OAuthError),
}

/// Reads a request of any kind; one that was pushed is used up by it.
pub(crate) fn read(shared: &Shared, model: &mut Model, form: &Form) -> Result<Request, Refusal> {
    let id = form.get("client_id").ok_or(Refusal::Page("The request does not say which application it is from."))?;
    let client = model.clients.get(id).ok_or(Refusal::Page("The application is not known here."))?.clone();
    if let Some(request_uri) = form.get("request_uri") {
        let pushed = model.pushed.spend(request_uri, &client.id);
        let pushed = pushed.ok_or(Refusal::Page("The request that was pushed is unknown, used or expired."))?;
        return parse(shared, model, &client, &pushed, true);
    }
    parse(shared, model, &client, form, false)
}

pub(crate) fn parse(
    shared: &Shared,
    model: &Model,
    client: &Client,
    form: &Form,
    pushed: bool,
) -> Result<Request, Refusal> {
    let reply = reply(client, form)?;
    let refuse = |error| Refusal::Client(Box::new(reply.clone()), error);
    if (client.require_pushed_requests || shared.settings.require_pushed_requests) && !pushed {
        return Err(refuse(invalid("the request must be pushed")));
    }
    details(shared, model, client, form, reply.clone()).map_err(refuse)
}

/// The way back.
fn reply(client: &Client, form: &Form) -> Result<Reply, Refusal> {
    let redirect_uri = match (form.get("redirect_uri"), client.redirect_uris.as_slice()) {
        (Some(asked), registered) if registered.iter().any(|known| redirect_uri::fits(known, asked)) => asked,
        (Some(_), _) => return Err(Refusal::Page("The application has not registered this redirect URI.")),
        (None, [only]) => only,
        (None, _) => return Err(Refusal::Page("The request does not say where its answer goes.")),
    };
    let form_post = form.get("response_mode") == Some("form_post");
    Ok(Reply { redirect_uri: redirect_uri.to_owned(), form_post, state: form.get("state").map(str::to_owned) })
}

fn details(shared: &Shared, model: &Model, client: &Client, form: &Form, reply: Reply) -> Result<Request, OAuthError> {
    if let Some(error) = &model.authorization_error {
        return Err(OAuthError::new(error.clone(), "this is what the test asked for"));
    }
    for (name, error) in [("request", "request_not_supported"), ("registration", "registration_not_supported")] {
        if form.get(name).is_some() {
            return Err(OAuthError::new(error, "the parameter is not supported"));
        }
    }
    match form.get("response_type") {
        None => return Err(invalid("response_type is missing")),
        Some("code") => {}
        Some(_) => return Err(OAuthError::new("unsupported_response_type", "only code is supported")),
    }
    if !matches!(form.get("response_mode"), None | Some("query" | "form_post")) {
        return Err(invalid("response_mode is query or form_post"));
    }
    if !client.may_use(AUTHORIZATION_CODE) {
        return Err(OAuthError::new("unauthorized_client", "the client may not use this grant type"));
    }
    let scopes = scopes(form, &client.scopes)?;
    if scopes.contains("openid") && form.get("redirect_uri").is_none() {
        return Err(invalid("with openid the redirect_uri must be said"));
    }
    let max_age = form.get("max_age").map(|seconds| seconds.parse().map_err(|_| invalid("max_age is no number")));
    let text = |name: &str| form.get(name).map(str::to_owned);
    Ok(Request {
        client: client.clone(),
        reply,
        sent_redirect_uri: text("redirect_uri"),
        scopes,
        audience: target(form, client)?.unwrap_or_default(),
        authorization_details: authorization_details(shared, form, None)?,
        claims: claims(form)?,
        nonce: text("nonce"),
        code_challenge: code_challenge(client, form)?,
        dpop_key: dpop_key(form)?,
        prompt: prompt(form)?,
        max_age: max_age.transpose()?.map(Duration::from_secs),
        login_hint: text("login_hint"),
        acr_values: form.get("acr_values").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        expected_user: expected_user(model, form)?,
    })
}

/// RFC 7636 section 4.3; `plain` protects nothing.
fn code_challenge(client: &Client, form: &Form) -> Result<Option<String>, OAuthError> {
    let (challenge, method) = (form.get("code_challenge"), form.get("code_challenge_method"));
    let Some(challenge) = challenge else {
        return match method {
            Some(_) => Err(invalid("code_challenge is missing")),
            None if client.is_public() || client.require_pkce => Err(invalid("the client must use PKCE")),
            None => Ok(None),
        };
    };
    if method != Some("S256") {
        return Err(invalid("code_challenge_method must be S256"));
    }
    if !is_sha256(challenge) {
        return Err(invalid("code_challenge is no SHA-256 in base64url"));
    }
    Ok(Some(challenge.to_owned()))
}

fn dpop_key(form: &Form) -> Result<Option<String>, OAuthError> {
    match form.get("dpop_jkt") {
        Some(key) if !is_sha256(key) => Err(invalid("dpop_jkt is no thumbprint")),
        key => Ok(key.map(str::to_owned)),
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn prompt(form: &Form) -> Result<Vec<Prompt>, OAuthError> {
    let names = form.get("prompt").unwrap_or_default().split_whitespace();
    let prompt: Option<Vec<Prompt>> = names.map(Prompt::parse).collect();
    let prompt = prompt.ok_or_else(|| invalid("prompt is unknown"))?;
    if prompt.contains(&Prompt::None) && prompt.len() > 1 {
        return Err(invalid("prompt=none goes with no other"));
    }
    Ok(prompt)
}

/// The user of an ID token of this server, which may be expired.
fn expected_user(model: &Model, form: &Form) -> Result<Option<String>, OAuthError> {
    let Some(hint) = form.get("id_token_hint") else {
        return Ok(None);
    };
    let hint = model.read_hint(hint).ok_or_else(|| invalid("id_token_hint is none of this server"))?;
    Ok(Some(hint.subject))
}

fn invalid(why: &'static str) -> OAuthError {
    OAuthError::new("invalid_request", why)
}
