//! The top of the picture: title, figures and legend.

use std::fmt;

use crate::trace::lane::Lane;
use crate::trace::markup::{Escaped, shortened};
use crate::trace::scale::{MARGIN, WIDTH};
use crate::trace::summary::Summary;
use crate::trace::symbol::Symbol;
use crate::trace::units::{count, duration, percent};

/// Where the header ends.
pub(super) const HEIGHT: f64 = 178.0;

const TILE_TOP: f64 = 62.0;
const TILE_HEIGHT: f64 = 56.0;
const TILE_GAP: f64 = 10.0;
const LEGEND_BASELINE: f64 = 149.0;

/// `has_lost` says whether a task was lost in a crash.
pub(super) fn draw(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    summary: &Summary,
    lanes: &[Lane<'_>],
    has_lost: bool,
) -> fmt::Result {
    let title = shortened(title, 80);
    writeln!(f, r#"<text class="ink title" x="{MARGIN}" y="42">{}</text>"#, Escaped(title))?;
    tiles(f, summary)?;
    legend(f, summary, lanes, has_lost)
}

fn tiles(f: &mut fmt::Formatter<'_>, summary: &Summary) -> fmt::Result {
    let alarm = |number: u64, class: &'static str| if number > 0 { class } else { "ink" };
    let crashes = summary.crashes as u64;
    let mut tiles = vec![
        ("Tasks", count(summary.tasks), "ink"),
        ("Workers", count(summary.workers as u64), "ink"),
        ("Wall time", duration(summary.wall_ns), "ink"),
        ("Utilisation", percent(summary.utilisation()), "ink"),
        ("Crashes", count(crashes), alarm(crashes, "crashed")),
        ("Replacements", count(summary.replacements as u64), "ink"),
    ];
    if summary.failed > 0 {
        tiles.insert(4, ("Failed", count(summary.failed), "failed"));
    }
    let pitch = (WIDTH - 2.0 * MARGIN + TILE_GAP) / tiles.len() as f64;
    for (index, (name, value, class)) in tiles.into_iter().enumerate() {
        let x = MARGIN + index as f64 * pitch;
        let width = pitch - TILE_GAP;
        writeln!(
            f,
            r#"<rect class="tile" x="{x:.1}" y="{TILE_TOP}" width="{width:.1}" height="{TILE_HEIGHT}" rx="8"/><text class="muted small" x="{text:.1}" y="{name_y}">{name}</text><text class="{class} figure" x="{text:.1}" y="{value_y}">{value}</text>"#,
            text = x + 14.0,
            name_y = TILE_TOP + 20.0,
            value_y = TILE_TOP + 44.0,
            value = Escaped(value),
        )?;
    }
    Ok(())
}

/// Explains what there is to see in this picture, and only that.
fn legend(
    f: &mut fmt::Formatter<'_>,
    summary: &Summary,
    lanes: &[Lane<'_>],
    has_lost: bool,
) -> fmt::Result {
    if lanes.is_empty() {
        return Ok(());
    }
    let has_cells = lanes.iter().any(|lane| !lane.cells.is_empty());
    let cells: String = (0..5).map(|n| swatch("done", 4.0 * f64::from(n), 2.4)).collect();
    let entries = [
        (true, swatch("done", 0.0, 20.0), "task done"),
        (has_cells, cells, "short tasks, denser when busier"),
        (summary.failed > 0, swatch("failed", 0.0, 20.0), "task failed"),
        (has_lost, swatch("lost", 0.0, 20.0), "task lost in a crash"),
        (true, swatch("track", 0.0, 20.0), "worker idle"),
        (summary.crashes > 0, symbol(Symbol::Crash)?, "worker died"),
        (summary.replacements > 0, symbol(Symbol::Replacement)?, "replacement started"),
    ];
    let mut x = MARGIN;
    for (_, picture, text) in entries.iter().filter(|(shown, ..)| *shown) {
        writeln!(
            f,
            r#"<g transform="translate({x:.1} {LEGEND_BASELINE})">{picture}<text class="muted small" x="27">{text}</text></g>"#
        )?;
        x += 27.0 + 6.4 * text.len() as f64 + 20.0;
    }
    Ok(())
}

fn swatch(class: &str, x: f64, width: f64) -> String {
    let corner = (width / 8.0).min(2.0);
    format!(r#"<rect class="{class}" x="{x}" y="-10" width="{width}" height="12" rx="{corner}"/>"#)
}

fn symbol(symbol: Symbol) -> Result<String, fmt::Error> {
    let mut markup = String::new();
    symbol.draw(&mut markup, 10.0, -4.0, None)?;
    Ok(markup)
}
