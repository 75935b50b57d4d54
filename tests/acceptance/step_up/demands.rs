//! What is read of a response, and what of that reaches the hook.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use tests::{
    numbered::Numbered,
    script::{Answer, Script},
    steps::settle,
};
use tower_oauth::Demand;

use super::{Hook, call, layer, retried, told};

fn demand(challenges: &[&str]) -> Option<Demand> {
    let values = challenges.iter().map(|text| HeaderValue::from_bytes(text.as_bytes()).expect("a value"));
    let mut headers = HeaderMap::new();
    values.for_each(|value| {
        headers.append(WWW_AUTHENTICATE, value);
    });
    Demand::of(&headers)
}

/// `scopes | acr_values | max_age`
fn shown(demand: &Demand) -> String {
    let age = demand.max_age.map_or("-".to_owned(), |age| age.as_secs().to_string());
    format!("{} | {} | {age}", demand.scopes.join(" "), demand.acr_values.join(" "))
}

#[test]
fn r14_demands_are_read_from_the_first_challenge_that_makes_one() {
    let long = format!("Bearer error=insufficient_scope, scope=\"{}\"", "x".repeat(4096));
    let longest = format!("{} |  | -", "x".repeat(4096));
    let vectors: [(&[&str], Option<&str>); 32] = [
        (&["Bearer error=insufficient_scope, scope=write"], Some("write |  | -")),
        (&[r#"Bearer scope="write read", error="insufficient_scope""#], Some("read write |  | -")),
        (&[r#"Bearer error="insufficient_scope", scope=" b  a b ""#], Some("a b |  | -")),
        (&["bEARER eRROR=insufficient_scope, sCOPE=write"], Some("write |  | -")),
        (&["DPoP error=insufficient_scope, scope=write"], Some("write |  | -")),
        (&["Bearer error=insufficient_user_authentication, acr_values=mfa"], Some(" | mfa | -")),
        (&[r#"Bearer error=insufficient_user_authentication, acr_values="phr mfa""#], Some(" | phr mfa | -")),
        (&["Bearer error=insufficient_user_authentication, max_age=60"], Some(" |  | 60")),
        (&[r#"Bearer error=insufficient_user_authentication, max_age="0", acr_values=mfa"#], Some(" | mfa | 0")),
        (&["Bearer error=insufficient_user_authentication, scope=a, max_age=1"], Some("a |  | 1")),
        (&["Basic realm=x", "Bearer error=insufficient_scope, scope=write"], Some("write |  | -")),
        (&["Bearer realm=x, DPoP error=insufficient_scope, scope=write"], Some("write |  | -")),
        (&["Bearer error=insufficient_scope, scope=a", "DPoP error=insufficient_scope, scope=b"], Some("a |  | -")),
        (&[&long], Some(&longest)),
        // It does not say what it asks for.
        (&["Bearer error=insufficient_scope"], None),
        (&[r#"Bearer error=insufficient_scope, scope="""#], None),
        (&[r#"Bearer error=insufficient_scope, scope="  ""#], None),
        (&["Bearer error=insufficient_user_authentication"], None),
        (&["Bearer error=insufficient_user_authentication, max_age=soon"], None),
        (&["Bearer error=insufficient_user_authentication, max_age=-1"], None),
        (&["Bearer error=insufficient_user_authentication, max_age=1.5"], None),
        (&["Bearer error=insufficient_user_authentication, max_age=99999999999999999999"], None),
        // It asks for nothing of the kind.
        (&[], None),
        (&["Bearer scope=write"], None),
        (&["Bearer error=invalid_token, scope=write"], None),
        (&["Bearer error=invalid_request, scope=write"], None),
        (&["Bearer error=insufficient_claims, scope=write, claims=e30"], None),
        (&["Bearer error=Insufficient_Scope, scope=write"], None),
        (&["Basic error=insufficient_scope, scope=write"], None),
        (&["Bearer realm=\"error=insufficient_scope, scope=write\""], None),
        (&["Bearer error=insufficient_scope, scope=write, scope=read"], None),
        (&["Bearer error=insufficient_scope, scope=\"write"], None),
    ];
    for (challenges, expected) in vectors {
        assert_eq!(demand(challenges).as_ref().map(shown).as_deref(), expected, "{challenges:?}");
    }
}

/// Less than what was asked for would not do, and is not what was asked for.
#[test]
fn r14_a_demand_of_which_a_part_is_too_long_is_none() {
    for name in ["scope", "acr_values"] {
        let long = "x".repeat(4097);
        let challenge = format!("Bearer error=insufficient_user_authentication, max_age=60, {name}=\"{long}\"");
        assert_eq!(demand(&[&challenge]), None, "{name}");
    }
}

/// A demand, what is allowed, and what the hook then sees.
#[tokio::test]
async fn r14_only_demands_within_the_ceiling_reach_the_hook() {
    type Ceiling = (&'static [&'static str], &'static [&'static str], bool);
    let vectors: [(&str, Ceiling, Option<&str>); 22] = [
        ("insufficient_scope, scope=write", (&["write"], &[], false), Some("write |  | -")),
        ("insufficient_scope, scope=\"write read\"", (&["read", "write"], &[], false), Some("read write |  | -")),
        ("insufficient_scope, scope=write", (&[], &[], false), None),
        ("insufficient_scope, scope=write", (&["read"], &["write"], true), None),
        ("insufficient_scope, scope=\"read admin\"", (&["read"], &[], false), None),
        ("insufficient_scope, scope=WRITE", (&["write"], &[], false), None),
        ("insufficient_scope, scope=writer", (&["write"], &[], false), None),
        ("insufficient_scope, scope=\"a\tb\"", (&["a", "b"], &[], false), None),
        ("insufficient_scope, scope=\"a,b\"", (&["a", "b"], &[], false), None),
        ("insufficient_scope, scope=write", (&["read write"], &[], false), None),
        ("insufficient_user_authentication, acr_values=mfa", (&[], &["mfa"], false), Some(" | mfa | -")),
        ("insufficient_user_authentication, acr_values=mfa", (&["mfa"], &[], true), None),
        (
            "insufficient_user_authentication, acr_values=\"phr mfa x\"",
            (&[], &["mfa", "phr"], false),
            Some(" | phr mfa | -"),
        ),
        ("insufficient_user_authentication, acr_values=\"phr mfa\"", (&[], &["mfa"], false), Some(" | mfa | -")),
        ("insufficient_user_authentication, acr_values=\"phr\"", (&[], &["mfa"], false), None),
        ("insufficient_user_authentication, max_age=60", (&[], &[], true), Some(" |  | 60")),
        ("insufficient_user_authentication, max_age=60", (&[], &["mfa"], false), None),
        ("insufficient_user_authentication, max_age=60, acr_values=mfa", (&[], &["mfa"], true), Some(" | mfa | 60")),
        ("insufficient_user_authentication, max_age=60, acr_values=mfa", (&[], &["mfa"], false), None),
        ("insufficient_user_authentication, max_age=60, acr_values=mfa", (&[], &[], true), None),
        ("insufficient_user_authentication, acr_values=mfa, scope=write", (&[], &["mfa"], false), None),
        (
            "insufficient_user_authentication, acr_values=mfa, scope=write",
            (&["write"], &["mfa"], false),
            Some("write | mfa | -"),
        ),
    ];
    for (challenge, (scopes, acr_values, max_age), expected) in vectors {
        for status in [401, 403] {
            let (tokens, hook) = (Numbered::new(), Hook::default());
            let mut step_up =
                hook.bare().allow_scopes(scopes.iter().copied()).allow_acr_values(acr_values.iter().copied());
            if max_age {
                step_up = step_up.allow_max_age();
            }
            let api = Script::new([Answer::challenges(status, &[&format!("Bearer error={challenge}")])]);
            let response = call(&layer(&tokens, step_up), &api).await;
            let asked: Vec<String> = hook.lock().iter().map(|(_, demand)| shown(demand)).collect();
            assert_eq!(asked.first().map(String::as_str), expected, "{status} {challenge}");
            match expected {
                Some(_) => {
                    assert_eq!(told(&response), retried(200), "{status} {challenge}");
                    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer s1.1"], "{status} {challenge}");
                }
                None => {
                    assert_eq!(response.status(), status, "{challenge}");
                    assert_eq!((api.seen().len(), response.body().probe().polls()), (1, 0), "{status} {challenge}");
                }
            }
            settle().await;
            assert_eq!(tokens.fetches(), 1, "the base token is none the worse: {status} {challenge}");
        }
    }
}

#[test]
fn r14_how_long_ago_is_in_seconds() {
    let found = demand(&["Bearer error=insufficient_user_authentication, max_age=3600"]).expect("a demand");
    assert_eq!(found.max_age, Some(Duration::from_secs(3600)));
}
