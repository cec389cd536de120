//! `cargo xtask lint`

use std::env;
use std::process::Command;

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
/// would have to download. All checks run, whatever fails.
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
