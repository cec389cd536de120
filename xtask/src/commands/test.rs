//! `cargo xtask test`

use std::path::Path;
use std::time::{Duration, Instant};

use crate::commands::conformance;
use crate::error::{Error, Result};
use crate::fresh::Fresh;
use crate::interpreter::Interpreter;
use crate::matrix::{Extent, Matrix};
use crate::place::Place;
use crate::project::Project;
use crate::root::Builder;
use crate::run::say;
use crate::search::all_interpreters;
use crate::setup::set_up;
use crate::tally::Tally;
use crate::venv::Venv;
use crate::{libtest, pytest};

/// Run all tests: Rust's, and Python's under every supported interpreter of this machine.
///
/// Builds and runs the unit, integration and documentation tests of the workspace and builds its
/// examples; then builds the wheel once, installs it for each supported CPython that is found, and
/// runs tests/: all of them with the default interpreter and the newest, and those marked `names` and not
/// `slow` with the others. With the default and the newest, CPython's own tests run, too, under fork,
/// and from 3.14 on under forkserver, its default; and the wheel, in a fresh environment outside of
/// the project, passes tests/wheels/smoke.py and some of the tests. Several of these runs are made
/// side by side where mount namespaces are permitted, as they are to root. All of it runs, whatever
/// fails; the last lines are what failed, and the sum.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the other interpreters, and the Python tests marked slow.
    #[arg(long)]
    quick: bool,
    /// Run all tests with the oldest interpreter, too, and more with those between; an hour and more.
    #[arg(long, conflicts_with = "quick")]
    thorough: bool,
    /// Fail if one of them is absent from a machine that can have `cargo xtask interpreters`.
    #[arg(long)]
    complete: bool,
}

/// One line of the closing table.
pub(crate) struct Row {
    name: String,
    outcome: Outcome,
    took: Option<Duration>,
}

enum Outcome {
    Ran(Tally),
    Broken(Error),
    LeftOut(String),
}

/// The tests of tests/ take longest, so they are two runs; these are the arguments that choose them.
const PARTS: [(&str, &[&str]); 2] =
    [(", faults", &["tests/faults"]), ("", &["tests", "--ignore=tests/faults"])];

type Job<'a> = Box<dyn FnOnce() -> Vec<Row> + Send + 'a>;

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let setup = set_up(project)?;
    setup.add_programs()?;
    let default = setup.venv.interpreter();
    let matrix = Matrix::of(default, all_interpreters(project));
    let mut venvs = vec![(&setup.venv, Extent::Whole)];
    let others: Vec<_> = if args.quick { &[][..] } else { &matrix.others }
        .iter()
        .map(|interpreter| (interpreter, setup.set_up_other(project, interpreter.clone())))
        .collect();
    for (interpreter, venv) in &others {
        if let Ok(venv) = venv {
            venvs.push((venv, matrix.extent(default, interpreter, args.thorough)));
        }
    }
    let place = Place::find();
    // The long ones first.
    venvs.sort_by_key(|(_, extent)| *extent != Extent::Whole);
    let mut jobs: Vec<Job<'_>> = vec![Box::new(|| rust_tests(project))];
    for &(venv, extent) in &venvs {
        let parts = if extent == Extent::Whole { &PARTS[..] } else { &PARTS[1..] };
        for (part, chosen) in parts {
            jobs.push(Box::new(move || {
                let run = || python_tests(project, venv, extent, (part, chosen), args, place);
                vec![row(name_of(venv.interpreter()) + part, run)]
            }));
        }
    }
    for &(venv, extent) in &venvs {
        if args.thorough || extent != Extent::Names {
            let (interpreter, wheel) = (venv.interpreter(), &setup.wheel);
            jobs.push(Box::new(move || {
                let name = format!("{}'s own tests", name_of(interpreter));
                vec![row(name, || conformance::quick(project, venv, place))]
            }));
            jobs.push(Box::new(move || {
                let name = format!("{}, fresh install", name_of(interpreter));
                vec![row(name, || installed(project, wheel, interpreter, place))]
            }));
        }
    }
    let mut rows: Vec<_> = place.run_all(jobs).into_iter().flatten().collect();
    for (interpreter, venv) in others {
        if let Err(error) = venv {
            rows.push(failed(name_of(interpreter), error));
        }
    }
    if args.quick {
        let names = matrix.others.iter().map(name_of);
        rows.extend(names.map(|name| left_out(name, "left out by --quick")));
    }
    for minor in &matrix.absent {
        rows.push(absent(project, *minor, args));
    }
    conclude(rows)
}

/// What is said of a supported version that this machine lacks.
fn absent(project: &Project, minor: u32, args: &Args) -> Row {
    let name = format!("CPython 3.{minor}");
    if !args.complete {
        return left_out(name, "absent from this machine; see `cargo xtask interpreters --help`");
    }
    match Builder::find(project) {
        Ok(_) => failed(name, Error::Absent { minor }),
        Err(lack @ Error::NoRoot(_)) => left_out(name, format!("absent: {lack}")),
        Err(error) => failed(name, error),
    }
}

/// Rust's tests, one after the other, since cargo builds for one of them at a time.
fn rust_tests(project: &Project) -> Vec<Row> {
    let workspace = || {
        say("testing the Rust workspace");
        libtest::run(project.cargo().args(["test", "--workspace", "--no-fail-fast"]))
    };
    // They need a build in which processes can be told where to die.
    let crash_points = || {
        say("testing death at every step of the protocol");
        let arguments = ["test", "-p", "millpond-core", "--features", "crash-points"];
        let mut cargo = project.cargo();
        // So that only noticing a death ends the waits, and no look that comes by itself.
        cargo.env("MILLPOND_RECHECK", "never");
        libtest::run(cargo.args(arguments).args(["--test", "*crash_points"]))
    };
    vec![row("cargo test", workspace), row("crash points", crash_points)]
}

/// One of the `PARTS` of what an interpreter is to run.
fn python_tests(
    project: &Project,
    venv: &Venv<'_>,
    extent: Extent,
    (part, paths): (&str, &[&str]),
    args: &Args,
    place: Place,
) -> Result<Tally> {
    let (what, chosen): (_, &[&str]) = match extent {
        Extent::Whole if args.quick => ("all tests but slow ones", &["-m", "not slow"]),
        Extent::Whole => ("all tests", &[]),
        Extent::Version => ("what depends on the version", &["-m", "version and not slow"]),
        Extent::Names => ("what looks at the interpreter", &["-m", "names and not slow"]),
    };
    say(format_args!("{}{part}: {what}", name_of(venv.interpreter())));
    let paths = if extent == Extent::Whole { paths } else { &[] };
    let name = format!("{}{}", venv.interpreter().version, part.replace(", ", "-"));
    pytest::run(project, venv, &name, &[paths, chosen].concat(), place)
}

/// The wheel in a fresh environment outside of the project: the smoke set, and a part of the tests.
fn installed(
    project: &Project,
    wheel: &Path,
    interpreter: &Interpreter,
    place: Place,
) -> Result<Tally> {
    say(format_args!("{}: the wheel in a fresh environment", name_of(interpreter)));
    let fresh = Fresh::with(project, interpreter, wheel)?;
    let mut tally = fresh.smoke()?;
    tally += fresh.tests(place)?;
    Ok(tally)
}

fn name_of(interpreter: &Interpreter) -> String {
    format!("CPython {}", interpreter.version)
}

/// Runs something and measures it.
pub(crate) fn row(name: impl Into<String>, run: impl FnOnce() -> Result<Tally>) -> Row {
    let started = Instant::now();
    let outcome = run().map_or_else(Outcome::Broken, Outcome::Ran);
    Row { name: name.into(), outcome, took: Some(started.elapsed()) }
}

pub(crate) fn left_out(name: String, why: impl Into<String>) -> Row {
    Row { name, outcome: Outcome::LeftOut(why.into()), took: None }
}

fn failed(name: String, error: Error) -> Row {
    Row { name, outcome: Outcome::Broken(error), took: None }
}

/// Prints the table and the sum; an error unless all that ran passed.
pub(crate) fn conclude(rows: Vec<Row>) -> Result<()> {
    let mut sum = Tally::default();
    println!();
    for Row { name, outcome, took } in rows {
        let took = took.map(|took| format!("{} s", took.as_secs())).unwrap_or_default();
        print!("{name:<28} {took:>6}  ");
        match outcome {
            Outcome::LeftOut(why) => println!("{why}"),
            Outcome::Broken(error) => {
                println!("{error}");
                sum.failed += 1;
            }
            Outcome::Ran(mut tally) => {
                println!("{tally}");
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
