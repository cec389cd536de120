//! The shared memory beside a pipe's socket, with one ring for each direction, and an end's
//! attachment to it.

use std::io;
use std::mem::offset_of;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::direction::{Direction, Frames, Words};
use crate::os::clock::monotonic_ns;
use crate::os::identity::ProcessId;
use crate::os::map::Mapping;
use crate::os::memfd;
use crate::shm::handed::Handed;
use crate::shm::presence::Presence;
use crate::shm::sole_user::is_sole_user;
use crate::sync::robust::{RobustWord, Taken};

/// How old a sender's knowledge of the other end may be, in ns: it polls the socket at most every
/// 10 µs. A message that is committed within 10 µs of the other end's death may be lost without an
/// error. An orderly close changes `closings`, and so is noticed at once.
const FRESH_NS: u64 = 10_000;

/// What lies in the memory; all zero is a new one.
#[derive(Debug)]
#[repr(C)]
struct Layout {
    /// Changes when an end is closed somewhere.
    closings: AtomicU32,
    handed: Handed,
    /// What end 0 sends, and what end 1 does.
    words: [Words; 2],
    frames: [Frames; 2],
}

/// The rings of one pipe, as this process has them mapped.
#[derive(Debug)]
pub struct Rings {
    /// Dropped before what it refers to.
    _presence: Presence,
    fd: OwnedFd,
    map: Mapping,
}

impl Rings {
    pub(super) fn new() -> io::Result<Self> {
        let fd = memfd::create("millpond-pipe", size_of::<Layout>() as u64)?;
        // So that want of memory is an error here. Senders see to the rest when they need it.
        memfd::reserve(fd.as_fd(), 0, offset_of!(Layout, frames) as u64)?;
        Self::map(fd)
    }

    /// The rings behind a descriptor that came from another process.
    ///
    /// # Errors
    /// `InvalidData` if it is no memory of a pipe; otherwise the system's.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let size = rustix::fs::fstat(&fd)?.st_size;
        // What could shrink could vanish under a reader.
        if usize::try_from(size) != Ok(size_of::<Layout>()) || !memfd::cannot_shrink(fd.as_fd()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Self::map(fd)
    }

    fn map(fd: OwnedFd) -> io::Result<Self> {
        let map = Mapping::new(fd.as_fd(), 0, size_of::<Layout>())?;
        // SAFETY: a layout is mapped there, all of whose fields are accessed as atomics; the
        // presence is dropped before the mapping.
        let presence = unsafe {
            let handed = map.start().add(offset_of!(Layout, handed)).cast();
            Presence::enter(fd.as_fd(), map.start(), map.length(), handed)?
        };
        Ok(Self { _presence: presence, fd, map })
    }

    fn layout(&self) -> &Layout {
        // SAFETY: mapped as long as this lives, on a page's boundary, of this size; any bytes are
        // a value, all fields are atomics.
        unsafe { self.map.start().cast::<Layout>().as_ref() }
    }

    /// To be called when the number of an end's socket, or of this memory, leaves the engine: other
    /// processes may then get duplicates of it, uncounted.
    pub(crate) fn give_to_anybody(&self) {
        self.layout().handed.give_to_anybody();
    }

    /// An end is given to one process that is being started, together with this memory.
    pub fn give_to_one(&self) {
        self.layout().handed.give();
    }

    pub(super) fn was_given_to_one(&self) {
        self.layout().handed.open();
    }

    /// Whether no other process has the pipe, by either end, nor can come to have it.
    #[must_use]
    pub(crate) fn is_sole_user(&self) -> bool {
        is_sole_user(self.layout())
    }

    pub(super) fn direction(&self, side: u8) -> Direction<'_> {
        let (layout, side) = (self.layout(), usize::from(side & 1));
        Direction { words: &layout.words[side], frames: &layout.frames[side] }
    }

    /// Reserves pages of the ring of `side` for a message of `length` bytes.
    #[inline]
    pub(super) fn reserve(&self, side: u8, length: usize) -> io::Result<()> {
        match self.direction(side).without_pages(length) {
            Some(range) => self.give_pages(side, range),
            None => Ok(()),
        }
    }

    #[cold]
    fn give_pages(&self, side: u8, range: Range<usize>) -> io::Result<()> {
        let start = offset_of!(Layout, frames) + usize::from(side) * size_of::<Frames>();
        let length = (range.end - range.start) as u64;
        memfd::reserve(self.fd.as_fd(), (start + range.start) as u64, length)?;
        self.direction(side).has_pages(range.end);
        Ok(())
    }

    /// Writes `value` over the eight bytes at `place`, for tests of damaged memory.
    #[cfg(feature = "testing")]
    pub fn scribble(&self, place: usize, value: u64) {
        let words = size_of::<Layout>() / 8;
        // SAFETY: an aligned word of the mapping, written as an atomic.
        let word = unsafe { self.map.start().cast::<AtomicU64>().add(place / 8 % words).as_ref() };
        word.store(value, Ordering::Relaxed);
    }

    /// Makes all guards free, for tests of damaged memory.
    #[cfg(feature = "testing")]
    pub fn free_guards(&self) {
        for side in 0..2 {
            self.direction(side).senders().force_free();
            self.direction(side).receivers().force_free();
        }
    }
}

impl AsFd for Rings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes a guard that is held for moments only, without sleeping. `TimedOut` if that takes long.
#[inline]
pub(super) fn enter_now(guard: &RobustWord, me: ProcessId) -> Taken {
    if guard.try_take(me) {
        return Taken::Clean;
    }
    // What others do in there takes less than this as long as they run.
    for _ in 0..200 {
        std::hint::spin_loop();
        if guard.holder().is_none() && guard.try_take(me) {
            return Taken::Clean;
        }
    }
    guard.take_guard_from_dead(me)
}

/// What one end of a pipe knows of its rings.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) rings: Arc<Rings>,
    /// Which end of the pipe this is.
    pub(super) side: u8,
    /// Whether it sends by its ring. An end that found the rings by a packet does not, since
    /// messages that it sent before may be unread.
    pub(super) sends: bool,
    /// When a look at the other end was last had, and what `closings` was then.
    looked: AtomicU64,
    closings: AtomicU32,
}

impl Attached {
    pub(super) fn outgoing(&self) -> Direction<'_> {
        self.rings.direction(self.side)
    }

    pub(super) fn incoming(&self) -> Direction<'_> {
        self.rings.direction(1 - self.side)
    }

    /// Whether a sender must poll whether the other end still exists. Notes that it does so now.
    #[inline]
    pub(super) fn must_look(&self) -> bool {
        // Acquire: a process whose closing is counted here has closed its socket.
        let closings = self.rings.layout().closings.load(Ordering::Acquire);
        let now = monotonic_ns();
        // Relaxed: threads that overwrite each other's notes look once too often.
        let is_fresh = now.wrapping_sub(self.looked.load(Ordering::Relaxed)) < FRESH_NS;
        if is_fresh && closings == self.closings.load(Ordering::Relaxed) {
            return false;
        }
        self.looked.store(now, Ordering::Relaxed);
        self.closings.store(closings, Ordering::Relaxed);
        true
    }
}

/// The rings of an end, once it has some.
#[derive(Debug, Default)]
pub(super) struct MaybeAttached(AtomicPtr<Attached>);

impl MaybeAttached {
    #[inline]
    pub(super) fn get(&self) -> Option<&Attached> {
        // Acquire: pairs with the exchange in `set`. SAFETY: what was set stays as long as this.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Has these rings from now on, unless it has some already.
    pub(super) fn set(&self, rings: Arc<Rings>, side: u8, sends: bool) {
        let (looked, closings) = (AtomicU64::new(0), AtomicU32::new(0));
        let new = Box::into_raw(Box::new(Attached { rings, side, sends, looked, closings }));
        // Release: what the box holds is visible to `get`.
        let (won, lost) = (Ordering::Release, Ordering::Relaxed);
        if self.0.compare_exchange(ptr::null_mut(), new, won, lost).is_err() {
            // SAFETY: no other thread has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

impl MaybeAttached {
    /// Takes the rings away.
    pub(super) fn take(&mut self) -> Option<Box<Attached>> {
        let attached = std::mem::replace(self.0.get_mut(), ptr::null_mut());
        // SAFETY: it was set, and no other thread has it any more.
        (!attached.is_null()).then(|| unsafe { Box::from_raw(attached) })
    }
}

impl Drop for MaybeAttached {
    fn drop(&mut self) {
        if let Some(attached) = self.take() {
            // Release: the socket was closed before.
            attached.rings.layout().closings.fetch_add(1, Ordering::Release);
            attached.incoming().tell_of_room();
        }
    }
}

/// Fuzzing writes there.
const _: () = assert!(offset_of!(Layout, words) == 128 && offset_of!(Layout, frames) == 4096);
