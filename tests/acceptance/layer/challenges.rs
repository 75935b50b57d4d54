//! R11: challenges, through the public parser and through the layer.

use std::time::Instant;

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use proptest::prelude::*;
use tests::{
    numbered::Numbered,
    script::{Answer, Script, outcome},
    steps::{API, get},
};
use tower::{Layer, ServiceExt};
use tower_oauth::{OAuthLayer, challenge};

fn headers(fields: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(field.as_bytes()).expect("a header value"));
    }
    headers
}

/// `scheme token68? name=value...`, one for each challenge.
fn read(fields: &[&str]) -> Vec<String> {
    let challenges = challenge::parse(&headers(fields));
    let shown = challenges.iter().map(|challenge| {
        let mut words = vec![challenge.scheme().to_owned()];
        words.extend(challenge.token68().map(str::to_owned));
        words.extend(challenge.params().map(|(name, value)| format!("{name}={value}")));
        words.join("|")
    });
    shown.collect()
}

#[test]
fn r11_what_is_read() {
    let vectors: &[(&[&str], &[&str])] = &[
        (&["Bearer"], &["Bearer"]),
        (&["Basic, Bearer"], &["Basic", "Bearer"]),
        (&["Basic", "Bearer"], &["Basic", "Bearer"]),
        (&["Negotiate abc==, Bearer realm=x"], &["Negotiate|abc==", "Bearer|realm=x"]),
        (&[r#"Bearer realm="a, b", error="x\"y""#], &[r#"Bearer|realm=a, b|error=x"y"#]),
        (&[r#"Bearer error="invalid_token",Basic realm="r""#], &["Bearer|error=invalid_token", "Basic|realm=r"]),
        (&["Bearer a=1, b=2, DPoP c=3"], &["Bearer|a=1|b=2", "DPoP|c=3"]),
        (&[",, Bearer , a = 1 ,,"], &["Bearer|a=1"]),
        (&[""], &[]),
        (&["Bearer realm=\"open"], &[]),
        (&["Bearer a=1 b=2"], &[]),
        (&["Bearer a=1, A=2"], &[]),
        (&["=, Bearer"], &[]),
        (&["Bearer \"x\"", "Basic"], &["Basic"]),
    ];
    for (fields, expected) in vectors {
        assert_eq!(&read(fields), expected, "{fields:?}");
    }
}

#[test]
fn r11_parameters_are_found_in_any_letter_case_and_order() {
    for field in [
        r#"BEARER Scope="a b", ERROR="e", Realm="r", error_Description="d""#,
        r#"bearer error_description=d, realm=r, scope="a b", error=e"#,
    ] {
        let challenges = challenge::parse(&headers(&[field]));
        let [found] = &challenges[..] else { panic!("{challenges:?}") };
        assert!(found.is("Bearer"));
        let found = [found.error(), found.error_description(), found.realm(), found.scope(), found.param("SCOPE")];
        assert_eq!(found, [Some("e"), Some("d"), Some("r"), Some("a b"), Some("a b")]);
    }
}

#[test]
fn r11_at_most_16_kib_and_32_challenges() {
    let padded = |len: usize| format!("Bearer a=\"{}\"", "x".repeat(len - 11));
    for (fields, count) in [
        (vec![padded(16 * 1024)], 1),
        (vec![padded(16 * 1024 + 1)], 0),
        (vec![padded(8 * 1024), padded(8 * 1024)], 2),
        (vec![padded(8 * 1024), padded(8 * 1024 + 1)], 0),
        (vec!["Bearer,".repeat(32)], 32),
        (vec!["Bearer,".repeat(33)], 0),
        (vec!["Bearer".to_owned(); 32], 32),
        (vec!["Bearer".to_owned(); 33], 0),
    ] {
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        assert_eq!(challenge::parse(&headers(&fields)).len(), count);
    }
}

/// Fields that would take long to read if anything were looked at twice, or copied for each challenge.
#[test]
fn r11_time_is_linear() {
    let nasty: Vec<String> =
        ["a=\"\\\\\"", "a,", "a b=c,", "Bearer a=\"", "\"", "\\", "=", " \t", "a =", "x=1,", "Bearer a=\"b\", "]
            .iter()
            .map(|piece| format!("Bearer {}", piece.repeat(16 * 1024 / piece.len() - 2)))
            .chain([format!("Bearer {}", (0..2600).map(|n| format!("p{n}=1,")).collect::<String>())])
            .collect();
    for field in nasty {
        let headers = headers(&[&field[..field.len().min(16 * 1024)]]);
        let began = Instant::now();
        for _ in 0..20 {
            let _ = challenge::parse(&headers);
        }
        // About a millisecond each in a debug build; quadratic, it would be a thousand times that.
        assert!(began.elapsed().as_millis() < 2_000, "{} ms: {}", began.elapsed().as_millis(), &field[..20]);
    }
}

#[tokio::test]
async fn r11_a_401_with_a_monstrous_challenge_is_answered_like_one_without() {
    for challenges in
        [vec!["Bearer error=insufficient_scope,".repeat(33)], vec!["x".repeat(60_000)], vec!["Basic".into(); 33]]
    {
        let challenges: Vec<_> = challenges.iter().map(String::as_str).collect();
        let api = Script::new([Answer::challenges(401, &challenges)]);
        let client = OAuthLayer::new(API, Numbered::new().cache).expect("an origin").layer(api.clone());
        let response = client.oneshot(get("https://api.test/x")).await.expect("a response");
        assert_eq!((outcome(response.extensions()).as_str(), api.seen().len()), ("Retried", 2));
    }
}

proptest! {
    #[test]
    fn r11_no_bytes_break_the_parser_and_limits_hold(
        fields in prop::collection::vec(prop::collection::vec(prop::num::u8::ANY, 0..200), 0..6),
    ) {
        let mut headers = HeaderMap::new();
        for field in fields.iter().filter_map(|field| HeaderValue::from_bytes(field).ok()) {
            headers.append(WWW_AUTHENTICATE, field);
        }
        let challenges = challenge::parse(&headers);
        prop_assert!(challenges.len() <= 32);
        for challenge in challenges {
            prop_assert!(!challenge.scheme().is_empty());
            prop_assert!(challenge.token68().is_none() || challenge.params().next().is_none());
        }
    }
}
