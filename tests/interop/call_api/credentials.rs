//! Clients without a secret that is sent, tokens that are bound to a key, tokens in exchange for others.

use std::process::Output;

use serde_json::Value;
use tests::support::TempFolder;

use super::{failed, program, restrict, run, succeeded, text};
use crate::server::{RealServer, django, oidc};

/// What is typed for the client in this role, without a secret in the environment.
fn call(server: &RealServer, role: &str, arguments: &[&str]) -> Output {
    let mut command = program(&server.api("/things"));
    command.args(["--client-id", server.of_client(role, "id"), "--scope", "api"]).args(arguments);
    run(command)
}

fn with_secret(server: &RealServer, role: &str, arguments: &[&str]) -> Output {
    let known = server.registered(role);
    let mut command = program(&server.api("/things"));
    command.env("OAUTH_CLIENT_SECRET", known.secret);
    command.args(["--client-id", known.id, "--scope", "api"]).args(arguments);
    run(command)
}

/// The API has seen this client, and nobody the secret.
fn assert_called(server: &RealServer, role: &str, output: &Output, secret: &str) -> Value {
    let seen = succeeded(output);
    assert_eq!(seen["client_id"], server.of_client(role, "id"), "{seen}");
    assert!(!secret.is_empty() && !text(&output.stderr).contains(secret), "{}", text(&output.stderr));
    seen
}

#[tokio::test]
async fn t9_private_key_jwt_from_pem_and_jwk_by_issuer_and_endpoint() {
    let server = oidc();
    for role in ["es256", "es384", "rs256", "eddsa"] {
        let of = |what| server.of_client(role, what);
        let named = ["--key", of("key_pem"), "--key-id", of("kid")];
        for key in [&["--key", of("key_pem")][..], &named, &["--key", of("key_jwk")]] {
            let arguments = [&["--issuer", server.issuer(), "--auth", "private-key-jwt"], key].concat();
            assert_called(server, role, &call(server, role, &arguments), "PRIVATE KEY");
        }
    }
    let jwk = server.of_client("ps256", "key_jwk");
    let arguments = ["--token-endpoint", server.token_endpoint(), "--auth", "private-key-jwt", "--key", jwk];
    assert_called(server, "ps256", &call(server, "ps256", &arguments), "PRIVATE KEY");
}

#[tokio::test]
async fn t9_a_key_that_the_server_does_not_know_is_said_in_terms_of_the_options() {
    let server = oidc();
    let other = server.of_client("es384", "key_pem");
    let arguments = ["--issuer", server.issuer(), "--auth", "private-key-jwt", "--key", other];
    let said = failed(&call(server, "es256", &arguments));
    for part in ["invalid_client", "--client-id", other, "--key-id", "public half"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let missing = ["--issuer", server.issuer(), "--auth", "private-key-jwt", "--key", "/nowhere/key.pem"];
    let said = failed(&call(server, "es256", &missing));
    assert!(said.contains("/nowhere/key.pem"), "{said}");
}

#[tokio::test]
async fn t9_secret_jwt() {
    let server = oidc();
    let known = server.registered("secret_jwt");
    for place in [["--issuer", server.issuer()], ["--token-endpoint", server.token_endpoint()]] {
        let arguments = [&place[..], &["--auth", "secret-jwt"]].concat();
        assert_called(server, "secret_jwt", &with_secret(server, "secret_jwt", &arguments), known.secret);
    }
    let said = failed(&with_secret(server, "secret_jwt", &["--issuer", server.issuer()]));
    assert!(said.contains("invalid_client") && !said.contains(known.secret), "{said}");

    // Another secret, and one that whoever sees an assertion could find out.
    for (secret, part) in [(known.secret.replace('0', "1"), "not the secret itself"), ("s3cr3t".to_owned(), "32 bytes")]
    {
        let mut command = program(&server.api("/things"));
        command.args(["--client-id", known.id, "--issuer", server.issuer(), "--auth", "secret-jwt"]);
        command.env("OAUTH_CLIENT_SECRET", &secret);
        let said = failed(&run(command));
        assert!(said.contains("OAUTH_CLIENT_SECRET") && said.contains(part) && !said.contains(&secret), "{said}");
    }
}

/// RFC 8705: the token is bound to the certificate, which the API therefore sees, too.
#[tokio::test]
async fn t9_mtls_with_an_authority_of_its_own() {
    let server = &oidc().realm("tls");
    let place = ["--issuer", server.issuer(), "--ca-cert", server.text("/ca"), "--auth", "mtls"];
    for role in ["tls", "tls_san", "tls_self_signed"] {
        let own = ["--cert", server.of_client(role, "certificate"), "--key", server.of_client(role, "key")];
        let seen = assert_called(server, role, &call(server, role, &[&place[..], &own].concat()), "PRIVATE KEY");
        assert_eq!(seen["cnf"].is_object(), role != "tls_san", "{seen}");
    }
    for certificate in ["other", "untrusted"] {
        let of = |what: &str| server.text(&format!("/certificates/{certificate}/{what}"));
        let own = ["--cert", of("certificate"), "--key", of("key")];
        let said = failed(&call(server, "tls", &[&place[..], &own].concat()));
        assert!(said.contains("hint: ") && said.contains(of("certificate")), "{said}");
    }
    // One certificate, and the key of another.
    let mixed = ["--cert", server.of_client("tls", "certificate"), "--key", server.of_client("tls_san", "key")];
    let said = failed(&call(server, "tls", &[&place[..], &mixed].concat()));
    assert!(said.contains("belong together") && said.contains(server.of_client("tls_san", "key")), "{said}");
    // Without the authority nobody is trusted, whoever we are.
    let own = ["--cert", server.of_client("tls", "certificate"), "--key", server.of_client("tls", "key")];
    let arguments = [&["--issuer", server.issuer(), "--auth", "mtls"][..], &own].concat();
    let said = failed(&call(server, "tls", &arguments));
    assert!(said.contains("--ca-cert"), "{said}");
}

#[tokio::test]
async fn t15_an_assertion_from_a_file() {
    let server = oidc();
    let folder = TempFolder::new();
    let order = format!("assertion?client_id={}&seconds=60", server.of_client("es256", "id"));
    let assertion = server.admin(&order, "assertion").await;
    let file = folder.write("assertion", format!("{assertion}\n"));
    restrict(&file);
    let file = file.to_str().expect("a path");
    let arguments = ["--issuer", server.issuer(), "--auth", "assertion-file", "--assertion-file", file];
    assert_called(server, "es256", &call(server, "es256", &arguments), &assertion);

    // This server takes each assertion once.
    let said = failed(&call(server, "es256", &arguments));
    assert!(said.contains("invalid_client") && said.contains(file), "{said}");
    assert!(!said.contains(&assertion), "{said}");
    folder.write("assertion", "no-assertion-of-anybody");
    let said = failed(&call(server, "es256", &arguments));
    assert!(said.contains(&format!("the assertion in {file}")) && !said.contains("no-assertion"), "{said}");
}

/// RFC 9449, with nonces that the server and the API ask for.
#[tokio::test]
async fn dpop_with_and_without_nonces() {
    for realm in [oidc().clone(), oidc().realm("nonce"), oidc().realm("single_use")] {
        let output = with_secret(&realm, "dpop", &["--issuer", realm.issuer(), "--dpop"]);
        let seen = assert_called(&realm, "dpop", &output, realm.registered("dpop").secret);
        assert_eq!(seen["scheme"].as_str().map(str::to_lowercase).as_deref(), Some("dpop"), "{seen}");
        let said = text(&output.stderr);
        assert!(said.contains("bound to a key") && !said.contains("renewed"), "{said}");
    }
}

#[tokio::test]
async fn dpop_that_is_missing_or_of_no_use_is_said_in_terms_of_the_options() {
    let nonce = oidc().realm("nonce");
    // The server wants it of this client.
    let said = failed(&with_secret(&nonce, "dpop", &["--issuer", nonce.issuer()]));
    assert!(said.contains("invalid_grant") && said.contains("try --dpop"), "{said}");
    // The API wants it of everybody.
    let output = with_secret(&nonce, "basic", &["--issuer", nonce.issuer()]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("401") && said.contains("try --dpop"), "{said}");
    // T14: this server ignores it.
    let said = failed(&with_secret(django(), "basic", &["--issuer", django().issuer(), "--dpop"]));
    assert!(said.contains("`token_type` Bearer") && said.contains("try without --dpop"), "{said}");
}

/// RFC 8693
#[tokio::test]
async fn a_token_in_exchange_for_another() {
    let server = oidc();
    let folder = TempFolder::new();
    let alice = server.admin("user-token?sub=alice&scope=api", "access_token").await;
    let file = folder.write("token", &alice);
    restrict(&file);
    let file = file.to_str().expect("a path");
    for more in [&[][..], &["--dpop"]] {
        let arguments = [&["--issuer", server.issuer(), "--exchange-token-file", file], more].concat();
        let output = with_secret(server, "exchange", &arguments);
        let seen = assert_called(server, "exchange", &output, &alice);
        assert_eq!(seen["sub"], "alice", "{seen}");
        assert!(text(&output.stderr).contains(file), "{}", text(&output.stderr));
    }

    folder.write("token", "no-token-of-anybody");
    let arguments = ["--issuer", server.issuer(), "--exchange-token-file", file];
    let said = failed(&with_secret(server, "exchange", &arguments));
    assert!(said.contains(&format!("hint: the token in {file}")), "{said}");
    assert!(!said.contains("no-token-of-anybody"), "{said}");
    let said = failed(&with_secret(server, "basic", &arguments));
    assert!(said.contains("hint: "), "{said}");
}

#[test]
fn options_that_do_not_go_together_are_refused_before_anything_is_read() {
    let cases: [(&[&str], &str); 9] = [
        (&["--auth", "private-key-jwt"], "--key"),
        (&["--auth", "mtls", "--key", "k"], "--cert"),
        (&["--auth", "mtls", "--cert", "c"], "--key"),
        (&["--auth", "assertion-file"], "--assertion-file"),
        (&["--key", "k"], "--auth private-key-jwt or --auth mtls"),
        (&["--key-id", "k"], "--auth private-key-jwt"),
        (&["--cert", "c"], "--auth mtls"),
        (&["--assertion-file", "a"], "--auth assertion-file"),
        (&["--auth", "mtls", "--cert", "c", "--key", "k", "--client-secret-file", "s"], "takes a secret"),
    ];
    for (arguments, part) in cases {
        let mut command = program("https://api.test/");
        command.args(["--issuer", "https://id.test", "--client-id", "m2m"]).args(arguments);
        let output = run(command);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(part), "{arguments:?}: {}", text(&output.stderr));
    }
}
