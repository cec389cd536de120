//! Presence: record locks by which processes that share memory find out whether another one lives.
//!
//! A process shows that it is there by a lock on one byte of the memory's file, at the offset that
//! its [`ProcessId`] says. The kernel takes the lock away when the process is dead, reaped or not,
//! and when it executes another program; it shows locks across pid namespaces, and needs no table.
//! See README.md for the protocol.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::os::clock::monotonic_ns;
use crate::os::identity::{self, ProcessId};
use crate::os::map::Reference;
use crate::os::memfd;
use crate::os::record_lock;
use crate::shm::handed::Handed;
use crate::shm::tables::{self, Guard, Table};

/// What tells files apart.
pub(crate) type Inode = (u64, u64);

/// The byte of inherited locks, behind those of all processes, which have 56 bits.
pub(super) const INHERITED: u64 = 1 << 62;

/// Memory that this process is present in.
pub(super) static PRESENT: Table<Vec<Present>> = Table::new();
/// What keeps it present in memory that need not be mapped.
static STAYING: Table<HashMap<Inode, Arc<Claim>>> = Table::new();

/// The calling process' lock on its byte of a file.
#[derive(Debug)]
pub(crate) struct Claim {
    process: ProcessId,
    /// Holds the lock, if the lock is that of an open file description.
    reference: Option<Reference>,
}

/// Memory in which words name processes, as this process has it mapped.
#[derive(Debug)]
pub(crate) struct Present {
    start: usize,
    length: usize,
    /// The owner's of the memory. The program may have closed it: it is compared before it is used.
    pub(super) fd: RawFd,
    pub(super) inode: Inode,
    claim: Arc<Claim>,
    /// What shows that children live which inherited the memory from this process and have not used
    /// it yet, and what showed that of this one; see `sole_user.rs`.
    pub(super) inherited: Vec<Reference>,
    handed: NonNull<Handed>,
}

// SAFETY: what `handed` points to is all atomic and lies in shared memory, which is of no thread.
unsafe impl Send for Present {}

/// Enters memory in the table of what processes are present in, until it is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    start: usize,
}

impl Presence {
    /// The calling process is present in the memory behind `fd`, which is mapped at `start`.
    ///
    /// # Errors
    /// The system's, when descriptors, address space or locks have run out.
    ///
    /// # Safety
    /// `length` bytes are mapped at `start` until the result is dropped, and `handed` lies there,
    /// which is accessed as one only.
    pub(crate) unsafe fn enter(
        fd: BorrowedFd<'_>,
        start: NonNull<u8>,
        length: usize,
        handed: NonNull<Handed>,
    ) -> io::Result<Self> {
        let (inode, start) = (inode(fd)?, start.addr().get());
        // No fork happens while the tables are locked: a child must not inherit the descriptor.
        let mut tables = tables::lock();
        identity::before_first_use(claim_all);
        tables.before_forks(before_fork);
        let claim = Arc::new(Claim::new(fd, inode)?);
        let (fd, inherited) = (fd.as_raw_fd(), Vec::new());
        let present = Present { start, length, fd, inode, claim, inherited, handed };
        present.handed().join(true);
        PRESENT.of(&mut tables).push(present);
        drop(tables);
        Ok(Self { start })
    }

    /// What keeps the calling process present although it unmaps the memory.
    pub(crate) fn claim(&self) -> Option<Arc<Claim>> {
        let mut tables = tables::lock();
        let mut presents = PRESENT.of(&mut tables).iter();
        presents.find(|p| p.start == self.start).map(|p| Arc::clone(&p.claim))
    }

    /// Has the calling process stay present until it ends, though it unmaps the memory.
    pub(crate) fn stay(&self) {
        let mut tables = tables::lock();
        let mut presents = PRESENT.of(&mut tables).iter();
        let Some(present) = presents.find(|p| p.start == self.start) else {
            return;
        };
        let (inode, claim) = (present.inode, Arc::clone(&present.claim));
        STAYING.of(&mut tables).insert(inode, claim);
    }

    /// Whether the lock would end with any descriptor of the file that this process closes.
    pub(crate) fn hangs_on_descriptors(&self) -> bool {
        self.claim().is_some_and(|claim| claim.reference.is_none())
    }
}

impl Present {
    pub(super) fn holds(&self, address: usize) -> bool {
        address.wrapping_sub(self.start) < self.length
    }

    /// Whether the calling process is present by a lock that ends with its address space.
    pub(super) fn is_claimed_by_mapping(&self) -> bool {
        self.claim.process == ProcessId::name() && self.claim.reference.is_some()
    }

    pub(super) fn handed(&self) -> &Handed {
        // SAFETY: `enter` was given its place in the memory, which is mapped as long as this is in
        // the table. All of it is atomic, and any bits are a value.
        unsafe { self.handed.as_ref() }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut tables = tables::lock();
        let presents = PRESENT.of(&mut tables);
        let place = presents.iter().position(|p| p.start == self.start);
        let gone = place.map(|place| presents.swap_remove(place));
        drop(tables);
        drop(gone);
    }
}

impl Claim {
    /// Locks the byte of the calling process. The tables are locked.
    fn new(fd: BorrowedFd<'_>, file: Inode) -> io::Result<Self> {
        let process = ProcessId::name();
        match reopen(fd, file) {
            Ok(own) => match record_lock::lock_for_description(own.as_fd(), process.byte()) {
                Ok(()) => {
                    let reference = Some(Reference::new(own.as_fd())?);
                    return Ok(Self { process, reference });
                }
                // Kernels that are none may not know such locks.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            },
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::STALE)) => {
                return Err(errno.into());
            }
            // There is no procfs.
            Err(_) => {}
        }
        if inode(fd)? != file {
            return Err(Errno::STALE.into());
        }
        record_lock::lock_for_process(fd, process.byte())?;
        Ok(Self { process, reference: None })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A forked child has its parent's claims in its memory, but what they refer to is not mapped
        // there.
        if self.process != ProcessId::name()
            && let Some(reference) = self.reference.take()
        {
            reference.forget();
        }
    }
}

/// Another open file description of the file, which no process inherits.
fn reopen(fd: BorrowedFd<'_>, file: Inode) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let own = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::fstat(&own)?;
    if (stat.st_dev, stat.st_ino) == file { Ok(own) } else { Err(Errno::STALE) }
}

pub(super) fn inode(fd: BorrowedFd<'_>) -> io::Result<Inode> {
    let stat = rustix::fs::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Makes the calling process present wherever its parent was when it forked this one; whether that
/// succeeded everywhere.
fn claim_all() -> bool {
    let mut tables = tables::lock();
    let mut everywhere = true;
    for present in PRESENT.of(&mut tables) {
        if present.claim.process == ProcessId::name() {
            continue;
        }
        // SAFETY: a number which may be closed, or another file's by now: both are errors.
        let fd = unsafe { BorrowedFd::borrow_raw(present.fd) };
        let claim = Claim::new(fd, present.inode);
        present.handed().join(claim.is_ok());
        match claim {
            Ok(claim) => present.claim = Arc::new(claim),
            Err(_) => everywhere = false,
        }
    }
    everywhere
}

/// Sees to it that the child which is about to be forked holds inherited locks. The tables are locked.
fn before_fork(tables: &mut Guard) {
    let presents = PRESENT.of(tables).iter_mut();
    for present in presents.filter(|present| present.inherited.is_empty()) {
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
    let own = reopen(fd, file).ok()?;
    record_lock::lock_for_description(own.as_fd(), INHERITED).ok()?;
    Reference::inherited(own.as_fd()).ok()
}

/// Whether a process lives, as far as the memory can tell in which `near` lies: `None` if it is no
/// memory that processes are present in, or if its descriptor was closed.
fn look(process: ProcessId, near: usize) -> Option<bool> {
    let (fd, file, _) = memory_around(near)?;
    // SAFETY: the caller has the memory mapped, with which its owner keeps the descriptor open;
    // if the number is another file's nevertheless, nothing but its inode is asked for.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    if inode(fd).ok()? != file {
        return None;
    }
    record_lock::is_locked(fd, process.byte()).ok()
}

/// Memory that processes are present in, as one that waits there sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members {
    fd: RawFd,
    /// Which memory it is.
    pub(crate) memory: Inode,
    /// Counts the processes that become present. Lies in the memory.
    pub(crate) handed: NonNull<Handed>,
}

impl Members {
    /// The members of the memory in which a word lies, if it is such memory.
    pub(crate) fn around<T>(word: &T) -> Option<Self> {
        let address = std::ptr::from_ref(word).addr();
        let mut tables = tables::lock();
        let present = PRESENT.of(&mut tables).iter().find(|present| present.holds(address))?;
        Some(Self { fd: present.fd, memory: present.inode, handed: present.handed })
    }

    /// The processes that are present, but for the calling one; `None` if they cannot be known or are
    /// more than `most`.
    pub(crate) fn others(&self, most: usize) -> Option<Vec<ProcessId>> {
        // SAFETY: as in `look`.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        if inode(fd).ok()? != self.memory {
            return None;
        }
        let own = ProcessId::name().byte();
        let mut others = Vec::new();
        // The system tells one lock of a range: what is on either side of it is asked for next.
        let mut ranges = vec![0..own, own + 1..INHERITED];
        while let Some(range) = ranges.pop() {
            // An empty range would be one without an end.
            if range.is_empty() {
                continue;
            }
            if let Some(byte) = record_lock::any_locked(fd, range.clone()).ok()? {
                others.push(ProcessId::of_byte(byte)?);
                if others.len() > most {
                    return None;
                }
                ranges.extend([range.start..byte, byte + 1..range.end]);
            }
        }
        Some(others)
    }
}

/// Gives the memory in which `object` lies, which processes are present in, pages for it.
///
/// # Errors
/// The system's, when memory has run out.
pub(crate) fn reserve<T>(object: &T) -> io::Result<()> {
    let start = std::ptr::from_ref(object).addr();
    let Some((fd, file, offset)) = memory_around(start) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    // SAFETY: as in `look`.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    if inode(fd)? != file {
        return Err(Errno::STALE.into());
    }
    memfd::reserve(fd, offset as u64, size_of::<T>() as u64)
}

/// The memory around an address that processes are present in: its descriptor and file, and where in
/// that the address is.
fn memory_around(address: usize) -> Option<(RawFd, Inode, usize)> {
    let mut tables = tables::lock();
    let present = PRESENT.of(&mut tables).iter().find(|present| present.holds(address))?;
    Some((present.fd, present.inode, address - present.start))
}

/// Whether a process lives, that has its name in the memory where `near` lies. One that waits to be
/// reaped does not, and one that is stopped does.
pub(crate) fn lives<T>(process: ProcessId, near: &T) -> bool {
    if process == ProcessId::current() {
        return true;
    }
    match look(process, std::ptr::from_ref(near).addr()) {
        Some(true) => true,
        // What could not lock its byte is no less alive for it.
        Some(false) if !process.is_on_trust() => false,
        _ => process.is_alive_by_number(),
    }
}

/// A name in a guard, which processes hold for a few instructions, is taken for no process' name
/// when waiters have met it there for this time.
const STALE_AFTER: Duration = Duration::from_secs(1);
/// Two looks that lie further apart say nothing about the time between. It is longer than a recheck
/// interval.
const MAX_GAP: Duration = Duration::from_secs(3);

/// Whether a name has stood for a second where names stand for moments, and nothing but the word
/// itself says that its process lives: so it is with those of other pid namespaces that could not
/// make themselves present, and with damage. To be asked at each recheck of a wait.
pub(crate) fn stands_unseen<T>(process: ProcessId, near: &T) -> bool {
    /// The name and the place of the word that were met last, when they were met first, and when last,
    /// in milliseconds. Relaxed: if threads mix their entries up, each waits for another second.
    static MET: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

    let address = std::ptr::from_ref(near).addr();
    // If this process has closed the memory's descriptor, it cannot see which processes are present.
    let is_present = || match look(process, address) {
        Some(is_present) => is_present,
        None => memory_around(address).is_some(),
    };
    let is_seen = process == ProcessId::current()
        || is_present()
        || (process.is_known_by_number() && process.is_alive_by_number());
    if is_seen {
        return false;
    }
    let now = monotonic_ns() / 1_000_000;
    let [name, first, last] = &MET;
    // One number for both: it differs between the words that a waiter meets in turn.
    let met = process.raw() ^ (address as u64).rotate_left(32);
    let is_met = name.swap(met, Ordering::Relaxed) == met
        && now.saturating_sub(last.load(Ordering::Relaxed)) < MAX_GAP.as_millis() as u64;
    last.store(now, Ordering::Relaxed);
    if !is_met {
        first.store(now, Ordering::Relaxed);
    }
    now.saturating_sub(first.load(Ordering::Relaxed)) >= STALE_AFTER.as_millis() as u64
}

#[cfg(test)]
#[path = "presence_tests.rs"]
mod tests;
