//! T15: assertions and keys in files, read anew for each attempt.

use http::StatusCode;
use oauth_test_server::{Algorithm as TestAlgorithm, TestCertificate, TestKey};
use oauth_tokens::{Algorithm, AuthorizationServer, ClientAuth, ErrorKind, Secret, SigningKey};
use serde_json::json;
use tests::{
    canned::{Canned, metadata, status, token},
    support::{TempFolder, shown},
};

use super::{ISSUER, JWT_BEARER, TOKEN_ENDPOINT, answering, assertion, client_at, fetch, forms, value};

const SPIFFE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-spiffe";

#[tokio::test(start_paused = true)]
async fn t15_an_assertion_is_read_for_each_attempt() {
    let folder = TempFolder::new();
    let path = folder.write("token", "aaa.bbb.c-_\n");
    let canned = answering("t");
    let client = client_at(&canned, ClientAuth::assertion_file(&path));
    for (text, sent) in [("aaa.bbb.c-_\n", "aaa.bbb.c-_"), ("two", "two"), (" three\r\n\r\n", "three")] {
        folder.write("token", text);
        fetch(&client).await.expect("a token");
        let form = forms(&canned).pop().expect("a form");
        let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grant_type", "client_id", "client_assertion_type", "client_assertion"]);
        assert_eq!(
            (value(&form, "client_id"), value(&form, "client_assertion_type"), value(&form, "client_assertion")),
            ("m2m", JWT_BEARER, sent)
        );
    }

    // A repeated attempt reads it again, too.
    let path_of_next = path.clone();
    let canned = Canned::new(move |request| match request.uri().path() {
        "/token" => {
            std::fs::write(&path_of_next, "next").expect("a file");
            if request.body().ends_with(b"next") { token("t") } else { status(StatusCode::BAD_GATEWAY) }
        }
        _ => metadata(ISSUER, TOKEN_ENDPOINT),
    });
    fetch(&client_at(&canned, ClientAuth::assertion_file(&path))).await.expect("a token");
    let sent: Vec<_> = forms(&canned).iter().map(|form| value(form, "client_assertion").to_owned()).collect();
    assert_eq!(sent, ["three", "next"]);
}

#[tokio::test]
async fn t15_assertions_of_other_types_and_from_functions() {
    let folder = TempFolder::new();
    let canned = answering("t");
    let svid = ClientAuth::spiffe_svid_file(folder.write("svid", "svid"));
    let saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
    let from_function = ClientAuth::assertion(saml, Secret::from_fn(|| async { Ok("PHNhbWw".to_owned()) }));
    for (auth, assertion_type, sent) in [(svid, SPIFFE, "svid"), (from_function, &*saml.replace(':', "%3A"), "PHNhbWw")]
    {
        fetch(&client_at(&canned, auth)).await.expect("a token");
        let form = forms(&canned).pop().expect("a form");
        assert_eq!((value(&form, "client_assertion_type"), value(&form, "client_assertion")), (assertion_type, sent));
    }
    let server = AuthorizationServer::via(canned.http()).issuer(ISSUER).expect("a server");
    for (assertion_type, path) in [("jwt-bearer", "svid"), ("", "svid"), ("urn:a b", "svid"), (saml, "")] {
        let auth = ClientAuth::assertion(assertion_type, Secret::file(path));
        assert_eq!(server.client("m2m", auth).expect_err("odd").kind(), ErrorKind::Config, "{assertion_type} {path}");
    }
}

#[tokio::test]
async fn t15_an_assertion_that_is_none_is_not_sent() {
    let folder = TempFolder::new();
    let canned = answering("t");
    for (path, why) in [
        (folder.path("missing"), "missing"),
        (folder.write("empty", "\n"), "is empty"),
        (folder.write("blank", "  \n"), "no token"),
        (folder.write("words", "p4yload and more"), "no token"),
        (folder.write("lines", "p4yload\nmore"), "control"),
        (folder.write("unicode", "p4yloäd"), "no token"),
    ] {
        let error = fetch(&client_at(&canned, ClientAuth::assertion_file(&path))).await.expect_err(why);
        assert!(error.kind() == ErrorKind::Credential && error.is_transient(), "{error}");
        assert!(error.to_string().contains("client assertion") && error.to_string().contains(why), "{error}");
        assert!(!shown(&error).contains("p4yl"), "{error:?}");
    }
    assert_eq!(forms(&canned).len(), 0);
}

#[tokio::test]
async fn t15_a_key_file_is_read_for_each_attempt() {
    let folder = TempFolder::new();
    let first = TestKey::generate(TestAlgorithm::Es256).with_key_id("first");
    let path = folder.write("key", first.private_key_pem());
    let canned = answering("t");
    let client = client_at(&canned, ClientAuth::private_key_jwt(SigningKey::file(&path)));
    let pinned = SigningKey::file(&path).with_key_id("pinned").with_algorithm(Algorithm::Ps256);
    assert!(format!("{pinned:?}").contains("key"));
    let pinned = client_at(&canned, ClientAuth::private_key_jwt(pinned));

    let mut headers = Vec::new();
    fetch(&client).await.expect("a token with PEM");
    folder.write("key", TestKey::generate(TestAlgorithm::Es384).with_key_id("second").private_jwk().to_string());
    fetch(&client).await.expect("a token with a JWK");
    folder.write("key", TestKey::generate(TestAlgorithm::Rs256).with_key_id("third").private_jwk().to_string());
    fetch(&client).await.expect("a token with another JWK");
    folder.write("key", TestKey::generate(TestAlgorithm::Rs256).private_key_pem());
    fetch(&pinned).await.expect("a token with PEM");
    for form in forms(&canned) {
        let header = assertion(&form).header;
        headers.push((header["alg"].clone(), header.get("kid").cloned().unwrap_or_default()));
    }
    let expected =
        [json!(["ES256", null]), json!(["ES384", "second"]), json!(["RS256", "third"]), json!(["PS256", "pinned"])];
    assert_eq!(headers.iter().map(|(alg, kid)| json!([alg, kid])).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn t15_a_key_is_also_known_by_the_certificate_beside_it() {
    let folder = TempFolder::new();
    let canned = answering("t");
    let client = client_at(&canned, ClientAuth::private_key_jwt(SigningKey::file(folder.path("both"))));
    for _ in 0..2 {
        let certificate = TestCertificate::self_signed("m2m").expect("a certificate");
        folder.write("both", format!("{}{}", certificate.private_key_pem(), certificate.certificate_pem()));
        fetch(&client).await.expect("a token");
        let header = assertion(&forms(&canned).pop().expect("a form")).header;
        assert_eq!(header["x5t#S256"], json!(certificate.thumbprint()), "{header}");
    }
}

#[tokio::test]
async fn t15_a_key_file_of_no_use_is_a_credential_error_that_shows_no_key() {
    let folder = TempFolder::new();
    let canned = answering("t");
    let ec = TestKey::generate(TestAlgorithm::Es256);
    let jwk = ec.private_jwk();
    let d = jwk["d"].as_str().expect("a private member").to_owned();
    for (path, why) in [
        (folder.path("missing"), "could not read"),
        (folder.write("empty", ""), "no private key"),
        (folder.write("text", &d), "no private key"),
        (folder.write("broken", jwk.to_string().replace("\"d\":\"", "\"d\":\"=")), "`d`"),
        (folder.write("half", jwk.to_string().replace('}', "")), "JSON"),
        (folder.write("public", ec.public_jwk().to_string()), "`d`"),
    ] {
        let auth = ClientAuth::private_key_jwt(SigningKey::file(&path));
        let error = fetch(&client_at(&canned, auth)).await.expect_err(why);
        assert!(error.kind() == ErrorKind::Credential && error.is_transient(), "{error}");
        assert!(error.to_string().contains(why) && error.to_string().contains(&*path.to_string_lossy()), "{error}");
        assert!(!shown(&error).contains(&d), "{error:?}");
    }
    assert_eq!(forms(&canned).len(), 0);
    let server = AuthorizationServer::via(canned.http()).issuer(ISSUER).expect("a server");
    let error = server.client("m2m", ClientAuth::private_key_jwt(SigningKey::file(""))).expect_err("no path");
    assert_eq!(error.kind(), ErrorKind::Config);
}
