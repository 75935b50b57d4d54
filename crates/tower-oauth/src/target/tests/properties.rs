use proptest::prelude::*;

use super::*;

/// What the URL means, worked out slowly: scheme, host, port and path segments.
fn model(url: &str) -> Option<(String, String, u16, Vec<String>)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_lowercase();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, if scheme == "http" { 80 } else { 443 }),
    };
    let host = match host.strip_prefix('[') {
        Some(address) => address.trim_end_matches(']').parse::<Ipv6Addr>().ok()?.to_string(),
        None => host.trim_end_matches('.').to_lowercase(),
    };
    let (mut path, mut segments) = (path.to_lowercase(), Vec::new());
    for (code, meaning) in [("%2e", "."), ("%2f", "/"), ("%5c", "/"), ("\\", "/")] {
        path = path.replace(code, meaning);
    }
    for segment in path.split('/').skip(1) {
        match segment.split(';').next() {
            Some("..") => drop(segments.pop()),
            Some(".") => {}
            _ => segments.push(segment.to_owned()),
        }
    }
    Some((scheme, host, port, segments))
}

fn any_url() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec!["https://", "HTTPS://", "http://"]);
    let hosts = vec!["a.example", "A.Example", "a.example.", "b.example", "[::1]", "[0::1]", "[::2]", "127.0.0.1"];
    let port = prop::sample::select(vec!["", ":443", ":80", ":8443"]);
    let piece = vec!["/v2", "/v2", "/v3", "/x", "/", "/..", "/.", "/..;", "/%2e%2e", "%2F", "%5c", "\\", ".", "a"];
    let path = prop::collection::vec(prop::sample::select(piece), 0..6).prop_map(|path| path.concat());
    (scheme, prop::sample::select(hosts), port, path).prop_map(|(scheme, host, port, path)| {
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        format!("{scheme}{host}{port}{slash}{path}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn r4_covers_only_what_the_slow_model_covers(one in any_url(), other in any_url()) {
        let Ok(origin) = Origin::parse_allowing_plain_http(&one) else { return Ok(()) };
        let (here, there) = (model(&one).expect("an origin"), model(&other).expect("a URL"));
        let same_place = (&here.0, &here.1, here.2) == (&there.0, &there.1, there.2);
        let mut prefix = here.3;
        prefix.pop_if(|last| last.is_empty());
        let covered = covers(&origin, &other);
        if prefix.is_empty() {
            prop_assert_eq!(covered, same_place);
        } else if covered {
            prop_assert!(same_place && there.3.starts_with(&prefix), "{} leaves {}", other, origin);
        } else if same_place && there.3.starts_with(&prefix) {
            // The model resolves what we refuse to: only then may they differ.
            let odd = ["/.", "%", "\\"].iter().any(|odd| other.contains(odd));
            prop_assert!(odd, "{} and {}", origin, other);
        }
    }

    #[test]
    fn r4_no_other_host_is_covered(host in "[a-cA-C.]{1,4}", other in "[a-cA-C.%@:0-1\\[\\]]{1,6}") {
        let Ok(origin) = Origin::parse(&format!("https://{host}")) else { return Ok(()) };
        let Ok(uri) = format!("https://{other}/").parse::<Uri>() else { return Ok(()) };
        let Located::Here(destination) = Destination::of_uri(&uri) else { return Ok(()) };
        if origin.covers(&destination) {
            let canonical = other.to_lowercase();
            prop_assert_eq!(&origin.as_str()[8..], canonical.strip_suffix('.').unwrap_or(&canonical));
        }
    }

    #[test]
    fn r4_whatever_is_read_covers_itself(text in "(https://)?[a-cA-Z0-9.:/%;@\\[\\]é]{0,16}") {
        if let Ok(origin) = Origin::parse(&text) {
            prop_assert_eq!(Origin::parse(origin.as_str()), Ok(origin.clone()));
            prop_assert!(covers(&origin, origin.as_str()));
            prop_assert!(covers(&origin, &text), "{} and {}", origin, text);
        }
    }
}
