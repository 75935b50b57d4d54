//! Behaviour R10 (bodies), R2 (the retry equals the first) and R12 (readiness, other layers).

mod http;
mod model;
mod script;
mod sharing;
mod values;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;

use self::script::{Counted, Heard, Knows, Script, Wakes, poll, poll_with, read_all, read_as_hyper_does};
use super::*;

fn keep<B: ReplayBody>(body: &mut B) -> B::Kept {
    body.keep().expect("a replayable body")
}

fn exact(length: u64) -> Option<u64> {
    SizeHint::with_exact(length).exact()
}

#[test]
fn r10_streams_within_the_limit_are_sent_again_as_they_were() {
    let cases = [
        ("empty", Script::new()),
        ("empty, says so", Script::new().knows_end()),
        ("one frame", Script::new().data("hello")),
        ("one frame, knows its end", Script::new().data("hello").knows_end()),
        ("several frames", Script::new().data("a").data("bc").data("def")),
        ("an empty frame", Script::new().data("a").data("").data("b")),
        ("pauses", Script::new().pending().data("a").pending().pending().data("b").pending()),
        ("trailers", Script::new().data("a").trailers("sum", "1")),
        ("trailers, knows its end", Script::new().data("a").trailers("sum", "1").knows_end()),
        ("trailers only", Script::new().trailers("sum", "1")),
        ("exactly the limit", Script::new().data("1234567").data("8901234567890")),
        ("exact length", Script::new().data("ab").data("c").exact()),
        ("exact length, knows its end", Script::new().data("ab").data("c").exact().knows_end()),
        ("lower bound", Script::new().data("ab").data("c").at_least()),
    ];
    for (name, script) in cases {
        for read in [read_all, read_as_hyper_does] {
            let expected = script.frames();
            let mut first = Replay::new(script.clone()).max_bytes(20);
            let (ended, hint) = (first.is_end_stream(), first.size_hint());
            let kept = keep(&mut first);
            assert_eq!(ended, first.is_end_stream(), "{name}");
            assert_eq!(read(&mut first), expected, "{name}: first");

            let mut second = Replay::restore(kept).expect(name);
            if !expected.is_empty() {
                assert_eq!(second.size_hint().lower(), hint.lower(), "{name}: size hint");
                assert_eq!(second.size_hint().upper(), hint.upper(), "{name}: size hint");
            }
            let kept = keep(&mut second);
            assert_eq!(read(&mut second), expected, "{name}: second");
            let mut third = Replay::restore(kept).expect(name);
            assert_eq!(read(&mut third), expected, "{name}: third");
            assert_eq!(poll(&mut third), Heard::End, "{name}");
            assert!(third.is_end_stream(), "{name}");
            assert_eq!(third.size_hint().exact(), exact(0), "{name}");
        }
    }
}

#[test]
fn r10_a_body_that_did_not_go_out_whole_is_not_sent_again() {
    use NotReplayable::*;
    let long: &'static str = "123456789012345678901";
    let cases = [
        ("unfinished", Script::new().data("a").data("b"), 1, Unfinished),
        ("all data, but not the end", Script::new().data("a"), 1, Unfinished),
        ("polled, though nothing came", Script::new().pending().data("a"), 1, Unfinished),
        ("too large", Script::new().data(long), 2, TooLarge),
        ("too large, in parts", Script::new().data("1234567890").data("12345678901"), 3, TooLarge),
        ("too large by its hint", Script::new().data(long).exact(), 2, TooLarge),
        ("too large by its hint, at its first frame", Script::new().data("a").data(long).at_least(), 1, TooLarge),
        ("failed", Script::new().data("a").fails(), 2, Failed),
        ("failed behind the limit", Script::new().data(long).fails(), 2, TooLarge),
        ("large trailers", Script::new().trailers("sum", &"1".repeat(16 * 1024)), 2, TooLarge),
        ("very many frames", (0..1030).fold(Script::new(), |script, _| script.data("")), 1100, TooLarge),
    ];
    for (name, script, polls, reason) in cases {
        let mut first = Replay::new(script.clone()).max_bytes(20);
        let kept = keep(&mut first);
        let mut heard = Vec::new();
        for _ in 0..polls {
            heard.extend(poll(&mut first).frame());
        }
        assert_eq!(Replay::restore(kept).err(), Some(reason), "{name}");
        // The first goes on as if nobody had asked.
        heard.extend(read_all(&mut first));
        assert_eq!(heard, script.frames(), "{name}");
    }
}

#[test]
fn r10_a_body_never_polled_is_handed_to_the_retry_whatever_its_length() {
    for script in [Script::new().data("hello").exact(), Script::new().data(&"x".repeat(100)).exact()] {
        let expected = script.frames();
        let polls = script.polls();
        let mut first = Replay::new(script).max_bytes(20);
        let hint = first.size_hint().exact();
        let kept = keep(&mut first);
        let mut second = Replay::restore(kept).expect("never polled");

        assert!(!first.is_end_stream());
        assert_eq!(poll(&mut first), Heard::Superseded);
        assert_eq!(polls.get(), 0, "nothing is read through the old handle");
        assert_eq!(second.size_hint().exact(), hint);
        assert_eq!(read_all(&mut second), expected);
        assert_eq!(poll(&mut first), Heard::Superseded);
        assert!(first.keep().is_none());
    }
}

#[test]
fn r10_the_bytes_that_a_length_promised_are_the_whole() {
    // An HTTP/1 client stops at the content-length and never sees the end.
    let script = Script::new().data("abc").data("de").pending();
    for (script, declared) in [(script.clone().exact(), None), (script, Some(5))] {
        let mut first = Replay::new(script).declared_length(declared);
        let kept = keep(&mut first);
        let heard: Vec<_> = (0..2).filter_map(|_| poll(&mut first).frame()).collect();
        drop(first);
        let mut second = Replay::restore(kept).expect("the promise is kept");
        assert_eq!(read_all(&mut second), heard);
    }
    // One byte less, and something is missing.
    let mut first = Replay::new(Script::new().data("abc").data("d")).declared_length(Some(5));
    let kept = keep(&mut first);
    (0..2).for_each(|_| drop(poll(&mut first)));
    assert_eq!(Replay::restore(kept).err(), Some(NotReplayable::Unfinished));
}

#[test]
fn r10_a_declared_length_over_the_limit_is_not_remembered() {
    let (frame, drops) = Counted::bytes("abc");
    let mut first = Replay::new(Script::new().bytes(frame)).declared_length(Some(21)).max_bytes(20);
    let kept = keep(&mut first);
    drop(poll(&mut first));
    assert_eq!(drops.get(), 1);
    assert_eq!(Replay::restore(kept).err(), Some(NotReplayable::TooLarge));
}

#[test]
fn r10_a_superseded_poll_is_woken_and_fails_and_the_retry_gets_the_trailers() {
    let mut first = Replay::new(Script::new().data("abc").pending().pending().trailers("sum", "1").exact());
    let kept = keep(&mut first);
    let (older, old, new) = (Wakes::new(), Wakes::new(), Wakes::new());
    assert_eq!(poll_with(&mut first, &old), Heard::Data("abc".into()));
    // The body moves from one task to another while it waits.
    assert_eq!(poll_with(&mut first, &older), Heard::Pending);
    assert_eq!(poll_with(&mut first, &old), Heard::Pending);
    assert_eq!(old.count(), 0);

    let mut second = Replay::restore(kept).expect("all bytes went out");
    assert_eq!((older.count(), old.count()), (0, 1), "the task that waits is woken");
    assert!(!first.is_end_stream());
    for _ in 0..3 {
        assert_eq!(poll_with(&mut first, &old), Heard::Superseded);
    }
    assert_eq!(poll_with(&mut second, &new), Heard::Data("abc".into()));
    assert_eq!(poll_with(&mut second, &new), Heard::Trailers("sum: 1".into()));
    assert_eq!(poll_with(&mut second, &new), Heard::End);
    assert_eq!(poll_with(&mut first, &old), Heard::Superseded);
}

#[test]
fn r12_a_dropped_handle_leaves_neither_its_task_nor_its_body_behind() {
    let old = Wakes::new();
    let mut first = Replay::new(Script::new().data("abc").pending().exact());
    let _kept = keep(&mut first);
    drop(poll_with(&mut first, &old));
    drop(poll_with(&mut first, &old));
    assert_eq!(Arc::strong_count(&old), 2);
    drop(first);
    assert_eq!(Arc::strong_count(&old), 1);

    // The old handle lives on in a connection, the retry is cancelled.
    let (frame, drops) = Counted::bytes("abc");
    let mut first = Replay::new(Script::new().bytes(frame));
    let kept = keep(&mut first);
    let second = Replay::restore(kept).expect("never polled");
    drop(second);
    assert_eq!(drops.get(), 1);
    assert_eq!(poll(&mut first), Heard::Superseded);
}

#[test]
fn r10_the_error_of_the_inner_body_passes_unchanged_and_ends_the_body() {
    for kept_ in [false, true] {
        let mut first = Replay::new(Script::new().fails());
        let _kept = kept_.then(|| keep(&mut first));
        assert_eq!(poll(&mut first), Heard::Error);
        assert_eq!(poll(&mut first), Heard::End, "the inner body is not polled after its error");
        assert!(first.keep().is_none());
    }
}

#[test]
fn r10_what_is_remembered_is_freed_when_nobody_wants_it() {
    type Case = (&'static str, fn(&mut Option<Replay<Script>>, &mut Option<KeptReplay<Script>>), usize);
    let cases: [Case; 7] = [
        ("kept", |_, _| (), 0),
        ("another response came", |_, kept| drop(kept.take()), 1),
        (
            "it streams on after another response",
            |first, kept| {
                drop(kept.take());
                drop(poll(first.as_mut().expect("set")));
            },
            2,
        ),
        ("the limit is exceeded", |first, _| drop(poll(first.as_mut().expect("set"))), 2),
        ("the client gave up half-way", |first, _| drop(first.take()), 1),
        ("both are gone", |first, kept| drop((first.take(), kept.take())), 1),
        ("the 401 came early", |_, kept| assert!(Replay::restore(kept.take().expect("set")).is_err()), 1),
    ];
    for (name, act, expected) in cases {
        let (small, drops) = Counted::bytes("0123456789");
        let large = drops.another("0123456789x");
        let mut first = Replay::new(Script::new().bytes(small).bytes(large)).max_bytes(20);
        let mut kept = Some(keep(&mut first));
        drop(poll(&mut first));
        let mut first = Some(first);
        let script = drops.get();
        act(&mut first, &mut kept);
        // The script's own copy of the second frame goes with it when the client drops the body.
        let unread = usize::from(first.is_none());
        assert_eq!(drops.get() - script, expected + unread, "{name}");
        if let Some(mut first) = first {
            read_all(&mut first);
        }
    }
}

#[test]
fn r10_nothing_is_remembered_unless_it_is_kept() {
    let (frame, drops) = Counted::bytes("abc");
    let mut first = Replay::new(Script::new().bytes(frame).data("d"));
    drop(poll(&mut first));
    assert_eq!(drops.get(), 1);
}

#[test]
fn r10_kept_late_the_retry_equals_what_is_still_to_be_sent() {
    for (length, declared) in [(Knows::Exactly, None), (Knows::Later, None), (Knows::Nothing, Some(5))] {
        let mut script = Script::new().data("abc").data("de").pending();
        script.length = length;
        let mut first = Replay::new(script).declared_length(declared);
        drop(poll(&mut first));
        let hint = first.size_hint().exact();
        let kept = keep(&mut first);
        assert_eq!(poll(&mut first), Heard::Data("de".into()));
        let mut second = Replay::restore(kept).expect("the promise is kept");
        assert_eq!(second.size_hint().exact(), hint);
        assert_eq!(read_all(&mut second), [Heard::Data("de".into())]);
    }
}

#[test]
fn r12_two_layers_may_keep_one_body() {
    let script = Script::new().data("abc").data("de").trailers("sum", "1").exact();
    let expected = script.frames();
    let mut first = Replay::new(script);
    let outer = keep(&mut first);
    let inner = keep(&mut first);
    assert_eq!(read_all(&mut first), expected);

    let mut second = Replay::restore(inner).expect("whole");
    assert_eq!(second.size_hint().exact(), exact(5));
    assert_eq!(poll(&mut second), expected[0]);
    assert_eq!(second.size_hint().exact(), exact(2));
    // A layer in between looks at the first frame and passes the rest on.
    let late = keep(&mut second);

    let mut third = Replay::restore(outer).expect("still whole");
    assert_eq!(poll(&mut second), Heard::Superseded);
    assert_eq!(read_all(&mut third), expected);
    let mut fourth = Replay::restore(late).expect("still whole");
    assert_eq!(fourth.size_hint().exact(), exact(2));
    assert_eq!(read_all(&mut fourth), expected[1..]);
}

#[test]
fn r12_dropping_what_is_kept_while_a_retry_reads_loses_nothing() {
    let script = Script::new().data("abc").data("de").trailers("sum", "1");
    let expected = script.frames();
    let mut first = Replay::new(script);
    let outer = keep(&mut first);
    let inner = keep(&mut first);
    read_all(&mut first);
    let mut second = Replay::restore(inner).expect("whole");
    assert_eq!(poll(&mut second), expected[0]);
    drop(outer);
    assert_eq!(read_all(&mut second), expected[1..]);
}

#[test]
fn r10_a_body_that_panics_leaves_errors_behind_and_no_more_panics() {
    let mut first = Replay::new(Script::new().data("a").panics());
    let kept = keep(&mut first);
    assert_eq!(poll(&mut first), Heard::Data("a".into()));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut first)));
    assert!(panicked.is_err());
    assert_eq!(poll(&mut first), Heard::NotReplayable(NotReplayable::Failed));
    assert_eq!(Replay::restore(kept).err(), Some(NotReplayable::Unfinished));
}

#[test]
fn s1_debug_shows_no_data() {
    let mut first = Replay::new(Script::new().data("secret").trailers("secret", "secret"));
    assert!(!format!("{first:?}").contains("secret"));
    let kept = keep(&mut first);
    read_all(&mut first);
    assert!(!format!("{first:?} {kept:?}").contains("secret"));
    let second = Replay::restore(kept).expect("whole");
    assert!(!format!("{first:?} {second:?}").contains("secret"));
}

#[test]
fn handles_are_as_free_as_clients_want_them() {
    fn client_body<B: Body<Data: Buf + Send, Error: Into<body::BoxError>> + Send + Unpin + 'static>() {}
    fn send_and_sync<T: Send + Sync>() {}
    type NotUnpin = http_body_util::StreamBody<futures_util::stream::Pending<Result<http_body::Frame<Bytes>, String>>>;
    type NotSync = std::cell::Cell<u8>;

    client_body::<Replay<http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>>>();
    client_body::<Replay<NotUnpin>>();
    send_and_sync::<KeptReplay<NotSync>>();
    send_and_sync::<Replay<http_body_util::Full<Bytes>>>();
}

#[tokio::test]
async fn r10_data_of_any_buffer_becomes_bytes() {
    let body = http_body_util::Full::new(Bytes::from("ab").chain(Bytes::from("cd")));
    let mut first = Replay::new(body);
    let kept = keep(&mut first);
    assert_eq!(first.collect().await.expect("no error").to_bytes(), "abcd");
    let second = Replay::restore(kept).expect("whole");
    assert_eq!(second.collect().await.expect("no error").to_bytes(), "abcd");
}
