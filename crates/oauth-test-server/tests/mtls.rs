//! Client certificates over TLS (RFC 8705), and proofs over sockets (RFC 9449).

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use oauth_test_server::{
    Algorithm, CertificateName, Client, ClientAuthMethod, Endpoint, TestCertificate, TestKey, TestServer,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

type HttpsClient = HyperClient<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>;

fn client(server: &TestServer, certificate: Option<&TestCertificate>, http2: bool) -> HttpsClient {
    let mut roots = rustls::RootCertStore::empty();
    let pem = server.ca_certificate_pem().unwrap();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some(certificate) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.certificate_pem().as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(certificate.private_key_pem().as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config).https_only();
    let connector = if http2 { connector.enable_all_versions().build() } else { connector.enable_http1().build() };
    HyperClient::builder(TokioExecutor::new()).build(connector)
}

async fn send(client: &HttpsClient, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
    let response = client.request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn token_request(url: &str, form: &str) -> Request<Full<Bytes>> {
    Request::post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form.to_owned()))
        .unwrap()
}

const GRANT: &str = "grant_type=client_credentials&client_id=m2m";

#[tokio::test]
async fn a_certificate_authenticates_and_binds() {
    let name = CertificateName::common_name("m2m");
    let registered = Client::new("m2m").certificate(name.clone()).scopes(["api"]).certificate_bound_tokens();
    let server = TestServer::builder().mtls().client(registered).start().await.unwrap();
    let alias = server.metadata()["mtls_endpoint_aliases"]["token_endpoint"].as_str().unwrap().to_owned();
    assert_eq!(alias, format!("{}/token", server.mtls_origin().unwrap()));
    assert_ne!(server.mtls_origin(), Some(server.issuer()));

    let certificate = server.issue_client_certificate(name).unwrap();
    let stranger = TestCertificate::self_signed("m2m").unwrap();
    for http2 in [false, true] {
        let mine = client(&server, Some(&certificate), http2);
        let (status, answer) = send(&mine, token_request(&alias, GRANT)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let token = answer["access_token"].as_str().unwrap();
        let call = || {
            let authorization = format!("Bearer {token}");
            let request = Request::get(server.api_url("/")).header("authorization", authorization);
            request.body(Full::default()).unwrap()
        };
        let (status, answer) = send(&mine, call()).await;
        assert_eq!((status, &answer["cnf"]["x5t#S256"]), (StatusCode::OK, &json!(certificate.thumbprint())));
        for other in [Some(&stranger), None] {
            let (status, answer) = send(&client(&server, other, http2), call()).await;
            assert_eq!((status, &answer["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_token")));
        }

        // The first port does not ask, and who is not known is not let in.
        let (status, _) = send(&mine, token_request(&server.token_endpoint(), GRANT)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        for other in [Some(&stranger), None] {
            let (status, answer) = send(&client(&server, other, http2), token_request(&alias, GRANT)).await;
            assert_eq!((status, &answer["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")));
        }
    }
    let recorded = &server.requests_to(Endpoint::Token)[0];
    assert_eq!(recorded.client_auth, Some(ClientAuthMethod::TlsClientAuth));
    assert_eq!(recorded.certificate.as_deref(), Some(certificate.thumbprint()));
}

#[tokio::test]
async fn a_self_signed_certificate() {
    let certificate = TestCertificate::self_signed("m2m").unwrap();
    let registered = Client::new("m2m").certificate_thumbprint(certificate.thumbprint());
    let server = TestServer::builder().mtls().client(registered).start().await.unwrap();
    let alias = format!("{}/token", server.mtls_origin().unwrap());
    let (status, _) = send(&client(&server, Some(&certificate), true), token_request(&alias, GRANT)).await;
    assert_eq!(status, StatusCode::OK);
    let other = TestCertificate::self_signed("m2m").unwrap();
    let (status, _) = send(&client(&server, Some(&other), true), token_request(&alias, GRANT)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

/// Over HTTP/1 the server sees only a path and a Host header; the proof names the whole URL.
#[tokio::test]
async fn proofs_name_the_url_that_was_asked() {
    let server = TestServer::builder().tls().dpop().start().await.unwrap();
    let key = TestKey::generate(Algorithm::Es256);
    let proof = |url: &str| {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk() });
        let jti = fastrand::u64(..).to_string();
        let claims = json!({ "htm": "POST", "htu": url, "iat": server.unix_time().as_secs(), "jti": jti });
        key.sign_with(&header, &claims)
    };
    let by_name = server.token_endpoint().replace("127.0.0.1", "localhost");
    for http2 in [false, true] {
        let client = client(&server, None, http2);
        for (asked, proven, status) in [
            (server.token_endpoint(), server.token_endpoint(), 200),
            (by_name.clone(), by_name.clone(), 200),
            (by_name.clone(), server.token_endpoint(), 400),
            (server.token_endpoint(), server.token_endpoint().replace("https", "http"), 400),
        ] {
            let mut request = token_request(&asked, &format!("{GRANT}&client_secret=secret"));
            request.headers_mut().insert("dpop", proof(&proven).parse().unwrap());
            let (answered, body) = send(&client, request).await;
            assert_eq!(answered.as_u16(), status, "{asked} {proven} {body}");
        }
    }
}
