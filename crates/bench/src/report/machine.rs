//! The machine that was measured on, as far as numbers depend on it.

use std::{env, fs, process::Command, thread};

/// One line: processor, cores, kernel, compiler.
pub(super) fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|file| processor(&file));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|release| version(release.trim()));
    format!(
        "{} ({}), {cores} cores, {} {}, {}",
        processor.unwrap_or_else(|| "an unknown processor".to_owned()),
        env::consts::ARCH,
        env::consts::OS,
        kernel.unwrap_or_default(),
        compiler().unwrap_or_else(|| "an unknown compiler".to_owned())
    )
}

fn processor(cpuinfo: &str) -> Option<String> {
    let value = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name));
    value.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Only the numbers: what builders append may name them.
fn version(release: &str) -> String {
    release.chars().take_while(|character| character.is_ascii_digit() || *character == '.').collect()
}

fn compiler() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let mut words = said.split_whitespace();
    Some(format!("{} {}", words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_found() {
        for (file, name) in [
            ("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t: x", Some("AMD EPYC 7B13")),
            ("processor\t: 0\nBogoMIPS\t: 50", None),
            ("model name\t:\n", None),
            ("", None),
        ] {
            assert_eq!(processor(file).as_deref(), name, "{file}");
        }
    }

    #[test]
    fn a_kernel_is_its_numbers() {
        for (release, numbers) in [("6.1.0-13-amd64", "6.1.0"), ("6.18.44+somebody", "6.18.44"), ("", "")] {
            assert_eq!(version(release), numbers);
        }
    }
}
