//! A headless Chromium by WebDriver (W3C): the few commands that these tests need.
//!
//! A client of our own, because the crates that there are either come with a licence that this workspace does not take in, or
//! change what `serde_json` does in everything that is built with them.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    sync::{Arc, LazyLock},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::driver;

/// How long a page or an element may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(40);
/// Browsers at once: two for two users side by side.
const AT_ONCE: u32 = 2;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A form leads to its answer, and on by redirects: so many times an element may be of the page before.
const PAGES_ON_THE_WAY: u32 = 5;

const ARGUMENTS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-proxy-server",
    "--password-store=basic",
];

/// What WebDriver calls a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A size of the window.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Window {
    Desktop,
    Phone,
}

/// A browser with a profile of its own. It ends when this is dropped; if that is because the test panics, a screenshot
/// `failed-...` is left.
pub(crate) struct Browser {
    session: String,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Browser {
    pub(crate) async fn open() -> Self {
        Self::start(permit(1).await).await
    }

    /// Two at once, for two users side by side. (A test that opened one and then another could wait for a second test that does
    /// the same.)
    pub(crate) async fn open_two() -> [Self; 2] {
        let permit = permit(2).await;
        [Self::start(permit.clone()).await, Self::start(permit).await]
    }

    async fn start(permit: Arc<OwnedSemaphorePermit>) -> Self {
        let patience = PATIENCE.as_millis() as u64;
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": ARGUMENTS },
            // Which URLs it goes to.
            "goog:loggingPrefs": { "performance": "ALL" },
            // To look for an element waits until there is one.
            "timeouts": { "implicit": patience, "pageLoad": patience, "script": patience },
        }}});
        let session = ask(Method::POST, "/session", &wanted).await.expect("a browser starts");
        let session = session["sessionId"].as_str().expect("a session").to_owned();
        let browser = Self { session, _permit: permit };
        browser.window(Window::Desktop).await;
        browser
    }

    /// Opens a URL, and waits until the page is loaded.
    pub(crate) async fn go(&self, url: &str) {
        self.post("url", json!({ "url": url })).await;
    }

    /// Loads the page again.
    pub(crate) async fn reload(&self) {
        self.post("refresh", json!({})).await;
    }

    /// The URL in the address bar.
    pub(crate) async fn url(&self) -> String {
        text_of(self.get("url").await)
    }

    /// The URL in the address bar, when this is in it: also of a page that could not be loaded, as nobody listens there.
    pub(crate) async fn url_with(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let url = self.url().await;
            if url.contains(part) {
                return url;
            }
            assert!(Instant::now() < end, "no {part} in {url}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The page as it is now, as HTML.
    pub(crate) async fn source(&self) -> String {
        text_of(self.get("source").await)
    }

    /// All text that can be seen.
    pub(crate) async fn text(&self) -> String {
        self.text_at("body").await
    }

    /// The text of the first element that the CSS selector finds, when there is one.
    pub(crate) async fn text_at(&self, css: &str) -> String {
        text_of(self.at_element(css, Method::GET, "text", Value::Null).await)
    }

    /// Waits until this can be read in some element.
    pub(crate) async fn wait_for(&self, text: &str) {
        assert!(!text.contains('"'), "no quotes");
        let seen = "//body/descendant-or-self::*[not(self::script or self::style)]";
        self.find("xpath", &format!("{seen}[text()[contains(normalize-space(.), \"{text}\")]]")).await;
    }

    /// How many elements the CSS selector finds now.
    pub(crate) async fn count(&self, css: &str) -> usize {
        let count = self.script(&format!("return document.querySelectorAll({}).length", json!(css))).await;
        count.as_u64().expect("a number") as usize
    }

    /// The URLs that begin so and that were asked for since this was asked last, on the way of a redirect, too.
    pub(crate) async fn visited(&self, beginning: &str) -> Vec<String> {
        let log = self.post("se/log", json!({ "type": "performance" })).await;
        let entries = log.as_array().expect("entries").iter().map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str().expect("text")).expect("JSON");
            message["message"].clone()
        });
        let requests = entries.filter(|message| message["method"] == "Network.requestWillBeSent");
        let urls = requests.map(|message| text_of(message["params"]["request"]["url"].clone()));
        urls.filter(|url| url.starts_with(beginning)).collect()
    }

    /// Clicks on the first element that the CSS selector finds, and waits if that loads a page.
    pub(crate) async fn click(&self, css: &str) {
        self.at_element(css, Method::POST, "click", json!({})).await;
    }

    /// Types into a field in place of what is there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        self.at_element(css, Method::POST, "clear", json!({})).await;
        self.at_element(css, Method::POST, "value", json!({ "text": text })).await;
    }

    /// Runs a function's body in the page, and gives what it returns (a promise's value, when that is known).
    pub(crate) async fn script(&self, body: &str) -> Value {
        self.post("execute/sync", json!({ "script": body, "args": [] })).await
    }

    /// The cookies of this page's site, `HttpOnly` ones too: name, value, httpOnly, secure, sameSite, path, domain.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        self.get("cookie").await.as_array().expect("cookies").clone()
    }

    /// Forgets the cookies of this page's site.
    pub(crate) async fn forget_cookies(&self) {
        let done = ask(Method::DELETE, &format!("/session/{}/cookie", self.session), &Value::Null).await;
        done.expect("cookies are forgotten");
    }

    /// As on a device with a screen of this size.
    pub(crate) async fn window(&self, window: Window) {
        let (width, height, mobile) = match window {
            Window::Desktop => (1280, 800, false),
            Window::Phone => (390, 844, true),
        };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// As for a user who likes it dark, or light.
    pub(crate) async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Chromium's own protocol: a command and its parameters.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Saves what can be seen as `screenshots/NAME.png` in the target folder, for people to look at.
    pub(crate) async fn screenshot(&self, name: &str) {
        save(name, &text_of(self.get("screenshot").await));
    }

    /// The same page as a desktop and a phone show it, light and dark: `NAME-desktop-light` and so on. Light and on a desktop
    /// afterwards.
    pub(crate) async fn screenshots(&self, name: &str) {
        for (window, size) in [(Window::Phone, "phone"), (Window::Desktop, "desktop")] {
            self.window(window).await;
            for (dark, colours) in [(true, "dark"), (false, "light")] {
                self.dark(dark).await;
                self.screenshot(&format!("{name}-{size}-{colours}")).await;
            }
        }
    }

    /// How long elements are waited for, in milliseconds, where it is known that there will be none.
    pub(crate) async fn patience(&self, millis: u64) {
        self.post("timeouts", json!({ "implicit": millis })).await;
    }

    /// Does something with an element; again if its page has given way to the next one meanwhile.
    async fn at_element(&self, css: &str, method: Method, command: &str, body: Value) -> Value {
        let mut pages = PAGES_ON_THE_WAY;
        loop {
            let element = self.find("css selector", css).await;
            let path = format!("/session/{}/element/{element}/{command}", self.session);
            match ask(method.clone(), &path, &body).await {
                Ok(answer) => return answer,
                Err(error) if error.contains("stale element reference") && pages > 0 => pages -= 1,
                Err(error) => panic!("{command} at {css}: {error}"),
            }
        }
    }

    async fn find(&self, by: &str, value: &str) -> String {
        let found = self.try_post("element", json!({ "using": by, "value": value })).await;
        match found {
            Ok(found) => text_of(found[ELEMENT].clone()),
            Err(error) => panic!("no {value} at {}: {error}\n{}", self.url().await, self.source().await),
        }
    }

    async fn get(&self, command: &str) -> Value {
        let answer = ask(Method::GET, &format!("/session/{}/{command}", self.session), &Value::Null).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        self.try_post(command, body.clone()).await.unwrap_or_else(|error| panic!("{command} {body}: {error}"))
    }

    async fn try_post(&self, command: &str, body: Value) -> Result<Value, String> {
        ask(Method::POST, &format!("/session/{}/{command}", self.session), &body).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let session = format!("/session/{}", self.session);
        if thread::panicking() {
            let shot = ask_blocking("GET", &format!("{session}/screenshot"));
            let name = thread::current().name().unwrap_or_default().replace("::", "-");
            if let Some(Value::String(png)) = shot {
                save(&format!("failed-{name}"), &png);
            }
        }
        let _ = ask_blocking("DELETE", &session);
    }
}

async fn permit(count: u32) -> Arc<OwnedSemaphorePermit> {
    static BROWSERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE as usize)));
    let permit = BROWSERS.clone().acquire_many_owned(count).await;
    Arc::new(permit.expect("it is never closed"))
}

/// Sends a command, and gives the `value` of the answer, or the error's name and message.
async fn ask(method: Method, path: &str, body: &Value) -> Result<Value, String> {
    // It keeps no connections, as each test has a runtime of its own.
    static HTTP: LazyLock<Client> = LazyLock::new(|| {
        let builder = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE * 2);
        builder.build().expect("a client")
    });
    let mut request = HTTP.request(method, format!("http://127.0.0.1:{}{path}", driver::port()));
    if !body.is_null() {
        request = request.json(body);
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let successful = answer.status().is_success();
    let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
    let value = answer["value"].take();
    if successful { Ok(value) } else { Err(format!("{}: {}", value["error"], value["message"])) }
}

/// The same where nobody can wait for a future. Nothing when that fails: it is about to end anyway.
fn ask_blocking(method: &str, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, driver::port())).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line).ok()?;
        match line.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok()?,
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut answer: Value = serde_json::from_reader(answer.take(length)).ok()?;
    Some(answer["value"].take())
}

fn save(name: &str, png: &str) {
    let folder = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/../screenshots"));
    fs::create_dir_all(&folder).expect("a folder");
    let png = BASE64_STANDARD.decode(png).expect("base64");
    fs::write(folder.join(format!("{name}.png")), png).expect("a file that can be written");
}

fn text_of(value: Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
