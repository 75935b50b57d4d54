//! Each setting has its effect.

use http::{Request, StatusCode, header::AUTHORIZATION};
use http_body_util::Empty;
use oauth_test_server::{Endpoint, Fault};
use serde_json::json;
use tests::support::TempFolder;
use tower::ServiceExt;
use tower_oauth::{Error, ErrorKind};

use super::{api, build, call, config, minimal, server, token_requests, tokens_sent, with};

#[tokio::test(start_paused = true)]
async fn server_endpoints() {
    let cases = [
        ("discovered", json!({ "issuer": "https://id.test" }), 1),
        ("given", json!({ "token_endpoint": "https://id.test/token" }), 0),
        ("overridden", json!({ "issuer": "https://id.test", "override_token_endpoint": "https://id.test/token" }), 0),
        ("plain http", json!({ "token_endpoint": "http://id.test/token", "dangerously_allow_plain_http": true }), 0),
    ];
    for (name, table, discoveries) in cases {
        let server = server();
        let configured = build(&config(with(minimal(), "server", table)), &server);
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200, "{name}");
        assert_eq!(server.counters().discovery_requests, discoveries, "{name}");
        let scheme = if name == "plain http" { "http" } else { "https" };
        assert_eq!(token_requests(&server)[0].uri.scheme_str(), Some(scheme), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn server_whose_metadata_name_another_issuer() {
    for accepted in [None, Some("https://other.test")] {
        let server = server();
        server.set_metadata("issuer", "https://other.test");
        let table = json!({ "issuer": "https://id.test", "accept_metadata_issuer": accepted });
        let configured = build(&config(with(minimal(), "server", table)), &server);
        let ready = configured.ready().await;
        assert_eq!(ready.is_ok(), accepted.is_some(), "{ready:?}");
    }
}

/// T15: a file with the client's secret is read anew for each exchange.
#[tokio::test(start_paused = true)]
async fn t15_client_secret_in_a_file_may_change() {
    let folder = TempFolder::new();
    let file = folder.path("secret");
    let server = server();
    let secret = json!({ "file": file.to_str() });
    let configured = build(&config(with(minimal(), "client/secret", secret)), &server);
    for secret in ["one", "two\r\n"] {
        server.set_secret("m2m", secret.trim());
        std::fs::write(&file, secret).expect("a file");
        server.revoke_access_tokens();
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200, "{secret:?}");
    }
}

/// T10: a rotated refresh token takes the place of the one in the settings, for as long as the program runs.
#[tokio::test(start_paused = true)]
async fn t10_refresh_token_from_a_file_rotates_in_memory() {
    let folder = TempFolder::new();
    let server = server();
    let file = folder.write("token", format!("{}\n", server.issue_refresh_token("m2m", "read")));
    let grant = json!({ "type": "refresh_token", "token": { "file": file.to_str() } });
    let origins = json!(["https://api.test", { "url": "https://two.test", "same_token_as": "https://api.test" }]);
    let settings = with(with(minimal(), "grant", grant), "origins", origins);
    let configured = build(&config(settings), &server);
    for renewals in 1..=3 {
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200);
        assert_eq!(call(&configured, &server, "https://two.test/").await, 200);
        assert_eq!(token_requests(&server).len(), renewals);
        server.revoke_access_tokens();
    }
    assert_eq!(server.counters().refresh_reuse_detected, 0);
}

#[tokio::test(start_paused = true)]
async fn origins_ask_for_their_own_or_for_the_grants() {
    let grant =
        json!({ "scope": "read", "resource": "urn:grant", "audience": "grant", "parameters": { "p": "grant" } });
    let cases = [
        (json!({}), "read", Some("urn:grant"), "grant", Some("grant")),
        (json!({ "scope": "write" }), "write", Some("urn:grant"), "grant", Some("grant")),
        (json!({ "resource": ["urn:own"] }), "read", Some("urn:own"), "grant", Some("grant")),
        (json!({ "audience": "own" }), "read", Some("urn:grant"), "own", Some("grant")),
        (json!({ "parameters": { "p": "own" } }), "read", Some("urn:grant"), "grant", Some("own")),
        (json!({ "parameters": {}, "resource": [] }), "read", None, "grant", None),
    ];
    for (origin, scope, resource, audience, parameter) in cases {
        let server = server();
        let origin = with(origin, "url", json!("https://api.test"));
        let settings = with(with(minimal(), "grant", grant.clone()), "origins", json!([origin]));
        build(&config(settings), &server).ready().await.expect("a token");
        let request = &token_requests(&server)[0];
        assert_eq!(request.form_value("scope").as_deref(), Some(scope), "{origin}");
        assert_eq!(request.form_value("resource").as_deref(), resource, "{origin}");
        assert_eq!(request.form_value("audience").as_deref(), Some(audience), "{origin}");
        assert_eq!(request.form_value("p").as_deref(), parameter, "{origin}");
    }
}

/// R15: origins share a token only when that is said.
#[tokio::test(start_paused = true)]
async fn r15_origins_share_a_token_only_when_told_to() {
    let origins = json!([
        "https://one.test",
        "https://two.test",
        { "url": "https://three.test", "same_token_as": "HTTPS://TWO.test:443/" },
        { "url": "https://four.test", "same_token_as": "https://three.test" },
    ]);
    let server = server();
    let configured = build(&config(with(minimal(), "origins", origins)), &server);
    configured.ready().await.expect("tokens");
    assert_eq!(token_requests(&server).len(), 2);
    for host in ["one", "two", "three", "four", "five"] {
        call(&configured, &server, &format!("https://{host}.test/")).await;
    }
    let sent = tokens_sent(&server);
    assert!(sent[0].is_some() && sent[1].is_some() && sent[0] != sent[1], "{sent:?}");
    assert_eq!((&sent[2], &sent[3], &sent[4]), (&sent[1], &sent[1], &None));
}

#[tokio::test(start_paused = true)]
async fn origins_in_one_string_and_of_plain_http() {
    let server = server();
    let loud = json!([{ "url": "http://api.test", "dangerously_allow_plain_http": "TRUE" }]);
    let cases = [
        (json!("https://api.test"), vec!["https://api.test"]),
        (json!("https://api.test,\n https://two.test/v2"), vec!["https://api.test", "https://two.test/v2"]),
        (json!(["http://127.0.0.1:8080"]), vec!["http://127.0.0.1:8080"]),
        (loud, vec!["http://api.test"]),
    ];
    for (origins, expected) in cases {
        let configured = build(&config(with(minimal(), "origins", origins)), &server);
        let origins: Vec<_> = configured.tokens().map(|(origin, _)| origin.as_str()).collect();
        assert_eq!(origins, expected);
    }
}

/// R4: what is said of a URL is what the layer does.
#[tokio::test(start_paused = true)]
async fn r4_tokens_for_a_url_are_those_that_are_sent() {
    let server = server();
    let origins = json!(["https://api.test", "https://api.test/v2", "https://two.test/v2"]);
    let configured = build(&config(with(minimal(), "origins", origins)), &server);
    configured.ready().await.expect("tokens");
    let urls = [
        "https://api.test/",
        "https://API.test:443/v2",
        "https://api.test/v2/things",
        "https://api.test/v20",
        "https://api.test:8443/",
        "http://api.test/",
        "https://two.test/",
        "https://two.test/v2/x",
        "https://elsewhere.test/",
    ];
    for (index, url) in urls.into_iter().enumerate() {
        call(&configured, &server, url).await;
        let told = configured.tokens_for(&url.parse().expect("a URL"));
        let told = told.map(|tokens| tokens.cached().expect("a token").secret().to_owned());
        assert_eq!(tokens_sent(&server)[index], told, "{url}");
    }
    for url in ["/v2/things", "https://two.test/v2/../v1", "https://user@api.test/"] {
        assert!(configured.tokens_for(&url.parse().expect("a URL")).is_none(), "{url}");
    }
}

/// R1
#[tokio::test(start_paused = true)]
async fn r1_policy_caller_authorization() {
    for (word, refused) in [(None, false), (Some("send"), false), (Some("refuse"), true)] {
        let server = server();
        let settings = with(minimal(), "policy", json!({ "caller_authorization": word }));
        let configured = build(&config(settings), &server);
        let request = Request::get("https://api.test/").header(AUTHORIZATION, "Basic YTpi").body(Empty::new());
        let answer = api(&configured, &server).oneshot(request.expect("a request")).await;
        let error = answer.err().and_then(|error| error.downcast_ref().map(Error::kind));
        assert_eq!(error, refused.then_some(ErrorKind::CallerAuthorization), "{word:?}");
    }
}

/// R6
#[tokio::test(start_paused = true)]
async fn r6_policy_retry_and_other_schemes() {
    let cases = [
        (json!({}), "Bearer", 200),
        (json!({ "retry": "true" }), "Bearer", 200),
        (json!({ "retry": false }), "Bearer", 401),
        (json!({}), "Basic realm=\"api\"", 401),
        (json!({ "renew_on_other_schemes": true }), "Basic realm=\"api\"", 200),
    ];
    for (policy, challenge, status) in cases {
        let server = server();
        server.api_faults().push(1, Fault::Unauthorized { challenge: Some(challenge.to_owned()) });
        let configured = build(&config(with(minimal(), "policy", policy.clone())), &server);
        assert_eq!(call(&configured, &server, "https://api.test/").await, status, "{policy} {challenge}");
    }
}

/// R5
#[tokio::test(start_paused = true)]
async fn r5_policy_single_connection() {
    for single in [false, true] {
        let server = server();
        let configured = build(&config(with(minimal(), "policy", json!({ "single_connection": single }))), &server);
        let request = Request::get("/pkg.Service/Method").body(Empty::new()).expect("a request");
        let answer = api(&configured, &server).oneshot(request).await;
        let error = answer.err().and_then(|error| error.downcast_ref().map(Error::kind));
        assert_eq!(error, (!single).then_some(ErrorKind::NoAuthority));
        assert_eq!(server.counters().api_accepted, u64::from(single));
    }
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_every_origin_at_once() {
    let server = server();
    let origins = json!(["https://one.test", { "url": "https://two.test", "scope": "write" }]);
    let configured = build(&config(with(minimal(), "origins", origins)), &server);
    server.token_faults().push(2, Fault::Hang);
    let ready = tokio::spawn({
        let configured = configured.clone();
        async move { configured.ready().await }
    });
    server.arrived(Endpoint::Token, 2).await;
    ready.abort();

    let server = self::server();
    let origins = json!(["https://one.test", { "url": "https://two.test", "scope": "unknown" }]);
    let configured = build(&config(with(minimal(), "origins", origins)), &server);
    let error = configured.ready().await.expect_err("a scope that is not the client's");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_scope"));
    assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
}
