//! The helpers can fail, and what they leave behind is nothing.

use std::{net::SocketAddr, panic::AssertUnwindSafe};

use axum::{Router, response::Html, routing::get};
use futures_util::FutureExt;
use serde_json::json;

use crate::browser::{Browser, Window};

const PAGE: &str = r#"<!doctype html><title>A page</title><meta name="viewport" content="width=device-width">
<style>:root { color-scheme: light dark } body { font: 1.5rem sans-serif }</style>
<form><label>Name <input name="name" value="old"></label> <button>Go</button></form>
<p id="said"></p><script>
  const name = new URLSearchParams(location.search).get('name');
  if (name) setTimeout(() => { document.querySelector('#said').textContent = `Hello, ${name}!` }, 100);
</script>"#;

#[tokio::test]
async fn a_form_is_filled_in_and_sent() {
    let address = serve().await;
    let browser = Browser::open().await;
    browser.go(&format!("http://{address}/")).await;
    browser.fill("input[name=name]", "ann").await;
    browser.click("button").await;
    browser.wait_for("Hello, ann!").await;
    assert_eq!(browser.text_at("#said").await, "Hello, ann!");
    assert_eq!(browser.url().await, format!("http://{address}/?name=ann"));
    assert_eq!(browser.count("button").await, 1);
    assert!(browser.text().await.starts_with("Name"));

    browser.script("document.cookie = 'a=1'").await;
    assert_eq!(browser.cookies().await[0]["httpOnly"], false);
    browser.forget_cookies().await;
    browser.reload().await;
    assert_eq!(browser.cookies().await, [json!(null); 0]);
}

#[tokio::test]
async fn devices_and_colours_are_as_told() {
    let address = serve().await;
    let browser = Browser::open().await;
    browser.go(&format!("http://{address}/?name=ann")).await;
    for (window, width) in [(Window::Phone, 390), (Window::Desktop, 1280)] {
        browser.window(window).await;
        assert_eq!(browser.script("return innerWidth").await, width);
    }
    for dark in [true, false] {
        browser.dark(dark).await;
        assert_eq!(browser.script("return matchMedia('(prefers-color-scheme: dark)').matches").await, dark);
    }
    browser.screenshots("helpers").await;
}

#[tokio::test]
async fn what_is_not_there_is_waited_for_and_then_missed() {
    let address = serve().await;
    let browser = Browser::open().await;
    browser.go(&format!("http://{address}/")).await;
    browser.patience(300).await;
    let missed = AssertUnwindSafe(browser.wait_for("Hello")).catch_unwind().await;
    let said = missed.expect_err("nobody was greeted").downcast::<String>().expect("a formatted message");
    assert!(said.contains("no such element"), "{said}");
}

#[tokio::test]
async fn two_browsers_share_no_cookies() {
    let address = serve().await;
    let [one, other] = Browser::open_two().await;
    for browser in [&one, &other] {
        browser.go(&format!("http://{address}/")).await;
    }
    one.script("document.cookie = 'a=1'").await;
    assert_eq!(one.cookies().await.len(), 1);
    assert_eq!(other.cookies().await.len(), 0);
}

async fn serve() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/", get(|| async { Html(PAGE) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
