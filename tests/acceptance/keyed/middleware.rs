//! Keys and options among reqwest-middleware's extensions, and what redirects make of them (R13).

use http::header::AUTHORIZATION;
use oauth_test_server::{Endpoint, Fault, TestServer};
use reqwest_middleware::ClientWithMiddleware;
use tests::{script::outcome, wire::redirect_url};
use tower_oauth::{Error, ErrorKind, OAuthLayer, TokenOptions};

use super::{Issuer, Tenant};

async fn start() -> TestServer {
    TestServer::start().await.expect("sockets")
}

fn client(layer: &OAuthLayer) -> ClientWithMiddleware {
    layer.reqwest(reqwest::Client::builder()).expect("a client")
}

fn by_extension(server: &TestServer, issuer: &Issuer) -> OAuthLayer {
    OAuthLayer::keyed_by_extension::<Tenant>(server.api_origin(), issuer.pool()).expect("an origin")
}

fn tokens_seen(server: &TestServer) -> Vec<String> {
    let requests = server.requests_to(Endpoint::Api);
    requests.iter().map(|seen| seen.bearer_token().unwrap_or("-").to_owned()).collect()
}

fn ours(error: &reqwest_middleware::Error) -> ErrorKind {
    match error {
        reqwest_middleware::Error::Middleware(error) => error.downcast_ref::<Error>().expect("ours").kind(),
        reqwest_middleware::Error::Reqwest(error) => panic!("not ours: {error:?}"),
    }
}

#[tokio::test]
async fn f14_middleware_each_tenant_by_extension() {
    let (server, issuer) = (start().await, Issuer::default());
    let client = client(&by_extension(&server, &issuer));
    let url = server.api_url("/public");
    for name in ["acme", "beta", "acme"] {
        client.get(&url).with_extension(Tenant(name)).send().await.expect("a response");
    }
    server.api_faults().push(1, Fault::unauthorized());
    let write = TokenOptions::new().scope("write");
    let call = client.get(&url).with_extension(Tenant("acme")).with_extension(write);
    assert_eq!(outcome(call.send().await.expect("a response").extensions()), "Retried");
    let error = client.get(&url).send().await.expect_err("whose?");
    assert_eq!(ours(&error), ErrorKind::MissingKey);
    let open = client.get(&url).with_extension(TokenOptions::without_token());
    assert_eq!(open.send().await.expect("a response").status(), 200);
    assert_eq!(tokens_seen(&server), ["acme.1", "beta.1", "acme.1", "acme+write.1", "acme+write.2", "-"]);
}

#[tokio::test]
async fn f14_middleware_a_given_key_and_a_function() {
    let (server, issuer) = (start().await, Issuer::default());
    let keyed = OAuthLayer::keyed(server.api_origin(), issuer.pool()).expect("an origin");
    let by_url = OAuthLayer::keyed_by(server.api_origin(), issuer.pool(), |head| {
        (head.path == "/public/acme" && head.query == Some("a=b")).then_some(Tenant("acme"))
    });
    client(&keyed.key(Tenant("beta"))).get(server.api_url("/public")).send().await.expect("a response");
    let by_url = client(&by_url.expect("an origin"));
    by_url.get(server.api_url("/public/acme?a=b")).send().await.expect("a response");
    let error = by_url.get(server.api_url("/public")).send().await.expect_err("whose?");
    assert_eq!((ours(&error), tokens_seen(&server)), (ErrorKind::MissingKey, vec!["beta.1".into(), "acme.1".into()]));
}

/// The extensions are the call's: they go with a redirect, and decide anew at each place. A tenant stays the same tenant.
#[tokio::test]
async fn r13_middleware_a_redirect_keeps_the_tenant_and_leaves_tokens_where_they_belong() {
    let (here, there, elsewhere) = (start().await, start().await, start().await);
    let (issuer, other) = (Issuer::marked("here-"), Issuer::marked("there-"));
    let layer = by_extension(&here, &issuer).origin_keyed_by_extension::<Tenant>(there.api_origin(), other.pool());
    let client = client(&layer.expect("origins"));
    for (to, expected) in [(&elsewhere, None), (&there, Some("Bearer there-acme.1"))] {
        to.clear_requests();
        let url = redirect_url(&here, "/public", 302, &to.api_url("/public/end"));
        client.get(url).with_extension(Tenant("acme")).send().await.expect("a response");
        let seen = to.requests_to(Endpoint::Api);
        let authorization = seen[0].headers.get(AUTHORIZATION).map(|value| value.to_str().expect("text"));
        assert_eq!((seen.len(), authorization), (1, expected));
    }
    assert_eq!(tokens_seen(&here), ["here-acme.1", "here-acme.1"]);
    // Explicitly without a token stays so.
    let url = redirect_url(&here, "/public", 302, &there.api_url("/public/end"));
    client.get(url).with_extension(TokenOptions::without_token()).send().await.expect("a response");
    assert_eq!((tokens_seen(&here).pop(), tokens_seen(&there).pop()), (Some("-".to_owned()), Some("-".to_owned())));
}

/// An API must not choose, by the URL of a redirect, whose token it gets.
#[tokio::test]
async fn f14_middleware_a_redirect_does_not_change_whose_a_request_is() {
    let (server, elsewhere, issuer) = (start().await, start().await, Issuer::default());
    let by_url = OAuthLayer::keyed_by(server.api_origin(), issuer.pool(), |head| {
        let name = head.query?.split('&').find_map(|parameter| parameter.strip_prefix("tenant="))?;
        ["acme", "beta"].into_iter().find(|known| *known == name).map(Tenant)
    });
    let client = client(&by_url.expect("an origin"));
    let at = |server: &TestServer, query: &str| format!("{}{query}", server.api_url("/public/end"));
    let redirect = |from: &TestServer, to: &str| format!("{}&tenant=acme", redirect_url(from, "/public", 302, to));
    for (from, to, status) in [
        (&server, at(&server, "?tenant=acme&x"), 200),
        (&server, at(&server, "?tenant=beta"), 302),
        (&server, at(&server, ""), 302),
        (&server, at(&elsewhere, "?tenant=beta"), 200),
        (&elsewhere, at(&server, "?tenant=beta"), 302),
    ] {
        let response = client.get(redirect(from, &to)).send().await.expect("a response");
        assert_eq!(response.status(), status, "{to}");
    }
    // Nor by way of somebody else, who changes it.
    let changed = format!("{}&tenant=beta", redirect_url(&elsewhere, "/public", 302, &at(&server, "?tenant=beta")));
    let response = client.get(redirect(&server, &changed)).send().await.expect("a response");
    assert_eq!((response.status().as_u16(), response.url().as_str()), (302, &*changed));
    assert_eq!((issuer.issued("acme"), issuer.issued("beta")), (1, 0));

    // Whoever goes without a token, or with one of their own, goes wherever they like.
    let from = redirect(&server, &at(&server, "?tenant=beta"));
    let open = client.get(&from).with_extension(TokenOptions::without_token()).send().await;
    assert_eq!(open.expect("a response").status(), 200);
    let own_token = client.get(&from).bearer_auth("own").send().await;
    assert_eq!(own_token.expect("a response").status(), 200);

    // What a redirect does not change tells the same key.
    let by_header = OAuthLayer::keyed_by(server.api_origin(), issuer.pool(), |head| {
        head.headers.contains_key("x-beta").then_some(Tenant("beta"))
    });
    let client = super::middleware::client(&by_header.expect("an origin"));
    let response = client.get(redirect(&server, &at(&server, ""))).header("x-beta", "1").send().await;
    assert_eq!((response.expect("a response").status().as_u16(), issuer.issued("beta")), (200, 1));
}

/// More scopes are for where the caller asked for them, not for where an API sends its call.
#[tokio::test]
async fn r14_middleware_scopes_of_one_request_do_not_follow_a_redirect_to_another_origin() {
    let (here, there) = (start().await, start().await);
    let (issuer, other) = (Issuer::marked("here-"), Issuer::marked("there-"));
    let layer = by_extension(&here, &issuer).origin_keyed_by_extension::<Tenant>(there.api_origin(), other.pool());
    let client = client(&layer.expect("origins"));
    for (to, scoped) in [(&here, true), (&there, false)] {
        to.clear_requests();
        let url = redirect_url(&here, "/public", 302, &to.api_url("/public/end"));
        let options = TokenOptions::new().scope("admin");
        let call = client.get(url).with_extension(Tenant("acme")).with_extension(options);
        assert_eq!(call.send().await.expect("a response").status(), 200);
        let last = tokens_seen(to).pop().expect("a request");
        assert_eq!(last.contains("admin"), scoped, "{last}");
    }
}
