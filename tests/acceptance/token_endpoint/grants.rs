//! The client-credentials grant: what arrives, to the letter.

use http::{Method, header};
use oauth_test_server::{Endpoint, TestServer};
use oauth_tokens::TokenSource;
use tests::canned::{Canned, token};

use super::{TOKEN_ENDPOINT, client_at, client_of};

#[tokio::test]
async fn grants_client_credentials_arrive_as_they_were_asked_for() {
    let canned = Canned::always(token("t0k3n"));
    let tokens = client_at(&canned)
        .client_credentials()
        .scope("orders.read  orders.write")
        .scope("stock")
        .resource("https://api.example.com/orders?v=1")
        .resource("urn:example:stock")
        .audience("https://aud.example.com/")
        .param("tenant", "4 2&x=y")
        .param("login_hint", "ü")
        .cached()
        .expect("a request");
    assert_eq!(tokens.token().await.expect("a token").secret(), "t0k3n");

    let requests = canned.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, TOKEN_ENDPOINT));
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert_eq!(request.headers()[header::ACCEPT], "application/json");
    assert_eq!(
        canned.bodies()[0],
        "grant_type=client_credentials\
         &scope=orders.read%20orders.write%20stock\
         &resource=https%3A%2F%2Fapi.example.com%2Forders%3Fv%3D1\
         &resource=urn%3Aexample%3Astock\
         &audience=https%3A%2F%2Faud.example.com%2F\
         &tenant=4%202%26x%3Dy\
         &login_hint=%C3%BC"
    );
}

#[tokio::test]
async fn grants_nothing_asked_for_is_nothing_sent() {
    let canned = Canned::always(token("t"));
    client_at(&canned).client_credentials().scope("").fetch().await.expect("a token");
    assert_eq!(canned.bodies(), ["grant_type=client_credentials"]);
}

#[tokio::test]
async fn grants_a_form_decoder_that_nobody_here_wrote_reads_them_back() {
    let server = TestServer::builder().build();
    let request = client_of(&server).client_credentials().scope("api").param("odd:name/+[1]", "1 + 1 = 2 % ü&;");
    request.fetch().await.expect("a token");
    let requests = server.requests_to(Endpoint::Token);
    assert_eq!(requests[0].form_value("scope").as_deref(), Some("api"));
    assert_eq!(requests[0].form_value("odd:name/+[1]").as_deref(), Some("1 + 1 = 2 % ü&;"));
}

#[tokio::test]
async fn grants_what_the_server_granted_is_in_the_token_set() {
    let server = TestServer::builder().refresh_tokens(true).build();
    server.set_token_response("scope", "api less");
    server.set_token_response("id_token", "e30.e30.");
    let tokens = client_of(&server).client_credentials().scope("api more").fetch().await;
    // The test server refuses scopes that the client may not have: the server's word is kept, permanent.
    let error = tokens.expect_err("`more` is not allowed");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_scope"));
    assert!(!error.is_transient());

    let tokens = client_of(&server).client_credentials().scope("api").fetch().await.expect("a token set");
    assert_eq!(tokens.scope.as_deref(), Some("api less"));
    assert!(tokens.refresh_token.is_some());
    assert_eq!(tokens.id_token.as_deref().map(String::as_str), Some("e30.e30."));
}
