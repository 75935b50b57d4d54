//! R10: calls that stream, in either direction.

use bytes::Bytes;
use http_body_util::BodyExt;
use tests::{
    grpc::{
        Unary, by_channel,
        greeter::{Greeting, Name, greeter_client::GreeterClient},
        greeting, greetings, name, names, names_in, trailers_only,
    },
    numbered::Numbered,
    script::{Script, outcome},
    steps::{assert_waits, guarded, settle, step},
};
use tokio::sync::mpsc::UnboundedSender;
use tokio_stream::StreamExt;
use tonic::{Code, Status, Streaming, body::Body};
use tower_oauth::GrpcChannel;

use super::{Answer, ByHand, Call, Peer, client, greeted, layer, refused, under_way};

/// The two kinds of call whose request is a stream.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Client,
    Both,
}

const KINDS: [Kind; 2] = [Kind::Client, Kind::Both];

type ByHandClient = GreeterClient<GrpcChannel<ByHand>>;

/// The first answer of the peer: for both kinds, its first message.
async fn call<S>(kind: Kind, mut client: ByHandClient, names: S) -> Result<tonic::Response<Greeting>, Status>
where
    S: tokio_stream::Stream<Item = Name> + Send + 'static,
{
    match kind {
        Kind::Client => client.greet_together(names).await,
        Kind::Both => {
            let (metadata, mut stream, extensions) = client.greet_each(names).await?.into_parts();
            let first = stream.message().await?.expect("a message");
            Ok(tonic::Response::from_parts(metadata, first, extensions))
        }
    }
}

/// A stream that is under way.
struct Stage {
    call: Call<Greeting>,
    peer: Peer,
    first: Body,
    answer: Answer,
    names: UnboundedSender<Name>,
}

impl Stage {
    /// With these names on their way, and no end yet.
    async fn new(kind: Kind, tokens: &Numbered, sent: &[&str]) -> Self {
        let (sender, stream) = by_channel();
        sent.iter().for_each(|sent| sender.send(name(*sent)).expect("it is open"));
        let (call, peer, first, answer) = under_way(tokens, |client| call(kind, client, stream)).await;
        Self { call, peer, first, answer, names: sender }
    }
}

async fn data(body: &mut Body) -> Bytes {
    body.frame().await.expect("a frame").expect("no error").into_data().expect("data")
}

/// Serves the retry, and says which names it brought.
async fn serve(peer: &mut Peer) -> Vec<String> {
    peer.allow(1);
    let (request, answer) = guarded(peer.next_request()).await.expect("a retry");
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    answer.send_response(greeted("Hello!"));
    names_in(&body)
}

#[tokio::test]
async fn r10_a_stream_that_has_ended_is_sent_again_message_by_message() {
    for kind in KINDS {
        let tokens = Numbered::new();
        let Stage { call, mut peer, first, answer, names } = Stage::new(kind, &tokens, &["Ada", "Grace"]).await;
        names.send(name("Barbara")).expect("it is open");
        drop(names);
        let before = first.collect().await.expect("a body").to_bytes();
        answer.send_response(refused());
        let (answer, again) = guarded(async { tokio::join!(call, serve(&mut peer)) }).await;
        assert_eq!(outcome(answer.expect("an answer").extensions()), "Retried", "{kind:?}");
        assert_eq!((&names_in(&before), &again), (&again, &vec!["Ada".into(), "Grace".into(), "Barbara".to_owned()]));
        assert_eq!(tokens.fetches(), 2);
    }
}

/// Nothing more than messages, and the peer has read all but the end.
#[tokio::test]
async fn r10_a_stream_that_is_known_to_have_ended_is_sent_again() {
    for kind in KINDS {
        let tokens = Numbered::new();
        let Stage { call, mut peer, mut first, answer, names } = Stage::new(kind, &tokens, &["Ada"]).await;
        drop(names);
        data(&mut first).await;
        answer.send_response(refused());
        let (answer, again) = guarded(async { tokio::join!(call, serve(&mut peer)) }).await;
        assert_eq!(outcome(answer.expect("an answer").extensions()), "Retried", "{kind:?}");
        assert_eq!(again, ["Ada"]);
    }
}

#[tokio::test]
async fn r10_a_stream_that_goes_on_is_not_sent_again_but_the_token_is_renewed() {
    for kind in KINDS {
        let tokens = Numbered::new();
        let Stage { call, mut peer, mut first, answer, names } = Stage::new(kind, &tokens, &["Ada"]).await;
        data(&mut first).await;
        answer.send_response(refused());
        peer.allow(1);
        let status = guarded(call).await.expect_err("the original answer");
        assert_eq!(status.code(), Code::Unauthenticated, "{kind:?}");
        settle().await;
        assert_eq!(tokens.fetches(), 2, "{kind:?}");
        // The first stream goes on as if nothing were.
        names.send(name("Grace")).expect("it is open");
        assert_eq!(names_in(&data(&mut first).await), ["Grace"]);
        assert!(step(&mut Box::pin(first.frame())).is_pending());
        assert!(guarded(peer.next_request()).await.is_none(), "nothing more was sent, and nobody is left to send it");
    }
}

#[tokio::test]
async fn r10_a_stream_that_was_never_read_is_sent_by_the_retry_and_goes_on_there() {
    for kind in KINDS {
        let tokens = Numbered::new();
        let Stage { call, mut peer, mut first, answer, names } = Stage::new(kind, &tokens, &["Ada"]).await;
        answer.send_response(refused());
        peer.allow(1);
        let serve = async {
            let (request, answer) = guarded(peer.next_request()).await.expect("a retry");
            let mut second = request.into_body();
            assert_eq!(names_in(&data(&mut second).await), ["Ada"]);
            first.frame().await.expect("no end").expect_err("superseded");
            names.send(name("Grace")).expect("it is open");
            drop(names);
            assert_eq!(names_in(&data(&mut second).await), ["Grace"], "to the second, not to the first");
            assert!(second.frame().await.is_none());
            answer.send_response(greeted("Hello!"));
        };
        let (answer, ()) = guarded(async { tokio::join!(call, serve) }).await;
        assert_eq!(outcome(answer.expect("an answer").extensions()), "Retried", "{kind:?}");
        assert_eq!(tokens.fetches(), 2);
    }
}

/// A peer that refuses and yet reads on: while the token is renewed the stream ends, and can be sent again.
#[tokio::test]
async fn r10_a_stream_that_ends_during_the_renewal_is_sent_again() {
    for kind in KINDS {
        let tokens = Numbered::gated(1);
        let stage = Stage::new(kind, &tokens, &["Ada"]).await;
        let Stage { mut call, mut peer, mut first, answer, names } = stage;
        data(&mut first).await;
        answer.send_response(refused());
        assert_waits(&mut call);
        names.send(name("Grace")).expect("it is open");
        drop(names);
        first.collect().await.expect("the rest");
        tokens.open(1);
        let (answer, again) = guarded(async { tokio::join!(call, serve(&mut peer)) }).await;
        assert_eq!(outcome(answer.expect("an answer").extensions()), "Retried", "{kind:?}");
        assert_eq!(again, ["Ada", "Grace"]);
    }
}

#[tokio::test]
async fn r10_a_stream_past_the_cap_is_not_sent_again() {
    // Each message fits by itself.
    let half = 32 * 1024;
    let vectors = [(vec![half, half], true), (vec![half, half, 5], false), (vec![half; 5], false)];
    for (sizes, is_retried) in vectors {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
        let messages: Vec<_> = sizes.iter().map(|&wire| Unary { wire }.message()).collect();
        let answer = client(&tokens, &api).greet_together(tokio_stream::iter(messages)).await;
        settle().await;
        let expected = if is_retried { Ok("Retried".to_owned()) } else { Err(Code::Unauthenticated) };
        let answer = answer.map(|answer| outcome(answer.extensions())).map_err(|status| status.code());
        assert_eq!((answer, tokens.fetches()), (expected, 2), "{sizes:?}");
        let total: usize = sizes.iter().sum();
        assert!(api.seen().iter().all(|seen| seen.body.as_ref().map(Bytes::len) == Some(total)));
    }
}

#[tokio::test]
async fn r10_the_cap_of_streams_is_the_same_setting() {
    for (cap, is_retried) in [(24, true), (23, false)] {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
        let mut client = GreeterClient::new(layer(&tokens).grpc(api).max_replay_bytes(cap));
        // Twice five bytes, twice two of the message's own, and the names.
        let answer = client.greet_together(names(["Ada", "Barbara"])).await;
        assert_eq!(answer.is_ok(), is_retried, "{cap}");
    }
}

/// What comes back is a stream of the retry's: all of it is delivered, and the layer is out of the way.
#[tokio::test]
async fn r10_a_stream_of_answers_is_whole_after_a_retry() {
    let hours: Vec<_> = (0..24).map(|hour| format!("It is {hour}.")).collect();
    let texts: Vec<_> = hours.iter().map(String::as_str).collect();
    for is_bidi in [false, true] {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greetings(&texts)]));
        let mut client = client(&tokens, &api);
        let answer = match is_bidi {
            false => client.greet_all_day(name("Ada")).await,
            true => client.greet_each(names(["Ada", "Grace"])).await,
        };
        let answer: tonic::Response<Streaming<Greeting>> = answer.expect("a stream");
        assert_eq!(outcome(answer.extensions()), "Retried");
        let all: Vec<_> = answer.into_inner().map(|greeting| greeting.expect("a greeting").text).collect().await;
        assert_eq!(all, hours);
        assert_eq!((api.seen().len(), tokens.fetches()), (2, 2));
    }
}
