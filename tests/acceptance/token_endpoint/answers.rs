//! T5 and T13: what counts as a token, and what does not.

use http::header::CONTENT_TYPE;
use oauth_tokens::{Error, ErrorKind, TokenSet, TokenSource};
use tests::{
    canned::{Canned, json},
    support::shown,
};

use super::client_at;

/// What a client makes of this answer.
async fn answered(status: u16, body: &str) -> Result<TokenSet, Error> {
    client_at(&Canned::always(json(status, body))).client_credentials().fetch().await
}

#[tokio::test(start_paused = true)]
async fn t5_a_token_is_a_200_with_an_object_a_token_and_a_known_type() {
    let good = [
        r#"{"access_token":"t0k3n","token_type":"Bearer"}"#,
        r#"{"access_token":"t0k3n","token_type":"bearer"}"#,
        r#"{"access_token":"t0k3n","token_type":"BEARER"}"#,
        r#" { "token_type" : "bEaReR" , "access_token" : "t0k3n" } "#,
        r#"{"access_token":"t0k3n","token_type":"Bearer","more":{"deep":[1,{"er":null}]},"expires_in":3600}"#,
        r#"{"access_token":"t0k3\u006e","token_type":"Bearer","refresh_token":"","scope":""}"#,
        // An error beside a token is somebody's idea of "no error".
        r#"{"access_token":"t0k3n","token_type":"Bearer","error":""}"#,
    ];
    for body in good {
        let tokens = answered(200, body).await.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(tokens.access_token.secret(), "t0k3n", "{body}");
        assert!(tokens.refresh_token.is_none() && tokens.scope.is_none(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn t5_everything_else_with_200_is_a_typed_error() {
    let bad = [
        "",
        " ",
        "null",
        "true",
        "42",
        "\"t0k3n\"",
        "[]",
        r#"[{"access_token":"t0k3n","token_type":"Bearer"}]"#,
        "{}",
        "{",
        r#"{"access_token":"t0k3n","token_type":"Bearer""#,
        r#"{"access_token":"t0k3n","token_type":"Bearer"} {}"#,
        r#"{"access_token":"t0k3n","token_type":"Bearer"}x"#,
        r#"{'access_token':'t0k3n'}"#,
        "<html>t0k3n</html>",
        "access_token=t0k3n&token_type=Bearer",
        "\u{feff}{\"access_token\":\"t0k3n\",\"token_type\":\"Bearer\"}",
        r#"{"token_type":"Bearer"}"#,
        r#"{"access_token":"","token_type":"Bearer"}"#,
        r#"{"access_token":null,"token_type":"Bearer"}"#,
        r#"{"access_token":7,"token_type":"Bearer"}"#,
        r#"{"access_token":["t0k3n"],"token_type":"Bearer"}"#,
        r#"{"access_token":{"t0k3n":1},"token_type":"Bearer"}"#,
        r#"{"Access_Token":"t0k3n","token_type":"Bearer"}"#,
        r#"{"access_token":"t0k3n"}"#,
        r#"{"access_token":"t0k3n","token_type":""}"#,
        r#"{"access_token":"t0k3n","token_type":null}"#,
        r#"{"access_token":"t0k3n","token_type":["Bearer"]}"#,
        r#"{"access_token":"t0k3n","token_type":"mac"}"#,
        r#"{"access_token":"t0k3n","token_type":"Bearer "}"#,
        r#"{"access_token":"t0k3n","token_type":"N_A"}"#,
        r#"{"access_token":"t0k3n","token_type":"DPoP"}"#,
        // Which of two counts is anybody's guess.
        r#"{"access_token":"t0k3n","access_token":"other","token_type":"Bearer"}"#,
        r#"{"access_token":"t0k3n","token_type":"Bearer","token_type":"Bearer"}"#,
        r#"{"access_token":"t0k3n","token_type":"Bearer","x":1,"x":1}"#,
        r#"{"access_token":"t0k3n","\u0061ccess_token":"t0k3n","token_type":"Bearer"}"#,
    ];
    for body in bad {
        let error = answered(200, body).await.err().unwrap_or_else(|| panic!("accepted: {body}"));
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{body}: {error}");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(200), "{body}");
        assert!(error.is_transient(), "a server that is mended heals it: {body}");
        assert!(!shown(&error).contains("t0k3n"), "the body is not repeated: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t5_bytes_that_are_no_text_are_a_typed_error() {
    for body in [&b"\xff\xfe{\0}\0"[..], b"{\"access_token\":\"\xff\",\"token_type\":\"Bearer\"}", &[0; 4096]] {
        let mut response = json(200, "");
        *response.body_mut() = bytes::Bytes::copy_from_slice(body);
        let error = client_at(&Canned::always(response)).client_credentials().fetch().await.expect_err("no JSON");
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(answered(200, &deep).await.expect_err("too deep").kind(), ErrorKind::InvalidResponse);
}

#[tokio::test(start_paused = true)]
async fn t5_success_is_exactly_200() {
    let body = r#"{"access_token":"t0k3n","token_type":"Bearer","expires_in":3600}"#;
    for status in [201, 202, 203, 204, 205, 206, 226, 300, 304, 400, 401, 404, 500, 503] {
        let error = answered(status, body).await.err().unwrap_or_else(|| panic!("accepted with {status}"));
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{status}");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        assert!(error.is_transient() && error.to_string().contains(&status.to_string()), "{error}");
        assert!(!shown(&error).contains("t0k3n"), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t5_the_content_type_of_a_success_does_not_matter() {
    for content_type in [None, Some("text/plain"), Some("text/html; charset=utf-8"), Some("application/jwt")] {
        let mut response = tests::canned::token("t0k3n");
        response.headers_mut().remove(CONTENT_TYPE);
        if let Some(content_type) = content_type {
            response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
        }
        let tokens = client_at(&Canned::always(response)).client_credentials().fetch().await;
        assert!(tokens.is_ok(), "{content_type:?}: {tokens:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t13_a_token_is_at_most_16_kib_of_what_a_header_may_carry() {
    let body = |token: &str| serde_json::json!({ "access_token": token, "token_type": "Bearer" }).to_string();
    let longest = "x".repeat(16 * 1024);
    for good in [longest.as_str(), "a.b-c_d~e+f/g==", "!#$%&'*^`|"] {
        let tokens = answered(200, &body(good)).await.expect("a token");
        assert_eq!(tokens.access_token.authorization(), format!("Bearer {good}").as_str());
        assert!(tokens.access_token.authorization().is_sensitive());
    }
    let too_long = "x".repeat(16 * 1024 + 1);
    for bad in [too_long.as_str(), "se cret", "secret\r\nX-Evil: 1", "secret\0", "sécret", "secret\u{7f}", "secret\t"]
    {
        let error = answered(200, &body(bad)).await.expect_err("unusable");
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
        assert!(!shown(&error).contains(bad) && error.to_string().len() < 600, "{error}");
    }
}
