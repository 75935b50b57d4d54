use http::HeaderValue;
use proptest::prelude::*;

use super::*;

pub(super) fn headers<B: AsRef<[u8]>>(fields: &[B]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        let value = HeaderValue::from_bytes(field.as_ref()).expect("the vector is a header value");
        headers.append(WWW_AUTHENTICATE, value);
    }
    headers
}

/// `Scheme token68`, or `Scheme|name=value|name=value`.
fn show(challenge: &Challenge) -> String {
    let mut shown = challenge.scheme().to_owned();
    if let Some(token68) = challenge.token68() {
        shown = format!("{shown} {token68}");
    }
    for (name, value) in challenge.params() {
        shown = format!("{shown}|{name}={value}");
    }
    shown
}

/// As a server would write it, every value quoted.
fn format(challenge: &Challenge) -> String {
    let params: Vec<_> = challenge
        .params()
        .map(|(name, value)| {
            let value = value.replace('\\', r"\\").replace('"', r#"\""#);
            format!("{name}=\"{value}\"")
        })
        .collect();
    let token68 = challenge.token68().unwrap_or_default();
    format!("{} {token68}{}", challenge.scheme(), params.join(", "))
}

#[test]
fn r11_readable_challenges() {
    let vectors: &[(&[&str], &[&str])] = &[
        // Bare schemes, any letter case, empty list elements.
        (&[], &[]),
        (&[""], &[]),
        (&[" , ,, "], &[]),
        (&["Bearer"], &["Bearer"]),
        (&["bEaReR"], &["bEaReR"]),
        (&[" Bearer "], &["Bearer"]),
        (&["Bearer,"], &["Bearer"]),
        (&[",Bearer , ,DPoP,,"], &["Bearer", "DPoP"]),
        (&["Negotiate, Basic"], &["Negotiate", "Basic"]),
        (&["a!#$%&'*+-.^_`|~9"], &["a!#$%&'*+-.^_`|~9"]),
        // Parameters: tokens and quoted strings, spaces around `=`, any order.
        (&["Bearer realm=api"], &["Bearer|realm=api"]),
        (&[r#"Bearer realm="api""#], &["Bearer|realm=api"]),
        (&[r#"Bearer realm="""#], &["Bearer|realm="]),
        (&[r#"Bearer   realm = "api""#], &["Bearer|realm=api"]),
        (&["Bearer\trealm\t=\tapi"], &["Bearer|realm=api"]),
        (&[r#"Bearer realm= "api""#], &["Bearer|realm=api"]),
        (&["Bearer a=1,b=2"], &["Bearer|a=1|b=2"]),
        (&["Bearer a=1 ,\t, b = 2 ,"], &["Bearer|a=1|b=2"]),
        (&["Bearer ,a=1"], &["Bearer|a=1"]),
        (&["Bearer, a=1"], &["Bearer|a=1"]),
        (&["Bearer,a=1"], &["Bearer|a=1"]),
        (&[r#"Bearer error="invalid_token", realm="r""#], &["Bearer|error=invalid_token|realm=r"]),
        // Quoted strings with commas, equal signs, escapes, other challenges inside.
        (&[r#"Bearer realm="a, b=c, Basic d""#], &["Bearer|realm=a, b=c, Basic d"]),
        (&[r#"Bearer realm="a\"b\\c\d""#], &[r#"Bearer|realm=a"b\cd"#]),
        (&["Bearer realm=\"a\tb\\\tc\""], &["Bearer|realm=a\tb\tc"]),
        (&["Bearer realm=\"grüße \\ü\""], &["Bearer|realm=grüße ü"]),
        // Several challenges in one field and in several.
        (
            &[r#"Basic realm="a", Bearer realm="b", error="e", DPoP"#],
            &["Basic|realm=a", "Bearer|realm=b|error=e", "DPoP"],
        ),
        (
            &[r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#],
            &[r#"Newauth|realm=apps|type=1|title=Login to "apps""#, "Basic|realm=simple"],
        ),
        (&["Bearer a=1", "", "Basic realm=x, DPoP"], &["Bearer|a=1", "Basic|realm=x", "DPoP"]),
        (&["Bearer a=1", "Bearer a=2"], &["Bearer|a=1", "Bearer|a=2"]),
        (
            &[r#"Bearer error="invalid_token",Basic Realm="",Basic Realm="""#],
            &["Bearer|error=invalid_token", "Basic|Realm=", "Basic|Realm="],
        ),
        // token68, also where it looks like a parameter.
        (&["Negotiate YII="], &["Negotiate YII="]),
        (&["Negotiate a-._~+/9=="], &["Negotiate a-._~+/9=="]),
        (&["Negotiate YII=, Basic realm=x"], &["Negotiate YII=", "Basic|realm=x"]),
        (&["Negotiate YII= ,NTLM"], &["Negotiate YII=", "NTLM"]),
        (&["Bearer realm="], &["Bearer realm="]),
        (&["Bearer error"], &["Bearer error"]),
    ];
    for (fields, expected) in vectors {
        let shown: Vec<_> = parse(&headers(fields)).iter().map(show).collect();
        assert_eq!(&shown, expected, "{fields:?}");
    }
}

#[test]
fn r11_malformed_gives_none() {
    let vectors: &[&str] = &[
        "=",
        "=x",
        "a=b",
        "a=b, Bearer",
        r#""Bearer""#,
        "Bear(er",
        "Bearer;",
        "Bearer/x",
        r#"Bearer"x""#,
        "Bearer realm=a b",
        "Bearer realm=a, =",
        "Bearer realm=, a=b",
        "Bearer a=1 b=2",
        "Bearer a=1; b=2",
        r#"Bearer a="1" b="2""#,
        r#"Bearer a="1"b"#,
        r#"Bearer realm="a"#,
        r#"Bearer realm=""#,
        r#"Bearer realm="a\"#,
        r#"Bearer realm="a\""#,
        "Bearer realm='a b'",
        "Bearer realm=https://example.com/",
        "Bearer a==b",
        "Bearer a = = b",
        "Bearer \u{fc}=1",
        "Bearer a=\u{fc}",
        "Negotiate a b",
        "Negotiate a=b=",
        "Negotiate =",
        "Negotiate abc, a=1",
        "Negotiate a=, b=1",
        // Twice the same parameter: whose reading is right?
        "Bearer error=invalid_token, error=insufficient_scope",
        "Bearer error=invalid_token, ERROR=invalid_token",
        // What came before the fault is not kept.
        r#"Bearer error=insufficient_scope, Basic realm="a"#,
        "DPoP, Bearer, Basic realm=a b, Bearer",
    ];
    for field in vectors {
        assert_eq!(parse(&headers(&[field])), [], "{field}");
        let beside = parse(&headers(&[field, "Basic", field, "Bearer a=1"]));
        let shown: Vec<_> = beside.iter().map(show).collect();
        assert_eq!(shown, ["Basic", "Bearer|a=1"], "another field beside {field}");
    }
}

#[test]
fn r11_params_in_any_letter_case() {
    let field = r#"bearer Realm="r", ERROR="e", Error_Description="d", sCope="a b", Max_Age=5"#;
    let [challenge] = &parse(&headers(&[field]))[..] else { panic!("one challenge") };
    assert!(challenge.is("Bearer") && challenge.is("BEARER") && !challenge.is("Bear"));
    assert_eq!(challenge.realm(), Some("r"));
    assert_eq!(challenge.error(), Some("e"));
    assert_eq!(challenge.error_description(), Some("d"));
    assert_eq!(challenge.scope(), Some("a b"));
    assert_eq!(challenge.param("max_age"), Some("5"));
    assert_eq!(challenge.param("MAX_AGE"), Some("5"));
    assert_eq!(challenge.param("max"), None);
    assert_eq!(challenge.token68(), None);
}

#[test]
fn r11_latin_1_in_a_description_does_not_hide_the_error() {
    let field = b"Bearer error_description=\"ung\xfcltig\", error=\"insufficient_scope\"";
    let challenges = parse(&headers(&[field]));
    assert_eq!(challenges[0].error_description(), Some("ung\u{fffd}ltig"));
    assert_eq!(challenges[0].error(), Some("insufficient_scope"));
    let challenges = parse(&headers(&[b"Bearer error=\"invalid_token\xff\""]));
    assert_ne!(challenges[0].error(), Some("invalid_token"));
}

#[test]
fn r11_at_most_16_kib() {
    let field = |length: usize| format!("Bearer a=\"{}\"", "x".repeat(length - 11));
    let parse = |lengths: &[usize]| {
        let fields: Vec<_> = lengths.iter().map(|&length| field(length)).collect();
        parse(&headers(&fields)).len()
    };
    assert_eq!(parse(&[16 * 1024]), 1);
    assert_eq!(parse(&[16 * 1024 + 1]), 0);
    assert_eq!(parse(&[16 * 1024 - 20, 20]), 2);
    assert_eq!(parse(&[16 * 1024 - 20, 21]), 0);
}

#[test]
fn r11_at_most_32_challenges() {
    let parse = |fields: &[String]| parse(&headers(fields)).len();
    assert_eq!(parse(&["Bearer,".repeat(32)]), 32);
    assert_eq!(parse(&["Bearer,".repeat(33)]), 0);
    assert_eq!(parse(&["a,".repeat(8000)]), 0);
    assert_eq!(parse(&["Bearer,".repeat(31), "DPoP".to_owned()]), 32);
    assert_eq!(parse(&["Bearer,".repeat(32), "DPoP".to_owned()]), 0);
}

#[test]
fn r11_at_most_64_parameters() {
    let field = |count: usize| {
        let params: Vec<_> = (0..count).map(|n| format!("p{n}=1")).collect();
        format!("Bearer {}", params.join(","))
    };
    assert_eq!(parse(&headers(&[field(64)]))[0].params().count(), 64);
    assert_eq!(parse(&headers(&[field(65)])), []);
}

#[test]
fn s1_debug_shows_no_values() {
    let challenges = parse(&headers(&[r#"Bearer error_description="bad token s3cret", Negotiate s3cret"#]));
    let debug = format!("{challenges:?}");
    assert!(debug.contains("Bearer") && debug.contains("error_description"), "{debug}");
    assert!(!debug.contains("s3cret"), "{debug}");
}

const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,6}";

fn any_challenge() -> impl Strategy<Value = Challenge> {
    let token68 = "[0-9A-Za-z._~+/-]{1,8}={0,2}".prop_map(|token68| (Some(token68), Vec::new()));
    let value = "[ -~\t\u{a1}-\u{17f}]{0,12}";
    let params = prop::collection::vec((TOKEN, value), 0..6).prop_map(|mut params| {
        let mut seen = std::collections::HashSet::new();
        params.retain(|(name, _): &(String, String)| seen.insert(name.to_ascii_lowercase()));
        (None, params)
    });
    (TOKEN, prop_oneof![token68, params]).prop_map(|(scheme, (token68, params))| Challenge { scheme, token68, params })
}

/// Made of what the grammar is made of, so that more than the first byte is read.
fn any_field() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[ \t,=\"\\\\a-cA=]{0,4}".prop_map(String::into_bytes),
        prop::sample::select(vec!["Bearer ", "error=", "realm=\"", "\", ", "abc==", "\\\""])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(0x20_u8.., 0..3),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| {
        let mut field = pieces.concat();
        field.retain(|&byte| byte != 0x7f);
        field
    })
}

proptest! {
    #[test]
    fn r11_a_formatted_challenge_is_read_back(challenges in prop::collection::vec(any_challenge(), 0..8)) {
        let formatted: Vec<_> = challenges.iter().map(format).collect();
        prop_assert_eq!(&parse(&headers(&formatted)), &challenges, "in one field each");
        prop_assert_eq!(&parse(&headers(&[formatted.join(", ")])), &challenges, "in one field");
    }

    #[test]
    fn r11_whatever_is_read_is_the_same_when_written_and_read_again(
        fields in prop::collection::vec(any_field(), 0..4),
    ) {
        let challenges = parse(&headers(&fields));
        let formatted: Vec<_> = challenges.iter().map(format).collect();
        prop_assert_eq!(parse(&headers(&formatted)), challenges);
    }

    #[test]
    fn r6_any_bytes_get_advice(fields in prop::collection::vec(any_field(), 0..4), other: bool) {
        advice(&headers(&fields), other);
    }
}
