//! What is drawn in the lane of one worker.

use std::collections::{BTreeMap, HashSet};

use crate::trace::density::{CELL, Cell, Density};
use crate::trace::incident::Incident;
use crate::trace::life::Life;
use crate::trace::scale::Scale;
use crate::trace::span::Span;
use crate::trace::timeline::Timeline;
use crate::trace::tooltip;
use crate::trace::units::{count, counted, duration};

/// Marks of one kind that are nearer to each other than this many pixels become one.
const MARK_DISTANCE: f64 = 12.0;

/// The lane of one place in the pool.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane<'a> {
    pub(super) worker: u32,
    pub(super) tasks: u64,
    pub(super) busy_ns: u64,
    pub(super) lives: Vec<&'a Life>,
    /// Tasks that are drawn one by one.
    pub(super) bars: Vec<&'a Span>,
    pub(super) cells: Vec<Cell<'a>>,
    pub(super) crashes: Vec<Mark>,
    pub(super) replacements: Vec<Mark>,
}

/// A moment that is marked.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) tooltip: String,
    /// How many more of its kind it stands for.
    pub(super) more: u64,
}

impl Lane<'_> {
    /// What is said of it when one points at it.
    pub(super) fn words(&self) -> String {
        const SHOWN: usize = 8;
        let mut pids: Vec<String> = self.lives.iter().map(|life| life.pid.to_string()).collect();
        if pids.len() > SHOWN {
            let hidden = pids.len() - SHOWN;
            pids.truncate(SHOWN);
            pids.push(format!("{} more", count(hidden as u64)));
        }
        let who =
            if pids.is_empty() { String::new() } else { format!("\npid {}", pids.join(", ")) };
        format!(
            "worker {}: {} in {}{who}",
            self.worker,
            counted(self.tasks, "task"),
            duration(self.busy_ns)
        )
    }
}

impl Mark {
    /// What is said of it when one points at it.
    pub(super) fn words(&self) -> String {
        match self.more {
            0 => self.tooltip.clone(),
            more => format!("{}\nand {} more about then", self.tooltip, count(more)),
        }
    }
}

/// The lanes of a run, in the order of the workers' places.
pub(super) fn lanes<'a>(
    timeline: &'a Timeline,
    incidents: &[Incident<'_>],
    scale: &Scale,
) -> Vec<Lane<'a>> {
    let mut lanes: BTreeMap<u32, Lane<'a>> = BTreeMap::new();
    let mut short: BTreeMap<u32, Density<'a>> = BTreeMap::new();
    for span in in_order(&timeline.spans, |span| span.start_ns) {
        let lane = lanes.entry(span.worker).or_default();
        lane.tasks += 1;
        lane.busy_ns = lane.busy_ns.saturating_add(span.duration_ns());
        if scale.x(span.end_ns) - scale.x(span.start_ns) < CELL {
            short.entry(span.worker).or_default().add(span, scale);
        } else {
            lane.bars.push(span);
        }
    }
    for life in in_order(&timeline.lives, |life| life.start_ns) {
        lanes.entry(life.worker).or_default().lives.push(life);
    }
    let crashed: HashSet<_> = incidents.iter().map(|i| (i.worker, i.pid)).collect();
    for incident in incidents {
        let lane = lanes.entry(incident.worker).or_default();
        let tooltip = tooltip::of_crash(incident, scale);
        mark(&mut lane.crashes, scale.x(incident.at_ns), tooltip);
    }
    for (worker, lane) in &mut lanes {
        lane.worker = *worker;
        lane.cells = short.remove(worker).unwrap_or_default().into_cells();
        for pair in lane.lives.windows(2) {
            let after_crash = crashed.contains(&(*worker, pair[0].pid));
            let tooltip = tooltip::of_replacement(pair[0], pair[1], after_crash, scale);
            mark(&mut lane.replacements, scale.x(pair[1].start_ns), tooltip);
        }
    }
    lanes.into_values().collect()
}

fn in_order<T>(records: &[T], start_ns: impl Fn(&T) -> u64) -> Vec<&T> {
    let mut sorted: Vec<&T> = records.iter().collect();
    sorted.sort_by_key(|record| start_ns(record));
    sorted
}

/// Adds a mark to those of its kind, which come in the order of time.
fn mark(marks: &mut Vec<Mark>, x: f64, tooltip: String) {
    match marks.last_mut() {
        Some(near) if x - near.x < MARK_DISTANCE => near.more += 1,
        _ => marks.push(Mark { x, tooltip, more: 0 }),
    }
}
