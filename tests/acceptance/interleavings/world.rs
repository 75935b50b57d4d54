//! A real cache, a source by hand, and callers that are polled by hand: one small step at a time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread::panicking,
};

use futures_util::FutureExt;
use oauth_tokens::{AccessToken, Error, TokenCache, TokenSet, TokenStatus};
use tests::source::{Fetch, Source, token, tokens};
use tokio::{
    runtime::{EnterGuard, Runtime},
    time::{Duration, Instant},
};

use super::{
    explore::Walk,
    runtimes::{in_step_with, now_on, settle, turn_on},
    spec::{Asker, DEADLINE, End, LIFETIME, Place, REFRESH_IN, Reply, Spec, name_of},
    step::{PATIENT, REJECTED, Step},
};

const ORIGIN: &str = "https://api.test";
/// What the patient caller wants.
const A_WHILE: Duration = Duration::from_secs(50);

/// Somebody who takes any token.
const ANYBODY: Asker = Asker { rejected: None, wanted: Duration::ZERO, half: None, waits_for: None };

struct Caller {
    future: Pin<Box<dyn Future<Output = Result<AccessToken, Error>>>>,
    woken: Arc<Woken>,
    asker: Asker,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

pub(super) struct World<'a> {
    main: &'a Runtime,
    other: Option<Runtime>,
    source: Source,
    cache: TokenCache,
    spec: Spec,
    callers: [Option<Caller>; 4],
    /// The fetches that wait for an answer, and their renewals.
    fetches: Vec<(usize, Fetch)>,
    /// Where something may have happened that tasks have not seen yet: on the main runtime, on the other one.
    stirred: [bool; 2],
    steps: Vec<Step>,
}

impl<'a> World<'a> {
    /// A world after these steps; it need not have another runtime.
    pub(super) fn after(main: &'a Runtime, has_other: bool, steps: &[Step]) -> Self {
        // Every walk draws the same jitter.
        fastrand::seed(0);
        let other = has_other.then(|| in_step_with(main));
        let source = Source::by_hand();
        let cache = source.cache();
        let callers = [const { None }; 4];
        let (spec, fetches, stirred) = (Spec::default(), Vec::new(), [false; 2]);
        let mut world = Self { main, other, source, cache, spec, callers, fetches, stirred, steps: Vec::new() };
        for step in steps {
            assert!(world.can(*step), "{step:?} to begin with");
            world.take(*step);
        }
        world
    }

    fn runtime(&self, place: Place) -> Option<&Runtime> {
        match place {
            Place::Main => Some(self.main),
            Place::Other => self.other.as_ref(),
        }
    }

    fn enter(&self, place: Place) -> EnterGuard<'_> {
        self.runtime(place).expect("it has not ended").enter()
    }

    fn now(&self) -> Instant {
        now_on(self.main)
    }

    /// The cache's own word, at the time of the main runtime.
    fn status(&self) -> TokenStatus {
        let _inside = self.enter(Place::Main);
        self.cache.status()
    }

    fn poll(&mut self, slot: usize) {
        let now = self.now();
        let mut caller = self.callers[slot].take().unwrap_or_else(|| self.come(slot, now));
        let outcome = {
            let _inside = self.enter(Place::Main);
            caller.woken.0.store(false, SeqCst);
            let waker = Waker::from(Arc::clone(&caller.woken));
            caller.future.as_mut().poll(&mut Context::from_waker(&waker))
        };
        self.note_begun(Place::Main, &caller.asker, now);
        match outcome {
            Poll::Ready(outcome) => self.spec.check_outcome(&caller.asker, &outcome, now),
            Poll::Pending => {
                self.spec.check_waits(&caller.asker, now);
                caller.asker.waits_for = self.spec.live();
                self.callers[slot] = Some(caller);
            }
        }
    }

    fn come(&self, slot: usize, now: Instant) -> Caller {
        let current = self.spec.token.as_ref().map(|token| token.name.clone());
        let rejected = current.filter(|_| slot == REJECTED);
        let cache = self.cache.clone();
        let of = rejected.as_deref().map(token);
        let future = Box::pin(async move {
            match of {
                Some(rejected) => cache.renew_for(ORIGIN, &rejected).await,
                None if slot == PATIENT => cache.token_valid_for(A_WHILE).await,
                None => cache.token().await,
            }
        });
        let serves = self.spec.unexpired(now).filter(|_| rejected.is_none());
        let half = serves.map(|token| now + (token.expires_at - now) / 2);
        let wanted = if slot == PATIENT { A_WHILE } else { Duration::ZERO };
        Caller { future, woken: Arc::default(), asker: Asker { rejected, wanted, half, waits_for: None } }
    }

    /// Notes a renewal that a caller has begun, if it was allowed to; nobody but callers begins one.
    fn note_begun(&mut self, place: Place, asker: &Asker, now: Instant) {
        if self.status().renewing && self.spec.live().is_none() {
            self.spec.check_may_begin(asker, now);
            self.spec.begun(place, asker.rejected.as_deref(), now);
            self.stirred[place as usize] = true;
        }
    }

    fn look(&mut self) {
        let now = self.now();
        let found = {
            let _inside = self.enter(Place::Main);
            self.cache.cached()
        };
        assert_eq!(found.as_ref().map(AccessToken::secret), self.spec.usable(now));
        self.note_begun(Place::Main, &ANYBODY, now);
        let is_due = self.spec.usable(now).is_some() && self.spec.is_past_refresh(now);
        assert!(!is_due || self.spec.live().is_some() || self.spec.was_fruitless(), "nobody renews in the window");
    }

    fn reject_old(&mut self) {
        let now = self.now();
        let previous = token(self.spec.previous.as_deref().expect("there is one"));
        let taken = {
            let _inside = self.enter(Place::Main);
            self.cache.renew_in_background(ORIGIN, &previous);
            self.cache.renew_for(ORIGIN, &previous).now_or_never()
        };
        let usable = self.spec.usable(now).expect("there is one");
        assert_eq!(taken.expect("at once").expect("the current token").secret(), usable);
    }

    fn ask_elsewhere(&mut self) {
        let now = self.now();
        let outcome = {
            let _inside = self.enter(Place::Other);
            assert_eq!(Instant::now(), now, "the clocks are in step");
            self.cache.token().now_or_never()
        };
        self.note_begun(Place::Other, &ANYBODY, now);
        match outcome {
            Some(outcome) => self.spec.check_outcome(&ANYBODY, &outcome, now),
            None => self.spec.check_waits(&ANYBODY, now),
        }
    }

    fn run(&mut self, place: Place) {
        self.runtime(place).expect("it has not ended").block_on(settle());
        self.stirred[place as usize] = false;
        let now = self.now();
        for id in 0..self.spec.renewals.len() {
            if self.spec.renewals[id].place != place {
                continue;
            }
            if self.spec.renewals[id].began.is_none() {
                // A task that nobody waits for any more runs all the same.
                self.fetches.push((id, self.source.try_next().expect("it fetches")));
                self.spec.renewals[id].began = Some(now);
            } else if self.spec.renewals[id].is_over(now) {
                let refresh_in = self.status().refresh_in;
                self.spec.settled(id, now, || now + refresh_in.expect("there is a token"));
            }
        }
        self.fetches.retain(|(id, fetch)| self.spec.renewals[*id].reply.is_none() && fetch.is_wanted());
        for caller in self.callers.iter().flatten() {
            let end = caller.asker.waits_for.and_then(|id| self.spec.renewals[id].end.as_ref());
            // Of a renewal that was lost a timer tells, on the caller's own runtime.
            let is_told = end.is_some_and(|end| *end != End::Lost || place == Place::Main);
            assert!(!is_told || caller.woken.0.load(SeqCst), "a caller was not told");
        }
    }

    fn answer(&mut self, at: usize, reply: Reply) {
        let (id, fetch) = self.fetches.remove(at);
        self.spec.renewals[id].reply = Some(reply);
        self.stirred[self.spec.renewals[id].place as usize] = true;
        fetch.answer(match reply {
            Reply::New => Ok(issued(&name_of(id))),
            Reply::Same => Ok(issued(&self.spec.token.as_ref().expect("there is one").name)),
            Reply::Error => Err(Error::source_failed(format!("down-{id}"))),
        });
    }

    /// Both clocks go on; nothing is run.
    fn pass(&mut self, span: Duration) {
        for place in [Place::Main, Place::Other] {
            if let Some(runtime) = self.runtime(place) {
                turn_on(runtime, span);
                self.stirred[place as usize] = true;
            }
        }
        self.spec.time_is(self.now());
    }

    fn end_other(&mut self) {
        self.other = None;
        let now = self.now();
        for id in 0..self.spec.renewals.len() {
            if self.spec.renewals[id].place == Place::Other {
                if self.spec.renewals[id].end.is_none() {
                    self.spec.lose(id, now);
                }
                self.spec.renewals[id].reply = Some(Reply::Error);
            }
        }
        self.fetches.retain(|(_, fetch)| fetch.is_wanted());
    }

    /// What holds in every state.
    fn check(&self) {
        let now = self.now();
        let status = self.status();
        assert_eq!(status.usable, self.spec.usable(now).is_some(), "{status:?}");
        assert_eq!(status.renewing, self.spec.live().is_some(), "{status:?}");
        assert_eq!(status.renewals, self.spec.published, "{status:?}");
        let began = self.spec.renewals.iter().filter(|renewal| renewal.began.is_some()).count();
        assert_eq!(self.source.fetches(), began, "a renewal that nobody asked for");
    }

    fn is_waiting(&self) -> bool {
        self.callers.iter().any(Option::is_some)
    }
}

impl Walk for World<'_> {
    type Step = Step;

    fn can(&self, step: Step) -> bool {
        let now = self.now();
        match step {
            // A rejection needs a token. The second caller is like the first, so it comes after it.
            Step::Poll(slot) => match &self.callers[slot] {
                Some(caller) => caller.woken.0.load(SeqCst),
                None if slot == REJECTED => self.spec.token.is_some(),
                None => slot != 1 || self.callers[0].is_some(),
            },
            Step::Leave(slot) => self.callers[slot].is_some(),
            Step::Look => self.spec.token.is_some(),
            Step::RejectOld => self.spec.previous.is_some() && self.spec.usable(now).is_some(),
            Step::Accept => self.spec.has_hold(),
            Step::AskElsewhere => self.other.is_some() && self.spec.live().is_none(),
            Step::Run(place) => self.stirred[place as usize] && self.runtime(place).is_some(),
            Step::EndOther => self.other.is_some() && self.spec.renewals.iter().any(|it| it.place == Place::Other),
            Step::Answer(reply) => !self.fetches.is_empty() && (reply != Reply::Same || self.spec.token.is_some()),
            Step::AnswerOld(_) => self.fetches.len() > 1,
            Step::Pass => true,
        }
    }

    fn take(&mut self, step: Step) {
        self.steps.push(step);
        match step {
            Step::Poll(slot) => self.poll(slot),
            Step::Leave(slot) => drop(self.callers[slot].take()),
            Step::Look => self.look(),
            Step::RejectOld => self.reject_old(),
            Step::Accept => {
                let current = token(&self.spec.token.as_ref().expect("there is one").name);
                let _inside = self.main.enter();
                self.cache.accepted(ORIGIN, &current);
                self.spec.accepted();
            }
            Step::AskElsewhere => self.ask_elsewhere(),
            Step::Run(place) => self.run(place),
            Step::EndOther => self.end_other(),
            Step::Answer(reply) => self.answer(self.fetches.len() - 1, reply),
            Step::AnswerOld(reply) => self.answer(0, reply),
            Step::Pass => {
                let now = self.now();
                self.pass(self.spec.next_moment(now) - now);
            }
        }
        self.check();
    }

    /// Whatever has happened, every caller ends, and nothing is left.
    fn end(mut self) {
        let mut rounds = 0;
        while self.is_waiting() {
            assert!(rounds < 8, "a caller waits for ever");
            rounds += 1;
            self.run(Place::Main);
            for slot in 0..self.callers.len() {
                if self.callers[slot].is_some() {
                    self.poll(slot);
                }
            }
            self.run(Place::Main);
            self.pass(DEADLINE);
            self.check();
        }
        self.end_other();
        self.fetches.clear();
        while self.source.running() > 0 || self.stirred[0] {
            assert!(rounds < 16, "a fetch goes on for ever");
            rounds += 1;
            self.pass(DEADLINE);
            self.run(Place::Main);
        }
        let (source, cache) = (self.source.clone(), self.cache.clone());
        drop(self);
        drop(cache);
        assert_eq!(source.holders(), 1, "something outlives the cache");
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if panicking() {
            eprintln!("after the steps {:?}\nof {:?}", self.steps, self.spec);
        }
    }
}

/// The server says when it is to be renewed, so that chance has little to say: each walk sees the same moments in the same order.
fn issued(name: &str) -> TokenSet {
    let mut issued = tokens(name, Some(LIFETIME));
    issued.refresh_in = Some(REFRESH_IN);
    issued
}
