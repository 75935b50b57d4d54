//! The test server's pages, and a person who uses them.

use crate::browser::Browser;

/// On the sign-in page: says who it is.
pub(crate) async fn sign_in(browser: &Browser, user: &str) {
    browser.fill("#username", user).await;
    browser.click("button[value=sign-in]").await;
}

/// On the page that asks what the application may do: yes.
pub(crate) async fn allow(browser: &Browser) {
    browser.click("button[value=allow]").await;
}

/// The same: no.
pub(crate) async fn deny(browser: &Browser) {
    browser.click("button[value=deny]").await;
}
