//! `cargo xtask fuzz`

use std::fs;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::{Run, say};
use crate::sanitizer::{self, Sanitizer};

/// Give damaged bytes to everything that reads what another process wrote.
///
/// Guided by coverage and watched by the address sanitizer, if that can be built here (it needs a
/// C++ compiler); else with random mutations. What is found is written to target/fuzz/found.
/// `cargo xtask test` has a short run of each target, which is the same each time.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The target, for instance `ring`; without it, all of them one after the other.
    target: Option<String>,
    /// How long to fuzz each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Do not try the guided fuzzer.
    #[arg(long)]
    unguided: bool,
    /// Where random numbers begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How rustc marks the edges of the program for libFuzzer.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Ccodegen-units=1";

const BUILD: &str = "sanitized/coverage";

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let mut build = project.cargo();
    build.args(["build", "--quiet", "--release", "-p", "millpond-fuzz"]).run()?;
    let plain = || project.program(project.target("release/millpond-fuzz"));
    let targets = match &args.target {
        Some(target) => vec![target.clone()],
        None => list(plain())?,
    };
    let guided = if args.unguided { None } else { guided(project) };
    say(if guided.is_some() { "fuzzing, guided by coverage" } else { "fuzzing with mutations" });
    let mut found = 0;
    for target in &targets {
        let mut fuzzer = match &guided {
            Some(guided) => guided_run(project, guided(), args, target, plain())?,
            None => {
                let input = folder(project, "found")?.join(target);
                let mut fuzzer = plain();
                let numbers = [args.seconds.to_string(), args.seed.to_string()];
                fuzzer.env("FUZZ_INPUT", input).arg(target).args(numbers);
                fuzzer
            }
        };
        let status = fuzzer.status_of()?;
        if !status.success() {
            found += 1;
            println!("{target}: found something, see target/fuzz/found");
        } else if guided.is_some() {
            println!("{target}: nothing found in {} s", args.seconds);
        }
    }
    println!("\n{} targets fuzzed for {} s each, {found} failed", targets.len(), args.seconds);
    if found == 0 { Ok(()) } else { Err(Error::Reported) }
}

fn list(mut fuzzer: Command) -> Result<Vec<String>> {
    let output = fuzzer.arg("list").stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| Error::Start { program: fuzzer.line(), source })?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn folder(project: &Project, name: &str) -> Result<std::path::PathBuf> {
    let folder = project.target("fuzz").join(name);
    fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
    Ok(folder)
}

/// The guided fuzzer, if it can be built.
fn guided<'a>(project: &'a Project) -> Option<impl Fn() -> Command + use<'a>> {
    say("building the guided fuzzer");
    let mut build = sanitizer::cargo(project, Sanitizer::Address, COVERAGE, BUILD);
    build.args(["build", "--quiet", "--release", "-p", "millpond-fuzz"]);
    build.args(["--features", "guided", "--bin", "guided"]);
    let built = build.status_of().is_ok_and(|status| status.success());
    let program = project.target(BUILD).join(sanitizer::TRIPLE).join("release/guided");
    built.then_some(move || project.program(&program))
}

fn guided_run(
    project: &Project,
    mut fuzzer: Command,
    args: &Args,
    target: &str,
    mut plain: Command,
) -> Result<Command> {
    let corpus = folder(project, &format!("corpus/{target}"))?;
    plain.args(["seeds", target]).arg(&corpus).run()?;
    let found = folder(project, "found")?.join(format!("{target}-"));
    fuzzer.env("FUZZ_TARGET", target).arg(&corpus);
    fuzzer.arg(format!("-artifact_prefix={}", found.display()));
    fuzzer.arg(format!("-max_total_time={}", args.seconds)).arg(format!("-seed={}", args.seed));
    fuzzer.args([
        "-max_len=4096",
        "-verbosity=0",
        "-print_funcs=0",
        "-print_final_stats=1",
        "-timeout=20",
    ]);
    Ok(fuzzer)
}
