//! The project's own commands: `cargo xtask --help`.

mod circles;
mod commands;
mod error;
mod fresh;
mod interpreter;
mod libtest;
mod matrix;
mod mutants;
mod place;
mod project;
mod pytest;
mod root;
mod run;
mod sanitizer;
mod search;
mod setup;
mod tally;
mod uses;
mod venv;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    bench, chaos, clean, conformance, damage, demo, differential, fuzz, interpreters, lint, models,
    python, sanitize, setup as set_up, soak, test, wheels,
};
use crate::error::{Error, Result};
use crate::project::Project;

/// The commands of the millpond project.
///
/// They need nothing but cargo and CPython 3.11 or newer: a virtual environment with pinned tools
/// is made under target/, and what is up to date is not made again.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Test(test::Args),
    Lint(lint::Args),
    Models(models::Args),
    Fuzz(fuzz::Args),
    Sanitize(sanitize::Args),
    Bench(bench::Args),
    Chaos(chaos::Args),
    Damage(damage::Args),
    Conformance(conformance::Args),
    Differential(differential::Args),
    Soak(soak::Args),
    Interpreters(interpreters::Args),
    Setup(set_up::Args),
    Wheels(wheels::Args),
    Python(python::Args),
    Clean(clean::Args),
}

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Reported) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> Result<()> {
    let project = Project::locate()?;
    match cli.command {
        Command::Demo(args) => demo::execute(&project, &args),
        Command::Test(args) => test::execute(&project, &args),
        Command::Lint(args) => lint::execute(&project, &args),
        Command::Models(args) => models::execute(&project, &args),
        Command::Fuzz(args) => fuzz::execute(&project, &args),
        Command::Sanitize(args) => sanitize::execute(&project, &args),
        Command::Bench(args) => bench::execute(&project, &args),
        Command::Chaos(args) => chaos::execute(&project, &args),
        Command::Damage(args) => damage::execute(&project, &args),
        Command::Conformance(args) => conformance::execute(&project, &args),
        Command::Differential(args) => differential::execute(&project, &args),
        Command::Interpreters(args) => interpreters::execute(&project, &args),
        Command::Soak(args) => soak::execute(&project, &args),
        Command::Setup(args) => set_up::execute(&project, &args),
        Command::Wheels(args) => wheels::execute(&project, &args),
        Command::Python(args) => python::execute(&project, &args),
        Command::Clean(args) => clean::execute(&project, &args),
    }
}
