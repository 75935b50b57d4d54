//! `[client]`: every way in which a client proves who it is, against a server that verifies.

use oauth_test_server::{
    Algorithm, CertificateName, Client, ClientAuthMethod, DecodedJwt, Endpoint, PresentedCertificate, TestCertificate,
    TestKey, TestServer, TrustedIssuer,
};
use oauth_tokens::HttpClient;
use serde_json::{Value, json};
use tests::{steps::guarded, support::TempFolder};
use tower::ServiceExt;
use tower_oauth::OAuthConfig;

use super::{build, call, config, minimal, token_requests, with};

/// Long enough for HS256.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const SUBJECT: &str = "system:serviceaccount:ns:m2m";

fn file(path: &std::path::Path) -> Value {
    json!({ "file": path.to_str() })
}

/// The settings of a client by the name of its authentication, or without one.
fn settings(authentication: Option<&str>, more: Value) -> OAuthConfig {
    let mut client = json!({ "id": "m2m", "authentication": authentication });
    let more = more.as_object().cloned().unwrap_or_default();
    client.as_object_mut().expect("a table").extend(more);
    config(with(minimal(), "client", client))
}

/// What the last token request had for an assertion.
fn assertion(server: &TestServer) -> DecodedJwt {
    let request = token_requests(server).pop().expect("a request");
    request.client_assertion().expect("an assertion")
}

#[tokio::test(start_paused = true)]
async fn t9_client_authentication_by_every_name() {
    use ClientAuthMethod::{ClientSecretBasic, ClientSecretJwt, ClientSecretPost, PrivateKeyJwt, SpiffeJwt};
    let folder = TempFolder::new();
    let key = TestKey::generate(Algorithm::Es256);
    let token = |claims: Value| key.sign(&claims);
    let expires = 4_000_000_000_u64;
    let platform = json!({ "iss": "https://cluster.test", "sub": SUBJECT, "aud": "https://id.test", "exp": expires });
    let svid = json!({ "sub": "spiffe://bank.test/m2m", "aud": ["https://id.test"], "exp": expires });

    let secret = json!({ "secret": file(&folder.write("secret", SECRET)) });
    let pem = json!({ "key": file(&folder.write("key", key.private_key_pem())) });
    let platform = json!({ "assertion": file(&folder.write("token", token(platform))) });
    let svid = json!({ "assertion": file(&folder.write("svid", token(svid))) });
    let by_uri =
        with(platform.clone(), "assertion_type", json!("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
    let cases = [
        (None, &secret, ClientSecretBasic),
        (Some("client_secret_basic"), &secret, ClientSecretBasic),
        (Some("client_secret_basic_raw"), &secret, ClientSecretBasic),
        (Some("client_secret_post"), &secret, ClientSecretPost),
        (Some("client_secret_jwt"), &secret, ClientSecretJwt),
        (Some("private_key_jwt"), &pem, PrivateKeyJwt),
        (Some("assertion_file"), &platform, ClientAuthMethod::FederatedJwt),
        (Some("assertion_file"), &by_uri, ClientAuthMethod::FederatedJwt),
        (Some("spiffe_jwt"), &svid, SpiffeJwt),
    ];
    for (name, more, method) in cases {
        let registered = Client::new("m2m").scopes(["read"]);
        let registered = match method {
            PrivateKeyJwt => registered.key(&key),
            SpiffeJwt => registered.spiffe_id("spiffe://bank.test/m2m"),
            ClientAuthMethod::FederatedJwt => registered.federated("https://cluster.test", SUBJECT),
            _ => registered.secret(SECRET),
        };
        let registered = registered.auth_methods([method]);
        let registered = if name == Some("client_secret_basic_raw") { registered.raw_basic() } else { registered };
        let server = TestServer::builder()
            .trusted_issuer(TrustedIssuer::new("https://cluster.test").key(&key))
            .trusted_issuer(TrustedIssuer::new("spiffe://bank.test").key(&key))
            .client(registered)
            .build();
        let settings = settings(name, more.clone());
        settings.validate().unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let configured = build(&settings, &server);
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200, "{name:?}");
        let request = token_requests(&server).pop().expect("a request");
        assert_eq!((request.client_auth, request.client_id.as_deref()), (Some(method), Some("m2m")), "{name:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t9_a_public_client_sends_its_id_and_no_more() {
    let folder = TempFolder::new();
    let server = TestServer::builder().client(Client::new("m2m").scopes(["read"])).build();
    let token = folder.write("token", server.issue_refresh_token("m2m", "read"));
    let settings = with(minimal(), "client", json!({ "id": "m2m", "authentication": "none" }));
    let settings = config(with(settings, "grant", json!({ "type": "refresh_token", "token": file(&token) })));
    settings.validate().expect("valid settings");
    assert_eq!(call(&build(&settings, &server), &server, "https://api.test/").await, 200);
    assert_eq!(token_requests(&server)[0].client_auth, Some(ClientAuthMethod::None));
}

/// Only the grant says who asks.
#[tokio::test(start_paused = true)]
async fn t9_omitted_sends_nothing_of_the_client() {
    let folder = TempFolder::new();
    let canned = tests::canned::Canned::always(tests::canned::token("t"));
    let grant = json!({ "type": "jwt_bearer", "assertion": file(&folder.write("assertion", "aaa.bbb.ccc")) });
    let settings = with(minimal(), "client", json!({ "id": "m2m", "authentication": "omitted" }));
    let settings = with(settings, "server", json!({ "token_endpoint": "https://id.test/token" }));
    let configured = config(with(settings, "grant", grant)).build_via(canned.http()).expect("a layer");
    configured.ready().await.expect("a token");
    let request = &canned.requests()[0];
    let form = String::from_utf8_lossy(request.body()).into_owned();
    assert!(!form.contains("client") && !request.headers().contains_key("authorization"), "{form}");
}

/// From PEM and JWK, a file and a variable; and what is said of it in the settings.
#[tokio::test(start_paused = true)]
async fn t15_private_keys_in_every_form() {
    let folder = TempFolder::new();
    let ec = TestKey::generate(Algorithm::Es256).with_key_id("ec");
    let rsa = TestKey::generate(Algorithm::Rs256).with_key_id("rsa");
    let pss = TestKey::generate(Algorithm::Ps256).with_key_id("pss");
    let of_pss = json!({ "algorithm": "PS256", "key_id": "pss" });
    let cases = [
        (ec.private_key_pem(), json!({}), json!(["ES256", null])),
        (ec.private_key_pem(), json!({ "key_id": "ec" }), json!(["ES256", "ec"])),
        (ec.private_jwk().to_string(), json!({}), json!(["ES256", "ec"])),
        (rsa.private_jwk().to_string(), json!({}), json!(["RS256", "rsa"])),
        (pss.private_key_pem(), of_pss, json!(["PS256", "pss"])),
    ];
    let server = TestServer::builder().client(Client::new("m2m").key(&ec).key(&rsa).key(&pss).scopes(["read"])).build();
    for (text, more, expected) in cases {
        let mut variables = vec![
            ("APP__SERVER__ISSUER".to_owned(), "https://id.test".to_owned()),
            ("APP__ORIGINS".to_owned(), "https://api.test".to_owned()),
            ("APP__CLIENT__ID".to_owned(), "m2m".to_owned()),
            ("APP__CLIENT__AUTHENTICATION".to_owned(), "private_key_jwt".to_owned()),
            ("APP__CLIENT__KEY".to_owned(), text.clone()),
        ];
        for (name, value) in more.as_object().expect("a table") {
            let value = value.as_str().expect("text").to_owned();
            variables.push((format!("APP__CLIENT__{}", name.to_uppercase()), value));
        }
        let in_variable = OAuthConfig::from_vars("APP", variables).expect("variables");
        let in_file = settings(Some("private_key_jwt"), with(more, "key", file(&folder.write("key", &text))));
        for settings in [in_variable, in_file] {
            assert!(!format!("{settings:?}").contains("PRIVATE"), "{settings:?}");
            build(&settings, &server).ready().await.unwrap_or_else(|error| panic!("{expected}: {error}"));
            let header = assertion(&server).header;
            assert_eq!(json!([header["alg"], header.get("kid")]), expected);
        }
    }
}

/// A file is replaced, and no variable is.
#[tokio::test(start_paused = true)]
async fn t15_keys_and_assertions_in_files_may_change() {
    let folder = TempFolder::new();
    let (first, second) = (TestKey::generate(Algorithm::Es256), TestKey::generate(Algorithm::Es384));
    let path = folder.write("key", first.private_key_pem());
    let server = TestServer::builder().client(Client::new("m2m").key(&first).key(&second).scopes(["read"])).build();
    let configured = build(&settings(Some("private_key_jwt"), json!({ "key": file(&path) })), &server);
    for (key, algorithm) in [(&first, "ES256"), (&second, "ES384")] {
        folder.write("key", key.private_key_pem());
        server.revoke_access_tokens();
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200);
        assert_eq!(assertion(&server).header["alg"], algorithm);
    }

    let canned = tests::canned::Canned::always(tests::canned::token("t"));
    let path = folder.path("assertion");
    let client = json!({ "id": "m2m", "authentication": "assertion_file", "assertion": file(&path) });
    let server = json!({ "token_endpoint": "https://id.test/token" });
    let origins = json!(["https://one.test", "https://two.test"]);
    let settings = with(with(with(minimal(), "client", client), "server", server), "origins", origins);
    let configured = config(settings).build_via(canned.http()).expect("nothing is read yet");
    for ((_, tokens), text) in configured.tokens().zip(["one", "two"]) {
        folder.write("assertion", text);
        tokens.ready().await.expect("a token");
        let form = String::from_utf8_lossy(canned.requests().last().expect("a request").body()).into_owned();
        assert!(form.ends_with(&format!("client_assertion={text}")), "{form}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_signed_assertions_say() {
    let folder = TempFolder::new();
    let key = TestKey::generate(Algorithm::EdDsa);
    let key_file = file(&folder.write("key", key.private_key_pem()));
    let secret_file = file(&folder.write("secret", SECRET));
    let endpoint = "https://id.test/token";
    let (by_issuer, by_endpoint) = (json!({ "issuer": "https://id.test" }), json!({ "token_endpoint": endpoint }));
    let own = json!({ "assertion_audience": endpoint, "assertion_header_type": "JWT" });
    let cases = [
        (&by_issuer, json!({}), "https://id.test", "client-authentication+jwt"),
        (&by_issuer, own.clone(), endpoint, "JWT"),
        (&by_endpoint, own, endpoint, "JWT"),
    ];
    for (place, said, audience, header_type) in cases {
        for (method, name, credential) in [
            (ClientAuthMethod::PrivateKeyJwt, "private_key_jwt", json!({ "key": key_file })),
            (ClientAuthMethod::ClientSecretJwt, "client_secret_jwt", json!({ "secret": secret_file })),
        ] {
            let registered = Client::new("m2m").secret(SECRET).key(&key).scopes(["read"]).auth_methods([method]);
            let server = TestServer::builder().client(registered).assertion_audience(audience).build();
            let mut client = with(credential, "authentication", json!(name));
            client["id"] = json!("m2m");
            client.as_object_mut().expect("a table").extend(said.as_object().cloned().unwrap_or_default());
            let settings = with(with(minimal(), "server", place.clone()), "client", client);
            build(&config(settings), &server).ready().await.unwrap_or_else(|error| panic!("{name}: {error}"));
            let sent = assertion(&server);
            assert_eq!((&sent.claims["aud"], &sent.header["typ"]), (&json!(audience), &json!(header_type)), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dpop_binds_tokens_to_a_key() {
    let folder = TempFolder::new();
    let key = TestKey::generate(Algorithm::Es384);
    let (pem, jwk) = (key.private_key_pem(), key.private_jwk().to_string());
    let secret = file(&folder.write("secret", SECRET));
    let mut generated = Vec::new();
    let cases = [
        (json!(true), None),
        (json!("true"), None),
        (json!({ "key": file(&folder.write("pem", pem)) }), Some(key.thumbprint())),
        (json!({ "key": file(&folder.write("jwk", jwk)) }), Some(key.thumbprint())),
    ];
    for (dpop, thumbprint) in cases {
        let registered = Client::new("m2m").secret(SECRET).scopes(["read"]).require_dpop();
        let server = TestServer::builder().client(registered).require_dpop().build();
        let configured = build(&settings(None, json!({ "secret": secret, "dpop": dpop })), &server);
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200, "{dpop}");
        let (_, tokens) = configured.tokens().next().expect("an origin");
        assert!(tokens.token().await.expect("a token").is_bound());
        let sent = server.requests_to(Endpoint::Api).pop().and_then(|request| request.dpop_proof()).expect("a proof");
        let used = oauth_tokens::SigningKey::from_jwk(&key.private_jwk().to_string()).expect("a key");
        let is_ours = sent.header["jwk"] == oauth_tokens::Signer::public_jwk(&used).expect("a public key").to_json();
        assert_eq!(is_ours, thumbprint.is_some(), "{dpop}");
        generated.extend(thumbprint.is_none().then(|| sent.header["jwk"].clone()));
    }
    assert_ne!(generated[0], generated[1], "each layer has a key of its own");

    let server = TestServer::builder().client(Client::new("m2m").secret(SECRET).scopes(["read"])).dpop().build();
    for unbound in [json!(false), json!("false"), json!(null)] {
        let configured = build(&settings(None, json!({ "secret": secret, "dpop": unbound })), &server);
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200);
        assert_eq!(token_requests(&server).pop().and_then(|request| request.dpop_proof()).map(|_| ()), None);
    }
}

/// Over sockets: the certificate goes to the authorization server, and its files to whoever calls the API.
#[tokio::test]
async fn t15_certificates_are_shown_and_may_change() {
    let server = TestServer::builder().mtls().start().await.expect("sockets");
    let folder = TempFolder::new();
    let root = folder.write("root.pem", server.ca_certificate_pem().expect("a certificate"));
    let (certificate, key) = (folder.path("tls.crt"), folder.path("tls.key"));
    let install = |new: &TestCertificate| {
        folder.write("tls.crt", new.certificate_pem());
        folder.write("tls.key", new.private_key_pem());
    };
    let own = TestCertificate::self_signed("m2m").expect("a certificate");
    for name in ["tls_client_auth", "self_signed_tls_client_auth"] {
        server.clear_requests();
        let common_name = CertificateName::common_name("m2m");
        let issue = || server.issue_client_certificate(common_name.clone()).expect("a certificate");
        let (registered, certificates) = match name {
            "tls_client_auth" => (Client::new("m2m").certificate(common_name.clone()), [issue(), issue()]),
            _ => {
                let other = TestCertificate::self_signed("m2m").expect("a certificate");
                let both = Client::new("m2m").certificate_thumbprint(own.thumbprint());
                (both.certificate_thumbprint(other.thumbprint()), [own.clone(), other])
            }
        };
        server.set_client(registered.scopes(["read"]).certificate_bound_tokens());
        let client = json!({
            "id": "m2m", "authentication": name, "certificate": file(&certificate), "key": file(&key),
        });
        let place = json!({ "issuer": server.issuer(), "root_certificates": root.to_str() });
        let settings = with(with(minimal(), "server", place), "client", client);
        let origins = json!([server.api_origin(), { "url": server.api_url("/v2"), "scope": "read" }]);
        let configured = config(with(settings, "origins", origins)).build().expect("nothing is read yet");
        assert_eq!(configured.certificate_files(), Some((certificate.as_path(), key.as_path())));
        for ((_, tokens), shown) in configured.tokens().zip(&certificates) {
            install(shown);
            guarded(tokens.ready()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            let request = token_requests(&server).pop().expect("a request");
            assert_eq!(request.certificate.as_deref(), Some(shown.thumbprint()), "{name}");
            let kind = request.client_auth.expect("a client");
            assert_eq!(matches!(kind, ClientAuthMethod::SelfSignedTlsClientAuth), name.starts_with("self"), "{kind:?}");
        }

        // The first token is bound to the first certificate.
        let [first, _] = &certificates;
        let pem = [first.certificate_pem(), first.private_key_pem()].concat();
        let builder = reqwest::Client::builder()
            .identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"))
            .tls_certs_merge([
                reqwest::Certificate::from_pem(configured.root_certificates().expect("a root")).expect("PEM")
            ]);
        let api = configured.layer().reqwest(builder).expect("a client");
        let response = guarded(api.get(server.api_url("/things")).send()).await.expect("an answer");
        assert_eq!(response.status(), 200, "{name}");
    }
}

/// A program with an HTTP client of its own: the certificate is that client's.
#[tokio::test(start_paused = true)]
async fn certificates_of_ones_own_http_client() {
    let server = TestServer::builder().mtls().client(Client::new("m2m")).build();
    let name = CertificateName::common_name("m2m");
    let certificate = server.issue_client_certificate(name.clone()).expect("a certificate");
    server.set_client(Client::new("m2m").certificate(name).scopes(["read"]));
    let presented = PresentedCertificate::from(&certificate);
    let service = server.authorization_service().map_request(move |mut request: http::Request<_>| {
        request.extensions_mut().insert(presented.clone());
        request
    });
    let http = HttpClient::new(service);
    let client = json!({ "id": "m2m", "authentication": "tls_client_auth" });
    let settings = with(minimal(), "client", client);
    let configured = config(settings.clone()).build_via(http.clone()).expect("a layer");
    assert_eq!(configured.certificate_files(), None);
    configured.ready().await.expect("a token");
    assert_eq!(token_requests(&server)[0].client_auth, Some(ClientAuthMethod::TlsClientAuth));

    let files = [("certificate", json!({ "file": "/run/tls.crt" })), ("key", json!({ "file": "/run/tls.key" }))];
    let both = files.into_iter().fold(settings.clone(), |all, (key, value)| with(all, &format!("client/{key}"), value));
    let error = config(both).build_via(http).expect_err("nobody reads it");
    assert_eq!(error.path(), "client.certificate");
    assert!(error.to_string().contains("its own HTTP client"), "{error}");
    // The default client needs them.
    for error in [config(settings.clone()).build().map(drop), config(settings).validate()] {
        let error = error.expect_err("no certificate");
        assert_eq!(error.path(), "client.certificate");
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
