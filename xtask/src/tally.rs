//! Counting tests.

use std::fmt;
use std::ops::AddAssign;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// The tests that failed, as far as they are known by name.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// Reads what `Display` writes.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(", ");
        let mut count = |kind: &str| parts.next()?.strip_suffix(kind)?.trim_end().parse().ok();
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            skipped: count("skipped")?,
            failures: Vec::new(),
        })
    }

    /// Counts a failure for a run that ended badly without a test to blame.
    pub(crate) fn blame(&mut self, success: bool) {
        if !success && self.failed == 0 {
            self.failed = 1;
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_end_counts_as_a_failure_once() {
        let mut tally = Tally { passed: 5, ..Tally::default() };
        tally.blame(true);
        assert_eq!(tally.failed, 0);
        tally.blame(false);
        tally.blame(false);
        assert_eq!(tally.failed, 1);
    }

    #[test]
    fn what_is_shown_is_read() {
        let tally = Tally { passed: 332, skipped: 48, ..Tally::default() };
        assert_eq!(Tally::parse(&tally.to_string()), Some(tally));
        assert_eq!(Tally::parse("332 passed"), None);
        assert_eq!(Tally::parse(""), None);
    }

    #[test]
    fn sums_are_shown_in_one_line() {
        let mut sum = Tally::default();
        let failures = vec!["one".to_owned(), "two".to_owned()];
        sum += Tally { passed: 1, failed: 2, skipped: 3, failures: failures.clone() };
        sum += Tally { passed: 10, ..Tally::default() };
        assert_eq!(sum.to_string(), "11 passed, 2 failed, 3 skipped");
        assert_eq!(sum.failures, failures);
    }
}
