//! The ID token of a sign-in is kept, and nobody else's takes its place (L4; OpenID Connect Core, section 12.2).

use std::error::Error as _;

use oauth_test_server::{Client, Endpoint, Fault, JwtDraft, TestServer};
use oauth_tokens::{Callback, ErrorKind, SharedStore, SignedIn, UserTokens};
use tests::store::TestStore;

use super::{HOUR, client, process, s, user};

const CALLBACK: &str = "https://app.test/callback";

fn server() -> TestServer {
    let app = Client::new("app").secret("secret").scopes(["openid", "api"]).redirect_uri(CALLBACK);
    TestServer::builder()
        .client(app)
        .refresh_tokens(true)
        .rotate_refresh_tokens(true)
        .token_lifetime(Some(HOUR))
        .build()
}

async fn sign_in(server: &TestServer, name: &str) -> SignedIn {
    let client = client(server);
    let (url, pending) = client.sign_in(CALLBACK).scope("openid api").begin().await.expect("a URL").into_parts();
    let returned = server.authorize(&url, name).await.expect("the user is sent back");
    let query = returned.split_once('?').expect("a query").1;
    client.finish_sign_in(pending, &Callback::from_query(query).expect("a callback")).await.expect("signed in")
}

#[tokio::test(start_paused = true)]
async fn l4_the_id_token_of_the_sign_in_is_kept() {
    let (server, store) = (server(), TestStore::new());
    let users = process(&server, &store);
    assert!(users.id_token(&user("alice")).await.expect("the store answers").is_none());
    let signed_in = sign_in(&server, "alice").await;
    let raw = signed_in.tokens.id_token.as_deref().expect("an ID token").clone();
    users.sign_in(&user("alice"), signed_in).await.expect("saved");

    tokio::time::advance(2 * HOUR).await;
    users.token(&user("alice")).await.expect("renewed");
    // Another process, after a renewal that brought another ID token.
    let kept = process(&server, &store).id_token(&user("alice")).await.expect("the store answers").expect("it is kept");
    assert_eq!((kept.as_str(), kept.subject()), (raw.as_str(), "alice"));

    users.forget(&user("alice")).await.expect("forgotten");
    assert!(users.id_token(&user("alice")).await.expect("the store answers").is_none());
}

#[tokio::test(start_paused = true)]
async fn l4_an_id_token_that_nobody_has_verified_is_not_kept() {
    let server = server();
    let users = UserTokens::new(client(&server));
    users.sign_in(&user("alice"), sign_in(&server, "alice").await.into_tokens()).await.expect("saved");
    assert!(users.id_token(&user("alice")).await.expect("the store answers").is_none());
}

/// A change of a renewal's ID token, by name, and whether it is of the same user then.
type Renewed = (&'static str, fn(&mut JwtDraft), bool);

fn renewed() -> Vec<Renewed> {
    vec![
        ("the same", |_| {}, true),
        ("other claims may change", |jwt| jwt.set_claim("email", "alice@new.test"), true),
        ("it has expired", |jwt| jwt.set_claim("exp", 1), true),
        ("another user", |jwt| jwt.set_claim("sub", "mallory"), false),
        ("letter case", |jwt| jwt.set_claim("sub", "Alice"), false),
        ("another issuer", |jwt| jwt.set_claim("iss", "https://evil.test"), false),
        ("nobody", |jwt| drop(jwt.claims.remove("sub")), false),
        (
            "another user, unsigned",
            |jwt| {
                jwt.set_claim("sub", "mallory");
                jwt.set_header("alg", "none");
            },
            false,
        ),
        (
            "another user, long ago",
            |jwt| {
                jwt.set_claim("sub", "mallory");
                drop(jwt.claims.remove("exp"));
            },
            false,
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn l4_iss_and_sub_do_not_change_on_refresh() {
    for (what, tamper, is_the_same) in renewed() {
        let (server, store) = (server(), TestStore::new());
        let users = process(&server, &store);
        users.sign_in(&user("alice"), sign_in(&server, "alice").await).await.expect("saved");
        tokio::time::advance(2 * HOUR).await;
        server.tamper_id_tokens(tamper);
        let token = users.token(&user("alice")).await;
        assert_eq!(token.is_ok(), is_the_same, "{what}: {token:?}");
        let Err(error) = token else { continue };
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{what}: {error}");
        let cause = error.source().expect("a cause").to_string();
        assert!(cause.contains("another user") && !cause.contains("mallory"), "{what}: {cause}");
        // It is over, and what came is of no use to anybody.
        let error = process(&server, &store).token(&user("alice")).await.expect_err("signed out everywhere");
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{what}");
        server.arrived(Endpoint::Revocation, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l4_a_refresh_token_grant_stays_with_its_user() {
    for (what, tamper, is_the_same) in renewed() {
        let server = server();
        let tokens = sign_in(&server, "alice").await.into_tokens();
        let cache = client(&server).refresh_token(tokens).cached().expect("a cache");
        cache.token().await.expect("the first");
        tokio::time::advance(2 * HOUR).await;
        server.tamper_id_tokens(tamper);
        let token = cache.token().await;
        assert_eq!(token.is_ok(), is_the_same, "{what}: {token:?}");
        let Err(error) = token else { continue };
        assert!(error.to_string().contains("another user") && !error.is_transient(), "{what}: {error}");
        // Not by another attempt, either.
        let asked = server.counters().requests_to(Endpoint::Token);
        tokio::time::advance(HOUR).await;
        cache.token().await.expect_err(what);
        assert_eq!(server.counters().requests_to(Endpoint::Token), asked, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn l4_the_id_token_that_was_verified_is_the_one_that_is_kept() {
    let server = server();
    let users = UserTokens::new(client(&server));
    let mut signed_in = sign_in(&server, "alice").await;
    signed_in.tokens.id_token = sign_in(&server, "mallory").await.tokens.id_token;
    users.sign_in(&user("alice"), signed_in).await.expect("saved");
    assert_eq!(users.id_token(&user("alice")).await.expect("read").expect("kept").subject(), "alice");
}

#[tokio::test(start_paused = true)]
async fn l4_what_is_no_id_token_changes_nothing() {
    let server = server();
    let users = UserTokens::new(client(&server)).store(SharedStore::new(TestStore::new()));
    users.sign_in(&user("alice"), sign_in(&server, "alice").await).await.expect("saved");
    server.set_token_response("id_token", "not.a.token");
    tokio::time::advance(2 * HOUR).await;
    users.token(&user("alice")).await.expect("renewed");
    assert_eq!(users.id_token(&user("alice")).await.expect("read").expect("kept").subject(), "alice");
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_while_it_is_renewed_is_not_revoked() {
    for is_discarded in [true, false] {
        let (server, store) = (server(), TestStore::new());
        let users = process(&server, &store);
        users.sign_in(&user("alice"), sign_in(&server, "alice").await).await.expect("saved");
        tokio::time::advance(2 * HOUR).await;
        server.token_faults().push(1, Fault::Delay(s(2)));
        let asked = server.counters().requests_to(Endpoint::Token);
        let renewal = tokio::spawn({
            let users = users.clone();
            async move { users.token(&user("alice")).await }
        });
        server.arrived(Endpoint::Token, asked + 1).await;
        let revoked = if is_discarded {
            users.discard(&user("alice")).await.expect("deleted");
            0
        } else {
            users.forget(&user("alice")).await.expect("deleted");
            // The tokens that there were; the renewal comes too late to bring others.
            2
        };
        renewal.await.expect("no panic").expect_err("it is of no use any more");
        // A revocation would be under way by then.
        tokio::time::sleep(s(5)).await;
        assert_eq!(server.counters().requests_to(Endpoint::Revocation), revoked, "discarded: {is_discarded}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_is_not_revoked() {
    let (server, store) = (server(), TestStore::new());
    let users = process(&server, &store);
    users.sign_in(&user("alice"), sign_in(&server, "alice").await).await.expect("saved");
    users.discard(&user("alice")).await.expect("deleted");
    let error = process(&server, &store).token(&user("alice")).await.expect_err("nobody is signed in");
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    assert_eq!(server.counters().requests_to(Endpoint::Revocation), 0);
    // Nobody: no error, as with forget.
    users.discard(&user("bob")).await.expect("nothing to delete");
}
