//! Where a browser may be sent: to the server, back to the application, and on within it.

use http::Uri;
use percent_encoding::percent_decode_str;

use super::callback::pairs;
use crate::{
    Error, ErrorKind, Form,
    endpoint_url::{EndpointUrl, PlainHttp},
    request::is_absolute_uri,
};

/// The longest path to return to, in bytes: it goes into a session.
const MAX_RETURN_TO: usize = 2048;

/// The server's page of this name, with these parameters behind those that its URL has already (RFC 6749, section 3.1).
pub(crate) fn page_url(name: &str, page: &EndpointUrl, parameters: &Form) -> Result<String, Error> {
    let known = page.uri().query().unwrap_or_default();
    let has_none = |known: Vec<(String, String)>| !known.iter().any(|(name, _)| parameters.contains(name));
    if !pairs(known).is_ok_and(has_none) {
        let message = format!(
            "the `{name}` {page} cannot be used: its query cannot be read, or holds a parameter of the protocol's"
        );
        return Err(Error::new(ErrorKind::InvalidEndpoint, message));
    }
    let page = page.as_str();
    let separator = match page.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    Ok([page, separator, &parameters.encoded()].concat())
}

/// https, or http to loopback (RFC 8252, section 7.3), or a scheme that belongs to a domain (section 7.1).
pub(crate) fn check_redirect_uri(uri: &str) -> Result<(), Error> {
    let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let checked = match scheme.as_str() {
        "https" | "http" => EndpointUrl::parse(uri, PlainHttp::LoopbackOnly).map(drop),
        private if private.contains('.') && is_absolute_uri(uri) && !uri.contains('\\') => Ok(()),
        _ => Err("it is neither an https URL, nor http to loopback, nor of a scheme like com.example.app (RFC 8252)"),
    };
    // The URI itself is not repeated: what cannot be read may hold a password.
    checked.map_err(|why| Error::config(format!("the redirect URI cannot be used: {why}")))
}

/// A path of one's own origin, with or without a query, however a browser or a proxy reads it (L2).
pub(super) fn is_local_path(path: &str) -> bool {
    let plain = path.len() <= MAX_RETURN_TO && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let whole: Vec<u8> = percent_decode_str(path.split(['?', '#']).next().unwrap_or_default()).collect();
    // `//host` by another spelling, once something in between has decoded or straightened it.
    let leads_away = whole.windows(2).any(|pair| pair == b"//")
        || whole.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\')
        || whole.split(|byte| *byte == b'/').any(|segment| segment == b"." || segment == b"..");
    plain && path.starts_with('/') && !leads_away && path.parse::<Uri>().is_ok_and(|uri| uri.authority().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l2_redirect_uris() {
        let accepted = [
            "https://app.example.com/callback",
            "https://app.example.com:8443/callback?tenant=1",
            "http://127.0.0.1:49152/callback",
            "http://[::1]:49152/callback",
            "http://localhost:3000/callback",
            "com.example.app:/callback",
            "com.example.app://callback",
        ];
        for uri in accepted {
            assert!(check_redirect_uri(uri).is_ok(), "{uri}");
        }
        let refused = [
            "",
            "/callback",
            "app.example.com/callback",
            "http://app.example.com/callback",
            "http://0.0.0.0/callback",
            "http://127.1/callback",
            "https://app.example.com/callback#there",
            "https://user:password@app.example.com/callback",
            "https://app.example.com\\@evil.example/",
            "https://app.example.com/call back",
            "com.example.app:/callback#there",
            "com.example.app:/call\nback",
            "com.example.app:\\callback",
            "myapp:/callback",
            "javascript:alert(1)",
            "JavaScript://app.example.com/%0aalert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "ftp://app.example.com/",
        ];
        for uri in refused {
            let error = check_redirect_uri(uri).expect_err(uri);
            assert_eq!(error.kind(), ErrorKind::Config, "{uri}");
            assert!(uri.is_empty() || !error.to_string().contains(uri), "{error}");
        }
    }

    #[test]
    fn l2_paths_to_return_to() {
        let accepted = [
            "/",
            "/orders",
            "/orders?x=1&y=//z",
            "/a%20b/c",
            "/?next=https://a.test/..",
            "/a#b",
            "/.well-known/x",
            "/a:b@c",
        ];
        for path in accepted {
            assert!(is_local_path(path), "{path}");
        }
        let long = format!("/{}", "a".repeat(MAX_RETURN_TO));
        let refused = [
            "",
            "orders",
            "?x",
            "https://evil.example/",
            "javascript:alert(1)",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\b",
            "/%2fevil.example",
            "/%2Fevil.example",
            "/%5cevil.example",
            "/.//evil.example",
            "/..//evil.example",
            "/./x",
            "/a/../b",
            "/%2e%2e/evil.example",
            "/a//b",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x",
            "/a%0d%0aSet-Cookie:x",
            "/ä",
            "/a b",
            " /a",
            "/a\u{7f}",
            long.as_str(),
        ];
        for path in refused {
            assert!(!is_local_path(path), "{path}");
        }
    }

    #[test]
    fn t4_parameters_go_behind_those_of_the_page() {
        let form = || Form::new().with("client_id", "a b").with("state", "x&y=z");
        let cases = [
            ("https://id.test/a", Some("https://id.test/a?client_id=a%20b&state=x%26y%3Dz")),
            ("https://id.test", Some("https://id.test?client_id=a%20b&state=x%26y%3Dz")),
            ("https://id.test/a?", Some("https://id.test/a?client_id=a%20b&state=x%26y%3Dz")),
            ("https://id.test/a?p=q", Some("https://id.test/a?p=q&client_id=a%20b&state=x%26y%3Dz")),
            ("https://id.test/a?p=q&", Some("https://id.test/a?p=q&client_id=a%20b&state=x%26y%3Dz")),
            ("https://id.test/a?client_id=other", None),
            ("https://id.test/a?st%61te=other", None),
            ("https://id.test/a?%ff=", None),
        ];
        for (page, expected) in cases {
            let page = EndpointUrl::parse(page, PlainHttp::LoopbackOnly).expect("a URL");
            let url = page_url("authorization_endpoint", &page, &form());
            assert_eq!(url.as_ref().ok().map(String::as_str), expected, "{page:?}");
            if let Err(error) = url {
                assert_eq!(error.kind(), ErrorKind::InvalidEndpoint);
            }
        }
    }
}
