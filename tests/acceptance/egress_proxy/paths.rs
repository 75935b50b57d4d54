//! Which path leads where.

use examples::egress_proxy::Settings;
use oauth_test_server::TestServer;

use super::rig::{OK, Rig, Upstream, header, request, status};

#[tokio::test]
async fn p1_a_path_leads_to_its_upstream_and_not_out_of_it() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let through = [
        ("/crm/orders", "/v2/orders"),
        ("/crm", "/v2"),
        ("/crm/", "/v2/"),
        ("/crm/orders?x=1&y=%20z", "/v2/orders?x=1&y=%20z"),
        ("/crm?a", "/v2?a"),
        ("/crm/a%20b/c;d=e/~f", "/v2/a%20b/c;d=e/~f"),
        ("/crm/x?to=/../y&z=..%2f", "/v2/x?to=/../y&z=..%2f"),
        ("/crm/a..b/...", "/v2/a..b/..."),
        ("/crm/group%2Fproject", "/v2/group%2Fproject"),
        ("/crm//evil.example.com/x", "/v2//evil.example.com/x"),
        ("http://localhost/crm/x", "/v2/x"),
    ];
    for (path, expected) in through {
        let answer = rig.get(path, &[]).await;
        assert_eq!(status(&answer), 200, "{path}: {answer}");
        let seen = upstream.last();
        assert!(seen.starts_with(&format!("GET {expected} HTTP/1.1\r\n")), "{path}: {seen}");
    }
    let count = upstream.requests().len();
    let refused = [
        ("/", 404),
        ("/crmx", 404),
        ("/CRM/x", 404),
        ("//crm/x", 404),
        ("/%63rm/x", 404),
        ("/x/../crm/y", 404),
        ("/crm;x/y", 404),
        ("*", 404),
        ("/crm/..", 400),
        ("/crm/../admin", 400),
        ("/crm/./x", 400),
        ("/crm/%2e%2e/admin", 400),
        ("/crm/.%2E/admin", 400),
        ("/crm/..%2fadmin", 400),
        ("/crm/x%2f..%2f..%2fadmin", 400),
        ("/crm/..;/admin", 400),
        ("/crm/..;a=b/admin", 400),
        ("/crm/..%3b/admin", 400),
        ("/crm/%2e%2e%5cadmin", 400),
        ("/crm/..\\admin", 400),
        ("/crm\\..\\admin", 404),
    ];
    for (path, expected) in refused {
        let answer = rig.get(path, &[]).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
    }
    assert_eq!(upstream.requests().len(), count, "none of these may go on");
}

/// As strict as the OAuth layer is below a path.
#[tokio::test]
async fn p1_what_some_server_might_take_for_dot_segments_is_refused() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let cases = [
        ("%00", 400),
        ("a%0Ab", 400),
        ("%09../x", 400),
        ("..%0d/x", 400),
        ("a%1fb", 400),
        ("a%7Fb", 400),
        ("%c0%ae%c0%ae/x", 400),
        ("..%C0%AF", 400),
        ("%C1%9c", 400),
        ("%u002e%U002e/x", 400),
        ("..%20/x", 400),
        ("%20../x", 400),
        ("%20%20./x", 400),
        ("%20%2e%2E%20/x", 400),
        ("..,/x", 400),
        ("..:/x", 400),
        (".;x/y", 400),
        (".%3b/y", 400),
        ("..%3B/y", 400),
        ("..@/y", 400),
        ("..%41/y", 400),
        ("x%2f..%20%2fy", 400),
        ("x%5c..;%5cy", 400),
        // Names.
        (".well-known/x", 200),
        ("..a/...", 200),
        (".-/.~/._", 200),
        ("%20a/a.;b", 200),
        ("%C3%A9/%E2%82%ac", 200),
        ("%252e%252e/%2500", 200),
        ("a%2Fb/%3b%70", 200),
    ];
    for (below, expected) in cases {
        let before = upstream.requests().len();
        let answer = rig.get(&format!("/crm/{below}"), &[]).await;
        assert_eq!(status(&answer), expected, "{below}: {answer}");
        assert_eq!(upstream.requests().len() - before, usize::from(expected == 200), "{below}");
    }
}

#[tokio::test]
async fn p1_an_upstream_can_be_known_by_its_host() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::start(&server, &upstream.origin, |settings| {
        let known = &mut settings.upstreams[0];
        (known.path, known.host) = (None, Some("crm.internal".to_owned()));
    });
    let rig = rig.await;
    let cases = [
        ("GET /x?y HTTP/1.1\r\nHost: crm.internal\r\n", 200),
        ("GET /x?y HTTP/1.1\r\nHost: CRM.internal.:8080\r\n", 200),
        // As to a forward proxy: `http_proxy`.
        ("GET http://crm.internal/x?y HTTP/1.1\r\nHost: crm.internal\r\nProxy-Connection: close\r\n", 200),
        ("GET http://crm.internal/x?y HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("GET http://billing.internal/x?y HTTP/1.1\r\nHost: billing.internal\r\n", 421),
        ("GET /x?y HTTP/1.1\r\nHost: localhost\r\n", 404),
        ("GET /../y HTTP/1.1\r\nHost: crm.internal\r\n", 400),
    ];
    for (head, expected) in cases {
        let before = upstream.requests().len();
        let answer = rig.send(format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{head:?}: {answer}");
        let went_on = upstream.requests().len() > before;
        assert_eq!(went_on, expected == 200, "{head:?}");
        if went_on {
            let seen = upstream.last();
            assert!(seen.starts_with("GET /x?y HTTP/1.1\r\n"), "{seen}");
            assert_eq!(header(&seen, "host"), [upstream.origin.trim_start_matches("http://")], "{seen}");
        }
    }
}

#[tokio::test]
async fn p1_the_longest_path_goes_first_and_each_upstream_has_its_own_token() {
    let server = TestServer::start().await.expect("servers");
    let (wide, narrow) = (Upstream::start(OK).await, Upstream::start(OK).await);
    let rig = Rig::start(&server, &wide.origin, |settings| {
        let mut other = settings.upstreams[0].clone();
        (other.name, other.path, other.url) = ("narrow".to_owned(), Some("/crm/x".to_owned()), narrow.origin.clone());
        let oauth = format!(
            r#"
            origins = ["{}"]
            server.token_endpoint = "{}"
            client = {{ id = "m2m", authentication = "none" }}
            "#,
            narrow.origin,
            server.token_endpoint()
        );
        // A client that gets no token: nothing may go there, and least of all the other's.
        settings.oauth.insert("narrow".to_owned(), toml::from_str(&oauth).expect("settings"));
        other.oauth = "narrow".to_owned();
        settings.upstreams.push(other);
    });
    let rig = rig.await;
    assert_eq!(status(&rig.get("/crm/xy", &[]).await), 200);
    assert_eq!(wide.requests().len(), 1);
    let answer = rig.get("/crm/x/y", &[]).await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(answer.contains(r#""code":"token_refused""#), "{answer}");
    assert_eq!((wide.requests().len(), narrow.requests().len()), (1, 0));
}

#[tokio::test]
async fn p1_redirects_within_an_upstream_lead_through_the_proxy() {
    let server = TestServer::start().await.expect("servers");
    let cases = [
        ("{origin}/v2/orders/7?x=1#y", "/crm/orders/7?x=1#y"),
        ("/v2/orders/7", "/crm/orders/7"),
        ("7", "/crm/7"),
        ("?page=2", "/crm/orders?page=2"),
        ("/v2", "/crm"),
        // Elsewhere, written out: the caller sees where it leads, and gets no token there.
        ("/v1/orders", "{origin}/v1/orders"),
        ("/v20", "{origin}/v20"),
        ("../admin", "{origin}/admin"),
        ("/crm/orders", "{origin}/crm/orders"),
        ("\\v1\\orders", "{origin}/v1/orders"),
        ("%2e%2e/v1", "{origin}/v1"),
        ("/v2/..%2fadmin", "{origin}/v2/..%2fadmin"),
        ("/v1/\u{e9}", "{origin}/v1/%C3%A9"),
        ("https://elsewhere.example.com/v2/x", "https://elsewhere.example.com/v2/x"),
        ("//elsewhere.example.com/v2/x", "http://elsewhere.example.com/v2/x"),
        ("http://a:b@{host}/v2/x", "http://a:b@{host}/v2/x"),
        ("https://{host}/v2/x", "https://{host}/v2/x"),
    ];
    for (location, expected) in cases {
        let upstream = upstream_redirecting(location).await;
        let rig = Rig::start(&server, &format!("{}/v2", upstream.origin), only_localhost).await;
        let answer = rig.get("/crm/orders", &[]).await;
        let host = upstream.origin.trim_start_matches("http://");
        let expected = expected.replace("{host}", host).replace("{origin}", &upstream.origin);
        assert_eq!((status(&answer), header(&answer, "location")), (302, vec![&*expected]), "{location}");
        assert_eq!(upstream.requests().len(), 1, "it follows none itself");
    }

    // Mapped to the root, a path of two slashes would be another host.
    let upstream = upstream_redirecting("{origin}//elsewhere.example.com/").await;
    let rig = Rig::start(&server, &upstream.origin, |settings| {
        only_localhost(settings);
        settings.upstreams[0].path = Some("/".to_owned());
    });
    let answer = rig.await.get("/orders", &[]).await;
    assert_eq!(header(&answer, "location"), [format!("{}//elsewhere.example.com/", upstream.origin)], "{answer}");
}

/// The upstreams of these tests are at 127.0.0.1, which is else a name of the proxy.
fn only_localhost(settings: &mut Settings) {
    settings.hosts = vec!["localhost".to_owned()];
}

#[tokio::test]
async fn p1_no_upstream_sends_a_caller_to_another() {
    let server = TestServer::start().await.expect("servers");
    let cases = [
        // Within itself, by the shorter path and its own.
        ("/orders", "/", Some("/orders")),
        // What would be another's path here.
        ("/stock/7", "/", Some("{origin}/stock/7")),
        ("/stock", "/", Some("{origin}/stock")),
        ("{origin}/stock/7?x", "/", Some("{origin}/stock/7?x")),
        ("../stock/7", "/crm", Some("/crm/stock/7")),
        // The proxy itself, by all its names.
        ("http://localhost/stock/7", "/crm", None),
        ("http://localhost:8080/stock/7", "/crm", None),
        ("https://LOCALHOST./stock/7", "/crm", None),
        ("//localhost:1/stock/7", "/crm", None),
        ("http:\\\\localhost/stock/7", "/crm", None),
        ("http://a:b@localhost/stock/7", "/crm", None),
        ("http://%6cocalhost/stock/7", "/crm", None),
        ("http://stock.internal/7", "/crm", None),
        ("http://stock.internal:9999/7", "/crm", Some("http://stock.internal:9999/7")),
        // Whatever the caller would make of it.
        ("http://[/stock", "/crm", None),
        ("/orders\r\nLocation: /stock", "/", None),
    ];
    let stock = Upstream::start(OK).await;
    for (location, path, expected) in cases {
        let upstream = upstream_redirecting(location).await;
        let rig = Rig::start(&server, &upstream.origin, |settings| {
            only_localhost(settings);
            settings.upstreams[0].path = Some(path.to_owned());
            let oauth = format!(
                r#"
                origins = ["{}"]
                server.token_endpoint = "{}"
                client = {{ id = "m2m", authentication = "none" }}
                "#,
                stock.origin,
                server.token_endpoint()
            );
            let credentials = toml::from_str(&oauth).expect("settings");
            settings.oauth.insert("stock".to_owned(), credentials);
            for (name, path, host) in [("stock", Some("/stock"), None), ("by host", None, Some("stock.internal:80"))] {
                let mut other = settings.upstreams[0].clone();
                (other.name, other.oauth, other.url) = (name.to_owned(), "stock".to_owned(), stock.origin.clone());
                (other.path, other.host) = (path.map(str::to_owned), host.map(str::to_owned));
                settings.upstreams.push(other);
            }
        });
        let rig = rig.await;
        let answer = rig.get(if path == "/" { "/orders" } else { "/crm/orders" }, &[]).await;
        let expected = expected.map(|expected| expected.replace("{origin}", &upstream.origin));
        assert_eq!(
            (status(&answer), header(&answer, "location")),
            (302, Vec::from_iter(expected.as_deref())),
            "{location}"
        );
    }
    assert_eq!(stock.requests().len(), 0);
}

async fn upstream_redirecting(location: &str) -> Upstream {
    let location = location.to_owned();
    let origin = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = std::sync::Arc::clone(&origin);
    let upstream = Upstream::start_with(move |_| {
        let origin = known.get().map_or("", String::as_str);
        let location = location.replace("{origin}", origin).replace("{host}", origin.trim_start_matches("http://"));
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
    });
    let upstream = upstream.await;
    origin.set(upstream.origin.clone()).expect("set once");
    upstream
}

#[tokio::test]
async fn p1_a_put_to_the_root_of_an_upstream_keeps_its_body() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::start(&server, &upstream.origin, |settings| settings.upstreams[0].path = Some("/".to_owned())).await;
    assert_eq!(status(&rig.send(request("PUT", "/", &["Content-Length: 4"], "body")).await), 200);
    let seen = upstream.last();
    assert!(seen.starts_with("PUT / HTTP/1.1\r\n") && seen.ends_with("\r\n\r\nbody"), "{seen}");
}
