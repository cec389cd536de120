//! `cargo xtask wheels`

use std::path::Path;

use crate::commands::test::{Row, conclude, left_out, row};
use crate::error::{Error, Result};
use crate::fresh::Fresh;
use crate::interpreter::Interpreter;
use crate::matrix::Matrix;
use crate::place::Place;
use crate::project::Project;
use crate::search::all_interpreters;
use crate::setup::set_up;
use crate::tally::Tally;
use crate::wheel::{self, Abi};

/// Build what goes to a package index, and test it as it is installed from there.
///
/// Builds into target/wheels/ a source distribution and the wheels `cp311-abi3` and, where there is
/// a CPython 3.15, `cp315-abi3.abi3t` (PEP 803), for manylinux_2_17, with the debug information in a
/// file beside each. Then each is installed in a fresh environment outside of the project, for every
/// interpreter that it is for, and passes tests/wheels/smoke.py and a few hundred of the project's
/// tests there. The last lines are a table of that.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build, and test nothing.
    #[arg(long)]
    build_only: bool,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let setup = set_up(project)?;
    setup.venv.require("requirements-wheels.txt")?;
    let default = setup.venv.interpreter();
    let matrix = Matrix::of(default, all_interpreters(project));
    let interpreters: Vec<_> = [default].into_iter().chain(&matrix.others).collect();

    let mut rows = Vec::new();
    for abi in Abi::ALL {
        let fits = |interpreter: &Interpreter| interpreter.version.minor >= abi.oldest();
        let Some(builder) = interpreters.iter().find(|interpreter| fits(interpreter)) else {
            rows.push(left_out(
                abi.tag().to_owned(),
                Error::Absent { minor: abi.oldest() }.to_string(),
            ));
            continue;
        };
        let wheel = wheel::build_portable(project, &setup.venv, abi, builder)?;
        println!("{}", wheel.display());
        if args.build_only {
            continue;
        }
        for interpreter in interpreters.iter().filter(|interpreter| fits(interpreter)) {
            rows.extend(test(project, abi.tag(), &wheel, interpreter));
        }
    }
    let sdist = wheel::build_sdist(project, &setup.venv)?;
    println!("{}", sdist.display());
    if !args.build_only {
        rows.extend(test(project, "sdist", &sdist, default));
    }
    conclude(rows)
}

/// Tests a distribution with an interpreter: the smoke set, and a part of the tests.
fn test(project: &Project, name: &str, distribution: &Path, interpreter: &Interpreter) -> [Row; 2] {
    let name = format!("{name}, {}", interpreter.version);
    let mut fresh = None;
    let mut smoke = || -> Result<Tally> {
        fresh.insert(Fresh::with(project, interpreter, distribution)?).smoke()
    };
    let smoke = row(format!("{name}: smoke"), &mut smoke);
    let tests = match &fresh {
        Some(fresh) => row(format!("{name}: tests"), || fresh.tests(Place::Here)),
        None => left_out(format!("{name}: tests"), "it was not installed"),
    };
    [smoke, tests]
}
