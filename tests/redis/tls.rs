//! S3: `rediss://` to a Redis with a certificate of our own making.

use oauth_tokens::TokenStore;
use oauth_tokens_redis::{RedisStore, RedisStoreBuilder};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use tests::{redis::RedisServer, support::TempFolder};

use super::support::{content, key, keys, record, s};

/// A Redis that speaks TLS as `localhost`, and the authority that says so.
struct TlsServer {
    server: RedisServer,
    authority: CertifiedIssuer<'static, KeyPair>,
    _files: TempFolder,
}

impl TlsServer {
    fn start(asks_for_certificate: &str) -> Self {
        let files = TempFolder::new();
        let authority = authority();
        let (certificate, key) = signed(&authority, "localhost");
        let path = |name: &str, text: &str| files.write(name, text).display().to_string();
        let server = RedisServer::with(&[
            "--tls-cert-file",
            &path("cert.pem", &certificate),
            "--tls-key-file",
            &path("key.pem", &key),
            "--tls-ca-cert-file",
            &path("ca.pem", &authority.pem()),
            "--tls-auth-clients",
            asks_for_certificate,
        ]);
        Self { server, authority, _files: files }
    }

    fn builder(&self, host: &str) -> RedisStoreBuilder {
        let url = format!("rediss://{host}:{}", self.server.port());
        RedisStore::builder(&url, keys()).connect_timeout(s(10)).operation_timeout(s(10))
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

fn signed(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

async fn refusal(builder: RedisStoreBuilder) -> String {
    let refused = builder.build().expect("a store").load(&key("a")).await.expect_err("no connection");
    tests::support::shown(&*refused)
}

#[tokio::test]
async fn s3_a_redis_with_a_certificate_is_believed_if_its_authority_is() {
    let tls = TlsServer::start("no");
    let store = tls.builder("localhost").root_certificates(tls.authority.pem()).build().expect("a store");
    assert!(store.replace(&key("a"), None, &record(1, "a")).await.expect("a store"));
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), Some((1, "a".to_owned())));
    let refused = refusal(tls.builder("localhost")).await;
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    let refused = refusal(tls.builder("localhost").root_certificates(authority().pem())).await;
    assert!(refused.contains("BadSignature") || refused.contains("UnknownIssuer"), "{refused}");
    let refused = refusal(tls.builder("127.0.0.1").root_certificates(tls.authority.pem())).await;
    assert!(refused.contains("NotValidForName"), "{refused}");
    assert!(CryptoProvider::get_default().is_none(), "no provider was installed, and none was needed");
}

#[tokio::test]
async fn s3_a_redis_that_asks_for_a_certificate_gets_ours() {
    let tls = TlsServer::start("yes");
    let (certificate, private) = signed(&tls.authority, "fleet");
    let builder = tls.builder("localhost").root_certificates(tls.authority.pem());
    let store = builder.identity(certificate, private).build().expect("a store");
    assert!(store.replace(&key("a"), None, &record(1, "a")).await.expect("a store"));
    let refused = refusal(tls.builder("localhost").root_certificates(tls.authority.pem())).await;
    assert!(refused.contains("CertificateRequired"), "it says what is missing: {refused}");
    let (certificate, private) = signed(&authority(), "mallory");
    let builder = tls.builder("localhost").root_certificates(tls.authority.pem());
    let refused = refusal(builder.identity(certificate, private)).await;
    assert!(refused.contains("UnknownCA") || refused.contains("DecryptError"), "{refused}");
}

#[tokio::test]
async fn s3_tls_is_never_left_out() {
    let plain = RedisServer::start();
    let url = format!("rediss://localhost:{}", plain.port());
    refusal(RedisStore::builder(&url, keys())).await;
    let tls = TlsServer::start("no");
    refusal(RedisStore::builder(&tls.server.url(), keys())).await;
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_refused_at_once() {
    let authority = authority();
    let (certificate, _) = signed(&authority, "fleet");
    let (_, other) = signed(&authority, "fleet");
    let refused = RedisStore::builder("rediss://localhost", keys()).identity(certificate, other).build();
    assert!(refused.expect_err("two halves").to_string().contains("does not fit"));
}
