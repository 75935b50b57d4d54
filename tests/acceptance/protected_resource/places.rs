//! Where metadata are looked for, and where they are not.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use oauth_test_server::TestServer;
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, ProtectedResource, TokenSource};
use tests::canned::{json, status};
use tokio::time::advance;

use super::{
    ErrorKind, ID, RESOURCE, ROOT, Rejection, WELL_KNOWN, World, document, document_of, rejection, rejection_by,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A resource, and where its metadata may be.
const PLACES: [(&str, &[&str]); 7] = [
    ("https://api.test", &[ROOT]),
    ("https://api.test/", &[ROOT]),
    (RESOURCE, &[WELL_KNOWN, ROOT]),
    ("https://api.test/mcp/", &["https://api.test/.well-known/oauth-protected-resource/mcp/", ROOT]),
    (
        "https://api.test:8443/a%20b/c?tenant=1",
        &[
            "https://api.test:8443/.well-known/oauth-protected-resource/a%20b/c?tenant=1",
            "https://api.test:8443/.well-known/oauth-protected-resource",
        ],
    ),
    (
        "http://127.0.0.1:8080/mcp",
        &[
            "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp",
            "http://127.0.0.1:8080/.well-known/oauth-protected-resource",
        ],
    ),
    (
        "http://[::1]/mcp",
        &["http://[::1]/.well-known/oauth-protected-resource/mcp", "http://[::1]/.well-known/oauth-protected-resource"],
    ),
];

#[tokio::test]
async fn d7_well_known_urls_are_inserted_and_then_the_hosts_own() {
    for (resource, places) in PLACES {
        for (number, place) in places.iter().enumerate() {
            let world = World::new().with(place, document_of(resource, &[ID]));
            world.resource_at(resource).fetch().await.unwrap_or_else(|error| panic!("{resource}: {error}"));
            assert_eq!(world.looks(), places[..=number], "{resource}");
        }
        let world = World::new();
        let error = world.resource_at(resource).fetch().await.expect_err("nothing is there");
        assert_eq!((error.kind(), error.status()), (ErrorKind::UnexpectedResponse, Some(StatusCode::NOT_FOUND)));
        assert_eq!(world.canned.urls(), places, "and no authorization server is asked");
        assert!(error.to_string().contains("check the resource's URL"), "{error}");
    }
}

#[tokio::test]
async fn d7_only_a_place_without_metadata_sends_on_to_the_next() {
    for code in [400, 401, 403, 404, 405, 410] {
        let world = World::new().with(WELL_KNOWN, json(code, "{}")).with(ROOT, document(&[ID]));
        world.resource().fetch().await.unwrap_or_else(|error| panic!("{code}: {error}"));
    }
    for code in [201, 204, 206, 301, 302, 303, 307, 308, 429, 501] {
        let world = World::new().with(WELL_KNOWN, json(code, "{}")).with(ROOT, document(&[ID]));
        let error = world.resource().fetch().await.expect_err("it is not looked for elsewhere");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(code));
        assert!(world.canned.urls().iter().all(|url| url == WELL_KNOWN), "{code}");
    }
    let world = World::new().with(WELL_KNOWN, document_of("https://api.test", &[ID])).with(ROOT, document(&[ID]));
    world.resource().fetch().await.expect_err("what is there speaks for another resource");
    assert_eq!(world.canned.urls(), [WELL_KNOWN]);
}

#[tokio::test]
async fn d7_metadata_are_fetched_without_credentials() {
    let world = World::usual();
    world.resource().fetch().await.expect("a token");
    let requests = world.canned.requests();
    assert_eq!(*requests[0].uri(), WELL_KNOWN);
    assert_eq!((requests[0].method(), requests[0].body().len()), (&Method::GET, 0));
    let names: Vec<_> = requests[0].headers().keys().collect();
    assert_eq!(names, [header::ACCEPT]);
}

#[tokio::test]
async fn d7_redirects_are_not_followed() {
    for code in [301, 302, 303, 307, 308] {
        for to in ["https://evil.test/meta", "https://api.test/meta", "http://api.test/meta"] {
            let mut redirect = status(StatusCode::from_u16(code).expect("a status"));
            redirect.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
            let world = World::new().with(WELL_KNOWN, redirect).with(to, document(&[ID]));
            let error = world.resource().fetch().await.expect_err("it is not followed");
            assert!(error.to_string().contains("redirects of metadata requests are never followed"), "{error}");
            assert_eq!(world.canned.urls(), [WELL_KNOWN], "{code} {to}");
        }
    }
}

/// With the default client, which could follow them.
#[tokio::test]
async fn d7_redirects_are_not_followed_over_sockets() {
    let server = TestServer::start().await.expect("sockets");
    let elsewhere = TestServer::start().await.expect("sockets");
    let to = elsewhere.api_url("/.well-known/oauth-protected-resource/public");
    let redirecting = tests::wire::redirect_url(&server, "/public", 307, &to);
    let client = AuthorizationServer::issuer(server.issuer()).expect("an issuer");
    let client = client.client("m2m", ClientAuth::secret_basic("secret")).expect("a client");
    let resource = ProtectedResource::new(&server.api_url("/public")).expect("a resource").allow(client);
    let error = resource.fetch_after(&rejection_by(server.api_origin(), &redirecting)).await.expect_err("a redirect");
    assert_eq!(error.status(), Some(StatusCode::TEMPORARY_REDIRECT));
    assert_eq!((elsewhere.requests().len(), server.counters().token_requests), (0, 0));
}

/// What a challenge says, and whether it is looked at.
const TOLD: [(&str, bool); 31] = [
    ("https://api.test/meta", true),
    ("https://api.test/meta?of=mcp", true),
    ("https://api.test/", true),
    ("https://API.test/meta", true),
    ("https://api.test:443/meta", true),
    // Not https.
    ("http://api.test/meta", false),
    ("http://api.test:443/meta", false),
    ("ftp://api.test/meta", false),
    ("javascript:alert(1)", false),
    // Another origin.
    ("https://evil.test/meta", false),
    ("https://api.test:8443/meta", false),
    ("https://api.test:80/meta", false),
    ("https://api.test.evil.test/meta", false),
    ("https://sub.api.test/meta", false),
    ("https://test/meta", false),
    ("https://api.test./meta", false),
    ("https://id.test/meta", false),
    ("https://127.0.0.1/meta", false),
    ("http://127.0.0.1/meta", false),
    ("http://localhost/meta", false),
    ("https://169.254.169.254/latest/meta-data", false),
    // What two readers read differently.
    ("https://user:password@api.test/meta", false),
    ("https://api.test@evil.test/meta", false),
    ("https://evil.test#@api.test/meta", false),
    ("https://evil.test\\@api.test/meta", false),
    ("https://api.test/meta#fragment", false),
    ("https://api.test/me ta", false),
    ("https://api.test%2eevil.test/meta", false),
    // No absolute URL.
    ("//api.test/meta", false),
    ("/meta", false),
    ("", false),
];

#[tokio::test(start_paused = true)]
async fn d7_what_a_challenge_says_is_looked_at_only_at_the_resources_own_origin() {
    for (told, is_used) in TOLD {
        let url = told.replace("https://API.test/", "https://api.test/");
        let world =
            World::usual().with(told, document(&["https://other.test"])).with(&url, document(&["https://other.test"]));
        let resource = world.resource().allow(world.client("https://other.test"));
        resource.fetch().await.expect("a token");
        advance(MINUTE).await;
        let tokens = resource.fetch_after(&rejection(told)).await.unwrap_or_else(|error| panic!("{told}: {error}"));
        let (issuer, looks) = if is_used { ("other", 2) } else { ("id", 1) };
        assert_eq!(tokens.access_token.secret(), format!("token-of-{issuer}.test"), "{told}");
        assert_eq!(world.looks().len(), looks, "{told}: {:?}", world.looks());
        assert!(!world.hosts().contains(&"evil.test".to_owned()));
    }
}

/// On this machine both schemes are allowed, and are two origins.
#[tokio::test(start_paused = true)]
async fn d7_the_scheme_is_a_part_of_the_origin() {
    let at = |scheme: &str, path: &str| format!("{scheme}://127.0.0.1:8080{path}");
    for (scheme, told_scheme, looks) in
        [("http", "http", 2), ("http", "https", 1), ("https", "http", 1), ("https", "https", 2)]
    {
        let (resource, told) = (at(scheme, "/mcp"), at(told_scheme, "/meta"));
        let world = World::new()
            .with(&at(scheme, "/.well-known/oauth-protected-resource/mcp"), document_of(&resource, &[ID]))
            .with(&told, document_of(&resource, &[ID]));
        let protected = world.resource_at(&resource);
        protected.fetch().await.expect("a token");
        advance(MINUTE).await;
        protected.fetch_after(&rejection_by(&at(scheme, ""), &told)).await.expect("a token");
        assert_eq!(world.looks().len(), looks, "{scheme} {told_scheme}");
    }
}

/// A cache may be used at several origins: only the resource's own speaks for it.
#[tokio::test(start_paused = true)]
async fn d7_another_origins_challenge_moves_nothing() {
    let origins = [
        ("https://api.test", true),
        ("https://api.test:443", true),
        ("https://api.test/v2", true),
        ("https://evil.test", false),
        ("http://api.test", false),
        ("https://api.test:8443", false),
        ("", false),
    ];
    for (origin, is_used) in origins {
        let world = World::usual();
        let resource = world.resource();
        resource.fetch().await.expect("a token");
        advance(MINUTE).await;
        resource.fetch_after(&rejection_by(origin, WELL_KNOWN)).await.expect("a token");
        assert_eq!(world.looks().len(), if is_used { 2 } else { 1 }, "{origin}");
    }
}

#[tokio::test]
async fn d7_before_anything_is_known_a_challenge_may_say_where_to_look() {
    let world = World::new().with("https://api.test/meta", document(&[ID]));
    world.resource().fetch_after(&rejection("https://api.test/meta")).await.expect("a token");
    assert_eq!(world.looks(), ["https://api.test/meta"]);
}

#[tokio::test(start_paused = true)]
async fn d7_what_a_challenge_said_holds_as_long_as_it_leads_to_metadata() {
    let world = World::usual().with("https://api.test/meta", document(&[ID]));
    let resource = world.resource();
    resource.fetch().await.expect("a token");
    advance(MINUTE).await;
    resource.fetch_after(&rejection("https://api.test/meta")).await.expect("a token");
    // Refreshed there, too,
    advance(60 * MINUTE).await;
    resource.fetch().await.expect("a token");
    assert_eq!(world.looks(), [WELL_KNOWN, "https://api.test/meta", "https://api.test/meta"]);
    // until there is nothing any more; what is known serves on, and the next look is where it should be.
    world.put("https://api.test/meta", status(StatusCode::NOT_FOUND));
    advance(60 * MINUTE).await;
    resource.fetch().await.expect("a token");
    advance(MINUTE).await;
    resource.fetch().await.expect("a token");
    assert_eq!(world.looks()[3..], ["https://api.test/meta", WELL_KNOWN]);
}

#[tokio::test(start_paused = true)]
async fn d7_a_rejection_that_names_no_metadata_causes_no_look() {
    let world = World::usual();
    let resource = world.resource();
    resource.fetch().await.expect("a token");
    advance(10 * MINUTE).await;
    let token = oauth_tokens::AccessToken::bearer("rejected").expect("a token");
    resource.fetch_after(&Rejection::new("https://api.test", token)).await.expect("a token");
    assert_eq!(world.looks(), [WELL_KNOWN]);
}

#[tokio::test]
async fn d7_the_test_server_speaks_for_its_resources() {
    let server = TestServer::builder().build();
    let authorization = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .expect("an issuer");
    let client = authorization.client("m2m", ClientAuth::secret_basic("secret")).expect("a client");
    for resource in [server.api_url("/mcp"), server.api_origin().to_owned(), server.api_url("/a/b")] {
        let resource = ProtectedResource::via(HttpClient::new(server.api_service()), &resource);
        resource.expect("a resource").allow(client.clone()).fetch().await.unwrap_or_else(|error| panic!("{error}"));
    }
}
