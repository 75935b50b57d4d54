//! Entra's `claims` challenge: heeded by a source that says so, and by no other.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use http_body_util::BodyExt;
use oauth_tokens::{AccessToken, Error, Rejection, TokenCache, TokenSet, TokenSource};
use tests::{
    script::{Answer, Script},
    steps::{API, guarded, post, settle},
    support::shown,
};
use tokio::time::advance;
use tower::{Layer, ServiceExt};
use tower_oauth::OAuthLayer;

use super::{call, retried, told};

/// Of a length, and with characters, that the alphabets and paddings differ in.
const CLAIMS: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1701~~~???>>>"}}}"#;

/// A source of `c1`, `c2`, ..., which notes what each was asked for: `-` for a fetch without a rejection.
#[derive(Clone, Default)]
struct Heeding {
    accepts: bool,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Heeding {
    fn new(accepts: bool) -> Self {
        Self { accepts, ..Self::default() }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn layer(&self) -> OAuthLayer {
        OAuthLayer::new(API, TokenCache::new(self.clone())).expect("an origin")
    }

    fn issue(&self, heard: String) -> Result<TokenSet, Error> {
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(heard);
        let tokens = TokenSet::new(AccessToken::bearer(&format!("c{}", all.len()))?);
        Ok(tokens.expiring_in(std::time::Duration::from_secs(3600)))
    }
}

impl TokenSource for Heeding {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        self.issue("-".to_owned())
    }

    async fn fetch_after(&self, rejection: &Rejection) -> Result<TokenSet, Error> {
        assert_eq!((rejection.origin.as_str(), rejection.token.secret().get(..1)), (API, Some("c")));
        self.issue(rejection.claims.clone().unwrap_or_else(|| "no claims".to_owned()))
    }

    fn accepts_claims(&self) -> bool {
        self.accepts
    }
}

fn challenge(claims: &str) -> String {
    format!(
        r#"Bearer realm="", authorization_uri="https://id.test/authorize", error="insufficient_claims", claims="{claims}""#
    )
}

/// A 401 that asks for these claims, encoded already.
async fn asked(source: &Heeding, claims: &str) -> (u16, String) {
    let api = Script::new([Answer::challenges(401, &[&challenge(claims)])]);
    told(&call(&source.layer(), &api).await)
}

#[tokio::test]
async fn r14_claims_are_decoded_in_either_alphabet_with_and_without_padding() {
    // Every length of padding.
    for end in ["", " ", "  "] {
        let claims = format!("{CLAIMS}{end}");
        let encoded = [
            BASE64_STANDARD.encode(&claims),
            BASE64_STANDARD_NO_PAD.encode(&claims),
            BASE64_URL_SAFE.encode(&claims),
            BASE64_URL_SAFE_NO_PAD.encode(&claims),
        ];
        assert!(encoded[0].contains(['+', '/']) && encoded[2].contains(['-', '_']), "the alphabets differ here");
        for encoded in encoded {
            let source = Heeding::new(true);
            assert_eq!(asked(&source, &encoded).await, retried(200), "{encoded}");
            assert_eq!(source.heard(), ["-", &claims], "{encoded}");
        }
    }
}

#[tokio::test]
async fn r14_a_source_that_does_not_say_so_is_not_asked() {
    let source = Heeding::new(false);
    assert_eq!(asked(&source, &BASE64_STANDARD.encode(CLAIMS)).await, (401, "InsufficientClaims".to_owned()));
    settle().await;
    assert_eq!(source.heard(), ["-"]);
    // Nor does it hear of them when the token is dead besides.
    let dead = format!("Bearer error=invalid_token, claims=\"{}\"", BASE64_STANDARD.encode(CLAIMS));
    let api = Script::new([Answer::challenges(401, &[&dead])]);
    assert_eq!(told(&call(&source.layer(), &api).await), retried(200));
    assert_eq!(source.heard()[1..], ["-", "no claims"]);
}

#[tokio::test]
async fn r14_what_are_no_claims_renews_nothing() {
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    let exact = |bytes: usize| {
        // Base64 of so many bytes.
        let inside = "x".repeat(bytes / 4 * 3 - r#"{"a":""}"#.len());
        encode(&format!(r#"{{"a":"{inside}"}}"#))
    };
    assert_eq!((exact(4096).len(), exact(4100).len()), (4096, 4100));
    let vectors = [
        String::new(),
        "=".to_owned(),
        "%%%".to_owned(),
        CLAIMS.replace('"', "'"),
        encode(""),
        encode("nonsense"),
        encode("[]"),
        encode("null"),
        encode(r#""text""#),
        encode("7"),
        encode(r#"{"a":1,"a":2}"#),
        encode(r#"{"a":1} {}"#),
        encode(r#"{"a":"#),
        BASE64_STANDARD.encode([0xff, 0xfe, b'{', b'}']),
        // Both alphabets at once; padding in the middle; a character too many.
        format!("{}+-", encode(CLAIMS).trim_end_matches('=')),
        encode(CLAIMS).replacen('e', "=", 1),
        format!("{}A", BASE64_STANDARD.encode("{}x")),
        encode(CLAIMS).replacen('e', " ", 1),
        exact(4100),
        exact(5 * 1024),
        exact(15 * 1024),
    ];
    for claims in vectors {
        let source = Heeding::new(true);
        let head = &claims[..claims.len().min(60)];
        assert_eq!(asked(&source, &claims).await, (401, "InsufficientClaims".to_owned()), "{head}");
        settle().await;
        assert_eq!(source.heard(), ["-"], "{head}");
        // A dead token is renewed all the same, without them.
        let dead = format!("Bearer error=invalid_token, claims=\"{claims}\"");
        let api = Script::new([Answer::challenges(401, &[&dead])]);
        assert_eq!(told(&call(&source.layer(), &api).await), retried(200), "{head}");
        assert_eq!(source.heard()[2..], ["no claims"], "{head}");
    }
    let source = Heeding::new(true);
    assert_eq!(asked(&source, &exact(4096)).await, retried(200), "4 KiB are taken");
}

#[tokio::test]
async fn r14_claims_are_of_bearer_and_dpop_challenges_only() {
    let claims = BASE64_STANDARD.encode(CLAIMS);
    let vectors = [
        (format!("DPoP error=insufficient_claims, claims=\"{claims}\""), true),
        (format!("Basic realm=x, Bearer error=insufficient_claims, claims=\"{claims}\""), true),
        (format!("Basic claims=\"{claims}\", Bearer error=insufficient_claims"), false),
        (format!("Bearer error=insufficient_scope, claims=\"{claims}\""), false),
        (format!("Bearer error=something_else, claims=\"{claims}\""), false),
        ("Bearer error=insufficient_claims".to_owned(), false),
    ];
    for (challenge, is_heeded) in vectors {
        let source = Heeding::new(true);
        let api = Script::new([Answer::challenges(401, &[&challenge])]);
        let (status, _) = told(&call(&source.layer(), &api).await);
        assert_eq!((status == 200, source.heard().len()), (is_heeded, 1 + usize::from(is_heeded)), "{challenge}");
    }
    // And of a 401 only.
    let source = Heeding::new(true);
    let api = Script::new([Answer::challenges(403, &[&challenge(&claims)])]);
    assert_eq!(told(&call(&source.layer(), &api).await), (403, "-".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn r14_claims_are_given_once_and_not_kept_for_the_next_renewal() {
    let (source, claims) = (Heeding::new(true), BASE64_STANDARD.encode(CLAIMS));
    let layer = source.layer();
    let api = Script::new([Answer::challenges(401, &[&challenge(&claims)])]);
    assert_eq!(told(&call(&layer, &api).await), retried(200));
    // By age,
    advance(std::time::Duration::from_secs(3600)).await;
    call(&layer, &api).await;
    assert_eq!(source.heard(), ["-", CLAIMS, "-"]);
    // and by a 401 that asks for none.
    api.answer_next(Answer::challenges(401, &["Bearer error=invalid_token"]));
    assert_eq!(told(&call(&layer, &api).await), retried(200));
    assert_eq!(source.heard()[3..], ["no claims"]);
    // The tokens of all four are used by all.
    assert_eq!(api.authorizations(), ["c1", "c2", "c3", "c3", "c4"].map(|token| format!("Bearer {token}")));
}

#[tokio::test]
async fn r7_claims_that_a_new_token_does_not_meet_are_not_asked_for_twice() {
    let (source, claims) = (Heeding::new(true), BASE64_STANDARD.encode(CLAIMS));
    let api = Script::new((0..3).map(|_| Answer::challenges(401, &[&challenge(&claims)])));
    assert_eq!(told(&call(&source.layer(), &api).await), retried(401));
    assert_eq!((api.seen().len(), source.heard().len()), (2, 2));
}

/// Many requests that are asked at once make one renewal (F2).
#[tokio::test]
async fn f2_many_requests_that_are_asked_for_claims_are_one_renewal() {
    let (source, claims) = (Heeding::new(true), BASE64_STANDARD.encode(CLAIMS));
    let layer = source.layer();
    let api = Script::new([]);
    call(&layer, &api).await;
    let apis: Vec<_> = (0..50).map(|_| Script::new([Answer::challenges(401, &[&challenge(&claims)])])).collect();
    let calls = apis.iter().map(|api| call(&layer, api));
    let responses = guarded(futures_util::future::join_all(calls)).await;
    assert!(responses.iter().all(|response| told(response) == retried(200)));
    assert_eq!(source.heard(), ["-", CLAIMS]);
}

/// What cannot be sent again is renewed for the next call (R10): with the claims, or the next call fares no better.
#[tokio::test]
async fn r10_a_body_that_cannot_be_sent_again_renews_with_the_claims() {
    let claims = BASE64_STANDARD.encode(CLAIMS);
    for never in [false, true] {
        let source = Heeding::new(true);
        let layer = if never { source.layer().never_retry() } else { source.layer() };
        let api = Script::new([Answer::challenges(401, &[&challenge(&claims)])]);
        let request = post("https://api.test/x", "body").map(BodyExt::boxed);
        let response = layer.layer(api.clone()).oneshot(request).await.expect("a response");
        assert_eq!(told(&response), (401, if never { "Never" } else { "Body(Opaque)" }.to_owned()));
        settle().await;
        assert_eq!(source.heard(), ["-", CLAIMS]);
    }
}

#[test]
fn s1_a_rejection_shows_no_claims() {
    let mut rejection = Rejection::new(API, AccessToken::bearer("pl4nt3d-token").expect("a token"));
    assert!(rejection.set_claims(&BASE64_STANDARD.encode(r#"{"a":"pl4nt3d"}"#)));
    assert_eq!(rejection.claims.as_deref(), Some(r#"{"a":"pl4nt3d"}"#));
    assert!(!rejection.set_claims("nonsense"), "and what was known stays");
    assert!(rejection.claims.is_some());
    rejection.resource_metadata = Some("https://user:pl4nt3d@api.test".to_owned());
    assert!(!format!("{rejection:?}{rejection:#?}").contains("pl4nt3d"));
}

#[tokio::test]
async fn s1_claims_show_nowhere() {
    let capture = tests::capture::Capture::start();
    let claims = BASE64_STANDARD.encode(r#"{"access_token":{"acrs":{"value":"pl4nt3d"}}}"#);
    for accepts in [true, false] {
        let (status, outcome) = asked(&Heeding::new(accepts), &claims).await;
        assert!(!outcome.contains("pl4nt3d") && (status == 200) == accepts);
    }
    let text = capture.text();
    assert!(!text.contains("pl4nt3d") && !text.contains(&claims), "{text}");
    assert!(!shown(&Error::source_failed("x")).contains(&claims));
}
