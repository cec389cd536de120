//! Making the root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use super::apt::{self, Apt};
use super::lack::{Lack, SUITE};
use super::place::{MINORS, Root};
use super::{entry, mounts};
use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::{Run, say};

/// Debian's program that makes a root out of packages.
const MMDEBSTRAP: &str = "mmdebstrap";

/// How `unshare` runs a program whose mounts end with it.
const UNSHARE: [&str; 3] = ["--mount", "--propagation", "private"];

/// A machine that can have the root.
pub(crate) struct Builder<'a> {
    project: &'a Project,
    apt: Apt,
}

impl<'a> Builder<'a> {
    /// Finds out whether this machine can have the root; `Error::NoRoot` says what it lacks.
    pub(crate) fn find(project: &'a Project) -> Result<Self> {
        // What /proc says of a process belongs to its effective user.
        let user = fs::metadata("/proc/self").map_err(Error::file("read", "/proc/self"))?.uid();
        if user != 0 {
            return Err(Error::NoRoot(Lack::Privileges));
        }
        if !can_unshare() {
            return Err(Error::NoRoot(Lack::Namespaces));
        }
        let apt = Apt::ask()?;
        let target = project.target("");
        fs::create_dir_all(&target).map_err(Error::file("make", &target))?;
        apt.check_suite(&target)?;
        Ok(Self { project, apt })
    }

    /// Makes the root beside its place, then moves it there; what was there goes.
    pub(crate) fn make(&self, root: &Root) -> Result<()> {
        install_mmdebstrap()?;
        let new = self.project.target("interpreters.new");
        // What an interrupted making has left.
        mounts::remove(&new)?;
        fs::create_dir_all(&new).map_err(Error::file("make", &new))?;
        let options = new.join("apt.conf");
        fs::write(&options, &self.apt.options).map_err(Error::file("write", &options))?;
        let minors = MINORS.map(|minor| format!("3.{minor}")).join(", ");
        say(format_args!("making a root with CPython {minors} of {SUITE} (a minute or a few)"));
        // It mounts the likes of /proc; if it is killed, the namespace unmounts them.
        apt::command("unshare")
            .args(UNSHARE)
            .arg(MMDEBSTRAP)
            .args(["--mode=root", "--variant=minbase", "--format=directory"])
            .arg(format!("--aptopt={}", options.display()))
            .arg(format!("--include={}", packages().join(",")))
            .arg(SUITE)
            .arg(new.join("root"))
            .arg(&self.apt.mirror)
            .run_quietly()?;
        entry::write(self.project, root, &new)?;
        let recipe = new.join("recipe");
        fs::write(&recipe, self::recipe()).map_err(Error::file("write", &recipe))?;
        mounts::remove(root.directory())?;
        fs::rename(&new, root.directory()).map_err(Error::file("move", new))
    }
}

/// Whether the root is made to the end, and as this program would make it. The programs that enter
/// it are brought up to date, as the project may have moved.
pub(crate) fn is_made(project: &Project, root: &Root) -> Result<bool> {
    let made = root.is_made_by(&recipe());
    if made {
        entry::write(project, root, root.directory())?;
    }
    Ok(made)
}

/// What a root that is made anew has in common with one that is there.
fn recipe() -> String {
    format!("{SUITE}\n{}\n", packages().join("\n"))
}

/// Each interpreter with its module `venv` and its own tests.
fn packages() -> Vec<String> {
    let of = |minor| {
        [
            format!("python3.{minor}"),
            format!("python3.{minor}-venv"),
            format!("libpython3.{minor}-testsuite"),
        ]
    };
    MINORS.into_iter().flat_map(of).collect()
}

fn can_unshare() -> bool {
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg("true").stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn install_mmdebstrap() -> Result<()> {
    if Command::new(MMDEBSTRAP).arg("--version").output().is_ok() {
        return Ok(());
    }
    say(format_args!("installing {MMDEBSTRAP}"));
    let install = || {
        let mut command = apt::command("apt-get");
        command.args(["install", "--yes", "--quiet", "--no-install-recommends", MMDEBSTRAP]);
        command
    };
    // The lists of packages may be absent or old.
    if install().output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    apt::command("apt-get").args(["update", "--quiet"]).run_quietly()?;
    install().run_quietly()
}
