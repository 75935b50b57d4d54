//! Text from a server: escaped, cut, and free of what was sent.

use oauth_tokens::{ClientAuth, Error, TokenSource};
use tests::{
    canned::{Canned, json},
    support::shown,
};

use super::{CLIENT_SECRET, MARK, REFRESH, client};

async fn refused(secret: &str, refresh_token: &str, description: &str) -> Error {
    let body = serde_json::json!({
        "error": "invalid_grant", "error_description": description, "error_uri": description, "vendor": description,
    });
    let client = client(Canned::always(json(400, body.to_string())).http(), ClientAuth::secret_post(secret));
    client.refresh_token(refresh_token).fetch().await.expect_err("refused")
}

#[tokio::test]
async fn s1_control_and_deceptive_characters_are_escaped() {
    let nasty = [
        "\u{0}",
        "\u{7}",
        "\u{8}",
        "\t",
        "\n",
        "\r\n",
        "\u{1b}[31mred\u{1b}[0m",
        "\u{1b}]0;title\u{7}",
        "\u{7f}",
        "\u{85}",
        "\u{9b}31m",
        "\u{200b}",
        "\u{200e}",
        "\u{202e}",
        "\u{2028}",
        "\u{2029}",
        "\u{2066}",
        "\u{feff}",
    ];
    for text in nasty {
        let error = refused("s3cr3t-0f-m2m", REFRESH, &format!("before{text}after")).await;
        let oauth = error.oauth().expect("an OAuth error");
        for field in [oauth.description.as_deref(), oauth.uri.as_deref(), oauth.field("vendor")] {
            let field = field.expect("it is there");
            assert!(field.starts_with("before\\u{") && field.ends_with("after"), "{text:?}: {field}");
        }
        for text in [error.to_string(), format!("{error:?}"), format!("{oauth:?}")] {
            assert!(text.chars().all(|c| !c.is_control() && !('\u{200b}'..='\u{200f}').contains(&c)), "{text:?}");
        }
    }
}

#[tokio::test]
async fn s1_text_is_cut_at_512_characters_and_no_secret_at_the_cut() {
    for text in ["x".repeat(511), "x".repeat(512), "é".repeat(512)] {
        let error = refused("s3cr3t-0f-m2m", REFRESH, &text).await;
        assert_eq!(error.oauth().and_then(|oauth| oauth.description.clone()), Some(text));
    }
    for text in ["x".repeat(513), "é".repeat(100_000), "\n".repeat(100_000)] {
        let error = refused("s3cr3t-0f-m2m", REFRESH, &text).await;
        let description = error.oauth().and_then(|oauth| oauth.description.clone()).expect("it is there");
        assert!(description.ends_with('…') && description.chars().count() < 512 * 8, "{description}");
    }
    // Wherever the cut falls.
    for before in (480..=530).chain(65_500..65_540) {
        let error = refused(CLIENT_SECRET, REFRESH, &format!("{}{CLIENT_SECRET}{REFRESH}", "x".repeat(before))).await;
        assert!(!shown(&error).contains("pl4"), "a part of a secret shows, {before} characters in");
    }
}

/// A long secret, repeated: the more is redacted, the more of what comes after is within the first 512 characters.
#[tokio::test]
async fn s1_many_echoes_of_a_long_secret_push_no_part_of_it_into_view() {
    for length in [1_000, 2_000, 4_096, 16_000] {
        let long: String = std::iter::repeat_n(MARK, length / MARK.len()).collect();
        let error = refused("s3cr3t-0f-m2m", &long, &long.repeat(100_000 / length)).await;
        assert!(!shown(&error).contains(MARK), "a secret of {length} bytes shows: {error}");
    }
}

#[tokio::test]
async fn s1_short_secrets_are_redacted_as_words_and_leave_text_readable() {
    for secret in ["a", "ab", "abc", "42"] {
        let error =
            refused(secret, REFRESH, &format!("the secret {secret} (\"{secret}\") is wrong, abacus 1427")).await;
        let description = error.oauth().and_then(|oauth| oauth.description.clone()).expect("it is there");
        assert_eq!(description, "the secret [redacted] (\"[redacted]\") is wrong, abacus 1427", "{secret}");
    }
}

/// Secrets that hold one another, and what redacting itself writes.
#[tokio::test]
async fn s1_overlapping_secrets_disappear_whole() {
    let cases =
        [("pl4nt3d", "pl4nt3d-longer"), ("pl4nt3d-longer", "pl4nt3d"), ("redacted", "pl4nt3d"), ("pl4nt3d", "red")];
    for (secret, refresh) in cases {
        let text = format!("{refresh} and {secret}{refresh} and {secret}-longer {refresh}{secret}");
        let error = refused(secret, refresh, &text).await;
        assert!(!shown(&error).contains(MARK), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn s1_parser_errors_carry_no_input() {
    let bodies = [
        MARK.to_owned(),
        format!("{{\"access_token\":\"{MARK}"),
        format!("{{\"access_token\":\"{MARK}\",\"{MARK}\":1,\"{MARK}\":2}}"),
        format!("[\"{MARK}\"]"),
        format!("{{\"access_token\":{{\"{MARK}\":1}},\"token_type\":\"Bearer\"}}"),
        format!("{{\"access_token\":\"t\",\"token_type\":\"{MARK}\"}}"),
        format!("{{\"access_token\":\"{MARK}\\n\",\"token_type\":\"Bearer\"}}"),
        format!("\"{MARK}\""),
    ];
    for body in bodies {
        for status in [200, 201, 500] {
            let client = client(Canned::always(json(status, body.clone())).http(), ClientAuth::secret_post("s3cr3t"));
            let error = client.client_credentials().fetch().await.expect_err("no token");
            assert!(!shown(&error).contains(MARK), "{body}: {error:?}");
        }
    }
}

/// What a server says that it granted is shown to people: in the status of a cache, for one.
#[tokio::test]
async fn s1_a_scope_that_echoes_a_secret_is_redacted() {
    let scope = format!("api {MARK}-secret acc3ss");
    let body = serde_json::json!({"access_token": "acc3ss", "token_type": "Bearer", "scope": scope});
    let client =
        client(Canned::always(json(200, body.to_string())).http(), ClientAuth::secret_post(format!("{MARK}-secret")));
    let cache = client.client_credentials().cached().expect("a request");
    cache.ready().await.expect("a token");
    let shown = format!("{cache:?} {:?}", cache.status());
    assert!(shown.contains("api") && !shown.contains(MARK) && !shown.contains("acc3ss"), "{shown}");
}
