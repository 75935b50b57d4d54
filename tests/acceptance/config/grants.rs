//! `[grant]` beyond client credentials, and what an API may demand of the next token.

use oauth_test_server::{Algorithm, Client, Requirement, TestKey, TestServer, TrustedIssuer};
use serde_json::{Value, json};
use tests::support::TempFolder;
use tower_oauth::OAuthConfig;

use super::{build, call, client, config, minimal, server, token_requests, toml, with};

const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:";

fn granting(grant: Value) -> OAuthConfig {
    config(with(minimal(), "grant", grant))
}

/// These parameters of the last token request, if they are there.
fn sent(server: &TestServer, names: &[&str]) -> Vec<Option<String>> {
    let request = token_requests(server).pop().expect("a request");
    names.iter().map(|name| request.form_value(name)).collect()
}

#[tokio::test(start_paused = true)]
async fn token_exchange_of_subject_and_actor() {
    let folder = TempFolder::new();
    let server = server();
    let (alice, agent) =
        (server.issue_access_token_for("alice", "m2m", "read"), server.issue_access_token("m2m", "read"));
    let subject = json!({ "file": folder.write("subject", &alice).to_str() });
    let actor = json!({ "file": folder.write("actor", format!("{agent}\n")).to_str() });
    let names = ["subject_token_type", "actor_token", "actor_token_type", "requested_token_type"];
    let uri = |word: &str| Some(format!("{TOKEN_TYPE}{word}"));
    let exchange = json!({ "type": "token_exchange", "subject_token": subject });
    let acting = with(exchange.clone(), "actor_token", actor);
    let cases = [
        (exchange.clone(), [uri("access_token"), None, None, None]),
        (with(exchange.clone(), "subject_token_type", json!("access_token")), [uri("access_token"), None, None, None]),
        (
            with(exchange, "requested_token_type", json!(format!("{TOKEN_TYPE}access_token"))),
            [uri("access_token"), None, None, uri("access_token")],
        ),
        (acting.clone(), [uri("access_token"), Some(agent.clone()), uri("access_token"), None]),
        (
            with(acting, "actor_token_type", json!(format!("{TOKEN_TYPE}access_token"))),
            [uri("access_token"), Some(agent.clone()), uri("access_token"), None],
        ),
    ];
    for (grant, expected) in cases {
        let configured = build(&granting(grant.clone()), &server);
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200, "{grant}");
        assert_eq!(sent(&server, &names), expected, "{grant}");
        assert_eq!(sent(&server, &["subject_token"]), [Some(alice.clone())]);
    }
}

#[tokio::test(start_paused = true)]
async fn token_types_by_word_and_by_uri() {
    let folder = TempFolder::new();
    let file = folder.write("subject", "t");
    let canned = tests::canned::Canned::always(tests::canned::token("t"));
    let words = ["access_token", "refresh_token", "id_token", "jwt", "saml1", "saml2"];
    let words = words.map(|word| (word.to_owned(), format!("{TOKEN_TYPE}{word}")));
    let uris = [format!("{TOKEN_TYPE}jwt"), "https://types.example.com/ticket".to_owned()];
    for (written, uri) in words.into_iter().chain(uris.map(|uri| (uri.clone(), uri))) {
        let grant = json!({
            "type": "token_exchange",
            "subject_token": { "file": file.to_str() },
            "subject_token_type": written,
            "actor_token": { "file": file.to_str() },
            "actor_token_type": written,
            "requested_token_type": written,
        });
        let settings =
            with(with(minimal(), "grant", grant), "server", json!({ "token_endpoint": "https://id.test/t" }));
        let configured = config(settings).build_via(canned.http()).expect("a layer");
        configured.ready().await.expect("a token");
        let form = String::from_utf8_lossy(canned.requests().last().expect("a request").body()).into_owned();
        let encoded = uri.replace(':', "%3A").replace('/', "%2F");
        assert_eq!(form.matches(&format!("_type={encoded}")).count(), 3, "{written}: {form}");
    }
}

/// T15: what is handed in is read anew for each exchange.
#[tokio::test(start_paused = true)]
async fn t15_tokens_to_be_handed_in_may_change() {
    let folder = TempFolder::new();
    let partner = TestKey::generate(Algorithm::Es256);
    let assertion = |id: &str| {
        let claims = json!({
            "iss": "https://partner.test", "sub": "alice", "aud": "https://id.test", "exp": 4_000_000_000_u64, "jti": id,
        });
        partner.sign(&claims)
    };
    let server = TestServer::builder()
        .trusted_issuer(TrustedIssuer::new("https://partner.test").key(&partner).single_use())
        .client(client())
        .build();
    let file = folder.path("token");
    let place = json!({ "file": file.to_str() });
    let grants = [
        (json!({ "type": "jwt_bearer", "assertion": place }), "assertion"),
        (json!({ "type": "token_exchange", "subject_token": place, "subject_token_type": "jwt" }), "subject_token"),
    ];
    for (grant, name) in grants {
        let configured = build(&granting(grant), &server);
        for number in 0..2 {
            let assertion = assertion(&format!("{name}-{number}"));
            folder.write("token", format!("{assertion}\n"));
            assert_eq!(call(&configured, &server, "https://api.test/").await, 200, "{name}");
            assert_eq!(sent(&server, &[name]), [Some(assertion)]);
            server.revoke_access_tokens();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_to_be_handed_in_by_variables() {
    let server = server();
    let alice = server.issue_access_token_for("alice", "m2m", "read");
    let secret = std::env::var("PATH").expect("a variable");
    let variables = [
        ("APP__SERVER__ISSUER", "https://id.test"),
        ("APP__CLIENT__ID", "m2m"),
        ("APP__CLIENT__SECRET", &secret),
        ("APP__ORIGINS", "https://api.test"),
        ("APP__GRANT__TYPE", "token_exchange"),
        ("APP__GRANT__SUBJECT_TOKEN", &alice),
        ("APP__GRANT__ACTOR_TOKEN__ENV", "ACTOR"),
        ("ACTOR", &alice),
    ];
    let config = OAuthConfig::from_vars("APP", variables).expect("variables");
    assert!(!format!("{config:?}").contains(&alice), "{config:?}");
    assert_eq!(call(&build(&config, &server), &server, "https://api.test/").await, 200);
    assert_eq!(sent(&server, &["subject_token", "actor_token"]), [Some(alice.clone()), Some(alice)]);
}

#[tokio::test(start_paused = true)]
async fn authorization_details_in_every_form() {
    let details = json!([
        { "type": "payment", "amount": 10, "exact": true, "limit": 1.5, "to": { "iban": ["DE02", null] } },
        { "type": "account", "left": -1 },
    ]);
    // TOML has no null.
    let table = r#"
        origins = ["https://api.test"]
        server.issuer = "https://id.test"
        client = { id = "m2m", secret = { env = "PATH" } }
        [[grant.authorization_details]]
        type = "payment"
        amount = 10
        exact = true
        limit = 1.5
        to = { iban = ["DE02"] }
        [[grant.authorization_details]]
        type = "account"
        left = -1
    "#;
    let without_null = with(details.clone(), "0/to/iban", json!(["DE02"]));
    let in_text = json!({ "authorization_details": details.to_string() });
    let variables = ["TYPE", "AMOUNT"].map(|name| format!("APP__GRANT__AUTHORIZATION_DETAILS__0__{name}"));
    let secret = std::env::var("PATH").expect("a variable");
    let variables = [
        ("APP__SERVER__ISSUER", "https://id.test"),
        ("APP__CLIENT__ID", "m2m"),
        ("APP__CLIENT__SECRET", &secret),
        ("APP__ORIGINS", "https://api.test"),
        (&variables[0], "payment"),
        (&variables[1], "10"),
    ];
    let cases = [
        (granting(json!({ "authorization_details": details })), details),
        (
            granting(in_text),
            json!([{ "type": "payment", "amount": 10, "exact": true, "limit": 1.5, "to": { "iban": ["DE02", null] } }, { "type": "account", "left": -1 }]),
        ),
        (toml(table), without_null),
        (OAuthConfig::from_vars("APP", variables).expect("variables"), json!([{ "type": "payment", "amount": "10" }])),
    ];
    for (settings, expected) in cases {
        settings.validate().expect("valid settings");
        let server = server();
        build(&settings, &server).ready().await.expect("a token");
        let [Some(text)] = &sent(&server, &["authorization_details"])[..] else { panic!("{expected}") };
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), expected);
        assert!(!format!("{settings:?}").contains("payment"), "{settings:?}");
    }

    // An origin asks for its own, or for none.
    for (own, expected) in [(json!([{ "type": "b" }]), Some(json!([{ "type": "b" }]))), (json!([]), None)] {
        let server = server();
        let origins = json!([{ "url": "https://api.test", "authorization_details": own }]);
        let settings = with(minimal(), "grant", json!({ "authorization_details": [{ "type": "a" }] }));
        build(&config(with(settings, "origins", origins)), &server).ready().await.expect("a token");
        assert_eq!(sent(&server, &["authorization_details"]), [expected.map(|details| details.to_string())]);
    }
}

/// R14: within the ceiling of the settings, and for this one request.
#[tokio::test(start_paused = true)]
async fn r14_policy_step_up_scopes() {
    let cases = [
        (json!(null), "https://api.test/write", 403, None),
        (json!(["write"]), "https://api.test/write", 200, Some("read write")),
        (json!("admin write"), "https://api.test/write", 200, Some("read write")),
        (json!(["admin"]), "https://api.test/write", 403, None),
        // The other origin asks for something else, and shares its tokens with a third.
        (json!(["write"]), "https://two.test/write", 200, Some("stock write")),
        (json!(["write"]), "https://three.test/write", 200, Some("stock write")),
    ];
    let origins = json!([
        "https://api.test",
        { "url": "https://two.test", "scope": "stock" },
        { "url": "https://three.test", "same_token_as": "https://two.test" },
    ]);
    for (scopes, url, status, asked) in cases {
        let server = TestServer::builder().client(client().scopes(["read", "write", "stock", "admin"])).build();
        server.require("/write", Requirement::Scope("write".to_owned()));
        let settings = with(with(minimal(), "grant", json!({ "scope": "read" })), "origins", origins.clone());
        let configured = build(&config(with(settings, "policy", json!({ "step_up_scopes": scopes }))), &server);
        assert_eq!(call(&configured, &server, url).await, status, "{scopes} {url}");
        if let Some(asked) = asked {
            assert_eq!(sent(&server, &["scope"]), [Some(asked.to_owned())], "{url}");
        }
        let exchanges = if asked.is_some() { 2 } else { 1 };
        assert_eq!(token_requests(&server).len(), exchanges);
        // The tokens of the settings stay as they are.
        assert_eq!(call(&configured, &server, &url.replace("/write", "/read")).await, 200);
        assert_eq!(token_requests(&server).len(), exchanges);
    }
}

/// R14: claims that an API asks for are asked of the server only when the settings say so.
#[tokio::test(start_paused = true)]
async fn r14_claims_challenges() {
    for (accepted, status) in [(json!(null), 401), (json!(false), 401), (json!(true), 200)] {
        let server = TestServer::builder().client(Client::new("m2m").secret("s").scopes(["read"])).build();
        let claims = json!({ "access_token": { "nbf": { "essential": true, "value": "1604106651" } } });
        server.require("/", Requirement::Claims(claims.clone()));
        let folder = TempFolder::new();
        let settings = with(minimal(), "client/secret", json!({ "file": folder.write("secret", "s").to_str() }));
        let settings = with(settings, "grant", json!({ "accept_claims_challenges": accepted }));
        let configured = build(&config(settings), &server);
        assert_eq!(call(&configured, &server, "https://api.test/").await, status, "{accepted}");
        let last = sent(&server, &["claims"]).remove(0);
        let last = last.map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
        assert_eq!(last, (status == 200).then_some(claims), "{accepted}");
    }
}
