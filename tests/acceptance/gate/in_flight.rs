//! So many requests at once, and a queue for the rest.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    task::{Context, Wake, Waker},
    thread,
};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use oauth_tokens::{ClientAuth, ErrorKind, Secret, SecurityToken};
use tests::{canned::json, source::settle};
use tokio::{
    runtime::Builder,
    time::{Instant, advance, timeout},
};

use super::{Mood, Server, caches_of, client_of, fetch, ms, request_of, s};

#[tokio::test(start_paused = true)]
async fn f15_a_thousand_keys_are_fetched_64_at_a_time() {
    let server = Server::new(Mood::Well(ms(100)));
    let caches = caches_of(&server.client(), 1000);
    let began = Instant::now();
    for token in join_all(caches.iter().map(|cache| cache.token())).await {
        token.expect("a token");
    }
    assert_eq!((server.requests(), server.most_under_way()), (1000, 64));
    // 16 times 64, and a millisecond of the timer's each.
    assert!(began.elapsed() < ms(1650), "none waits without need: {:?}", began.elapsed());
}

/// All clients of a server share its places; those of another server have their own.
#[tokio::test(start_paused = true)]
async fn f15_the_bound_is_a_servers_and_can_be_set() {
    let server = Server::new(Mood::Well(ms(100)));
    let build = || server.builder().max_in_flight(3).token_endpoint("https://id.test/token").expect("a server");
    let shared = build();
    let clients: Vec<_> = (0..10).map(|_| client_of(&shared)).collect();
    for token in join_all(clients.iter().map(fetch)).await {
        token.expect("a token");
    }
    assert_eq!((server.requests(), server.most_under_way()), (10, 3));
    let servers = [client_of(&build()), client_of(&build())];
    let caches: Vec<_> = servers.iter().flat_map(|client| caches_of(client, 10)).collect();
    join_all(caches.iter().map(|cache| cache.ready())).await;
    assert_eq!(server.most_under_way(), 6);

    let error = server.builder().max_in_flight(0).token_endpoint("https://id.test/token").expect_err("none ever");
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// First come, first served; whoever gets no place in time is told so before the exchange's deadline.
#[tokio::test(start_paused = true)]
async fn f15_whoever_gets_no_place_in_time_is_told_so_and_nothing_is_sent() {
    let server = Server::new(Mood::Well(ms(4900)));
    let one = server.builder().max_in_flight(1).token_endpoint("https://id.test/token").expect("a server");
    let caches = caches_of(&client_of(&one), 3);
    let began = Instant::now();
    let ends = join_all(caches.iter().map(|cache| async {
        let ended = cache.token().await;
        (ended, began.elapsed())
    }))
    .await;
    let in_time = |number: usize, at| {
        let elapsed = ends[number].1;
        assert!(elapsed >= at && elapsed < at + ms(10), "{number}: {elapsed:?}");
    };
    assert!(ends[0].0.is_ok() && ends[1].0.is_ok());
    in_time(0, ms(4900));
    in_time(1, ms(9800));
    let error = ends[2].0.as_ref().expect_err("no place");
    in_time(2, s(8));
    assert_eq!(error.kind(), ErrorKind::ServerUnavailable, "{error}");
    assert!(error.is_transient() && error.to_string().contains("max_in_flight"), "{error}");
    assert_eq!(server.requests(), 2);
}

/// Those who go away, waiting or served, hold nobody up.
#[tokio::test(start_paused = true)]
async fn f15_whoever_goes_away_gives_up_its_place() {
    let server = Server::new(Mood::Hangs);
    let client =
        client_of(&server.builder().max_in_flight(2).token_endpoint("https://id.test/token").expect("a server"));
    let mut gone: Vec<_> = (0..100).map(|_| Box::pin(fetch(&client))).collect();
    for fetch in &mut gone {
        assert!(timeout(s(0), fetch).await.is_err());
    }
    assert_eq!((server.requests(), server.under_way()), (2, 2));
    server.is(Mood::Well(ms(10)));
    // The last in the queue first, then those that are being served.
    while gone.pop().is_some() {
        settle().await;
    }
    assert_eq!(server.under_way(), 0);
    let began = Instant::now();
    fetch(&client).await.expect("a token");
    assert!(began.elapsed() < ms(15), "{:?}", began.elapsed());
}

/// An exchange that needs another one of the same server holds no place while it waits for that.
#[tokio::test(start_paused = true)]
async fn f15_exchanges_within_exchanges_do_not_wait_for_each_other() {
    let server = Server::new(Mood::Well(ms(10)));
    let one = server.builder().max_in_flight(1).token_endpoint("https://id.test/token").expect("a server");
    let client = client_of(&one);
    let subjects = caches_of(&client, 20);
    let exchanges: Vec<_> = subjects
        .iter()
        .map(|subject| client.token_exchange(SecurityToken::from(subject)).cached().expect("a cache"))
        .collect();
    for token in join_all(exchanges.iter().map(|cache| cache.token())).await {
        token.expect("a token");
    }
    let inner = request_of(&client).cached().expect("a cache");
    let secret = Secret::from_fn(move || {
        let inner = inner.clone();
        async move { Ok(inner.token().await?.secret().to_owned()) }
    });
    let outer = one.client("outer", ClientAuth::secret_basic(secret)).expect("a client");
    fetch(&outer).await.expect("a token");
    assert_eq!((server.requests(), server.most_under_way()), (42, 1));
}

/// F13: a runtime that stands still in the middle of 64 exchanges, or while it waits for a place, locks nobody out.
#[test]
fn f15_places_of_a_runtime_that_stands_still_are_lost_to_it() {
    let paused = || Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let server = Server::new(Mood::Hangs);
    let client =
        client_of(&server.builder().max_in_flight(2).token_endpoint("https://id.test/token").expect("a server"));
    let still = paused();
    let stuck: Vec<_> = still.block_on(async {
        let mut fetches: Vec<_> = (0..5).map(|_| Box::pin(fetch(&client))).collect();
        for fetch in &mut fetches {
            assert!(timeout(s(0), fetch).await.is_err());
        }
        fetches
    });
    assert_eq!(server.under_way(), 2);
    server.is(Mood::Well(ms(10)));
    let lives = paused();
    lives.block_on(async {
        // Those that have places lose them after 11 s; the three that wait have lost their turn by then.
        advance(s(2)).await;
        assert_eq!(fetch(&client).await.expect_err("no place").kind(), ErrorKind::ServerUnavailable);
        let began = Instant::now();
        fetch(&client).await.expect("a token");
        assert!(began.elapsed() < ms(1050), "{:?}", began.elapsed());
    });
    drop(stuck);
    lives.block_on(async {
        let caches = caches_of(&client, 10);
        for token in join_all(caches.iter().map(|cache| cache.token())).await {
            token.expect("a token");
        }
    });
    assert!(server.most_under_way() <= 4, "two that stand still, and two that live");
}

/// What drops its future as soon as it is woken, as a runtime does that shuts down.
#[derive(Default)]
struct GoesAway(Mutex<Option<BoxFuture<'static, ()>>>);

impl Wake for GoesAway {
    fn wake(self: Arc<Self>) {
        let future = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(future);
    }
}

/// F13: whoever has lost its turn, and goes away when it hears of that, finds nothing locked.
#[test]
fn f15_whoever_goes_away_when_its_turn_is_lost_stops_nobody() {
    let (done, is_done) = mpsc::channel();
    // A thread of its own: what is locked for good would stop this one, too.
    thread::spawn(move || {
        let paused = || Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        let (still, lives) = (paused(), paused());
        let server = Server::new(Mood::Hangs);
        let client =
            client_of(&server.builder().max_in_flight(1).token_endpoint("https://id.test/token").expect("a server"));
        let goes_away = Arc::new(GoesAway::default());
        let mut stuck = Box::pin(fetch(&client));
        still.block_on(async {
            assert!(timeout(s(0), &mut stuck).await.is_err());
            let client = client.clone();
            let mut waits = async move { drop(fetch(&client).await) }.boxed();
            let waker = Waker::from(Arc::clone(&goes_away));
            assert!(waits.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
            *goes_away.0.lock().expect("not poisoned") = Some(waits);
        });
        server.is(Mood::Well(ms(10)));
        lives.block_on(async {
            // The place is lost after 11 s, and so has the one that waits lost its turn.
            advance(s(12)).await;
            fetch(&client).await.expect("a token");
        });
        let is_gone = goes_away.0.lock().expect("not poisoned").is_none();
        drop(stuck);
        let _ = done.send(is_gone);
    });
    let is_gone = is_done.recv_timeout(s(30)).expect("nothing stays locked");
    assert!(is_gone, "it has heard of it");
}

/// Other endpoints have no part in it: what a caller asks there is no business of the cache's.
#[tokio::test(start_paused = true)]
async fn f15_other_endpoints_wait_for_no_place() {
    let server = Server::new(Mood::Hangs);
    let builder = server.builder().max_in_flight(1).override_endpoint("introspection_endpoint", "https://id.test/look");
    let client = client_of(&builder.token_endpoint("https://id.test/token").expect("a server"));
    let mut busy = Box::pin(fetch(&client));
    assert!(timeout(s(0), &mut busy).await.is_err());
    server.is(Mood::Answers(json(200, r#"{"active":false}"#)));
    assert!(!client.introspect("t0k3n").await.expect("an answer").is_active());
}
