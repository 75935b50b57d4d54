//! The sign-in: state, nonce, verifier, code and tokens, at TRACE, against servers that echo whatever they get.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use oauth_test_server::{Client, Endpoint, TestServer};
use oauth_tokens::{AuthorizationServer, Callback, ClientAuth, HttpClient, PendingSignIn, SignInRequest, TokenClient};
use serde_json::{Value, json};
use tests::canned::{self, Canned};

use super::{ACCESS, CLIENT_SECRET, Heard, ID_TOKEN, REFRESH};

const REDIRECT: &str = "https://app.test/callback";
const CODE: &str = "pl4nt3d-code";

fn client_at(http: HttpClient, issuer: &str) -> TokenClient {
    AuthorizationServer::via(http)
        .issuer(issuer)
        .and_then(|at| at.client("app", ClientAuth::secret_post(CLIENT_SECRET)))
        .expect("a client")
}

/// Everything that can be printed before the browser leaves, and what was made up for it.
async fn begin(request: &SignInRequest, heard: &mut Heard) -> Option<(String, PendingSignIn)> {
    heard.value(request);
    let started = match request.begin().await {
        Ok(started) => started,
        Err(error) => {
            heard.error(&error);
            return None;
        }
    };
    heard.value(&started);
    heard.value(started.pending());
    let kept = serde_json::to_value(started.pending()).expect("serialised");
    // State, nonce and verifier.
    heard.forbidden.extend((1..=3).map(|at| kept[at].as_str().expect("a secret").to_owned()));
    Some(started.into_parts())
}

async fn finish(client: &TokenClient, pending: PendingSignIn, query: &str, heard: &mut Heard) -> bool {
    let callback = match Callback::from_query(query) {
        Ok(callback) => callback,
        Err(error) => {
            heard.error(&error);
            return false;
        }
    };
    heard.value(&callback);
    match client.finish_sign_in(pending, &callback).await {
        Ok(signed_in) => {
            heard.value(&signed_in);
            heard.value(&signed_in.id_token);
            heard.value(&signed_in.into_tokens());
            true
        }
        Err(error) => {
            heard.error(&error);
            false
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s1_a_sign_in_that_succeeds_shows_no_secret() {
    let app = Client::new("app").secret(CLIENT_SECRET).scopes(["openid", "api"]).redirect_uri(REDIRECT);
    let server = TestServer::builder().client(app).refresh_tokens(true).build();
    let client = client_at(HttpClient::new(server.authorization_service()), server.issuer());
    for pushed in [false, true] {
        let mut heard = Heard::start();
        let mut request = client.sign_in(REDIRECT).scope("openid api").login_hint("pl4nt3d").param("hint", "pl4nt3d");
        if pushed {
            request = request.pushed();
        }
        let (url, pending) = begin(&request, &mut heard).await.expect("begun");
        let pushed_uri = url.split("request_uri=").nth(1).map(str::to_owned);
        heard.forbidden.extend(pushed_uri);
        let back = server.authorize(&url, "alice").await.expect("a callback");
        let query = back.split_once('?').expect("a query").1;
        let code = query.split('&').find_map(|pair| pair.strip_prefix("code=")).expect("a code");
        heard.forbidden.push(code.to_owned());
        let signed_in = client.finish_sign_in(pending.clone(), &Callback::from_query(query).expect("a callback")).await;
        let signed_in = signed_in.expect("signed in");
        heard.forbidden.push(signed_in.tokens.access_token.secret().to_owned());
        let id_token = signed_in.id_token.as_ref().expect("an ID token").as_str();
        heard.forbidden.extend(id_token.split('.').map(str::to_owned));
        heard.value(&signed_in);
        // Replayed: an error, which the server explains.
        assert!(!finish(&client, pending, query, &mut heard).await);
        heard.assert_no_secret();
        assert!(heard.capture.text().contains("grant=authorization_code"), "the capture heard of it");
    }
    assert_eq!(server.requests_to(Endpoint::Token).len(), 4);
}

fn metadata() -> Value {
    json!({
        "issuer": "https://id.test",
        "authorization_endpoint": "https://id.test/authorize?key=pl4nt3d-key",
        "token_endpoint": "https://id.test/token",
        "pushed_authorization_request_endpoint": "https://id.test/par",
    })
}

/// All that a request said, as a server may repeat it.
fn echo(request: &Request<Bytes>) -> String {
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let values: Vec<_> = reqwest::Url::parse(&format!("https://form.test/?{body}"))
        .expect("a form")
        .query_pairs()
        .map(|(name, value)| format!("{name} was '{value}'"))
        .collect();
    format!("{body} | {}", values.join(" | "))
}

type Echo = fn(&str) -> Response<Bytes>;

const ECHOES: [Echo; 8] = [
    |text| canned::json(400, json!({ "error": text }).to_string()),
    |text| canned::json(400, json!({ "error": "invalid_grant", "error_description": text }).to_string()),
    |text| canned::json(401, json!({ "error": "invalid_client", "error_uri": text }).to_string()),
    |text| canned::json(400, json!({ "error": "use_dpop_nonce", "trace": text, "list": [text] }).to_string()),
    |text| canned::json(503, json!({ "error": "temporarily_unavailable", "error_description": text }).to_string()),
    |text| canned::json(500, text),
    |text| canned::json(200, text),
    |text| {
        let tokens = json!({
            "access_token": ACCESS, "refresh_token": REFRESH, "id_token": ID_TOKEN, "token_type": "Bearer", "scope": text,
        });
        canned::json(200, tokens.to_string())
    },
];

#[tokio::test(start_paused = true)]
async fn s1_a_sign_in_at_a_server_that_echoes_shows_no_secret() {
    for echoes in ECHOES {
        for is_openid in [false, true] {
            let known = Arc::new(Mutex::new(String::new()));
            let canned = Canned::new({
                let known = Arc::clone(&known);
                move |request| match request.uri().path() {
                    "/par" | "/token" => echoes(&format!("{} {}", echo(request), known.lock().expect("text"))),
                    _ => canned::json(200, metadata().to_string()),
                }
            });
            let client = client_at(canned.http(), "https://id.test");
            let mut heard = Heard::start();
            let mut request = client.sign_in(REDIRECT).scope("orders").login_hint("pl4nt3d").param("hint", "pl4nt3d");
            if is_openid {
                request = request.scope("openid");
            }
            let (url, pending) = begin(&request, &mut heard).await.expect("begun");
            // What the server's page was told, its token endpoint knows.
            let told = url.split('&').filter(|pair| pair.starts_with("state=") || pair.starts_with("nonce="));
            *known.lock().expect("text") = told.collect::<Vec<_>>().join("&");
            let query = format!("code={CODE}&state={}", pending.state());
            finish(&client, pending, &query, &mut heard).await;
            assert!(begin(&request.pushed(), &mut heard).await.is_none(), "no answer to a pushed request");
            heard.forbidden.extend(pushed_secrets(&canned));
            heard.assert_no_secret();
        }
    }
}

/// State, nonce and challenge of a pushed request.
fn pushed_secrets(canned: &Canned) -> Vec<String> {
    let pushed = canned.requests().into_iter().filter(|request| request.uri().path() == "/par");
    let bodies = pushed.map(|request| String::from_utf8_lossy(request.body()).into_owned());
    let is_secret = |pair: &&str| ["state=", "nonce=", "code_challenge="].iter().any(|name| pair.starts_with(name));
    let values = |body: String| -> Vec<String> {
        body.split('&').filter(is_secret).filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())).collect()
    };
    bodies.flat_map(values).collect()
}

/// The browser comes back with what somebody has put into the URL.
#[tokio::test(start_paused = true)]
async fn s1_callbacks_that_are_refused_show_no_secret() {
    let canned = Canned::always(canned::json(200, metadata().to_string()));
    let client = client_at(canned.http(), "https://id.test");
    let templates = [
        "code=pl4nt3d&state=pl4nt3d",
        "code=pl4nt3d&state=$S&iss=pl4nt3d",
        "code=pl4nt3d&state=$S&state=$S",
        "code=pl4nt3d&code=pl4nt3d&state=$S",
        "code=pl4nt3d%ff&state=$S",
        "code=pl4nt3d%0a&state=$S",
        "code=pl4nt3d&error=pl4nt3d&state=$S",
        "access_token=pl4nt3d&state=$S",
        "id_token=pl4nt3d&code=pl4nt3d&state=$S",
        "pl4nt3d=pl4nt3d",
        "error=$S&error_description=$S+$N+$V&error_uri=$N&state=$S",
        "error=access_denied&error_description=state%3D$S%26nonce%3D$N&state=$S",
        "error=login_required&error_description=%27$V%27&state=$S",
    ];
    for template in templates {
        let mut heard = Heard::start();
        let (_, pending) = begin(&client.sign_in(REDIRECT), &mut heard).await.expect("begun");
        let mut query = template.to_owned();
        for (name, secret) in ["$S", "$N", "$V"].into_iter().zip(heard.forbidden.clone()) {
            query = query.replace(name, &secret);
        }
        assert!(!finish(&client, pending, &query, &mut heard).await, "{template}");
        heard.assert_no_secret();
    }
}
