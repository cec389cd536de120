//! Tasks that are too short to be drawn one by one.

use std::collections::BTreeMap;

use crate::trace::scale::Scale;
use crate::trace::span::{Outcome, Span};

/// How wide a cell is, in pixels; a task that is drawn narrower than this goes into one.
pub(super) const CELL: f64 = 3.0;

/// Short tasks of one lane, gathered by where they fall.
#[derive(Clone, Debug, Default)]
pub(super) struct Density<'a> {
    cells: BTreeMap<u32, Cell<'a>>,
}

/// The short tasks that fall within a few pixels.
#[derive(Clone, Debug)]
pub(super) struct Cell<'a> {
    pub(super) x: f64,
    pub(super) first: &'a Span,
    pub(super) tasks: u64,
    pub(super) items: u64,
    pub(super) failed: u64,
    pub(super) crashed: u64,
    pub(super) busy_ns: u64,
    /// How much of the cell's time the tasks take, from 0 to 1.
    pub(super) share: f64,
}

impl<'a> Density<'a> {
    pub(super) fn add(&mut self, span: &'a Span, scale: &Scale) {
        let middle = span.start_ns + span.duration_ns() / 2;
        let last = (scale.width / CELL) as u32 - 1;
        let index = (((scale.x(middle) - scale.left) / CELL) as u32).min(last);
        let cell_ns = scale.length_ns.max(1) as f64 * CELL / scale.width;
        let cell = self.cells.entry(index).or_insert_with(|| Cell {
            x: scale.left + f64::from(index) * CELL,
            first: span,
            tasks: 0,
            items: 0,
            failed: 0,
            crashed: 0,
            busy_ns: 0,
            share: 0.0,
        });
        cell.tasks += 1;
        cell.items += u64::from(span.items);
        cell.failed += u64::from(span.outcome == Outcome::Failed);
        cell.crashed += u64::from(span.outcome == Outcome::Crashed);
        cell.busy_ns += span.duration_ns();
        cell.share = (cell.busy_ns as f64 / cell_ns).min(1.0);
    }

    pub(super) fn into_cells(self) -> Vec<Cell<'a>> {
        self.cells.into_values().collect()
    }
}
