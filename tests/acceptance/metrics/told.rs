//! What is documented, described and never told.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use metrics::Unit;
use oauth_tokens::{SharedStore, TokenCache, TokenPool, TokenSource};
use tests::{
    canned::{Canned, token},
    figures::Figures,
    source::Source,
    store::{Call, Mood, TestStore},
};

use super::{client_at, refusal};

const GUIDE: &str = include_str!("../../../crates/tower-oauth/src/guide/bad_days.md");

/// Each call of a store that fails, by what was asked.
#[tokio::test(start_paused = true)]
async fn store_errors_are_counted_by_operation() {
    let calls = [
        (Call::Load, "operation=load"),
        (Call::Replace, "operation=replace"),
        (Call::Lease, "operation=lease"),
        (Call::Release, "operation=release"),
    ];
    for (failing, labels) in calls {
        let store = TestStore::new();
        store.set_each(move |call| if call == failing { Mood::Fails } else { Mood::Works });
        let client = client_at(&Canned::always(token("t")));
        let stored = client.client_credentials().stored(SharedStore::new(store)).cached().expect("a cache");
        let figures = Figures::of(async {
            stored.token().await.expect("a token");
        })
        .await;
        let counts = figures.counts("oauth.store.errors");
        assert!(counts.len() == 1 && counts.contains_key(labels), "{failing:?}: {counts:?}");
    }
}

/// All that can be told, told once: the names and labels that the guide has, with units.
#[tokio::test(start_paused = true)]
async fn every_figure_is_described_and_in_the_guide() {
    let store = TestStore::new();
    store.set(Mood::Fails);
    let client = client_at(&Canned::sequence([refusal(500, "server_error")]));
    let figures = Figures::of(async {
        tower_oauth::describe_metrics();
        let caches: Vec<TokenCache> = (0..8).map(|_| client.client_credentials().cached().expect("a cache")).collect();
        join_all(caches.iter().map(|cache| cache.token())).await;
        let _ = client.client_credentials().fetch().await;
        let _ = client.client_credentials().stored(SharedStore::new(store)).fetch().await;
        let cache = Source::issuing(Some(super::s(60))).cache();
        let rejected = cache.token().await.expect("a token");
        let next = cache.renew_for("https://api.test", &rejected).await.expect("another");
        cache.renew_for("https://api.test", &next).await.expect_err("held");
    })
    .await;
    let names: BTreeSet<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
    let expected = [
        "oauth.store.errors",
        "oauth.token.exchange.duration",
        "oauth.token.exchanges",
        "oauth.token.exchanges.refused",
        "oauth.token.renewal.duration",
        "oauth.token.renewals",
        "oauth.token.renewals.held",
        "oauth.token.time_to_expiry",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    for figure in figures.iter() {
        let is_time = figure.name.ends_with("duration") || figure.name.ends_with("time_to_expiry");
        assert_eq!(figure.unit, is_time.then_some(Unit::Seconds), "{}", figure.name);
        assert!(figure.description.is_some(), "{}", figure.name);
    }
    for name in expected.into_iter().chain(["oauth.request.retries"]) {
        assert!(GUIDE.contains(&format!("`{name}`")), "{name} is in the guide");
    }
}

/// S1: neither a key, nor what a server said, nor a secret.
#[tokio::test(start_paused = true)]
async fn s1_no_label_comes_from_a_key_or_a_server() {
    let answers = [refusal(400, "alice-at-example"), refusal(400, "invalid_grant"), token("s3cr3t-token")];
    let client = client_at(&Canned::sequence(answers));
    let figures = Figures::of(async {
        let client = client.clone();
        let pool = TokenPool::new(move |tenant: &String| Ok(client.client_credentials().scope(tenant)));
        for number in 0..50 {
            let _ = pool.token(&format!("tenant-{number}")).await;
        }
    })
    .await;
    for figure in figures.iter() {
        for secret in ["tenant", "alice", "s3cr3t", "id.test", "m2m", "5f-"] {
            assert!(!figure.labels.contains(secret), "{figure:?}");
        }
    }
    let counts = figures.counts("oauth.token.exchanges");
    assert_eq!(counts.keys().filter(|labels| labels.contains("oauth_error")).count(), 1, "{counts:?}");
}

/// A closed set: whatever comes, there are so many of each.
#[tokio::test(start_paused = true)]
async fn a_hostile_server_makes_no_new_labels() {
    let codes = (0..200).map(|number| refusal(400, &format!("code_{number}")));
    let client = client_at(&Canned::sequence(codes));
    let figures = Figures::of(async {
        for _ in 0..200 {
            client.client_credentials().fetch().await.expect_err("refused");
        }
    })
    .await;
    assert_eq!(figures.iter().count(), 2, "{figures:?}");
}
