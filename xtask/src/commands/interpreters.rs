//! `cargo xtask interpreters`

use crate::error::{Error, Result};
use crate::interpreter::Interpreter;
use crate::project::Project;
use crate::root::{self, Builder, Root};
use crate::run::say;

/// Make a root under target/interpreters/ with the newest CPython 3.13, 3.14 and 3.15.
///
/// They are packages of Debian's development suite, from the mirror that this machine's apt uses,
/// with their own tests. Takes root, apt with a mirror of Debian, and mount namespaces; installs
/// mmdebstrap, and changes nothing else outside target/. The programs in target/interpreters/bin/
/// run the interpreters like installed ones: `MILLPOND_PYTHON=target/interpreters/bin/python3.14
/// cargo xtask setup`. A root that is there is used as it is.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Make it anew, for the newest patches.
    #[arg(long)]
    renew: bool,
    /// Succeed, with a message, on a machine that cannot have it.
    #[arg(long)]
    where_possible: bool,
}

pub(crate) fn execute(project: &Project, args: &Args) -> Result<()> {
    let root = Root::of(project);
    if args.renew || !root::is_made(project, &root)? {
        match Builder::find(project) {
            Ok(builder) => builder.make(&root)?,
            Err(error @ Error::NoRoot(_)) if args.where_possible => {
                say(error);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    for program in root.programs() {
        let found = Interpreter::probe(&program).map_err(|rejection| Error::NoInterpreter {
            rejections: vec![rejection.to_string()],
        })?;
        println!("CPython {:<8} {}", found.version, program.display());
    }
    Ok(())
}
