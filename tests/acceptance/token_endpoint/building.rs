//! What can be known to be wrong is an error when it is built, and never a panic. Nothing is sent.

use oauth_tokens::{
    AccessToken, AuthorizationServer, ClientAuth, ErrorKind, HttpClient, RefreshToken, Secret, TokenCache, TokenClient,
};
use tests::canned::{Canned, token};

use super::{TOKEN_ENDPOINT, client_at};

fn server() -> AuthorizationServer {
    AuthorizationServer::via(Canned::always(token("t")).http()).token_endpoint(TOKEN_ENDPOINT).expect("a server")
}

/// What no id and no secret may hold.
const CONTROLS: [&str; 8] = ["", "\0", "a\nb", "a\r\nX-Evil: 1", "tab\there", "a\u{7f}", "a\u{85}b", "end\n"];

#[test]
fn building_refuses_empty_ids_and_control_characters() {
    for id in CONTROLS {
        let error = server().client(id, ClientAuth::none()).expect_err("a bad id");
        assert_eq!(error.kind(), ErrorKind::Config, "{id:?}");
    }
    for secret in CONTROLS {
        for auth in
            [ClientAuth::secret_basic(secret), ClientAuth::secret_basic_raw(secret), ClientAuth::secret_post(secret)]
        {
            let error = server().client("m2m", auth).expect_err("a bad secret");
            assert_eq!(error.kind(), ErrorKind::Config, "{secret:?}");
        }
    }
    let error = server().client("m2m", ClientAuth::secret_post(Secret::file(""))).expect_err("no path");
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn building_accepts_odd_but_lawful_ids_and_secrets() {
    for text in ["a", " ", "odd id:1/+%", "é", "日本", "\"quoted\"", "a\\b", "https://app.example.com/client", "{id}"]
    {
        for auth in [ClientAuth::none(), ClientAuth::secret_basic(text), ClientAuth::secret_post(text)] {
            assert!(server().client(text, auth).is_ok(), "{text:?}");
        }
    }
}

#[test]
fn building_refuses_a_raw_basic_id_with_a_colon() {
    let error = server().client("a:b", ClientAuth::secret_basic_raw("s")).expect_err("it would be read as id `a`");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("secret_basic"), "it says what to do: {error}");
    assert!(server().client("a:b", ClientAuth::secret_basic("s")).is_ok());
}

#[test]
fn building_refuses_bad_scopes_resources_and_audiences() {
    let client = || server().client("m2m", ClientAuth::none()).expect("a client");
    for scope in ["a\"b", "a\\b", "a\tb", "a\nb", "é", "a\u{7f}", "ok b\0d"] {
        assert_config(client().client_credentials().scope(scope).cached(), scope);
    }
    let resources =
        ["", "api", "/orders", "//api.example.com", "https://api.example.com/#part", "https://a b", "1http://x", ":x"];
    for resource in resources {
        assert_config(client().client_credentials().resource(resource).cached(), resource);
    }
    assert_config(client().client_credentials().audience("").cached(), "an empty audience");

    for scope in ["", " ", "a", "a  b ", "api://x/.default", "orders:read", "!#[]~"] {
        assert!(client().client_credentials().scope(scope).cached().is_ok(), "{scope:?}");
    }
    for resource in ["https://api.example.com/", "urn:example:api", "api://1234", "https://api.example.com/?v=1"] {
        assert!(client().client_credentials().resource(resource).cached().is_ok(), "{resource:?}");
    }
}

#[test]
fn t4_extra_parameters_never_override_the_protocols() {
    let client = || server().client("m2m", ClientAuth::none()).expect("a client");
    let reserved = [
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "scope",
        "resource",
        "audience",
        "code",
        "code_verifier",
        "redirect_uri",
        "refresh_token",
        "username",
        "password",
        "assertion",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
        "device_code",
        "",
        " ",
        "grant_type ",
        "a\r\nb",
        "a\0",
    ];
    for name in reserved {
        assert_config(client().client_credentials().param(name, "x").cached(), name);
        assert_config(client().refresh_token("r").param(name, "x").cached(), name);
    }
    let twice = client().client_credentials().param("tenant", "1").param("tenant", "2").cached();
    assert_config(twice, "a parameter given twice");
    assert!(client().client_credentials().param("tenant", "1").param("Scope-Hint", "2").cached().is_ok());
}

#[tokio::test]
async fn t4_what_cannot_be_built_is_not_sent_by_fetch_either() {
    use oauth_tokens::TokenSource;
    let canned = Canned::always(token("t"));
    let request = client_at(&canned).client_credentials().param("grant_type", "password");
    assert_eq!(request.fetch().await.expect_err("refused").kind(), ErrorKind::Config);
    assert!(canned.requests().is_empty());
}

#[test]
fn building_refuses_an_empty_refresh_token() {
    let client = server().client("app", ClientAuth::none()).expect("a client");
    assert_config(client.refresh_token("").cached(), "an empty refresh token");
    assert_config(client.grant(RefreshToken::new(String::new())).cached(), "an empty refresh token");
}

#[test]
fn t13_fixed_and_own_tokens_are_checked() {
    let longest = "x".repeat(16 * 1024);
    for good in ["t", "a.b-c_d~e+f/g==", "!\"#$%&'()*,:;<>?@[]^`{|}", &longest] {
        assert!(AccessToken::bearer(good).is_ok_and(|token| token.secret() == good), "{} bytes", good.len());
        assert!(TokenCache::fixed(good).is_ok());
    }
    let too_long = "x".repeat(16 * 1024 + 1);
    for bad in ["", " ", "a b", "a\tb", "a\r\nX-Evil: 1", "a\0", "a\u{7f}", "é", "\u{2028}", &too_long] {
        let error = AccessToken::bearer(bad).expect_err("unusable");
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
        assert!(bad.trim().is_empty() || !error.to_string().contains(bad), "it is not repeated");
        assert!(TokenCache::fixed(bad).is_err());
    }
}

#[test]
fn building_refuses_root_certificates_that_are_none() {
    let junk = "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----", junk] {
        let error = HttpClient::with_root_certificates(pem.as_bytes()).expect_err("no certificate");
        assert_eq!(error.kind(), ErrorKind::Config, "{pem}");
        assert!(error.to_string().contains("PEM"), "{error}");
    }
}

#[test]
fn building_needs_no_runtime_and_sends_nothing() {
    let canned = Canned::always(token("t"));
    let client: TokenClient = AuthorizationServer::via(canned.http())
        .issuer("https://id.test")
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic(Secret::file("/nowhere/at/all"))))
        .expect("no I/O");
    let tokens = client.client_credentials().scope("api").cached().expect("no I/O");
    assert!(!tokens.status().usable && !tokens.status().renewing);
    assert!(tokens.cached().is_none());
    assert!(canned.requests().is_empty());
}

fn assert_config(built: Result<TokenCache, oauth_tokens::Error>, what: &str) {
    match built {
        Ok(_) => panic!("{what:?} was accepted"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Config, "{what:?}: {error}"),
    }
}
