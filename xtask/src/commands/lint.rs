//! `cargo xtask lint`

use std::env;
use std::process::{Command, Stdio};

use crate::circles;
use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::{Run, say};
use crate::setup::set_up;
use crate::venv::Venv;

/// Check format, lints, types, documentation and licences of all code.
///
/// Rust: rustfmt, clippy and rustdoc, warnings being errors, and that no files of a crate use each
/// other in a circle. Python: ruff, mypy, and stubtest, which compares millpond/_engine.pyi with the
/// compiled engine. Dependencies: cargo-deny where it is installed, without its advisories, which it
/// would have to download. Publishing: every crate that is published can be packaged, and no dependency
/// asks for a newer Rust than this project does. All checks run, whatever fails.
#[derive(clap::Args)]
pub(crate) struct Args {}

struct Check {
    name: &'static str,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed,
    Skipped(&'static str),
}

pub(crate) fn execute(project: &Project, Args {}: &Args) -> Result<()> {
    let venv = set_up(project)?.venv;
    let checks = [
        check("rustfmt", project.cargo().args(["fmt", "--all", "--check"]))?,
        check("clippy", &mut clippy(project, &["--workspace"]))?,
        check("clippy of crash points", &mut clippy(project, &CRASH_POINTS))?,
        check("rustdoc", &mut rustdoc(project))?,
        circles(project)?,
        check("ruff check", tool(&venv, "ruff").arg("check"))?,
        check("ruff format", tool(&venv, "ruff").args(["format", "--check"]))?,
        check("mypy", &mut tool(&venv, "mypy"))?,
        stubtest(project, &venv)?,
        cargo_deny(project)?,
        packages(project)?,
        rust_version(project)?,
    ];
    conclude(&checks)
}

/// What nothing but tests builds.
const CRASH_POINTS: [&str; 4] = ["--package", "millpond-core", "--features", "crash-points"];

fn clippy(project: &Project, what: &[&str]) -> Command {
    let mut command = project.cargo();
    command.arg("clippy").args(what).args(["--all-targets", "--quiet", "--", "-D", "warnings"]);
    command
}

fn rustdoc(project: &Project) -> Command {
    let mut command = project.cargo();
    command.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn circles(project: &Project) -> Result<Check> {
    const NAME: &str = "circles";
    say(NAME);
    let is_well = circles::check(project)?;
    Ok(Check { name: NAME, outcome: if is_well { Outcome::Passed } else { Outcome::Failed } })
}

fn stubtest(project: &Project, venv: &Venv<'_>) -> Result<Check> {
    const NAME: &str = "stubtest";
    if !project.path("python/millpond/_engine.pyi").exists() {
        return Ok(skipped(NAME, "there are no stubs (python/millpond/_engine.pyi)"));
    }
    check(
        NAME,
        tool(venv, "mypy.stubtest").args([
            "--mypy-config-file",
            "pyproject.toml",
            "millpond._engine",
        ]),
    )
}

fn cargo_deny(project: &Project) -> Result<Check> {
    const NAME: &str = "cargo-deny";
    let installed = env::var_os("PATH").is_some_and(|path| {
        env::split_paths(&path).any(|directory| directory.join("cargo-deny").is_file())
    });
    if !installed {
        return Ok(skipped(NAME, "not installed (`cargo install cargo-deny` builds it)"));
    }
    check(NAME, project.cargo().args(["deny", "--offline", "check", "licenses", "bans", "sources"]))
}

/// The crates that are published, in the order in which they have to be.
const PUBLISHED: [&str; 3] = ["millpond-core", "millpond-macros", "millpond"];

/// Packages what would be published, without building it from the packages: `cargo package` does that
/// (without `--no-verify`), and takes minutes.
fn packages(project: &Project) -> Result<Check> {
    let mut command = project.cargo();
    command.args(["package", "--no-verify", "--allow-dirty", "--offline", "--quiet"]);
    for name in PUBLISHED {
        command.args(["--package", name]);
    }
    check("cargo package", &mut command)
}

/// Looks for dependencies that need a newer Rust than `rust-version` in Cargo.toml promises.
fn rust_version(project: &Project) -> Result<Check> {
    const NAME: &str = "rust-version";
    say(NAME);
    let mut command = project.cargo();
    command.args(["metadata", "--offline", "--format-version", "1"]);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start { program: "cargo".to_owned(), source })?;
    let metadata = String::from_utf8_lossy(&output.stdout);
    let newer = newer_than(env!("CARGO_PKG_RUST_VERSION"), &metadata);
    newer.iter().for_each(|package| println!("{package} needs a newer Rust"));
    let is_well = output.status.success() && newer.is_empty();
    Ok(Check { name: NAME, outcome: if is_well { Outcome::Passed } else { Outcome::Failed } })
}

/// The packages whose `rust-version` is beyond the limit. In the metadata it follows the path of the
/// package's manifest.
fn newer_than(limit: &str, metadata: &str) -> Vec<String> {
    let number = |version: &str| {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next(), parts.next())
    };
    let manifest = |text: &str| {
        text.rsplit(r#""manifest_path":""#).next()?.split('"').next().map(str::to_owned)
    };
    let mut newer = Vec::new();
    let key = r#""rust_version":""#;
    for (at, _) in metadata.match_indices(key) {
        let version = metadata[at + key.len()..].split('"').next().unwrap_or_default();
        if number(version) > number(limit) {
            newer.extend(manifest(&metadata[..at]));
        }
    }
    newer
}

fn tool(venv: &Venv<'_>, module: &str) -> Command {
    let mut command = venv.command();
    command.args(["-m", module]);
    command
}

fn check(name: &'static str, command: &mut Command) -> Result<Check> {
    say(name);
    let outcome = if command.status_of()?.success() { Outcome::Passed } else { Outcome::Failed };
    Ok(Check { name, outcome })
}

fn skipped(name: &'static str, why: &'static str) -> Check {
    Check { name, outcome: Outcome::Skipped(why) }
}

/// Prints the table; an error unless nothing failed.
fn conclude(checks: &[Check]) -> Result<()> {
    println!();
    for Check { name, outcome } in checks {
        match outcome {
            Outcome::Passed => println!("{name:<12} passed"),
            Outcome::Failed => println!("{name:<12} FAILED"),
            Outcome::Skipped(why) => println!("{name:<12} skipped: {why}"),
        }
    }
    if checks.iter().any(|check| matches!(check.outcome, Outcome::Failed)) {
        return Err(Error::Reported);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::newer_than;

    #[test]
    fn finds_who_needs_a_newer_rust() {
        let metadata = r#"{"manifest_path":"/a/Cargo.toml","rust_version":"1.99"},
            {"manifest_path":"/b/Cargo.toml","rust_version":"1.80.1"},
            {"manifest_path":"/c/Cargo.toml","rust_version":null},
            {"manifest_path":"/d/Cargo.toml","rust_version":"2.0"}"#;
        assert_eq!(newer_than("1.88", metadata), ["/a/Cargo.toml", "/d/Cargo.toml"]);
    }
}
