//! R14: what the resource would have asked for is asked for within a ceiling only. And `resource` (RFC 8707), always.

use oauth_tokens::TokenSource;
use tests::canned::json;

use super::{ErrorKind, ID, RESOURCE, WELL_KNOWN, World};

#[tokio::test]
async fn r14_scopes_are_the_configured_ones_and_those_supported_within_the_ceiling() {
    // Configured, allowed, supported, and what is asked for.
    let vectors: [(&str, &[&str], &str, Option<&str>); 14] = [
        ("", &[], r#"["read","admin"]"#, None),
        ("read", &[], r#"["read","admin"]"#, Some("read")),
        ("read write", &[], "[]", Some("read write")),
        ("read", &["admin"], r#"["read","admin"]"#, Some("read admin")),
        ("", &["read", "write"], r#"["admin","write","read"]"#, Some("read write")),
        ("", &["read"], r#"["admin"]"#, None),
        ("", &["read"], "[]", None),
        ("", &["read"], "null", None),
        ("", &["read"], r#""read""#, None),
        ("", &["read"], r#"["read",7]"#, None),
        ("", &["read"], r#"["READ"," read","read write"]"#, None),
        ("read", &["read"], r#"["read"]"#, Some("read")),
        ("read read", &["write", "write"], r#"["write","write"]"#, Some("read write")),
        ("read", &["write"], "[]", Some("read")),
    ];
    for (configured, allowed, supported, asked) in vectors {
        let body =
            format!(r#"{{"resource":"{RESOURCE}","authorization_servers":["{ID}"],"scopes_supported":{supported}}}"#);
        let world = World::new().with(WELL_KNOWN, json(200, body));
        let resource = world.resource().scope(configured).allow_scopes(allowed.iter().copied());
        resource.fetch().await.unwrap_or_else(|error| panic!("{configured} {supported}: {error}"));
        let case = format!("{configured:?} {allowed:?} {supported}");
        assert_eq!(world.asked_for("scope"), [asked.map(str::to_owned)], "{case}");
        assert_eq!(world.asked_for("resource"), [Some(RESOURCE.to_owned())], "{case}");
    }
}

/// Asked for anew each time: what was supported once is not kept.
#[tokio::test(start_paused = true)]
async fn r14_what_the_metadata_name_is_not_kept() {
    let supporting = |scope: &str| {
        json(
            200,
            format!(r#"{{"resource":"{RESOURCE}","authorization_servers":["{ID}"],"scopes_supported":["{scope}"]}}"#),
        )
    };
    let world = World::new().with(WELL_KNOWN, supporting("a"));
    let resource = world.resource().scope("base").allow_scopes(["a", "b"]);
    resource.fetch().await.expect("a token");
    world.put(WELL_KNOWN, supporting("b"));
    tokio::time::advance(std::time::Duration::from_secs(3600)).await;
    resource.fetch().await.expect("a token");
    assert_eq!(world.asked_for("scope"), [Some("base a".to_owned()), Some("base b".to_owned())]);
}

#[tokio::test]
async fn r14_a_ceiling_is_checked_when_it_is_built() {
    let world = World::usual();
    for scope in ["a\"b", "a\\b", "é", "a\u{7f}"] {
        for resource in [world.resource().scope(scope), world.resource().allow_scopes([scope])] {
            assert_eq!(resource.fetch().await.expect_err("no scope").kind(), ErrorKind::Config);
            assert_eq!(resource.cached().expect_err("no scope").kind(), ErrorKind::Config);
        }
    }
    assert!(world.canned.requests().is_empty());
}

#[tokio::test]
async fn r14_claims_are_asked_for_only_if_so_set() {
    for accepts in [false, true] {
        let world = World::usual();
        let resource = world.resource();
        let resource = if accepts { resource.accept_claims_challenges() } else { resource };
        let mut rejection = super::rejection(WELL_KNOWN);
        assert!(rejection.set_claims("eyJhIjp7fX0"));
        resource.fetch_after(&rejection).await.expect("a token");
        assert_eq!(world.asked_for("claims")[0].is_some(), accepts);
    }
}
