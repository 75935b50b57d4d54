//! D1 and D2: where metadata are, and whose they are.

use http::StatusCode;
use oauth_test_server::{Endpoint, TestServer};
use oauth_tokens::{AuthorizationServer, ErrorKind, HttpClient, TokenSource};
use tests::canned::{Canned, json, metadata, status};

use super::{client_of, server_at};

/// An issuer, and the two places where its metadata may be.
const PLACES: [(&str, [&str; 2]); 6] = [
    (
        "https://id.test",
        ["https://id.test/.well-known/openid-configuration", "https://id.test/.well-known/oauth-authorization-server"],
    ),
    (
        "https://id.test/",
        ["https://id.test/.well-known/openid-configuration", "https://id.test/.well-known/oauth-authorization-server"],
    ),
    (
        "https://id.test:8443/realms/a",
        [
            "https://id.test:8443/realms/a/.well-known/openid-configuration",
            "https://id.test:8443/.well-known/oauth-authorization-server/realms/a",
        ],
    ),
    (
        "https://id.test/a/",
        [
            "https://id.test/a/.well-known/openid-configuration",
            "https://id.test/.well-known/oauth-authorization-server/a",
        ],
    ),
    (
        "https://id.test/a/b%20c",
        [
            "https://id.test/a/b%20c/.well-known/openid-configuration",
            "https://id.test/.well-known/oauth-authorization-server/a/b%20c",
        ],
    ),
    (
        "http://[::1]:5001/master",
        [
            "http://[::1]:5001/master/.well-known/openid-configuration",
            "http://[::1]:5001/.well-known/oauth-authorization-server/master",
        ],
    ),
];

#[tokio::test]
async fn d1_openid_appends_and_rfc8414_inserts() {
    for (issuer, places) in PLACES {
        // Metadata are at one of the places only, and elsewhere nothing is.
        for there in 0..2 {
            let canned = Canned::new(move |request| match *request.uri() == places[there] {
                true => metadata(issuer, "https://id.test/token"),
                false => status(StatusCode::NOT_FOUND),
            });
            let server = server_at(&canned, issuer).expect("an issuer");
            let found = server.metadata().await.unwrap_or_else(|error| panic!("{issuer}: {error}"));
            assert_eq!(found.issuer(), issuer);
            assert_eq!(canned.urls(), places[..=there]);
            let requests = canned.requests();
            assert!(requests.iter().all(|request| request.method() == http::Method::GET && request.body().is_empty()));
            assert!(requests.iter().all(|request| !request.headers().contains_key(http::header::AUTHORIZATION)));
        }
    }
}

#[tokio::test]
async fn d1_a_place_without_metadata_sends_on_to_the_next() {
    for code in [400, 401, 403, 404, 405, 410] {
        let canned = Canned::new(move |request| match request.uri().path().ends_with("openid-configuration") {
            true => json(code, "{}"),
            false => metadata("https://id.test", "https://id.test/token"),
        });
        server_at(&canned, "https://id.test").expect("an issuer").metadata().await.expect("RFC 8414");
    }
    let canned = Canned::always(status(StatusCode::NOT_FOUND));
    let error = server_at(&canned, "https://id.test").expect("an issuer").metadata().await.expect_err("nowhere");
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    let text = error.to_string();
    assert!(text.contains("https://id.test/.well-known") && text.contains("check the issuer"), "{text}");
}

#[tokio::test]
async fn d1_each_of_the_two_is_enough_at_a_server_with_a_path() {
    for (openid, oauth) in [(true, true), (true, false), (false, true)] {
        let issuer = "https://id.test/tenant/7";
        let server = TestServer::builder().issuer(issuer).openid_discovery(openid).oauth_discovery(oauth).build();
        let at = AuthorizationServer::via(HttpClient::new(server.authorization_service())).issuer(issuer);
        client_of(&at.expect("an issuer")).client_credentials().fetch().await.expect("a token");
        assert_eq!(server.requests_to(Endpoint::Token)[0].uri.path(), "/tenant/7/token");
    }
}

#[tokio::test]
async fn d2_issuer_must_be_the_expected_one_to_the_letter() {
    let others = [
        ("https://id.test", "https://id.test/"),
        ("https://id.test/", "https://id.test"),
        ("https://id.test/a", "https://id.test/a/"),
        ("https://id.test/a", "https://id.test/A"),
        ("https://id.test/a", "https://id.test/b"),
        ("https://id.test", "https://ID.test"),
        ("https://id.test", "HTTPS://id.test"),
        ("https://id.test", "https://id.test:443"),
        ("https://id.test", "http://id.test"),
        ("https://id.test", "https://evil.test"),
        ("https://id.test", "https://id.test.evil.test"),
        ("https://id.test", " https://id.test"),
        ("https://id.test/t1", "https://id.test/{tenantid}"),
    ];
    for (expected, found) in others {
        let canned = Canned::always(metadata(found, "https://id.test/token"));
        let server = server_at(&canned, expected).expect("an issuer");
        let error = server.metadata().await.expect_err(found);
        assert_eq!(error.kind(), ErrorKind::IssuerMismatch, "{expected} {found}");
        let text = error.to_string();
        assert!(text.contains(found) && text.contains("accept_metadata_issuer"), "it says how to accept it: {text}");
        client_of(&server).client_credentials().fetch().await.expect_err("no token of another issuer");
        assert!(canned.urls().iter().all(|url| url.contains("/.well-known/")), "no secret was sent");

        // By an explicit setting it is accepted, and then nothing else is: not even what was expected before.
        let accepting = |canned: &Canned| {
            AuthorizationServer::via(canned.http()).accept_metadata_issuer(found).issuer(expected).expect("an issuer")
        };
        let metadata_found = accepting(&canned).metadata().await.expect("accepted");
        assert_eq!(metadata_found.issuer(), found);
        let canned = Canned::always(metadata(expected, "https://id.test/token"));
        let error = accepting(&canned).metadata().await.expect_err("exactly the accepted one");
        assert_eq!(error.kind(), ErrorKind::IssuerMismatch);
    }
}

#[tokio::test]
async fn d2_metadata_that_name_no_issuer_or_are_none_at_all_are_refused() {
    let bodies = [
        r#"{"token_endpoint":"https://id.test/token"}"#,
        r#"{"issuer":"","token_endpoint":"https://id.test/token"}"#,
        r#"{"issuer":null,"token_endpoint":"https://id.test/token"}"#,
        r#"{"issuer":["https://id.test"],"token_endpoint":"https://id.test/token"}"#,
        r#"{"issuer":"https://id.test","issuer":"https://id.test","token_endpoint":"https://id.test/token"}"#,
        r#"[{"issuer":"https://id.test"}]"#,
        "<html>Sign in</html>",
        "",
    ];
    for body in bodies {
        let canned = Canned::always(json(200, body));
        let error = server_at(&canned, "https://id.test").expect("an issuer").metadata().await.expect_err(body);
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{body}");
        assert!(error.to_string().contains("https://id.test/.well-known/"), "{error}");
    }
}

#[test]
fn d1_an_issuer_with_a_query_or_fragment_is_refused_when_built() {
    for issuer in ["https://id.test/?tenant=1", "https://id.test?", "https://id.test/#a"] {
        let canned = Canned::always(status(StatusCode::NOT_FOUND));
        let error = server_at(&canned, issuer).expect_err(issuer);
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
