//! Nothing panics, and nothing changes, when another crate in the build turns on other crypto features: this build has rustls
//! with two crypto providers, and none of them installed.

use std::panic::catch_unwind;

use oauth_test_server::{
    Algorithm as TestAlgorithm, CertificateName, Client, ClientAuthMethod, Endpoint, TestKey, TestServer,
};
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, SigningKey};

use super::fetch;

#[tokio::test]
async fn two_crypto_providers_and_none_installed_break_nothing() {
    let installed = || rustls::crypto::CryptoProvider::get_default().is_some();
    assert!(!installed(), "a test has installed a provider");
    // So it is a build in which asking rustls for the provider panics.
    assert!(catch_unwind(rustls::ClientConfig::builder).is_err(), "this build has one provider only");

    let key = TestKey::generate(TestAlgorithm::Ps256);
    let server = TestServer::builder()
        .mtls()
        .client(
            Client::new("m2m")
                .key(&key)
                .certificate(CertificateName::common_name("m2m"))
                .auth_methods([ClientAuthMethod::PrivateKeyJwt, ClientAuthMethod::TlsClientAuth])
                .certificate_bound_tokens(),
        )
        .start()
        .await
        .expect("sockets");
    let root = server.ca_certificate_pem().expect("a root");
    let certificate = server.issue_client_certificate(CertificateName::common_name("m2m")).expect("a certificate");
    let mutual = HttpClient::builder()
        .root_certificates(root)
        .identity(certificate.certificate_pem(), certificate.private_key_pem())
        .build()
        .expect("a client");
    let key = SigningKey::from_jwk(&key.private_jwk().to_string()).expect("a JWK");
    for auth in [ClientAuth::tls_client_auth(), ClientAuth::private_key_jwt(key)] {
        let at = AuthorizationServer::via(mutual.clone()).issuer(server.issuer()).expect("a server");
        fetch(&at.client("m2m", auth).expect("a client")).await.expect("a token");
    }
    // D6: whoever has a certificate calls where it is asked for, however it authenticates.
    let shown = server.requests_to(Endpoint::Token).into_iter().map(|request| request.certificate);
    assert_eq!(shown.collect::<Vec<_>>(), vec![Some(certificate.thumbprint().to_owned()); 2]);

    // The others: one that does not know the root, and one with settings.
    for http in [HttpClient::reqwest(), HttpClient::configured(|builder| builder.user_agent("x"))] {
        let at = AuthorizationServer::via(http).issuer(server.issuer()).expect("a server");
        fetch(&at.client("m2m", ClientAuth::none()).expect("a client")).await.expect_err("an unknown root");
    }
    let known = HttpClient::with_root_certificates(root.as_bytes()).expect("a client");
    let at = AuthorizationServer::via(known).issuer(server.issuer()).expect("a server");
    at.metadata().await.expect("metadata over TLS");
    assert!(!installed(), "the process's provider is its owner's to choose");
}
