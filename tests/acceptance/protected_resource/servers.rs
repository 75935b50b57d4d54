//! Which authorization server is used, and that no other is ever contacted.

use std::time::Duration;

use http::StatusCode;
use oauth_tokens::{AuthorizationServer, ClientAuth, Secret, TokenSource};
use tests::{
    canned::{json, status},
    support::TempFolder,
};
use tokio::time::advance;

use super::{ErrorKind, ID, RESOURCE, WELL_KNOWN, World, document, rejection};

const OTHER: &str = "https://other.test";
const EVIL: &str = "https://evil.test";

#[tokio::test]
async fn d7_the_first_server_that_is_allowed_is_used_and_no_other_is_contacted() {
    // What the resource names, who is allowed, and who is asked.
    let vectors: [(&[&str], &[&str], Option<&str>); 18] = [
        (&[ID], &[ID], Some("id.test")),
        (&[ID], &[OTHER, ID], Some("id.test")),
        (&[ID, OTHER], &[ID, OTHER], Some("id.test")),
        (&[OTHER, ID], &[ID, OTHER], Some("other.test")),
        (&[EVIL, OTHER, ID], &[ID, OTHER], Some("other.test")),
        (&[EVIL, EVIL, ID], &[ID], Some("id.test")),
        (&["", "nonsense", ID], &[ID], Some("id.test")),
        (&[EVIL], &[ID], None),
        (&[OTHER], &[ID], None),
        (&[], &[ID], None),
        // To the letter.
        (&["https://id.test/"], &[ID], None),
        (&["https://ID.test"], &[ID], None),
        (&["https://id.test:443"], &[ID], None),
        (&["http://id.test"], &[ID], None),
        (&[" https://id.test"], &[ID], None),
        (&["https://id.test/tenant"], &[ID], None),
        (&["https://id.test.evil.test"], &[ID], None),
        (&["https://id.test@evil.test"], &[ID], None),
    ];
    for (named, allowed, asked) in vectors {
        let world = World::new().with(WELL_KNOWN, document(named));
        let mut resource = oauth_tokens::ProtectedResource::via(world.http(), RESOURCE).expect("a resource");
        for issuer in allowed {
            resource = resource.allow(world.client(issuer));
        }
        let fetched = resource.fetch().await;
        match asked {
            Some(host) => {
                let token = fetched.unwrap_or_else(|error| panic!("{named:?} {allowed:?}: {error}")).access_token;
                assert_eq!(token.secret(), format!("token-of-{host}"));
                assert_eq!(world.hosts(), ["api.test", host, host], "{named:?} {allowed:?}");
            }
            None => {
                let error = fetched.expect_err("none is allowed");
                assert_eq!(error.kind(), ErrorKind::ServerNotAllowed, "{named:?} {allowed:?}");
                assert!(error.is_transient(), "the API's operator may mend it");
                assert_eq!(world.hosts(), ["api.test"], "{named:?} {allowed:?}");
            }
        }
    }
}

#[tokio::test]
async fn d7_authorization_servers_may_be_missing_and_then_none_is_used() {
    for body in [
        format!(r#"{{"resource":"{RESOURCE}"}}"#),
        format!(r#"{{"resource":"{RESOURCE}","authorization_servers":null}}"#),
    ] {
        let world = World::new().with(WELL_KNOWN, json(200, body));
        let error = world.resource().fetch().await.expect_err("none is named");
        assert_eq!(error.kind(), ErrorKind::ServerNotAllowed);
        assert!(error.to_string().contains("names no authorization server at all"), "{error}");
        assert_eq!(world.hosts(), ["api.test"]);
    }
}

#[tokio::test]
async fn d7_the_error_says_what_was_named_what_is_allowed_and_what_to_do() {
    let many: Vec<String> = (0..20).map(|number| format!("https://id{number}.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let vectors: [(&[&str], &[&str]); 3] = [
        (&[EVIL], &["names the authorization server \"https://evil.test\", but"]),
        (&[EVIL, OTHER], &["names the authorization servers \"https://evil.test\", \"https://other.test\", but"]),
        (&many, &["\"https://id7.test\" and 12 more, but"]),
    ];
    for (named, expected) in vectors {
        let world = World::new().with(WELL_KNOWN, document(named));
        let text = world.resource().fetch().await.expect_err("not allowed").to_string();
        for part in [RESOURCE, "only these are allowed: \"https://id.test\"", "ProtectedResource::allow"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    }
}

#[tokio::test]
async fn d7_a_server_may_be_allowed_under_the_name_that_the_resource_gives_it() {
    let named = "https://id.test/as/the/api/says";
    let world = World::new().with(WELL_KNOWN, document(&[named]));
    let by_endpoint = AuthorizationServer::via(world.http()).token_endpoint("https://id.test/token").expect("a server");
    let by_endpoint = by_endpoint.client("agent", ClientAuth::secret_basic("secret")).expect("a client");
    for client in [world.client(ID), by_endpoint] {
        let resource = oauth_tokens::ProtectedResource::via(world.http(), RESOURCE).expect("a resource");
        resource.allow_as(named, client.clone()).fetch().await.expect("a token");
        let resource = oauth_tokens::ProtectedResource::via(world.http(), RESOURCE).expect("a resource");
        let error = resource.allow_as("https://id.test/as/the/api", client).fetch().await.expect_err("another name");
        assert_eq!(error.kind(), ErrorKind::ServerNotAllowed);
    }
}

/// The issuer by which the server's metadata call themselves is what a resource names.
#[tokio::test]
async fn d7_an_accepted_issuer_is_the_servers_name() {
    let own = "https://id.test/realm";
    for (named, is_used) in [(own, true), ("https://id.test/", false)] {
        let world = World::new().with(WELL_KNOWN, document(&[named])).with(
            "https://id.test/.well-known/openid-configuration",
            tests::canned::metadata(own, "https://id.test/token"),
        );
        let server = AuthorizationServer::via(world.http()).accept_metadata_issuer(own).issuer(ID).expect("a server");
        let client = server.client("agent", ClientAuth::secret_basic("secret")).expect("a client");
        let resource = oauth_tokens::ProtectedResource::via(world.http(), RESOURCE).expect("a resource");
        assert_eq!(resource.allow(client).fetch().await.is_ok(), is_used, "{named}");
    }
}

/// The server's own metadata are checked as ever.
#[tokio::test]
async fn d2_an_allowed_server_that_speaks_for_another_is_not_used() {
    let world = World::usual().with(
        "https://id.test/.well-known/openid-configuration",
        tests::canned::metadata(EVIL, "https://evil.test/token"),
    );
    let error = world.resource().fetch().await.expect_err("another issuer");
    assert_eq!(error.kind(), ErrorKind::IssuerMismatch);
    assert!(!world.hosts().contains(&"evil.test".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn d7_a_resource_that_moves_to_a_server_that_is_not_allowed_gets_no_more_tokens() {
    let world = World::usual();
    let resource = world.resource();
    resource.fetch().await.expect("a token");
    world.put(WELL_KNOWN, document(&[EVIL]));
    advance(Duration::from_secs(60)).await;
    let error = resource.fetch_after(&rejection(WELL_KNOWN)).await.expect_err("it names another now");
    assert_eq!(error.kind(), ErrorKind::ServerNotAllowed);
    // And comes back: found by whoever asks a minute later, though the metadata would be good for an hour.
    world.put(WELL_KNOWN, document(&[ID]));
    advance(Duration::from_secs(60)).await;
    resource.fetch().await.expect_err("what is known is looked at once more");
    resource.fetch().await.expect("a token");
    assert_eq!(world.looks().len(), 3);
    assert!(!world.hosts().contains(&"evil.test".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn d7_a_server_that_no_longer_issues_makes_the_metadata_suspect() {
    let world = World::usual();
    let resource = world.resource().allow(world.client(OTHER));
    resource.fetch().await.expect("a token");
    world.put("https://id.test/token", status(StatusCode::NOT_FOUND));
    world.put(WELL_KNOWN, document(&[OTHER]));
    resource.fetch().await.expect_err("it has gone");
    resource.fetch().await.expect_err("no look within a minute");
    advance(Duration::from_secs(60)).await;
    resource.fetch().await.expect_err("now it is a suspicion");
    let tokens = resource.fetch().await.expect("a token of the new one");
    assert_eq!((tokens.access_token.secret(), world.looks().len()), ("token-of-other.test", 2));
}

#[tokio::test]
async fn f1_many_first_calls_are_one_look_and_one_token_request() {
    let world = World::usual();
    let cache = world.resource().cached().expect("a resource");
    let tokens = futures_util::future::join_all((0..1000).map(|_| cache.token())).await;
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!(world.hosts(), ["api.test", "id.test", "id.test"]);
}

#[tokio::test]
async fn f1_many_fetches_at_once_are_one_look() {
    let world = World::usual();
    let resource = world.resource();
    let tokens = futures_util::future::join_all((0..100).map(|_| resource.fetch())).await;
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!(world.looks(), [WELL_KNOWN]);
}

#[tokio::test]
async fn t15_a_credential_that_changed_is_told_of_whichever_client_it_is() {
    let folder = TempFolder::new();
    let path = folder.write_of_old("secret", "first");
    let world = World::usual();
    let server = AuthorizationServer::via(world.http()).issuer(OTHER).expect("a server");
    let client = server.client("agent", ClientAuth::secret_basic(Secret::file(&path))).expect("a client");
    let resource = world.resource().allow(client);
    let before = resource.credential_fingerprint();
    assert!(before.is_some());
    assert_eq!(resource.credential_fingerprint(), before);
    folder.write("secret", "the second one");
    assert_ne!(resource.credential_fingerprint(), before);
}
