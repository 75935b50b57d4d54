//! Every flow at a token endpoint, at TRACE, against servers that echo whatever they get.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{
    AccessToken, AuthorizationServer, ClientAuth, Error, Exchange, Form, Grant, HttpClient, RefreshToken, Secret,
    TokenCache, TokenFile, TokenSet, TokenSource, source_fn,
};
use tests::{
    canned::{Canned, json},
    support::TempFolder,
};
use tokio::time::advance;

use super::{ACCESS, CLIENT_SECRET, Heard, ID_TOKEN, PASSWORD, REFRESH, RENEWED, ROTATED, client};

fn all_auths() -> [ClientAuth; 4] {
    [
        ClientAuth::secret_basic(CLIENT_SECRET),
        ClientAuth::secret_basic_raw(CLIENT_SECRET),
        ClientAuth::secret_post(CLIENT_SECRET),
        ClientAuth::secret_post(Secret::from_fn(|| async { Ok(CLIENT_SECRET.to_owned()) })),
    ]
}

/// A grant with a secret of its own.
struct Password;

impl Grant for Password {
    fn grant_type(&self) -> &str {
        "password"
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        tracing::debug!(?exchange, %exchange, "as a grant of a user's own may log it");
        exchange.send(Form::new().with("username", "ann").with("password", PASSWORD)).await
    }
}

/// Everything that a request said, as a server may repeat it: as it came, decoded, and taken apart.
fn echo(request: &Request<Bytes>) -> Vec<String> {
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let authorization = authorization.unwrap_or_default().to_owned();
    let mut parts = vec![body.clone(), authorization, request.uri().to_string()];
    for pair in body.split('&').chain(request.uri().query()) {
        let value = pair.split_once('=').map_or(pair, |(_, value)| value);
        parts.push(value.to_owned());
        parts.push(decoded(value));
        // As other encoders write it.
        parts.push(value.replace("%20", "+"));
        parts.push(value.replace("%2F", "%2f").replace("%2B", "%2b").replace("%C3%A9", "%c3%a9"));
    }
    parts.push(CLIENT_SECRET.to_owned());
    parts.push(format!("wrong secret '{CLIENT_SECRET}'"));
    parts
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = if byte == b'%' { rest.next().zip(rest.next()) } else { None };
        let digits = hex.map(|(high, low)| String::from_utf8_lossy(&[high, low]).into_owned());
        bytes.push(digits.and_then(|digits| u8::from_str_radix(&digits, 16).ok()).unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

type Echo = fn(&str) -> Response<Bytes>;

/// How a server may put an echo into an answer.
const ECHOES: [Echo; 10] = [
    |text| json(400, serde_json::json!({ "error": text }).to_string()),
    |text| json(401, serde_json::json!({ "error": "invalid_client", "error_description": text }).to_string()),
    |text| json(400, serde_json::json!({ "error": "invalid_grant", "error_uri": text }).to_string()),
    |text| json(403, serde_json::json!({ "error": "e", "trace": text, "list": ["a", text] }).to_string()),
    |text| json(429, serde_json::json!({ "error": "e", text: "a field's name" }).to_string()),
    |text| json(200, serde_json::json!({ "access_token": format!("{text} "), "token_type": "Bearer" }).to_string()),
    |text| json(200, serde_json::json!({ "access_token": "t", "token_type": text }).to_string()),
    |text| json(200, text),
    |text| json(500, format!("<html>{text}</html>")),
    |text| {
        let mut response = json(400, text);
        let printable: String = text.chars().filter(char::is_ascii_graphic).collect();
        if let Ok(value) = HeaderValue::try_from(printable) {
            response.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        response
    },
];

#[tokio::test(start_paused = true)]
async fn s1_echoing_servers_make_no_error_or_event_show_a_secret() {
    let mut leaks = Vec::new();
    for answer in ECHOES {
        for part in 0.. {
            let canned = Canned::new(move |request| {
                let parts = echo(request);
                answer(&parts[part.min(parts.len() - 1)])
            });
            let mut heard = Heard::start();
            for auth in all_auths() {
                let client = client(canned.http(), auth);
                let refresh = RefreshToken::new(REFRESH).on_rotation(|_| async { Ok(()) });
                let failures = [
                    client.client_credentials().param("api_key", "pl4nt3d-param").fetch().await,
                    client.grant(refresh).fetch().await,
                    client.grant(Password).scope("api").fetch().await,
                ];
                for failure in failures {
                    // The body of a request that is no secret may even be taken for a token.
                    if let Err(error) = failure {
                        heard.error(&error);
                        heard.value(&error.oauth());
                    }
                }
            }
            let requests = canned.requests();
            heard.forbid_credentials_of(&requests);
            leaks.extend(heard.leak().and_then(|text| text.lines().next().map(str::to_owned)));
            let parts = requests.iter().map(|request| echo(request).len()).max().unwrap_or_default();
            if part >= parts {
                break;
            }
        }
    }
    assert!(leaks.is_empty(), "{} answers show a secret, the first: {:#?}", leaks.len(), &leaks[..leaks.len().min(8)]);
}

#[tokio::test(start_paused = true)]
async fn s1_flows_that_succeed_show_no_secret_and_say_what_they_should() {
    let answer = serde_json::json!({
        "access_token": ACCESS, "token_type": "Bearer", "expires_in": 60,
        "refresh_token": ROTATED, "id_token": ID_TOKEN, "scope": "api",
    });
    let canned = Canned::always(json(200, answer.to_string()));
    let mut heard = Heard::start();
    for auth in all_auths() {
        let client = client(canned.http(), auth);
        let rotating = RefreshToken::new(REFRESH).on_rotation(|_| async { Ok(()) });
        let failing = RefreshToken::new(REFRESH).on_rotation(|_| async { Err("the disk is full".into()) });
        for cache in [
            client.client_credentials().scope("api").cached(),
            client.grant(rotating).cached(),
            client.grant(failing).cached(),
            client.grant(Password).cached(),
        ] {
            let cache = cache.expect("a request");
            if let Err(error) = cache.token().await {
                heard.error(&error);
            }
            // In the refresh window, past the expiry, and after a rejection.
            for seconds in [50, 1, 30] {
                advance(Duration::from_secs(seconds)).await;
                let token = cache.token().await;
                tokio::task::yield_now().await;
                heard.value(&token);
                if let Ok(token) = token {
                    heard.value(&cache.renew(&token).await);
                    cache.renew_in_background("https://api.test", &token);
                }
                heard.value(&(cache.status(), &cache));
            }
        }
    }
    heard.forbid_credentials_of(&canned.requests());
    heard.assert_no_secret();

    // Events and spans there are: server, grant, client id, outcome, duration.
    let text = heard.capture.text();
    for word in [
        "oauth_tokens",
        "span oauth.exchange",
        "server=https://id.test/token",
        "grant=client_credentials",
        "grant=refresh_token",
        "grant=password",
        "client_id=m2m",
        "outcome=issued",
        "outcome=Source",
        "duration_ms=",
    ] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn s1_faults_of_a_server_show_no_secret() {
    let faults = [
        Fault::Garbage,
        Fault::Html(http::StatusCode::OK),
        Fault::Empty(http::StatusCode::FORBIDDEN),
        Fault::CloseMidBody(http::StatusCode::OK),
        Fault::Endless(http::StatusCode::OK),
        Fault::Trickle(http::StatusCode::OK, Duration::from_secs(1)),
        Fault::Hang,
        Fault::Disconnect,
        Fault::LoseAnswer,
        Fault::StatusWithRetryAfter(http::StatusCode::TOO_MANY_REQUESTS, "60".to_owned()),
        Fault::oauth_error("invalid_client"),
    ];
    let mut heard = Heard::start();
    for fault in faults {
        for auth in all_auths() {
            let server = TestServer::builder().build();
            server.token_faults().push_forever(fault.clone());
            let client = client(HttpClient::new(server.authorization_service()), auth);
            let refreshed = client.refresh_token(REFRESH).fetch().await;
            heard.error(&refreshed.expect_err("a fault"));
            let cache = client.client_credentials().cached().expect("a request");
            for _ in 0..2 {
                heard.error(&cache.token().await.expect_err("a fault"));
            }
            heard.value(&cache.status());
        }
    }
    heard.assert_no_secret();
    assert!(heard.capture.text().contains("outcome=invalid_client"), "{}", heard.capture.text());
}

#[tokio::test]
async fn s1_the_default_client_over_sockets_shows_no_secret_at_trace() {
    let server = TestServer::start().await.expect("sockets");
    server.set_secret("m2m", CLIENT_SECRET);
    let issued = server.clone();
    let mut heard = Heard::start();
    for auth in [ClientAuth::secret_basic(CLIENT_SECRET), ClientAuth::secret_post(CLIENT_SECRET)] {
        let by_issuer = AuthorizationServer::via(HttpClient::reqwest()).issuer(server.issuer()).expect("a server");
        let client = by_issuer.client("m2m", auth).expect("a client");
        let tokens = client.client_credentials().fetch().await.expect("a token");
        heard.forbidden.push(tokens.access_token.secret().to_owned());
        heard.value(&tokens);
        for fault in [Fault::Disconnect, Fault::CloseMidBody(http::StatusCode::OK), Fault::Garbage] {
            issued.token_faults().push(3, fault);
            heard.error(&client.client_credentials().fetch().await.expect_err("a fault"));
            issued.token_faults().clear();
        }
    }
    // Nobody is there any more: reqwest's own errors know the URL, and not its key.
    let dead = format!("{}?key=pl4nt3d-key", super::TOKEN_ENDPOINT.replace("https://id.test", "http://127.0.0.1:9"));
    let client = AuthorizationServer::token_endpoint(&dead)
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic(CLIENT_SECRET)))
        .expect("a client");
    heard.error(&client.client_credentials().fetch().await.expect_err("nobody is there"));
    heard.assert_no_secret();
}

#[tokio::test(start_paused = true)]
async fn s1_sources_that_panic_or_fail_and_files_show_no_secret() {
    let mut heard = Heard::start();
    let panicking = TokenCache::new(source_fn(|| async { panic!("the source held {REFRESH}") }));
    heard.error(&panicking.token().await.expect_err("it panicked"));
    heard.value(&(panicking.status(), &panicking));

    let captured = Arc::new(CLIENT_SECRET);
    let source = source_fn(move || {
        let _held = captured.clone();
        async { Err::<TokenSet, _>(Error::source_failed("no").caused_by(io::Error::other("broken"))) }
    });
    heard.value(&source);
    heard.error(&source.fetch().await.expect_err("it fails"));

    let folder = TempFolder::new();
    let bad =
        [format!("{REFRESH}\n{REFRESH}"), format!("{REFRESH} {REFRESH}"), format!("{REFRESH}é"), REFRESH.repeat(2000)];
    for text in bad {
        let path = folder.write("token", &text);
        heard.error(&TokenFile::new(&path).fetch().await.expect_err("no token"));
        heard.value(&TokenFile::new(&path));
    }
    let jwt = folder.write("jwt", format!("{ACCESS}.eyJleHAiOjF9.{RENEWED}"));
    heard.error(&TokenFile::new(jwt).cached().token().await.expect_err("expired"));
    let server = TestServer::builder().build();
    for text in [format!("{CLIENT_SECRET}\nx"), format!("{CLIENT_SECRET}\0")] {
        let path = folder.write("secret", text);
        let client =
            client(HttpClient::new(server.authorization_service()), ClientAuth::secret_post(Secret::file(path)));
        heard.error(&client.client_credentials().fetch().await.expect_err("unusable"));
    }
    let secret = Secret::from_fn(|| async { Ok(format!("{CLIENT_SECRET}\n")) });
    let client = client(HttpClient::new(server.authorization_service()), ClientAuth::secret_post(secret));
    heard.error(&client.client_credentials().fetch().await.expect_err("unusable"));
    heard.error(&AccessToken::bearer(&format!("{ACCESS} {ACCESS}")).expect_err("unusable"));
    heard.assert_no_secret();
}
