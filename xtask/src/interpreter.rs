//! A CPython that the project can use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::project::Project;
use crate::root::Root;

/// The minor versions of CPython 3 that the package supports.
pub(crate) const SUPPORTED: [u32; 5] = [11, 12, 13, 14, 15];

// One answer a line, in the order in which `parse` reads them.
const PROBE: &str = "\
import importlib.util, sys, sysconfig
print(sys.implementation.name)
print(*sys.version_info[:3], sep='.')
print(bool(sysconfig.get_config_var('Py_GIL_DISABLED')))
print(all(map(importlib.util.find_spec, ('ensurepip', 'venv'))))
print(getattr(sys, '_base_executable', sys.executable))
print(sysconfig.get_path('stdlib'))
";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) patch: u32,
}

impl Version {
    /// Reads `3.12.1`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version =
            Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? };
        numbers.next().is_none().then_some(version)
    }

    pub(crate) fn is_supported(self) -> bool {
        self.major == 3 && SUPPORTED.contains(&self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Interpreter {
    pub(crate) executable: PathBuf,
    pub(crate) version: Version,
    /// The directory of the standard library.
    pub(crate) stdlib: PathBuf,
    /// The root that it is in, unless it is installed on the machine itself.
    pub(crate) root: Option<Root>,
}

/// Why an interpreter cannot be used.
#[derive(Debug)]
pub(crate) struct Rejection {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    DoesNotRun,
    OtherImplementation(String),
    TooOld(Version),
    FreeThreaded,
    NoEnsurepip(Version),
}

impl Interpreter {
    /// Asks the interpreter at `path` what it is.
    pub(crate) fn probe(path: &Path) -> Result<Self, Rejection> {
        // Isolated, so that neither the environment nor the working directory has a say.
        let output = Command::new(path).args(["-I", "-c", PROBE]).stdin(Stdio::null()).output();
        let answer = match output {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            _ => return Err(Rejection { path: path.to_owned(), reason: Reason::DoesNotRun }),
        };
        Self::parse(&answer).map_err(|reason| Rejection { path: path.to_owned(), reason })
    }

    /// The same interpreter, one of the root's, as it is seen from outside.
    pub(crate) fn within(self, root: Root) -> Self {
        let stdlib = self.stdlib.strip_prefix("/").unwrap_or(&self.stdlib);
        Self { stdlib: root.system().join(stdlib), root: Some(root), ..self }
    }

    /// The program that runs it outside of any root.
    pub(crate) fn outside(&self) -> PathBuf {
        match &self.root {
            Some(root) => root.program(self.version.minor),
            None => self.executable.clone(),
        }
    }

    /// A run, at the root of the project, of a program that is where this interpreter is.
    pub(crate) fn program(&self, project: &Project, program: impl AsRef<Path>) -> Command {
        let Some(root) = &self.root else { return project.program(program) };
        let mut command = project.program(root.entry());
        command.arg(program.as_ref());
        command
    }

    fn parse(answer: &str) -> Result<Self, Reason> {
        let lines: Vec<_> = answer.lines().collect();
        let [name, version, free_threaded, can_make_venv, executable, stdlib] = lines[..] else {
            return Err(Reason::DoesNotRun);
        };
        let version = Version::parse(version).ok_or(Reason::DoesNotRun)?;
        if name != "cpython" {
            Err(Reason::OtherImplementation(name.to_owned()))
        } else if version < (Version { major: 3, minor: SUPPORTED[0], patch: 0 }) {
            Err(Reason::TooOld(version))
        } else if free_threaded == "True" {
            Err(Reason::FreeThreaded)
        } else if can_make_venv != "True" {
            Err(Reason::NoEnsurepip(version))
        } else {
            let (executable, stdlib) = (executable.into(), stdlib.into());
            Ok(Self { executable, version, stdlib, root: None })
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.reason {
            Reason::DoesNotRun => f.write_str("does not run as Python 3"),
            Reason::OtherImplementation(name) => write!(f, "is {name}, not CPython"),
            Reason::TooOld(version) => write!(f, "is too old ({version})"),
            Reason::FreeThreaded => {
                f.write_str("is a free-threaded build, on which no test has run yet")
            }
            Reason::NoEnsurepip(version) => write!(
                f,
                "cannot make virtual environments; on Debian and Ubuntu, install python3.{}-venv",
                version.minor
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: [&str; 6] = ["cpython", "3.12.1", "False", "True", "/opt/python", "/opt/lib"];

    fn parse_with(line: usize, text: &str) -> Result<Interpreter, Reason> {
        let mut lines = ANSWER;
        lines[line] = text;
        Interpreter::parse(&lines.join("\n"))
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(Version::parse("3.9.18") < Version::parse("3.11.0"));
        assert_eq!(Version::parse("3.13.0rc1"), None);
        assert_eq!(Version::parse("3.12"), None);
        assert_eq!(Version::parse("3.12.1.2"), None);
    }

    #[test]
    fn a_suitable_interpreter_is_accepted() {
        let found = parse_with(0, "cpython").expect("suitable");
        assert_eq!(found.version.to_string(), "3.12.1");
        assert_eq!(found.executable, Path::new("/opt/python"));
        assert_eq!(found.stdlib, Path::new("/opt/lib"));
    }

    #[test]
    fn each_defect_is_named() {
        assert!(matches!(parse_with(0, "pypy"), Err(Reason::OtherImplementation(_))));
        assert!(matches!(parse_with(1, "3.10.13"), Err(Reason::TooOld(_))));
        assert!(matches!(parse_with(2, "True"), Err(Reason::FreeThreaded)));
        assert!(matches!(parse_with(3, "False"), Err(Reason::NoEnsurepip(_))));
        assert!(matches!(Interpreter::parse("cpython\n3.12.1"), Err(Reason::DoesNotRun)));
    }

    #[test]
    fn a_path_that_is_no_interpreter_is_rejected() {
        let rejection = Interpreter::probe(Path::new("/dev/null")).expect_err("no interpreter");
        assert_eq!(rejection.to_string(), "/dev/null: does not run as Python 3");
    }
}
