//! Many users of one application.

use std::time::Duration;

use oauth_test_server::Fault;
use tests::steps::{assert_waits, settle};

use super::{browser::Browser, start};

/// One user's renewal hangs: another's goes through meanwhile, and the first user's page is not answered by it.
#[tokio::test(start_paused = true)]
async fn l2_a_renewal_for_one_blocks_nobody() {
    let (server, _, router) = start();
    let (mut alice, mut bob) = (Browser::new(&router), Browser::new(&router));
    alice.sign_in(&server, "alice").await;
    bob.sign_in(&server, "bob").await;
    tokio::time::advance(Duration::from_secs(2 * 3600)).await;
    server.token_faults().push(1, Fault::Hang);
    let mut waiting = Box::pin(alice.open("/call"));
    assert_waits(&mut waiting);
    settle().await;
    assert_waits(&mut waiting);
    let before = tokio::time::Instant::now();
    let answer = bob.open("/call").await;
    assert!(answer.body.contains("\"sub\":\"bob\""), "{}", answer.body);
    assert_eq!(before.elapsed(), Duration::ZERO, "no time has passed for Bob");
    assert_waits(&mut waiting);
    let answer = waiting.await;
    assert!(!answer.body.contains("bob"), "{}", answer.body);
}

/// Tokens are renewed by themselves, without anybody noticing.
#[tokio::test(start_paused = true)]
async fn l2_a_day_in_the_life() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    let before = server.counters().token_requests;
    for _ in 0..11 {
        let answer = browser.open("/call").await;
        assert!(answer.body.contains("\"sub\":\"alice\""), "{} {}", answer.status, answer.body);
        tokio::time::advance(Duration::from_secs(3600)).await;
    }
    assert_eq!(server.counters().token_requests - before, 10, "one an hour");
}
