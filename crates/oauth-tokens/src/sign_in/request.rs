use std::{fmt, time::Duration};

use super::{
    PendingSignIn, Prompt, SignInStarted,
    judge::identity,
    pending::{Asked, is_openid},
    place::{check_redirect_uri, is_local_path, page_url},
    random::challenge,
};
use crate::{Error, Form, TokenClient, TokenRequest, request::within_deadline, token::Possession as _};

const ENDPOINT: &str = "authorization_endpoint";

/// Parameters of an authorization request that are never "extra" (T4): each has a method of its own, or is none of the caller's.
const OWN: [&str; 13] = [
    "response_type",
    "response_mode",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "acr_values",
    "dpop_jkt",
    "request",
    "request_uri",
];

/// What a user signs in for: settings of an authorization request (RFC 6749, section 4.1.1). Each
/// [`begin`](Self::begin) begins a sign-in of its own.
///
/// ```no_run
/// # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
/// use std::time::Duration;
/// use oauth_tokens::Prompt;
///
/// let sign_in = client.sign_in("https://app.example.com/callback").scope("openid offline_access orders");
/// // Before something that matters: the server is to ask the user again. That the sign-in is at most five minutes old is
/// // verified afterwards; that it is the same user is for you to compare (`id_token.subject()`).
/// let started = sign_in
///     .clone()
///     .prompt(Prompt::LOGIN)
///     .max_age(Duration::from_secs(300))
///     .login_hint("ann@example.com")
///     .return_to("/orders/42?step=pay")
///     .begin()
///     .await?;
/// # let _ = started;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct SignInRequest {
    request: TokenRequest<()>,
    redirect_uri: String,
    return_to: String,
    prompts: Vec<Prompt>,
    max_age: Option<Duration>,
    login_hint: Option<String>,
    acr_values: Vec<String>,
    pushed: bool,
    form_post: bool,
}

impl SignInRequest {
    pub(super) fn new(client: &TokenClient, redirect_uri: String) -> Self {
        Self {
            request: TokenRequest::new(client.clone(), ()),
            redirect_uri,
            return_to: "/".to_owned(),
            prompts: Vec::new(),
            max_age: None,
            login_hint: None,
            acr_values: Vec::new(),
            pushed: false,
            form_post: false,
        }
    }

    /// The same to another address, which was not known before.
    #[cfg(feature = "native")]
    pub(crate) fn redirect_to(mut self, redirect_uri: String) -> Self {
        self.redirect_uri = redirect_uri;
        self
    }

    /// Asks for a scope, or several separated by spaces; call it again for more (RFC 6749, section 3.3). With `openid` among
    /// them, there is an ID token.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        self.request = self.request.scope(scope);
        self
    }

    /// Names a resource that the tokens are for, an absolute URI; call it again for more (RFC 8707). It goes with the redemption
    /// of the code, too.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.request = self.request.resource(resource);
        self
    }

    /// Names the audience, as Auth0 and others ask for it.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.request = self.request.audience(audience);
        self
    }

    /// Says in detail what the token is to be good for; see
    /// [`TokenRequest::authorization_details`] (RFC 9396).
    pub fn authorization_details(mut self, details: impl Into<serde_json::Value>) -> Self {
        self.request = self.request.authorization_details(details);
        self
    }

    /// What the server is to ask the user, whatever it knows already; call it again for more. [`Prompt::NONE`] stands alone. It is a
    /// wish: the browser carries it, unless the request is [pushed](Self::pushed). What proves a new sign-in is
    /// [`max_age`](Self::max_age) of zero.
    pub fn prompt(mut self, prompt: impl Into<Prompt>) -> Self {
        self.prompts.push(prompt.into());
        self
    }

    /// How long ago the user may have signed in at the server, in whole seconds; else the server asks again. The ID token must
    /// prove it, so the scope must hold `openid`.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Who will sign in, as far as is known: a user name or an address, for the server's form. Somebody else may do so all the same.
    pub fn login_hint(mut self, hint: impl Into<String>) -> Self {
        self.login_hint = Some(hint.into());
        self
    }

    /// How the user is to sign in (authentication context classes), the best first; call it again for more. It is a wish: what
    /// was done is in the ID token's `acr`.
    pub fn acr_values(mut self, values: impl AsRef<str>) -> Self {
        let values = values.as_ref().split(' ').filter(|value| !value.is_empty());
        self.acr_values.extend(values.map(str::to_owned));
        self
    }

    /// Adds a parameter of the server's own. A parameter of the protocol's is refused by [`begin`](Self::begin) (T4).
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request = self.request.param(name, value);
        self
    }

    /// Where the user goes afterwards: a path of the application's own, with its query, at most 2 KiB. Default: `/`. It does not
    /// go to the server. A path that leads elsewhere, as `//host` does, is refused by [`begin`](Self::begin) (L2): ask
    /// [`is_return_path`](Self::is_return_path) first if it comes from a request.
    pub fn return_to(mut self, path: impl Into<String>) -> Self {
        self.return_to = path.into();
        self
    }

    /// Whether a path is one to [return to](Self::return_to): it begins with one `/`, and no browser or proxy could take it for
    /// another place than one on this very origin.
    ///
    /// ```
    /// use oauth_tokens::SignInRequest;
    ///
    /// assert!(SignInRequest::is_return_path("/orders?x=1"));
    /// assert!(!SignInRequest::is_return_path("//evil.example"));
    /// ```
    #[must_use]
    pub fn is_return_path(path: &str) -> bool {
        is_local_path(path)
    }

    /// Hands the request in from server to server, so that the browser carries only a reference to it (RFC 9126). A server whose
    /// metadata say `require_pushed_authorization_requests` gets it so in any case.
    pub fn pushed(mut self) -> Self {
        self.pushed = true;
        self
    }

    /// Has the browser come back with a posted form, instead of a query that stays in its history and in logs (OAuth 2.0 Form
    /// Post Response Mode); see [`Callback::from_form`](crate::Callback::from_form). The post comes from the server's site:
    /// cookies that are `SameSite=Lax` do not come along.
    pub fn form_post(mut self) -> Self {
        self.form_post = true;
        self
    }

    /// Begins a sign-in: makes `state`, `nonce` and PKCE verifier, 256 random bits each, and the URL for the browser. The only
    /// I/O is the server's metadata, if they are not known yet, and a pushed request. Within 10 s.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when something was asked for that cannot be sent;
    /// [`ErrorKind::MissingEndpoint`](crate::ErrorKind::MissingEndpoint) and
    /// [`ErrorKind::InvalidEndpoint`](crate::ErrorKind::InvalidEndpoint) for the metadata; whatever the server refuses a pushed
    /// request with.
    pub async fn begin(&self) -> Result<SignInStarted, Error> {
        let (mut pending, form) = self.prepare()?;
        let (client, server) = (&self.request.client, self.request.client.server());
        let what = format!("the beginning of a sign-in of client {:?} at {server}", client.id());
        within_deadline(what, async {
            let metadata = match server.expected_issuer() {
                Some(_) => Some(server.metadata().await?),
                None => None,
            };
            let says = |name| metadata.as_ref().is_some_and(|metadata| metadata.is_true(name));
            pending.expects_iss = says("authorization_response_iss_parameter_supported");
            let page = server.find_page(ENDPOINT).await?;
            let client_id = Form::new().with("client_id", client.id());
            let query = if self.pushed || says("require_pushed_authorization_requests") {
                let pushed = client.push_authorization_request(form).await?;
                client_id.with("request_uri", pushed.request_uri())
            } else {
                form.iter().fold(client_id, |all, (name, value)| all.with(name.to_owned(), value))
            };
            Ok(SignInStarted { url: page_url(ENDPOINT, &page, &query)?, pending })
        })
        .await
    }

    /// All that is known without I/O.
    fn prepare(&self) -> Result<(PendingSignIn, Form), Error> {
        let client = &self.request.client;
        check_redirect_uri(&self.redirect_uri)?;
        if !is_local_path(&self.return_to) {
            return Err(Error::config("the path to return to is not one of this origin's: give it as `/orders?x=1`"));
        }
        let parameters = self.request.parameters(None)?;
        if let Some((name, _)) =
            parameters.iter().find(|(name, _)| OWN.contains(&name.trim().to_ascii_lowercase().as_str()))
        {
            return Err(Error::config(format!("the extra parameter {name:?} is the protocol's own")));
        }
        let values =
            |wanted| parameters.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value.to_owned());
        let scope = values("scope").next().unwrap_or_default();
        self.check_openid(is_openid(&scope))?;
        let asked = Asked {
            redirect_uri: self.redirect_uri.clone(),
            return_to: self.return_to.clone(),
            server: identity(client),
            client_id: client.id().to_owned(),
            scope,
            resources: values("resource").collect(),
            max_age: self.max_age.map(|age| age.as_secs()),
            dpop_jkt: client.bound_key().map(|key| key.thumbprint().to_owned()),
        };
        let pending = PendingSignIn::begin(asked, client.server().clock().wall())?;
        let mut form = self.form(&pending)?;
        form.merge(parameters)?;
        Ok((pending, form))
    }

    pub(crate) fn check_openid(&self, is_openid: bool) -> Result<(), Error> {
        if is_openid && self.request.client.server().expected_issuer().is_none() {
            let message = "the scope `openid` needs a server that is given by its issuer: nothing else tells whose ID token it is";
            return Err(Error::config(message));
        }
        if self.max_age.is_some() && !is_openid {
            return Err(Error::config(
                "max_age needs the scope `openid`: only an ID token tells when a user signed in",
            ));
        }
        Ok(())
    }

    fn form(&self, pending: &PendingSignIn) -> Result<Form, Error> {
        let mut form = Form::new()
            .with("response_type", "code")
            .with("redirect_uri", &pending.asked.redirect_uri)
            .with("state", pending.state.as_str())
            .with("code_challenge", challenge(&pending.verifier))
            .with("code_challenge_method", "S256");
        if pending.is_openid() {
            form.push("nonce", pending.nonce.as_str());
        }
        if self.form_post {
            form.push("response_mode", "form_post");
        }
        if let Some(jkt) = &pending.asked.dpop_jkt {
            form.push("dpop_jkt", jkt);
        }
        if let Some(seconds) = pending.asked.max_age {
            form.push("max_age", seconds.to_string());
        }
        if let Some(hint) = &self.login_hint {
            if hint.is_empty() || hint.contains(char::is_control) {
                return Err(Error::config("the login hint is empty or holds a control character"));
            }
            form.push("login_hint", hint);
        }
        self.push_lists(&mut form)?;
        Ok(form)
    }

    fn push_lists(&self, form: &mut Form) -> Result<(), Error> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        let prompts: Vec<&str> = self.prompts.iter().flat_map(|prompt| prompt.as_str().split(' ')).collect();
        let is_contradiction = prompts.len() > 1 && prompts.contains(&"none");
        if !prompts.iter().all(|prompt| is_word(prompt)) || is_contradiction {
            return Err(Error::config("`prompt` is empty or odd, or asks for `none` and something else at once"));
        }
        if !self.acr_values.iter().all(|value| is_word(value)) {
            return Err(Error::config("an `acr_values` holds characters that none may hold"));
        }
        if !prompts.is_empty() {
            form.push("prompt", prompts.join(" "));
        }
        if !self.acr_values.is_empty() {
            form.push("acr_values", self.acr_values.join(" "));
        }
        Ok(())
    }
}

impl fmt::Debug for SignInRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither URLs, which are not checked yet, nor who signs in.
        f.debug_struct("SignInRequest")
            .field("request", &Shown(&self.request))
            .field("prompts", &self.prompts)
            .field("max_age", &self.max_age)
            .field("acr_values", &self.acr_values)
            .field("pushed", &self.pushed)
            .field("form_post", &self.form_post)
            .finish_non_exhaustive()
    }
}

struct Shown<'a>(&'a TokenRequest<()>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("authorization_code", f)
    }
}
