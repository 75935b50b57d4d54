//! How many crates come with a dependency, and how long they take to build.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::BoxError;

const JOBS: usize = 2;
const LIMIT: Duration = Duration::from_secs(600);
/// What is told of what a dependency brings along: clients and cryptography make most of the difference.
const TELLING: [&str; 7] = ["reqwest", "hyper", "rustls", "aws-lc-rs", "ring", "rsa", "openssl"];

/// A dependency as somebody would write it into a manifest.
struct Dependency {
    name: &'static str,
    /// After the equals sign.
    value: &'static str,
}

/// Without a version are ours. Those without default features have the features that it takes to send a token.
const DEPENDENCIES: &[Dependency] = &[
    Dependency { name: "oauth-tokens", value: "{ default-features = false }" },
    Dependency { name: "oauth-tokens", value: "{}" },
    Dependency { name: "tower-oauth", value: "{ default-features = false }" },
    Dependency { name: "tower-oauth", value: "{}" },
    Dependency { name: "huskarl", value: r#"{ version = "0.11" }"# },
    Dependency { name: "cf-gears-toolkit-auth", value: r#"{ version = "0.8" }"# },
    Dependency { name: "aliri_tokens", value: r#"{ version = "0.3" }"# },
    Dependency { name: "google-cloud-auth", value: r#"{ version = "1" }"# },
    // Its types are for one version of Kubernetes, which somebody has to choose.
    Dependency {
        name: "kube-client",
        value: "{ version = \"5\" }\nk8s-openapi = { version = \"0.29\", features = [\"earliest\"] }",
    },
    Dependency { name: "azure_identity", value: r#"{ version = "1" }"# },
    Dependency {
        name: "aws-smithy-runtime",
        value: r#"{ version = "1", features = ["client", "http-auth", "default-https-client", "rt-tokio"] }"#,
    },
    Dependency { name: "rmcp", value: r#"{ version = "3", features = ["auth", "client"] }"# },
    Dependency { name: "reqwest-middleware", value: r#"{ version = "0.5", features = ["rustls"] }"# },
];

/// The table of the last time.
///
/// # Errors
///
/// When there is one that cannot be read.
pub(super) fn stored() -> Result<String, BoxError> {
    match fs::read_to_string(file()) {
        Ok(table) => Ok(format!("Stored by `bench costs --builds`, not measured anew:\n\n{table}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok("Not measured yet: `cargo run --release -p bench -- costs --builds` does it.\n".to_owned())
        }
        Err(error) => Err(error.into()),
    }
}

/// Builds all of them, one after the other, and stores the table: that takes many minutes.
///
/// # Errors
///
/// When one cannot be built.
pub(crate) fn measure_builds() -> Result<(), BoxError> {
    let mut table = format!(
        "{}, {}, {JOBS} jobs, debug builds of an empty package with this one dependency, in an empty target folder, once each. The\n\
         machine was shared with other work, so the CPU time of all compilers together says more than the time that passed. Crates\n\
         are all that are compiled, build scripts and procedural macros included.\n\n\
         | dependency | version | features | crates | CPU, s | time, s | among them |\n|---|---|---|---|---|---|---|\n",
        output(Command::new("date").args(["-u", "+%F"]))?,
        output(Command::new("rustc").arg("--version"))?,
    );
    for dependency in DEPENDENCIES {
        let row = dependency.measured()?;
        eprint!("{row}");
        table.push_str(&row);
        // At once: it may be stopped before the last.
        fs::write(file(), &table)?;
    }
    Ok(())
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("builds.md")
}

impl Dependency {
    fn is_ours(&self) -> bool {
        !self.value.contains("version")
    }

    fn features(&self) -> String {
        match (self.value.contains("default-features = false"), self.value.split_once("features = [")) {
            (true, _) => "none".to_owned(),
            (_, Some((_, features))) => {
                format!("default, {}", features.trim_end_matches(['}', ' ', ']']).replace('"', ""))
            }
            (_, None) => "default".to_owned(),
        }
    }

    fn manifest(&self, crates: &Path) -> String {
        let value = if self.is_ours() {
            let path = format!("{{ path = {:?},", crates.join(self.name));
            self.value.replacen('{', &path, 1).replace(",}", " }")
        } else {
            self.value.to_owned()
        };
        // The empty workspace keeps cargo from looking for one above.
        format!(
            "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[dependencies]\n{} = {value}\n\n[workspace]\n",
            self.name
        )
    }

    fn measured(&self) -> Result<String, BoxError> {
        let package = Package::new(self)?;
        let tree = Tree::parse(&output(
            package.cargo("tree").args(["--edges", "normal,build"]).args(["--prefix", "none", "--format", "{p}"]),
        )?);
        let version = tree.version(self.name).unwrap_or_default();
        let (before, began) = (cpu_of_children(), Instant::now());
        let mut build = package.cargo("build");
        build.args(["--offline", "--quiet", "--jobs"]).arg(JOBS.to_string());
        let time = match wait(build.spawn()?, LIMIT)? {
            true => format!("{:.0}", began.elapsed().as_secs_f64()),
            false => format!("over {}", LIMIT.as_secs()),
        };
        let cpu =
            cpu_of_children().zip(before).map_or_else(String::new, |(after, before)| format!("{:.0}", after - before));
        Ok(format!(
            "| {} | {version} | {} | {} | {cpu} | {time} | {} |\n",
            self.name,
            self.features(),
            tree.crates(),
            tree.telling().join(", ")
        ))
    }
}

/// An empty package with a dependency, and its target folder. Both go with it.
struct Package(PathBuf);

impl Package {
    fn new(dependency: &Dependency) -> Result<Self, BoxError> {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
        let crates = bench.parent().ok_or("no folder of crates")?;
        let package = Self(env::temp_dir().join(format!("bench-builds-{}", std::process::id())));
        fs::create_dir_all(package.0.join("src"))?;
        fs::write(package.0.join("src/lib.rs"), "")?;
        fs::write(package.0.join("Cargo.toml"), dependency.manifest(crates))?;
        // The same versions as elsewhere in the workspace.
        fs::copy(crates.parent().ok_or("no workspace")?.join("Cargo.lock"), package.0.join("Cargo.lock"))?;
        Ok(package)
    }

    fn cargo(&self, command: &str) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.arg(command).current_dir(&self.0).env("CARGO_TARGET_DIR", self.0.join("target"));
        cargo.env("CARGO_INCREMENTAL", "0").stdin(Stdio::null());
        cargo
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The first line of what it says.
fn output(command: &mut Command) -> Result<String, BoxError> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Whether it ended in time.
fn wait(mut child: Child, limit: Duration) -> Result<bool, BoxError> {
    let began = Instant::now();
    while began.elapsed() < limit {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(true),
            Some(status) => return Err(format!("the build failed: {status}").into()),
            None => sleep(Duration::from_millis(50)),
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

/// What `cargo tree` says, one package for each line; the first is the empty one.
struct Tree(Vec<String>);

impl Tree {
    fn parse(text: &str) -> Self {
        // Those that were shown before have a star.
        let mut packages: Vec<_> =
            text.lines().skip(1).map(|line| line.trim_end_matches(" (*)").trim().to_owned()).collect();
        packages.sort_unstable();
        packages.dedup();
        Self(packages)
    }

    fn crates(&self) -> usize {
        self.0.len()
    }

    fn version(&self, name: &str) -> Option<&str> {
        let mut versions = self.0.iter().filter_map(|package| package.strip_prefix(name)?.strip_prefix(" v"));
        versions.next()?.split(' ').next()
    }

    fn telling(&self) -> Vec<&'static str> {
        TELLING.into_iter().filter(|name| self.version(name).is_some()).collect()
    }
}

/// Seconds of processors that children of this process have used, and theirs, as far as they have ended. Only Linux says.
fn cpu_of_children() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    Some(ticks_of_children(&stat)? as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The fields `cutime` and `cstime` of `/proc/self/stat`, the 16th and the 17th. The second is the name of the program, in
/// brackets: there may be blanks and brackets in it.
fn ticks_of_children(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_whatever_the_program_is_called() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 70 8 20 0 1 0 99 100 1";
        for name in ["bench", "a b", "a) R (b", ")"] {
            assert_eq!(ticks_of_children(&format!("4711 ({name}) {rest}")), Some(78), "{name}");
        }
        for stat in ["", "1 (bench", "1 (bench) S 1 2", "1 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 x 8"] {
            assert_eq!(ticks_of_children(stat), None, "{stat}");
        }
    }

    #[test]
    fn a_tree_counts_each_package_once_and_not_the_empty_one() {
        let text = "empty v0.0.0 (/tmp/x)\ntower-oauth v0.1.0 (/a b/c)\nhttp v1.3.1\nhttp v0.2.1\nhyper-util v0.1.2\n\
                    http v1.3.1 (*)\nserde_derive v1.0.1 (proc-macro)\nserde_derive v1.0.1 (proc-macro) (*)\n";
        let tree = Tree::parse(text);
        assert_eq!(tree.crates(), 5);
        assert_eq!(tree.version("tower-oauth"), Some("0.1.0"));
        assert_eq!(tree.version("hyper"), None);
        assert!(tree.telling().is_empty());
    }

    #[test]
    fn manifests_are_as_somebody_would_write_them() {
        let manifest = |name, value| Dependency { name, value }.manifest(Path::new("/crates"));
        let ours = manifest("oauth-tokens", "{ default-features = false }");
        assert!(
            ours.contains("oauth-tokens = { path = \"/crates/oauth-tokens\", default-features = false }\n"),
            "{ours}"
        );
        assert!(manifest("oauth-tokens", "{}").contains("oauth-tokens = { path = \"/crates/oauth-tokens\" }\n"));
        assert!(manifest("rmcp", r#"{ version = "3" }"#).contains("rmcp = { version = \"3\" }\n"));
        let features = |value| Dependency { name: "x", value }.features();
        assert_eq!(features("{}"), "default");
        assert_eq!(features("{ default-features = false }"), "none");
        assert_eq!(features(r#"{ version = "3", features = ["auth", "client"] }"#), "default, auth, client");
    }
}
