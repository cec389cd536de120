//! The lane of one worker as shapes.

use std::fmt;

use crate::trace::density::{CELL, Cell};
use crate::trace::lane::Lane;
use crate::trace::markup::Escaped;
use crate::trace::scale::{GUTTER, MARGIN, Scale};
use crate::trace::span::{Outcome, Span};
use crate::trace::symbol::Symbol;
use crate::trace::tooltip;
use crate::trace::units::{counted, percent};

/// How wide a character of a bar's label is taken to be, in pixels.
const CHARACTER: f64 = 6.3;

/// How high the lanes are, which depends on how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneSize {
    pub(super) pitch: f64,
    bar: f64,
    /// Whether there is room for a second line beside the lane.
    details: bool,
}

impl LaneSize {
    pub(super) fn for_lanes(number: usize) -> Self {
        match number {
            0..=8 => Self { pitch: 56.0, bar: 30.0, details: true },
            9..=32 => Self { pitch: 42.0, bar: 22.0, details: true },
            33..=96 => Self { pitch: 28.0, bar: 16.0, details: false },
            _ => Self { pitch: 18.0, bar: 11.0, details: false },
        }
    }
}

/// Draws a lane whose upper edge is at `top`.
pub(super) fn draw(
    f: &mut fmt::Formatter<'_>,
    lane: &Lane<'_>,
    scale: &Scale,
    size: LaneSize,
    top: f64,
) -> fmt::Result {
    let y = (size.pitch - size.bar) / 2.0;
    writeln!(f, r#"<g transform="translate(0 {top:.1})">"#)?;
    name(f, lane, scale, size)?;
    for life in &lane.lives {
        let left = scale.x(life.start_ns);
        let right = scale.x(life.end_ns.unwrap_or(u64::MAX));
        let width = (right - left).max(1.0);
        writeln!(
            f,
            r#"<rect class="track" x="{left:.1}" y="{y}" width="{width:.1}" height="{bar}" rx="3"/>"#,
            bar = size.bar
        )?;
    }
    for cell in &lane.cells {
        draw_cell(f, cell, scale, y, size.bar)?;
    }
    for span in &lane.bars {
        draw_bar(f, span, scale, y, size.bar)?;
    }
    for mark in &lane.crashes {
        let (x, bottom) = (mark.x, y + size.bar);
        writeln!(f, r#"<path class="cut" d="M{x:.1} {y}V{bottom}"/>"#)?;
        Symbol::Crash.draw(f, x, y, Some(&mark.words()))?;
    }
    for mark in &lane.replacements {
        Symbol::Replacement.draw(f, mark.x, y + size.bar, Some(&mark.words()))?;
    }
    writeln!(f, "</g>")
}

fn name(f: &mut fmt::Formatter<'_>, lane: &Lane<'_>, scale: &Scale, size: LaneSize) -> fmt::Result {
    let middle = size.pitch / 2.0;
    let worker = lane.worker;
    write!(f, r#"<g><title>{}</title>"#, Escaped(lane.words()))?;
    write!(
        f,
        r#"<rect class="paper" x="{MARGIN}" y="0" width="{:.1}" height="{}"/>"#,
        GUTTER - MARGIN,
        size.pitch
    )?;
    let baseline = if size.details { middle - 2.0 } else { middle + 4.0 };
    write!(f, r#"<text class="ink name" x="{MARGIN}" y="{baseline}">worker {worker}</text>"#)?;
    if size.details {
        let share = lane.busy_ns as f64 / scale.length_ns.max(1) as f64;
        let details = format!("{}, {}", counted(lane.tasks, "task"), percent(share));
        let baseline = middle + 13.0;
        write!(
            f,
            r#"<text class="muted small" x="{MARGIN}" y="{baseline}">{details}</text>"#,
            details = Escaped(details)
        )?;
    }
    writeln!(f, "</g>")
}

fn draw_bar(
    f: &mut fmt::Formatter<'_>,
    span: &Span,
    scale: &Scale,
    y: f64,
    height: f64,
) -> fmt::Result {
    let left = scale.x(span.start_ns);
    // The gap tells neighbours apart.
    let width = scale.x(span.end_ns) - left - 0.6;
    let class = class(span.outcome);
    let tooltip = Escaped(tooltip::of_span(span, scale));
    let corner = (width / 4.0).min(3.0);
    writeln!(
        f,
        r#"<rect class="{class}" x="{left:.1}" y="{y}" width="{width:.1}" height="{height}" rx="{corner:.1}"><title>{tooltip}</title></rect>"#
    )?;
    let needed = CHARACTER * span.label.chars().count() as f64 + 12.0;
    if width >= needed && height >= 16.0 && span.outcome != Outcome::Crashed {
        writeln!(
            f,
            r#"<text class="label" x="{:.1}" y="{:.1}">{}</text>"#,
            left + 6.0,
            y + height / 2.0 + 4.0,
            Escaped(&span.label)
        )?;
    }
    Ok(())
}

/// Short tasks: the busier, the more opaque; failures rise from the bottom by their share.
fn draw_cell(
    f: &mut fmt::Formatter<'_>,
    cell: &Cell<'_>,
    scale: &Scale,
    y: f64,
    height: f64,
) -> fmt::Result {
    let width = CELL - 0.6;
    let x = cell.x;
    let opacity = 0.3 + 0.7 * cell.share;
    write!(f, "<g><title>{}</title>", Escaped(tooltip::of_cell(cell, scale)))?;
    write!(
        f,
        r#"<rect class="done" x="{x:.1}" y="{y}" width="{width}" height="{height}" opacity="{opacity:.2}"/>"#
    )?;
    for (number, outcome) in [(cell.failed, Outcome::Failed), (cell.crashed, Outcome::Crashed)] {
        if number > 0 {
            let share = number as f64 / cell.tasks as f64;
            let part = (share * height).max(height.min(6.0));
            let top = y + height - part;
            let class = class(outcome);
            write!(
                f,
                r#"<rect class="{class}" x="{x:.1}" y="{top:.1}" width="{width}" height="{part:.1}"/>"#
            )?;
        }
    }
    writeln!(f, "</g>")
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Crashed => "lost",
    }
}
