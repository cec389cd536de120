//! Running `cargo test`.

use std::io::{BufRead, BufReader, Read, Result as IoResult};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::run::{Run, say};
use crate::tally::Tally;

/// How long the output may stay open once cargo has ended.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a `cargo test` command and adds up what each test binary reports.
pub(crate) fn run(command: &mut Command) -> Result<Tally> {
    run_with_grace(command, GRACE)
}

fn run_with_grace(command: &mut Command, grace: Duration) -> Result<Tally> {
    let failed = |command: &Command, source| Error::Start { program: command.line(), source };
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|source| failed(command, source))?;
    let (results, received) = channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || show(output, &results));
    }
    let status = child.wait().map_err(|source| failed(command, source))?;
    let mut tally = Tally::default();
    loop {
        match received.recv_timeout(grace) {
            Ok(part) => tally += part,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                say("cargo test has ended, but a process that a test left holds its output open");
                tally.failed += 1;
                break;
            }
        }
    }
    tally.blame(status.success());
    Ok(tally)
}

/// Passes the output on, and sends the failures and the result of each test binary.
fn show(output: impl Read, results: &Sender<Tally>) {
    for line in BufReader::new(output).split(b'\n').map_while(IoResult::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(part) = parse(&line).or_else(|| parse_failure(&line)) {
            // The receiver may have given up.
            let _ = results.send(part);
        }
    }
}

/// Reads a line such as
/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`.
fn parse(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |name| {
        let entry = counts.split("; ").find_map(|entry| entry.strip_suffix(name))?;
        entry.trim().parse().ok()
    };
    Some(Tally {
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("ignored")?,
        failures: Vec::new(),
    })
}

/// Reads a line such as `test module::name ... FAILED`, which the result counts.
fn parse_failure(line: &str) -> Option<Tally> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    Some(Tally { failures: vec![name.to_owned()], ..Tally::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Tally {
        run(Command::new("sh").args(["-c", script])).expect("sh runs")
    }

    #[test]
    fn results_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; \
                    0 filtered out; finished in 0.01s";
        let tally = Tally { passed: 12, failed: 3, skipped: 1, failures: Vec::new() };
        assert_eq!(parse(line), Some(tally));
        assert_eq!(parse("test result is unknown"), None);
        assert_eq!(parse("test a::b ... ok"), None);
    }

    #[test]
    fn the_results_of_all_binaries_are_added() {
        let result = "echo 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured'";
        let tally = shell(&format!("{result}; {result}"));
        assert_eq!(tally, Tally { passed: 4, skipped: 2, ..Tally::default() });
    }

    #[test]
    fn failures_are_named() {
        let result = "echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured'";
        let tally =
            shell(&format!("echo 'test a::b ... FAILED'; echo 'test a::c ... ok'; {result}"));
        assert_eq!((tally.failed, tally.failures), (1, vec!["a::b".to_owned()]));
    }

    #[test]
    fn a_binary_that_dies_counts_as_a_failure() {
        assert_eq!(shell("exit 101").failed, 1);
    }

    #[test]
    fn a_process_that_outlives_cargo_counts_as_a_failure() {
        let mut command = Command::new("sh");
        let grace = Duration::from_millis(10);
        let tally = run_with_grace(command.args(["-c", "sleep 1 &"]), grace).expect("sh runs");
        assert_eq!(tally, Tally { failed: 1, ..Tally::default() });
    }
}
