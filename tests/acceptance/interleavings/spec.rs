//! What a cache owes its callers, in a few simple rules: the reference that the real one is held against.

use std::{fmt, time::Duration};

use oauth_tokens::{AccessToken, Error, ErrorKind};
use tokio::time::Instant;

use super::{ms, s};

/// What every token lives for, and how long before its end it has had its use.
pub(super) const LIFETIME: Duration = s(60);
pub(super) const REFRESH_IN: Duration = s(48);
const SKEW: Duration = s(3);
/// When a source is given up on, and when a renewal whose runtime stands still is taken over. Timers count in milliseconds.
pub(super) const DEADLINE: Duration = ms(10_501);
pub(super) const TAKE_OVER: Duration = ms(11_001);
/// How long an origin is held after a renewal that it caused, doubled each time.
const FIRST_HOLD: Duration = s(5);

/// The runtime that drives a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Main,
    Other,
}

/// What the source says to one fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    New,
    Same,
    Error,
}

pub(super) struct Token {
    pub(super) name: String,
    pub(super) refresh_at: Instant,
    pub(super) usable_until: Instant,
    pub(super) expires_at: Instant,
}

pub(super) struct Renewal {
    pub(super) place: Place,
    pub(super) started: Instant,
    by_rejection: bool,
    /// When its runtime first ran it.
    pub(super) began: Option<Instant>,
    pub(super) reply: Option<Reply>,
    pub(super) end: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Brought(String),
    Failed(String),
    /// Nobody drives it any more, or somebody else has taken over.
    Lost,
}

impl Renewal {
    /// Whether its task ends when its runtime runs.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.reply.is_some() || self.began.is_some_and(|began| now >= began + DEADLINE)
    }
}

struct Failure {
    text: String,
    at: Instant,
    pause: Duration,
}

struct Hold {
    rejected: String,
    until: Instant,
    times: u32,
}

#[derive(Default)]
pub(super) struct Spec {
    pub(super) token: Option<Token>,
    pub(super) previous: Option<String>,
    pub(super) renewals: Vec<Renewal>,
    pub(super) published: u64,
    failure: Option<Failure>,
    fruitless: u32,
    hold: Option<Hold>,
}

/// Somebody who waits, or comes.
pub(super) struct Asker {
    /// The token that will not do.
    pub(super) rejected: Option<String>,
    /// How long the token should live, if one can be had that does.
    pub(super) wanted: Duration,
    /// When a token that is past its use serves at last. None: there was none when the caller came.
    pub(super) half: Option<Instant>,
    /// The renewal that ran when the caller was left waiting.
    pub(super) waits_for: Option<usize>,
}

impl Spec {
    pub(super) fn usable(&self, now: Instant) -> Option<&str> {
        self.token.as_ref().filter(|token| now < token.usable_until).map(|token| &*token.name)
    }

    /// Whether the token can be used for so long.
    fn lasts(&self, wanted: Duration, now: Instant) -> bool {
        self.token.as_ref().is_some_and(|token| now + wanted < token.usable_until)
    }

    pub(super) fn unexpired(&self, now: Instant) -> Option<&Token> {
        self.token.as_ref().filter(|token| now < token.expires_at)
    }

    pub(super) fn is_past_refresh(&self, now: Instant) -> bool {
        self.token.as_ref().is_some_and(|token| now >= token.refresh_at)
    }

    /// The renewal that callers join.
    pub(super) fn live(&self) -> Option<usize> {
        self.renewals.iter().rposition(|renewal| renewal.end.is_none())
    }

    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.hold.as_ref().is_some_and(|hold| now < hold.until)
    }

    pub(super) fn has_hold(&self) -> bool {
        self.hold.is_some()
    }

    /// A failure of a moment ago that callers are told of.
    fn remembered(&self, now: Instant) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| now < failure.at + failure.pause)
    }

    /// Whether the last renewals brought nothing, so that the next one in the background may have a pause.
    pub(super) fn was_fruitless(&self) -> bool {
        self.fruitless > 0
    }

    /// A quarter of the pause may be jitter.
    fn is_surely_remembered(&self, now: Instant) -> bool {
        self.failure.as_ref().is_some_and(|failure| now < failure.at + failure.pause * 3 / 4)
    }

    /// When something next changes by itself.
    pub(super) fn next_moment(&self, now: Instant) -> Instant {
        let token = self.token.iter().flat_map(|token| {
            let middle = token.usable_until + (token.expires_at - token.usable_until) / 2;
            [token.refresh_at, token.usable_until, middle, token.expires_at]
        });
        let lost = self.live().map(|id| self.renewals[id].started + TAKE_OVER);
        let deadlines =
            self.renewals.iter().filter(|renewal| renewal.reply.is_none()).filter_map(|it| Some(it.began? + DEADLINE));
        let failure = self.failure.as_ref().map(|failure| failure.at + failure.pause);
        let hold = self.hold.as_ref().map(|hold| hold.until);
        let moments = token.chain(lost).chain(deadlines).chain(failure).chain(hold);
        moments.filter(|moment| *moment > now).min().unwrap_or(now + s(60))
    }

    /// A renewal that nobody drives any more is none.
    pub(super) fn time_is(&mut self, now: Instant) {
        if let Some(id) = self.live()
            && now >= self.renewals[id].started + TAKE_OVER
        {
            self.lose(id, now);
        }
    }

    pub(super) fn lose(&mut self, id: usize, now: Instant) {
        self.renewals[id].end = Some(End::Lost);
        self.note_cause(id, false, now);
    }

    /// Whether somebody who asks now may begin a renewal.
    pub(super) fn check_may_begin(&self, asker: &Asker, now: Instant) {
        assert!(self.live().is_none(), "two renewals at a time");
        match (asker.rejected.as_deref(), self.usable(now)) {
            (Some(rejected), Some(usable)) => {
                assert_eq!(rejected, usable, "a renewal for a token that is not the current one");
                assert!(!self.is_held(now), "a renewal although the last one cured nothing");
            }
            // A background renewal has another pause: full jitter from nothing on.
            (None, Some(_)) if self.is_past_refresh(now) => return,
            (None, Some(_)) => assert!(!self.lasts(asker.wanted, now), "a renewal of a fresh token"),
            (_, None) => {}
        }
        assert!(!self.is_surely_remembered(now), "a renewal so soon after one that failed");
    }

    pub(super) fn begun(&mut self, place: Place, rejected: Option<&str>, now: Instant) {
        let by_rejection = rejected.is_some() && self.usable(now) == rejected;
        if let Some(rejected) = rejected.filter(|_| by_rejection) {
            let times = self.hold.as_ref().map_or(0, |hold| hold.times);
            self.hold = Some(Hold {
                rejected: rejected.to_owned(),
                until: now + FIRST_HOLD * 2_u32.pow(times),
                times: times + 1,
            });
        }
        self.renewals.push(Renewal { place, started: now, by_rejection, began: None, reply: None, end: None });
    }

    pub(super) fn accepted(&mut self) {
        let current = self.token.as_ref().map(|token| &token.name);
        self.hold.take_if(|hold| current.is_some_and(|current| *current != hold.rejected));
    }

    /// What a renewal brought, if it is still the one. `refresh_at` is the cache's own word, as it holds jitter.
    pub(super) fn settled(&mut self, id: usize, now: Instant, refresh_at: impl FnOnce() -> Instant) {
        if self.renewals[id].end.is_some() {
            return;
        }
        let since = self.renewals[id].began.expect("it ran");
        let current = self.token.as_ref().map(|token| token.name.clone());
        let end = match self.renewals[id].reply {
            Some(Reply::Same) if self.usable(now).is_some() => {
                self.failure = None;
                self.fruitless += 1;
                End::Brought(current.expect("there is one"))
            }
            Some(Reply::Error) => End::Failed(format!("down-{id}")),
            Some(reply) if now < since + LIFETIME - SKEW => {
                let name = current.filter(|_| reply == Reply::Same).unwrap_or_else(|| name_of(id));
                self.publish(name, since, refresh_at())
            }
            Some(_) => End::Failed("expired already".to_owned()),
            None => End::Failed("did not answer".to_owned()),
        };
        if let End::Failed(text) = &end {
            let pause = (s(1) * 2_u32.pow(self.fruitless.min(8))).min(s(10));
            self.failure = Some(Failure { text: text.clone(), at: now, pause });
            self.fruitless += 1;
        }
        self.note_cause(id, !matches!(end, End::Failed(_)), now);
        self.renewals[id].end = Some(end);
    }

    fn publish(&mut self, name: String, since: Instant, refresh_at: Instant) -> End {
        let (usable_until, expires_at) = (since + LIFETIME - SKEW, since + LIFETIME);
        assert!(refresh_at >= since + REFRESH_IN && refresh_at <= usable_until, "renewed at an odd moment");
        let token = Token { name: name.clone(), refresh_at, usable_until, expires_at };
        self.previous = self.token.replace(token).map(|token| token.name).filter(|previous| *previous != name);
        self.failure = None;
        self.fruitless = 0;
        self.published += 1;
        End::Brought(name)
    }

    /// A renewal that failed is held against no origin.
    fn note_cause(&mut self, id: usize, cured: bool, now: Instant) {
        if let Some(hold) = self.hold.as_mut().filter(|_| self.renewals[id].by_rejection) {
            hold.times -= u32::from(!cured);
            hold.until = if cured { now + FIRST_HOLD * 2_u32.pow(hold.times - 1) } else { now };
        }
    }

    /// Whether what a caller got is what it should get now.
    pub(super) fn check_outcome(&self, asker: &Asker, outcome: &Result<AccessToken, Error>, now: Instant) {
        let unexpired = self.unexpired(now).filter(|token| asker.rejected.as_deref() != Some(&*token.name));
        let usable = self.usable(now).filter(|usable| asker.rejected.as_deref() != Some(*usable));
        let ended = asker.waits_for.and_then(|id| self.renewals[id].end.as_ref());
        match outcome {
            Ok(token) => {
                assert_ne!(Some(token.secret()), asker.rejected.as_deref(), "the rejected token again");
                let unexpired = unexpired.expect("a token although none is valid");
                assert_eq!(token.secret(), unexpired.name, "another token than the current one");
                let waited = asker.half.is_none_or(|half| now >= half);
                assert!(usable.is_some() || self.failure.is_some() || waited, "past its use, and not tried to renew");
            }
            Err(error) => {
                assert!(unexpired.is_none(), "an error although there is a valid token: {error}");
                self.check_error(asker, ended, error, now);
            }
        }
    }

    fn check_error(&self, asker: &Asker, ended: Option<&End>, error: &Error, now: Instant) {
        match (error.kind(), ended) {
            (ErrorKind::Held, _) => assert!(asker.rejected.is_some() && self.is_held(now), "held for no reason"),
            (ErrorKind::SameToken, Some(End::Brought(name))) => assert_eq!(Some(name), asker.rejected.as_ref()),
            (_, Some(End::Failed(text))) => {
                assert!(error.to_string().contains(text), "not its renewal's error: {error}")
            }
            _ => {
                let text = self.remembered(now).map(|failure| failure.text.as_str());
                assert!(text.is_some_and(|text| error.to_string().contains(text)), "an error from nowhere: {error}");
            }
        }
    }

    /// Whether a caller may be left waiting.
    pub(super) fn check_waits(&self, asker: &Asker, now: Instant) {
        assert!(self.live().is_some(), "a caller waits for nothing");
        if let Some(usable) = self.usable(now) {
            let is_rejected = asker.rejected.as_deref() == Some(usable);
            assert!(is_rejected || !self.lasts(asker.wanted, now), "a caller waits although there is a token");
        }
    }
}

/// The names that tell the story.
impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let renewals = self.renewals.iter().map(|it| (it.place, it.began.is_some(), it.reply, &it.end));
        f.debug_list().entries(renewals).finish()
    }
}

pub(super) fn name_of(renewal: usize) -> String {
    format!("token-{renewal}")
}
