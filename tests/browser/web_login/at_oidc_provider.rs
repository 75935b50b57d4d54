//! Against oidc-provider.

use std::path::PathBuf;

use examples::web_login::Settings;
use oauth_tokens::Secret;

use super::{Application, begin, until_renewed};
use crate::{
    browser::Browser,
    oidc::{allow, deny, oidc, sign_in, sign_out},
};

/// `short`: access tokens live for 5 seconds.
async fn start(short: bool) -> Application {
    start_as("127.0.0.1", short).await
}

async fn start_as(host: &str, short: bool) -> Application {
    Application::start(host, async |origin: &str, data: PathBuf, store_keys: Secret| {
        let server = oidc();
        let client = server.register_web(origin, short).await;
        Settings {
            origin: origin.to_owned(),
            issuer: server.issuer().to_owned(),
            client_id: client.id,
            client_secret: Secret::new(client.secret),
            scope: "profile email api offline_access".to_owned(),
            prompt: Some("consent".to_owned()),
            api: format!("{}/things", server.api()),
            data,
            store_keys,
        }
    })
    .await
}

#[tokio::test]
async fn l2_a_visit() {
    let app = start(true).await;
    let browser = Browser::open().await;
    begin(&browser, &app).await;
    sign_in(&browser, "ann").await;
    deny(&browser).await;
    browser.wait_for("You were not signed in").await;
    browser.click("#go-on").await;
    allow(&browser).await;
    browser.wait_for("The parcel service says").await;
    assert_eq!(browser.text_at("#subject").await, "ann");
    until_renewed(&browser).await;

    browser.click("#leave").await;
    sign_out(&browser).await;
    browser.wait_for("You are signed out").await;
    assert_eq!(browser.url().await, app.url("/signed-out"));
    begin(&browser, &app).await;
    browser.wait_for("User name").await;
}

#[tokio::test]
async fn l2_two_users_side_by_side() {
    let app = start(false).await;
    let [ann, ben] = Browser::open_two().await;
    for (browser, user) in [(&ann, "ann"), (&ben, "ben")] {
        begin(browser, &app).await;
        sign_in(browser, user).await;
        allow(browser).await;
        browser.wait_for("The parcel service says").await;
    }
    for (browser, user) in [(&ann, "ann"), (&ben, "ben")] {
        browser.reload().await;
        assert_eq!(browser.text_at("#status").await, "200 OK");
        assert_eq!(browser.text_at("#subject").await, user);
    }
}

/// Two applications, one session at the server: signing out of one signs out of the other, by the back channel.
#[tokio::test]
async fn l2_signed_out_of_both() {
    // To a browser, ports make no difference: two names, or they would share their cookies.
    let (one, other) = (start(false).await, start_as("localhost", false).await);
    let browser = Browser::open().await;
    begin(&browser, &one).await;
    sign_in(&browser, "cat").await;
    for app in [&one, &other] {
        if app.origin == other.origin {
            begin(&browser, app).await;
        }
        allow(&browser).await;
        browser.wait_for("The parcel service says").await;
    }
    browser.click("#leave").await;
    sign_out(&browser).await;
    browser.wait_for("You are signed out").await;
    browser.go(&one.url("/")).await;
    browser.wait_for("Your parcels, in one place").await;
}
