//! The application ends, and another process takes over.

use oauth_tokens::{FileStore, Secret, StoreKeys};
use tests::support::TempFolder;
use tower_sessions::MemoryStore;

use super::{app, browser::Browser, server, sign_in};

#[tokio::test]
async fn l2_users_stay_signed_in() {
    let (server, folder, sessions) = (server(), TempFolder::new(), MemoryStore::default());
    let start = || {
        let store = FileStore::new(folder.path("tokens"))
            .encrypted(StoreKeys::new(Secret::new(format!("{}=", "A".repeat(43)))));
        let sign_in = sign_in(&server).store(store).build().expect("settings");
        app(&server, &sign_in, sessions.clone())
    };
    let mut browser = Browser::new(&start());
    browser.sign_in(&server, "alice").await;
    let half_way = browser.go_to_server(&server, "alice", "/orders").await;

    browser.at(&start());
    assert_eq!(browser.who().await, "hello alice");
    assert!(browser.open("/call").await.body.contains("alice"));
    browser.open(&half_way).await.assert_leads_to("/orders");

    browser.submit("/auth/logout").await;
    browser.at(&start());
    assert_eq!(browser.who().await, "nobody");
}
