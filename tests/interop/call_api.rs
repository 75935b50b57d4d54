//! The example `call_api`, run as its users run it.

mod credentials;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tests::{program, support::TempFolder};

use crate::{
    against_both,
    server::{RealServer, Registered},
};

against_both!(
    it_gets_a_token_and_calls_the_api,
    it_finds_the_token_endpoint_by_the_issuer,
    it_sends_odd_credentials_by_post,
    it_says_what_is_wrong_with_a_wrong_secret,
    it_fails_where_the_api_refuses,
    it_takes_settings_from_a_file,
    t12_it_needs_no_proxy_for_loopback,
);

async fn it_gets_a_token_and_calls_the_api(server: &RealServer) {
    let known = server.registered("basic");
    let output = call_api(known, &["--token-endpoint", server.token_endpoint()], &server.api("/things?x=1"));
    let seen = succeeded(&output);
    assert_eq!(seen["client_id"], known.id, "{seen}");
    assert_eq!(seen["scope"], known.scope, "{seen}");
    assert!(!text(&output.stderr).contains(known.secret), "{}", text(&output.stderr));
}

async fn it_finds_the_token_endpoint_by_the_issuer(server: &RealServer) {
    let known = server.registered("basic");
    let order = r#"{"item": 7}"#;
    let arguments = ["--issuer", server.issuer(), "--method", "PUT", "--data", order];
    let seen = succeeded(&call_api(known, &arguments, &server.api("/orders")));
    assert_eq!((&seen["method"], &seen["body"]), (&json!("PUT"), &json!(order)), "{seen}");
}

async fn it_sends_odd_credentials_by_post(server: &RealServer) {
    let known = server.registered("odd_post");
    let folder = TempFolder::new();
    let file = folder.path("secret");
    std::fs::write(&file, format!("{}\n", known.secret)).expect("a file");
    restrict(&file);
    let file = file.to_str().expect("a path");
    let arguments = ["--token-endpoint", server.token_endpoint(), "--auth", "post", "--client-secret-file", file];
    let seen = succeeded(&run(command(known, &arguments, &server.api("/things"))));
    assert_eq!(seen["client_id"], known.id, "{seen}");
}

async fn it_says_what_is_wrong_with_a_wrong_secret(server: &RealServer) {
    let known = Registered { secret: "not-the-secret", ..server.registered("basic") };
    for auth in ["basic", "post"] {
        let arguments = ["--issuer", server.issuer(), "--auth", auth];
        let output = call_api(known, &arguments, &server.api("/things"));
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("invalid_client"), "{said}");
        assert!(said.contains("check the client id and the secret"), "{said}");
        assert!(!said.contains(known.secret), "{said}");
        assert_eq!(text(&output.stdout), "", "stdout is for the API's answer");
    }
}

async fn it_fails_where_the_api_refuses(server: &RealServer) {
    let known = Registered { scope: "api", ..server.registered("basic") };
    let output = call_api(known, &["--issuer", server.issuer()], &server.api("/read/this"));
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("403"), "{said}");
    assert!(said.contains("insufficient_scope"), "the challenge tells why: {said}");
}

async fn it_takes_settings_from_a_file(server: &RealServer) {
    let known = server.registered("basic");
    let folder = TempFolder::new();
    let secret = folder.write("secret", known.secret);
    restrict(&secret);
    let origin = server.api("");
    let json = json!({
        "server": { "issuer": server.issuer() },
        "client": { "id": known.id, "secret": { "file": secret.to_str() } },
        "grant": { "scope": known.scope },
        "origins": [{ "url": origin }],
    });
    let toml = format!(
        "origins = '{origin}'\nserver.issuer = '{}'\n[client]\nid = '{}'\nsecret = {{ file = '{}' }}\n[grant]\nscope = '{}'\n",
        server.issuer(),
        known.id,
        secret.display(),
        known.scope
    );
    let files = [folder.write("oauth.json", json.to_string()), folder.write("oauth.toml", &toml)];
    for file in &files {
        let seen = succeeded(&run(with_config(file, &server.api("/things"))));
        assert_eq!(seen["client_id"], known.id, "{seen}");
        assert_eq!(seen["scope"], known.scope, "{seen}");
    }

    let said = failed(&run(with_config(&files[0], "https://elsewhere.example/things")));
    assert!(said.contains("in none of the origins") && said.contains(&origin), "{said}");

    let mistakes = [
        (toml.replace("[grant]", "[grand]"), "`grand`: there is no such setting; did you mean `grant`?"),
        (toml.replace("file = ", "value = "), "`client.secret.value`"),
        (format!("{toml}{} = ", known.secret), "no TOML"),
    ];
    for (text, message) in mistakes {
        let said = failed(&run(with_config(&folder.write("wrong.toml", text), &server.api("/things"))));
        assert!(said.contains(message) && !said.contains(known.secret), "{said}");
    }

    let mut both = with_config(&files[0], &server.api("/things"));
    both.args(["--scope", "api"]);
    assert_eq!(run(both).status.code(), Some(2), "a file and an option that say the same are one too many");
}

async fn t12_it_needs_no_proxy_for_loopback(server: &RealServer) {
    let known = server.registered("basic");
    let mut command = command(known, &["--issuer", server.issuer()], &server.api("/things"));
    command.env("OAUTH_CLIENT_SECRET", known.secret);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9"); // nothing listens there
    }
    succeeded(&run(command));
}

/// Runs it with the secret in the environment.
fn call_api(client: Registered<'_>, arguments: &[&str], url: &str) -> Output {
    let mut command = command(client, arguments, url);
    command.env("OAUTH_CLIENT_SECRET", client.secret);
    run(command)
}

fn command(client: Registered<'_>, arguments: &[&str], url: &str) -> Command {
    let mut command = program(url);
    command.args(["--client-id", client.id]).args(arguments);
    for scope in client.scope.split(' ') {
        command.args(["--scope", scope]);
    }
    command
}

fn with_config(file: &Path, url: &str) -> Command {
    let mut command = program(url);
    command.arg("--config").arg(file);
    command
}

fn program(url: &str) -> Command {
    let mut command = Command::new(program::path("call_api"));
    command.arg(url).env_remove("OAUTH_CLIENT_SECRET").env_remove("RUST_LOG").stdin(Stdio::null());
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command
}

fn run(mut command: Command) -> Output {
    command.output().expect("call_api runs")
}

/// What the API answered.
fn succeeded(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

/// What it said.
fn failed(output: &Output) -> String {
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert_eq!(text(&output.stdout), "", "stdout is for the API's answer");
    said
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A secret that others can read may be refused (S3).
fn restrict(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).expect("the file's mode");
    }
}
