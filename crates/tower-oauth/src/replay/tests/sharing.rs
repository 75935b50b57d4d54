//! Handles on several threads, and code of others that comes back to us while it is called.

use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;

use bytes::Bytes;
use http_body::Body;

use super::keep;
use super::script::{Heard, Script, Wakes, poll, poll_with, read_all};
use crate::replay::{NotReplayable, Replay, ReplayBody};

/// A waker, or data, that holds the last reference to what is kept: it is dropped where the cell must not be locked.
struct Holds<T>(Mutex<Option<T>>);

impl<T> Holds<T> {
    fn new(held: T) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(held))))
    }

    fn empty() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }
}

impl<T: Send + 'static> Wake for Holds<T> {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().expect("sound").take());
    }
}

/// Data that holds something.
struct Data<T>(#[expect(dead_code, reason = "held, not read")] Arc<Holds<T>>);

impl<T> AsRef<[u8]> for Data<T> {
    fn as_ref(&self) -> &[u8] {
        b"abc"
    }
}

fn poll_holding<T: Send + 'static>(body: &mut Replay<Script>, held: T) {
    let waker = Waker::from(Holds::new(held));
    assert!(std::pin::Pin::new(body).poll_frame(&mut Context::from_waker(&waker)).is_pending());
}

#[test]
fn r12_wakers_and_data_may_hold_our_own_handles() {
    // The waker is replaced by another.
    let mut first = Replay::new(Script::new().pending().pending().data("a"));
    let kept = keep(&mut first);
    poll_holding(&mut first, kept);
    assert_eq!(poll_with(&mut first, &Wakes::new()), Heard::Pending);
    assert_eq!(read_all(&mut first), [Heard::Data("a".into())]);

    // The waker goes with the handle, or is woken by a restore.
    for restore in [false, true] {
        let mut first = Replay::new(Script::new().data("a").pending().exact());
        let (kept, other) = (keep(&mut first), keep(&mut first));
        drop(poll(&mut first));
        poll_holding(&mut first, other);
        if restore {
            let mut second = Replay::restore(kept).expect("the promise is kept");
            assert_eq!(read_all(&mut second), [Heard::Data("a".into())]);
        }
        drop(first);
    }

    // What was remembered holds the handle that yielded it, and goes with what is kept.
    let holds = Holds::<Replay<Script>>::empty();
    let mut first = Replay::new(Script::new().bytes(Bytes::from_owner(Data(Arc::clone(&holds)))).exact());
    let kept = keep(&mut first);
    drop(poll(&mut first));
    *holds.0.lock().expect("sound") = Some(first);
    drop(holds);
    drop(kept);
}

#[test]
fn r10_a_restore_on_another_thread_gets_all_or_nothing() {
    for round in 0..300 {
        let script = Script::new().data("abc").data("de").pending().trailers("sum", "1").exact();
        let expected = script.frames();
        let mut first = Replay::new(script);
        let kept = keep(&mut first);
        for _ in 0..round % 4 {
            drop(poll(&mut first));
        }
        let start = Barrier::new(2);
        let (heard, second) = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                start.wait();
                (0..6).map(|_| poll(&mut first)).collect::<Vec<_>>()
            });
            start.wait();
            let second = Replay::restore(kept);
            (reader.join().expect("no panic"), second)
        });
        let superseded = heard.iter().position(|heard| *heard == Heard::Superseded);
        match second {
            Ok(mut second) => {
                assert_eq!(read_all(&mut second), expected);
                assert!(superseded.is_none_or(|at| heard[at..].iter().all(|heard| *heard == Heard::Superseded)));
            }
            Err(reason) => {
                assert_eq!(reason, NotReplayable::Unfinished);
                assert_eq!(superseded, None);
            }
        }
    }
}
