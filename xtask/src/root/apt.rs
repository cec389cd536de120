//! What this machine's apt knows: where its packages come from, and how they are fetched.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::lack::{Lack, SUITE};
use crate::error::{Error, Result};
use crate::run::Run;

// apt's own client, which fetches one file as apt would.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// The configuration of this machine's apt, as far as the root needs it.
#[derive(Debug)]
pub(crate) struct Apt {
    /// The address of the mirror of Debian.
    pub(crate) mirror: String,
    /// Lines of apt.conf that say how files are fetched: proxies, certificates, checks of dates.
    pub(crate) options: String,
}

impl Apt {
    /// Asks apt; makes it read its package lists first where it has none.
    pub(crate) fn ask() -> Result<Self> {
        if !Path::new(HELPER).exists() {
            return Err(Error::NoRoot(Lack::Apt));
        }
        let mirror = match mirror(&targets()?) {
            Some(found) => Some(found),
            None => {
                command("apt-get").args(["update", "--quiet"]).run_quietly()?;
                mirror(&targets()?)
            }
        };
        let mirror = mirror.ok_or(Error::NoRoot(Lack::Debian))?;
        let dump = answer(command("apt-config").args(["dump", "--no-empty", FORMAT_OF_OPTIONS]))?;
        Ok(Self { mirror, options: options(&dump) })
    }

    /// Makes sure that the mirror has the suite; `directory` holds for a while the file that tells.
    pub(crate) fn check_suite(&self, directory: &Path) -> Result<()> {
        let address = format!("{}/dists/{SUITE}/InRelease", self.mirror.trim_end_matches('/'));
        let file = directory.join("InRelease");
        let mut command = command(HELPER);
        command.args(["download-file", &address]).arg(&file);
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Start { program: command.line(), source })?;
        if output.status.success() {
            return fs::remove_file(&file).map_err(Error::file("remove", file));
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if is_absence(&text) {
            return Err(Error::NoRoot(Lack::Suite { mirror: self.mirror.clone() }));
        }
        eprint!("{text}");
        Err(Error::Status { program: command.line(), status: output.status })
    }
}

const FORMAT_OF_OPTIONS: &str = "--format=%f \"%v\";%n";

/// Sections of `Acquire` that say what to do with files, not how to fetch them.
const OTHER_SECTIONS: [&str; 6] =
    ["cdrom", "Changelogs", "CompressionTypes", "GzipIndexes", "IndexTargets", "Languages"];

/// A command of apt, whose messages are in English.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// What apt fetches its lists of packages from, one a line: origin, label, address.
fn targets() -> Result<String> {
    answer(command("apt-get").args([
        "indextargets",
        "--format=$(ORIGIN)\t$(LABEL)\t$(REPO_URI)",
        "Created-By: Packages",
    ]))
}

fn answer(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start { program: command.line(), source })?;
    if !output.status.success() {
        return Err(Error::Status { program: command.line(), status: output.status });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first mirror of Debian itself; that of its security updates has another label.
fn mirror(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let mut fields = line.split('\t');
        let is_debian = fields.next()? == "Debian" && fields.next()? == "Debian";
        let address = fields.next()?;
        is_debian.then(|| address.to_owned())
    })
}

/// Of what `apt-config dump` prints, the lines that say how files are fetched.
fn options(dump: &str) -> String {
    let is_wanted = |line: &&str| {
        line.strip_prefix("Acquire::").is_some_and(|name| {
            let section = name.split([':', ' ']).next().unwrap_or_default();
            !OTHER_SECTIONS.iter().any(|other| section.eq_ignore_ascii_case(other))
        })
    };
    dump.lines().filter(is_wanted).flat_map(|line| [line, "\n"]).collect()
}

/// Whether apt's helper failed because the mirror does not have the file.
fn is_absence(message: &str) -> bool {
    message.contains("404  Not Found") || message.contains("File not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_debian_s_own() {
        let targets = "Node Source\tNode Source\thttps://node.example/\n\
                       Debian\tDebian-Security\thttp://mirror.example/debian-security/\n\
                       Debian\tDebian\thttp://mirror.example/debian/\n\
                       Debian\tDebian\thttp://other.example/debian/\n";
        assert_eq!(mirror(targets).as_deref(), Some("http://mirror.example/debian/"));
    }

    #[test]
    fn other_distributions_are_no_mirror_of_debian() {
        assert_eq!(mirror("Ubuntu\tUbuntu\thttp://mirror.example/ubuntu/\n"), None);
        assert_eq!(mirror(""), None);
    }

    #[test]
    fn the_options_are_those_of_fetching() {
        let dump = "APT::Architecture \"amd64\";\n\
                    Acquire::http::Proxy \"http://proxy.example:3128\";\n\
                    Acquire::https::CaInfo \"/etc/ssl/own.pem\";\n\
                    Acquire::Check-Valid-Until \"false\";\n\
                    Acquire::IndexTargets::deb::Packages::Optional \"0\";\n\
                    Acquire::Languages:: \"none\";\n\
                    Acquire::GzipIndexes \"true\";\n\
                    DPkg::Post-Invoke:: \"rm -f /var/cache/apt/*.bin\";\n";
        let expected = "Acquire::http::Proxy \"http://proxy.example:3128\";\n\
                        Acquire::https::CaInfo \"/etc/ssl/own.pem\";\n\
                        Acquire::Check-Valid-Until \"false\";\n";
        assert_eq!(options(dump), expected);
    }

    #[test]
    fn an_absent_suite_is_no_failure_of_the_network() {
        let absent = "E: Failed to fetch http://mirror.example/dists/sid/InRelease  \
                      404  Not Found [IP: 192.0.2.1 80]";
        assert!(is_absence(absent));
        assert!(!is_absence("E: Failed to fetch …  Could not resolve 'mirror.example'"));
    }
}
