//! OpenID Connect RP-Initiated Logout 1.0.

use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind};
use serde_json::json;

use crate::id_token::{CLIENT, KEY, Provider, claims, now, verify, with};

#[tokio::test(start_paused = true)]
async fn l1_a_url_for_the_browser() {
    let provider = Provider::new();
    let client = provider.client();
    let raw = KEY.sign(&with(&claims(now().await), json!({ "email": "alice@example.com" })));
    let user = verify(&client, &raw).await.expect("a good token");
    assert_eq!(client.end_session().url().await.expect("a URL"), "https://id.test/end?client_id=shop");
    let end = client
        .end_session()
        .id_token(&user)
        .post_logout_redirect_uri("https://shop.example.com/goodbye?a=b&c=d")
        .state("s t&a=te")
        .logout_hint("alice@example.com")
        .ui_locales("de-CH de");
    let expected = format!(
        "https://id.test/end?client_id=shop&id_token_hint={raw}\
         &post_logout_redirect_uri=https%3A%2F%2Fshop.example.com%2Fgoodbye%3Fa%3Db%26c%3Dd\
         &state=s%20t%26a%3Dte&logout_hint=alice%40example.com&ui_locales=de-CH%20de"
    );
    assert_eq!(end.url().await.expect("a URL"), expected);
    let shown = format!("{end:?} {end:#?}");
    assert!(!shown.contains(&raw[..20]) && !shown.contains("s t&a=te") && !shown.contains("alice"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn l1_where_the_servers_page_is() {
    let cases = [
        ("https://id.test/end?tenant=7", Some("https://id.test/end?tenant=7&client_id=shop")),
        ("https://id.test/end?", Some("https://id.test/end?client_id=shop")),
        ("https://id.test", Some("https://id.test?client_id=shop")),
        ("http://id.test/end", None),
        ("http://127.0.0.1/end", None),
        ("https://localhost/end", None),
        ("javascript:alert(1)", None),
        ("https://id.test/end#there", None),
    ];
    for (page, expected) in cases {
        let provider = Provider::new();
        provider.set_metadata("end_session_endpoint", page);
        match (provider.client().end_session().url().await, expected) {
            (Ok(url), Some(expected)) => assert_eq!(url, expected),
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::InvalidEndpoint, "{page}"),
            (url, expected) => panic!("{page}: {url:?}, {expected:?}"),
        }
    }
    let provider = Provider::new();
    provider.remove_metadata("end_session_endpoint");
    let error = provider.client().end_session().url().await.expect_err("no page");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint);
    let server = AuthorizationServer::via(provider.canned.http())
        .override_endpoint("end_session_endpoint", "https://elsewhere.test/v2/logout")
        .token_endpoint("https://id.test/token")
        .expect("a server");
    let client = server.client(CLIENT, ClientAuth::none()).expect("a client");
    let url = client.end_session().url().await.expect("a URL");
    assert_eq!(url, "https://elsewhere.test/v2/logout?client_id=shop");
}

/// The browser shows no certificate, whatever the client shows.
#[tokio::test(start_paused = true)]
async fn d6_a_page_has_no_alias() {
    let provider = Provider::new();
    provider.set_metadata("mtls_endpoint_aliases", json!({ "end_session_endpoint": "https://mtls.id.test/end" }));
    assert_eq!(provider.client().end_session().url().await.expect("a URL"), "https://id.test/end?client_id=shop");
}

#[tokio::test(start_paused = true)]
async fn l1_where_the_browser_may_come_back_to() {
    let client = Provider::new().client();
    for uri in ["https://shop.example.com/goodbye", "http://127.0.0.1:3000/", "com.example.shop:/goodbye"] {
        client.end_session().post_logout_redirect_uri(uri).url().await.unwrap_or_else(|error| panic!("{uri}: {error}"));
    }
    for uri in [
        "",
        "/goodbye",
        "//shop.example.com",
        "shop.example.com/a",
        "https://shop.example.com/#a",
        "https://me:pw@shop.example.com/",
        "http://shop.example.com/",
        "javascript:alert(1)",
        "https://shop.example.com/\r\nX: y",
    ] {
        let error = client.end_session().post_logout_redirect_uri(uri).url().await.expect_err(uri);
        assert_eq!(error.kind(), ErrorKind::Config, "{uri}");
        assert!(uri.is_empty() || !error.to_string().contains(uri), "{error}");
    }
}
