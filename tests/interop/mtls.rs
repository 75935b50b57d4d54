//! Clients that prove by a certificate who they are, and tokens that are bound to it (RFC 8705), over https with an
//! authority of our own.

use std::{error::Error as _, fs, path::Path, sync::LazyLock, time::Duration};

use http::header::WWW_AUTHENTICATE;
use oauth_tokens::{
    AccessToken, AuthorizationServer, ClientAuth, ErrorKind, HttpClient, SigningKey, TokenClient, TokenSource,
};
use reqwest::{Certificate, Identity, StatusCode};
use serde_json::Value;
use tests::support::TempFolder;
use tower_oauth::{OAuthLayer, RetryOutcome};

use crate::{
    client::of_machine,
    server::{RealServer, oidc},
    token_errors::assert_refused,
};

/// The realm that has certificates.
fn server() -> &'static RealServer {
    static REALM: LazyLock<RealServer> = LazyLock::new(|| oidc().realm("tls"));
    &REALM
}

type Role = (&'static str, fn() -> ClientAuth);

const ROLES: [Role; 3] = [
    ("tls", ClientAuth::tls_client_auth),
    ("tls_san", ClientAuth::tls_client_auth),
    ("tls_self_signed", ClientAuth::self_signed_tls_client_auth),
];

#[tokio::test]
async fn d6_each_certificate_gets_tokens_at_the_alias() {
    let server = server();
    assert_ne!(server.token_endpoint(), server.text("/mtls_token_endpoint"), "certificates are asked for elsewhere");
    for (role, auth) in ROLES {
        let (certificate, key) = (server.file_of(role, "certificate"), server.file_of(role, "key"));
        let paths = [server.of_client(role, "certificate"), server.of_client(role, "key")];
        let forms = [
            ("values", HttpClient::builder().root_certificates(authority()).identity(certificate, key).build()),
            ("files", with_files(paths[0], paths[1])),
        ];
        for (form, http) in forms {
            let http = http.expect("a certificate and its key");
            let found = AuthorizationServer::via(http.clone()).issuer(server.issuer()).expect("https");
            let client = found.client(server.of_client(role, "id"), auth()).expect("a usable client");
            let tokens = of_machine(&client).fetch().await.unwrap_or_else(|error| panic!("{role}, {form}: {error}"));

            let (status, seen) = call(server, role, &tokens.access_token).await;
            assert_eq!((status, &seen["client_id"]), (StatusCode::OK, &server.of_client(role, "id").into()), "{seen}");
            let is_bound = seen["cnf"]["x5t#S256"].is_string();
            assert_eq!(is_bound, role != "tls_san", "{role}: {seen}");

            // At the endpoint that has an alias nobody asks for certificates.
            let not_there = AuthorizationServer::via(http).override_token_endpoint(server.token_endpoint());
            let not_there = not_there.issuer(server.issuer()).expect("https");
            let client = not_there.client(server.of_client(role, "id"), auth()).expect("a usable client");
            let error = of_machine(&client).fetch().await.expect_err("no certificate is seen there");
            assert_refused(&error, "invalid_client", 401);
            assert!(error.to_string().contains("that the connection shows the certificate"), "what to do: {error}");
        }
    }
}

#[tokio::test]
async fn d6_other_endpoints_have_aliases_too() {
    let server = server();
    let client = client("tls", ClientAuth::tls_client_auth());
    let token = of_machine(&client).fetch().await.expect("a token").access_token;
    assert!(client.introspect(token.secret()).await.expect("an answer").is_active());
    client.revoke(token.secret()).await.expect("revoked");
    assert!(!client.introspect(token.secret()).await.expect("an answer").is_active());
    assert_eq!(call(server, "tls", &token).await.0, 401);
}

#[tokio::test]
async fn a_certificate_beside_another_authentication() {
    // Who has one shows it at the aliases, too; the assertion is for the issuer, wherever it is sent.
    let server = server();
    let jwk = SigningKey::from_jwk(&server.file_of("es256", "key_jwk")).expect("a key");
    let found = found_by("tls");
    let client = found.client(server.of_client("es256", "id"), ClientAuth::private_key_jwt(jwk));
    of_machine(&client.expect("a usable client")).fetch().await.expect("a token");
}

#[tokio::test]
async fn a_bound_token_works_with_its_certificate_alone() {
    let server = server();
    let tokens = of_machine(&client("tls", ClientAuth::tls_client_auth())).cached().expect("a usable request");
    let layer = || OAuthLayer::new(server.text("/api"), tokens.clone()).expect("an origin");
    let with = |identity: Option<Identity>| layer().reqwest(towards(identity)).expect("a client");

    let own = with(Some(identity_of("tls", "")));
    for _ in 0..3 {
        let response = own.get(server.api("/things")).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert!(response.extensions().get::<RetryOutcome>().is_none());
    }
    let revoked = tokens.token().await.expect("a token");
    client("tls", ClientAuth::tls_client_auth()).revoke(revoked.secret()).await.expect("revoked");
    let response = own.get(server.api("/things")).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)));

    // A connection that shows another one, or none: the layer cannot know, and tries a new token once.
    for identity in [None, Some(identity_of("tls_san", "")), Some(identity_of("tls", "next_"))] {
        let response = with(identity).get(server.api("/things")).send().await.expect("an answer");
        assert_eq!(response.status(), 401);
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
        assert!(challenge.contains("bound to another certificate"), "{challenge}");
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else() {
    let server = server();
    let file =
        |who: &str, what: &str| fs::read_to_string(server.text(&format!("/certificates/{who}/{what}"))).expect("PEM");
    // A name that nobody registered, the right name from an authority that nobody trusts, and another client's.
    let others = [
        (file("other", "certificate"), file("other", "key")),
        (file("untrusted", "certificate"), file("untrusted", "key")),
        (server.file_of("tls_san", "certificate"), server.file_of("tls_san", "key")),
    ];
    for (certificate, key) in others {
        for (role, auth) in [ROLES[0], ROLES[2]] {
            let http = HttpClient::builder().root_certificates(authority()).identity(&certificate, &key);
            let found = AuthorizationServer::via(http.build().expect("a certificate")).issuer(server.issuer());
            let client = found.expect("https").client(server.of_client(role, "id"), auth()).expect("a usable client");
            let error = of_machine(&client).fetch().await.expect_err("another's certificate");
            assert_refused(&error, "invalid_client", 401);
            assert!(!format!("{error} {error:?}").contains("PRIVATE KEY"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn t15_a_rotated_certificate_is_taken_up_without_a_restart() {
    let (server, folder) = (server(), TempFolder::new());
    for (role, auth) in [ROLES[0], ROLES[2]] {
        let put = |name: &str, what: &str| folder.write(name, server.file_of(role, what));
        let (certificate, key) = (put("tls.crt", "certificate"), put("tls.key", "key"));
        let http = with_files(certificate, key).expect("paths");
        let found = AuthorizationServer::via(http).issuer(server.issuer()).expect("https");
        let client = found.client(server.of_client(role, "id"), auth()).expect("a usable client");
        let request = of_machine(&client);
        let first = request.fetch().await.expect("a token").access_token;

        // One file is replaced before the other: until both are, the old ones serve.
        put("tls.crt", "next_certificate");
        let between = request.fetch().await.expect("a token").access_token;
        put("tls.key", "next_key");
        let second = request.fetch().await.expect("a token").access_token;
        let bound_to = async |token: &AccessToken, next: &str| {
            let (status, seen) =
                call_as(server, &format!("{next}certificate"), &format!("{next}key"), role, token).await;
            assert_eq!(status, 200, "{role}: {seen}");
            seen["cnf"]["x5t#S256"].as_str().expect("a thumbprint").to_owned()
        };
        let old = bound_to(&first, "").await;
        assert_eq!(old, bound_to(&between, "").await);
        assert_ne!(old, bound_to(&second, "next_").await);
    }
}

#[tokio::test]
async fn t15_a_certificate_that_was_refused_is_replaced() {
    let (server, folder) = (server(), TempFolder::new());
    let put = |name: &str, text: &str| folder.write(name, fs::read_to_string(text).expect("PEM"));
    let certificate = put("tls.crt", server.text("/certificates/other/certificate"));
    let key = put("tls.key", server.text("/certificates/other/key"));
    let found = AuthorizationServer::via(with_files(certificate, key).expect("paths")).issuer(server.issuer());
    let auth = ClientAuth::tls_client_auth();
    let client = found.expect("https").client(server.of_client("tls", "id"), auth).expect("a usable client");
    let tokens = of_machine(&client).cached().expect("a usable request");
    assert_refused(&tokens.token().await.expect_err("another's"), "invalid_client", 401);
    put("tls.crt", server.of_client("tls", "certificate"));
    put("tls.key", server.of_client("tls", "key"));
    // What was refused for good is tried again after half a minute, or when the files have changed: that is looked for once
    // a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let token = tokens.token().await.expect("by the right certificate");
    assert_eq!(call(server, "tls", &token).await.0, 200);
}

#[tokio::test]
async fn an_authority_that_is_not_trusted() {
    let server = server();
    let (certificate, key) = (server.file_of("tls", "certificate"), server.file_of("tls", "key"));
    let http = HttpClient::builder().identity(certificate, key).build().expect("a certificate and its key");
    let found = AuthorizationServer::via(http).issuer(server.issuer()).expect("https");
    let client = found.client(server.of_client("tls", "id"), ClientAuth::tls_client_auth()).expect("a usable client");
    let error = of_machine(&client).fetch().await.expect_err("nobody knows this authority");
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    let mut causes = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push_str(&cause.to_string());
        next = cause.source();
    }
    assert!(causes.contains("certificate"), "{causes}");
}

#[tokio::test]
async fn a_certificate_that_was_forgotten() {
    let http = HttpClient::with_root_certificates(&authority()).expect("a certificate");
    let found = AuthorizationServer::via(http).issuer(server().issuer()).expect("https");
    let error = found.client("m2m-tls", ClientAuth::tls_client_auth()).expect_err("no certificate to show");
    assert_eq!(error.kind(), ErrorKind::Config);
    // Without one, https by this authority is as good as http: a secret goes to the usual endpoint.
    let known = server().registered("basic");
    let client = found.client(known.id, ClientAuth::secret_basic(known.secret)).expect("a usable client");
    let token = of_machine(&client).fetch().await.expect("a token").access_token;
    assert_eq!(send(server(), towards(None), &token).await.0, 200);
}

/// PEM of the authority that signed everything.
fn authority() -> Vec<u8> {
    fs::read(server().text("/ca")).expect("PEM")
}

fn with_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<HttpClient, oauth_tokens::Error> {
    HttpClient::builder().root_certificates(authority()).identity_files(certificate.as_ref(), key.as_ref()).build()
}

/// The server, by connections that show the certificate of this role.
fn found_by(role: &str) -> AuthorizationServer {
    let http = with_files(server().of_client(role, "certificate"), server().of_client(role, "key")).expect("paths");
    AuthorizationServer::via(http).issuer(server().issuer()).expect("https")
}

fn client(role: &str, auth: ClientAuth) -> TokenClient {
    found_by(role).client(server().of_client(role, "id"), auth).expect("a usable client")
}

fn identity_of(role: &str, next: &str) -> Identity {
    identity(role, &format!("{next}certificate"), &format!("{next}key"))
}

fn identity(role: &str, certificate: &str, key: &str) -> Identity {
    let pem = [server().file_of(role, certificate), server().file_of(role, key)].concat();
    Identity::from_pem(pem.as_bytes()).expect("a certificate and its key")
}

/// Settings of a client that calls the API.
fn towards(identity: Option<Identity>) -> reqwest::ClientBuilder {
    let authority = Certificate::from_pem(&authority()).expect("PEM");
    let builder = reqwest::Client::builder().no_proxy().tls_certs_merge([authority]);
    match identity {
        Some(identity) => builder.identity(identity),
        None => builder,
    }
}

async fn call(server: &RealServer, role: &str, token: &AccessToken) -> (StatusCode, Value) {
    call_as(server, "certificate", "key", role, token).await
}

/// What the API says to this token on a connection with a certificate of this role.
async fn call_as(
    server: &RealServer,
    certificate: &str,
    key: &str,
    role: &str,
    token: &AccessToken,
) -> (StatusCode, Value) {
    send(server, towards(Some(identity(role, certificate, key))), token).await
}

async fn send(server: &RealServer, client: reqwest::ClientBuilder, token: &AccessToken) -> (StatusCode, Value) {
    let request = client.build().expect("a client").get(server.api("/things"));
    let response = request.header("authorization", token.authorization()).send().await.expect("an answer");
    (response.status(), response.json().await.unwrap_or_default())
}
