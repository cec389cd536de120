//! Runs to draw.

use crate::trace::{Life, Outcome, Span, Timeline};

pub(super) const MS: u64 = 1_000_000;
/// When the runs begin: some time after boot.
pub(super) const BEGIN: u64 = 5_000 * MS;

pub(super) fn span(worker: u32, task: u64, start_ms: u64, end_ms: u64) -> Span {
    Span {
        worker,
        pid: 100 + worker,
        task,
        label: "analyse".to_owned(),
        items: 4,
        start_ns: BEGIN + start_ms * MS,
        end_ns: BEGIN + end_ms * MS,
        outcome: Outcome::Done,
    }
}

pub(super) fn life(worker: u32, pid: u32, start_ms: u64) -> Life {
    Life { worker, pid, start_ns: BEGIN + start_ms * MS, end_ns: None, end: None }
}

pub(super) fn ended(worker: u32, pid: u32, start_ms: u64, end_ms: u64, how: &str) -> Life {
    Life {
        end_ns: Some(BEGIN + end_ms * MS),
        end: Some(how.to_owned()),
        ..life(worker, pid, start_ms)
    }
}

/// Two workers, six tasks in one second; the second worker is killed at 500 ms while it runs
/// task 4, and replaced 10 ms later.
pub(super) fn with_a_crash() -> Timeline {
    let mut spans = vec![
        span(0, 1, 0, 300),
        span(1, 2, 0, 400),
        span(0, 3, 300, 700),
        span(1, 4, 400, 500),
        span(0, 5, 700, 1_000),
        span(1, 6, 520, 900),
    ];
    spans[3].outcome = Outcome::Crashed;
    spans[4].outcome = Outcome::Failed;
    spans[5].pid = 102;
    let lives = vec![
        ended(0, 100, 0, 1_000, "exited with code 0"),
        ended(1, 101, 0, 500, "killed by SIGKILL"),
        ended(1, 102, 510, 1_000, "exited with code 0"),
    ];
    Timeline { title: "A run".to_owned(), spans, lives }
}

/// `number` tasks of a microsecond, one after the other, on four workers that are always busy.
pub(super) fn of_short_tasks(number: u64) -> Timeline {
    let spans = (0..number).map(|task| {
        let start_ns = BEGIN + task / 4 * 1_000;
        Span { start_ns, end_ns: start_ns + 1_000, ..span((task % 4) as u32, task + 1, 0, 0) }
    });
    let lives = (0..4).map(|worker| life(worker, 100 + worker, 0)).collect();
    Timeline { title: String::new(), spans: spans.collect(), lives }
}
