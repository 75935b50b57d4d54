//! D6 and RFC 8705: the client's certificate, the endpoints that ask for it, and what is wrong before anything is sent.

use oauth_test_server::TestCertificate;
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, HttpClient};
use serde_json::{Value, json};
use tests::{
    canned::{Canned, json as answer, token},
    support::{TempFolder, shown},
};

use super::{ISSUER, SECRET, client_at, fetch, forms};

/// Metadata with these aliases.
fn aliasing(aliases: Value) -> Canned {
    Canned::new(move |request| match request.uri().path().contains("/.well-known/") {
        true => {
            let metadata = json!({
                "issuer": ISSUER,
                "token_endpoint": "https://id.test/token",
                "mtls_endpoint_aliases": aliases,
            });
            answer(200, metadata.to_string())
        }
        false => token("t"),
    })
}

fn all_tls() -> [ClientAuth; 2] {
    [ClientAuth::tls_client_auth(), ClientAuth::self_signed_tls_client_auth()]
}

#[tokio::test]
async fn d6_aliases_are_preferred_with_a_certificate_and_only_then() {
    let alias = "https://mtls.id.test:8443/token";
    let aliases = || aliasing(json!({ "token_endpoint": alias }));
    for auth in all_tls() {
        let canned = aliases();
        fetch(&client_at(&canned, auth)).await.expect("a token");
        assert_eq!(canned.urls().last().map(String::as_str), Some(alias));
        let sent = [("grant_type", "client_credentials"), ("client_id", "m2m")];
        assert_eq!(forms(&canned)[0], sent.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    for auth in [ClientAuth::none(), ClientAuth::secret_basic("s"), ClientAuth::client_secret_jwt(SECRET)] {
        let canned = aliases();
        fetch(&client_at(&canned, auth)).await.expect("a token");
        assert_eq!(canned.urls().last().map(String::as_str), Some("https://id.test/token"));
    }
}

#[tokio::test]
async fn d6_without_an_alias_the_usual_endpoint_is_called() {
    for aliases in [json!(null), json!({}), json!({ "revocation_endpoint": "https://mtls.id.test/revoke" })] {
        let canned = aliasing(aliases);
        fetch(&client_at(&canned, ClientAuth::tls_client_auth())).await.expect("a token");
        assert_eq!(canned.urls().last().map(String::as_str), Some("https://id.test/token"));
    }
    // What the caller says goes before what the metadata say.
    let canned = aliasing(json!({ "token_endpoint": "https://mtls.id.test/token" }));
    let server = AuthorizationServer::via(canned.http())
        .override_token_endpoint("https://10.0.0.7:8443/token")
        .issuer(ISSUER)
        .expect("a server");
    fetch(&server.client("m2m", ClientAuth::tls_client_auth()).expect("a client")).await.expect("a token");
    assert_eq!(canned.urls(), ["https://10.0.0.7:8443/token"]);
}

#[tokio::test]
async fn d5_aliases_are_checked_like_any_endpoint() {
    let refused = [
        json!({ "token_endpoint": "http://mtls.id.test/token" }),
        json!({ "token_endpoint": "https://127.0.0.1/token" }),
        json!({ "token_endpoint": "https://localhost:8443/token" }),
        json!({ "token_endpoint": "https://ann:pa55word@mtls.id.test/token" }),
        json!({ "token_endpoint": 7 }),
        json!({ "token_endpoint": null }),
        json!("https://mtls.id.test/token"),
        json!(["https://mtls.id.test/token"]),
    ];
    for aliases in refused {
        let canned = aliasing(aliases.clone());
        let error = fetch(&client_at(&canned, ClientAuth::tls_client_auth())).await.expect_err("invalid");
        assert_eq!(error.kind(), ErrorKind::InvalidEndpoint, "{aliases}: {error}");
        assert!(!shown(&error).contains("pa55word"), "{error}");
        assert_eq!(forms(&canned).len(), 0, "nothing was sent anywhere: {aliases}");
    }
}

#[tokio::test]
async fn d6_a_certificate_that_is_not_there_is_found_before_anything_is_sent() {
    for http in [HttpClient::reqwest(), HttpClient::builder().build().expect("a client")] {
        let server = AuthorizationServer::via(http).issuer(ISSUER).expect("a server");
        for auth in all_tls() {
            let error = server.client("m2m", auth).expect_err("no certificate");
            assert!(error.kind() == ErrorKind::Config && error.to_string().contains("HttpClient::builder"), "{error}");
        }
        server.client("m2m", ClientAuth::secret_basic("s")).expect("a client that needs none");
    }
    // A service or settings of the user's own may bring one.
    let own = HttpClient::configured(|builder| builder.user_agent("x"));
    for http in [own, Canned::always(token("t")).http()] {
        let server = AuthorizationServer::via(http).issuer(ISSUER).expect("a server");
        server.client("m2m", ClientAuth::tls_client_auth()).expect("a client");
    }
}

#[tokio::test]
async fn s1_certificates_and_keys_of_no_use_are_refused_and_not_shown() {
    let (one, other) = (certificate(), certificate());
    let (certificate, key) = (one.certificate_pem(), one.private_key_pem());
    let key_line = key.lines().nth(1).expect("base64").to_owned();
    let cases = [
        (certificate, ""),
        ("", key),
        (certificate, "p4ssword"),
        (key, certificate),
        (certificate, certificate),
        (certificate, other.private_key_pem()),
        (certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key),
        (certificate, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
    ];
    for (certificate, key) in cases {
        let builder = HttpClient::builder().identity(certificate, key);
        assert!(!format!("{builder:?}").contains(&key_line));
        let error = builder.build().expect_err("of no use");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(!shown(&error).contains("p4ssword") && !shown(&error).contains(&key_line), "{error:?}");
    }
    // Both in both, and other things besides.
    let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    let everything = format!("# a comment\n{key}\n{public}{certificate}");
    HttpClient::builder().identity(&everything, &everything).build().expect("a client");

    // Files are not looked at before they are needed.
    let folder = TempFolder::new();
    let missing = HttpClient::builder().identity_files(folder.path("tls.crt"), folder.path("tls.key"));
    let http = missing.build().expect("nothing is read");
    let server = AuthorizationServer::via(http).token_endpoint("https://127.0.0.1:1/token").expect("a server");
    let client = server.client("m2m", ClientAuth::tls_client_auth()).expect("a client");
    folder.write("tls.key", key);
    for text in [None, Some("p4ssword"), Some(other.certificate_pem())] {
        if let Some(text) = text {
            folder.write("tls.crt", text);
        }
        let error = fetch(&client).await.expect_err("of no use");
        assert!(error.kind() == ErrorKind::Credential && error.is_transient(), "somebody mends the files: {error:?}");
        let text = shown(&error);
        assert!(text.contains("tls.crt") && !text.contains("p4ssword") && !text.contains(&key_line), "{text}");
    }
    folder.write("tls.crt", certificate);
    assert_eq!(fetch(&client).await.expect_err("nobody is there").kind(), ErrorKind::Transport);
}

fn certificate() -> TestCertificate {
    TestCertificate::self_signed("m2m").expect("a certificate")
}
