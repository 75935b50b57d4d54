//! Where an answer may go.

/// Whether a client that has registered the one may use the other: exactly the same (RFC 9700 section
/// 4.1.3), but for the port of a loopback address (RFC 8252 section 7.3).
pub(super) fn fits(registered: &str, asked: &str) -> bool {
    registered == asked || without_port(asked).is_some_and(|asked| Some(asked) == without_port(registered))
}

/// What is before and after the port of http to a literal loopback address; `localhost` is none.
fn without_port(uri: &str) -> Option<(&'static str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let (host, rest) = ["127.0.0.1", "[::1]"].into_iter().find_map(|host| Some((host, rest.strip_prefix(host)?)))?;
    let Some(port) = rest.strip_prefix(':') else {
        return (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest));
    };
    let end = port.find(['/', '?']).unwrap_or(port.len());
    let (port, rest) = port.split_at(end);
    let number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (number && port.parse::<u16>().is_ok()).then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_what_is_registered_but_for_the_port_of_a_loopback_address() {
        for (registered, asked, good) in [
            ("https://app.test/callback", "https://app.test/callback", true),
            ("https://app.test/callback", "https://app.test/callback/", false),
            ("https://app.test/callback", "https://app.test/callback?x=1", false),
            ("https://app.test/callback", "https://app.test:444/callback", false),
            ("https://app.test/callback", "https://APP.test/callback", false),
            ("https://app.test/callback", "http://app.test/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:4711/callback", true),
            ("http://127.0.0.1:1/callback", "http://127.0.0.1:4711/callback", true),
            ("http://127.0.0.1/callback", "http://127.0.0.1/callback", true),
            ("http://[::1]/callback", "http://[::1]:4711/callback", true),
            ("http://127.0.0.1/callback", "http://[::1]:4711/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:4711/other", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:4711@evil.test/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1.evil.test/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:99999/callback", false),
            ("http://127.0.0.1/callback", "https://127.0.0.1:4711/callback", false),
            ("http://127.0.0.1", "http://127.0.0.1:4711", true),
            ("http://localhost/callback", "http://localhost:4711/callback", false),
            ("http://localhost:4711/callback", "http://localhost:4711/callback", true),
            ("com.example.app:/callback", "com.example.app:/callback", true),
            ("com.example.app:/callback", "com.example.app:/callback2", false),
        ] {
            assert_eq!(fits(registered, asked), good, "{registered} {asked}");
        }
    }
}
