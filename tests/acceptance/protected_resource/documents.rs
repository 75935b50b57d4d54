//! What metadata are taken, and what is said of those that are not.

use bytes::Bytes;
use http::Response;
use oauth_tokens::TokenSource;
use tests::{canned::json, support::shown};

use super::{ErrorKind, ID, RESOURCE, WELL_KNOWN, World, document_of};

#[tokio::test]
async fn d7_resource_must_be_the_expected_one_to_the_letter() {
    let others = [
        (RESOURCE, "https://api.test/mcp/"),
        ("https://api.test/mcp/", RESOURCE),
        ("https://api.test", "https://api.test/"),
        ("https://api.test/", "https://api.test"),
        (RESOURCE, "https://api.test"),
        (RESOURCE, "https://api.test/MCP"),
        (RESOURCE, "https://API.test/mcp"),
        (RESOURCE, "https://api.test:443/mcp"),
        (RESOURCE, "http://api.test/mcp"),
        (RESOURCE, "https://evil.test/mcp"),
        (RESOURCE, " https://api.test/mcp"),
        (RESOURCE, "https://api.test/mcp?x=1"),
        (RESOURCE, "https://api.test/mcp/../mcp"),
        (RESOURCE, "https://api.test/%6dcp"),
    ];
    for (expected, found) in others {
        let place = match expected.trim_end_matches('/') {
            "https://api.test" => super::ROOT.to_owned(),
            _ => expected.replace("https://api.test", super::ROOT),
        };
        let world = World::new().with(&place, document_of(found, &[ID]));
        let error = world.resource_at(expected).fetch().await.expect_err(found);
        assert_eq!(error.kind(), ErrorKind::ResourceMismatch, "{expected} {found}");
        assert!(error.is_transient(), "its operator may mend it");
        let text = error.to_string();
        let shown = found.split('?').next().unwrap_or_default();
        assert!(text.contains(shown) && text.contains(expected), "{text}");
        assert!(text.contains("give the resource exactly as it spells itself"), "{text}");
        assert_eq!(world.canned.urls(), [place], "no authorization server is asked");
        // Given as it spells itself, it is right, where it can be given so.
        if let Some(place) = found.strip_prefix("https://api.test").filter(|path| path.starts_with("/m")) {
            let world = World::new().with(&format!("{}{place}", super::ROOT), document_of(found, &[ID]));
            world.resource_at(found).fetch().await.expect("a token");
        }
    }
}

#[tokio::test]
async fn d7_what_are_no_metadata_is_refused() {
    let long = format!(r#"{{"resource":"{RESOURCE}","authorization_servers":["{ID}"],"x":"{}"}}"#, "x".repeat(1 << 20));
    let bodies: [(&str, &str); 18] = [
        ("", "is JSON that ends too early"),
        ("{", "is JSON that ends too early"),
        ("<html>Sign in</html>", "is not JSON"),
        ("\u{feff}{}", "is not JSON"),
        (r#""https://api.test/mcp""#, "one object"),
        (r#"[{"resource":"https://api.test/mcp"}]"#, "one object"),
        (r#"{"authorization_servers":["https://id.test"]}"#, "it names no `resource`"),
        (r#"{"resource":null,"authorization_servers":["https://id.test"]}"#, "it names no `resource`"),
        (r#"{"resource":"","authorization_servers":["https://id.test"]}"#, "it names no `resource`"),
        (
            r#"{"resource":["https://api.test/mcp"],"authorization_servers":["https://id.test"]}"#,
            "it names no `resource`",
        ),
        (
            r#"{"resource":"https://api.test/mcp","resource":"https://api.test/mcp","authorization_servers":["https://id.test"]}"#,
            "each key once",
        ),
        (
            r#"{"resource":"https://api.test/mcp","authorization_servers":["https://id.test"],"authorization_servers":["https://evil.test"]}"#,
            "each key once",
        ),
        (r#"{"resource":"https://api.test/mcp","authorization_servers":"https://id.test"}"#, "no list of strings"),
        (r#"{"resource":"https://api.test/mcp","authorization_servers":[["https://id.test"]]}"#, "no list of strings"),
        (r#"{"resource":"https://api.test/mcp","authorization_servers":["https://id.test",1]}"#, "no list of strings"),
        (
            r#"{"resource":"https://api.test/mcp","authorization_servers":{"0":"https://id.test"}}"#,
            "no list of strings",
        ),
        (r#"{"resource":"https://api.test/mcp","authorization_servers":["https://id.test"]} {}"#, "is not JSON"),
        (&long, "more than 1 MiB"),
    ];
    for (body, expected) in bodies {
        let world = World::new().with(WELL_KNOWN, json(200, body));
        let error = world.resource().fetch().await.expect_err(expected);
        let head = &body[..body.len().min(80)];
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{head}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains(WELL_KNOWN), "{head}: {text}");
        assert_eq!(world.canned.urls(), [WELL_KNOWN], "{head}");
    }
}

#[tokio::test]
async fn d7_one_mebibyte_is_taken() {
    let head = format!(r#"{{"resource":"{RESOURCE}","authorization_servers":["{ID}"],"x":""#);
    let body = format!("{head}{}\"}}", "x".repeat((1 << 20) - head.len() - 2));
    assert_eq!(body.len(), 1 << 20);
    World::new().with(WELL_KNOWN, json(200, body)).resource().fetch().await.expect("a token");
}

#[tokio::test]
async fn d7_what_is_not_needed_may_be_odd() {
    for more in [
        r#""scopes_supported":7"#,
        r#""scopes_supported":["a",7]"#,
        r#""signed_metadata":"x.y.z""#,
        r#""bearer_methods_supported":null"#,
        r#""jwks_uri":"http://evil.test/jwks""#,
        r#""resource_documentation":{"a":{"a":1}}"#,
    ] {
        let body = format!(r#"{{"resource":"{RESOURCE}","authorization_servers":["{ID}"],{more}}}"#);
        let world = World::new().with(WELL_KNOWN, json(200, body));
        world.resource().fetch().await.unwrap_or_else(|error| panic!("{more}: {error}"));
        assert_eq!(world.hosts(), ["api.test", "id.test", "id.test"]);
    }
}

/// Nothing of these texts shows as it is.
#[tokio::test]
async fn s1_text_from_the_resource_is_escaped_cut_and_free_of_passwords() {
    let odd = [
        "https://x.test/\r\n\u{1b}[31mred",
        "https://x.test/\u{202e}evil",
        "https://x.test/?key=pl4nt3d",
        "https://user:pl4nt3d@x.test/",
    ];
    let answers: Vec<Response<Bytes>> = odd
        .iter()
        .map(|text| document_of(text, &[ID]))
        .chain(odd.iter().map(|text| document_of(RESOURCE, &[text])))
        .chain([document_of(RESOURCE, &odd)])
        .chain([document_of(RESOURCE, &[&"x".repeat(100_000)]), document_of(RESOURCE, &["https://x.test"; 10_000])])
        .collect();
    for answer in answers {
        let capture = tests::capture::Capture::start();
        let world = World::new().with(WELL_KNOWN, answer);
        let cache = world.resource().cached().expect("a resource");
        let error = cache.token().await.expect_err("it is not used");
        let texts = [shown(&error), capture.text(), format!("{cache:?}")];
        for text in texts {
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text:?}");
            assert!(!text.contains("pl4nt3d") && text.len() < 20_000, "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s1_urls_of_challenges_and_resources_show_no_keys() {
    let capture = tests::capture::Capture::start();
    let world = World::new();
    let resource = world.resource_at("https://api.test/mcp?key=pl4nt3d");
    let mut texts = vec![format!("{resource:?}")];
    texts.push(shown(&resource.fetch().await.expect_err("no metadata")));
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    for told in ["https://api.test/meta?key=pl4nt3d", "https://user:pl4nt3d@api.test/", "https://evil.test/pl4nt3d"] {
        let rejection = super::rejection(told);
        texts.push(format!("{rejection:?}"));
        texts.push(shown(&resource.fetch_after(&rejection).await.expect_err("no metadata")));
    }
    texts.push(capture.text());
    assert!(texts.iter().all(|text| !text.contains("pl4nt3d")), "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn s1_secrets_show_nowhere_on_the_way() {
    let capture = tests::capture::Capture::start();
    let world = World::usual().with("https://id.test/token", tests::canned::token("pl4nt3d-token"));
    let server = oauth_tokens::AuthorizationServer::via(world.http()).issuer(ID).expect("an issuer");
    let client = server.client("agent", oauth_tokens::ClientAuth::secret_basic("pl4nt3d-secret")).expect("a client");
    let resource = oauth_tokens::ProtectedResource::via(world.http(), RESOURCE).expect("a resource").allow(client);
    let mut texts = vec![format!("{resource:?} {resource:#?}")];
    let cache = resource.cached().expect("a resource");
    let token = cache.token().await.expect("a token");
    texts.push(format!("{token:?} {cache:?}"));
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    world.put(WELL_KNOWN, document_of(RESOURCE, &["https://evil.test"]));
    let mut rejection = super::rejection(WELL_KNOWN);
    rejection.token = token;
    texts.push(format!("{rejection:?}"));
    texts.push(shown(&cache.renew_after(&rejection).await.expect_err("not allowed")));
    texts.push(format!("{cache:?}"));
    texts.push(capture.text());
    assert!(texts.iter().all(|text| !text.contains("pl4nt3d")), "{texts:?}");
}
