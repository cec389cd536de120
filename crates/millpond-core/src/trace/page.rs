//! The picture as a page of its own.

use std::path::Path;
use std::{fmt, fs, io};

use crate::trace::chart::Chart;
use crate::trace::incident::Incident;
use crate::trace::markup::Escaped;
use crate::trace::scale::Scale;
use crate::trace::timeline::Timeline;
use crate::trace::units::{count, counted, duration};

/// How many crashes the table lists.
const MAX_ROWS: usize = 200;

/// A chart with what only a page can have; to display it is to write it as HTML.
#[derive(Clone, Debug)]
pub(super) struct Page<'a> {
    chart: Chart<'a>,
}

impl Timeline {
    /// The picture as one HTML page, with tooltips and a table of the crashes.
    ///
    /// The page needs nothing from elsewhere. It is well-formed XML too.
    #[must_use]
    pub fn to_html(&self) -> String {
        Page::of(self).to_string()
    }

    /// Writes the picture to a file: as SVG if the path ends in `.svg`, else as HTML.
    ///
    /// # Errors
    /// Those of [`std::fs::write`].
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let is_svg = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg"));
        fs::write(path, if is_svg { self.to_svg() } else { self.to_html() })
    }
}

impl<'a> Page<'a> {
    pub(super) fn of(timeline: &'a Timeline) -> Self {
        Self { chart: Chart::of(timeline) }
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chart = &self.chart;
        writeln!(f, "<!DOCTYPE html>")?;
        writeln!(f, r#"<html lang="en" xmlns="http://www.w3.org/1999/xhtml">"#)?;
        writeln!(f, r#"<head><meta charset="utf-8"/>"#)?;
        writeln!(f, r#"<meta name="viewport" content="width=device-width, initial-scale=1"/>"#)?;
        writeln!(f, "<title>{}</title>", Escaped(chart.timeline.heading()))?;
        writeln!(f, "<style>{}</style></head>", include_str!("page.css"))?;
        writeln!(f, "<body><main>")?;
        writeln!(f, r#"<div class="picture">{chart}</div>"#)?;
        crashes(f, &chart.incidents, &chart.scale)?;
        writeln!(f, r#"</main><div id="tooltip" hidden="hidden"></div>"#)?;
        writeln!(f, "<script>{}</script></body></html>", include_str!("page.js"))
    }
}

fn crashes(f: &mut fmt::Formatter<'_>, incidents: &[Incident<'_>], scale: &Scale) -> fmt::Result {
    if incidents.is_empty() {
        return Ok(());
    }
    writeln!(f, "<h2>Crashes</h2><table><thead><tr>")?;
    for heading in ["At", "Worker", "What happened", "Task lost", "Replaced"] {
        write!(f, "<th>{heading}</th>")?;
    }
    writeln!(f, "</tr></thead><tbody>")?;
    for incident in incidents.iter().take(MAX_ROWS) {
        row(f, incident, scale)?;
    }
    writeln!(f, "</tbody></table>")?;
    match incidents.len().saturating_sub(MAX_ROWS) {
        0 => Ok(()),
        hidden => writeln!(f, "<p>and {} more</p>", count(hidden as u64)),
    }
}

fn row(f: &mut fmt::Formatter<'_>, incident: &Incident<'_>, scale: &Scale) -> fmt::Result {
    let lost = incident.lost.map_or("none".to_owned(), |span| {
        format!("{}: {}, {}", span.task, span.label, counted(u64::from(span.items), "item"))
    });
    let replaced = incident.replacement.map_or("no".to_owned(), |life| {
        let gap = duration(life.start_ns.saturating_sub(incident.at_ns));
        format!("by pid {} after {gap}", life.pid)
    });
    let what = format!("pid {} {}", incident.pid, was(incident.how));
    let at = duration(scale.since_start(incident.at_ns));
    write!(f, "<tr><td>{at}</td><td>{}</td>", incident.worker)?;
    for text in [what, lost, replaced] {
        write!(f, "<td>{}</td>", Escaped(text))?;
    }
    writeln!(f, "</tr>")
}

/// Makes a sentence of how a process ended: "killed by SIGKILL" wants a verb.
fn was(how: Option<&str>) -> String {
    match how {
        Some(how) if how.starts_with("killed") => format!("was {how}"),
        Some(how) => how.to_owned(),
        None => "died".to_owned(),
    }
}
