//! Users who signed in: the layer over their tokens (F14, R3, R15).

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use oauth_test_server::{Client, Endpoint, Fault, TestServer};
use oauth_tokens::{AccessToken, AuthorizationServer, ClientAuth, HttpClient, TokenSet, UserTokens};
use tests::script::authorization;
use tower::ServiceExt;
use tower_oauth::{Error, ErrorKind, OAuthLayer};

use super::{API, told};

fn server() -> TestServer {
    let app = Client::new("app").secret("secret").scopes(["api"]).grant_types(["refresh_token"]);
    TestServer::builder().client(app).rotate_refresh_tokens(true).build()
}

fn users(server: &TestServer) -> UserTokens<String> {
    let client = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|at| at.client("app", ClientAuth::secret_basic("secret")));
    UserTokens::new(client.expect("settings"))
}

/// The access token that a sign-in brought.
async fn sign_in(server: &TestServer, users: &UserTokens<String>, user: &str) -> AccessToken {
    let access = AccessToken::bearer(&server.issue_access_token("app", "api")).expect("a token");
    let mut tokens = TokenSet::new(access.clone()).expiring_in(Duration::from_secs(3600));
    tokens.refresh_token = Some(server.issue_refresh_token("app", "api").into());
    users.sign_in(&user.to_owned(), tokens).await.expect("saved");
    access
}

#[tokio::test(start_paused = true)]
async fn f14_a_users_requests_have_that_users_tokens() {
    let (server, url) = (server(), "/things");
    let users = users(&server);
    let crm = OAuthLayer::keyed(server.api_origin(), &users).expect("an origin").layer(server.api_service());
    let call = async |user: &str| {
        let request = Request::get(server.api_url(url)).body(Full::<Bytes>::default()).expect("a request");
        crm.key(user.to_owned()).oneshot(request).await
    };
    let sent = || {
        let last = server.requests_to(Endpoint::Api).pop().expect("it was sent");
        authorization(&last.headers)
    };

    let mut tokens = Vec::new();
    for user in ["alice", "bob"] {
        let token = sign_in(&server, &users, user).await;
        assert_eq!(told(&call(user).await.expect("a response")), (200, "-".to_owned()));
        assert_eq!(sent(), format!("Bearer {}", token.secret()), "{user}");
        tokens.push(token);
    }

    // A dead token of hers is renewed by her refresh token, and his is left alone.
    server.api_faults().push(1, Fault::unauthorized());
    let before = server.counters().token_requests;
    assert_eq!(told(&call("alice").await.expect("a response")), (200, "Retried".to_owned()));
    assert!(tokens.iter().all(|token| sent() != format!("Bearer {}", token.secret())));
    assert_eq!(server.counters().token_requests - before, 1);

    // Who signed out, or never signed in, has no token, and nobody else's either.
    users.forget(&"alice".to_owned()).await.expect("deleted");
    let before = server.counters().api_requests;
    for user in ["alice", "mallory", "Bob", "bob "] {
        let error = call(user).await.map(drop).expect_err("signed out");
        let error = error.downcast::<Error>().expect("ours");
        let cause = error.token_error().map(oauth_tokens::Error::kind);
        assert_eq!((error.kind(), cause), (ErrorKind::NoToken, Some(oauth_tokens::ErrorKind::SignInRequired)));
    }
    assert_eq!(server.counters().api_requests, before);
    assert_eq!(told(&call("bob").await.expect("a response")), (200, "-".to_owned()));
    assert_eq!(sent(), format!("Bearer {}", tokens[1].secret()));
}

#[tokio::test]
async fn r15_users_tokens_at_two_origins_have_to_be_said() {
    let users = users(&server());
    let layer = OAuthLayer::keyed_by_extension::<String>(API, &users).expect("an origin");
    let error = layer.origin_keyed_by_extension::<String>("https://other.test", &users).expect_err("R15");
    assert_eq!(error.kind(), ErrorKind::Config);
}
