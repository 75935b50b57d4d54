//! Sign-in on another device (RFC 8628): the endpoint where it begins, the page for the user, and what
//! the server remembers.

mod verification;

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::client_auth::authenticate;
use crate::form::Form;
use crate::grants::{authorization_details, scopes, target};
use crate::incoming::Incoming;
use crate::respond::{self, Answer, OAuthError};
use crate::token::Grant;

pub(crate) use verification::verify;

pub(crate) const AUTHORIZATION: &str = "/device_authorization";
pub(crate) const VERIFICATION: &str = "/device";

/// RFC 8628 section 3.2: without an `interval` it is this.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 section 3.5: what `slow_down` adds.
const SLOWER: Duration = Duration::from_secs(5);

/// A device that was given a code, as the test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceCode {
    /// What the user types.
    pub user_code: String,
    /// The client on the device.
    pub client_id: String,
    /// The scopes that it asks for, separated by spaces.
    pub scope: String,
    /// What has become of it.
    pub state: DeviceState,
}

/// What has become of a device code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceState {
    /// The user has not decided.
    Pending,
    /// The user has agreed; the device may get its token.
    Approved,
    /// The user has said no.
    Denied,
    /// Nobody has decided in time, or the device has not asked in time.
    Expired,
    /// The device has got its token.
    Used,
}

#[derive(Debug)]
struct Device {
    /// The how manieth it is.
    number: usize,
    user_code: String,
    grant: Grant,
    state: DeviceState,
    expires_at: Instant,
    interval: Duration,
    last_poll: Option<Instant>,
}

impl Device {
    fn state(&self, now: Instant) -> DeviceState {
        match self.state {
            DeviceState::Pending | DeviceState::Approved if now >= self.expires_at => DeviceState::Expired,
            state => state,
        }
    }
}

/// What a poll finds.
pub(crate) enum Poll {
    Approved(Box<Grant>),
    Pending,
    TooFast,
    Expired,
    Denied,
    Unknown,
}

/// Every device, by its device code.
#[derive(Debug, Default)]
pub(crate) struct Devices(HashMap<String, Device>);

impl Devices {
    pub(crate) fn poll(&mut self, code: &str, client_id: &str, now: Instant) -> Poll {
        let Some(device) = self.0.get_mut(code).filter(|device| device.grant.client_id == client_id) else {
            return Poll::Unknown;
        };
        let too_fast = device.last_poll.is_some_and(|last| now.duration_since(last) < device.interval);
        device.last_poll = Some(now);
        match device.state(now) {
            DeviceState::Used => Poll::Unknown,
            DeviceState::Expired => Poll::Expired,
            _ if too_fast => {
                device.interval += SLOWER;
                Poll::TooFast
            }
            DeviceState::Pending => Poll::Pending,
            DeviceState::Denied => Poll::Denied,
            DeviceState::Approved => Poll::Approved(Box::new(device.grant.clone())),
        }
    }

    /// A code is good for one token.
    pub(crate) fn spend(&mut self, code: &str) {
        if let Some(device) = self.0.get_mut(code) {
            device.state = DeviceState::Used;
        }
    }

    /// The user's decision. False if there is no such code to decide on.
    pub(crate) fn decide(&mut self, user_code: &str, subject: Option<&str>) -> bool {
        let now = Instant::now();
        let typed = plain(user_code);
        let mut pending = self.0.values_mut().filter(|device| device.state(now) == DeviceState::Pending);
        let Some(device) = pending.find(|device| plain(&device.user_code) == typed) else {
            return false;
        };
        match subject {
            Some(subject) => {
                device.grant.subject = subject.to_owned();
                device.grant.auth_time = now;
                device.state = DeviceState::Approved;
            }
            None => device.state = DeviceState::Denied,
        }
        true
    }

    pub(crate) fn all(&self) -> Vec<DeviceCode> {
        let now = Instant::now();
        let mut devices: Vec<&Device> = self.0.values().collect();
        devices.sort_by_key(|device| device.number);
        let code = |device: &Device| DeviceCode {
            user_code: device.user_code.clone(),
            client_id: device.grant.client_id.clone(),
            scope: device.grant.scope(),
            state: device.state(now),
        };
        devices.into_iter().map(code).collect()
    }
}

/// RFC 8628 section 6.1: what stands between the letters, and their case, does not count.
fn plain(user_code: &str) -> String {
    user_code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// RFC 8628 section 3.1 and 3.2.
pub(crate) fn authorize(incoming: &Incoming<'_>, form: &Form) -> Answer {
    let shared = incoming.shared;
    let model = &mut *shared.lock();
    let client = authenticate(model, incoming, form)?.client;
    if !client.may_use(crate::grants::DEVICE_CODE) {
        return Err(OAuthError::new("unauthorized_client", "the client may not use this grant type"));
    }
    let mut grant = Grant::new(&client.id, "");
    grant.scopes = scopes(form, &client.scopes)?;
    grant.audience = target(form, &client)?.unwrap_or_default();
    grant.authorization_details = authorization_details(shared, form, None)?;

    let settings = &shared.settings;
    let device_code = format!("device-{:032x}", fastrand::u128(..));
    let user_code = user_code();
    let page = shared.endpoint_url(VERIFICATION);
    let mut answer = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": settings.device_code_lifetime.as_secs(),
    });
    if let Some(interval) = settings.device_interval {
        answer["interval"] = json!(interval.as_secs());
    }
    let device = Device {
        number: model.devices.0.len(),
        user_code,
        grant,
        state: DeviceState::Pending,
        expires_at: Instant::now() + settings.device_code_lifetime,
        interval: settings.device_interval.unwrap_or(DEFAULT_INTERVAL),
        last_poll: None,
    };
    model.devices.0.insert(device_code, device);
    Ok(respond::no_store(respond::json(StatusCode::OK, &answer)))
}

/// Consonants only, so that it spells nothing (RFC 8628 section 6.1).
fn user_code() -> String {
    const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
    let letter = || char::from(LETTERS[fastrand::usize(..LETTERS.len())]);
    let half = || (0..4).map(|_| letter()).collect::<String>();
    format!("{}-{}", half(), half())
}
