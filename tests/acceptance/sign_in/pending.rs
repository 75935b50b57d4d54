//! What waits in a session: small, whole, and nothing else is taken for it.

use std::{cell::Cell, time::Duration};

use oauth_tokens::{Algorithm, DpopKey, PendingSignIn, SigningKey};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use super::{REDIRECT, approved, begin, finish, forms_at, generous, public, value};

/// One that was begun just now, as it is kept.
async fn kept() -> Value {
    let request = public(&generous()).sign_in(REDIRECT).scope("openid").resource("https://a.test/").return_to("/x");
    serde_json::to_value(begin(&request).await.expect("begun").pending).expect("serialised")
}

#[tokio::test]
async fn l2_a_pending_sign_in_is_small() {
    let key = DpopKey::new(SigningKey::generate(Algorithm::Es256).expect("a key")).expect("a key");
    let client = public(&generous()).dpop(key);
    let request = client.sign_in(REDIRECT).scope("openid orders").max_age(Duration::from_secs(60));
    let text = serde_json::to_string(&begin(&request).await.expect("begun").pending).expect("serialised");
    assert!(text.len() < 350, "{} bytes", text.len());
}

#[test]
fn l2_a_pending_sign_in_comes_back_as_it_was() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("one");
    let settings = (
        "[!#-\\[\\]-~ ]{0,40}",
        proptest::collection::vec("[a-z]{1,8}:[!$-\\[\\]-~]{0,20}", 0..4),
        "/[a-z0-9_/?=&-]{0,40}",
        any::<bool>(),
        proptest::option::of(any::<u32>()),
    );
    let begun_at_all = Cell::new(0);
    TestRunner::default()
        .run(&settings, |(scope, resources, return_to, openid, max_age)| {
            runtime.block_on(async {
                let canned = generous();
                let client = public(&canned);
                let mut request = client.sign_in(REDIRECT).scope(scope).return_to(return_to);
                request = resources.into_iter().fold(request, |request, resource| request.resource(resource));
                if openid {
                    request = request.scope("openid");
                    request = max_age.into_iter().fold(request, |r, age| r.max_age(Duration::from_secs(age.into())));
                }
                // What cannot be begun is not kept.
                let Ok(begun) = begin(&request).await else { return Ok(()) };
                begun_at_all.set(begun_at_all.get() + 1);
                let text = serde_json::to_string(&begun.pending).expect("serialised");
                let back: PendingSignIn = serde_json::from_str(&text).expect("a pending sign-in");
                prop_assert_eq!(serde_json::to_string(&back).expect("serialised"), text);
                prop_assert_eq!(back.state(), begun.pending.state());
                prop_assert_eq!(back.return_to(), begun.pending.return_to());
                prop_assert_eq!(back.expires_in(), begun.pending.expires_in());
                Ok(())
            })
        })
        .expect("the same");
    assert!(begun_at_all.get() > 50, "{} were begun", begun_at_all.get());
}

#[tokio::test]
async fn l2_what_was_kept_finishes_in_another_process() {
    let canned = generous();
    let begun = begin(&public(&canned).sign_in(REDIRECT).resource("urn:a")).await.expect("begun");
    let text = serde_json::to_string(&begun.pending).expect("serialised");
    let back: PendingSignIn = serde_json::from_str(&text).expect("a pending sign-in");
    let query = approved(&back);
    finish(&public(&canned), back, &query).await.expect("tokens");
    assert_eq!(value(&forms_at(&canned, "/token")[0], "resource"), Some("urn:a"));
}

#[tokio::test]
async fn l2_garbage_is_refused_and_not_repeated() {
    let whole = kept().await;
    serde_json::from_value::<PendingSignIn>(whole.clone()).expect("the whole one");
    let secret = whole[1].as_str().expect("a state").to_owned();
    let changed = |at: usize, to: Value| {
        let mut changed = whole.clone();
        changed[at] = to;
        changed
    };
    let mut short = whole.clone();
    short.as_array_mut().expect("an array").pop();
    let mut garbage = vec![
        json!(null),
        json!({}),
        json!([]),
        json!("x"),
        json!(secret),
        json!({ "state": secret }),
        short,
        changed(0, json!(2)),
        changed(0, json!(secret)),
        changed(4, json!("http://app.test/callback")),
        changed(4, json!("javascript:alert(1)")),
        changed(5, json!("//evil.test")),
        changed(5, json!("https://evil.test/")),
        changed(5, json!("")),
        changed(6, json!("")),
        changed(7, json!("")),
        changed(7, json!("a\nb")),
        changed(8, json!("a\nb")),
        changed(9, json!(["no uri"])),
        changed(10, json!("60")),
        changed(12, json!("yes")),
        changed(13, json!(-1)),
    ];
    for secret in 1..=3 {
        garbage.extend(
            ["", "short", &"A".repeat(44), &"+".repeat(43), &"ä".repeat(43)].map(|to| changed(secret, json!(to))),
        );
    }
    for value in garbage {
        let error = serde_json::from_value::<PendingSignIn>(value.clone()).err();
        let error = error.unwrap_or_else(|| panic!("{value} was taken")).to_string();
        assert!(!error.contains(&secret) && !error.contains("evil"), "{error}");
    }
}

/// A clock that stands elsewhere, or a session that somebody wrote into.
#[tokio::test(start_paused = true)]
async fn l2_one_from_the_future_is_as_good_as_expired() {
    for (ahead, expired) in [(0, false), (25, false), (40, true), (100_000, true)] {
        let mut kept = kept().await;
        kept[13] = json!(kept[13].as_u64().expect("a time") + ahead);
        let pending: PendingSignIn = serde_json::from_value(kept).expect("whole");
        assert_eq!(pending.is_expired(), expired, "{ahead}");
    }
    let mut kept = kept().await;
    kept[13] = json!(u64::MAX);
    assert!(serde_json::from_value::<PendingSignIn>(kept).expect("whole").is_expired());
}
