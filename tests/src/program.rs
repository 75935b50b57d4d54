//! The examples that are run as programs, as their users run them.

use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde_json::Value;

const NAMES: [&str; 3] = ["call_api", "egress_proxy", "login"];

/// Where an example's program is.
///
/// # Panics
///
/// When there is none of this name, or it cannot be built.
#[must_use]
pub fn path(name: &str) -> &'static Path {
    &PROGRAMS[name]
}

/// Built by the cargo that runs the tests: what lies about could be older than its source.
static PROGRAMS: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(|| {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from(env!("CARGO")));
    let mut build = Command::new(cargo);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).stdin(Stdio::null());
    // The whole workspace is selected, so that what its tests were built with serves again.
    build.args(["build", "--workspace", "--message-format", "json"]);
    build.args(NAMES.iter().flat_map(|name| ["--example", name]));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let output = build.output().expect("cargo runs");
    assert!(output.status.success(), "they cannot be built: {}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = messages.filter_map(|message| {
        let name = message["target"]["name"].as_str().filter(|name| NAMES.contains(name))?;
        Some((name.to_owned(), PathBuf::from(message["executable"].as_str()?)))
    });
    programs.collect()
});
