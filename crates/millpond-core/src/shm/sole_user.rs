//! The check that the calling process is the sole user of some memory: no other has it, and none
//! can come to have it.
//!
//! Three kinds of processes can have it; README.md has the argument.
//!
//! - One that has used it shows its [presence](crate::shm::presence).
//! - One that inherited it and has not used it since holds an *inherited lock*: a lock on a byte
//!   that is the same for all, of an open file description whose only reference is a page that
//!   forked children inherit. A process makes one when it forks first.
//! - One that is yet to open it was given a wire handle or a descriptor, which
//!   [`Handed`](crate::shm::handed::Handed) counts.

use std::os::fd::BorrowedFd;

use crate::os::identity::ProcessId;
use crate::os::record_lock;
use crate::shm::presence::{INHERITED, PRESENT, inode};
use crate::shm::tables;

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
    let presents = PRESENT.of(&mut tables);
    let Some(place) = presents.iter().position(|present| present.holds(near)) else {
        return false;
    };
    let (fd, file) = (presents[place].fd, presents[place].inode);
    // SAFETY: the caller has the memory mapped, with which its owner keeps the descriptor open;
    // if the number is another file's nevertheless, nothing but its inode is asked for.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let is_seen = !me.is_on_trust() && presents[place].is_claimed_by_mapping();
    if !is_seen || !inode(fd).is_ok_and(|inode| inode == file) {
        return false;
    }
    let Some(counts) = presents[place].handed().settled() else {
        return false;
    };
    let mut known: Vec<u64> = others.iter().chain([&me]).map(|process| process.byte()).collect();
    known.sort_unstable();
    if !is_nobody_else_present(fd, &known) {
        return false;
    }
    // What this process holds of its ancestors' and its own inherited locks it needs no more: it is present
    // itself, and makes a new one when it forks.
    for present in presents.iter_mut().filter(|present| present.inode == file) {
        present.inherited.clear();
    }
    // A process that uses the memory for the first time is present before it drops its inherited
    // lock, and a child that is forked meanwhile inherits one. So one of the three looks sees each
    // process, unless it is between two of these steps for as long as the looks take.
    is_free(fd, INHERITED, INHERITED + 1)
        && is_nobody_else_present(fd, &known)
        && presents[place].handed().settled() == Some(counts)
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

/// Whether no process holds a lock on a byte from `first` on, before `end`.
fn is_free(fd: BorrowedFd<'_>, first: u64, end: u64) -> bool {
    // An empty range would be one without an end.
    first == end || record_lock::is_any_locked(fd, first..end).is_ok_and(|locked| !locked)
}

#[cfg(test)]
#[path = "sole_user_tests.rs"]
mod tests;
