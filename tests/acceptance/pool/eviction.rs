//! Who makes room for whom (F15).

use oauth_tokens::ErrorKind;
use tests::source::settle;

use super::{Issuer, key};

#[tokio::test(start_paused = true)]
async fn f15_the_one_that_was_not_used_for_long_makes_room() {
    let issuer = Issuer::new();
    let pool = issuer.pool().capacity(100);
    for tenant in 0..100 {
        pool.token(&format!("tenant{tenant}")).await.expect("a token");
    }
    assert_eq!((pool.status().keys, pool.status().usable, pool.status().evicted), (100, 100, 0));
    // Ninety are used again and again, and forty strangers come by once.
    for stranger in 0..40 {
        for tenant in 0..90 {
            pool.token(&format!("tenant{tenant}")).await.expect("a token");
        }
        pool.token(&format!("stranger{stranger}")).await.expect("a token");
    }
    let status = pool.status();
    assert_eq!((status.keys, status.capacity, status.evicted, status.refused), (100, 100, 40, 0));
    let fetched_again = (0..90).filter(|tenant| issuer.fetches_of(&format!("tenant{tenant}")) > 1).count();
    assert!(fetched_again < 9, "{fetched_again} of the ninety were evicted");
}

#[tokio::test(start_paused = true)]
async fn f15_one_in_renewal_never_makes_room_and_a_pool_full_of_them_refuses() {
    let issuer = Issuer::closed();
    let pool = issuer.pool().capacity(20);
    let calls: Vec<_> = (0..20)
        .map(|tenant| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.token(&format!("tenant{tenant}")).await })
        })
        .collect();
    settle().await;
    // Nobody waits for them any more, but they are on their way.
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    settle().await;
    assert_eq!(pool.status().renewing, 20);

    let error = pool.get(&key("one more")).expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::PoolFull);
    assert!(error.is_transient(), "it passes");
    assert!(error.to_string().contains("20 keys"), "{error}");
    assert!(!error.to_string().contains("one more"), "a key may name somebody");
    assert_eq!((pool.status().keys, pool.status().refused, pool.status().evicted), (20, 1, 0));

    issuer.open();
    settle().await;
    assert_eq!(pool.status().renewing, 0);
    pool.get(&key("one more")).expect("room");
    assert_eq!((pool.status().keys, pool.status().evicted), (20, 1));
    assert_eq!(issuer.fetches(), 20);
}

#[tokio::test(start_paused = true)]
async fn f15_one_that_somebody_holds_never_makes_room() {
    let issuer = Issuer::new();
    let pool = issuer.pool().capacity(2);
    let held = pool.get(&key("held")).expect("room");
    for tenant in 0..10 {
        pool.token(&format!("tenant{tenant}")).await.expect("a token");
    }
    assert!(pool.get(&key("held")).expect("room").is_clone_of(&held), "there is never another of it");
    let also = pool.get(&key("also")).expect("room");
    assert_eq!(pool.get(&key("third")).expect_err("no room").kind(), ErrorKind::PoolFull);
    drop((held, also));
    pool.get(&key("third")).expect("room");
    assert_eq!(pool.status().keys, 2);
}

#[tokio::test(start_paused = true)]
async fn f13_one_that_is_kept_warm_makes_room_and_its_task_ends_with_it() {
    let issuer = Issuer::new();
    let pool = issuer.pool().capacity(1);
    pool.get(&key("warm")).expect("room").keep_warm().expect("a runtime");
    settle().await;
    assert_eq!(issuer.fetches_of("warm"), 1);
    pool.get(&key("next")).expect("room");
    tokio::time::sleep(super::HOUR * 10).await;
    assert_eq!(issuer.fetches_of("warm"), 1);
}

#[test]
fn f15_a_pool_has_room_for_one_at_least() {
    let pool = Issuer::new().pool().capacity(0);
    pool.get(&key("a")).expect("room");
    pool.get(&key("b")).expect("room");
    assert_eq!((pool.status().keys, pool.status().capacity), (1, 1));
}
