//! Settings from environment variables.

use std::{ffi::OsString, process::Command};

use oauth_test_server::TestServer;
use tower_oauth::{ConfigError, OAuthConfig};

use super::{build, call, client, token_requests};

type Variable = (&'static str, &'static str);

const MINIMAL: &[Variable] = &[
    ("APP__SERVER__ISSUER", "https://id.test"),
    ("APP__CLIENT__ID", "m2m"),
    ("APP__CLIENT__SECRET", "s3cr3t\n"),
    ("APP__ORIGINS", "https://api.test"),
];

/// The minimal variables with these over them; an empty value takes one away.
fn over(changes: &[Variable]) -> Vec<Variable> {
    let kept = MINIMAL.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    kept.chain(changes.iter().filter(|(_, value)| !value.is_empty())).copied().collect()
}

fn refused(variables: &[Variable]) -> ConfigError {
    let config = OAuthConfig::from_vars("APP", variables.iter().copied());
    config.and_then(|config| config.layer()).expect_err("refused")
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_a_variable_of_its_own_works() {
    let server = TestServer::builder().client(client().secret("s3cr3t")).build();
    let others = [("APP2__SERVER__ISSUER", "https://wrong.test"), ("APPX", ""), ("APP_SERVER", "x"), ("app__x", "x")];
    for secret in [("APP__CLIENT__SECRET", "s3cr3t\n"), ("APP__Client__Secret__Env", "ELSEWHERE")] {
        let mut variables = over(&[("APP__CLIENT__SECRET", ""), secret, ("ELSEWHERE", "s3cr3t")]);
        variables.extend(others);
        let config = OAuthConfig::from_vars("APP", variables).expect("variables");
        let configured = build(&config, &server);
        server.clear_requests();
        assert_eq!(call(&configured, &server, "https://api.test/").await, 200);
        assert_eq!(token_requests(&server).len(), 1);
        assert!(!format!("{config:?}").contains("s3cr3t"), "{config:?}");
    }
}

#[test]
fn mistakes_name_the_variable_and_the_setting() {
    let cases: &[(&[Variable], &str, &str, &str)] = &[
        (&[("APP__SERVER__ISSUER", ""), ("APP__SERVER__ISUER", "x")], "server.isuer", "APP__SERVER__ISUER", "`issuer`"),
        (&[("APP__SERVER__ISSUER", "")], "server.issuer", "APP__SERVER__ISSUER", "missing"),
        (
            &[("APP__SERVER__Issuer", "http://id.test"), ("APP__SERVER__ISSUER", "")],
            "server.issuer",
            "APP__SERVER__Issuer",
            "https",
        ),
        (&[("APP__CLIENT__SECRET", "")], "client.secret", "APP__CLIENT__SECRET", "missing"),
        (&[("APP__CLIENT__SECRET", "\n")], "client.secret.env", "APP__CLIENT__SECRET", "is empty"),
        (&[("APP__CLIENT__SECRET", "a\nb")], "client.secret", "APP__CLIENT__SECRET", "control character"),
        (&[("APP__CLIENT__SECRET__FILE", "/x")], "client.secret", "APP__CLIENT__SECRET", "given twice"),
        (
            &[("APP__CLIENT__SECRET", ""), ("APP__CLIENT__SECRET__ENV", "GONE")],
            "client.secret.env",
            "APP__CLIENT__SECRET__ENV",
            "`GONE` is not set",
        ),
        (&[("APP__GRANT__TOKEN", "t")], "grant.token", "APP__GRANT__TOKEN", "refresh_token"),
        (&[("APP__GRANT__SUBJECT_TOKEN", "t")], "grant.subject_token", "APP__GRANT__SUBJECT_TOKEN", "token_exchange"),
        (&[("APP__CLIENT__KEY", "k")], "client.key", "APP__CLIENT__KEY", "private_key_jwt"),
        (&[("APP__CLIENT__DPOP", "yes")], "client.dpop", "APP__CLIENT__DPOP", "`true` nor `false`"),
        (
            &[("APP__CLIENT__DPOP__KEY__FILE", "k")],
            "client.dpop.key.file",
            "APP__CLIENT__DPOP__KEY__FILE",
            "begins with",
        ),
        (
            &[("APP__CLIENT__ASSERTION", "eyJ")],
            "client.assertion",
            "APP__CLIENT__ASSERTION",
            "not written into settings",
        ),
        (
            &[("APP__CLIENT__ASSERTION__ENV", "A")],
            "client.assertion.env",
            "APP__CLIENT__ASSERTION__ENV",
            "must be a file",
        ),
        (
            &[("APP__GRANT__AUTHORIZATION_DETAILS__0__TYP", "a")],
            "grant.authorization_details[0].type",
            "APP__GRANT__AUTHORIZATION_DETAILS__0__TYPE",
            "is missing",
        ),
        (&[("APP__ORIGINS", "")], "origins", "APP__ORIGINS", "none is named"),
        (&[("APP__ORIGINS", "https://a.test ftp://b.test")], "origins[1]", "APP__ORIGINS", "scheme"),
        (
            &[("APP__ORIGINS", ""), ("APP__ORIGINS__1__URL", "https://a.test")],
            "origins",
            "APP__ORIGINS",
            "item 0 is missing",
        ),
        (
            &[("APP__ORIGINS", ""), ("APP__ORIGINS__0__URL", "http://a.test")],
            "origins[0].url",
            "APP__ORIGINS__0__URL",
            "plain http",
        ),
        (
            &[("APP__ORIGINS", ""), ("APP__ORIGINS__0__URI", "https://a.test")],
            "origins[0].uri",
            "APP__ORIGINS__0__URI",
            "`url`",
        ),
        (&[("APP__POLICY__RETRY", "no")], "policy.retry", "APP__POLICY__RETRY", "`true` nor `false`"),
        (&[("APP__POLICY__RETRY2", "true")], "policy", "APP__POLICY__RETRY2", "not known"),
        (&[("APP__POLICY", "x")], "policy", "APP__POLICY", "a table, not a string"),
    ];
    for (changes, path, variable, text) in cases {
        let error = refused(&over(changes));
        assert_eq!((error.path(), error.variable()), (*path, Some(*variable)), "{error}");
        let shown = error.to_string();
        assert!(shown.contains(variable) && shown.contains(text) && shown.contains(error.message()), "{shown}");
    }
}

#[test]
fn variables_that_make_no_settings() {
    let cases: &[(&[Variable], &str, &str)] = &[
        (&[("APP__SERVER", "x")], "APP__SERVER__ISSUER", "another variable"),
        (&[("APP__Client__ID", "x")], "APP__Client__ID", "another variable"),
        (&[("APP__CLIENT__ID__X", "x")], "APP__CLIENT__ID__X", "another variable"),
        (&[("APP__", "x")], "APP__", "empty"),
        (&[("APP__CLIENT__", "x")], "APP__CLIENT__", "empty"),
        (&[("APP____ID", "x")], "APP____ID", "empty"),
        (&[("APP__A__B__C__D__E__F__G__H__I", "x")], "APP__A__B__C__D__E__F__G__H__I", "parts"),
    ];
    for (changes, variable, text) in cases {
        let error = refused(&over(changes));
        assert_eq!((error.path(), error.variable()), ("", Some(*variable)), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }

    for error in [refused(&[("OTHER", "x")]), OAuthConfig::from_env("TOWER_OAUTH_NOBODY_SETS_THIS").expect_err("none")]
    {
        assert_eq!((error.path(), error.variable()), ("", None));
        assert!(error.to_string().contains("__`"), "{error}");
    }
}

/// A name of thousands of parts is no reason to run out of stack, and one with control characters does not reach a log as it is.
#[test]
fn s1_hostile_names_are_refused_in_peace() {
    let deep = format!("APP{}", "__A".repeat(5000));
    let error = OAuthConfig::from_vars("APP", [(deep.as_str(), "x")]).and_then(|config| config.layer());
    assert!(error.expect_err("too deep").to_string().contains("parts"));
    let error = refused(&over(&[("APP__\u{1b}[31m\n__X", "x")]));
    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
}

#[cfg(unix)]
#[test]
fn values_that_are_not_unicode_are_refused_by_name() {
    use std::os::unix::ffi::OsStringExt;

    let odd = || OsString::from_vec(b"s3cr3t\xff".to_vec());
    for name in ["APP__CLIENT__ID", "APP__CLIENT__SECRET"] {
        let variables = MINIMAL.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let variables = variables.filter(|(known, _)| known != name).chain([(name.into(), odd())]);
        let error =
            OAuthConfig::from_vars("APP", variables).and_then(|config| config.layer()).expect_err("not Unicode");
        assert_eq!(error.variable(), Some(name));
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("not Unicode") && !shown.contains("s3cr3t"), "{shown}");
    }
}

/// In a process of its own, because variables cannot be set safely in this one.
#[test]
fn from_env_reads_the_process() {
    if std::env::var_os("APP__SERVER__ISSUER").is_some() {
        let config = OAuthConfig::from_env("APP").expect("variables");
        config.layer().expect("a layer");
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program);
    child.args(["--exact", "config::environment::from_env_reads_the_process", "--nocapture"]);
    let output = child.envs(MINIMAL.iter().copied()).output().expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child runs this very test");
}
