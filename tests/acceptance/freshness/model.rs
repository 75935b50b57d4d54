//! Random interleavings, stepped: whatever happens in whatever order, some things always hold.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use oauth_tokens::{AccessToken, Error, ErrorKind, TokenCache};
use proptest::prelude::*;
use tests::source::{Fetch, Source, settle, token, tokens};
use tokio::{
    task::JoinHandle,
    time::{Instant, advance},
};

use super::{TAKE_OVER, ms, paused_runtime, s};

const ORIGINS: [&str; 2] = ["https://a.test", "https://b.test"];
/// The shortest pause after a failure: a second, less a quarter of jitter.
const LEAST_PAUSE: Duration = ms(750);
/// A source is given up on after this long.
const DEADLINE: Duration = ms(10_500);

#[derive(Clone, Debug)]
enum Op {
    Advance(u64),
    /// Somebody asks for a token, and waits if need be.
    Call,
    /// Somebody looks for a token, and does not wait.
    Look,
    /// An origin rejects the current token, or the one before.
    Reject {
        origin: usize,
        old: bool,
        wait: bool,
    },
    /// An origin accepts the current token, or the one before.
    Accept {
        origin: usize,
        old: bool,
    },
    /// The server answers: a new token of so many seconds, the same token, an expired one, an error, a hang.
    AnswerNew(Option<u64>),
    AnswerSame,
    AnswerExpired,
    AnswerError,
    Hang,
    DropCaller(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    let origin = 0..ORIGINS.len();
    prop_oneof![
        6 => prop_oneof![0..1000_u64, 1000..15_000_u64, 15_000..400_000_u64].prop_map(Op::Advance),
        6 => Just(Op::Call),
        6 => Just(Op::Look),
        4 => (origin.clone(), any::<bool>(), any::<bool>()).prop_map(|(origin, old, wait)| Op::Reject { origin, old, wait }),
        2 => (origin, any::<bool>()).prop_map(|(origin, old)| Op::Accept { origin, old }),
        6 => prop::sample::select(vec![Some(1), Some(5), Some(60), Some(3600), None]).prop_map(Op::AnswerNew),
        2 => Just(Op::AnswerSame),
        1 => Just(Op::AnswerExpired),
        4 => Just(Op::AnswerError),
        1 => Just(Op::Hang),
        2 => any::<prop::sample::Index>().prop_map(Op::DropCaller),
    ]
}

/// What is known of a token that the server has issued.
#[derive(Clone, Copy, Debug)]
struct Issued {
    expires_at: Option<Instant>,
    usable_until: Option<Instant>,
}

/// When each token that was ever issued expires. Callers look it up the moment they get one.
type Register = Arc<Mutex<HashMap<String, Issued>>>;

fn check_not_expired(register: &Register, token: &AccessToken) {
    let issued = register.lock().expect("no panic")[token.secret()];
    assert!(issued.expires_at.is_none_or(|expires_at| Instant::now() < expires_at), "a caller got an expired token");
}

struct Caller {
    task: JoinHandle<Result<AccessToken, Error>>,
    rejected: Option<AccessToken>,
}

struct World {
    source: Source,
    cache: TokenCache,
    register: Register,
    /// The token that the cache should have published last, and the one before.
    current: Option<AccessToken>,
    previous: Option<AccessToken>,
    /// The fetch that waits for its answer, and when it began.
    fetch: Option<(Fetch, Instant)>,
    callers: Vec<Caller>,
    issued: u32,
    failed_at: Option<Instant>,
    caused_by_rejections: usize,
    began: Instant,
}

impl World {
    fn new() -> Self {
        let source = Source::by_hand();
        Self {
            cache: source.cache(),
            source,
            register: Register::default(),
            current: None,
            previous: None,
            fetch: None,
            callers: Vec::new(),
            issued: 0,
            failed_at: None,
            caused_by_rejections: 0,
            began: Instant::now(),
        }
    }

    fn known(&self, token: &AccessToken) -> Issued {
        self.register.lock().expect("no panic")[token.secret()]
    }

    /// The token that every call can be served with at once.
    fn usable(&self) -> Option<&AccessToken> {
        let now = Instant::now();
        self.current.as_ref().filter(|token| self.known(token).usable_until.is_none_or(|until| now < until))
    }

    async fn step(&mut self, op: Op) {
        let fetches = self.source.fetches();
        let by_rejection = matches!(&op, Op::Reject { .. }) && self.usable().is_some();
        match op {
            Op::Advance(millis) => return self.advance(ms(millis)).await,
            Op::Call => self.call().await,
            Op::Look => assert_eq!(self.cache.cached().as_ref(), self.usable()),
            Op::Reject { origin, old, wait } => self.reject(ORIGINS[origin], old, wait),
            Op::Accept { origin, old } => {
                let token = if old { &self.previous } else { &self.current };
                if let Some(token) = token {
                    self.cache.accepted(ORIGINS[origin], token);
                }
            }
            Op::AnswerNew(lifetime) => self.answer_new(lifetime.map(s)),
            Op::AnswerSame => self.answer_same(),
            Op::AnswerExpired => self.fail(Ok(tokens("expired", Some(Duration::ZERO)))),
            Op::AnswerError => self.fail(Err(Error::source_failed("down"))),
            Op::Hang => drop(self.fetch.take()),
            Op::DropCaller(index) => {
                if !self.callers.is_empty() {
                    let index = index.index(self.callers.len());
                    self.callers.swap_remove(index).task.abort();
                }
            }
        }
        settle().await;
        self.note_fetches(fetches, by_rejection);
        self.check().await;
    }

    /// Time passes on a runtime that lives: while an exchange runs, in steps. (A jump past the exchange's deadline is what a
    /// runtime that stood still looks like, and a waiter that wakes first takes over.)
    async fn advance(&mut self, mut left: Duration) {
        loop {
            let step = if self.source.running() > 0 { left.min(ms(250)) } else { left };
            let fetches = self.source.fetches();
            advance(step).await;
            settle().await;
            self.note_fetches(fetches, false);
            self.check().await;
            left -= step;
            if left.is_zero() {
                return;
            }
        }
    }

    async fn call(&mut self) {
        if let Some(usable) = self.usable() {
            let at_once = self.cache.token().now_or_never().expect("a caller with a usable token never waits");
            assert_eq!(&at_once.expect("a caller with a usable token never gets an error"), usable);
            return;
        }
        let (cache, register, current) = (self.cache.clone(), Arc::clone(&self.register), self.current.clone());
        let task = tokio::spawn(async move {
            let outcome = cache.token().await;
            match &outcome {
                Ok(token) => check_not_expired(&register, token),
                Err(_) => {
                    // F8: what has not really expired serves, whatever the renewal says.
                    let expires_at = current.map(|token| register.lock().expect("no panic")[token.secret()].expires_at);
                    assert!(
                        expires_at.is_none_or(|at| at.is_some_and(|at| at <= Instant::now())),
                        "an error although there was a valid token"
                    );
                }
            }
            outcome
        });
        self.callers.push(Caller { task, rejected: None });
    }

    fn reject(&mut self, origin: &'static str, old: bool, wait: bool) {
        let rejected = if old { &self.previous } else { &self.current };
        let rejected = rejected.clone().unwrap_or_else(|| token("never-issued"));
        if !wait {
            self.cache.renew_in_background(origin, &rejected);
            return;
        }
        let (cache, register, of) = (self.cache.clone(), Arc::clone(&self.register), rejected.clone());
        let task = tokio::spawn(async move {
            let outcome = cache.renew_for(origin, &of).await;
            if let Ok(token) = &outcome {
                check_not_expired(&register, token);
            }
            outcome
        });
        self.callers.push(Caller { task, rejected: Some(rejected) });
    }

    /// The fetch that is to be answered now, if somebody still wants the answer.
    fn take_fetch(&mut self) -> Option<(Fetch, Instant)> {
        self.fetch.take().filter(|(fetch, _)| fetch.is_wanted())
    }

    fn issue(&mut self, name: &str, lifetime: Option<Duration>, since: Instant) -> bool {
        let skew = lifetime.map(|lifetime| (lifetime / 20).min(s(10)));
        let usable_until = lifetime.zip(skew).map(|(lifetime, skew)| since + lifetime - skew);
        let issued = Issued { expires_at: lifetime.map(|lifetime| since + lifetime), usable_until };
        let is_usable = usable_until.is_none_or(|until| Instant::now() < until);
        if is_usable {
            self.register.lock().expect("no panic").insert(name.to_owned(), issued);
        }
        is_usable
    }

    fn answer_new(&mut self, lifetime: Option<Duration>) {
        let Some((fetch, since)) = self.take_fetch() else { return };
        self.issued += 1;
        let name = format!("token-{}", self.issued);
        if self.issue(&name, lifetime, since) {
            self.previous = self.current.replace(token(&name));
            self.failed_at = None;
        } else {
            self.failed_at = Some(Instant::now());
        }
        fetch.answer(Ok(tokens(&name, lifetime)));
    }

    fn answer_same(&mut self) {
        let Some(current) = self.current.clone() else { return };
        let Some((fetch, since)) = self.take_fetch() else { return };
        // While it is usable, what is known of it stays; after that, the server has given it a new life.
        if self.usable().is_none() {
            let renewed = self.issue(current.secret(), Some(s(60)), since);
            self.failed_at = (!renewed).then(Instant::now);
        } else {
            self.failed_at = None;
        }
        fetch.answer(Ok(tokens(current.secret(), Some(s(60)))));
    }

    fn fail(&mut self, answer: Result<oauth_tokens::TokenSet, Error>) {
        let Some((fetch, _)) = self.take_fetch() else { return };
        self.failed_at = Some(Instant::now());
        fetch.answer(answer);
    }

    /// What has begun since, and whether it was allowed to.
    fn note_fetches(&mut self, before: usize, by_rejection: bool) {
        let begun = self.source.fetches() - before;
        assert!(begun <= 1, "{begun} exchanges begun in one step");
        if self.fetch.as_ref().is_some_and(|(fetch, _)| !fetch.is_wanted()) {
            // Its deadline has passed: that is a failure like any other.
            self.failed_at = Some(Instant::now());
            self.fetch = None;
        }
        if begun == 0 {
            return;
        }
        let now = Instant::now();
        self.fetch = self.source.try_next().map(|fetch| (fetch, now));
        self.caused_by_rejections += usize::from(by_rejection);
        // Only a background renewal, while the token serves, has another pause: full jitter from nothing on.
        if (self.usable().is_none() || by_rejection)
            && let Some(failed_at) = self.failed_at
        {
            assert!(now - failed_at >= LEAST_PAUSE, "asked again {:?} after a failure", now - failed_at);
        }
    }

    async fn check(&mut self) {
        assert!(self.source.most_running() <= 1, "two exchanges in flight");
        let elapsed = self.began.elapsed();
        // 20 at once for the first origin, 10 more for a second that comes later, and 20 a minute.
        let budget = 30.0 + elapsed.as_secs_f64() / 3.0;
        assert!(self.caused_by_rejections as f64 <= budget, "{} for rejections", self.caused_by_rejections);

        let status = self.cache.status();
        assert_eq!(status.usable, self.usable().is_some(), "{status:?}");
        assert_eq!(status.renewing, self.source.running() == 1, "{status:?}");
        if let Some(usable) = self.usable() {
            let until = self.known(usable).usable_until;
            assert_eq!(status.expires_in, until.map(|until| until - Instant::now()));
        }
        if self.source.running() == 0 {
            assert!(self.callers.iter().all(|caller| caller.task.is_finished()), "a caller waits for nothing");
        }
        let (ended, waiting) =
            std::mem::take(&mut self.callers).into_iter().partition(|caller| caller.task.is_finished());
        self.callers = waiting;
        Self::check_outcomes(ended).await;
    }

    async fn check_outcomes(ended: Vec<Caller>) {
        for Caller { task, rejected } in ended {
            match (task.await.expect("the caller's own checks"), rejected) {
                (Ok(token), Some(rejected)) => assert_ne!(token, rejected, "the rejected token again"),
                (Err(error), None) => {
                    let kinds = [ErrorKind::Source, ErrorKind::Timeout, ErrorKind::InvalidResponse];
                    assert!(kinds.contains(&error.kind()), "{error:?}");
                }
                _ => {}
            }
        }
    }

    /// Whatever happens, every caller ends, and nothing is left.
    async fn end(mut self) {
        self.fetch = None;
        for _ in 0..4 {
            advance(DEADLINE.max(TAKE_OVER)).await;
            settle().await;
        }
        assert!(self.callers.iter().all(|caller| caller.task.is_finished()), "a caller waits for ever");
        Self::check_outcomes(std::mem::take(&mut self.callers)).await;
        drop(self.cache);
        assert_eq!((self.source.running(), self.source.holders()), (0, 1), "something outlives the cache");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f_all_whatever_happens_in_whatever_order(ops in prop::collection::vec(op(), 1..120)) {
        paused_runtime().block_on(async {
            let mut world = World::new();
            for op in ops {
                world.step(op).await;
            }
            world.end().await;
        });
    }
}
