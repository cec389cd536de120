//! Where runs of tests take place: here, or apart from others that run at the same time.

use std::fs::{self, File};
use std::iter;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::{Error, Result};
use crate::project::Project;
use crate::run::Run;

/// What programs that run tests disturb each other by: files in /dev/shm, and orphans of a process
/// group. A run of its own in both ends with this program, by a Ctrl-C.
const ENTER: &str = "mount -t tmpfs tmpfs /dev/shm && exec setpriv --pdeathsig INT -- \"$@\"";
const UNSHARE: [&str; 6] = ["--mount", "--propagation", "private", "sh", "-c", ENTER];

/// How many runs of tests are side by side where that is possible.
/// More than there are cores: tests wait for each other's processes most of the time.
const SIDE_BY_SIDE: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// With this program's terminal, one run after the other.
    Here,
    /// In a process group and with a /dev/shm of its own. Output is shown at the end.
    Apart,
}

impl Place {
    /// Apart where this machine permits mount namespaces.
    pub(crate) fn find() -> Self {
        let mut command = Command::new("unshare");
        command.args(UNSHARE).args(["sh", "true"]).stderr(Stdio::null());
        if command.status().is_ok_and(|status| status.success()) { Self::Apart } else { Self::Here }
    }

    /// Runs a program to its end, its output being the caller's; the name is that of the run.
    pub(crate) fn run(
        self,
        project: &Project,
        name: &str,
        mut command: Command,
    ) -> Result<ExitStatus> {
        match self {
            Self::Here => command.status_of(),
            Self::Apart => Ok(run_apart(project, name, &command)?.0),
        }
    }

    /// Runs a program to its end, and returns what it has written, which is shown, too; the name is
    /// that of the run.
    pub(crate) fn output_of(
        self,
        project: &Project,
        name: &str,
        mut command: Command,
    ) -> Result<(ExitStatus, String)> {
        match self {
            Self::Here => command.output_of(),
            Self::Apart => run_apart(project, name, &command),
        }
    }

    /// Runs jobs, several at a time where that is possible; returns their results in order.
    pub(crate) fn run_all<T: Send>(self, jobs: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
        if self == Self::Here {
            return jobs.into_iter().map(|job| job()).collect();
        }
        let waiting = Mutex::new(jobs.into_iter().enumerate());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || iter::from_fn(next).map(|(place, job)| (place, job())).collect::<Vec<_>>();
        let mut results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        results.sort_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

fn run_apart(project: &Project, name: &str, command: &Command) -> Result<(ExitStatus, String)> {
    let reports = project.target("reports");
    fs::create_dir_all(&reports).map_err(Error::file("make", &reports))?;
    // A file, which what a run leaves behind does not keep this program from reading.
    let path = reports.join(format!("{name}.log"));
    let log = File::create(&path).map_err(Error::file("write", &path))?;
    let duplicate = log.try_clone().map_err(Error::file("write", &path))?;
    let mut apart = apart(command);
    let status = apart.stdin(Stdio::null()).stdout(log).stderr(duplicate).status_of()?;
    let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    print!("{text}");
    Ok((status, text))
}

/// The same command, apart from others.
fn apart(command: &Command) -> Command {
    let mut apart = Command::new("unshare");
    apart.args(UNSHARE).arg("sh").arg(command.get_program()).args(command.get_args());
    apart.process_group(0);
    if let Some(directory) = command.get_current_dir() {
        apart.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => apart.env(name, value),
            None => apart.env_remove(name),
        };
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        for place in [Place::Here, Place::Apart] {
            let jobs = (0..5).map(|number| Box::new(move || 2 * number) as Box<_>).collect();
            assert_eq!(place.run_all::<i32>(jobs), [0, 2, 4, 6, 8]);
        }
    }

    #[test]
    fn a_command_keeps_its_arguments_directory_and_environment() {
        let mut command = Command::new("program");
        command.args(["a b", "c"]).current_dir("/work").env("NAME", "value").env_remove("OTHER");
        let apart = apart(&command);
        let arguments: Vec<_> = apart.get_args().skip(UNSHARE.len()).collect();
        assert_eq!(arguments, ["sh", "program", "a b", "c"]);
        assert_eq!(apart.get_current_dir(), command.get_current_dir());
        assert!(apart.get_envs().eq(command.get_envs()));
    }
}
