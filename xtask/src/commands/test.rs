//! `cargo xtask test`

use crate::commands::conformance;
use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::say;
use crate::search::other_interpreters;
use crate::setup::set_up;
use crate::tally::Tally;
use crate::venv::Venv;
use crate::{libtest, pytest};

/// Run all tests: Rust's, and Python's under every supported interpreter of this machine.
///
/// Builds and runs the unit, integration and documentation tests of the workspace and builds its
/// examples; then builds the wheel once, installs it for each CPython 3.11, 3.12 and 3.13 that is
/// found, and runs tests/ with each; CPython's own tests run under fork with the first of them. All
/// of it runs, whatever fails; the last lines are what failed, and the sum.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the other interpreters, and the Python tests marked slow.
    #[arg(long)]
    quick: bool,
}

/// One line of the closing table.
struct Row {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Ran(Tally),
    Broken(Error),
    LeftOut(&'static str),
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let setup = set_up(project)?;
    setup.add_programs()?;
    let mut rows = vec![
        row("cargo test".to_owned(), rust_tests(project)),
        row("crash points".to_owned(), crash_point_tests(project)),
        row(name_of(&setup.venv), python_tests(project, &setup.venv, args)),
        row("CPython's own".to_owned(), conformance::quick(project, &setup.venv)),
    ];
    for (minor, interpreter) in other_interpreters(setup.venv.interpreter()) {
        rows.push(match interpreter {
            None => left_out(minor, "absent from this machine"),
            Some(_) if args.quick => left_out(minor, "left out by --quick"),
            Some(interpreter) => {
                let name = format!("CPython {}", interpreter.version);
                let outcome = setup
                    .set_up_other(project, interpreter)
                    .and_then(|venv| python_tests(project, &venv, args));
                row(name, outcome)
            }
        });
    }
    conclude(rows)
}

fn rust_tests(project: &Project) -> Result<Tally> {
    say("testing the Rust workspace");
    libtest::run(project.cargo().args(["test", "--workspace", "--no-fail-fast"]))
}

/// The tests that need a build in which processes can be told where to die.
fn crash_point_tests(project: &Project) -> Result<Tally> {
    say("testing death at every step of the protocol");
    let arguments = ["test", "-p", "millpond-core", "--features", "crash-points"];
    libtest::run(project.cargo().args(arguments).args(["--test", "*crash_points"]))
}

fn python_tests(project: &Project, venv: &Venv<'_>, args: &Args) -> Result<Tally> {
    say(format_args!("testing with {}", name_of(venv)));
    pytest::run(project, venv, if args.quick { &["-m", "not slow"] } else { &[] })
}

fn name_of(venv: &Venv<'_>) -> String {
    format!("CPython {}", venv.interpreter().version)
}

fn row(name: String, result: Result<Tally>) -> Row {
    Row { name, outcome: result.map_or_else(Outcome::Broken, Outcome::Ran) }
}

fn left_out(minor: u32, why: &'static str) -> Row {
    Row { name: format!("CPython 3.{minor}"), outcome: Outcome::LeftOut(why) }
}

/// Prints the table and the sum; an error unless all that ran passed.
fn conclude(rows: Vec<Row>) -> Result<()> {
    let mut sum = Tally::default();
    println!();
    for Row { name, outcome } in rows {
        match outcome {
            Outcome::LeftOut(why) => println!("{name:<16} {why}"),
            Outcome::Broken(error) => {
                println!("{name:<16} {error}");
                sum.failed += 1;
            }
            Outcome::Ran(mut tally) => {
                println!("{name:<16} {tally}");
                tally
                    .failures
                    .iter_mut()
                    .for_each(|failure| *failure = format!("{name}: {failure}"));
                sum += tally;
            }
        }
    }
    if !sum.failures.is_empty() {
        println!("\nFailed:\n  {}", sum.failures.join("\n  "));
    }
    println!("\n{sum}");
    if sum.failed == 0 { Ok(()) } else { Err(Error::Reported) }
}
