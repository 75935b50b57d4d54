//! What goes wrong: at random, by a seed.

use std::time::{Duration, Instant};

use fastrand::Rng;
use http::StatusCode;
use oauth_test_server::{Fault, Faults, TestServer};
use tests::redis::RedisServer;
use tokio::{task::block_in_place, time::sleep};

use super::{calls::Stage, tally::Tally};

/// A fault by name; some are made at random.
type Named = (&'static str, fn(&mut Rng) -> Fault);

/// What happens at an authorization server; some of it only where tokens live shortly.
const TOKEN_FAULTS: [Named; 13] = [
    ("500", |_| Fault::Status(StatusCode::INTERNAL_SERVER_ERROR)),
    ("502, an HTML page", |_| Fault::Html(StatusCode::BAD_GATEWAY)),
    ("503 with Retry-After", |_| Fault::StatusWithRetryAfter(StatusCode::SERVICE_UNAVAILABLE, "1".to_owned())),
    ("429, empty", |_| Fault::Empty(StatusCode::TOO_MANY_REQUESTS)),
    ("temporarily_unavailable", |_| Fault::oauth_error("temporarily_unavailable")),
    ("hang", |_| Fault::Hang),
    ("reset", |_| Fault::Disconnect),
    // These bring a token, lose one, or take their time.
    ("delay", |rng| Fault::Delay(Duration::from_millis(rng.u64(..800)))),
    ("broken off within the body", |_| Fault::CloseMidBody(StatusCode::OK)),
    ("garbage", |_| Fault::Garbage),
    ("a body that trickles", |_| Fault::Trickle(StatusCode::OK, Duration::from_millis(50))),
    ("the same token", |_| Fault::SameToken),
    ("answer lost", |_| Fault::LoseAnswer),
];
/// How many of them never issue a token: only these happen where each token is accounted for.
const WITHOUT_A_TOKEN: usize = 7;
/// How many of them may happen where users share a client: with a refresh token that rotates an answer that is lost loses the
/// sign-in, and nobody could help it; and the same token again would be another user's.
const FOR_USERS: usize = 11;

const API_FAULTS: [Named; 5] = [
    ("500", |_| Fault::Status(StatusCode::INTERNAL_SERVER_ERROR)),
    ("reset", |_| Fault::Disconnect),
    ("broken off within the body", |_| Fault::CloseMidBody(StatusCode::OK)),
    ("delay", |rng| Fault::Delay(Duration::from_millis(rng.u64(..300)))),
    ("401 for a good token", |_| Fault::unauthorized()),
];

/// The servers, and what was done to them.
#[derive(Debug)]
pub(crate) struct Storms {
    /// Its tokens live for seconds.
    pub(crate) hasty: TestServer,
    /// Its tokens live for an hour, and die by revocation only.
    pub(crate) steady: TestServer,
    pub(crate) steady_revocations: u64,
    /// Its tokens live for seconds, too, and their refresh tokens rotate.
    pub(crate) personal: TestServer,
    /// Where fleets share their tokens.
    pub(crate) redis: Option<RedisServer>,
    is_redis_up: bool,
    rng: Rng,
}

impl Storms {
    pub(crate) fn new([hasty, steady, personal]: [TestServer; 3], redis: Option<RedisServer>, rng: Rng) -> Self {
        let storms = Self { hasty, steady, steady_revocations: 0, personal, redis, is_redis_up: true, rng };
        storms.be_honest(Duration::from_secs(3));
        storms
    }

    /// One storm, for so long.
    pub(crate) async fn rage(&mut self, stage: &Stage, span: Duration) {
        let began = Instant::now();
        while began.elapsed() < span {
            self.strike(&stage.tally);
            if self.rng.u8(..10) == 0 {
                stage.tally.injected("callers: all at once");
                stage.weather.blow();
            }
            sleep(Duration::from_millis(self.rng.u64(10..150))).await;
        }
    }

    fn strike(&mut self, tally: &Tally) {
        match self.rng.u8(..16) {
            0..=3 => self.inject(tally, "hasty server", self.hasty.token_faults(), &TOKEN_FAULTS),
            4..=5 => {
                self.inject(tally, "steady server", self.steady.token_faults(), &TOKEN_FAULTS[..WITHOUT_A_TOKEN]);
            }
            6..=7 => self.inject(tally, "hasty API", self.hasty.api_faults(), &API_FAULTS),
            // A 401 would cause a renewal for a token that is not dead.
            8 => self.inject(tally, "steady API", self.steady.api_faults(), &API_FAULTS[..API_FAULTS.len() - 1]),
            9 => {
                tally.injected("hasty server: all tokens revoked");
                self.hasty.revoke_access_tokens();
            }
            10 => {
                let lifetime = Duration::from_secs(self.rng.u64(1..6));
                tally.injected("hasty server: another lifetime");
                self.be_honest(lifetime);
            }
            11..=12 => {
                let faults = self.personal.token_faults();
                self.inject(tally, "personal server", faults, &TOKEN_FAULTS[..FOR_USERS]);
            }
            13 => {
                tally.injected("personal server: all access tokens revoked");
                self.personal.revoke_access_tokens();
            }
            14 => self.strike_redis(tally),
            _ => {
                let told = self.rng.choice([1, 30, 3600]).expect("not empty");
                tally.injected("hasty server: a lifetime that lies, as clocks do that step");
                self.hasty.set_token_response("expires_in", told);
            }
        }
    }

    fn inject(&mut self, tally: &Tally, place: &str, faults: Faults, choice: &[Named]) {
        let (name, fault) = choice[self.rng.usize(..choice.len())];
        faults.push(self.rng.usize(1..5), fault(&mut self.rng));
        tally.injected(format_args!("{place}: {name}"));
    }

    /// Killed, frozen, or up again.
    fn strike_redis(&mut self, tally: &Tally) {
        let Some(redis) = &mut self.redis else { return };
        if !self.is_redis_up {
            return self.mend_redis(tally);
        }
        self.is_redis_up = false;
        if self.rng.bool() {
            tally.injected("Redis: killed");
            redis.kill();
        } else {
            tally.injected("Redis: frozen");
            redis.freeze();
        }
    }

    fn mend_redis(&mut self, tally: &Tally) {
        let Some(redis) = self.redis.as_mut().filter(|_| !self.is_redis_up) else { return };
        tally.injected("Redis: started anew, empty");
        block_in_place(|| redis.restart());
        self.is_redis_up = true;
    }

    fn servers(&self) -> [&TestServer; 3] {
        [&self.hasty, &self.steady, &self.personal]
    }

    /// All tokens of the steady server die at once, and all callers find out together.
    pub(crate) fn revoke_steady(&mut self, stage: &Stage) {
        stage.tally.injected("steady server: all tokens revoked");
        self.steady_revocations += 1;
        self.steady.revoke_access_tokens();
        stage.weather.blow();
    }

    /// Nothing answers at the authorization servers from now on.
    pub(crate) fn black_out(&self, tally: &Tally) {
        tally.injected("all servers: an outage");
        for server in self.servers() {
            server.token_faults().clear();
            server.token_faults().push_forever(Fault::Disconnect);
        }
    }

    /// The storm is over.
    pub(crate) fn clear(&mut self, tally: &Tally) {
        self.mend_redis(tally);
        for server in self.servers() {
            server.token_faults().clear();
            server.api_faults().clear();
        }
        self.be_honest(Duration::from_secs(3));
    }

    /// The lifetime that is told is the one that it is.
    fn be_honest(&self, lifetime: Duration) {
        for server in [&self.hasty, &self.personal] {
            server.set_token_lifetime(Some(lifetime));
            server.set_token_response("expires_in", lifetime.as_secs());
        }
    }
}
