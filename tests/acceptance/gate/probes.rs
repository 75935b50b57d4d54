//! One at a time is let through while the server is down; and what counts as being down.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use oauth_tokens::{ErrorKind, TokenClient};
use tests::{canned, capture::Capture};
use tokio::{
    runtime::Builder,
    time::{Instant, advance, sleep, timeout},
};

use super::{Mood, Server, caches_of, fetch, ms, s, unavailable};

/// Five exchanges fail, and the server counts as down.
async fn take_down(server: &Server) -> TokenClient {
    let client = server.client();
    server.is(unavailable(None));
    for ended in join_all(caches_of(&client, 5).iter().map(|cache| cache.token())).await {
        assert!(ended.is_err());
    }
    client
}

/// Asks every 10 ms, until something is sent; it is let through then.
async fn probe(server: &Server, client: &TokenClient) -> Duration {
    let (began, before) = (Instant::now(), server.requests());
    while server.requests() == before {
        sleep(ms(10)).await;
        assert!(timeout(s(0), fetch(client)).await.is_err() || server.requests() == before);
        assert!(began.elapsed() < s(6), "it is asked at least every 5 s");
    }
    began.elapsed()
}

/// Full jitter, 250 ms x 2 up to 5 s, over many servers.
#[tokio::test(start_paused = true)]
async fn f15_probes_are_apart_with_full_jitter() {
    let mut pauses = vec![Vec::new(); 7];
    for _ in 0..60 {
        let server = Server::new(unavailable(None));
        let client = take_down(&server).await;
        // Which no exchange tries again by itself.
        server.is(Mood::Answers(canned::json(400, r#"{"error":"temporarily_unavailable"}"#)));
        let mut asked = server.begun().last().copied().expect("asked");
        for pauses in &mut pauses {
            let before = server.requests();
            while server.requests() == before {
                sleep(ms(5)).await;
                let _ = fetch(&client).await;
            }
            let next = server.begun().last().copied().expect("asked");
            pauses.push(next - asked);
            asked = next;
        }
    }
    for (nth, cap) in [250, 500, 1000, 2000, 4000, 5000, 5000].into_iter().map(ms).enumerate() {
        let (least, most) = (pauses[nth].iter().min().expect("some"), pauses[nth].iter().max().expect("some"));
        assert!(*most <= cap + ms(10) && *most > cap * 3 / 4, "probe {nth}: {most:?}");
        assert!(*least < cap / 4, "probe {nth}: {least:?}");
    }
}

/// The one that is let through is alone; when it succeeds, all are.
#[tokio::test(start_paused = true)]
async fn f15_one_probe_at_a_time_and_its_success_opens_the_gate() {
    let server = Server::new(unavailable(None));
    let client = take_down(&server).await;
    server.is(Mood::Well(s(3)));
    sleep(s(5)).await;
    let before = server.requests();
    let caches = caches_of(&client, 100);
    let began = Instant::now();
    let others = async {
        while began.elapsed() < ms(2900) {
            sleep(ms(100)).await;
            let error = fetch(&client).await.expect_err("one at a time");
            assert_eq!(error.kind(), ErrorKind::ServerUnavailable, "{error}");
        }
    };
    let (ends, ()) = tokio::join!(join_all(caches.iter().map(|cache| cache.token())), others);
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1);
    assert_eq!((server.requests() - before, began.elapsed().as_secs()), (1, 3));
    for ended in join_all(caches.iter().map(|cache| cache.token())).await {
        ended.expect("a token");
    }
    assert_eq!(server.requests() - before, 100);
}

/// F13: a probe on a runtime that stands still is none.
#[test]
fn f15_a_probe_that_stands_still_locks_nobody_out() {
    let paused = || Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let (still, lives) = (paused(), paused());
    let server = Server::default();
    let client = still.block_on(take_down(&server));
    server.is(Mood::Hangs);
    let mut stuck = Box::pin(fetch(&client));
    still.block_on(async {
        sleep(ms(250)).await;
        assert!(timeout(s(0), &mut stuck).await.is_err());
        assert_eq!(server.under_way(), 1);
    });
    server.is(Mood::Well(s(0)));
    lives.block_on(async {
        let began = Instant::now();
        while fetch(&client).await.is_err() {
            sleep(ms(100)).await;
            assert!(began.elapsed() < s(12), "a probe takes 10 s at most");
        }
    });
    assert_eq!(server.under_way(), 1);
}

/// A probe that hangs until its timeout was pause enough: the next one goes as soon as somebody asks, one after another.
#[tokio::test(start_paused = true)]
async fn f15_after_a_probe_that_hung_the_next_one_is_due() {
    let server = Server::new(unavailable(None));
    let client = take_down(&server).await;
    server.is(Mood::Hangs);
    let (began, before) = (Instant::now(), server.requests());
    while server.requests() - before < 20 {
        let _ = fetch(&client).await;
        sleep(ms(10)).await;
    }
    assert_eq!(server.most_under_way(), 1, "one at a time");
    let probes = &server.begun()[before..];
    assert!(probes[0] - began <= ms(300), "{:?}", probes[0] - began);
    for (probe, next) in probes.iter().zip(&probes[1..]) {
        // An exchange pauses for up to 200 ms before it tries again, and its deadline of 10 s ends the second attempt.
        assert!((ms(4780)..=ms(5220)).contains(&(*next - *probe)), "{:?}", *next - *probe);
    }
}

/// Whoever gives up on a probe makes room for the next one, not at once: giving up fast is no way to ask often.
#[tokio::test(start_paused = true)]
async fn f15_a_probe_that_is_dropped_gives_its_turn_to_another() {
    let server = Server::new(unavailable(None));
    let client = take_down(&server).await;
    server.is(Mood::Hangs);
    let before = server.requests();
    let began = Instant::now();
    for _ in 0..20 {
        probe(&server, &client).await;
    }
    assert_eq!(server.requests() - before, 20);
    // 20 pauses of up to 250 ms: 2.5 s on average.
    assert!(began.elapsed() > ms(800), "{:?}", began.elapsed());
    server.is(Mood::Well(s(0)));
    sleep(ms(260)).await;
    fetch(&client).await.expect("a token");
}

/// A server is down when nothing but failures come back that speak of it; and one tenant's are its own.
#[tokio::test(start_paused = true)]
async fn f15_what_shows_that_the_server_is_alive_keeps_the_gate_open() {
    let refused = |code| Mood::Answers(canned::json(400, format!(r#"{{"error":"{code}"}}"#)));
    let alive = [Mood::Well(s(0)), refused("invalid_client"), refused("invalid_grant"), refused("a_code_of_its_own")];
    for sign in alive {
        let server = Server::new(unavailable(None));
        let client = server.client();
        for _ in 0..10 {
            server.is(unavailable(None));
            join_all(caches_of(&client, 4).iter().map(|cache| cache.token())).await;
            server.is(sign.clone());
            let ended = caches_of(&client, 1)[0].token().await;
            let refusal = ended.err().map(|error| error.kind());
            assert_ne!(refusal, Some(ErrorKind::ServerUnavailable), "{sign:?}");
        }
        assert_eq!(server.requests(), 10 * (4 * 3 + 1), "{sign:?}");
    }
    // None of these ever closes it, either.
    for sign in [refused("invalid_client"), refused("a_code_of_its_own")] {
        let server = Server::new(sign.clone());
        join_all(caches_of(&server.client(), 100).iter().map(|cache| cache.token())).await;
        assert_eq!(server.requests(), 100, "{sign:?}");
    }
}

/// One cache's own back-off is slower than the gate: it never meets it, however the server is down.
#[tokio::test(start_paused = true)]
async fn f15_a_single_cache_never_notices() {
    let moods = [
        unavailable(None),
        Mood::Answers(canned::status(StatusCode::FORBIDDEN)),
        Mood::Answers(canned::json(400, r#"{"error":"temporarily_unavailable"}"#)),
        Mood::Hangs,
    ];
    for mood in moods {
        let server = Server::new(mood.clone());
        let cache = &caches_of(&server.client(), 1)[0];
        let began = Instant::now();
        while began.elapsed() < s(600) {
            let error = cache.token().await.expect_err("down");
            assert_ne!(error.kind(), ErrorKind::ServerUnavailable, "{mood:?} after {:?}", began.elapsed());
            advance(ms(50)).await;
        }
    }
}

/// What failed because of what was before the server answered again, closes nothing; and when nobody has asked for long,
/// nobody is refused.
#[tokio::test(start_paused = true)]
async fn f15_what_is_past_counts_no_more() {
    let server = Server::new(Mood::Hangs);
    let client = server.client();
    let late = caches_of(&client, 20);
    let late = join_all(late.iter().map(|cache| cache.token()));
    let fine = async {
        sleep(s(4)).await;
        server.is(Mood::Well(s(0)));
        fetch(&client).await.expect("a token");
        sleep(s(2)).await;
        server.is(unavailable(None));
        // Those that hung have tried again by now, and have a token or not; one failure is not five.
        let error = fetch(&client).await.expect_err("down");
        assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE), "{error}");
    };
    let (late, ()) = tokio::join!(late, fine);
    assert!(late.iter().all(Result::is_ok), "the second attempt finds the server up");

    let client = take_down(&server).await;
    let before = server.requests();
    sleep(s(66)).await;
    join_all(caches_of(&client, 4).iter().map(|cache| cache.token())).await;
    assert_eq!(server.requests() - before, 12, "as if nothing had been");
}

/// Seen from outside: one warning an outage, and one word when it is over.
#[tokio::test(start_paused = true)]
async fn f15_one_warning_an_outage() {
    let said = Capture::start();
    let server = Server::new(unavailable(None));
    let client = take_down(&server).await;
    join_all(caches_of(&client, 500).iter().map(|cache| cache.token())).await;
    server.is(Mood::Well(s(0)));
    sleep(s(5)).await;
    fetch(&client).await.expect("a token");
    let lines = said.lines();
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("seems to be down"), count("answers again")), (1, 1));
    let warnings = lines.iter().filter(|line| line.starts_with("WARN")).count();
    assert_eq!(warnings, 1, "of 505 caches");
}

/// The same when there is no answer at all, and each runs into its deadline.
#[tokio::test(start_paused = true)]
async fn f15_one_warning_while_the_server_hangs() {
    let said = Capture::start();
    let server = Server::new(Mood::Hangs);
    let caches = caches_of(&server.client(), 100);
    for _ in 0..3 {
        join_all(caches.iter().map(|cache| cache.token())).await;
        sleep(s(10)).await;
    }
    let lines = said.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("WARN")).count(), 1);
}

/// A secret that is wrong is said once a client, what one token alone cannot have for each.
#[tokio::test(start_paused = true)]
async fn f15_one_warning_for_a_client_that_is_refused() {
    for (code, expected) in [("invalid_client", 1), ("unauthorized_client", 1), ("invalid_scope", 100)] {
        let said = Capture::start();
        let server = Server::new(Mood::Answers(canned::json(400, format!(r#"{{"error":"{code}"}}"#))));
        let caches = caches_of(&server.client(), 100);
        join_all(caches.iter().map(|cache| cache.token())).await;
        let warnings = said.lines().iter().filter(|line| line.starts_with("WARN")).count();
        assert_eq!(warnings, expected, "{code}");
    }
}
