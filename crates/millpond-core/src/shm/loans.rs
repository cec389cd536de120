//! Loans: other processes' blocks that this process reads in place, and how they become its own
//! memory before it forks.
//!
//! What a message brings is the receiver's own, and a fork copies what a process owns. A large
//! payload, however, lies in a block of its sender's memory, mapped as shared: after a fork, parent
//! and child would see what the other writes there, and once the block went back, the next payload.
//! So **a fork ends loans**. Before it, whatever is lent is made the process' own memory, at its
//! address; then the fork copies that as it copies everything else.
//!
//! ```text
//!                 lent ──────────── dropped ────────────────▶ goes back
//!                  │
//!        before a fork, by the thread that forks:
//!                  │  1. a private mapping takes the place of the shared one
//!                  │  2. each page gets a copy of its own
//!                  │  3. the block goes back to its sender
//!                  ▼
//!                 own, here and in the child ─ dropped ─────▶ each forgets its pages
//! ```
//!
//! - **Other threads go on.** Step 1 changes what is mapped in one step of the kernel: a thread that
//!   writes meanwhile writes to the block before it and to private memory after it, and both are
//!   found there. Step 2 lets the kernel copy, page by page, what has not been written yet.
//! - **Only what can be read after the fork counts.** A loan is entered here when its address is
//!   given away ([`begin`]). A payload that no address was given of, such as a result of a pool before
//!   `get`, cannot be read by a child, and stays where it is.
//! - **The table is whole in the child.** Its lock is taken before the fork and released after it on
//!   both sides, so a child knows what it has inherited: memory of its own.
//! - **A fork that runs no handlers** (a bare system call) leaves the child with the shared mapping.
//!   What it has is a copy of the loan, not the loan: it gives nothing back.
//! - **Reading in place stays what it was.** Without a fork nothing is copied, nor if others are
//!   started by `vfork` or `posix_spawn`. A window of a pool and a block of a pipe have a second mapping, made once
//!   and never touched, since step 1 has no descriptor; a queue has one.
//! - **Where there is no room**: if step 1 fails, children do not get that range at all. One that
//!   reads it ends with a signal, which is loud where foreign bytes would be wrong. If step 2 fails,
//!   the block does not go back while this process lives, and what is not copied stays as it is; the
//!   children of a receiver that has ended by then may see other bytes there.

use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use crate::os::fork::{Owner, around_forks};
use crate::os::map;
use crate::shm::heap::WARM_LIMIT;
use crate::sync::local::Local;

/// Memory of which this process has parts on loan, the blocks of others.
pub(crate) trait Lender: Send + Sync + fmt::Debug {
    /// Whether readers that a fork may duplicate can have what is in it. If not, they get a copy.
    fn can_be_lent(&self) -> bool {
        true
    }

    /// Gives a block back, which is this process' to give.
    fn give_back(&self, part: Part);

    /// Makes a loan this process' own memory and gives its block back, with or without its pages.
    /// False if it stays shared.
    ///
    /// It runs before a fork, with the table of loans locked: it neither drops nor begins a loan.
    fn make_own(&self, part: Part, with_pages: bool) -> bool;

    /// Takes back what [`make_own`](Self::make_own) has made this process' own; false if it stays so.
    ///
    /// # Safety
    /// No reader has the part any more.
    unsafe fn take_back(&self, part: Part) -> bool;
}

/// What is on loan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// A multiple of the page size.
    pub(crate) start: NonNull<u8>,
    pub(crate) length: usize,
    /// Which block of the lender it is.
    pub(crate) block: usize,
}

impl Part {
    fn range(&self) -> Range<usize> {
        let start = self.start.as_ptr().addr();
        start..start + self.length
    }
}

// SAFETY: an address range; its users argue for each access.
unsafe impl Send for Part {}
// SAFETY: as above.
unsafe impl Sync for Part {}

/// A loan in the table, until it [ends](Self::end).
#[derive(Debug)]
pub(crate) struct Loan {
    index: usize,
    start: NonNull<u8>,
    holder: Owner,
}

// SAFETY: it does not access what is behind the address.
unsafe impl Send for Loan {}
// SAFETY: as above.
unsafe impl Sync for Loan {}

/// What has become of a loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The block is this process' to give back.
    Lent,
    /// The memory is this process' own, and has no block any more.
    Own,
    /// The block is the parent's: this process was forked without being asked.
    Foreign,
}

#[derive(Debug)]
struct Entry {
    lender: Arc<dyn Lender>,
    part: Part,
    is_own: bool,
    /// Children that are forked now do not get it.
    is_hidden: bool,
}

#[derive(Debug, Default)]
struct Loans {
    entries: Vec<Option<Entry>>,
    vacant: Vec<usize>,
}

static LOANS: Local<Loans> = Local::new(Loans { entries: Vec::new(), vacant: Vec::new() });
/// How many of the entries are this process' own memory.
static OWN: AtomicUsize = AtomicUsize::new(0);

fn loans() -> &'static Local<Loans> {
    static FORKS_ARE_SEEN: Once = Once::new();
    // A fork by another thread before this is done is one that came before the first loan.
    FORKS_ARE_SEEN.call_once(|| {
        around_forks(Some(before_fork), Some(in_parent), Some(in_child));
    });
    &LOANS
}

/// Notes that `part`, which `lender` lends, can be read by every thread that has its address.
pub(crate) fn begin(lender: Arc<dyn Lender>, part: Part) -> Loan {
    let entry = Entry { lender, part, is_own: false, is_hidden: false };
    let index = loans().with(|loans| {
        if let Some(index) = loans.vacant.pop() {
            loans.entries[index] = Some(entry);
            index
        } else {
            loans.entries.push(Some(entry));
            loans.entries.len() - 1
        }
    });
    Loan { index, start: part.start, holder: Owner::current() }
}

/// Whether a part of this range was on loan and is this process' own memory now.
pub(crate) fn has_own(start: NonNull<u8>, length: usize) -> bool {
    // Acquire: pairs with the release in `make_own`, which comes before the block goes back.
    if OWN.load(Ordering::Acquire) == 0 {
        return false;
    }
    let start = start.as_ptr().addr();
    let overlaps = |entry: &Entry| {
        let range = entry.part.range();
        entry.is_own && range.start < start + length && start < range.end
    };
    loans().with(|loans| loans.entries.iter().flatten().any(overlaps))
}

impl Loan {
    /// Takes it out of the table: what is there now can be used for something else. If a fork has
    /// made it this process' own, its lender takes it back first; where that fails, the loan stays in
    /// the table.
    ///
    /// # Safety
    /// No reader has the part any more.
    pub(crate) unsafe fn end(&self) -> State {
        let (state, removed) = LOANS.with(|loans| {
            let Some(entry) = self.entry(loans) else { return (State::Foreign, None) };
            let state = if entry.is_own { State::Own } else { State::Lent };
            if entry.is_own {
                // SAFETY: the caller promises it, and `make_own` was here.
                if !unsafe { entry.lender.take_back(entry.part) } {
                    return (state, None);
                }
                OWN.fetch_sub(1, Ordering::Relaxed);
            }
            loans.vacant.push(self.index);
            (state, loans.entries[self.index].take())
        });
        // Its lender may be dropped with it: not under the lock.
        drop(removed);
        match state {
            State::Lent if !self.holder.is_current() => State::Foreign,
            state => state,
        }
    }

    /// A process that was forked without being asked may have a new table.
    fn entry<'a>(&self, loans: &'a Loans) -> Option<&'a Entry> {
        loans.entries.get(self.index)?.as_ref().filter(|entry| entry.part.start == self.start)
    }
}

impl Loans {
    /// Makes all that is lent this process' own.
    fn make_own(&mut self) {
        // Free blocks keep as much warm memory as their heaps do; what is beyond goes back at once,
        // so that a fork does not take twice the memory of what is lent.
        let mut warm = 0;
        for entry in self.entries.iter_mut().flatten().filter(|entry| !entry.is_own) {
            warm += entry.part.length as u64;
            // Before the block goes back: its next receiver calls `has_own`. Release: see there.
            OWN.fetch_add(1, Ordering::Release);
            entry.is_own = entry.lender.make_own(entry.part, warm <= WARM_LIMIT);
            if !entry.is_own {
                OWN.fetch_sub(1, Ordering::Relaxed);
                entry.hide(true);
            }
        }
    }
}

impl Entry {
    fn hide(&mut self, hidden: bool) {
        self.is_hidden = hidden;
        // SAFETY: the part is mapped as long as its loan lasts.
        unsafe { map::inherit(self.part.start, self.part.length, !hidden) };
    }
}

extern "C" fn before_fork() {
    LOANS.hold(Loans::make_own);
}

extern "C" fn in_parent() {
    let show_again = |loans: &mut Loans| {
        let entries = loans.entries.iter_mut().flatten();
        entries.filter(|entry| entry.is_hidden).for_each(|entry| entry.hide(false));
    };
    // SAFETY: it is held since `before_fork`, which ran in this thread.
    unsafe { LOANS.release(show_again) };
}

extern "C" fn in_child() {
    let forget = |loans: &mut Loans| {
        for entry in loans.entries.iter_mut().flatten().filter(|entry| entry.is_hidden) {
            // Nothing is mapped there, so nothing that is lent.
            (entry.is_hidden, entry.is_own) = (false, true);
            OWN.fetch_add(1, Ordering::Relaxed);
        }
    };
    // SAFETY: it is held since `before_fork`, which ran in the thread that this one is a copy of.
    unsafe { LOANS.release(forget) };
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::os::fork::{Forked, exit_now, fork};
    use crate::os::map::Mapping;
    use crate::os::memfd;
    use crate::os::pidfd::PidFd;
    use crate::sync::testing::Child;

    /// Lends what stays shared, whatever it is asked.
    #[derive(Debug)]
    struct Unable {
        map: Mapping,
        was_asked: AtomicBool,
    }

    impl Lender for Unable {
        fn make_own(&self, _part: Part, _with_pages: bool) -> bool {
            self.was_asked.store(true, Ordering::Relaxed);
            false
        }

        fn give_back(&self, _part: Part) {
            unreachable!("no lease has it");
        }

        unsafe fn take_back(&self, _part: Part) -> bool {
            unreachable!("it was lent");
        }
    }

    /// Ends a loan that no reader has any more.
    fn end(loan: &Loan) -> State {
        // SAFETY: so the tests see to it.
        unsafe { loan.end() }
    }

    #[test]
    fn what_cannot_be_copied_is_not_inherited() {
        let fd = memfd::create("millpond-test", 4096).expect("memory");
        let map = Mapping::new(fd.as_fd(), 0, 4096).expect("a mapping");
        let lender = Arc::new(Unable { map, was_asked: AtomicBool::new(false) });
        let start = lender.map.start();
        // SAFETY: within the mapping, which `lender` keeps.
        let read = || unsafe { start.as_ptr().read_volatile() };
        let loan = begin(Arc::<Unable>::clone(&lender), Part { start, length: 4096, block: 0 });
        // SAFETY: the child reads a byte and ends.
        let child = match unsafe { fork() }.expect("fork") {
            Forked::Child => {
                exit_now(i32::from(read()));
            }
            Forked::Parent(pid) => PidFd::open(pid).expect("child"),
        };
        assert!(lender.was_asked.load(Ordering::Relaxed));
        assert!(!child.reap().expect("status").success());
        assert_eq!((read(), has_own(start, 1)), (0, false));
        assert_eq!(end(&loan), State::Lent);
        // What comes there next is inherited again.
        Child::run(|| assert_eq!(read(), 0)).join();
    }

    #[test]
    fn a_child_of_a_fork_that_runs_no_handlers_gives_nothing_back() {
        let fd = memfd::create("millpond-test", 4096).expect("memory");
        let map = Mapping::new(fd.as_fd(), 0, 4096).expect("a mapping");
        let lender = Arc::new(Unable { map, was_asked: AtomicBool::new(false) });
        let start = lender.map.start();
        let loan = begin(lender, Part { start, length: 4096, block: 0 });
        // SAFETY: the child ends its copy of the loan, and itself.
        match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
            0 => {
                let state = end(&loan);
                exit_now(i32::from(state != State::Foreign));
            }
            pid => {
                let pid = u32::try_from(pid).expect("a child");
                assert!(PidFd::open(pid).expect("child").reap().expect("status").success());
            }
        }
        assert_eq!(end(&loan), State::Lent);
        assert_eq!(end(&loan), State::Foreign);
    }
}
