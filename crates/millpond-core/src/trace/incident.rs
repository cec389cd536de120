//! Unexpected deaths of workers.

use std::collections::{HashMap, HashSet};

use crate::trace::life::Life;
use crate::trace::span::{Outcome, Span};
use crate::trace::timeline::Timeline;

/// A worker process that died without having been told to end.
#[derive(Clone, Debug)]
pub(super) struct Incident<'a> {
    pub(super) worker: u32,
    pub(super) pid: u32,
    pub(super) at_ns: u64,
    /// How the process ended, if that is known.
    pub(super) how: Option<&'a str>,
    /// The task that died with it.
    pub(super) lost: Option<&'a Span>,
    /// The worker that took its place.
    pub(super) replacement: Option<&'a Life>,
}

/// The incidents of a run, in the order of time.
///
/// A death is one if a task was lost with it, or if the process ended badly and another one took
/// its place: the workers of a pool that is terminated end badly too, but are not replaced.
pub(super) fn incidents(timeline: &Timeline) -> Vec<Incident<'_>> {
    let lost: HashMap<(u32, u32), &Span> = timeline
        .spans
        .iter()
        .filter(|span| span.outcome == Outcome::Crashed)
        .map(|span| ((span.worker, span.pid), span))
        .collect();
    let mut lives: Vec<&Life> = timeline.lives.iter().collect();
    lives.sort_by_key(|life| (life.worker, life.start_ns));

    let mut found = Vec::new();
    for (index, life) in lives.iter().enumerate() {
        let next = lives.get(index + 1).copied().filter(|next| next.worker == life.worker);
        let lost = lost.get(&(life.worker, life.pid)).copied();
        if lost.is_some() || (life.ended_badly() && next.is_some()) {
            found.push(Incident {
                worker: life.worker,
                pid: life.pid,
                at_ns: life.end_ns.or(lost.map(|span| span.end_ns)).unwrap_or(life.start_ns),
                how: life.end.as_deref(),
                lost,
                replacement: next,
            });
        }
    }
    let recorded: HashSet<_> = lives.iter().map(|life| (life.worker, life.pid)).collect();
    for (process, span) in lost {
        if !recorded.contains(&process) {
            let Span { worker, pid, end_ns: at_ns, .. } = *span;
            found.push(Incident {
                worker,
                pid,
                at_ns,
                how: None,
                lost: Some(span),
                replacement: None,
            });
        }
    }
    found.sort_by_key(|incident| (incident.at_ns, incident.worker));
    found
}
