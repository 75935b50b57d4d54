//! oidc-provider, and a person who uses its pages: see `interop/oidc-provider/interactions.mjs`.

use std::sync::LazyLock;

use reqwest::Client;
use serde_json::{Value, json};
use tests::real_server::{self, Process};

use crate::browser::Browser;

/// A running oidc-provider with an API.
pub(crate) struct Oidc {
    told: Value,
    _process: Process,
}

/// The one that tests share. It ends with this process.
pub(crate) fn oidc() -> &'static Oidc {
    static SHARED: LazyLock<Oidc> = LazyLock::new(|| {
        let (told, process) = real_server::start("oidc");
        Oidc { told, _process: process }
    });
    &SHARED
}

/// A web application's client, registered for one test.
pub(crate) struct WebClient {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Oidc {
    /// What it says of itself, by JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.told.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}: {}", self.told))
    }

    pub(crate) fn issuer(&self) -> &str {
        self.text("/issuer")
    }

    /// Where the API that it protects is: an origin.
    pub(crate) fn api(&self) -> &str {
        self.text("/api")
    }

    /// The id of the public client for native applications; `short`: its access tokens live for 5 seconds.
    pub(crate) fn native(&self, short: bool) -> &str {
        self.text(if short { "/clients/native_short/id" } else { "/clients/native/id" })
    }

    /// Registers a confidential client for the web application at this origin (RFC 7591), which has its routes below
    /// `/auth`; `short`: its access tokens live for 5 seconds.
    pub(crate) async fn register_web(&self, origin: &str, short: bool) -> WebClient {
        let about = json!({
            "client_name": if short { "web-short" } else { "web" },
            "redirect_uris": [format!("{origin}/auth/callback")],
            "post_logout_redirect_uris": [format!("{origin}/"), format!("{origin}/signed-out")],
            "backchannel_logout_uri": format!("{origin}/auth/backchannel-logout"),
            "backchannel_logout_session_required": true,
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_basic",
            "scope": "openid profile email api api:read offline_access",
        });
        let answer = http().post(self.text("/registration_endpoint")).json(&about).send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        let registered: Value = answer.json().await.expect("JSON");
        let of = |what: &str| registered[what].as_str().expect("text").to_owned();
        WebClient { id: of("client_id"), secret: of("client_secret") }
    }

    /// Alice enters the code that a device shows, and says yes.
    pub(crate) async fn approve_device(&self, user_code: &str) {
        let url = format!("{}/device?user_code={user_code}&decision=approve", self.text("/admin"));
        assert_eq!(http().post(url).send().await.expect("an answer").status(), 200);
    }
}

fn http() -> Client {
    Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client")
}

/// On the server's sign-in page: says who it is.
pub(crate) async fn sign_in(browser: &Browser, user: &str) {
    browser.fill("input[name=login]", user).await;
    browser.click("#sign-in").await;
}

/// On the server's page that asks what the application may do: yes.
pub(crate) async fn allow(browser: &Browser) {
    browser.click("#allow").await;
}

/// The same: no.
pub(crate) async fn deny(browser: &Browser) {
    browser.click("#deny").await;
}

/// On the server's page that asks whether to sign out: yes.
pub(crate) async fn sign_out(browser: &Browser) {
    browser.click("#sign-out").await;
}

#[tokio::test]
async fn a_person_signs_in_and_out_and_says_no() {
    let server = oidc();
    let web = server.register_web("http://127.0.0.1:9", true).await;
    assert!(web.id.ends_with("-short") && !web.secret.is_empty());
    assert!(server.native(true).ends_with("-short") && !server.native(false).ends_with("-short"));
    assert_ne!(server.issuer(), server.api());
    let callback = "http://127.0.0.1:9/auth/callback";
    let begin = format!(
        "{}?client_id={}&redirect_uri={callback}&response_type=code&scope=openid&prompt=consent&state=s\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        server.text("/authorization_endpoint"),
        web.id,
    );
    let browser = Browser::open().await;
    browser.go(&begin).await;
    browser.screenshot("oidc-sign-in").await;
    sign_in(&browser, "ann").await;
    browser.wait_for("Allow access?").await;
    browser.screenshot("oidc-consent").await;
    // Nobody listens at the application's address: what is in the address bar is enough.
    allow(&browser).await;
    let url = browser.url_with("code=").await;
    assert!(url.starts_with(callback) && url.contains("iss="), "{url}");

    browser.go(&begin).await;
    browser.wait_for("ann, shall").await;
    deny(&browser).await;
    let url = browser.url_with("error=access_denied").await;
    assert!(url.starts_with(callback), "{url}");

    browser.go(server.text("/end_session_endpoint")).await;
    sign_out(&browser).await;
    browser.wait_for("Signed out").await;
    browser.go(&begin).await;
    browser.wait_for("Sign in").await;
}
