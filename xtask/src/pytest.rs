//! Running pytest.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::project::Project;
use crate::tally::Tally;
use crate::venv::Venv;

/// Runs the tests with an environment's interpreter and reads their report, which has the name.
pub(crate) fn run(
    project: &Project,
    venv: &Venv<'_>,
    name: &str,
    arguments: &[&str],
    place: Place,
) -> Result<Tally> {
    let reports = project.target("reports");
    fs::create_dir_all(&reports).map_err(Error::file("make", &reports))?;
    let name = format!("pytest-{name}");
    let report = reports.join(format!("{name}.xml"));
    if report.exists() {
        fs::remove_file(&report).map_err(Error::file("remove", &report))?;
    }
    run_with(venv.command(), &report, arguments, |command| place.run(project, &name, command))
}

/// Has a Python run the tests, by a function for commands, and reads the report that it writes.
pub(crate) fn run_with(
    mut python: Command,
    report: &Path,
    arguments: &[&str],
    run: impl FnOnce(Command) -> Result<ExitStatus>,
) -> Result<Tally> {
    python.args(["-m", "pytest"]).arg(format!("--junit-xml={}", report.display())).args(arguments);
    let status = run(python)?;
    // A run that the watchdog ends writes no report.
    let text = fs::read_to_string(report).unwrap_or_default();
    let mut tally = parse(&text).unwrap_or_default();
    tally.blame(status.success());
    Ok(tally)
}

/// Reads the first `testsuite` of a JUnit report.
fn parse(report: &str) -> Option<Tally> {
    let (_, suite) = report.split_once("<testsuite ")?;
    let (attributes, _) = suite.split_once('>')?;
    let count = |name: &str| -> Option<u64> {
        let (_, value) = attributes.split_once(&format!("{name}=\""))?;
        value.split('"').next()?.parse().ok()
    };
    // A test that fails and then fails to clean up counts as both.
    let failed = count("errors")? + count("failures")?;
    let skipped = count("skipped")?;
    let passed = count("tests")?.saturating_sub(failed + skipped);
    Some(Tally { passed, failed, skipped, failures: failures(suite) })
}

/// The tests of a `testsuite` in which an error or a failure is noted.
fn failures(suite: &str) -> Vec<String> {
    let has_failed = |case: &&str| case.contains("<failure") || case.contains("<error");
    let attribute = |case: &str, name: &str| {
        let (_, value) = case.split_once(&format!("{name}=\""))?;
        value.split_once('"').map(|(value, _)| value.to_owned())
    };
    let name = |case: &str| {
        let (class, name) = (attribute(case, "classname")?, attribute(case, " name")?);
        Some(format!("{class}::{name}"))
    };
    suite.split("<testcase ").skip(1).filter(has_failed).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_named() {
        let suite = "errors=\"0\" failures=\"1\" skipped=\"0\" tests=\"2\">\
                     <testcase classname=\"tests.test_a\" name=\"test_b[1]\" time=\"0.1\">\
                     <failure message=\"no\">no</failure></testcase>\
                     <testcase classname=\"tests.test_a\" name=\"test_c\" time=\"0.1\" />";
        assert_eq!(failures(suite), ["tests.test_a::test_b[1]"]);
    }

    #[test]
    fn reports_are_read() {
        let report = "<?xml version=\"1.0\"?><testsuites name=\"t\"><testsuite name=\"pytest\" \
                      errors=\"1\" failures=\"2\" skipped=\"3\" tests=\"10\" time=\"1.5\">";
        let tally = Tally { passed: 4, failed: 3, skipped: 3, failures: Vec::new() };
        assert_eq!(parse(report), Some(tally));
        assert_eq!(parse("<testsuites></testsuites>"), None);
        assert_eq!(parse(""), None);
    }
}
