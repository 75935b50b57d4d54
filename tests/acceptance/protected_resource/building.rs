//! What cannot work is told when it is built.

use oauth_tokens::{AuthorizationServer, ClientAuth, ProtectedResource, TokenSource};

use super::{ErrorKind, ID, RESOURCE, World};

#[test]
fn t1_a_resource_is_https_or_on_this_machine() {
    let world = World::new();
    for resource in [
        "https://api.test",
        "https://api.test:8443/mcp?tenant=1",
        "http://127.0.0.1:8080/mcp",
        "http://[::1]:8080/mcp",
        "http://localhost:8080/mcp",
    ] {
        assert!(ProtectedResource::via(world.http(), resource).is_ok(), "{resource}");
    }
    for resource in [
        "",
        "/mcp",
        "api.test/mcp",
        "http://api.test/mcp",
        "http://10.0.0.1/mcp",
        "ftp://api.test/mcp",
        "urn:example:api",
        "https://user:pl4nt3d@api.test/mcp",
        "https://api.test/mcp#pl4nt3d",
        "https://api.test/m cp",
        "https://127.1/mcp",
    ] {
        let error = ProtectedResource::via(world.http(), resource).expect_err(resource);
        assert_eq!(error.kind(), ErrorKind::Config, "{resource}");
        assert!(!error.to_string().contains("pl4nt3d") && !error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn d7_somebody_has_to_be_allowed_and_only_once() {
    let world = World::usual();
    let bare = || ProtectedResource::via(world.http(), RESOURCE).expect("a resource");
    let nameless = AuthorizationServer::via(world.http()).token_endpoint("https://id.test/token").expect("a server");
    let nameless = nameless.client("agent", ClientAuth::secret_basic("secret")).expect("a client");
    let vectors = [
        (bare(), "no authorization server is allowed"),
        (bare().allow(nameless), "allow_as"),
        (bare().allow(world.client(ID)).allow(world.client(ID)), "two clients are allowed"),
        (bare().allow(world.client(ID)).allow_as(ID, world.client("https://other.test")), "two clients are allowed"),
    ];
    for (resource, expected) in vectors {
        let error = resource.fetch().await.expect_err(expected);
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(expected), "{error}");
        let error = resource.cached().expect_err(expected);
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(expected), "{error}");
    }
    assert!(world.canned.requests().is_empty(), "building does no I/O, nor does what cannot work");
}

#[tokio::test]
async fn f1_building_does_no_io() {
    let world = World::usual();
    let cache = world.resource().scope("a").allow_scopes(["b"]).cached().expect("a resource");
    assert!(cache.cached().is_none() && world.canned.requests().is_empty());
}

#[test]
fn s1_debug_tells_the_settings() {
    let world = World::new();
    let resource = world.resource().scope("a b").allow_scopes(["c"]);
    let text = format!("{resource:?}");
    for part in [RESOURCE, "agent", "\"a\"", "\"c\""] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("secret\""), "{text}");
}

/// The default client is there with its feature.
#[test]
fn t1_the_default_client_is_enough() {
    let server = AuthorizationServer::issuer(ID).expect("an issuer");
    let client = server.client("agent", ClientAuth::secret_basic("secret")).expect("a client");
    ProtectedResource::new(RESOURCE).expect("a resource").allow(client).cached().expect("a cache");
}
