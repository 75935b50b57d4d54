//! Logout tokens on their way (OpenID Connect Back-Channel Logout section 2.5).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::form;
use crate::state::Shared;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A logout token for a client whose user's session has ended.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackchannelLogout {
    /// The client.
    pub client_id: String,
    /// Where it wants to have the token.
    pub uri: String,
    /// The token.
    pub logout_token: String,
    /// What has become of it.
    pub delivery: Delivery,
}

/// What the token says shows nowhere.
impl fmt::Debug for BackchannelLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BackchannelLogout");
        debug.field("client_id", &self.client_id).field("uri", &self.uri).field("delivery", &self.delivery);
        debug.finish_non_exhaustive()
    }
}

/// What has become of a logout token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Not sent: the server has no sockets, so the test is the one who delivers it.
    Kept,
    /// Under way.
    Sent,
    /// The client has answered with this status.
    Answered(StatusCode),
    /// There was no answer within 5 seconds, or the URI is not of plain http.
    Failed,
}

/// Every logout token, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) logouts: Vec<BackchannelLogout>,
    /// How many of them were looked at.
    seen: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, client_id: &str, uri: &str, logout_token: String) {
        let (client_id, uri) = (client_id.to_owned(), uri.to_owned());
        self.logouts.push(BackchannelLogout { client_id, uri, logout_token, delivery: Delivery::Kept });
    }
}

/// Sends what is new, if the server has sockets; in the background, so that no user waits for it.
pub(crate) fn deliver(shared: &Arc<Shared>) {
    let mut model = shared.lock();
    let outbox = &mut model.outbox;
    let new = outbox.seen..outbox.logouts.len();
    outbox.seen = new.end;
    let runtime = tokio::runtime::Handle::try_current();
    let (true, Ok(runtime)) = (shared.settings.over_sockets, runtime) else {
        return;
    };
    for at in new {
        let logout = &mut outbox.logouts[at];
        logout.delivery = Delivery::Sent;
        let (uri, token) = (logout.uri.clone(), logout.logout_token.clone());
        let shared = shared.clone();
        runtime.spawn(async move {
            let delivery = post(&uri, token).await.map_or(Delivery::Failed, Delivery::Answered);
            shared.lock().outbox.logouts[at].delivery = delivery;
            shared.arrivals.notify_waiters();
        });
    }
}

async fn post(uri: &str, token: String) -> Option<StatusCode> {
    let form = form::encode(&[("logout_token".to_owned(), token)]);
    let request = Request::post(uri)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::<Bytes>::from(form))
        .ok()?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = tokio::time::timeout(TIMEOUT, client.request(request)).await;
    Some(answer.ok()?.ok()?.status())
}
