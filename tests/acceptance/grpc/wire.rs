//! On real sockets: HTTP/2, generated clients, and tonic's own server.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use http::{HeaderMap, Request, StatusCode, header::AUTHORIZATION};
use http_body_util::Empty;
use oauth_test_server::TestServer;
use tests::{
    grpc::{
        Greets, Served, Unary, by_channel,
        greeter::{greeter_client::GreeterClient, greeter_server::GreeterServer},
        name, names, serve,
    },
    numbered::Numbered,
    script::outcome,
    steps::guarded,
    wire::{CountingProxy, tokens_of},
};
use tokio::sync::{Barrier, Notify};
use tokio_stream::StreamExt;
use tonic::{
    Code, Status,
    body::Body,
    transport::{Channel, Endpoint, Server},
};
use tower::{Service, ServiceExt};
use tower_oauth::{GrpcChannel, OAuthLayer, oauth_tokens::TokenCache};

/// The protected API of a test server, as a greeter.
async fn protected(server: &TestServer) -> Served {
    let server = server.clone();
    let check = move |call: tonic::Request<()>| {
        let mut request = Request::new(Empty::<bytes::Bytes>::new());
        let headers: &HeaderMap = call.metadata().as_ref();
        request.headers_mut().extend(headers.get(AUTHORIZATION).map(|value| (AUTHORIZATION, value.clone())));
        let answer = server.api_service().call(request).now_or_never().expect("it answers at once");
        match answer.expect("an answer").status() {
            StatusCode::OK => Ok(call),
            _ => Err(Status::unauthenticated("who are you?")),
        }
    };
    serve(Server::builder(), GreeterServer::with_interceptor(Greets, check)).await
}

fn client(origin: &str, channel: Channel, tokens: TokenCache) -> GreeterClient<GrpcChannel<Channel>> {
    GreeterClient::new(OAuthLayer::for_connection(origin, tokens).expect("an origin").grpc(channel))
}

#[tokio::test]
async fn r6_all_kinds_of_calls_outlive_a_revocation() {
    let server = TestServer::builder().build();
    let greeter = protected(&server).await;
    let mut client = client(greeter.origin(), greeter.channel(), tokens_of(&server));
    for (round, expected) in [(0, "-"), (1, "Retried"), (2, "Retried"), (3, "Retried"), (4, "Retried")] {
        for kind in 0..4 {
            // In the first round nothing is revoked; then each kind once, and at last all four.
            let is_revoked = round == 4 || kind + 1 == round;
            if is_revoked {
                server.revoke_access_tokens();
            }
            let expected = if is_revoked { expected } else { "-" };
            let (texts, outcome) = guarded(async {
                match kind {
                    0 => {
                        let answer = client.greet(name("Ada")).await.expect("an answer");
                        (vec![answer.get_ref().text.clone()], outcome(answer.extensions()))
                    }
                    1 => {
                        let answer = client.greet_together(names(["Ada", "Grace"])).await.expect("an answer");
                        (vec![answer.get_ref().text.clone()], outcome(answer.extensions()))
                    }
                    _ => {
                        let answer = match kind {
                            2 => client.greet_all_day(name("Ada")).await,
                            _ => client.greet_each(names(["Ada", "Grace"])).await,
                        };
                        let answer = answer.expect("a stream");
                        let outcome = outcome(answer.extensions());
                        (
                            answer.into_inner().map(|greeting| greeting.expect("a greeting").text).collect().await,
                            outcome,
                        )
                    }
                }
            })
            .await;
            assert_eq!(outcome, expected, "round {round}, kind {kind}");
            match kind {
                0 => assert_eq!(texts, ["Hello, Ada!"]),
                1 => assert_eq!(texts, ["Hello, Ada and Grace!"]),
                2 => assert_eq!((texts.len(), texts[23].as_str()), (24, "It is 23, Ada.")),
                _ => assert_eq!(texts, ["Hello, Ada!", "Hello, Grace!"]),
            }
        }
    }
    let counters = server.counters();
    assert_eq!((counters.api_accepted, counters.api_unauthorized, counters.token_requests), (20, 7, 8));
}

/// An exchange of messages goes back and forth as without the layer: nothing is held back to be remembered.
#[tokio::test]
async fn r10_a_conversation_goes_on_message_by_message() {
    let server = TestServer::builder().build();
    let greeter = protected(&server).await;
    let mut client = client(greeter.origin(), greeter.channel(), tokens_of(&server));
    let talk = async {
        let (sender, stream) = by_channel();
        let mut answers = client.greet_each(stream).await.expect("a stream").into_inner();
        // More than is remembered.
        for number in 0..1000 {
            let who = format!("{number}-{}", "x".repeat(100));
            sender.send(name(who.clone())).expect("it is open");
            let greeting = answers.message().await.expect("no error").expect("a message");
            assert_eq!(greeting.text, format!("Hello, {who}!"));
        }
        drop(sender);
        assert!(answers.message().await.expect("no error").is_none());
        // A new conversation with a dead token: its stream is open, so it fails, and the next one does not.
        server.revoke_access_tokens();
        let (sender, stream) = by_channel();
        sender.send(name("Ada")).expect("it is open");
        let first = client.greet_each(stream).await;
        let (sender, stream) = by_channel();
        sender.send(name("Grace")).expect("it is open");
        let again = client.greet_each(stream).await;
        // Whether the peer refused before the first message went out is a race, and either is right.
        if let Err(status) = first {
            assert_eq!(status.code(), Code::Unauthenticated);
        }
        let greeting = again.expect("a stream").into_inner().message().await.expect("no error").expect("a message");
        assert_eq!(greeting.text, "Hello, Grace!");
        assert_eq!(server.counters().token_requests, 2);
    };
    guarded(talk).await;
}

/// A greeter that refuses `t1` once so many calls with it have arrived, and never reads the call with the token `plug`,
/// which thus fills the connection's window, until the first call with another token is there.
async fn plugged(calls: usize) -> Served {
    let window = 65_535;
    let server = Server::builder().initial_connection_window_size(window).initial_stream_window_size(window);
    let (greeter, barrier, unplug) =
        (GreeterServer::new(Greets), Arc::new(Barrier::new(calls)), Arc::new(Notify::new()));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (greeter, barrier, unplug) = (greeter.clone(), Arc::clone(&barrier), Arc::clone(&unplug));
        async move {
            match request.headers()[AUTHORIZATION].to_str().expect("text") {
                "Bearer plug" => unplug.notified().await,
                "Bearer t1" => {
                    barrier.wait().await;
                }
                _ => {
                    unplug.notify_one();
                    return greeter.oneshot(request).await;
                }
            }
            Ok(Status::unauthenticated("not you").into_http::<Body>())
        }
    });
    serve(server, service).await
}

/// Fills the connection's window with a call that does not go through the layer.
async fn plug(channel: Channel) {
    let asked = Arc::new(Notify::new());
    let names = {
        let (asked, mut message) = (Arc::clone(&asked), Some(Unary { wire: 1 << 20 }.message()));
        tokio_stream::iter(std::iter::from_fn(move || {
            // Asked for more: the first message is on its way.
            message.take().or_else(|| {
                asked.notify_one();
                None
            })
        }))
    };
    let mut request = tonic::Request::new(names);
    request.metadata_mut().insert("authorization", "Bearer plug".parse().expect("a value"));
    tokio::spawn(async move { GreeterClient::new(channel).greet_together(request).await });
    asked.notified().await;
}

/// While the connection's window is full, HTTP/2 takes a message and does not ask for the body's end. A unary call is whole
/// with its message, and so is made again.
#[tokio::test]
async fn r10_unary_calls_are_made_again_though_the_connections_window_was_full() {
    for wire in [5, 20 * 1024, 64 * 1024] {
        let count = 8;
        let greeter = plugged(count).await;
        let tokens = Numbered::new();
        let proxy = CountingProxy::start(greeter.origin()).await;
        let channel = Endpoint::from_shared(proxy.origin().to_owned()).expect("an origin").connect_lazy();
        guarded(plug(channel.clone())).await;
        let client = client(proxy.origin(), channel, tokens.cache.clone());
        let calls = (0..count).map(|_| {
            let mut client = client.clone();
            async move { client.greet(Unary { wire }.message()).await }
        });
        let answers = guarded(join_all(calls)).await;
        let expected = format!("Hello, {}!", Unary { wire }.message().name);
        for answer in answers {
            let answer = answer.expect("an answer");
            assert_eq!(outcome(answer.extensions()), "Retried");
            assert!(answer.get_ref().text == expected, "the whole message arrived");
        }
        assert_eq!((tokens.fetches(), proxy.connections()), (2, 1), "{wire}");
    }
}

#[tokio::test]
async fn f2_a_hundred_calls_on_one_connection_make_one_token_request() {
    let server = TestServer::builder().build();
    let greeter = protected(&server).await;
    let proxy = CountingProxy::start(greeter.origin()).await;
    let channel = Endpoint::from_shared(proxy.origin().to_owned()).expect("an origin").connect_lazy();
    let mut client = client(proxy.origin(), channel, tokens_of(&server));
    client.greet(name("Ada")).await.expect("an answer");
    server.revoke_access_tokens();
    let calls = (0..100).map(|number| {
        let mut client = client.clone();
        async move { client.greet(name(format!("{number}"))).await.expect("an answer").into_inner().text }
    });
    let texts = guarded(join_all(calls)).await;
    assert!(texts.iter().enumerate().all(|(number, text)| *text == format!("Hello, {number}!")));
    assert_eq!(server.counters().token_requests, 2);
    assert_eq!(proxy.connections(), 1, "a refusal costs no connection");
}

/// Several servers behind one channel are one peer: they have one name, and take the same tokens.
#[tokio::test]
async fn r5_a_balanced_channel_is_one_connection() {
    let server = TestServer::builder().build();
    let greeters = [protected(&server).await, protected(&server).await];
    let channel = Channel::balance_list(greeters.iter().map(Served::endpoint));
    let mut client = client("https://greeter.test", channel, tokens_of(&server));
    for round in 0..20 {
        if round % 5 == 4 {
            server.revoke_access_tokens();
        }
        let answer = guarded(client.greet(name("Ada"))).await.expect("an answer");
        assert_eq!(answer.get_ref().text, "Hello, Ada!");
    }
    assert_eq!(server.counters().token_requests, 5);
}

/// A proxy in front of the server that knows nothing of gRPC.
#[tokio::test]
async fn r6_a_401_of_http_on_the_wire_is_cured() {
    let greeter = GreeterServer::new(Greets);
    let service = tower::service_fn(move |request: Request<Body>| {
        let greeter = greeter.clone();
        async move {
            if request.headers()[AUTHORIZATION] != "Bearer t1" {
                return greeter.oneshot(request).await;
            }
            let page = http_body_util::Full::from("<html>who are you?</html>");
            let response = http::Response::builder().status(401).header("www-authenticate", "Bearer");
            Ok(response.body(Body::new(page)).expect("a response"))
        }
    });
    let greeter = serve(Server::builder(), service).await;
    let tokens = Numbered::new();
    let mut client = client(greeter.origin(), greeter.channel(), tokens.cache.clone());
    let answer = guarded(client.greet(name("Ada"))).await.expect("an answer");
    assert_eq!((answer.get_ref().text.as_str(), tokens.fetches()), ("Hello, Ada!", 2));
    assert_eq!(outcome(answer.extensions()), "Retried");
}

/// What a server, and tonic's own timer in the channel, are told of the time that is left.
#[tokio::test]
async fn r2_deadlines_and_metadata_arrive_with_both_attempts() {
    let heads = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let (greeter, seen) = (GreeterServer::new(Greets), Arc::clone(&heads));
    let service = tower::service_fn(move |request: Request<Body>| {
        let greeter = greeter.clone();
        seen.lock().expect("a log").push(request.headers().clone());
        async move {
            if request.headers()[AUTHORIZATION] == "Bearer t1" {
                return Ok(Status::unauthenticated("expired").into_http::<Body>());
            }
            greeter.oneshot(request).await
        }
    });
    let greeter = serve(Server::builder(), service).await;
    let tokens = Numbered::new();
    let mut client = client(greeter.origin(), greeter.channel(), tokens.cache.clone());
    let mut request = tonic::Request::new(name("Ada"));
    request.set_timeout(Duration::from_secs(30));
    request.metadata_mut().insert("x-tenant", "one".parse().expect("a value"));
    request.metadata_mut().insert_bin("trace-bin", tonic::metadata::MetadataValue::from_bytes(&[0, 255]));
    guarded(client.greet(request)).await.expect("an answer");

    let heads = heads.lock().expect("a log");
    let [first, second] = heads.as_slice() else { panic!("two attempts: {heads:?}") };
    let micros = |head: &HeaderMap| -> u64 {
        let text = head["grpc-timeout"].to_str().expect("text");
        text.strip_suffix('u').expect("microseconds").parse().expect("a number")
    };
    assert!(micros(second) < micros(first) && micros(first) <= 30_000_000, "{first:?} {second:?}");
    for name in ["x-tenant", "trace-bin", "user-agent", "te", "content-type"] {
        assert_eq!(first[name], second[name]);
    }
    assert_eq!(second["x-tenant"], "one");
}
