//! The same settings in every form make the same layer.

use ::config::{Config, Environment, File, FileFormat};
use oauth_test_server::{Algorithm, Client, ClientAuthMethod, TestKey, TestServer, TrustedIssuer};
use serde_json::json;
use tests::support::TempFolder;
use tower_oauth::OAuthConfig;

use super::{build, call, config, token_requests, tokens_sent, toml};

fn server() -> TestServer {
    let client = Client::new("orders")
        .secret("s3cr3t")
        .scopes(["read", "write", "stock"])
        .auth_methods([ClientAuthMethod::ClientSecretPost]);
    TestServer::builder().client(client).build()
}

const TOML: &str = r#"
    [server]
    issuer = "https://id.test"

    [client]
    id = "orders"
    authentication = "client_secret_post"
    secret = { file = "FILE" }

    [grant]
    type = "client_credentials"
    scope = ["read", "write"]
    resource = ["https://api.test/a", "urn:b"]
    audience = "everybody"
    parameters = { tenant = "42", extra = "1 & 2" }

    [[origins]]
    url = "https://api.test"

    [[origins]]
    url = "https://api.test/stock"
    scope = "stock"
    resource = []
    parameters = {}

    [policy]
    retry = false
"#;

const TOML_LINE_BY_LINE: &str = r#"
    server.issuer = "https://id.test"
    client.id = "orders"
    client.authentication = "client_secret_post"
    client.secret.file = "FILE"
    grant.scope = "read write"
    grant.resource = "https://api.test/a, urn:b"
    grant.audience = "everybody"
    grant.parameters.tenant = "42"
    grant.parameters.extra = "1 & 2"
    policy.retry = "false"
    origins = ["https://api.test", { url = "https://api.test/stock", scope = ["stock"], resource = "", parameters = {} }]
"#;

fn json_form(file: &str) -> OAuthConfig {
    config(json!({
        "$schema": "anywhere",
        "server": { "issuer": "https://id.test", "token_endpoint": null },
        "client": { "id": "orders", "authentication": "client_secret_post", "secret": { "file": file } },
        "grant": {
            "scope": ["read write"],
            "resource": ["https://api.test/a", "urn:b"],
            "audience": "everybody",
            "parameters": { "tenant": "42", "extra": "1 & 2" },
        },
        "origins": [
            "https://api.test",
            { "url": "https://api.test/stock", "scope": "stock", "resource": [], "parameters": {}, "audience": null },
        ],
        "policy": { "retry": false, "renew_on_other_schemes": null },
    }))
}

fn variables(file: &str) -> Vec<(String, String)> {
    let variables = [
        ("APP__SERVER__ISSUER", "https://id.test"),
        ("APP__CLIENT__ID", "orders"),
        ("APP__CLIENT__AUTHENTICATION", "client_secret_post"),
        ("APP__CLIENT__SECRET__FILE", file),
        ("APP__GRANT__SCOPE", "read write"),
        ("APP__GRANT__RESOURCE", "https://api.test/a urn:b"),
        ("APP__GRANT__AUDIENCE", "everybody"),
        ("APP__GRANT__PARAMETERS__TENANT", "42"),
        ("APP__GRANT__PARAMETERS__EXTRA", "1 & 2"),
        ("APP__ORIGINS__0__URL", "https://api.test"),
        ("APP__ORIGINS__1__URL", "https://api.test/stock"),
        ("APP__ORIGINS__1__SCOPE__0", "stock"),
        ("APP__ORIGINS__1__RESOURCE", ""),
        // An empty table cannot be said in variables: other parameters are the difference that the test allows for.
        ("APP__ORIGINS__1__PARAMETERS__NONE", "none"),
        ("APP__POLICY__RETRY", "false"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A file that lacks some settings and has others wrong, and variables that lie over it.
fn layered(file: &str) -> OAuthConfig {
    let text = TOML.replace("https://id.test", "https://wrong.test").replace("\"everybody\"", "\"nobody\"");
    let variables = [
        ("APP__SERVER__ISSUER", "https://id.test"),
        ("APP__CLIENT__SECRET__FILE", file),
        ("APP__GRANT__AUDIENCE", "everybody"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let environment = Environment::with_prefix("APP").prefix_separator("__").separator("__").source(Some(variables));
    Config::builder()
        .add_source(File::from_str(&text, FileFormat::Toml))
        .add_source(environment)
        .build()
        .and_then(Config::try_deserialize)
        .expect("reading never fails")
}

/// What arrives at the token endpoint, in an order of its own, and how the API answers.
async fn observed(config: &OAuthConfig) -> Vec<Vec<(String, String)>> {
    config.validate().expect("valid settings");
    let server = server();
    let configured = build(config, &server);
    assert_eq!(token_requests(&server).len(), 0, "building asks for nothing");
    assert_eq!(call(&configured, &server, "https://api.test/orders").await, 200);
    assert_eq!(call(&configured, &server, "https://api.test/stock/1").await, 200);
    server.revoke_access_tokens();
    assert_eq!(call(&configured, &server, "https://api.test/orders").await, 401, "there is no second try");
    assert_eq!(call(&configured, &server, "https://elsewhere.test/").await, 401, "and no token");
    let sent = tokens_sent(&server);
    assert!(sent[0].is_some() && sent[1].is_some() && sent[0] != sent[1], "each origin has a token of its own");
    assert_eq!(sent[3], None);

    let mut forms: Vec<_> = token_requests(&server).iter().take(2).map(|request| request.form()).collect();
    for form in &mut forms {
        form.sort();
        form.retain(|(name, _)| name != "none");
    }
    forms
}

#[tokio::test(start_paused = true)]
async fn the_same_settings_in_every_form_ask_for_the_same() {
    let folder = TempFolder::new();
    let file = folder.write("secret", "s3cr3t\n");
    let file = file.to_str().expect("a path");
    let form = |pairs: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect::<Vec<_>>()
    };
    let first = form(&[
        ("audience", "everybody"),
        ("client_id", "orders"),
        ("client_secret", "s3cr3t"),
        ("extra", "1 & 2"),
        ("grant_type", "client_credentials"),
        ("resource", "https://api.test/a"),
        ("resource", "urn:b"),
        ("scope", "read write"),
        ("tenant", "42"),
    ]);
    let second = form(&[
        ("audience", "everybody"),
        ("client_id", "orders"),
        ("client_secret", "s3cr3t"),
        ("grant_type", "client_credentials"),
        ("scope", "stock"),
    ]);
    let expected = vec![first, second];

    let forms = [
        ("TOML", toml(&TOML.replace("FILE", file))),
        ("TOML, line by line", toml(&TOML_LINE_BY_LINE.replace("FILE", file))),
        ("JSON", json_form(file)),
        ("JSON text", {
            let text =
                serde_json::to_string(&toml::from_str::<serde_json::Value>(&TOML.replace("FILE", file)).expect("TOML"));
            serde_json::from_str(&text.expect("JSON")).expect("JSON")
        }),
        ("environment", OAuthConfig::from_vars("APP", variables(file)).expect("variables")),
        ("file and environment", layered(file)),
    ];
    for (name, config) in forms {
        assert_eq!(observed(&config).await, expected, "{name}");
    }
}

const OTHER_TOML: &str = r#"
    server.issuer = "https://id.test"
    origins = ["https://api.test"]

    [client]
    id = "orders"
    authentication = "private_key_jwt"
    key = { file = "FILE" }
    key_id = "k1"
    dpop = true

    [grant]
    type = "token_exchange"
    subject_token = { file = "SUBJECT" }
    subject_token_type = "jwt"

    [[grant.authorization_details]]
    type = "payment"
    actions = ["read"]
"#;

/// How the client proves who it is, and what it hands in.
#[tokio::test(start_paused = true)]
async fn credentials_and_grants_in_every_form_are_the_same() {
    let folder = TempFolder::new();
    let (key, partner) = (TestKey::generate(Algorithm::Es256), TestKey::generate(Algorithm::Es256));
    let file = folder.write("key", key.private_key_pem());
    let claims =
        json!({ "iss": "https://partner.test", "sub": "alice", "aud": "https://id.test", "exp": 4_000_000_000_u64 });
    let subject = folder.write("subject", partner.sign(&claims));
    let (file, subject) = (file.to_str().expect("a path"), subject.to_str().expect("a path"));
    let details = json!([{ "type": "payment", "actions": ["read"] }]);
    let filled = OTHER_TOML.replace("FILE", file).replace("SUBJECT", subject);
    let as_json: serde_json::Value = toml::from_str(&filled).expect("TOML");
    let variables = |prefix: &str| -> Vec<(String, String)> {
        let variables = [
            ("SERVER__ISSUER", "https://id.test"),
            ("ORIGINS", "https://api.test"),
            ("CLIENT__ID", "orders"),
            ("CLIENT__AUTHENTICATION", "private_key_jwt"),
            ("CLIENT__KEY__FILE", file),
            ("CLIENT__KEY_ID", "k1"),
            ("CLIENT__DPOP", "true"),
            ("GRANT__TYPE", "token_exchange"),
            ("GRANT__SUBJECT_TOKEN__FILE", subject),
            ("GRANT__SUBJECT_TOKEN_TYPE", "jwt"),
            ("GRANT__AUTHORIZATION_DETAILS", &details.to_string()),
        ];
        variables.map(|(name, value)| (format!("{prefix}__{name}"), value.to_owned())).into()
    };
    let environment = Environment::with_prefix("APP").prefix_separator("__").separator("__");
    let layered = Config::builder()
        .add_source(File::from_str(&filled.replace("k1", "k2"), FileFormat::Toml))
        .add_source(environment.source(Some(variables("APP").into_iter().collect())))
        .build()
        .and_then(Config::try_deserialize)
        .expect("reading never fails");
    let forms = [
        ("TOML", toml(&filled)),
        ("JSON", config(as_json)),
        ("environment", OAuthConfig::from_vars("APP", variables("APP")).expect("variables")),
        ("file and environment", layered),
    ];
    for (name, config) in forms {
        let server = TestServer::builder()
            .trusted_issuer(TrustedIssuer::new("https://partner.test").key(&partner))
            .client(Client::new("orders").key(&key.clone().with_key_id("k1")).scopes(["read"]).require_dpop())
            .require_dpop()
            .build();
        config.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(call(&build(&config, &server), &server, "https://api.test/").await, 200, "{name}");
        let request = token_requests(&server).pop().expect("a request");
        assert_eq!(request.client_assertion().map(|jwt| jwt.header["kid"].clone()), Some(json!("k1")), "{name}");
        assert_eq!(request.form_value("authorization_details"), Some(details.to_string()), "{name}");
        let kind = request.form_value("subject_token_type");
        assert_eq!(kind.as_deref(), Some("urn:ietf:params:oauth:token-type:jwt"), "{name}");
    }
}

/// A table with indexes is what `config` makes of a variable that ends with one, instead of the file's list.
#[tokio::test(start_paused = true)]
async fn variables_over_a_file_replace_a_list() {
    let variables = [("APP__ORIGINS__0__URL", "https://api.test"), ("APP__ORIGINS__1__URL", "https://two.test")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let file = r#"
        origins = "https://from-the-file.test"
        server.issuer = "https://id.test"
        client = { id = "m2m", secret = { file = "/run/secrets/m2m" } }
    "#;
    let config: OAuthConfig = Config::builder()
        .add_source(File::from_str(file, FileFormat::Toml))
        .add_source(Environment::with_prefix("APP").prefix_separator("__").separator("__").source(Some(variables)))
        .build()
        .and_then(Config::try_deserialize)
        .expect("reading never fails");
    let configured = build(&config, &server());
    let origins: Vec<_> = configured.tokens().map(|(origin, _)| origin.to_string()).collect();
    assert_eq!(origins, ["https://api.test", "https://two.test"]);
}

#[test]
fn debug_shows_the_structure_and_no_values() {
    let config = toml(&TOML.replace("FILE", "/run/secrets/orders"));
    let shown = format!("{config:?}");
    for part in
        ["server: {issuer: a string}", "authentication: \"client_secret_post\"", "retry: false", "file: a string"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for value in ["id.test", "orders", "tenant", "42", "stock", "/run"] {
        assert!(!shown.contains(value), "{value}: {shown}");
    }
}
