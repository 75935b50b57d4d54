//! R12: the channel among other layers, and the layer over a channel without `grpc`.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use tests::{
    grpc::{GREET, Unary, greeter::greeter_client::GreeterClient, greeting, name, raw, trailers_only},
    numbered::{Next, Numbered},
    script::{Script, outcome},
    steps::{API, assert_waits, guarded, settle},
};
use tonic::{Code, Status, body::Body, service::interceptor::InterceptedService, transport::Channel};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_http::trace::TraceLayer;
use tower_oauth::{BoxError, ErrorKind, GrpcChannel};
use tower_test::mock;

use super::{layer, ours};

fn refusing_once() -> Script {
    Script::new([trailers_only("16"), greeting("Hello!")])
}

/// One call that is refused, made again, and then several at once, through a stack of the test's choice.
async fn works<C>(name_of_stack: &str, tokens: &Numbered, api: &Script, stack: C)
where
    C: tonic::client::GrpcService<Body> + Clone,
    C::ResponseBody: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    let mut client = GreeterClient::new(stack);
    let answer = guarded(client.greet(name("Ada"))).await.expect(name_of_stack);
    assert_eq!(answer.get_ref().text, "Hello!", "{name_of_stack}");
    assert_eq!(outcome(answer.extensions()), "Retried", "{name_of_stack}");
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"], "{name_of_stack}");
    (0..10).for_each(|_| api.answer_next(greeting("Hello!")));
    let calls = (0..10).map(|_| {
        let mut client = client.clone();
        async move { client.greet(name("Grace")).await.map(|answer| answer.into_inner().text) }
    });
    for answer in guarded(futures_util::future::join_all(calls)).await {
        assert_eq!(answer.expect(name_of_stack), "Hello!");
    }
    assert_eq!(tokens.fetches(), 2, "{name_of_stack}");
}

/// Each stack has a type of its own, so each has a line of its own.
macro_rules! works {
    ($(($name:literal, |$oauth:ident, $api:ident| $stack:expr)),* $(,)?) => {
        $({
            let (tokens, $api) = (Numbered::new(), refusing_once());
            let $oauth = layer(&tokens);
            let stack = $stack;
            works($name, &tokens, &$api, stack).await;
        })*
    };
}

#[tokio::test(start_paused = true)]
async fn r12_works_above_and_below_other_layers() {
    works![
        ("alone", |oauth, api| oauth.grpc(api.clone())),
        ("layer_fn", |oauth, api| ServiceBuilder::new().layer_fn(|inner| oauth.grpc(inner)).service(api.clone())),
        ("below Buffer", |oauth, api| ServiceBuilder::new()
            .buffer(4)
            .layer_fn(|inner| oauth.grpc(inner))
            .service(api.clone())),
        ("above Buffer", |oauth, api| ServiceBuilder::new()
            .layer_fn(|inner| oauth.grpc(inner))
            .buffer::<Request<Body>>(4)
            .service(api.clone())),
        ("between Buffers", |oauth, api| ServiceBuilder::new()
            .buffer(1)
            .layer_fn(|inner| oauth.grpc(inner))
            .buffer::<Request<Body>>(1)
            .service(api.clone())),
        ("above ConcurrencyLimit", |oauth, api| ServiceBuilder::new()
            .layer_fn(|inner| oauth.grpc(inner))
            .concurrency_limit(1)
            .service(api.clone())),
        ("below ConcurrencyLimit", |oauth, api| ServiceBuilder::new()
            .concurrency_limit(1)
            .layer_fn(|inner| oauth.grpc(inner))
            .service(api.clone())),
        ("traced", |oauth, api| ServiceBuilder::new()
            .layer(TraceLayer::new_for_grpc())
            .layer_fn(|inner| oauth.grpc(inner))
            .layer(TraceLayer::new_for_grpc())
            .service(api.clone())),
        ("a timeout", |oauth, api| ServiceBuilder::new()
            .timeout(std::time::Duration::from_secs(1))
            .layer_fn(|inner| oauth.grpc(inner))
            .timeout(std::time::Duration::from_secs(1))
            .service(api.clone())),
        ("boxed", |oauth, api| BoxCloneSyncService::new(oauth.grpc(api.clone()))),
        ("over a boxed one", |oauth, api| oauth.grpc(BoxCloneSyncService::new(api.clone()))),
        ("the plain layer", |oauth, api| ServiceBuilder::new().layer(oauth).service(api.clone())),
        ("the plain layer between Buffers", |oauth, api| ServiceBuilder::new()
            .buffer(2)
            .layer(oauth)
            .buffer::<Request<Body>>(2)
            .concurrency_limit(1)
            .service(api.clone())),
    ];
}

#[test]
fn r12_a_channel_goes_wherever_tonics_goes() {
    fn is_at_home<S>(_: &S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Status, Future: Send + 'static>,
        S: Clone + Send + Sync + std::fmt::Debug + 'static,
    {
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let channel: GrpcChannel<Channel> =
        layer(&Numbered::new()).grpc(Channel::from_static("https://api.test").connect_lazy()).max_replay_bytes(1);
    is_at_home(&channel);
    // In a struct without type parameters, as services keep their clients.
    struct _Clients {
        greeter: GreeterClient<GrpcChannel<Channel>>,
    }
}

#[tokio::test]
async fn r12_readiness_is_the_channels_own() {
    let (below, mut peer) = mock::pair::<Request<Body>, Response<Body>>();
    peer.allow(0);
    let mut channel = layer(&Numbered::new()).grpc(below);
    let mut ready = Box::pin(channel.ready());
    assert_waits(&mut ready);
    peer.allow(1);
    guarded(ready).await.expect("it is ready");
}

/// One clone after another would wait for ever for a permit that the first one keeps.
#[tokio::test]
async fn r12_a_refused_call_gives_its_permit_back() {
    let permits = Arc::new(tokio::sync::Semaphore::new(1));
    let below = tower::limit::ConcurrencyLimit::with_semaphore(Script::new([]), permits.clone());
    let mut channel = layer(&Numbered::new()).refuse_caller_authorization().grpc(below);
    let request = raw(GREET, &[("authorization", "Bearer own")]);
    let status = channel.ready().await.expect("it is ready").call(request).await.expect_err("refused");
    assert_eq!(ours(&status).kind(), ErrorKind::CallerAuthorization);
    assert_eq!(permits.available_permits(), 1);
}

/// Above the layer an interceptor sees a call, below it an attempt.
#[tokio::test]
async fn r12_interceptors_above_see_calls_and_below_attempts() {
    let (tokens, api) = (Numbered::new(), refusing_once());
    let (above, below) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counting = |count: &Arc<AtomicU32>, key: &'static str, sees_token: bool| {
        let count = Arc::clone(count);
        move |mut call: tonic::Request<()>| {
            assert_eq!(call.metadata().contains_key("authorization"), sees_token);
            let number = count.fetch_add(1, SeqCst) + 1;
            call.metadata_mut().insert(key, number.into());
            Ok::<_, Status>(call)
        }
    };
    let channel = InterceptedService::new(api.clone(), counting(&below, "x-attempt", true));
    let channel = layer(&tokens).grpc(channel);
    let mut client = GreeterClient::new(InterceptedService::new(channel, counting(&above, "x-call", false)));
    let answer = client.greet(name("Ada")).await.expect("an answer");
    assert_eq!(outcome(answer.extensions()), "Retried");
    let numbers = |key| -> Vec<_> { api.seen().iter().map(|seen| seen.head.headers[key].clone()).collect() };
    assert_eq!(
        (numbers("x-call"), numbers("x-attempt")),
        (vec!["1".parse().expect("1"); 2], vec!["1".parse().expect("1"), "2".parse().expect("2")])
    );
    assert_eq!((above.load(SeqCst), below.load(SeqCst)), (1, 2));
}

#[tokio::test]
async fn r1_an_interceptor_that_brings_its_own_authorization_is_left_alone() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16")]));
    let own = |mut call: tonic::Request<()>| {
        call.metadata_mut().insert("authorization", "Bearer own".parse().expect("a value"));
        Ok::<_, Status>(call)
    };
    let mut client = GreeterClient::new(InterceptedService::new(layer(&tokens).grpc(api.clone()), own));
    assert_eq!(client.greet(name("Ada")).await.expect_err("refused").code(), Code::Unauthenticated);
    assert_eq!((api.authorizations(), tokens.fetches()), (vec!["Bearer own".to_owned()], 0));
}

#[tokio::test]
async fn r12_an_interceptor_that_refuses_above_the_layer_costs_no_token() {
    let (tokens, api) = (Numbered::new(), Script::new([]));
    let never = |_: tonic::Request<()>| Err::<tonic::Request<()>, _>(Status::unauthenticated("not you"));
    let mut client = GreeterClient::new(InterceptedService::new(layer(&tokens).grpc(api.clone()), never));
    let status = client.greet(name("Ada")).await.expect_err("refused");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "not you"));
    settle().await;
    assert_eq!((api.seen().len(), tokens.fetches()), (0, 0));
}

// ---- The layer as any other, without `grpc`: `ReplayBody` of tonic's body carries the rules.

#[tokio::test]
async fn r10_the_plain_layer_has_the_cap_of_64_kib() {
    for (wire, is_retried) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let (tokens, api) = (Numbered::new(), refusing_once());
        let mut client = GreeterClient::new(layer(&tokens).layer(api.clone()));
        let answer = client.greet(Unary { wire }.message()).await;
        settle().await;
        let outcome = answer.map(|answer| outcome(answer.extensions())).map_err(|status| status.code());
        assert_eq!(outcome, if is_retried { Ok("Retried".into()) } else { Err(Code::Unauthenticated) }, "{wire}");
        assert_eq!(tokens.fetches(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn f5_the_plain_layer_keeps_deadlines_and_its_errors_are_boxed() {
    let tokens = Numbered::gated(0);
    let request = raw(GREET, &[("grpc-timeout", "1S")]);
    let error = guarded(layer(&tokens).layer(Script::new([])).oneshot(request)).await.expect_err("no token");
    let error = error.downcast_ref::<tower_oauth::Error>().expect("the layer's own");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn r3_the_plain_layers_error_is_the_source_of_what_a_client_gets() {
    let tokens = Numbered::new();
    tokens.will(Next::Failure);
    let mut client = GreeterClient::new(layer(&tokens).layer(Script::new([])));
    let status = client.greet(name("Ada")).await.expect_err("no token");
    assert_eq!((status.code(), ours(&status).kind()), (Code::Unknown, ErrorKind::NoToken));
}

/// `grpc-status` and `grpc-timeout` mean nothing in requests with bodies of other kinds.
#[tokio::test(start_paused = true)]
async fn r6_what_is_no_grpc_call_has_none_of_its_rules() {
    let (tokens, api) = (Numbered::gated(0), Script::new([trailers_only("16")]));
    let request = raw(&format!("{API}{GREET}"), &[("grpc-timeout", "1S")]).map(|_| Full::new(bytes::Bytes::from("x")));
    let mut call = Box::pin(layer(&tokens).layer(api.clone()).oneshot(request));
    assert_waits(&mut call);
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    assert_waits(&mut call);
    tokens.open(2);
    let response = guarded(call).await.expect("a response");
    settle().await;
    assert_eq!((outcome(response.extensions()).as_str(), tokens.fetches()), ("-", 1));
    let seen = api.seen();
    assert_eq!((seen.len(), &seen[0].head.headers["grpc-timeout"]), (1, &"1S".parse().expect("a value")));
    assert!(seen[0].head.headers.contains_key(AUTHORIZATION));
}
