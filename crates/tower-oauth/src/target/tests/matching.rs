use http::{HeaderMap, HeaderValue, header::HOST};

use super::*;

#[test]
fn r4_hosts_and_ports() {
    let api = "https://api.example.com";
    let vectors = [
        (api, "https://api.example.com", true),
        (api, "https://api.example.com/any/../path%2f?q", true),
        (api, "HTTPS://API.EXAMPLE.com/", true),
        (api, "https://api.example.com./", true),
        (api, "https://API.example.com.:443/", true),
        (api, "https://api.example.com:443", true),
        (api, "https://api.example.com:8443", false),
        (api, "https://api.example.com:80", false),
        (api, "http://api.example.com", false),
        (api, "http://api.example.com:443", false),
        (api, "wss://api.example.com", false),
        (api, "https://api.example.com..", false),
        (api, "https://api.example.co", false),
        (api, "https://api.example.com.evil.example", false),
        (api, "https://evilapi.example.com", false),
        (api, "https://example.com", false),
        (api, "https://sub.api.example.com", false),
        (api, "https://api%2eexample.com", false),
        (api, "https://api.example.co%6d", false),
        // Userinfo, and ports that are none.
        (api, "https://user@api.example.com", false),
        (api, "https://user:pass@api.example.com", false),
        (api, "https://@api.example.com", false),
        (api, "https://api.example.com@evil.example", false),
        (api, "https://api.example.com:443@evil.example", false),
        (api, "https://api.example.com:", false),
        (api, "https://api.example.com:0443", false),
        (api, "https://api.example.com:+443", false),
        (api, "https://api.example.com:65979", false),
        ("https://api.example.com:8443", "https://api.example.com:8443/x", true),
        ("https://api.example.com:8443", "https://api.example.com/x", false),
        ("https://api.example.com:80", "https://api.example.com:80", true),
        // IPv4.
        ("http://127.0.0.1", "http://127.0.0.1:80", true),
        ("http://127.0.0.1", "http://127.0.0.1.", true),
        ("http://127.0.0.1", "http://127.1", false),
        ("http://127.0.0.1", "http://127.0.0.01", false),
        ("http://127.0.0.1", "http://0x7f.1", false),
        ("http://127.0.0.1", "http://2130706433", false),
        ("http://127.0.0.1", "http://localhost", false),
        ("http://127.0.0.1", "http://[::ffff:127.0.0.1]", false),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081", false),
        // IPv6 in any spelling.
        ("https://[2001:db8::1]", "https://[2001:db8::1]", true),
        ("https://[2001:db8::1]", "https://[2001:DB8:0:0:0:0:0:1]:443/x", true),
        ("https://[2001:db8::1]", "https://[2001:db8::0.0.0.1]", true),
        ("https://[2001:db8::1]", "https://[2001:db8::2]", false),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:1", false),
        ("http://[::1]", "http://[0::1]", true),
        ("http://[::1]", "http://127.0.0.1", false),
        ("https://[::ffff:192.0.2.7]", "https://[::ffff:c000:207]", true),
        ("https://[::ffff:192.0.2.7]", "https://192.0.2.7", false),
    ];
    for (text, url, expected) in vectors {
        // `http` refuses some of them itself, depending on its version.
        let covered = url.parse::<Uri>().is_ok() && covers(&origin(text), url);
        assert_eq!(covered, expected, "{text} and {url}");
    }
}

#[test]
fn r4_path_prefixes() {
    let origin = origin("https://api.example.com/v2");
    for path in [
        "/v2",
        "/v2/",
        "/v2?x",
        "/v2?x=/../y",
        "/v2/x",
        "/v2/x/y.z",
        "/v2/.well-known",
        "/v2/...",
        "/v2/..a",
        "/v2/a..",
        "/v2/a./b",
        "/v2/x;y=1/z",
        "/v2/%20",
        "/v2/caf%C3%A9",
        "/v2/a%2",
        "/v2//x",
        "/v2/%252e%252e/x",
        "/v2/x?%2f%5c\\",
    ] {
        assert!(covers(&origin, &format!("https://api.example.com{path}")), "{path}");
    }
    for path in [
        "",
        "/",
        "?x",
        "/v",
        "/v20",
        "/v2.1",
        "/v2;x",
        "/v2%20",
        "/V2",
        "/x/v2",
        "//v2",
        "/./v2",
        "/%762",
        "/v1/../v2",
        "/v2/..",
        "/v2/.",
        "/v2/../x",
        "/v2/./x",
        "/v2/x/..",
        "/v2/x/../../y",
        "/v2//../x",
        "/v2/..?x",
        "/v2/..;/x",
        "/v2/.;x/y",
        "/v2/..;",
        "/v2/..%3b/x",
        "/v2/..%00/x",
        "/v2/..%20/x",
        "/v2/.%2e/x",
        "/v2/%2e%2e/x",
        "/v2/%2E./x",
        "/v2/%2e",
        "/v2/a%2eb",
        "/v2/a%2fb",
        "/v2/a%2Fb",
        "/v2/..%2fx",
        "/v2/a%5cb",
        "/v2/a%5Cb",
        "/v2/a\\b",
        "/v2/..\\x",
        "/v2/%c0%ae%c0%ae/x",
        "/v2/%C0%AF../x",
        "/v2/%u002e%u002e/x",
        "/v2/%20../x",
        "/v2/%09../x",
        "/v2/%00../x",
        "/v2/x%0d%0a",
        "/v2/..,/x",
        "/v2/.%20/x",
        "/v2\\x",
        "/v2%2fx",
    ] {
        assert!(!covers(&origin, &format!("https://api.example.com{path}")), "{path}");
    }
}

#[test]
fn r5_requests_without_authority() {
    for text in ["/", "/v2?x", "*"] {
        let uri: Uri = text.parse().expect(text);
        assert!(matches!(Destination::of_uri(&uri), Located::NoAuthority), "{text}");
    }
    for text in ["api.example.com", "api.example.com:443"] {
        let uri: Uri = text.parse().expect(text);
        assert!(matches!(Destination::of_uri(&uri), Located::Tunnel), "{text}");
    }
}

#[test]
fn r5_on_a_bound_connection_the_origin_is_the_configured_one() {
    let origin = origin("https://[2001:db8::1]:8443/v2");
    assert!(origin.covers(&origin.destination("/v2/x")));
    assert!(!origin.covers(&origin.destination("/v2/../x")));
    let host = HeaderMap::from_iter([(HOST, HeaderValue::from_static("[2001:DB8::1]:8443"))]);
    assert_eq!(origin.destination("/").check_host(&host), Ok(()));
}

#[test]
fn r5_host_headers() {
    use HostError::*;
    type Vector = (&'static str, &'static [&'static [u8]], Result<(), HostError>);
    let vectors: &[Vector] = &[
        ("https://api.example.com/x", &[], Ok(())),
        ("https://api.example.com/x", &[b"api.example.com"], Ok(())),
        ("https://api.example.com/x", &[b"API.example.com.:443"], Ok(())),
        ("https://API.example.com.:443", &[b"api.example.com"], Ok(())),
        ("http://api.example.com", &[b"api.example.com:80"], Ok(())),
        ("http://api.example.com:8080", &[b"api.example.com:8080"], Ok(())),
        ("https://[::1]", &[b"[0:0::1]:443"], Ok(())),
        ("foo://api.example.com", &[b"api.example.com"], Ok(())),
        ("https://api.example.com", &[b"api.example.com", b"api.example.com"], Err(Several)),
        ("https://api.example.com", &[b"api.example.com", b"\xff"], Err(Several)),
        ("https://api.example.com", &[b"evil.example"], Err(Different)),
        ("https://api.example.com", &[b"api.example.com:80"], Err(Different)),
        ("https://api.example.com:8443", &[b"api.example.com"], Err(Different)),
        ("http://api.example.com", &[b"api.example.com:443"], Err(Different)),
        ("https://api.example.com", &[b"api.example.com, evil.example"], Err(Different)),
        ("https://api.example.com", &[b"api.example.com "], Err(Different)),
        ("https://[::1]", &[b"[::2]"], Err(Different)),
        ("https://[::1]", &[b"[::1]."], Err(Different)),
        ("https://127.0.0.1", &[b"127.1"], Err(Different)),
        ("https://api.example.com", &[b""], Err(Unreadable)),
        ("https://api.example.com", &[b"api.example.com:"], Err(Unreadable)),
        ("https://api.example.com", &[b"api.example.com:x"], Err(Unreadable)),
        ("https://api.example.com", &[b"u@api.example.com"], Err(Unreadable)),
        ("https://api.example.com", &[b"https://api.example.com"], Err(Unreadable)),
        ("https://api.example.com", &[b"api.example.c\xf6m"], Err(Unreadable)),
    ];
    for (url, fields, expected) in vectors {
        let uri: Uri = url.parse().expect(url);
        let Located::Here(destination) = Destination::of_uri(&uri) else { panic!("{url}") };
        let mut headers = HeaderMap::new();
        for field in *fields {
            headers.append(HOST, HeaderValue::from_bytes(field).expect("a header value"));
        }
        assert_eq!(destination.check_host(&headers), *expected, "{url} and {fields:?}");
    }
}

#[cfg(feature = "reqwest")]
#[test]
fn r13_the_urls_of_responses() {
    let origin = origin("https://api.example.com/v2");
    let vectors = [
        ("https://api.example.com/v2/x", true),
        ("HTTPS://API.example.com.:443/v2", true),
        ("https://api.example.com/v2/../x", false),
        ("https://api.example.com/v2/..%2fx", false),
        ("https://api.example.com/v3", false),
        ("https://cdn.example.com/v2", false),
        ("http://api.example.com/v2", false),
        ("https://user@api.example.com/v2", false),
        ("https://:pass@api.example.com/v2", false),
        ("data:text/plain,x", false),
    ];
    for (url, expected) in vectors {
        let url: reqwest::Url = url.parse().expect(url);
        let covered = matches!(Destination::of_url(&url), Located::Here(d) if origin.covers(&d));
        assert_eq!(covered, expected, "{url}");
    }
}
