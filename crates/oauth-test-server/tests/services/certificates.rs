//! Client certificates (RFC 8705), as far as it takes no socket.

use oauth_test_server::{
    CertificateName, Client, ClientAuthMethod, DecodedJwt, PresentedCertificate, TestCertificate, TestServer,
    TokenFormat,
};
use serde_json::json;

use super::*;

const GRANT: &str = "grant_type=client_credentials&client_id=m2m";

async fn with_certificate(server: &TestServer, certificate: &TestCertificate, parameters: &str) -> Answer {
    let mut request = form(server.token_endpoint(), parameters);
    request.extensions_mut().insert(PresentedCertificate::from(certificate));
    authorize(server, request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_authority_has_certified() {
    for name in [
        CertificateName::common_name("m2m"),
        CertificateName::dns("m2m.test"),
        CertificateName::uri("spiffe://example.org/m2m"),
    ] {
        let server = TestServer::builder().mtls().client(Client::new("m2m").certificate(name.clone())).build();
        let certificate = server.issue_client_certificate(name.clone()).unwrap();
        let answer = with_certificate(&server, &certificate, GRANT).await;
        assert_eq!(answer.status, 200, "{name:?}");
        let recorded = &server.requests()[0];
        assert_eq!(recorded.client_auth, Some(ClientAuthMethod::TlsClientAuth));
        assert_eq!(recorded.certificate.as_deref(), Some(certificate.thumbprint()));

        // A new one of the same name is as good, an old one until it is revoked.
        let renewed = server.issue_client_certificate(name.clone()).unwrap();
        assert_eq!(with_certificate(&server, &renewed, GRANT).await.status, 200);
        server.revoke_certificate(certificate.thumbprint());
        with_certificate(&server, &certificate, GRANT).await.assert_error(401, "invalid_client");

        let other = server.issue_client_certificate(CertificateName::common_name("other")).unwrap();
        with_certificate(&server, &other, GRANT).await.assert_error(401, "invalid_client");
        let self_made = TestCertificate::self_signed("m2m").unwrap();
        with_certificate(&server, &self_made, GRANT).await.assert_error(401, "invalid_client");
        token(&server, GRANT).await.assert_error(401, "invalid_client");
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_registered_itself() {
    let [one, two] = [(); 2].map(|()| TestCertificate::self_signed("m2m").unwrap());
    let client = Client::new("m2m").certificate_thumbprint(one.thumbprint());
    let server = TestServer::builder().mtls().client(client.clone()).build();
    assert_eq!(with_certificate(&server, &one, GRANT).await.status, 200);
    assert_eq!(server.requests()[0].client_auth, Some(ClientAuthMethod::SelfSignedTlsClientAuth));
    with_certificate(&server, &two, GRANT).await.assert_error(401, "invalid_client");
    server.set_client(client.certificate_thumbprint(two.thumbprint()));
    assert_eq!(with_certificate(&server, &two, GRANT).await.status, 200);

    // Certified is not registered.
    let certified = server.issue_client_certificate(CertificateName::common_name("m2m")).unwrap();
    with_certificate(&server, &certified, GRANT).await.assert_error(401, "invalid_client");
    let both = format!("{GRANT}&client_secret=secret");
    with_certificate(&server, &one, &both).await.assert_error(401, "invalid_client");
}

#[tokio::test(start_paused = true)]
async fn tokens_bound_to_a_certificate() {
    let server =
        TestServer::builder().mtls().client(m2m().certificate_bound_tokens()).token_format(TokenFormat::Jwt).build();
    let [one, two] = [(); 2].map(|()| TestCertificate::self_signed("m2m").unwrap());
    token(&server, CLIENT_CREDENTIALS).await.assert_error(400, "invalid_request");
    let answer = with_certificate(&server, &one, CLIENT_CREDENTIALS).await;
    assert_eq!((answer.status.as_u16(), answer.text("token_type").as_str()), (200, "Bearer"));
    let bound = answer.text("access_token");
    let confirmation = json!({ "x5t#S256": one.thumbprint() });
    assert_eq!(DecodedJwt::decode(&bound).unwrap().claims["cnf"], confirmation);

    for (certificate, status) in [(Some(&one), 200), (Some(&two), 401), (None, 401)] {
        let mut request = get(server.api_url("/"));
        request.headers_mut().insert("authorization", format!("Bearer {bound}").parse().unwrap());
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(PresentedCertificate::from(certificate));
        }
        let answer = call(&server, request).await.unwrap();
        assert_eq!(answer.status.as_u16(), status);
        if status == 401 {
            answer.assert_error(401, "invalid_token");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn aliases_in_the_metadata() {
    let server = TestServer::builder().mtls().issuer("https://id.test/tenant").build();
    assert_eq!(server.mtls_origin(), Some("https://mtls.id.test"));
    let metadata = server.metadata();
    assert_eq!(metadata["token_endpoint"], "https://id.test/tenant/token");
    let aliases = metadata["mtls_endpoint_aliases"].as_object().unwrap();
    assert_eq!(aliases["token_endpoint"], "https://mtls.id.test/tenant/token");
    assert_eq!(aliases.len(), 5);
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    let mut request = form("https://mtls.id.test/tenant/token".to_owned(), CLIENT_CREDENTIALS);
    request.extensions_mut().insert(PresentedCertificate::from_der(b"any"));
    assert_eq!(authorize(&server, request).await.unwrap().status, 200);
    assert_eq!(TestServer::builder().build().mtls_origin(), None);
}

#[test]
fn keys_do_not_show() {
    let certificate = TestCertificate::self_signed("m2m").unwrap();
    assert!(certificate.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(certificate.private_key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
    let secret = certificate.private_key_pem().lines().nth(1).unwrap();
    assert!(!format!("{certificate:?}").contains(secret));
    assert!(TestServer::builder().build().issue_client_certificate(CertificateName::dns("é")).is_err());
}
