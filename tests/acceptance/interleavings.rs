//! Interleavings of the cache's states, explored exhaustively by a stepped model.
//!
//! Not with loom or shuttle: both see only what is built on their own primitives, and what decides here are tokio's watch
//! channel, timers and tasks and the atomic pointer of arc-swap, which are not. So the real cache runs, on tokio's paused
//! clock, and a hand drives it: callers are polled, woken and dropped one by one, the source answers, time passes to the
//! next moment that matters, a runtime runs, stands still or ends. Every sequence of these steps up to a length is walked,
//! and in each state the cache is held against a reference of simple rules (`spec.rs`): one renewal at a time, none for an
//! old token, no failure while there is a valid token, one outcome for all who wait, nobody left waiting.
//!
//! What it cannot show are two threads inside the cache at the same instruction: there is one mutex for all that a renewal
//! begins or ends with, and the tests of `freshness/single_flight.rs` put 10,000 callers on four threads.

mod explore;
mod runtimes;
mod spec;
mod step;
mod world;

use std::time::Duration;

use self::{
    explore::{Count, explore},
    runtimes::paused_runtime,
    spec::{Place::*, Reply::*},
    step::{PATIENT, REJECTED, Step, Step::*},
    world::World,
};

const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn s(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Walks all sequences of `length` of these steps, after the first ones; so many hold no step without effect.
fn walk(game: &str, first: &[Step], steps: &[Step], length: u32, expected: u64) {
    let main = paused_runtime();
    let has_other = steps.contains(&AskElsewhere) || first.contains(&AskElsewhere);
    let Count { walked, idle } = explore(steps, length, || World::after(&main, has_other, first));
    println!("{game}: {walked} sequences of {length} steps walked, {idle} hold a step without effect");
    assert_eq!(walked + idle, (steps.len() as u64).pow(length), "all sequences");
    assert_eq!(walked, expected, "{game}");
}

/// A first token, and nobody waits.
const A_TOKEN: [Step; 5] = [Poll(0), Run(Main), Answer(New), Run(Main), Poll(0)];
/// It is in its window.
const IN_WINDOW: [Step; 6] = [Poll(0), Run(Main), Answer(New), Run(Main), Poll(0), Pass];
/// It has had its use, and has not expired.
const PAST_USE: [Step; 7] = [Poll(0), Run(Main), Answer(New), Run(Main), Poll(0), Pass, Pass];
/// The same, and the first caller has been told of it, but was not polled since.
const LATE_CALLER: [Step; 6] = [Poll(0), Run(Main), Answer(New), Run(Main), Pass, Pass];
/// A caller has waited past a token's very expiry, was told of the next one, and not polled until that has had its use, too.
const LATER_CALLER: [Step; 10] =
    [Poll(0), Run(Main), Pass, Pass, Run(Main), Poll(0), Answer(New), Run(Main), Pass, Pass];
/// A rejection has begun a renewal.
const REJECTED_ONCE: [Step; 2] = [Poll(REJECTED), Run(Main)];
/// The first renewal is on a runtime that stands still or ends.
const ELSEWHERE: [Step; 2] = [AskElsewhere, Run(Other)];

#[test]
fn f1_f5_f6_callers_come_and_go_at_an_empty_cache() {
    let steps = [Poll(0), Poll(1), Leave(0), Run(Main), Answer(New), Answer(Error), Pass];
    walk("empty", &[], &steps, 8, 21_187);
}

#[test]
fn f8_f9_in_the_window() {
    let steps = [Poll(0), Look, Run(Main), Answer(New), Answer(Same), Answer(Error), Pass];
    walk("window", &IN_WINDOW, &steps, 6, 5_034);
}

#[test]
fn f8_past_its_use() {
    let steps = [Poll(0), Poll(1), Leave(0), Run(Main), Answer(New), Answer(Same), Answer(Error), Pass];
    walk("past its use", &PAST_USE, &steps, 7, 8_163);
}

#[test]
fn f8_a_caller_is_polled_late() {
    let steps = [Poll(0), Poll(1), Run(Main), Answer(New), Answer(Error), Pass];
    walk("polled late", &LATE_CALLER, &steps, 7, 3_794);
    walk("polled late again", &[&PAST_USE[..], &LATER_CALLER].concat(), &steps, 6, 1_213);
}

/// One who wants a token that lives for a while has the one that there is, when no better can be had.
#[test]
fn f8_a_token_for_a_while() {
    let steps = [Poll(PATIENT), Poll(0), Look, Run(Main), Answer(New), Answer(Same), Answer(Error), Pass];
    walk("for a while", &IN_WINDOW, &steps, 6, 13_445);
}

#[test]
fn f3_f4_f10_rejections() {
    let steps = [
        Poll(REJECTED),
        Leave(REJECTED),
        Poll(0),
        RejectOld,
        Accept,
        Run(Main),
        Answer(New),
        Answer(Same),
        Answer(Error),
        Pass,
    ];
    walk("rejections", &A_TOKEN, &steps, 6, 8_256);
    walk("a rejection", &[&A_TOKEN[..], &REJECTED_ONCE].concat(), &steps, 5, 8_330);
}

#[test]
fn f3_f8_rejections_past_its_use() {
    let steps = [Poll(REJECTED), Poll(0), Run(Main), Answer(New), Answer(Same), Answer(Error), Pass];
    walk("rejections past its use", &PAST_USE, &steps, 7, 5_144);
}

#[test]
fn f5_f13_the_other_runtime_stands_still_or_ends() {
    let steps = [
        Poll(0),
        AskElsewhere,
        Run(Main),
        Run(Other),
        EndOther,
        Answer(New),
        AnswerOld(New),
        Answer(Error),
        AnswerOld(Error),
        Pass,
    ];
    walk("two runtimes", &ELSEWHERE, &steps, 7, 23_868);
}
