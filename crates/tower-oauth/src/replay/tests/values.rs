//! Bodies that are values are cloned, erased ones are refused.

use bytes::Bytes;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use http_body_util::{BodyExt, Either, Empty, Full};

use super::super::{NotReplayable, Replay, ReplayBody};
use super::script::Script;

fn again<B: ReplayBody>(mut body: B) -> Option<B> {
    B::restore(body.keep()?).ok()
}

#[tokio::test]
async fn r2_values_are_sent_again_as_they_are() {
    assert_eq!(again(Full::new(Bytes::from("a"))).expect("cloned").collect().await.expect("no error").to_bytes(), "a");
    assert_eq!(
        again(Either::<_, Empty<Bytes>>::Left(Full::new(Bytes::from("a")))).expect("cloned").size_hint_exact(),
        Some(1)
    );
    assert_eq!(
        again(Either::<Full<Bytes>, _>::Right(Empty::<Bytes>::new())).expect("cloned").size_hint_exact(),
        Some(0)
    );
    let erased_error = Full::new(Bytes::from("ab")).map_err(|never| -> std::io::Error { match never {} });
    assert_eq!(again(erased_error).expect("cloned").size_hint_exact(), Some(2));
    assert_eq!(again(String::from("a")).as_deref(), Some("a"));
    assert_eq!(again("a"), Some("a"));
    assert_eq!(again(Bytes::from("a")).as_deref(), Some(&b"a"[..]));
    assert_eq!(again(vec![1_u8]), Some(vec![1]));
    assert_eq!(again(()), Some(()));
}

#[test]
fn r10_erased_bodies_are_not_sent_again_unless_they_are_wrapped() {
    let full = || Full::new(Bytes::from("a")).map_err(|never| match never {});
    assert!(again::<BoxBody<Bytes, std::io::Error>>(full().boxed()).is_none());
    assert!(again::<UnsyncBoxBody<Bytes, std::io::Error>>(full().boxed_unsync()).is_none());
    assert!(again(Either::<BoxBody<Bytes, std::io::Error>, ()>::Left(full().boxed())).is_none());
    assert!(again(Replay::<BoxBody<Bytes, std::io::Error>>::new(full().boxed())).is_some());
    // Two layers that both wrap.
    assert!(again(Replay::new(Replay::new(Script::new().data("a")))).is_some());
}

#[test]
fn reasons_are_sentences() {
    use NotReplayable::*;
    for reason in [Opaque, TooLarge, Unfinished, Failed] {
        assert!(reason.to_string().starts_with("the request body"), "{reason}");
    }
}

trait Exact: http_body::Body {
    fn size_hint_exact(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

impl<B: http_body::Body> Exact for B {}
