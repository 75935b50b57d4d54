//! One look a minute, whatever happens; and how long metadata are kept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all, pending};
use http::{HeaderValue, Request, Response, StatusCode, header::CACHE_CONTROL};
use http_body_util::Full;
use oauth_tokens::{BoxError, HttpClient, ProtectedResource, TokenSource};
use tests::canned::{Canned, json, status};
use tokio::time::{Instant, advance};
use tower::{Service, service_fn};

use super::{ErrorKind, ID, RESOURCE, ROOT, WELL_KNOWN, World, document, rejection};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn d7_after_a_failure_the_next_look_is_a_minute_later() {
    for broken in [
        status(StatusCode::FORBIDDEN),
        json(200, "nonsense"),
        super::document_of("https://api.test/other", &[ID]),
        status(StatusCode::FOUND),
    ] {
        let world = World::new().with(WELL_KNOWN, broken.clone()).with(ROOT, broken);
        let resource = world.resource();
        let first = resource.fetch().await.expect_err("broken").to_string();
        let looked = world.looks().len();
        world.put(WELL_KNOWN, document(&[ID]));
        for _ in 0..59 {
            advance(Duration::from_secs(1)).await;
            assert_eq!(resource.fetch().await.expect_err("remembered").to_string(), first);
            resource.fetch_after(&rejection("https://api.test/meta")).await.expect_err("remembered");
        }
        advance(Duration::from_secs(1) - TICK).await;
        resource.fetch().await.expect_err("remembered");
        assert_eq!(world.looks().len(), looked);
    }
}

#[tokio::test(start_paused = true)]
async fn d7_a_minute_after_a_failure_it_heals_by_itself() {
    let world = World::new().with(WELL_KNOWN, status(StatusCode::NOT_FOUND));
    let resource = world.resource();
    let error = resource.fetch().await.expect_err("nothing there");
    assert_eq!(error.retry_after(), Some(MINUTE), "so long nobody needs to ask");
    world.put(WELL_KNOWN, document(&[ID]));
    advance(MINUTE).await;
    resource.fetch().await.expect("a token");
}

#[tokio::test(start_paused = true)]
async fn d7_a_cache_heals_a_minute_later_too() {
    let world = World::new();
    let cache = world.resource().cached().expect("a resource");
    cache.token().await.expect_err("nothing there");
    world.put(WELL_KNOWN, document(&[ID]));
    advance(MINUTE).await;
    cache.token().await.expect("a token");
}

#[tokio::test(start_paused = true)]
async fn t11_the_resource_may_ask_for_a_longer_pause() {
    for (seconds, pause) in [("5", 60), ("120", 120), ("86400", 300)] {
        let mut busy = status(StatusCode::SERVICE_UNAVAILABLE);
        busy.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static(seconds));
        let world = World::new().with(WELL_KNOWN, busy);
        let resource = world.resource();
        resource.fetch().await.expect_err("busy");
        world.put(WELL_KNOWN, document(&[ID]));
        advance(Duration::from_secs(pause) - TICK).await;
        resource.fetch().await.expect_err("busy still");
        assert_eq!(world.looks().len(), 1);
        advance(TICK).await;
        resource.fetch().await.expect("a token");
    }
}

/// Nothing is asked for twice, not even after a stumble: the next look comes in a minute.
#[tokio::test(start_paused = true)]
async fn d7_a_look_is_one_request() {
    let world = World::new().with(WELL_KNOWN, status(StatusCode::BAD_GATEWAY));
    let resource = world.resource();
    for minute in 1..5 {
        resource.fetch().await.expect_err("down");
        assert_eq!(world.looks().len(), minute);
        advance(MINUTE).await;
    }
}

/// Where there is nothing at the well-known URL, the first look goes on to that of the host. From then on it is one a minute:
/// where there was something; where there is nothing, at each in turn.
#[tokio::test(start_paused = true)]
async fn d7_only_the_first_look_goes_to_two_places() {
    let world = World::new().with(ROOT, document(&[ID]));
    let resource = world.resource();
    resource.fetch().await.expect("a token");
    assert_eq!(world.looks(), [WELL_KNOWN, ROOT]);
    advance(HOUR).await;
    resource.fetch().await.expect("a token");
    assert_eq!(world.looks()[2..], [ROOT]);
    world.put(ROOT, status(StatusCode::NOT_FOUND));
    advance(HOUR).await;
    for _ in 0..3 {
        resource.fetch().await.expect("what is known serves on");
        advance(MINUTE).await;
    }
    assert_eq!(world.looks()[3..], [ROOT, WELL_KNOWN, ROOT]);

    let world = World::new();
    let resource = world.resource();
    for _ in 0..3 {
        resource.fetch().await.expect_err("nothing anywhere");
        advance(MINUTE).await;
    }
    assert_eq!(world.looks(), [WELL_KNOWN, ROOT, WELL_KNOWN, ROOT]);
    world.put(ROOT, document(&[ID]));
    resource.fetch().await.expect_err("the other one's turn");
    advance(MINUTE).await;
    resource.fetch().await.expect("a token");
}

/// A request that never left is no look: a network that comes up late costs no minute.
#[tokio::test(start_paused = true)]
async fn d7_what_was_not_sent_does_not_count() {
    let world = World::usual();
    let ready = Arc::new(AtomicBool::new(false));
    let service = NotReadyYet { ready: Arc::clone(&ready), answers: world.canned.clone() };
    let resource = ProtectedResource::via(HttpClient::new(service), RESOURCE).expect("a resource");
    let resource = resource.allow(world.client(ID));
    resource.fetch().await.expect_err("no network");
    ready.store(true, SeqCst);
    advance(Duration::from_secs(1)).await;
    resource.fetch().await.expect("a token");
}

#[derive(Clone)]
struct NotReadyYet {
    ready: Arc<AtomicBool>,
    answers: Canned,
}

impl Service<Request<Full<Bytes>>> for NotReadyYet {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let ready = self.ready.load(SeqCst);
        Poll::Ready(if ready { Ok(()) } else { Err("no network".into()) })
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let answer = Service::call(&mut self.answers, request);
        Box::pin(async move { Ok(answer.await?) })
    }
}

#[tokio::test(start_paused = true)]
async fn d7_many_rejections_are_one_look_a_minute() {
    let world = World::usual();
    let resource = world.resource();
    resource.fetch().await.expect("a token");
    let after = async |expected: usize| {
        // Whatever URL they name, and however many at once.
        let told = ["https://api.test/a", "https://api.test/b", WELL_KNOWN].map(rejection);
        let all = told.iter().cycle().take(99).map(|rejection| resource.fetch_after(rejection));
        assert!(join_all(all).await.iter().all(Result::is_ok));
        assert_eq!(world.looks().len(), expected);
    };
    after(1).await;
    advance(MINUTE - TICK).await;
    after(1).await;
    advance(TICK).await;
    after(2).await;
    after(2).await;
    advance(MINUTE - TICK).await;
    after(2).await;
    advance(TICK).await;
    after(3).await;
}

#[tokio::test(start_paused = true)]
async fn d7_what_is_known_serves_on_while_looks_fail() {
    for broken in [
        status(StatusCode::NOT_FOUND),
        status(StatusCode::BAD_GATEWAY),
        status(StatusCode::FOUND),
        json(200, "nonsense"),
        super::document_of("https://api.test/other", &[ID]),
    ] {
        let world = World::usual();
        let resource = world.resource();
        resource.fetch().await.expect("a token");
        world.put(WELL_KNOWN, broken.clone());
        world.put(ROOT, broken);
        advance(HOUR).await;
        for second in 0..150 {
            resource.fetch().await.unwrap_or_else(|error| panic!("{second}: {error}"));
            resource.fetch_after(&rejection(WELL_KNOWN)).await.unwrap_or_else(|error| panic!("{second}: {error}"));
            advance(Duration::from_secs(1)).await;
        }
        // Once, and at 0, 60 and 120 s.
        assert!(world.looks().len() <= 4, "{:?}", world.looks());
    }
}

#[tokio::test(start_paused = true)]
async fn d7_cached_as_long_as_cache_control_says_within_bounds() {
    let vectors = [
        (None, 3600),
        (Some("public"), 3600),
        (Some("max-age=soon"), 3600),
        (Some("max-age=600"), 600),
        (Some("max-age=0"), 300),
        (Some("max-age=299"), 300),
        (Some("max-age=86400"), 86400),
        (Some("max-age=86401"), 86400),
        (Some("max-age=99999999999999999999"), 86400),
    ];
    for (value, seconds) in vectors {
        let mut response = document(&[ID]);
        if let Some(value) = value {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        let world = World::new().with(WELL_KNOWN, response);
        let resource = world.resource();
        resource.fetch().await.expect("a token");
        advance(Duration::from_secs(seconds) - TICK).await;
        resource.fetch().await.expect("a token");
        assert_eq!(world.looks().len(), 1, "{value:?}");
        advance(TICK).await;
        resource.fetch().await.expect("a token");
        assert_eq!(world.looks().len(), 2, "{value:?}");
    }
}

/// An API that never answers.
fn hanging() -> HttpClient {
    HttpClient::new(service_fn(|_: Request<Full<Bytes>>| {
        pending::<Result<Response<Full<Bytes>>, std::convert::Infallible>>()
    }))
}

#[tokio::test(start_paused = true)]
async fn t3_a_resource_that_hangs_is_given_up_on_within_the_exchanges_deadline() {
    let world = World::usual();
    let resource = ProtectedResource::via(hanging(), RESOURCE).expect("a resource").allow(world.client(ID));
    let began = Instant::now();
    let error = resource.fetch().await.expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(error.to_string().contains(RESOURCE), "{error}");
    advance(MINUTE - TICK).await;
    let began = Instant::now();
    resource.fetch().await.expect_err("remembered");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// The metadata and the token have one deadline together.
#[tokio::test(start_paused = true)]
async fn t3_a_slow_resource_and_a_server_that_hangs_have_one_deadline() {
    let world = World::usual();
    let answers = world.canned.clone();
    let slow = service_fn(move |request: Request<Full<Bytes>>| {
        let mut answers = answers.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Service::call(&mut answers, request).await
        }
    });
    let server = oauth_tokens::AuthorizationServer::via(hanging()).issuer(ID).expect("an issuer");
    let client = server.client("agent", oauth_tokens::ClientAuth::secret_basic("secret")).expect("a client");
    let resource = ProtectedResource::via(HttpClient::new(slow), RESOURCE).expect("a resource").allow(client);
    let began = Instant::now();
    let error = resource.fetch().await.expect_err("it hangs");
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout, Duration::from_secs(10)));
    assert!(error.to_string().contains(RESOURCE), "{error}");
}

/// Whoever goes away takes nothing along: the next one looks at once.
#[tokio::test(start_paused = true)]
async fn f5_a_look_that_is_dropped_does_not_count() {
    let world = World::usual();
    let hangs = AtomicBool::new(true);
    let answers = world.canned.clone();
    let hangs = Arc::new(hangs);
    let first = Arc::clone(&hangs);
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let (mut answers, hangs) = (answers.clone(), first.swap(false, SeqCst));
        async move {
            if hangs {
                pending::<()>().await;
            }
            Service::call(&mut answers, request).await
        }
    });
    let resource = ProtectedResource::via(HttpClient::new(service), RESOURCE).expect("a resource");
    let resource = resource.allow(world.client(ID));
    let dropped = tokio::time::timeout(Duration::from_millis(100), resource.fetch()).await;
    assert!(dropped.is_err());
    resource.fetch().await.expect("a token");
}
