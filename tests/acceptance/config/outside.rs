//! What settings refer to: files, variables, the default HTTP client.

use http::StatusCode;
use oauth_test_server::{Algorithm, TestKey, TestServer};
use reqwest::Certificate;
use serde_json::json;
use tests::{
    steps::guarded,
    support::{TempFolder, shown},
};
use tower_oauth::OAuthConfig;

use super::{client, config, minimal, nobody, with};

type Variable<'a> = (&'a str, &'a str);

/// Over sockets, with a certificate that no system trusts.
#[tokio::test]
async fn sockets_root_certificates_and_the_default_client() {
    let server = TestServer::builder().client(client()).tls().start().await.expect("sockets");
    let folder = TempFolder::new();
    let pem = server.ca_certificate_pem().expect("a certificate");
    let file = folder.write("root.pem", pem);
    let table = json!({ "issuer": server.issuer(), "root_certificates": file.to_str() });
    let settings = with(with(minimal(), "server", table), "origins", json!(server.api_origin()));

    let configured = config(settings).build().expect("a layer");
    assert_eq!(configured.root_certificates(), Some(pem.as_bytes()));
    assert!(!format!("{configured:?}").contains("45, 45"), "certificates are not shown byte by byte");
    let certificate = Certificate::from_pem(pem.as_bytes()).expect("a certificate");
    let builder = reqwest::Client::builder().tls_certs_merge([certificate]);
    let api = configured.layer().reqwest(builder).expect("a client");
    let response = guarded(api.get(server.api_url("/things")).send()).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(server.counters().tokens_issued, 1);
}

/// Without a network: the files are what is looked at.
#[test]
fn build_reads_what_validate_leaves_alone() {
    let folder = TempFolder::new();
    let (missing, empty, garbage) = (folder.path("missing"), folder.write("empty", "\n"), folder.write("garbage", "x"));
    let grant = |file: &std::path::Path| json!({ "type": "refresh_token", "token": { "file": file.to_str() } });
    let jwk = folder.write("jwk", r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}"#);
    let bound = |file: &std::path::Path| json!({ "key": { "file": file.to_str() } });
    let server = |file: &std::path::Path| json!({ "issuer": "https://id.test", "root_certificates": file.to_str() });
    let cases = [
        (
            with(minimal(), "client/secret/env", json!("TOWER_OAUTH_UNSET")),
            "client.secret.env",
            "`TOWER_OAUTH_UNSET` is not set",
        ),
        (with(minimal(), "grant", grant(&missing)), "grant.token.file", "cannot be read: entity not found"),
        (with(minimal(), "grant", grant(&empty)), "grant.token.file", "is empty"),
        (with(minimal(), "grant", grant(&folder.path(""))), "grant.token.file", "cannot be read: invalid input"),
        (with(minimal(), "server", server(&missing)), "server.root_certificates", "cannot be read: entity not found"),
        (with(minimal(), "server", server(&empty)), "server.root_certificates", "PEM is expected"),
        (with(minimal(), "server", server(&garbage)), "server.root_certificates", "PEM is expected"),
        (with(minimal(), "client/dpop", bound(&missing)), "client.dpop.key.file", "cannot be read: entity not found"),
        (with(minimal(), "client/dpop", bound(&empty)), "client.dpop.key.file", "is empty"),
        (with(minimal(), "client/dpop", bound(&garbage)), "client.dpop.key", "no private key in the PEM"),
        (with(minimal(), "client/dpop", bound(&jwk)), "client.dpop.key", "the JWK"),
    ];
    for (settings, path, text) in cases {
        let config = config(settings);
        config.validate().expect("the settings by themselves are right");
        let error = config.layer().expect_err("something is not there");
        assert_eq!(error.path(), path);
        assert!(error.to_string().contains(text), "{error}");
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        for cause in causes {
            assert!(!error.to_string().contains(&cause.to_string()), "{error} repeats {cause}");
        }
    }
}

/// Variables hold what is not there, or of no use for what the settings say.
#[test]
fn build_judges_credentials_in_variables() {
    let pem = TestKey::generate(Algorithm::Es256).private_key_pem();
    let key = ("APP__CLIENT__KEY", pem.as_str());
    let (secret, jwt) = (("APP__CLIENT__SECRET", "s3cr3t"), ("APP__CLIENT__AUTHENTICATION", "private_key_jwt"));
    let exchange = ("APP__GRANT__TYPE", "token_exchange");
    let cases: [(&[Variable<'_>], &str, &str); 9] = [
        (&[jwt, ("APP__CLIENT__KEY", "s3cr3t")], "client.key", "no private key in the PEM"),
        (&[jwt, ("APP__CLIENT__KEY", "{s3cr3t")], "client.key", "JWK"),
        (&[jwt, ("APP__CLIENT__KEY", "\n")], "client.key.env", "is empty"),
        (&[jwt, key, ("APP__CLIENT__ALGORITHM", "RS256")], "client.algorithm", "signs by ES256, not by RS256"),
        (&[secret, ("APP__CLIENT__AUTHENTICATION", "client_secret_jwt")], "client.secret", "32 bytes or more"),
        (&[secret, ("APP__CLIENT__DPOP__KEY", "s3cr3t")], "client.dpop.key", "no private key in the PEM"),
        (&[secret, exchange, ("APP__GRANT__SUBJECT_TOKEN", "s3cr3t\nx")], "grant.subject_token", "control character"),
        (
            &[secret, exchange, ("APP__GRANT__SUBJECT_TOKEN", "t"), ("APP__GRANT__ACTOR_TOKEN", "s3cr3t\nx")],
            "grant.actor_token",
            "control character",
        ),
        (
            &[secret, ("APP__GRANT__TYPE", "jwt_bearer"), ("APP__GRANT__ASSERTION", "s3cr3t\nx")],
            "grant.assertion",
            "control character",
        ),
    ];
    for (variables, path, text) in cases {
        let minimal = [
            ("APP__SERVER__ISSUER", "https://id.test"),
            ("APP__CLIENT__ID", "m2m"),
            ("APP__ORIGINS", "https://api.test"),
        ];
        let config = OAuthConfig::from_vars("APP", minimal.iter().chain(variables).copied()).expect("variables");
        config.validate().expect("the settings by themselves are right");
        let error = config.layer().expect_err("of no use");
        assert_eq!(error.path(), path, "{error}");
        assert!(error.to_string().contains(text) && error.variable().is_some(), "{error}");
        assert!(!shown(&error).contains("s3cr3t") && !shown(&error).contains(&pem[40..60]), "{error:?}");
    }
}

#[test]
fn a_large_file_is_no_refresh_token() {
    let folder = TempFolder::new();
    let file = folder.write("large", "x".repeat(1024 * 1024 + 1));
    let grant = json!({ "type": "refresh_token", "token": { "file": file.to_str() } });
    let error = config(with(minimal(), "grant", grant)).layer().expect_err("too large");
    assert!(error.to_string().contains("invalid data"), "{error}");
}

#[test]
fn an_http_client_of_ones_own_reads_no_certificates() {
    let table = json!({ "issuer": "https://id.test", "root_certificates": "root.pem" });
    let http = nobody();
    let error = config(with(minimal(), "server", table)).build_via(http).expect_err("certificates for nobody");
    assert_eq!(error.path(), "server.root_certificates");
    assert!(error.to_string().contains("its own HTTP client"), "{error}");
}
