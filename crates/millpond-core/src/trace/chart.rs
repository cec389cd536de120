//! The picture: figures above, a lane for each worker below, all on one time axis.

use std::fmt;

use crate::trace::axis::ticks;
use crate::trace::header;
use crate::trace::incident::{Incident, incidents};
use crate::trace::lane::{Lane, lanes};
use crate::trace::lane_drawing::{self, LaneSize};
use crate::trace::markup::Escaped;
use crate::trace::scale::{GUTTER, MARGIN, Scale, WIDTH};
use crate::trace::summary::Summary;
use crate::trace::timeline::Timeline;
use crate::trace::units::{counted, duration};

const FOOTER: f64 = 46.0;
const UPPER_AXIS: f64 = 16.0;
const MAX_TICKS: u64 = 12;
/// From here on, the axis is written above the lanes too.
const MANY_LANES: usize = 12;

/// What was lost in a crash, told from the rest without colour.
const HATCH: &str = r#"<pattern id="millpond-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch" width="6" height="6"/><rect class="crashed" width="3.6" height="6"/></pattern>"#;

/// A timeline that is laid out; to display it is to write it as SVG.
#[derive(Clone, Debug)]
pub(super) struct Chart<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) summary: Summary,
    pub(super) incidents: Vec<Incident<'a>>,
    pub(super) scale: Scale,
    pub(super) lanes: Vec<Lane<'a>>,
}

impl Timeline {
    /// The picture as one SVG file, which embeds in other documents.
    #[must_use]
    pub fn to_svg(&self) -> String {
        Chart::of(self).to_string()
    }
}

impl<'a> Chart<'a> {
    pub(super) fn of(timeline: &'a Timeline) -> Self {
        let (start_ns, end_ns) = timeline.extent_ns().unwrap_or_default();
        let scale = Scale {
            start_ns,
            length_ns: end_ns - start_ns,
            left: GUTTER,
            width: WIDTH - MARGIN - GUTTER,
        };
        let incidents = incidents(timeline);
        let lanes = lanes(timeline, &incidents, &scale);
        Self { timeline, summary: Summary::of(timeline), incidents, scale, lanes }
    }

    fn description(&self) -> String {
        let Summary { tasks, workers, wall_ns, crashes, .. } = self.summary;
        format!(
            "{}: {} on {} in {}, {}",
            self.timeline.heading(),
            counted(tasks, "task"),
            counted(workers as u64, "worker"),
            duration(wall_ns),
            if crashes == 1 { "1 crash".to_owned() } else { format!("{crashes} crashes") },
        )
    }

    fn has_upper_axis(&self) -> bool {
        self.lanes.len() > MANY_LANES
    }

    fn draw_axis(&self, f: &mut fmt::Formatter<'_>, top: f64, bottom: f64) -> fmt::Result {
        for tick in ticks(self.scale.length_ns, MAX_TICKS) {
            let x = self.scale.x(self.scale.start_ns.saturating_add(tick.at_ns));
            let label = Escaped(&tick.label);
            writeln!(
                f,
                r#"<path class="rule" d="M{x:.1} {top:.1}V{:.1}"/><text class="muted small tick" x="{x:.1}" y="{:.1}">{label}</text>"#,
                bottom + 5.0,
                bottom + 20.0
            )?;
            if self.has_upper_axis() {
                writeln!(
                    f,
                    r#"<text class="muted small tick" x="{x:.1}" y="{:.1}">{label}</text>"#,
                    top - 6.0
                )?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = LaneSize::for_lanes(self.lanes.len());
        let top = header::HEIGHT + if self.has_upper_axis() { UPPER_AXIS } else { 0.0 };
        let bottom = top + size.pitch * self.lanes.len().max(1) as f64;
        let height = bottom + FOOTER;
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="millpond" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{}">"#,
            Escaped(self.description())
        )?;
        writeln!(f, "<style>{}</style>", include_str!("chart.css"))?;
        writeln!(f, "<defs>{HATCH}</defs>")?;
        writeln!(f, r#"<rect class="paper" width="{WIDTH}" height="{height}" rx="10"/>"#)?;
        let has_lost = self.incidents.iter().any(|incident| incident.lost.is_some());
        header::draw(f, self.timeline.heading(), &self.summary, &self.lanes, has_lost)?;
        if !self.lanes.is_empty() {
            self.draw_axis(f, top, bottom)?;
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            lane_drawing::draw(f, lane, &self.scale, size, top + size.pitch * index as f64)?;
        }
        if self.lanes.is_empty() {
            let y = f64::midpoint(top, bottom) + 4.0;
            writeln!(
                f,
                r#"<text class="muted small" x="{MARGIN}" y="{y}">nothing was recorded</text>"#
            )?;
        }
        writeln!(f, "</svg>")
    }
}
