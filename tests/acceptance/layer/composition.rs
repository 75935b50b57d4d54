//! R12: above and below other layers, each with services that panic when they are called without being ready.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use oauth_test_server::TestServer;
use tests::{
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script, outcome},
    steps::{API, assert_waits, get, guarded, post, settle},
};
use tokio::{sync::Semaphore, time::Instant};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    buffer::Buffer,
    limit::ConcurrencyLimit,
    retry::{Policy, Retry},
    timeout::Timeout,
    util::BoxCloneService,
};
use tower_http::follow_redirect::FollowRedirect;
use tower_oauth::{
    Error, ErrorKind, OAuthLayer,
    oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient},
};

type Client = BoxCloneService<Request<Full<Bytes>>, Response<ProbeBody>, BoxError>;

fn layer(tokens: &Numbered) -> OAuthLayer {
    OAuthLayer::new(API, tokens.cache.clone()).expect("an origin")
}

/// A service of which there is only one, as tower's `Balance`.
struct OnlyOne(Script);

impl Service<Request<Full<Bytes>>> for OnlyOne {
    type Response = Response<ProbeBody>;
    type Error = std::io::Error;
    type Future = <Script as Service<Request<Full<Bytes>>>>::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), std::io::Error>> {
        Service::<Request<Full<Bytes>>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        self.0.call(request)
    }
}

/// Tries again on 503, and on 401 if it is told to.
#[derive(Clone)]
struct Again {
    left: u32,
    on_401: bool,
}

impl<E> Policy<Request<Full<Bytes>>, Response<ProbeBody>, E> for Again {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        result: &mut Result<Response<ProbeBody>, E>,
    ) -> Option<Self::Future> {
        let status = result.as_ref().ok()?.status();
        let again = status == StatusCode::SERVICE_UNAVAILABLE || (self.on_401 && status == StatusCode::UNAUTHORIZED);
        self.left = self.left.checked_sub(1)?;
        again.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

const AGAIN: Again = Again { left: 3, on_401: false };
const LONG: Duration = Duration::from_secs(3600);

fn boxed<S>(service: S) -> Client
where
    S: Service<Request<Full<Bytes>>, Response = Response<ProbeBody>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    BoxCloneService::new(service.map_err(Into::into))
}

/// Every composition, by name: what is below the layer, and what is above.
fn compositions(oauth: &OAuthLayer, api: &Script) -> Vec<(&'static str, Client)> {
    let api = || api.clone();
    let oauth = || oauth.clone();
    vec![
        ("nothing else", boxed(oauth().layer(api()))),
        ("above Buffer", boxed(oauth().layer(Buffer::new(api(), 1)))),
        ("above Buffer of a service that is not Clone", boxed(oauth().layer(Buffer::new(OnlyOne(api()), 4)))),
        ("above ConcurrencyLimit of 1", boxed(oauth().layer(ConcurrencyLimit::new(api(), 1)))),
        ("above ConcurrencyLimit", boxed(oauth().layer(ConcurrencyLimit::new(api(), 3)))),
        ("above Timeout", boxed(oauth().layer(Timeout::new(api(), LONG)))),
        ("above Retry", boxed(oauth().layer(Retry::new(AGAIN, api())))),
        (
            "above Buffer of ConcurrencyLimit of 1",
            boxed(oauth().layer(Buffer::new(ConcurrencyLimit::new(OnlyOne(api()), 1), 1))),
        ),
        (
            "above ConcurrencyLimit of 1 of Buffer",
            boxed(oauth().layer(ConcurrencyLimit::new(Buffer::new(api(), 1), 1))),
        ),
        ("below Buffer", boxed(Buffer::new(oauth().layer(api()), 1))),
        ("below ConcurrencyLimit of 1", boxed(ConcurrencyLimit::new(oauth().layer(api()), 1))),
        ("below Timeout", boxed(Timeout::new(oauth().layer(api()), LONG))),
        ("below Retry", boxed(Retry::new(AGAIN, oauth().layer(api())))),
        ("below FollowRedirect", boxed(FollowRedirect::new(oauth().layer(api())))),
        (
            "below Buffer and above ConcurrencyLimit of 1",
            boxed(Buffer::new(oauth().layer(ConcurrencyLimit::new(api(), 1)), 1)),
        ),
        (
            "all of them",
            boxed(
                ServiceBuilder::new()
                    .buffer(4)
                    .timeout(LONG)
                    .layer_fn(FollowRedirect::new)
                    .retry(AGAIN)
                    .concurrency_limit(2)
                    .layer(oauth())
                    .buffer(2)
                    .concurrency_limit(1)
                    .timeout(LONG)
                    .service(OnlyOne(api())),
            ),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn r12_works_above_and_below_other_layers() {
    let count = compositions(&layer(&Numbered::new()), &Script::new([])).len();
    for index in 0..count {
        let (tokens, api) = (Numbered::new(), Script::new([]));
        let (name, client) = compositions(&layer(&tokens), &api).swap_remove(index);
        // A first call, a 401 for one call, and for ten at once.
        let response = guarded(client.clone().oneshot(post("https://api.test/x", "one"))).await.expect(name);
        assert_eq!(response.status(), 200, "{name}");
        api.answer_next(Answer::status(401));
        let response = guarded(client.clone().oneshot(post("https://api.test/x", "two"))).await.expect(name);
        assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "Retried"), "{name}");
        assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t1", "Bearer t2"], "{name}");
        drop(response);

        (0..10).for_each(|_| api.answer_next(Answer::status(401)));
        let calls = (0..10).map(|_| client.clone().oneshot(post("https://api.test/x", "many")));
        let began = Instant::now();
        for response in guarded(futures_util::future::join_all(calls)).await {
            let status = response.expect(name).status().as_u16();
            // Which of them meet the 401s depends on their order; no response is lost.
            assert!(status == 200 || status == 401, "{name}: {status}");
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "{name}: somebody waited for a timer");
        assert!(tokens.fetches() <= 4, "{name}: {}", tokens.fetches());
        let bodies: Vec<_> = api.seen()[3..].iter().filter_map(|seen| seen.body.clone()).collect();
        assert!(bodies.iter().all(|body| body == "many"), "{name}");

        // All that was taken was given back: as many again at once.
        let calls = (0..10).map(|_| client.clone().oneshot(post("https://other.test/x", "elsewhere")));
        for response in guarded(futures_util::future::join_all(calls)).await {
            assert_eq!(response.expect(name).status(), 200, "{name}");
        }
    }
}

async fn ready<'a, S, R>(client: &'a mut S, _: &R) -> &'a mut S
where
    S: Service<R, Error = BoxError>,
{
    ServiceExt::<R>::ready(client).await.expect("it is ready")
}

/// One clone after another would wait for ever for a permit that the first one keeps.
#[tokio::test]
async fn r12_a_refused_request_gives_its_permit_back() {
    let permits = Arc::new(Semaphore::new(1));
    let below = ConcurrencyLimit::with_semaphore(Script::new([]), permits.clone());
    let mut client = layer(&Numbered::new()).layer(below);
    let refused = get("/no-authority");
    let error = ready(&mut client, &refused).await.call(refused).await.expect_err("no authority");
    assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::NoAuthority));
    assert_eq!(permits.available_permits(), 1, "a call that was refused holds nothing");
}

/// While a request waits for its token, or for its turn, nobody else's turn is held up for ever.
#[tokio::test(start_paused = true)]
async fn r12_no_permit_is_left_behind_whatever_the_outcome() {
    type Case = (&'static str, fn() -> Vec<Answer>, bool);
    let cases: [Case; 6] = [
        ("200", Vec::new, true),
        ("retried", || vec![Answer::status(401)], true),
        ("second 401", || vec![Answer::status(401), Answer::status(401)], true),
        ("left alone", || vec![Answer::challenges(401, &["Basic"])], true),
        ("error", || vec![Answer::error(std::io::ErrorKind::Other)], false),
        ("retry's error", || vec![Answer::status(401), Answer::error(std::io::ErrorKind::Other)], false),
    ];
    for (name, answers, is_ok) in cases {
        let permits = Arc::new(Semaphore::new(1));
        let below = ConcurrencyLimit::with_semaphore(Script::new(answers()), permits.clone());
        let client = layer(&Numbered::new()).layer(below);
        for elsewhere in [false, true] {
            let url = if elsewhere { "https://other.test/x" } else { "https://api.test/x" };
            let result = client.clone().oneshot(get(url)).await;
            assert!(elsewhere || result.is_ok() == is_ok, "{name}");
            assert_eq!(permits.available_permits(), 1, "{name}: the response alone holds no permit");
        }
    }
}

/// The first attempt's permit is given back before the retry asks for one: with a limit of 1 it would never get it.
#[tokio::test(start_paused = true)]
async fn r12_while_the_token_is_renewed_others_have_their_turn() {
    let tokens = Numbered::gated(1);
    let api = Script::new([Answer::status(401)]);
    let client = layer(&tokens).layer(ConcurrencyLimit::new(api.clone(), 1));
    let mut waiting = Box::pin(client.clone().oneshot(get("https://api.test/x")));
    assert_waits(&mut waiting);
    settle().await;
    assert_waits(&mut waiting);
    assert_eq!(api.seen().len(), 1, "answered 401, and the token is on its way");
    let other = client.clone().oneshot(get("https://other.test/x")).await.expect("it has its turn");
    assert_eq!(other.status(), 200);
    tokens.open(1);
    let response = waiting.await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "Retried"));
}

/// One client for the API and for the authorization server: whoever waits for a token must not hold the turn that the
/// token's own request needs.
#[tokio::test(start_paused = true)]
async fn r12_tokens_and_api_over_one_client_with_a_limit() {
    for limit in [1, 2] {
        let server = TestServer::builder().build();
        let (authorization, api) = (server.authorization_service(), server.api_service());
        let both = tower::service_fn(move |request: Request<Full<Bytes>>| {
            let is_token = request.uri().host() == Some("id.test");
            let service = if is_token { authorization.clone() } else { api.clone() };
            service.oneshot(request)
        });
        let limited = ConcurrencyLimit::new(both, limit);
        let authorization = AuthorizationServer::via(HttpClient::new(limited.clone()));
        let authorization = authorization.token_endpoint(&server.token_endpoint()).expect("a URL");
        let m2m = authorization.client("m2m", ClientAuth::secret_basic("secret")).expect("a client");
        let tokens = m2m.client_credentials().scope("api").cached().expect("a request");
        let client = OAuthLayer::new(server.api_origin(), tokens).expect("an origin").layer(limited);
        let began = Instant::now();
        let url = server.api_url("/x");
        for _ in 0..2 {
            let calls = (0..limit).map(|_| client.clone().oneshot(post(&url, "body")));
            for result in guarded(futures_util::future::join_all(calls)).await {
                assert_eq!(result.expect("a token was to be had").status(), 200, "limit {limit}");
            }
            server.revoke_access_tokens();
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waited for a deadline");
    }
}

#[tokio::test(start_paused = true)]
async fn r12_a_timeout_above_ends_the_wait_for_a_token_and_the_renewal_goes_on() {
    let tokens = Numbered::gated(0);
    let api = Script::new([]);
    let client = Timeout::new(layer(&tokens).layer(api.clone()), Duration::from_secs(1));
    let began = Instant::now();
    let error = client.clone().oneshot(get("https://api.test/x")).await.expect_err("no token in time");
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert_eq!((began.elapsed(), api.seen().len()), (Duration::from_secs(1), 0));
    tokens.open(1);
    assert_eq!(client.oneshot(get("https://api.test/x")).await.expect("a response").status(), 200);
    assert_eq!(tokens.fetches(), 1, "the renewal was not the first caller's, and was not given up with it");
}

#[tokio::test(start_paused = true)]
async fn r12_a_timeout_below_measures_each_attempt_and_its_error_is_unchanged() {
    let tokens = Numbered::new();
    let api = Script::new([Answer::never(), Answer::status(401), Answer::never()]);
    let client = layer(&tokens).layer(Timeout::new(api.clone(), Duration::from_secs(1)));
    for requests in [1, 3] {
        let began = Instant::now();
        let error = client.clone().oneshot(get("https://api.test/x")).await.expect_err("no answer in time");
        assert!(error.is::<tower::timeout::error::Elapsed>(), "{error:?}");
        assert_eq!((began.elapsed(), api.seen().len()), (Duration::from_secs(1), requests));
    }
}

#[tokio::test]
async fn r12_retry_above_takes_a_token_for_each_attempt_and_below_it_keeps_its_own() {
    let answers = || [Answer::status(503), Answer::status(401), Answer::status(503)];
    let (tokens, api) = (Numbered::new(), Script::new(answers()));
    let above = Retry::new(AGAIN, layer(&tokens).layer(api.clone()));
    let response = above.oneshot(post("https://api.test/x", "body")).await.expect("a response");
    assert_eq!((response.status().as_u16(), tokens.fetches()), (200, 2));
    assert_eq!(api.authorizations(), ["t1", "t1", "t2", "t2"].map(|token| format!("Bearer {token}")));

    let (tokens, api) = (Numbered::new(), Script::new(answers()));
    let below = layer(&tokens).layer(Retry::new(AGAIN, api.clone()));
    let response = below.oneshot(post("https://api.test/x", "body")).await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "Retried"));
    assert_eq!(api.authorizations(), ["t1", "t1", "t2", "t2"].map(|token| format!("Bearer {token}")));
    assert!(api.seen().iter().all(|seen| seen.body.as_deref() == Some(b"body")));
}

/// Somebody's own retry on 401 above the layer makes no storm of it.
#[tokio::test(start_paused = true)]
async fn r12_retry_on_401_above_is_bounded_by_the_guard() {
    let (tokens, api) = (Numbered::new(), Script::new((0..100).map(|_| Answer::status(401))));
    let client = Retry::new(Again { left: 10, on_401: true }, layer(&tokens).layer(api.clone()));
    let response = client.oneshot(post("https://api.test/x", "body")).await.expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!((api.seen().len(), tokens.fetches()), (12, 2), "eleven attempts, one retry, one renewal");
}

fn redirect(to: &str) -> Answer {
    Answer::new(Response::builder().status(307).header("location", to).body(ProbeBody::of(&[])).expect("a response"))
}

#[tokio::test]
async fn r13_follow_redirect_above_has_each_place_looked_at_anew() {
    let answers = [
        redirect("/within"),
        redirect("https://other.test/out"),
        redirect("https://api.test/back"),
        Answer::status(401),
    ];
    let (tokens, api) = (Numbered::new(), Script::new(answers));
    let client = FollowRedirect::new(layer(&tokens).layer(api.clone()));
    let response = client.oneshot(get("https://api.test/x")).await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "Retried"));
    let went: Vec<_> = api.seen().iter().map(|seen| seen.head.uri.to_string()).zip(api.authorizations()).collect();
    let went: Vec<_> = went.iter().map(|(url, token)| (url.as_str(), token.as_str())).collect();
    assert_eq!(
        went,
        [
            ("https://api.test/x", "Bearer t1"),
            ("https://api.test/within", "Bearer t1"),
            ("https://other.test/out", ""),
            ("https://api.test/back", "Bearer t1"),
            ("https://api.test/back", "Bearer t2"),
        ]
    );
}
