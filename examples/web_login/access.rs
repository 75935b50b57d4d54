//! What can be said of a user's access token without showing it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum_oauth::tower_sessions::{Session, cookie::time::OffsetDateTime, session};
use serde::{Deserialize, Serialize};
use tower_oauth::oauth_tokens::TokenStatus;

const SEEN: &str = "access";
/// The same moment, computed twice, is not quite the same.
const TOLERANCE: u64 = 2;

/// A moment, for people.
pub(super) struct Moment {
    pub(super) iso: String,
    pub(super) clock: String,
    pub(super) relative: String,
}

/// What the page says of it.
pub(super) struct Access {
    pub(super) until: Option<Moment>,
    pub(super) renewed: Option<Moment>,
    pub(super) scopes: Vec<String>,
}

/// What the session remembers: until when the token was good, and when it was last found renewed (seconds since 1970).
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Seen {
    until: u64,
    renewed: Option<u64>,
}

impl Access {
    /// What is known of it now. The session remembers what was known before.
    pub(super) async fn look(status: &TokenStatus, session: &Session) -> Result<Self, session::Error> {
        let now = seconds(SystemTime::now());
        let until = status.expires_in.map(|left| now.saturating_add(left.as_secs()));
        let before = session.get::<Seen>(SEEN).await.ok().flatten();
        let renewed = match (until, before) {
            (Some(until), Some(seen)) if until > seen.until.saturating_add(TOLERANCE) => Some(now),
            (_, seen) => seen.and_then(|seen| seen.renewed),
        };
        if let Some(until) = until.filter(|until| before.is_none_or(|seen| seen.until.abs_diff(*until) > TOLERANCE)) {
            session.insert(SEEN, Seen { until, renewed }).await?;
        }
        let scopes = status.scope.as_deref().unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
        Ok(Self { until: until.map(Moment::at), renewed: renewed.map(Moment::at), scopes })
    }
}

impl Moment {
    pub(super) fn ago(span: Duration) -> Self {
        Self::at(seconds(SystemTime::now()).saturating_sub(span.as_secs()))
    }

    fn at(at: u64) -> Self {
        let now = seconds(SystemTime::now());
        let when = i64::try_from(at).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let when = when.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, hour, minute, second) = (when.date(), when.hour(), when.minute(), when.second());
        let relative = if at > now { format!("in {}", span(at - now)) } else { format!("{} ago", span(now - at)) };
        Self {
            iso: format!("{date}T{hour:02}:{minute:02}:{second:02}Z"),
            clock: format!("{hour:02}:{minute:02}:{second:02} UTC"),
            relative,
        }
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}
