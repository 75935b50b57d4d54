//! RFC 9126.

use std::time::Duration;

use oauth_tokens::{ClientAuth, ErrorKind, Form};
use tests::canned::{Canned, json};

use super::{PAR, assert_is_example, client, form, m2m};

const ANSWER: &str =
    r#"{"request_uri":"urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c","expires_in":60}"#;

fn request() -> Form {
    Form::new()
        .with("response_type", "code")
        .with("state", "af0ifjsldkj")
        .with("redirect_uri", "https://client.example.org/cb")
        .with("code_challenge", "K2-ltc83acc4h0c9w6ESC_rEMTJ3bww-uCHaoeK1t8U")
        .with("code_challenge_method", "S256")
        .with("scope", "account-information")
}

#[tokio::test]
async fn pushed_request_is_the_example_of_rfc_9126() {
    let canned = Canned::always(json(201, ANSWER));
    let pushed = client(&canned, "s6BhdRkqt3", ClientAuth::secret_basic("7Fjfp0ZBr1KtDRbnfVdmIw"))
        .push_authorization_request(request())
        .await
        .expect("pushed");
    assert_is_example(
        &canned,
        PAR,
        Some("Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"),
        "response_type=code&state=af0ifjsldkj&client_id=s6BhdRkqt3
         &redirect_uri=https%3A%2F%2Fclient.example.org%2Fcb
         &code_challenge=K2-ltc83acc4h0c9w6ESC_rEMTJ3bww-uCHaoeK1t8U
         &code_challenge_method=S256&scope=account-information",
    );
    assert_eq!(pushed.request_uri(), "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c");
    assert_eq!(pushed.expires_in(), Duration::from_secs(60));
}

/// RFC 9126, section 2.1: `client_id` is a parameter of the request itself, however the client authenticates.
#[tokio::test]
async fn pushed_request_names_the_client_once() {
    let auths = [
        ClientAuth::none(),
        ClientAuth::secret_basic("s"),
        ClientAuth::secret_post("s"),
        ClientAuth::client_secret_jwt("0123456789abcdef0123456789abcdef"),
        ClientAuth::assertion("urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "a.b.c"),
    ];
    for auth in auths {
        let canned = Canned::always(json(201, ANSWER));
        let server = oauth_tokens::AuthorizationServer::via(canned.http())
            .override_endpoint("pushed_authorization_request_endpoint", PAR)
            .override_token_endpoint(super::TOKEN)
            .issuer("https://as.example.com")
            .expect("a server");
        let name = format!("{auth:?}");
        let client = server.client("app", auth).expect("a client");
        client.push_authorization_request(request()).await.expect("pushed");
        let ids = form(&canned.bodies()[0]).into_iter().filter(|(name, _)| name == "client_id").count();
        assert_eq!(ids, 1, "{name}");
    }
}

#[tokio::test]
async fn pushed_request_refuses_what_is_not_the_callers() {
    let canned = Canned::always(json(201, ANSWER));
    for name in ["client_id", "client_secret", "client_assertion", "client_assertion_type", "request_uri", "state"] {
        let error = m2m(&canned).push_authorization_request(request().with(name, "x")).await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Config, "{name}");
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(canned.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pushed_request_answers() {
    for (status, body) in [(200, ANSWER), (201, r#"{"request_uri":"https://as.example.com/r/1","expires_in":"5"}"#)] {
        let pushed = m2m(&Canned::always(json(status, body))).push_authorization_request(request()).await;
        pushed.unwrap_or_else(|error| panic!("{status} {body}: {error}"));
    }
    // status, body, code or kind
    let bad = [
        (201, "{}", ErrorKind::InvalidResponse),
        (201, r#"{"request_uri":"urn:x"}"#, ErrorKind::InvalidResponse),
        (201, r#"{"request_uri":"urn:x","expires_in":0}"#, ErrorKind::InvalidResponse),
        (201, r#"{"request_uri":"urn:x","expires_in":-1}"#, ErrorKind::InvalidResponse),
        (201, r#"{"request_uri":"/relative","expires_in":60}"#, ErrorKind::InvalidResponse),
        (201, r#"{"request_uri":"urn:x y","expires_in":60}"#, ErrorKind::InvalidResponse),
        (201, r#"{"expires_in":60}"#, ErrorKind::InvalidResponse),
        (201, "<html>", ErrorKind::InvalidResponse),
        (204, "", ErrorKind::UnexpectedResponse),
        (302, "", ErrorKind::UnexpectedResponse),
        (413, "", ErrorKind::UnexpectedResponse),
        (400, r#"{"error":"invalid_request","error_description":"redirect_uri is not code"}"#, ErrorKind::OAuth),
    ];
    for (status, body, kind) in bad {
        let error =
            m2m(&Canned::always(json(status, body))).push_authorization_request(request()).await.expect_err(body);
        assert_eq!(error.kind(), kind, "{status} {body}");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        let text = error.to_string();
        assert!(text.contains("pushed authorization request"), "{text}");
        assert!(!text.contains("[redacted]"), "what is no secret stays readable: {text}");
    }
}
