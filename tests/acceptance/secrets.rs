//! S1: secrets never show. Each secret of these tests holds one mark; everything that anybody could print is searched.

mod layer;
mod sign_in;
mod text;
mod tokens;
mod types;

use std::{error::Error, fmt::Debug};

use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, TokenClient};
use tests::{capture::Capture, support::shown};

/// What every planted secret holds.
const MARK: &str = "pl4nt3d";

const CLIENT_SECRET: &str = "pl4nt3d client/secret+%é";
const ACCESS: &str = "pl4nt3d-access-token";
const RENEWED: &str = "pl4nt3d-renewed-token";
const REFRESH: &str = "pl4nt3d-refresh-token";
const ROTATED: &str = "pl4nt3d-rotated-token";
const ID_TOKEN: &str = "pl4nt3d-id-token";
const PASSWORD: &str = "pl4nt3d-password";
/// Some gateways want a key in the URL.
const TOKEN_ENDPOINT: &str = "https://id.test/token?key=pl4nt3d-key";

/// Everything that was said on this thread, and everything that a test came by.
struct Heard {
    capture: Capture,
    texts: Vec<String>,
    /// Forms of secrets that do not hold the mark.
    forbidden: Vec<String>,
}

impl Heard {
    fn start() -> Self {
        Self { capture: Capture::start(), texts: Vec::new(), forbidden: Vec::new() }
    }

    fn value(&mut self, value: &dyn Debug) {
        self.texts.push(format!("{value:?}\n{value:#?}"));
    }

    fn text(&mut self, text: impl ToString) {
        self.texts.push(text.to_string());
    }

    fn error(&mut self, error: &(dyn Error + 'static)) {
        self.texts.push(shown(error));
    }

    /// What went out as base64 is a secret as much as what it encodes.
    fn forbid_credentials_of(&mut self, requests: &[Request<Bytes>]) {
        let credentials = requests.iter().filter_map(|request| request.headers().get(AUTHORIZATION)?.to_str().ok());
        self.forbidden.extend(credentials.filter_map(|value| Some(value.strip_prefix("Basic ")?.to_owned())));
    }

    #[track_caller]
    fn assert_no_secret(&self) {
        if let Some(text) = self.leak() {
            panic!("a secret shows: {text}");
        }
    }

    fn leak(&self) -> Option<String> {
        let shows = |text: &String| {
            text.contains(MARK) || self.forbidden.iter().any(|forbidden| text.contains(forbidden.as_str()))
        };
        self.texts.iter().cloned().chain(self.capture.lines()).find(shows)
    }
}

fn client(http: HttpClient, auth: ClientAuth) -> TokenClient {
    AuthorizationServer::via(http)
        .token_endpoint(TOKEN_ENDPOINT)
        .and_then(|server| server.client("m2m", auth))
        .expect("a client")
}

#[test]
fn s1_the_search_finds_what_it_looks_for() {
    let heard = Heard::start();
    tracing::trace!(token = ACCESS, "an event that leaks");
    assert!(heard.leak().is_some(), "{:?}", heard.capture.lines());

    let heard = Heard::start();
    let _span = tracing::trace_span!("a span that leaks", token = ACCESS).entered();
    assert!(heard.leak().is_some(), "{:?}", heard.capture.lines());

    let mut heard = Heard::start();
    heard.forbidden.push("cGw0bnQzZA==".to_owned());
    heard.text("nothing of interest");
    assert_eq!(heard.leak(), None);
    heard.text("Basic cGw0bnQzZA==");
    assert!(heard.leak().is_some());
}
