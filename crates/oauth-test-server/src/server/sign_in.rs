use std::io;
use std::sync::Arc;

use serde_json::Value;

use crate::authorize;
use crate::browser::Browser;
use crate::id_token::{self, JwtDraft, Tamper};
use crate::logout::{self, BackchannelLogout, Delivery, END_SESSION};
use crate::server::TestServer;
use crate::state::Shared;
use crate::token::Grant;
use crate::user::User;
use crate::userinfo::USERINFO;

/// Users who sign in.
impl TestServer {
    /// URL of the authorization endpoint.
    pub fn authorization_endpoint(&self) -> String {
        self.shared.endpoint_url(authorize::AUTHORIZATION)
    }

    /// A new browser without cookies, for a user to sign in with.
    pub fn browser(&self) -> Browser {
        Browser::new(self.clone())
    }

    /// A user signs in, in a new browser, and agrees to the authorization request of this URL: see
    /// [`Browser::authorize`]. Returns the URL of the callback, with its parameters in the query.
    ///
    /// # Errors
    ///
    /// When the server shows a page that says why it does not go on, or does not let the user in.
    pub async fn authorize(&self, url: &str, user: &str) -> io::Result<String> {
        self.browser().authorize(url, user).await
    }

    /// Registers a user, or puts it in the place of the one with the same name. From then on only
    /// registered users may sign in.
    pub fn set_user(&self, user: User) {
        self.shared.lock().users.insert(user);
    }

    /// Refuses all authorization requests with this error, such as `temporarily_unavailable`, at the
    /// client's redirect URI; `None`: no longer.
    pub fn set_authorization_error(&self, error: Option<&str>) {
        self.shared.lock().authorization_error = error.map(str::to_owned);
    }

    /// Sets a parameter of every authorization response from now on, such as another `iss` or `state`;
    /// [`Value::Null`] removes it. What the metadata promise stays: see [`set_metadata`](Self::set_metadata).
    pub fn set_authorization_response(&self, name: &str, value: impl Into<Value>) {
        self.shared.lock().authorization_response.insert(name.to_owned(), value.into());
    }

    /// Changes every ID token from now on before it is signed. The last change counts; one that does
    /// nothing puts things right again.
    pub fn tamper_id_tokens(&self, change: impl Fn(&mut JwtDraft) + Send + Sync + 'static) {
        self.shared.lock().tamper_id_tokens = Tamper(Some(Arc::new(change)));
    }

    /// The same for JWTs of the userinfo endpoint.
    pub fn tamper_userinfo(&self, change: impl Fn(&mut JwtDraft) + Send + Sync + 'static) {
        self.shared.lock().tamper_userinfo = Tamper(Some(Arc::new(change)));
    }

    /// The same for logout tokens.
    pub fn tamper_logout_tokens(&self, change: impl Fn(&mut JwtDraft) + Send + Sync + 'static) {
        self.shared.lock().tamper_logout_tokens = Tamper(Some(Arc::new(change)));
    }

    /// Sets a member of every userinfo answer from now on, such as another `sub`; [`Value::Null`] removes
    /// it.
    pub fn set_userinfo(&self, name: &str, value: impl Into<Value>) {
        self.shared.lock().userinfo.insert(name.to_owned(), value.into());
    }

    /// An ID token of a registered client for a user who has signed in just now, without a request: with
    /// `openid` as its scope, and without `nonce`, `sid` and `at_hash`. `None` if the client is unknown.
    pub fn issue_id_token(&self, client_id: &str, subject: &str) -> Option<String> {
        let model = &mut *self.shared.lock();
        let client = model.clients.get(client_id)?.clone();
        let mut grant = Grant::new(client_id, subject);
        grant.scopes.insert("openid".to_owned());
        let draft = id_token::draft(&self.shared, model, &client, &grant, None);
        Some(model.tamper_id_tokens.clone().sign(draft))
    }
}

/// Users who sign out.
impl TestServer {
    /// URL of the userinfo endpoint.
    pub fn userinfo_endpoint(&self) -> String {
        self.shared.endpoint_url(USERINFO)
    }

    /// URL at which a session ends (OpenID Connect RP-Initiated Logout).
    pub fn end_session_endpoint(&self) -> String {
        self.shared.endpoint_url(END_SESSION)
    }

    /// A logout token for a registered client (OpenID Connect Back-Channel Logout section 2.4) about a
    /// user, a session (the `sid` of an ID token), or both. `None` if the client is unknown. It is not
    /// sent.
    pub fn logout_token(&self, client_id: &str, subject: Option<&str>, session_id: Option<&str>) -> Option<String> {
        let model = &mut *self.shared.lock();
        let client = model.clients.get(client_id)?.clone();
        Some(logout::logout_token(&self.shared, model, &client, subject, session_id))
    }

    /// Ends all sessions of a user, as an administrator does, and tells the clients that have registered
    /// a back-channel logout URI. Returns how many sessions there were. Tokens stay good.
    pub fn end_sessions(&self, user: &str) -> usize {
        let ended = {
            let model = &mut *self.shared.lock();
            let ended = model.sessions.end_all_of(user);
            ended.iter().for_each(|session| logout::tell(&self.shared, model, session));
            ended.len()
        };
        logout::deliver(&self.shared);
        ended
    }

    /// The logout tokens that the end of sessions has brought so far, in order. A server with sockets
    /// posts them to the clients; without, the test does, if it wants to.
    pub fn backchannel_logouts(&self) -> Vec<BackchannelLogout> {
        self.shared.lock().outbox.logouts.clone()
    }

    /// Waits until so many logout tokens, in all, were answered or have failed.
    pub async fn backchannel_logouts_delivered(&self, count: usize) {
        let delivered = || {
            let over = |logout: &&BackchannelLogout| !matches!(logout.delivery, Delivery::Kept | Delivery::Sent);
            self.shared.lock().outbox.logouts.iter().filter(over).count()
        };
        self.until(|| delivered() >= count).await;
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}
