//! T15: secrets, keys, assertions and certificates change, and nothing is restarted.

use std::time::Duration;

use oauth_test_server::{
    Algorithm as TestAlgorithm, CertificateName, Client, ClientAuthMethod, Endpoint, TestCertificate, TestKey,
    TestServer, TrustedIssuer,
};
use oauth_tokens::{
    AuthorizationServer, ClientAuth, ErrorKind, HttpClient, Secret, SigningKey, TokenClient, TokenSource as _,
};
use serde_json::json;
use tests::support::TempFolder;
use tokio::time::advance;

use super::{SECRET, client_of, fetch};

#[tokio::test(start_paused = true)]
async fn t15_a_changed_key_is_tried_at_once_after_invalid_client() {
    let (old, new) = (TestKey::generate(TestAlgorithm::Es256), TestKey::generate(TestAlgorithm::EdDsa));
    let server = TestServer::builder().client(Client::new("m2m").key(&old)).build();
    let folder = TempFolder::new();
    let path = folder.write("key", old.private_key_pem());
    let client = client_of(&server, ClientAuth::private_key_jwt(SigningKey::file(&path)));
    let tokens = client.client_credentials().cached().expect("a cache");
    tokens.token().await.expect("a token");

    // The server knows the new key before the file does.
    server.set_client(Client::new("m2m").key(&new));
    advance(Duration::from_secs(7200)).await;
    let error = tokens.token().await.expect_err("the old key");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client"));
    let asked = server.counters().token_requests;
    advance(Duration::from_secs(5)).await;
    tokens.token().await.expect_err("remembered");
    assert_eq!(server.counters().token_requests, asked, "an unchanged key is not tried again soon");

    folder.write("key", new.private_jwk().to_string());
    advance(Duration::from_secs(1)).await;
    tokens.token().await.expect("the new key, at once");
}

/// A client whose credential changes in the middle of an exchange, when the server refuses the old one: how often the
/// server is asked.
async fn requests_when_changed_midway(
    server: &TestServer,
    auth: ClientAuth,
    change: impl Fn() + Clone + Send + Sync + 'static,
) -> u64 {
    let service = tower::ServiceBuilder::new()
        .map_response(move |response: http::Response<_>| {
            if response.status() == 401 {
                change();
            }
            response
        })
        .service(server.authorization_service());
    let client = AuthorizationServer::via(HttpClient::new(service))
        .issuer(server.issuer())
        .and_then(|at| at.client("m2m", auth))
        .expect("a client");
    fetch(&client).await.expect("a token with the new credential");
    server.counters().token_requests
}

#[tokio::test(start_paused = true)]
async fn t15_every_credential_in_a_file_is_read_again_in_the_same_exchange() {
    let folder = TempFolder::new();
    let key = TestKey::generate(TestAlgorithm::Es256);
    let cluster = TestKey::generate(TestAlgorithm::Rs256);
    let server = || {
        TestServer::builder()
            .trusted_issuer(TrustedIssuer::new("https://cluster.test").key(&cluster))
            .client(Client::new("m2m").secret(SECRET).key(&key).federated("https://cluster.test", "m2m").auth_methods(
                [
                    ClientAuthMethod::ClientSecretBasic,
                    ClientAuthMethod::ClientSecretJwt,
                    ClientAuthMethod::PrivateKeyJwt,
                    ClientAuthMethod::FederatedJwt,
                ],
            ))
            .build()
    };
    let expires = 4_000_000_000_u64;
    let audience = server().issuer().to_owned();
    let assertion =
        cluster.sign(&json!({ "iss": "https://cluster.test", "sub": "m2m", "aud": audience, "exp": expires }));
    let wrong_assertion =
        cluster.sign(&json!({ "iss": "https://cluster.test", "sub": "m2n", "aud": audience, "exp": expires }));
    let path = folder.path("credential");
    let cases = [
        (ClientAuth::secret_basic(Secret::file(&path)), SECRET.to_uppercase(), SECRET.to_owned()),
        (ClientAuth::client_secret_jwt(Secret::file(&path)), SECRET.to_uppercase() + "x", SECRET.to_owned()),
        (
            ClientAuth::private_key_jwt(SigningKey::file(&path)),
            TestKey::generate(TestAlgorithm::Es256).private_key_pem() + "\n",
            key.private_key_pem(),
        ),
        (ClientAuth::assertion_file(&path), wrong_assertion + "\n", assertion),
    ];
    for (auth, old, new) in cases {
        folder.write("credential", old);
        let written = path.clone();
        let change = move || std::fs::write(&written, &new).expect("a file");
        let name = format!("{auth:?}");
        assert_eq!(requests_when_changed_midway(&server(), auth, change).await, 2, "{name}");
    }
}

/// A server with mutual TLS, and a client whose certificate is in files.
struct Tls {
    server: TestServer,
    folder: TempFolder,
    client: TokenClient,
}

impl Tls {
    async fn start(registered: impl FnOnce(Client, &TestServer) -> Client, auth: ClientAuth) -> Self {
        let server = TestServer::builder().mtls().start().await.expect("sockets");
        server.set_client(registered(Client::new("m2m"), &server));
        let folder = TempFolder::new();
        let http = HttpClient::builder()
            .root_certificates(server.ca_certificate_pem().expect("a root"))
            .identity_files(folder.path("tls.crt"), folder.path("tls.key"))
            .build()
            .expect("a client");
        let client = AuthorizationServer::via(http)
            .issuer(server.issuer())
            .and_then(|at| at.client("m2m", auth))
            .expect("a client");
        Self { server, folder, client }
    }

    fn install(&self, certificate: &TestCertificate) {
        self.folder.write("tls.crt", certificate.certificate_pem());
        self.folder.write("tls.key", certificate.private_key_pem());
    }

    fn issue(&self, name: &str) -> TestCertificate {
        self.server.issue_client_certificate(CertificateName::common_name(name)).expect("a certificate")
    }

    /// The thumbprints that the last token requests came with.
    fn shown(&self) -> Vec<Option<String>> {
        self.server.requests_to(Endpoint::Token).into_iter().map(|request| request.certificate).collect()
    }
}

#[tokio::test]
async fn t15_a_certificate_is_replaced_without_a_restart() {
    let tls =
        Tls::start(|client, _| client.certificate(CertificateName::common_name("m2m")), ClientAuth::tls_client_auth())
            .await;
    let (first, second) = (tls.issue("m2m"), tls.issue("m2m"));
    tls.install(&first);
    for _ in 0..2 {
        fetch(&tls.client).await.expect("a token with the first certificate");
    }
    tls.install(&second);
    fetch(&tls.client).await.expect("a token with the second certificate");
    let thumbprint = |certificate: &TestCertificate| Some(certificate.thumbprint().to_owned());
    assert_eq!(tls.shown(), [thumbprint(&first), thumbprint(&first), thumbprint(&second)]);
    let request = tls.server.requests_to(Endpoint::Token).pop().expect("a request");
    assert_eq!(request.client_auth, Some(ClientAuthMethod::TlsClientAuth));
    assert_eq!(request.form_value("client_id").as_deref(), Some("m2m"));

    // Half of a rotation: the certificate is there, the key is not yet.
    let third = tls.issue("m2m");
    tls.folder.write("tls.crt", third.certificate_pem());
    fetch(&tls.client).await.expect("a token with the second certificate, which serves on");
    std::fs::remove_file(tls.folder.path("tls.key")).expect("a file");
    fetch(&tls.client).await.expect("a token with the second certificate, which serves on");
    tls.folder.write("tls.key", third.private_key_pem());
    fetch(&tls.client).await.expect("a token with the third certificate");
    assert_eq!(tls.shown()[3..], [thumbprint(&second), thumbprint(&second), thumbprint(&third)]);
}

#[tokio::test]
async fn t15_a_self_signed_certificate_is_known_by_itself() {
    let (first, second) = (
        TestCertificate::self_signed("m2m").expect("a certificate"),
        TestCertificate::self_signed("m2m").expect("a certificate"),
    );
    let thumbprint = first.thumbprint().to_owned();
    let tls =
        Tls::start(|client, _| client.certificate_thumbprint(thumbprint), ClientAuth::self_signed_tls_client_auth())
            .await;
    tls.install(&first);
    fetch(&tls.client).await.expect("a token");
    tls.install(&second);
    let error = fetch(&tls.client).await.expect_err("unknown");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client"));
    assert!(error.to_string().contains("self_signed_tls_client_auth"), "{error}");
    tls.server.set_client(Client::new("m2m").certificate_thumbprint(second.thumbprint()));
    fetch(&tls.client).await.expect("a token with the second certificate");
}

/// What ends the waiting after a permanent error.
#[tokio::test]
async fn t15_a_changed_certificate_is_a_changed_credential() {
    let folder = TempFolder::new();
    let path = |name: &str| folder.path(name);
    let http = HttpClient::builder().identity_files(path("tls.crt"), path("tls.key")).build().expect("a client");
    let request = AuthorizationServer::via(http)
        .token_endpoint("https://id.test/token")
        .and_then(|at| at.client("m2m", ClientAuth::tls_client_auth()))
        .expect("a client")
        .client_credentials();
    let mut known = request.credential_fingerprint();
    assert!(known.is_some());
    for (file, text) in [("tls.crt", "one"), ("tls.key", "one"), ("tls.key", "another"), ("tls.crt", "another")] {
        folder.write(file, text);
        let changed = request.credential_fingerprint();
        assert_ne!(changed, known, "{file} {text}");
        assert_eq!(changed, request.credential_fingerprint(), "unchanged");
        known = changed;
    }
}

#[tokio::test]
async fn t15_a_connection_that_a_server_breaks_off_for_its_certificate_says_so() {
    let tls =
        Tls::start(|client, _| client.certificate(CertificateName::common_name("m2m")), ClientAuth::tls_client_auth())
            .await;
    let revoked = tls.issue("m2m");
    tls.install(&revoked);
    tls.server.revoke_certificate(revoked.thumbprint());
    let error = fetch(&tls.client).await.expect_err("revoked");
    match error.kind() {
        ErrorKind::OAuth => assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client")),
        kind => assert!(
            kind == ErrorKind::Transport && error.to_string().contains("certificate of the client"),
            "{error:?}"
        ),
    }
}
