use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oauth_test_server::{Client, ClientAuthMethod, TestServer};

use super::*;

const GRANT: &str = "grant_type=client_credentials";

async fn basic(server: &TestServer, credentials: &str, parameters: &str) -> Answer {
    let mut request = form(server.token_endpoint(), parameters);
    let value = format!("Basic {}", STANDARD.encode(credentials));
    request.headers_mut().append("authorization", value.parse().unwrap());
    authorize(server, request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn basic_credentials_are_form_decoded() {
    let server = TestServer::builder().client(Client::new("odd id:1/+%").secret("p w:2/+%é")).build();
    for (credentials, status) in [
        ("odd%20id%3A1%2F%2B%25:p%20w%3A2%2F%2B%25%C3%A9", 200),
        ("odd+id%3a1/%2b%25:p+w%3a2/%2b%25%c3%a9", 200),
        ("odd%20id%3A1%2F%2B%25:p%20w:2%2F%2B%25%C3%A9", 200),
        ("odd id:1/+%:p w:2/+%é", 401),
        ("odd%20id%3A1%2F%2B%25:p%20w%3A2%2F+%25%C3%A9", 401),
        ("odd%20id%3A1%2F%2B%25", 401),
        ("%:x", 401),
    ] {
        let answer = basic(&server, credentials, GRANT).await;
        assert_eq!(answer.status.as_u16(), status, "{credentials}");
    }
}

#[tokio::test(start_paused = true)]
async fn raw_basic_is_a_switch_of_the_client() {
    let server = TestServer::builder().client(Client::new("raw:id").secret("a+b%2B:c").raw_basic()).build();
    assert_eq!(basic(&server, "raw:id:a+b%2B:c", GRANT).await.status, 200);
    let encoded = basic(&server, "raw%3Aid:a%2Bb%252B%3Ac", GRANT).await;
    encoded.assert_error(401, "invalid_client");
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials() {
    let server = TestServer::builder().client(m2m()).build();
    let answer = basic(&server, "m2m:wrong", GRANT).await;
    answer.assert_error(401, "invalid_client");
    assert!(answer.header("www-authenticate").starts_with("Basic "));
    assert_eq!(answer.header("cache-control"), "no-store");
    basic(&server, "nobody:secret", GRANT).await.assert_error(401, "invalid_client");

    for auth in [
        "",
        "client_id=nobody&client_secret=secret",
        "client_id=m2m&client_secret=wrong",
        "client_id=m2m",
        "client_secret=secret",
        "client_id=m2m&client_assertion=a.b.c",
    ] {
        let answer = token(&server, &format!("{GRANT}&{auth}")).await;
        answer.assert_error(401, "invalid_client");
    }
    let mut request = form(server.token_endpoint(), GRANT);
    let bearer = "Bearer bTJtOnNlY3JldA==".parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    authorize(&server, request).await.unwrap().assert_error(401, "invalid_client");
}

#[tokio::test(start_paused = true)]
async fn never_two_authentications() {
    let server = TestServer::builder().client(m2m()).build();
    let both = format!("{GRANT}&client_id=m2m&client_secret=secret");
    basic(&server, "m2m:secret", &both).await.assert_error(400, "invalid_request");

    // Its own id in the form beside Basic is no second authentication, another's is nonsense.
    let own = format!("{GRANT}&client_id=m2m");
    assert_eq!(basic(&server, "m2m:secret", &own).await.status, 200);
    let other = format!("{GRANT}&client_id=other");
    basic(&server, "m2m:secret", &other).await.assert_error(400, "invalid_request");

    let mut request = form(server.token_endpoint(), GRANT);
    for _ in 0..2 {
        let value = format!("Basic {}", STANDARD.encode("m2m:secret"));
        request.headers_mut().append("authorization", value.parse().unwrap());
    }
    authorize(&server, request).await.unwrap().assert_error(400, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn only_registered_methods() {
    let by = |method| m2m().auth_methods([method]);
    let post = format!("{GRANT}&client_id=m2m&client_secret=secret");

    let server = TestServer::builder().client(by(ClientAuthMethod::ClientSecretBasic)).build();
    assert_eq!(basic(&server, "m2m:secret", GRANT).await.status, 200);
    token(&server, &post).await.assert_error(401, "invalid_client");

    let server = TestServer::builder().client(by(ClientAuthMethod::ClientSecretPost)).build();
    assert_eq!(token(&server, &post).await.status, 200);
    basic(&server, "m2m:secret", GRANT).await.assert_error(401, "invalid_client");
}

#[tokio::test(start_paused = true)]
async fn a_secret_can_change_at_run_time() {
    let server = TestServer::builder().build();
    server.set_secret("m2m", "new");
    server.set_secret("nobody", "new");
    token(&server, CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");
    assert_eq!(basic(&server, "m2m:new", GRANT).await.status, 200);
}
