//! What the pages look like: screenshots, to be looked at, and what can be known without eyes.

use examples::web_login::LocalServers;

use super::{Application, begin};
use crate::browser::{Browser, Window};

#[tokio::test]
async fn pages() {
    let servers = LocalServers::start().await.expect("servers");
    let app = Application::at(&servers).await;
    let browser = Browser::open().await;
    browser.go(&app.url("/signed-out")).await;
    browser.wait_for("You are signed out").await;
    look(&browser, "web-login-signed-out").await;
    browser.go(&app.url("/")).await;
    look(&browser, "web-login-welcome").await;
    begin(&browser, &app).await;
    browser.fill("input[name=username]", "alice").await;
    browser.fill("input[name=password]", "secret").await;
    browser.click("button[value=sign-in]").await;
    browser.click("button[value=allow]").await;
    browser.wait_for("Alice Example").await;
    look(&browser, "web-login-home").await;
    browser.script("scrollTo(0, document.body.scrollHeight)").await;
    browser.screenshots("web-login-access").await;
    servers.server.api_faults().push_forever(oauth_test_server::Fault::Disconnect);
    browser.click("#again").await;
    browser.wait_for("no answer").await;
    look(&browser, "web-login-no-answer").await;
    browser.go(&app.url("/problem?why=denied")).await;
    look(&browser, "web-login-problem").await;
    // Who is signed in is not told otherwise.
    browser.go(&app.url("/signed-out")).await;
    browser.wait_for("Alice Example").await;
    browser.go(&app.url("/nowhere")).await;
    browser.wait_for("There is no such page").await;
}

async fn look(browser: &Browser, name: &str) {
    // Nothing sticks out of a phone's screen, and everything that can be pressed can be hit by a thumb.
    browser.window(Window::Phone).await;
    let wide = browser.script("return document.documentElement.scrollWidth - innerWidth").await;
    assert_eq!(wide, 0, "{name}");
    let small = "return [...document.querySelectorAll('button, a.button')].filter(e => e.getBoundingClientRect().height < 44).length";
    assert_eq!(browser.script(small).await, 0, "{name}");
    browser.window(Window::Desktop).await;
    browser.screenshots(name).await;
}
