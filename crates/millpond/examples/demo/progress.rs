//! A progress bar for terminals, which is a line a step elsewhere.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

const WIDTH: usize = 32;
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(50);

/// Shows on standard output how far something is.
///
/// On a terminal, one line is drawn again and again. Elsewhere, as in a log, there is only the
/// line at the end, and notes.
#[derive(Debug)]
pub(crate) struct Progress {
    label: String,
    total: usize,
    done: usize,
    is_live: bool,
    began: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// Begins to measure; `label` says what is being done to `total` files.
    pub(crate) fn new(label: impl Into<String>, total: usize) -> Self {
        let is_live = stdout().is_terminal();
        Self { label: label.into(), total, done: 0, is_live, began: Instant::now(), drawn: None }
    }

    /// Says how many files are done by now.
    pub(crate) fn advance(&mut self, done: usize) {
        self.done = done;
        if self.is_live && self.drawn.is_none_or(|drawn| drawn.elapsed() >= BETWEEN_DRAWINGS) {
            self.drawn = Some(Instant::now());
            write(&format!("\r{}\x1b[K", self.line()));
        }
    }

    /// Writes a line above the bar.
    pub(crate) fn note(&self, text: &str) {
        if self.is_live {
            write(&format!("\r{text}\x1b[K\n{}", self.line()));
        } else {
            write(&format!("{text}\n"));
        }
    }

    /// Writes the last line and returns how long it took.
    pub(crate) fn finish(self) -> Duration {
        let took = self.began.elapsed();
        let (start, end) = if self.is_live { ("\r", "\x1b[K\n") } else { ("", "\n") };
        let Self { label, done, .. } = self;
        write(&format!("{start}{label}: {done} files in {:.3} s{end}", took.as_secs_f64()));
        took
    }

    fn line(&self) -> String {
        let Self { label, total, done, .. } = self;
        let share = if *total > 0 { *done as f64 / *total as f64 } else { 1.0 };
        let filled = ((share * WIDTH as f64).round() as usize).min(WIDTH);
        let bar = "█".repeat(filled) + &"░".repeat(WIDTH - filled);
        format!("{label} {bar} {:3.0}%  {done}/{total} files", share * 100.0)
    }
}

/// Shows text at once. When nobody can see it any more, the work goes on.
fn write(text: &str) {
    let mut stdout = stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
