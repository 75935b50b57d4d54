use http::Uri;

use super::*;

mod matching;
mod properties;

impl Origin {
    fn covers(&self, destination: &Destination<'_>) -> bool {
        self.coverage(destination) == Coverage::Yes
    }
}

fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn covers(origin: &Origin, url: &str) -> bool {
    let uri: Uri = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
    match Destination::of_uri(&uri) {
        Located::Here(destination) => origin.covers(&destination),
        Located::NoAuthority | Located::Tunnel => panic!("{url} is absolute"),
        Located::Unmatchable => false,
    }
}

#[test]
fn r4_origins_become_canonical() {
    let vectors = [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("HTTPS://API.Example.COM", "https://api.example.com"),
        ("https://api.example.com.", "https://api.example.com"),
        ("https://api.example.com:443", "https://api.example.com"),
        ("https://api.example.com.:443/", "https://api.example.com"),
        ("https://api.example.com:80", "https://api.example.com:80"),
        ("https://api.example.com:8443/v2", "https://api.example.com:8443/v2"),
        ("https://api.example.com/v2/", "https://api.example.com/v2"),
        ("https://api.example.com/V2/a.b/~c", "https://api.example.com/V2/a.b/~c"),
        ("https://api.example.com/caf%C3%A9/@me;v=1", "https://api.example.com/caf%C3%A9/@me;v=1"),
        ("https://api.example.com/...", "https://api.example.com/..."),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://my_service", "https://my_service"),
        ("https://a.b-c.d1", "https://a.b-c.d1"),
        ("https://192.0.2.7:65535", "https://192.0.2.7:65535"),
        ("https://192.0.2.7.", "https://192.0.2.7"),
        ("https://[2001:DB8:0:0::1]", "https://[2001:db8::1]"),
        ("https://[2001:db8::0001]:443/x", "https://[2001:db8::1]/x"),
        ("https://[::ffff:192.0.2.7]", "https://[::ffff:192.0.2.7]"),
        ("https://[::ffff:c000:207]", "https://[::ffff:192.0.2.7]"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.255.255.254:80", "http://127.255.255.254"),
        ("http://[::1]", "http://[::1]"),
        ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://LocalHost.", "http://localhost"),
    ];
    for (text, canonical) in vectors {
        let origin = origin(text);
        assert_eq!(origin.as_str(), canonical, "{text}");
        assert_eq!(origin.to_string(), canonical, "{text}");
        assert_eq!(canonical.parse(), Ok(origin), "{canonical} reads as itself");
    }
}

#[test]
fn r4_what_is_no_origin() {
    use Problem::*;
    let long_label = format!("https://{}.example", "a".repeat(64));
    let long_host = format!("https://{}a", "a.".repeat(127));
    let vectors = [
        ("", NoScheme),
        ("api.example.com", NoScheme),
        ("localhost:3000", NoScheme),
        ("//api.example.com", NoScheme),
        ("https:/api.example.com", NoScheme),
        ("https:api.example.com", NoScheme),
        ("ftp://api.example.com", OtherScheme),
        ("wss://api.example.com", OtherScheme),
        ("://api.example.com", OtherScheme),
        ("httpss://api.example.com", OtherScheme),
        ("http://api.example.com", PlainHttp),
        ("http://192.0.2.7", PlainHttp),
        ("http://126.255.255.255", PlainHttp),
        ("http://128.0.0.1", PlainHttp),
        ("http://0.0.0.0", PlainHttp),
        ("http://[::]", PlainHttp),
        ("http://[::2]", PlainHttp),
        ("http://[::ffff:127.0.0.1]", PlainHttp),
        ("http://api.localhost", PlainHttp),
        ("http://localhost.example.com", PlainHttp),
        ("http://127.0.0.1.example.com", PlainHttp),
        ("https://", NoHost),
        ("https:///v2", NoHost),
        ("https://:443", NoHost),
        ("https://.", NoHost),
        ("https://user@api.example.com", Userinfo),
        ("https://user:password@api.example.com", Userinfo),
        ("https://@api.example.com", Userinfo),
        ("https://a@b@c", Userinfo),
        ("https://*.example.com", Wildcard),
        ("https://*", Wildcard),
        ("https://api.example.com/v2/*", Wildcard),
        ("https://.example.com", Host),
        ("https://api..example.com", Host),
        ("https://api.example.com..", Host),
        ("https://api%2eexample.com", Host),
        ("https://%61pi.example.com", Host),
        ("https://api.example.com\\@evil.example", Userinfo),
        ("https://api.example.com\\.evil.example", Host),
        ("https://api,example.com", Host),
        (&long_label, Host),
        (&long_host, Host),
        ("https://127.1", IpAddress),
        ("https://127.0.1", IpAddress),
        ("https://0x7f.1", IpAddress),
        ("https://0x7f000001", IpAddress),
        ("https://1.2.3.0X4", IpAddress),
        ("https://example.0x", IpAddress),
        ("https://2130706433", IpAddress),
        ("https://127.0.0.01", IpAddress),
        ("https://0177.0.0.1", IpAddress),
        ("https://256.0.0.1", IpAddress),
        ("https://1.2.3.4.5", IpAddress),
        ("https://example.1", IpAddress),
        ("https://::1", IpAddress),
        ("https://2001:db8::1", IpAddress),
        ("https://[::1", IpAddress),
        ("https://[]", IpAddress),
        ("https://[::1%25eth0]", IpAddress),
        ("https://[fe80::1%eth0]", IpAddress),
        ("https://[127.0.0.1]", IpAddress),
        ("https://[::1].", IpAddress),
        ("https://[::1]x", IpAddress),
        ("https://[v1.x]", IpAddress),
        ("https://api.example.com:", Port),
        ("https://api.example.com:0", Port),
        ("https://api.example.com:0443", Port),
        ("https://api.example.com:+443", Port),
        ("https://api.example.com:-1", Port),
        ("https://api.example.com:65536", Port),
        ("https://api.example.com:https", Port),
        ("https://[::1]:x", Port),
        ("https://api.example.com/v2?x=y", Query),
        ("https://api.example.com?", Query),
        ("https://api.example.com/#", Fragment),
        ("https://api.example.com#x", Fragment),
        (" https://api.example.com", Whitespace),
        ("https://api.example.com\n", Whitespace),
        ("https://api.exa\u{0}mple.com", Whitespace),
        ("https://api.example.com/a b", Whitespace),
        ("https://api.example.com/\u{a0}", Whitespace),
        ("https://bücher.example", NonAscii),
        ("https://api.example.com/caf\u{e9}", NonAscii),
        ("https://api。example.com", NonAscii),
        ("https://api.example.com/.", Path),
        ("https://api.example.com/v2/..", Path),
        ("https://api.example.com/../v2", Path),
        ("https://api.example.com/v2/./x", Path),
        ("https://api.example.com/v2/..;a/x", Path),
        ("https://api.example.com/v2%2Fx", Path),
        ("https://api.example.com/v2%5cx", Path),
        ("https://api.example.com/%2e/x", Path),
        ("https://api.example.com/v2\\x", Path),
        ("https://api.example.com/v2//x", Path),
        ("https://api.example.com//", Path),
        ("https://api.example.com/a%", Path),
        ("https://api.example.com/a%4", Path),
        ("https://api.example.com/a%zz", Path),
        ("https://api.example.com/<x>", Path),
    ];
    for (text, problem) in vectors {
        assert_eq!(Origin::parse(text), Err(InvalidOrigin(problem)), "{text}");
    }
}

#[test]
fn r4_plain_http_beyond_loopback_is_allowed_by_name() {
    let origin = Origin::parse_allowing_plain_http("http://Api.Mesh:80/v2/").expect("it is allowed");
    assert_eq!(origin.as_str(), "http://api.mesh/v2");
    assert!(covers(&origin, "http://api.mesh/v2"));
    assert!(!covers(&origin, "https://api.mesh/v2"));
    assert!(Origin::parse_allowing_plain_http("ftp://api.mesh").is_err());
}

#[test]
fn s1_an_invalid_origin_is_not_repeated() {
    for text in ["https://u:s3cret@h", "https://h?s3cret", "s3cret", "https://s3cret\n", "https://h/%s3cret"] {
        let error = Origin::parse(text).expect_err(text);
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}
