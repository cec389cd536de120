//! `WireHandle`, the bytes by which a process that has not inherited a region finds and opens it.
//!
//! A wire handle names the region, and a process and the numbers of the descriptors there behind
//! which it lies: that of its memory and, if it has one, that of its companion. The receiver uses
//! the region that it has mapped already, or opens `/proc/PID/fd/N`, which the kernel allows to
//! processes of the same user, and checks that this is the region that was meant. So a handle
//! travels as plain bytes, by any way. Its sender keeps the region until the wire handle was used,
//! which it is when all of its descriptors are here, or until the sender itself ends.
//!
//! A damaged wire handle must not lead into the midst of something else, where a lock might be taken
//! that lies across the data of another: the [region](crate::shm::region) says what lies where. And
//! so that damage is told from a sender that is gone, a wire handle has a check of 48 bits, in the
//! high 16 bits of those three words that name places in memory, which has no more than 2⁴⁷ bytes.
//!
//! A wire handle can also come with the descriptors themselves: where processes are started, and in
//! messages that carry them (`attachments.rs`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::FileType;

use crate::os::foreign::Foreign;
use crate::os::identity::ProcessId;
use crate::shm::in_transit;
use crate::shm::region::Region;
use crate::shm::slab::Slot;

/// Names a piece of a region, in bytes that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireHandle {
    identity: u64,
    /// Whose descriptor it is.
    process: u64,
    fd: u32,
    /// That of what accompanies the region, or [`NONE`].
    companion: u32,
    /// What lies there, so that a lock is not taken for a queue.
    kind: u32,
    offset: u64,
    length: u64,
    mapped: u64,
    /// Whether the sender waits for it to be used; see [`WireHandle::send`].
    awaited: bool,
    /// Whether it is for one process, which opens it once.
    is_for_one: bool,
}

/// In the word of the descriptor, whose numbers have 31 bits: the wire handle is awaited.
const AWAITED: u32 = 1 << 31;
/// In the word of the process, whose low bits are free: the wire handle is for one.
const FOR_ONE: u64 = 1;
/// Stands for the number of a descriptor where there is none.
const NONE: u32 = u32::MAX;
/// How many words an encoded wire handle has, and which of them have parts of the check.
const WORDS: usize = 7;
const CHECKED: usize = 4;
/// Where the part of the check begins in a word that names a place.
const CHECK_SHIFT: u32 = 48;
/// How many bytes an encoded wire handle has.
pub const LENGTH: usize = 8 * WORDS;

/// Why a wire handle does not lead anywhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireHandleError {
    /// The bytes are no wire handle, or one for something else.
    #[error("these bytes do not name a shared object of this kind")]
    Damaged,
    /// The process that sent it has ended, or closed the memory, before it was used.
    #[error(
        "the shared object is gone: process {pid}, which sent it, ended or dropped it before it arrived"
    )]
    SenderGone {
        /// The sender.
        pid: u32,
    },
    /// The system's.
    #[error("the shared object cannot be opened: {0}")]
    System(#[from] io::Error),
}

impl WireHandle {
    /// A wire handle for `slot`, in which something of this kind lies, that will be sent on its own:
    /// the calling process keeps the region until it was used.
    #[must_use]
    pub fn send(slot: &Slot, kind: u32) -> Self {
        slot.region().handed().give_to_anybody();
        Self { is_for_one: false, ..Self::send_to_one(slot, kind) }
    }

    /// The same for one process that is being started, which will open it once at most.
    #[must_use]
    pub fn send_to_one(slot: &Slot, kind: u32) -> Self {
        let region = slot.region();
        region.handed().give();
        region.note_sent();
        in_transit::let_go_of_arrived();
        in_transit::keep(region);
        Self { awaited: true, is_for_one: true, ..Self::of(slot, kind) }
    }

    /// Says that a wire handle which was [sent](Self::send) for something in `region` will not be
    /// used.
    pub fn take_back(region: &Region) {
        region.note_used();
        in_transit::let_go_of_arrived();
    }

    /// A wire handle for `slot` that may be opened any number of times while the caller keeps the
    /// region, or with a descriptor.
    #[must_use]
    pub fn new(slot: &Slot, kind: u32) -> Self {
        slot.region().handed().give_to_anybody();
        Self::of(slot, kind)
    }

    /// The same for one process that is being started, which will open it once at most.
    #[must_use]
    pub(crate) fn for_one(slot: &Slot, kind: u32) -> Self {
        slot.region().handed().give();
        Self { is_for_one: true, ..Self::of(slot, kind) }
    }

    /// A wire handle for `slot` that the calling process alone opens.
    #[must_use]
    pub fn to_self(slot: &Slot, kind: u32) -> Self {
        Self::of(slot, kind)
    }

    fn of(slot: &Slot, kind: u32) -> Self {
        slot.leaves(kind);
        let region = slot.region();
        Self {
            identity: region.identity(),
            process: ProcessId::current().raw(),
            fd: region.as_fd().as_raw_fd().cast_unsigned(),
            companion: region.companion().map_or(NONE, |fd| fd.as_raw_fd().cast_unsigned()),
            kind,
            offset: slot.offset() as u64,
            length: slot.length() as u64,
            mapped: region.length() as u64,
            awaited: false,
            is_for_one: false,
        }
    }

    /// The wire handle as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let fd = self.fd | if self.awaited { AWAITED } else { 0 };
        let low = u64::from(fd) << 32 | u64::from(self.kind);
        let process = self.process | if self.is_for_one { FOR_ONE } else { 0 };
        let Self { identity, companion, offset, length, mapped, .. } = *self;
        let mut words = [identity, process, low, companion.into(), offset, length, mapped];
        let check = check(&words);
        for (word, part) in words[CHECKED..].iter_mut().zip(check) {
            *word |= part << CHECK_SHIFT;
        }
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The wire handle that was encoded, for something of this kind.
    ///
    /// # Errors
    /// [`WireHandleError::Damaged`].
    pub fn decode(bytes: &[u8], kind: u32) -> Result<Self, WireHandleError> {
        Self::decode_any(bytes).and_then(|wire_handle| {
            if wire_handle.kind == kind { Ok(wire_handle) } else { Err(WireHandleError::Damaged) }
        })
    }

    /// The wire handle that was encoded, for whatever it is.
    pub(crate) fn decode_any(bytes: &[u8]) -> Result<Self, WireHandleError> {
        let bytes: &[u8; LENGTH] = bytes.try_into().map_err(|_| WireHandleError::Damaged)?;
        let word = |n: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[8 * n + i]));
        let mut words: [u64; WORDS] = std::array::from_fn(word);
        let mut parts = [0; 3];
        for (word, part) in words[CHECKED..].iter_mut().zip(&mut parts) {
            *part = *word >> CHECK_SHIFT;
            *word &= (1 << CHECK_SHIFT) - 1;
        }
        let [identity, process, low, companion, offset, length, mapped] = words;
        // The low half, then the high one.
        let (kind, fd) = (low as u32, (low >> 32) as u32);
        if parts != check(&words) {
            return Err(WireHandleError::Damaged);
        }
        let companion = u32::try_from(companion).map_err(|_| WireHandleError::Damaged)?;
        let (awaited, fd) = (fd & AWAITED != 0, fd & !AWAITED);
        let (is_for_one, process) = (process & FOR_ONE != 0, process & !FOR_ONE);
        Ok(Self {
            identity,
            process,
            fd,
            companion,
            kind,
            offset,
            length,
            mapped,
            awaited,
            is_for_one,
        })
    }

    /// What lies there.
    pub(crate) fn kind(&self) -> u32 {
        self.kind
    }

    /// The identity of its region.
    pub(crate) fn region(&self) -> u64 {
        self.identity
    }

    /// Whether a second descriptor belongs to its region.
    pub(crate) fn has_companion(&self) -> bool {
        self.companion != NONE
    }

    /// Its region, if this process has that.
    pub(crate) fn known(&self) -> Option<Arc<Region>> {
        Region::known(self.identity)
    }

    /// What the wire handle names, from where this process has it or else from its sender.
    ///
    /// # Errors
    /// [`WireHandleError`].
    pub fn open(&self) -> Result<Slot, WireHandleError> {
        let region = match Region::known(self.identity) {
            Some(known) => known,
            None => {
                let memory = self.reopen(self.fd, |memory| memory.kind() == FileType::RegularFile);
                self.attach(memory?)?
            }
        };
        if region.lacks_companion() {
            let companion = self.reopen(self.companion, |fifo| region.is_companion(fifo.stat()));
            region.keep_companion(companion?);
        }
        if self.awaited {
            region.note_used();
        }
        self.opened(region)
    }

    /// What an encoded wire handle names, and of which kind it is, whatever that may be.
    ///
    /// # Errors
    /// [`WireHandleError`].
    pub fn open_any(bytes: &[u8]) -> Result<(u32, Slot), WireHandleError> {
        let wire_handle = Self::decode_any(bytes)?;
        Ok((wire_handle.kind, wire_handle.open()?))
    }

    /// What the wire handle names, behind descriptors that this process was given: that of the
    /// memory, and that of what accompanies it, if anything does. Several wire handles of one
    /// region may have come with the same descriptors: the first keeps them.
    ///
    /// # Errors
    /// [`WireHandleError`].
    pub(crate) fn open_with(
        &self,
        fd: OwnedFd,
        companion: Option<OwnedFd>,
    ) -> Result<Slot, WireHandleError> {
        let region = match Region::known(self.identity) {
            Some(known) => {
                let is_its_own = known.as_fd().as_raw_fd() == fd.as_raw_fd();
                if is_its_own || known.presence().hangs_on_descriptors() {
                    // Closing it would close the region's, or end the presence of this process.
                    let _ = fd.into_raw_fd();
                }
                known
            }
            None => self.attach(fd)?,
        };
        if let Some(companion) = companion {
            if !region.is_companion(&rustix::fs::fstat(&companion).map_err(io::Error::from)?) {
                return Err(WireHandleError::Damaged);
            }
            region.keep_companion(companion);
        } else if region.lacks_companion() {
            return Err(WireHandleError::Damaged);
        }
        self.opened(region)
    }

    /// The slot in a region which this process has, and is present in, by now.
    fn opened(&self, region: Arc<Region>) -> Result<Slot, WireHandleError> {
        if self.is_for_one {
            region.handed().open();
        }
        self.slot(region)
    }

    fn attach(&self, fd: OwnedFd) -> Result<Arc<Region>, WireHandleError> {
        let mapped = usize::try_from(self.mapped).map_err(|_| WireHandleError::Damaged)?;
        match Region::attach(fd, self.identity, mapped) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(self.sender_gone()),
            attached => Ok(attached?),
        }
    }

    fn slot(&self, region: Arc<Region>) -> Result<Slot, WireHandleError> {
        let part = |n: u64| usize::try_from(n).map_err(|_| WireHandleError::Damaged);
        let (offset, length) = (part(self.offset)?, part(self.length)?);
        if !region.holds(offset, length, self.kind) {
            return Err(WireHandleError::Damaged);
        }
        Slot::at(region, offset, length).ok_or(WireHandleError::Damaged)
    }

    fn sender_gone(&self) -> WireHandleError {
        let pid = ProcessId::from_raw(self.process).map_or(0, ProcessId::pid);
        WireHandleError::SenderGone { pid }
    }

    /// What the sender has behind a descriptor, if it `is_it`.
    fn reopen(
        &self,
        number: u32,
        is_it: impl FnOnce(&Foreign) -> bool,
    ) -> Result<OwnedFd, WireHandleError> {
        let sender = ProcessId::from_raw(self.process).ok_or(WireHandleError::Damaged)?;
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => self.sender_gone(),
            _ => WireHandleError::System(error),
        };
        let file = Foreign::of_process(sender.pid(), number).map_err(gone)?;
        if !is_it(&file) {
            return Err(self.sender_gone());
        }
        file.open().map_err(WireHandleError::System)
    }
}

/// The three parts of the check of a wire handle's words, each bit of which depends on all of them.
fn check(words: &[u64; WORDS]) -> [u64; 3] {
    let mixed = words.iter().fold(0xcbf2_9ce4_8422_2325_u64, |mixed, word| {
        let mixed = (mixed ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    });
    [mixed & 0xffff, mixed >> 16 & 0xffff, mixed >> 32 & 0xffff]
}

#[cfg(test)]
#[path = "wire_handle_tests.rs"]
mod tests;
