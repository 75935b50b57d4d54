//! S1: subject tokens, assertions, device and user codes, revoked tokens and pushed parameters never show.

use std::{error::Error, fmt::Debug};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use oauth_tokens::{
    AccessToken, ClientAuth, JwtBearer, RefreshToken, Secret, SecurityToken, SignedAssertion, SigningKey,
    TokenExchange, TokenHint, TokenSet, TokenSource, TokenType,
};
use serde_json::json;
use tests::{
    canned::{self, Canned},
    capture::Capture,
    support::{TempFolder, shown},
};

use super::{TOKEN, client, form};

/// What every planted secret holds.
const MARK: &str = "pl4nt3d";
const SUBJECT: &str = "pl4nt3d-subject/token+é";
const ACTOR: &str = "pl4nt3d-actor";
const ASSERTION: &str = "pl4nt3d.assertion.x";
const DEVICE_CODE: &str = "pl4nt3d-device-code";
const USER_CODE: &str = "pl4nt3d-user-code";
const TOKEN_VALUE: &str = "pl4nt3d-revoked";

struct Heard {
    capture: Capture,
    texts: Vec<String>,
}

impl Heard {
    fn start() -> Self {
        Self { capture: Capture::start(), texts: Vec::new() }
    }

    fn value(&mut self, value: &dyn Debug) {
        self.texts.push(format!("{value:?}\n{value:#?}"));
    }

    fn outcome<T: Debug>(&mut self, outcome: Result<T, impl Error + 'static>) {
        match outcome {
            Ok(value) => self.value(&value),
            Err(error) => self.texts.push(shown(&error)),
        }
    }

    #[track_caller]
    fn assert_no_secret(&self) {
        let lines = self.capture.lines();
        if let Some(text) = self.texts.iter().chain(&lines).find(|text| text.contains(MARK)) {
            panic!("a secret shows: {text}");
        }
    }
}

/// Every flow of this folder, once.
async fn all_flows(canned: &Canned, heard: &mut Heard) {
    let client = client(canned, "m2m", ClientAuth::secret_post("pl4nt3d-client-secret"));
    let exchange = || {
        let actor = SecurityToken::jwt(Secret::from_fn(|| async { Ok(ACTOR.to_owned()) }));
        client.token_exchange(SecurityToken::access_token(SUBJECT)).actor(actor).requested_token_type(TokenType::JWT)
    };
    heard.value(&exchange());
    heard.outcome(exchange().fetch().await);
    heard.outcome(exchange().issue().await);
    heard.outcome(exchange().cached().expect("a request").token().await);

    heard.value(&client.jwt_bearer(ASSERTION));
    heard.outcome(client.jwt_bearer(ASSERTION).fetch().await);

    let details = json!([{ "type": "pl4nt3d-payment" }]);
    let request = client.device_authorization().authorization_details(details);
    heard.value(&request);
    match request.begin().await {
        Ok(mut device) => {
            heard.value(&device);
            heard.outcome(device.wait().await);
            heard.outcome(device.cached().await);
            heard.value(&device);
        }
        Err(error) => heard.texts.push(shown(&error)),
    }

    heard.value(&client.revoke(TOKEN_VALUE).hint(TokenHint::RefreshToken));
    heard.outcome(client.revoke(TOKEN_VALUE).await);
    heard.value(&client.introspect(TOKEN_VALUE));
    heard.outcome(client.introspect(TOKEN_VALUE).await);
    let pushed = oauth_tokens::Form::new().with("state", "pl4nt3d-state").with("login_hint", "pl4nt3d@example.com");
    heard.value(&pushed);
    heard.outcome(client.push_authorization_request(pushed).await);
}

#[tokio::test(start_paused = true)]
async fn s1_flows_that_succeed_show_no_secret() {
    let answer = |request: &Request<Bytes>| -> Response<Bytes> {
        let issued = json!({
            "access_token": "pl4nt3d-access", "refresh_token": "pl4nt3d-refresh", "token_type": "Bearer", "expires_in": 60,
            "issued_token_type": "urn:pl4nt3d", "authorization_details": [{ "type": "pl4nt3d" }],
        });
        let body = match request.uri().path() {
            "/as/token" => issued,
            "/as/introspect" => json!({ "active": true, "token": TOKEN_VALUE, "username": "pl4nt3d" }),
            "/as/par" => json!({ "request_uri": "urn:pl4nt3d", "expires_in": 60 }),
            _ => json!({
                "device_code": DEVICE_CODE, "user_code": USER_CODE, "verification_uri": "https://example.com/device",
                "verification_uri_complete": format!("https://example.com/device?code={USER_CODE}"), "expires_in": 600,
            }),
        };
        canned::json(200, body.to_string())
    };
    let canned = Canned::new(answer);
    let mut heard = Heard::start();
    all_flows(&canned, &mut heard).await;
    heard.assert_no_secret();
    assert_eq!(canned.requests().len(), 10, "every flow succeeded");
    let text = heard.capture.text();
    for word in ["grant=urn:ietf:params:oauth:grant-type:token-exchange", "span oauth.request", "revocation_endpoint"] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
}

/// Each parameter of each request is echoed in each place of an error.
#[tokio::test(start_paused = true)]
async fn s1_servers_that_echo_make_no_error_show_a_secret() {
    let begun = json!({
        "device_code": DEVICE_CODE, "user_code": USER_CODE, "verification_uri": "https://example.com/device",
        "expires_in": 600,
    });
    for part in 0..9 {
        for place in ["error", "error_description", "error_uri", "trace"] {
            let begun = begun.to_string();
            let canned = Canned::new(move |request| {
                if request.uri().path() == "/as/device_authorization" && part % 2 == 0 {
                    return canned::json(200, begun.clone());
                }
                let body = String::from_utf8_lossy(request.body()).into_owned();
                let values: Vec<_> = form(&body).into_iter().map(|(_, value)| value).collect();
                let echo = values.get(part).cloned().unwrap_or(body);
                let mut answer = json!({ "error": "invalid_thing", "error_description": "no" });
                answer[place] = json!(format!("got {echo} and no more"));
                canned::json(400, answer.to_string())
            });
            let mut heard = Heard::start();
            all_flows(&canned, &mut heard).await;
            heard.assert_no_secret();
        }
    }
}

/// A server that breaks down, and one that answers nonsense which holds what it got.
#[tokio::test(start_paused = true)]
async fn s1_answers_that_cannot_be_read_show_no_secret() {
    let begun = json!({
        "device_code": DEVICE_CODE, "user_code": format!("{USER_CODE}\n"), "verification_uri": "https://example.com/device",
        "expires_in": 600,
    });
    let uri = json!({
        "device_code": DEVICE_CODE, "user_code": "u", "verification_uri": "http://pl4nt3d:pl4nt3d@example.com/",
        "expires_in": 600,
    });
    let odd = json!({ "access_token": "pl4nt3d token", "token_type": "N_A", "request_uri": "pl4nt3d", "active": MARK });
    let bodies = [begun.to_string(), uri.to_string(), odd.to_string(), format!("\"{SUBJECT}\""), MARK.to_owned()];
    for body in bodies {
        for status in [200, 201, 403, 500] {
            let canned = Canned::always(canned::json(status, body.clone()));
            let mut heard = Heard::start();
            all_flows(&canned, &mut heard).await;
            heard.assert_no_secret();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s1_values_and_files_show_no_secret() {
    let mut heard = Heard::start();
    let mut tokens = TokenSet::new(AccessToken::bearer("pl4nt3d").expect("a token"));
    tokens.issued_token_type = Some(TokenType::uri("urn:pl4nt3d").expect("a URI"));
    tokens.authorization_details = Some(json!([{ "type": MARK }]));
    heard.value(&tokens);
    heard.value(&SecurityToken::from(&tokens.access_token));
    heard.value(&SecurityToken::new(TokenType::uri("urn:pl4nt3d").expect("a URI"), SUBJECT));
    heard.value(&TokenExchange::new(SecurityToken::saml2(SUBJECT)));
    heard.value(&JwtBearer::from(ASSERTION));
    heard.value(&RefreshToken::from(tokens));
    let key = SigningKey::generate(oauth_tokens::Algorithm::Es256).expect("a key");
    heard.value(&SignedAssertion::new(key, "app", "aud").subject("pl4nt3d-user").claim("scope", "pl4nt3d"));

    let canned = Canned::always(canned::status(StatusCode::OK));
    let client = client(&canned, "m2m", ClientAuth::none());
    let folder = TempFolder::new();
    for text in [format!("{SUBJECT}\n{SUBJECT}"), format!("{SUBJECT}\0")] {
        let path = folder.write("token", text);
        heard.outcome(client.token_exchange(SecurityToken::jwt(Secret::file(&path))).fetch().await);
        heard.outcome(client.jwt_bearer(Secret::file(&path)).fetch().await);
        heard.outcome(client.jwt_bearer(Secret::from_fn(|| async { Ok(format!("{ASSERTION}\n")) })).fetch().await);
    }
    heard.assert_no_secret();
    assert!(canned.requests().iter().all(|request| request.uri() != TOKEN));
}
