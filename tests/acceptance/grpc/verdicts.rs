//! R6, R7, R8: what counts as a 401, and what it leads to.

use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt;
use tests::{
    grpc::{GREET, greeting, greetings, in_trailers, name, raw, trailers_only, trailers_only_with},
    numbered::{Next, Numbered},
    probe::ProbeBody,
    script::{Answer, Script, outcome},
    steps::settle,
};
use tonic::Code;

use super::{call, client, layer};

/// Values of `grpc-status` that are no number of a code, or not plainly.
const ODD: [&str; 16] = [
    "",
    "016",
    "16 ",
    " 16",
    "0x10",
    "16.0",
    "1.6e1",
    "sixteen",
    "16,16",
    "160",
    "-16",
    "+16",
    "1 6",
    "17",
    "4294967312",
    "\u{661}\u{666}",
];

/// By tonic's own reading of the header: what its caller would see as `UNAUTHENTICATED`, and nothing else.
#[tokio::test]
async fn r6_status_16_among_the_headers_is_the_only_one_that_counts() {
    let numbers = (0..=16).map(|code: u8| code.to_string());
    for status in numbers.chain(ODD.map(str::to_owned)) {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only(&status)]));
        let response = call(&layer(&tokens), &api, raw(GREET, &[])).await;
        settle().await;
        let counts = Code::from_bytes(status.as_bytes()) == Code::Unauthenticated;
        assert_eq!(counts, status == "16");
        let expected = if counts { ("Retried", 2, 2) } else { ("-", 1, 1) };
        let seen = (outcome(response.extensions()), api.seen().len(), tokens.fetches());
        assert_eq!((seen.0.as_str(), seen.1, seen.2), expected, "{status:?}");
    }
}

#[tokio::test]
async fn r6_permission_denied_is_the_callers_as_it_is() {
    let (tokens, api) = (Numbered::new(), Script::new([]));
    api.answer_next(trailers_only_with("7", &[("grpc-message", "not%20for%20you"), ("x-why", "policy")]));
    let status = client(&tokens, &api).greet(name("Ada")).await.expect_err("denied");
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "not for you"));
    assert_eq!(status.metadata().get("x-why").expect("metadata"), "policy");
    assert_eq!((api.seen().len(), tokens.fetches()), (1, 1));
}

/// A renewed token, and the same call once more: nobody but the response's extensions speaks of it.
#[tokio::test]
async fn r6_unauthenticated_is_cured_unseen() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
    let answer = client(&tokens, &api).greet(name("Ada")).await.expect("an answer");
    assert_eq!(answer.get_ref().text, "Hello!");
    assert_eq!(outcome(answer.extensions()), "Retried");
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
    assert_eq!(tokens.fetches(), 2);
}

/// A status that comes after headers may come after messages, too: what was delivered cannot be taken back.
#[tokio::test]
async fn r6_a_16_in_real_trailers_passes_with_its_stream_untouched() {
    for messages in [&[][..], &["one"], &["one", "two"]] {
        let (tokens, api) = (Numbered::new(), Script::new([Answer::new(in_trailers("16", messages))]));
        let response = call(&layer(&tokens), &api, raw(GREET, &[])).await;
        settle().await;
        assert_eq!(outcome(response.extensions()), "-");
        assert_eq!(response.body().probe().polls(), 0, "a look at the headers, never at the stream");
        let collected = response.into_body().collect().await.expect("a body");
        assert_eq!(collected.trailers().expect("trailers")["grpc-status"], "16");
        let expected = in_trailers("0", messages).into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(collected.to_bytes(), expected);
        assert_eq!((api.seen().len(), tokens.fetches()), (1, 1));
    }
    let (tokens, api) = (Numbered::new(), Script::new([Answer::new(in_trailers("16", &["one"]))]));
    let mut stream = client(&tokens, &api).greet_all_day(name("Ada")).await.expect("a stream").into_inner();
    assert_eq!(stream.message().await.expect("a message").expect("one").text, "one");
    assert_eq!(stream.message().await.expect_err("the trailers").code(), Code::Unauthenticated);
    assert_eq!((api.seen().len(), tokens.fetches()), (1, 1));
}

/// A proxy in between speaks HTTP.
#[tokio::test]
async fn r6_a_401_of_http_counts_and_no_other_status_does() {
    let (tokens, api) = (Numbered::new(), Script::new([Answer::status(401), greeting("Hello!")]));
    let answer = client(&tokens, &api).greet(name("Ada")).await.expect("an answer");
    assert_eq!((outcome(answer.extensions()).as_str(), tokens.fetches()), ("Retried", 2));
    for status in [400, 403, 404, 407, 429, 500, 502, 503, 504] {
        let (tokens, api) = (Numbered::new(), Script::new([Answer::status(status)]));
        client(&tokens, &api).greet(name("Ada")).await.expect_err("no gRPC");
        settle().await;
        assert_eq!((api.seen().len(), tokens.fetches()), (1, 1), "{status}");
    }
}

#[tokio::test]
async fn r6_challenges_are_read_as_over_http() {
    let vectors = [
        (vec![], "Retried"),
        (vec!["Bearer"], "Retried"),
        (vec!["Bearer error=\"invalid_token\""], "Retried"),
        (vec!["no challenge at all, \""], "Retried"),
        (vec!["Bearer error=\"insufficient_scope\", scope=\"write\""], "InsufficientScope"),
        (vec!["Bearer error=\"insufficient_user_authentication\""], "InsufficientUserAuthentication"),
        (vec!["Bearer error=\"invalid_request\""], "InvalidRequest"),
        (vec!["Basic realm=\"x\""], "OtherScheme"),
        (vec!["Basic realm=\"x\"", "Bearer error=\"insufficient_scope\""], "InsufficientScope"),
    ];
    for (challenges, expected) in vectors {
        for is_http in [false, true] {
            let headers: Vec<_> = challenges.iter().map(|challenge| ("www-authenticate", *challenge)).collect();
            let first = if is_http { Answer::challenges(401, &challenges) } else { trailers_only_with("16", &headers) };
            let (tokens, api) = (Numbered::new(), Script::new([first, greeting("Hello!")]));
            let response = call(&layer(&tokens), &api, raw(GREET, &[])).await;
            settle().await;
            assert_eq!(outcome(response.extensions()), expected, "{challenges:?}");
            let calls = if expected == "Retried" { 2 } else { 1 };
            assert_eq!((api.seen().len(), tokens.fetches()), (calls, calls as u64), "{challenges:?}");
        }
    }
}

#[tokio::test]
async fn r6_what_is_left_alone_is_readable_by_the_caller() {
    let challenge = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    let answer = trailers_only_with("16", &[("grpc-message", "more"), ("www-authenticate", challenge)]);
    let status = client(&Numbered::new(), &Script::new([answer])).greet(name("Ada")).await.expect_err("not enough");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "more"));
    assert_eq!(status.metadata().get("www-authenticate").expect("metadata"), challenge);
    let headers: &HeaderMap = status.metadata().as_ref();
    let challenges = tower_oauth::challenge::parse(headers);
    assert_eq!(challenges.first().and_then(|challenge| challenge.scope()), Some("write"));
}

#[tokio::test]
async fn r7_a_second_refusal_is_returned() {
    let refused = |why| trailers_only_with("16", &[("grpc-message", why)]);
    let (tokens, api) = (Numbered::new(), Script::new([refused("first"), refused("second"), greeting("never")]));
    let status = client(&tokens, &api).greet(name("Ada")).await.expect_err("refused twice");
    settle().await;
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "second"));
    assert_eq!((api.seen().len(), tokens.fetches()), (2, 2));
}

/// A proxy's answer, without a word of gRPC.
fn http_only(status: u16) -> Answer {
    let response = Response::builder().status(status).body(ProbeBody::of(&[]));
    Answer::new(response.expect("a response"))
}

#[tokio::test]
async fn r7_whatever_comes_of_the_retry_is_the_answer() {
    for (second, expected) in [
        (trailers_only("7"), Code::PermissionDenied),
        (trailers_only("14"), Code::Unavailable),
        (http_only(401), Code::Unauthenticated),
        (http_only(503), Code::Unavailable),
        (Answer::new(in_trailers("16", &[])), Code::Unauthenticated),
        (Answer::error(std::io::ErrorKind::BrokenPipe), Code::Unknown),
    ] {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), second]));
        let status = client(&tokens, &api).greet(name("Ada")).await.expect_err("no answer");
        settle().await;
        assert_eq!((status.code(), api.seen().len(), tokens.fetches()), (expected, 2, 2));
    }
}

#[tokio::test]
async fn r8_no_different_token_no_retry_and_the_response_as_it_was() {
    for (next, expected) in [(Next::Failure, "NotRenewed(Source)"), (Next::Same, "NotRenewed(SameToken)")] {
        let body = ProbeBody::of(&["why"]);
        let probe = body.probe();
        let mut refusal = Response::new(body);
        refusal.headers_mut().insert("grpc-status", HeaderValue::from_static("16"));
        refusal.headers_mut().insert("x-why", HeaderValue::from_static("expired"));
        let (tokens, api) = (Numbered::new(), Script::new([greeting("Hello!"), Answer::new(refusal)]));
        client(&tokens, &api).greet(name("Ada")).await.expect("an answer");
        tokens.will(next);
        let response = call(&layer(&tokens), &api, raw(GREET, &[])).await;
        assert_eq!(outcome(response.extensions()), expected);
        assert_eq!((response.status().as_u16(), &response.headers()["x-why"]), (200, &"expired".parse().expect("x")));
        assert_eq!((probe.polls(), probe.is_dropped()), (0, false), "the body is the caller's");
        assert_eq!(api.seen().len(), 2, "no retry");
    }
}

/// The caller of a generated client sees the server's status and message, not ours.
#[tokio::test]
async fn r8_a_failed_renewal_leaves_the_servers_own_status() {
    let answer = trailers_only_with("16", &[("grpc-message", "expired"), ("x-why", "age")]);
    let (tokens, api) = (Numbered::new(), Script::new([greeting("Hello!"), answer]));
    let mut client = client(&tokens, &api);
    client.greet(name("Ada")).await.expect("an answer");
    tokens.will(Next::Failure);
    let status = client.greet(name("Ada")).await.expect_err("unauthenticated");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "expired"));
    assert_eq!(status.metadata().get("x-why").expect("metadata"), "age");
}

#[tokio::test]
async fn r8_never_retry_only_renews_for_the_next_call() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
    let layer = layer(&tokens).never_retry();
    let response = call(&layer, &api, raw(GREET, &[])).await;
    assert_eq!(outcome(response.extensions()), "Never");
    settle().await;
    assert_eq!((api.seen().len(), tokens.fetches()), (1, 2));
    call(&layer, &api, raw(GREET, &[])).await;
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
}

/// A server that rejects whatever it gets is not worth a token each time; only a call that succeeds ends that.
#[tokio::test]
async fn f10_a_call_that_failed_is_no_sign_that_the_token_is_good() {
    let vectors = [
        (trailers_only("13"), false),
        (trailers_only("7"), false),
        (trailers_only("0"), true),
        (greetings(&["Hello!"]), true),
    ];
    for (between, releases) in vectors {
        let name = format!("{between:?}");
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), trailers_only("16")]));
        let layer = layer(&tokens);
        call(&layer, &api, raw(GREET, &[])).await;
        assert_eq!(tokens.fetches(), 2);
        api.answer_next(between);
        call(&layer, &api, raw(GREET, &[])).await;
        api.answer_next(trailers_only("16"));
        let response = call(&layer, &api, raw(GREET, &[])).await;
        let expected = if releases { "Retried" } else { "NotRenewed(Held)" };
        assert_eq!(outcome(response.extensions()), expected, "{name}");
        assert_eq!(tokens.fetches(), if releases { 3 } else { 2 }, "{name}");
    }
}
