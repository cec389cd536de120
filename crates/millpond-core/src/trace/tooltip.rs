//! What is said of the things in the picture when one points at them.

use crate::trace::density::Cell;
use crate::trace::incident::Incident;
use crate::trace::life::Life;
use crate::trace::scale::Scale;
use crate::trace::span::{Outcome, Span};
use crate::trace::units::{count, counted, duration, percent};

pub(super) fn of_span(span: &Span, scale: &Scale) -> String {
    let outcome = match span.outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Crashed => "crashed",
    };
    format!(
        "task {}: {}\n{outcome}, {} in {}\nat {}, by pid {}",
        span.task,
        span.label,
        counted(u64::from(span.items), "item"),
        duration(span.duration_ns()),
        duration(scale.since_start(span.start_ns)),
        span.pid,
    )
}

pub(super) fn of_cell(cell: &Cell<'_>, scale: &Scale) -> String {
    if cell.tasks == 1 {
        return of_span(cell.first, scale);
    }
    let mut outcome = String::new();
    for (number, name) in [(cell.failed, "failed"), (cell.crashed, "crashed")] {
        if number > 0 {
            outcome += &format!(", {} {name}", count(number));
        }
    }
    format!(
        "{}{outcome}\n{}, {} on average, {} busy\nat {}, by pid {}",
        counted(cell.tasks, "task"),
        counted(cell.items, "item"),
        duration(cell.busy_ns / cell.tasks),
        percent(cell.share),
        duration(scale.since_start(cell.first.start_ns)),
        cell.first.pid,
    )
}

pub(super) fn of_crash(incident: &Incident<'_>, scale: &Scale) -> String {
    let lost = incident.lost.map_or(String::new(), |span| {
        let items = counted(u64::from(span.items), "item");
        format!("\nlost task {}: {}, {items}", span.task, span.label)
    });
    format!(
        "worker {}, pid {}: {}\nat {}{lost}",
        incident.worker,
        incident.pid,
        incident.how.unwrap_or("died"),
        duration(scale.since_start(incident.at_ns)),
    )
}

/// `after_crash` says whether the predecessor died unexpectedly.
pub(super) fn of_replacement(
    predecessor: &Life,
    life: &Life,
    after_crash: bool,
    scale: &Scale,
) -> String {
    let gap = match predecessor.end_ns {
        Some(end_ns) if after_crash && life.start_ns >= end_ns => {
            format!(", {} after its death", duration(life.start_ns - end_ns))
        }
        _ => String::new(),
    };
    format!(
        "worker {}: pid {} replaces {}{gap}\nat {}",
        life.worker,
        life.pid,
        predecessor.pid,
        duration(scale.since_start(life.start_ns)),
    )
}
