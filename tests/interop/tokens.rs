//! Tokens that the servers hand out.

use std::time::Duration;

use oauth_tokens::{ClientAuth, TokenSet, TokenSource};

use crate::{against_both, server::RealServer};

against_both!(
    t8_each_client_gets_tokens_by_basic_and_by_post,
    t8_credentials_without_odd_characters_are_the_same_raw,
    introspection_knows_the_token_in_the_cache,
    a_token_for_a_resource,
    an_audience_and_other_parameters_do_no_harm,
);

async fn t8_each_client_gets_tokens_by_basic_and_by_post(server: &RealServer) {
    // The odd ones hold a space, a colon, a slash, plus, percent, quotes, and at django letters beyond ASCII.
    for role in ["basic", "post", "odd_basic", "odd_post"] {
        let known = server.registered(role);
        for auth in [ClientAuth::secret_basic(known.secret), ClientAuth::secret_post(known.secret)] {
            let client = server.by_token_endpoint().client(known.id, auth).expect("a usable client");
            let request = client.client_credentials().scope("api:read").scope("api");
            let tokens = request.fetch().await.unwrap_or_else(|error| panic!("{role}: {error}"));
            assert_eq!(tokens.expires_in, Some(Duration::from_secs(600)), "{role}");
            assert_eq!(tokens.scope.as_deref(), Some("api:read api"), "{role}");

            let (status, seen) = server.call(&tokens.access_token).await;
            assert_eq!(status, 200, "{role}: {seen}");
            assert_eq!(seen["client_id"], known.id, "{role}");
        }
    }
}

async fn t8_credentials_without_odd_characters_are_the_same_raw(server: &RealServer) {
    let known = server.registered("basic");
    let auth = ClientAuth::secret_basic_raw(known.secret);
    let client = server.by_token_endpoint().client(known.id, auth).expect("a usable client");
    let tokens = client.client_credentials().fetch().await.expect("a token");
    assert_eq!(server.call(&tokens.access_token).await.0, 200);
}

async fn introspection_knows_the_token_in_the_cache(server: &RealServer) {
    let tokens = server.tokens("basic");
    let token = tokens.token().await.expect("a token");
    let seen = server.introspect(&token).await;
    assert_eq!(seen["active"], true, "{seen}");
    assert_eq!(seen["client_id"], server.registered("basic").id, "{seen}");
    let scope = seen["scope"].as_str().unwrap_or_default();
    assert!(scope.split(' ').any(|scope| scope == "api:read"), "{seen}");
    let lives = tokens.status().expires_in.expect("a lifetime");
    assert!(lives > Duration::from_secs(560) && lives <= Duration::from_secs(600), "{lives:?}");

    server.revoke("basic", &token).await;
    assert_eq!(server.introspect(&token).await["active"], false);
}

async fn a_token_for_a_resource(server: &RealServer) {
    if server.is_oidc() {
        let jwt = for_resources(server, &[server.text("/resources/jwt")]).await;
        assert_eq!(jwt.access_token.secret().split('.').count(), 3, "a JWT");
        let (status, seen) = server.call(&jwt.access_token).await;
        assert_eq!(status, 200, "the API checks the audience itself: {seen}");
        let opaque = for_resources(server, &[server.text("/resources/opaque")]).await;
        assert_eq!(opaque.access_token.secret().split('.').count(), 1, "opaque");
        assert_eq!(server.call(&opaque.access_token).await.0, 200);
    } else {
        let (api, other) = (server.text("/resources/api"), server.text("/resources/other"));
        for (resources, status) in [(&[api][..], 200), (&[other], 401), (&[other, api], 200)] {
            let tokens = for_resources(server, resources).await;
            assert_eq!(server.call(&tokens.access_token).await.0, status, "{resources:?}");
        }
    }
}

async fn for_resources(server: &RealServer, resources: &[&str]) -> TokenSet {
    let request = resources.iter().fold(server.request("basic"), |request, resource| request.resource(*resource));
    request.fetch().await.unwrap_or_else(|error| panic!("{resources:?}: {error}"))
}

async fn an_audience_and_other_parameters_do_no_harm(server: &RealServer) {
    let request = server.request("basic").audience("https://api.example.com/").param("tenant", "a b&c=d");
    let tokens = request.fetch().await.expect("a token");
    assert_eq!(server.call(&tokens.access_token).await.0, 200);
}
