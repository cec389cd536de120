//! Whether the calling process is the only one that has some memory, and none can come to have it.
//!
//! Three kinds of processes can have it; README.md has the argument.
//!
//! - One that has used it shows its [presence](crate::shm::presence).
//! - One that inherited it and has not used it since holds a *inherited lock*: a lock on a byte that
//!   is the same for all, of an open file description whose only reference is a page that forked
//!   children inherit. A process makes one when it forks first.
//! - One that is yet to open it was given a ticket or a descriptor, which [`Handed`] counts.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::futex;
use crate::os::identity::ProcessId;
use crate::os::map::Reference;
use crate::os::record_lock;
use crate::shm::presence::{Inode, Present, inode, reopen};
use crate::shm::tables::{self, Tables};

/// The byte of inherited locks, behind those of all processes, which have 56 bits.
pub(super) const INHERITED: u64 = 1 << 62;
/// In the count of what was given: nobody counts who can open the memory.
const UNCOUNTED: u32 = 1 << 31;

/// How many ways to the memory were given to processes that were to open it once, and how many of
/// these did. Lies in the memory; all zero is that of new memory.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Handed {
    given: AtomicU32,
    opened: AtomicU32,
    /// Twice how often a process became present, and whether one could not.
    joined: AtomicU32,
}

/// In the count of those who became present: there is one who could not.
const UNSEEN: u32 = 1;

/// What [`Handed`] said at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counts(u32, u32);

impl Handed {
    /// A process was given a way that it uses once.
    pub(crate) fn give(&self) {
        // Release: who sees the way used sees it given. The uncounted stay uncounted.
        let count = |given: u32| (given & UNCOUNTED == 0).then(|| given + 1);
        let _ = self.given.fetch_update(Ordering::Release, Ordering::Relaxed, count);
    }

    /// The calling process has used such a way, and is present.
    pub(crate) fn open(&self) {
        // Release: as above.
        self.opened.fetch_add(1, Ordering::Release);
    }

    /// From now on anybody may open the memory, as far as can be told.
    pub(crate) fn give_to_anybody(&self) {
        // Relaxed: who is given a way afterwards is told of it by other means.
        if self.given.load(Ordering::Relaxed) & UNCOUNTED == 0 {
            self.given.fetch_or(UNCOUNTED, Ordering::Release);
        }
    }

    /// The calling process has become present, or could not. Whoever watches those who are present hears
    /// of it.
    pub(crate) fn join(&self, is_present: bool) {
        // Release: who sees this sees the process' lock; the kernel orders those anyway.
        match is_present {
            true => self.joined.fetch_add(2, Ordering::Release),
            false => self.joined.fetch_or(UNSEEN, Ordering::Release),
        };
        futex::wake(&self.joined, u32::MAX);
    }

    /// How often a process became present, as a word that changes, and wakes who sleeps on it, with the
    /// next.
    pub(crate) fn joined(&self) -> &AtomicU32 {
        &self.joined
    }

    /// Whether every process that has used the memory is present, if this is what
    /// [`joined`](Self::joined) says.
    pub(crate) fn are_all_seen(joined: u32) -> bool {
        joined & UNSEEN == 0
    }

    /// The counts, if all that was given was opened.
    fn settled(&self) -> Option<Counts> {
        // Acquire: pairs with the release of whoever counted. What was opened first: it is never
        // more than what had been given by then.
        let opened = self.opened.load(Ordering::Acquire);
        let given = self.given.load(Ordering::Acquire);
        (opened == given).then_some(Counts(given, opened))
    }
}

/// Sees to it that the child which is about to be forked holds inherited locks. The tables are locked.
pub(crate) fn before_fork(tables: &mut Tables) {
    for present in tables.present.iter_mut().filter(|present| present.inherited.is_empty()) {
        // SAFETY: a number which may be closed, or another file's by now: both are errors.
        let fd = unsafe { BorrowedFd::borrow_raw(present.fd) };
        match inherited(fd, present.inode) {
            Some(reference) => present.inherited.push(reference),
            // The child cannot be seen.
            None => present.handed().give_to_anybody(),
        }
    }
}

fn inherited(fd: BorrowedFd<'_>, file: Inode) -> Option<Reference> {
    use std::os::fd::AsFd;
    let own = reopen(fd, file).ok()?;
    record_lock::lock_for_description(own.as_fd(), INHERITED).ok()?;
    Reference::inherited(own.as_fd()).ok()
}

/// Whether no other process has the memory in which `near` lies, nor can come to have it by what is
/// on its way. False where that cannot be told.
pub(crate) fn is_sole_user<T>(near: &T) -> bool {
    only_these_use(near, &[])
}

/// The same, but for `others`, of which the caller knows that they do nothing.
pub(crate) fn only_these_use<T>(near: &T, others: &[ProcessId]) -> bool {
    let me = ProcessId::current();
    let near = std::ptr::from_ref(near).addr();
    let mut tables = tables::lock();
    let Some(place) = tables.present.iter().position(|present| present.holds(near)) else {
        return false;
    };
    let (fd, file) = (tables.present[place].fd, tables.present[place].inode);
    // SAFETY: the caller has the memory mapped, with which its owner keeps the descriptor open;
    // if the number is another file's nevertheless, nothing but its inode is asked for.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let is_seen = !me.is_on_trust() && tables.present[place].is_claimed_by_mapping();
    if !is_seen || !inode(fd).is_ok_and(|inode| inode == file) {
        return false;
    }
    let Some(counts) = tables.present[place].handed().settled() else {
        return false;
    };
    let mut known: Vec<u64> = others.iter().chain([&me]).map(|process| process.byte()).collect();
    known.sort_unstable();
    if !is_nobody_else_present(fd, &known) {
        return false;
    }
    // What this process holds of its ancestors' and its own inherited locks it needs no more: it is present
    // itself, and makes a new one when it forks.
    for present in tables.present.iter_mut().filter(|present| present.inode == file) {
        present.inherited.clear();
    }
    // Those who use the memory for the first time are present before they let go of what they inherited,
    // and those who are forked meanwhile inherit one. So one of three looks sees them, unless they wait
    // between two of these for as long as it takes to look for others.
    is_free(fd, INHERITED, INHERITED + 1)
        && is_nobody_else_present(fd, &known)
        && tables.present[place].handed().settled() == Some(counts)
}

/// Whether no process is present but those whose bytes are `known`, in their order.
fn is_nobody_else_present(fd: BorrowedFd<'_>, known: &[u64]) -> bool {
    let mut first = 0;
    let are_free = known.iter().all(|&byte| {
        let is_free_before = byte < first || is_free(fd, first, byte);
        first = byte + 1;
        is_free_before
    });
    are_free && is_free(fd, first, INHERITED)
}

/// Whether nobody holds a lock on a byte from `first` on, before `end`.
fn is_free(fd: BorrowedFd<'_>, first: u64, end: u64) -> bool {
    // An empty range would be one without an end.
    first == end || record_lock::is_any_locked(fd, first..end).is_ok_and(|locked| !locked)
}

impl Present {
    pub(super) fn handed(&self) -> &Handed {
        // SAFETY: `enter` was given its place in the memory, which is mapped as long as this is in
        // the table. All of it is atomic, and any bits are a value.
        unsafe { self.handed.as_ref() }
    }
}

#[cfg(test)]
#[path = "sole_user_tests.rs"]
mod tests;
