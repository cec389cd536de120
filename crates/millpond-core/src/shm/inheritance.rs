//! Received memory and the children that inherit it.
//!
//! A fork gives the child a copy of its parent's memory, but of memory that the parent received from
//! another process and reads in place there is one. Were it given back when the parent is done with
//! it, the child would see the next payload where its own was. So what was held during a fork is not
//! given back: its sender keeps it, or forgets it, until the receiver ends.
//!
//! A program that forks while it holds such memory is likely to do so again, and would use up more
//! of it each time. From the first such time on, doors [copy](are_copies_due) what they receive.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::os::fork::{self, Owner};

static SEEN: AtomicBool = AtomicBool::new(false);

/// When, and in which process, something was received.
#[derive(Debug)]
pub(crate) struct Receipt {
    holder: Owner,
    forks: u64,
}

impl Receipt {
    /// Of something that the calling process receives now.
    pub(crate) fn new() -> Self {
        // Forks are counted from the first call on.
        Self { holder: Owner::current(), forks: fork::forks() }
    }

    /// Whether nobody but the caller can have it any more: it is the process that received it, and
    /// has not forked since.
    pub(crate) fn is_sole(&self) -> bool {
        if !self.holder.is_current() {
            return false;
        }
        let sole = self.forks == fork::forks();
        if !sole {
            // Relaxed: whoever sees it late reads in place once more.
            SEEN.store(true, Ordering::Relaxed);
        }
        sole
    }
}

/// Whether what is received from now on should be copied, not read in place.
#[must_use]
pub fn are_copies_due() -> bool {
    SEEN.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::testing::Child;

    #[test]
    fn what_was_held_during_a_fork_is_not_the_holders_alone() {
        let (early, sole) = (Receipt::new(), Receipt::new().is_sole());
        let child = Child::run(|| ());
        assert!(!early.is_sole());
        child.join();
        // Tests beside this one fork too.
        assert!(sole || are_copies_due());
    }
}
