//! R10: unary calls of all sizes.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tests::{
    grpc::{GREET, Unary, greeter::greeter_client::GreeterClient, greeting, names_in, raw, trailers_only},
    numbered::Numbered,
    probe::ProbeBody,
    script::{Script, outcome},
    steps::{guarded, settle, step},
};
use tonic::{Code, body::Body};
use tower::ServiceExt;

use super::{call, greeted, layer, refused, under_way};

const CAP: usize = 64 * 1024;

/// A unary call with a body of this size to an API that refuses it once, over a layer that remembers so many bytes.
async fn unary(wire: usize, cap: Option<usize>) -> (Script, Numbered, Result<String, Code>) {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
    let channel = layer(&tokens).grpc(api.clone());
    let channel = match cap {
        Some(cap) => channel.max_replay_bytes(cap),
        None => channel,
    };
    let answer = GreeterClient::new(channel).greet(Unary { wire }.message()).await;
    settle().await;
    (api, tokens, answer.map(|answer| outcome(answer.extensions())).map_err(|status| status.code()))
}

#[tokio::test]
async fn r10_a_unary_call_is_made_again_up_to_the_cap_and_past_it_the_token_is_renewed() {
    let vectors = [
        (5, None, true),
        (100, None, true),
        (32 * 1024, None, true),
        (60 * 1024, None, true),
        (CAP, None, true),
        (CAP + 1, None, false),
        (1 << 20, None, false),
        // The cap is a setting.
        (CAP + 1, Some(CAP + 1), true),
        (CAP + 2, Some(CAP + 1), false),
        (1 << 20, Some(1 << 20), true),
        (100, Some(100), true),
        (101, Some(100), false),
        (100, Some(0), false),
    ];
    for (wire, cap, is_retried) in vectors {
        let (api, tokens, answer) = unary(wire, cap).await;
        let expected = if is_retried { Ok("Retried".to_owned()) } else { Err(Code::Unauthenticated) };
        assert_eq!(answer, expected, "{wire} of {cap:?}");
        let seen = api.seen();
        assert_eq!(seen.len(), if is_retried { 2 } else { 1 }, "{wire} of {cap:?}");
        let sent = Unary { wire }.message().name;
        for seen in &seen {
            let body = seen.body.as_ref().expect("it was read");
            assert_eq!(body.len(), wire);
            assert!(names_in(body) == [sent.clone()], "the whole message, each time");
        }
        assert_eq!(tokens.fetches(), 2, "{wire} of {cap:?}: renewed in any case");
    }
}

/// The next call has the new token; the one that could not be made again was not in vain.
#[tokio::test]
async fn r10_what_is_too_large_renews_for_the_next_call() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
    let mut client = GreeterClient::new(layer(&tokens).grpc(api.clone()));
    let large = Unary { wire: CAP + 1 };
    assert_eq!(client.greet(large.message()).await.expect_err("too large").code(), Code::Unauthenticated);
    settle().await;
    client.greet(large.message()).await.expect("an answer");
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
}

#[tokio::test]
async fn r10_the_outcome_says_why() {
    for (len, expected) in [(0, "Retried"), (1, "Retried"), (CAP, "Retried"), (CAP + 1, "Body(TooLarge)")] {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16")]));
        let request = raw(GREET, &[]).map(|_| Body::new(Full::from(vec![0; len])));
        let response = call(&layer(&tokens), &api, request).await;
        assert_eq!(outcome(response.extensions()), expected, "{len}");
        settle().await;
        assert_eq!(tokens.fetches(), 2);
    }
}

/// Refused before anybody has looked at the body: the retry takes the body itself, whatever its length.
#[tokio::test]
async fn r10_a_call_that_was_never_read_is_made_again_whatever_its_size() {
    for wire in [5, CAP, CAP + 1, 1 << 20] {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16").early(), greeting("Hello!")]));
        let mut client = GreeterClient::new(layer(&tokens).grpc(api.clone()));
        let answer = client.greet(Unary { wire }.message()).await.expect("an answer");
        assert_eq!(outcome(answer.extensions()), "Retried");
        let seen = api.seen();
        assert_eq!(seen[1].body.as_ref().map(Bytes::len), Some(wire));
        assert_eq!((seen.len(), tokens.fetches()), (2, 2));
    }
}

/// HTTP/2 asks for a body's end only when its window has room for more: who has the one message has it all.
#[tokio::test]
async fn r10_a_unary_call_is_whole_with_its_message_though_nobody_asked_for_its_end() {
    for wire in [5, 100, 60 * 1024, CAP] {
        let (tokens, message) = (Numbered::new(), Unary { wire }.message());
        let sent = message.name.clone();
        let make = |mut client: GreeterClient<_>| async move { client.greet(message).await };
        let (call, mut peer, mut body, answer) = under_way(&tokens, make).await;
        let first = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
        assert_eq!(first.len(), wire);
        answer.send_response(refused());
        peer.allow(1);
        let serve = async {
            let (request, answer) = guarded(peer.next_request()).await.expect("a retry");
            let again = request.into_body().collect().await.expect("a body").to_bytes();
            assert!(names_in(&again) == [sent]);
            // The first handle neither gives more nor ends the stream as if it had been whole.
            body.frame().await.expect("no end").expect_err("superseded");
            answer.send_response(greeted("Hello!"));
        };
        let (response, ()) = guarded(async { tokio::join!(call, serve) }).await;
        assert_eq!(outcome(response.expect("an answer").extensions()), "Retried", "{wire}");
    }
}

/// To look ahead is to ask once more, not to wait: a body that has no more now goes out as before.
#[tokio::test]
async fn r10_looking_ahead_holds_nothing_back() {
    let (tokens, api) = (Numbered::new(), Script::new([]));
    let body = ProbeBody::stuck(&["one", "two"]);
    let probe = body.probe();
    let channel = tower::service_fn(move |request: Request<Body>| {
        let api = api.clone();
        async move {
            let mut body = request.into_body();
            for expected in ["one", "two"] {
                let frame = body.frame().await.expect("a frame").expect("no error");
                assert_eq!(frame.into_data().expect("data"), expected);
            }
            assert!(step(&mut Box::pin(body.frame())).is_pending(), "no end yet");
            api.oneshot(Request::new(Body::empty())).await
        }
    });
    let request = raw(GREET, &[]).map(|_| Body::new(body));
    let response = guarded(layer(&tokens).grpc(channel).oneshot(request)).await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(probe.bytes(), 6);
}

/// What was announced stays announced, and an end that is known is known.
#[tokio::test]
async fn r10_the_size_is_as_the_body_said() {
    let vectors = [
        (Body::empty(), Some(0)),
        (Body::new(Full::from("abc")), Some(3)),
        (Body::new(ProbeBody::of(&["abc"])), None),
        (Body::new(ProbeBody::of(&["abc"]).announcing(3)), Some(3)),
    ];
    for (body, expected) in vectors {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16").early()]));
        call(&layer(&tokens), &api, raw(GREET, &[]).map(|_| body)).await;
        let sizes: Vec<_> = api.seen().iter().map(|seen| seen.exact_size).collect();
        assert_eq!(sizes, [expected, expected]);
    }
}
