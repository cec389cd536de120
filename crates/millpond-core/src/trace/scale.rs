//! From moments to places in the picture.

/// How wide the picture is, in pixels.
pub(super) const WIDTH: f64 = 1200.0;
/// Free space at the left and the right edge.
pub(super) const MARGIN: f64 = 24.0;
/// Where the names of the lanes end and the lanes begin.
pub(super) const GUTTER: f64 = 156.0;

/// Maps the time of a run to horizontal positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) start_ns: u64,
    pub(super) length_ns: u64,
    pub(super) left: f64,
    pub(super) width: f64,
}

impl Scale {
    /// Where a moment is drawn; moments outside of the run lie at its ends.
    pub(super) fn x(&self, moment_ns: u64) -> f64 {
        let passed = self.since_start(moment_ns).min(self.length_ns);
        self.left + self.width * (passed as f64 / self.length_ns.max(1) as f64)
    }

    /// How many nanoseconds of the run have passed at this moment.
    pub(super) fn since_start(&self, moment_ns: u64) -> u64 {
        moment_ns.saturating_sub(self.start_ns)
    }
}
