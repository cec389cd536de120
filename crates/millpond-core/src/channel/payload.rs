//! Payloads: the arguments and results of tasks and the items of queues, as parts that need not lie side by side.
//!
//! A payload of one part is its bytes. One of several parts begins with their lengths (u64 each),
//! and every part begins at a multiple of `ALIGNMENT`, so that arrays can be read in place.

use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::channel::attachments::{self, Opened};
use crate::shm::heap::BlockRef;
use crate::shm::lease::{Importer, Lease};
use crate::shm::slab::Slot;

/// Payloads up to this length lie in the frame that carries them, longer ones in blocks. Measured: up
/// to here two copies cost less than a block.
pub const INLINE_LIMIT: usize = 32 << 10;

/// What parts of a payload with several are aligned to, relative to the payload.
pub(crate) const ALIGNMENT: usize = 64;

/// Bytes that a payload is gathered from, wherever they are.
pub trait Part {
    /// How many bytes there are.
    fn length(&self) -> usize;

    /// Copies them to `out`, which has that length.
    fn copy_to(&self, out: &mut [u8]);
}

impl Part for &[u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn copy_to(&self, out: &mut [u8]) {
        out.copy_from_slice(self);
    }
}

impl Part for Vec<u8> {
    fn length(&self) -> usize {
        self.len()
    }

    fn copy_to(&self, out: &mut [u8]) {
        out.copy_from_slice(self);
    }
}

/// A payload to be sent, gathered from several places.
#[derive(Clone, Copy)]
pub struct Parts<'a>(pub &'a [&'a dyn Part]);

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|part| part.length())).finish()
    }
}

impl Parts<'_> {
    /// How many parts there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// How many bytes the payload takes on the wire.
    #[must_use]
    pub fn encoded_length(&self) -> usize {
        match self.0 {
            [only] => only.length(),
            parts => parts
                .iter()
                .fold(parts.len() * 8, |end, part| end.next_multiple_of(ALIGNMENT) + part.length()),
        }
    }

    /// Writes the payload to `out`, which is as long as [`encoded_length`](Self::encoded_length).
    pub fn encode(&self, out: &mut [u8]) {
        if let [only] = self.0 {
            return only.copy_to(out);
        }
        let mut end = self.0.len() * 8;
        for (index, part) in self.0.iter().enumerate() {
            out[index * 8..][..8].copy_from_slice(&(part.length() as u64).to_le_bytes());
            let start = end.next_multiple_of(ALIGNMENT);
            end = start + part.length();
            part.copy_to(&mut out[start..end]);
        }
    }

    /// The payload in memory of its own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = vec![0; self.encoded_length()];
        self.encode(&mut out);
        out
    }
}

/// What a handle of some kind that was on its way counted for, and does not any more.
type Settle = fn(kind: u32, object: Slot);

static SETTLE: OnceLock<Settle> = OnceLock::new();

/// Has `settle` called for each handle in a payload [once it is settled](Payload::settle). The first
/// call decides.
pub fn when_settled(settle: Settle) {
    let _ = SETTLE.set(settle);
}

/// A payload that was received: one part at least.
#[derive(Debug)]
pub struct Payload {
    storage: Storage,
    parts: Vec<Range<usize>>,
    /// The shared objects whose handles are in it, which are on their way to it, and other
    /// descriptors: all kept as long as it.
    attachments: Opened,
    /// Whether they are on their way no more.
    settled: AtomicBool,
}

#[derive(Debug)]
enum Storage {
    Own(Vec<u8>),
    Lent(Lease),
}

impl Storage {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Lent(lease) => lease.bytes(),
        }
    }
}

impl Payload {
    /// A payload of one part.
    #[must_use]
    pub fn single(bytes: Vec<u8>) -> Self {
        let whole = 0..bytes.len();
        Self::of(Storage::Own(bytes), vec![whole])
    }

    /// A payload of `parts` parts from a copy of its bytes. `None` if they are damaged.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>, parts: u32) -> Option<Self> {
        Self::new(Storage::Own(bytes), parts)
    }

    /// A payload of `parts` parts that is read in place. `None` if its bytes are damaged.
    #[must_use]
    pub fn from_lease(lease: Lease, parts: u32) -> Option<Self> {
        Self::new(Storage::Lent(lease), parts)
    }

    /// A payload of `parts` parts in a block of the heap behind `fd`: read in place, or copied where
    /// there is no address space for that.
    ///
    /// # Errors
    /// `InvalidData` if it is damaged. Others for want of memory; then the block stays lent.
    pub(crate) fn import(
        importer: &mut Importer,
        fd: BorrowedFd<'_>,
        block: BlockRef,
        parts: u32,
    ) -> io::Result<Self> {
        let payload = match importer.open(fd, block) {
            Ok(lease) => Self::from_lease(lease, parts),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(_) => Self::from_bytes(importer.copy(fd, block)?, parts),
        };
        payload.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn new(storage: Storage, count: u32) -> Option<Self> {
        let bytes = storage.bytes();
        let count = count as usize;
        if count == 1 {
            let whole = 0..bytes.len();
            return Some(Self::of(storage, vec![whole]));
        }
        if count == 0 {
            return None;
        }
        let mut end = count.checked_mul(8).filter(|&table| table <= bytes.len())?;
        let mut parts = Vec::with_capacity(count);
        for length in bytes[..end].chunks_exact(8) {
            let length = u64::from_le_bytes(length.try_into().ok()?);
            let start = end.checked_next_multiple_of(ALIGNMENT)?;
            end = start.checked_add(usize::try_from(length).ok()?)?;
            if end > bytes.len() {
                return None;
            }
            parts.push(start..end);
        }
        Some(Self::of(storage, parts))
    }

    fn of(storage: Storage, parts: Vec<Range<usize>>) -> Self {
        Self { storage, parts, attachments: Opened::default(), settled: AtomicBool::new(false) }
    }

    /// Takes off the last part, a [note](attachments), and opens what it names: that stays as long as
    /// the payload. `bundle_of` finds the bundle that came with the note. False if there is no note,
    /// or nothing but that, which is damage.
    #[must_use]
    pub(crate) fn open_handles(&mut self, bundle_of: impl FnOnce(u64) -> Option<OwnedFd>) -> bool {
        let [_, .., last] = &self.parts[..] else {
            return false;
        };
        let last = last.clone();
        self.parts.pop();
        let opened = attachments::open(&self.storage.bytes()[last], bundle_of);
        let is_note = opened.is_some();
        self.attachments = opened.unwrap_or_default();
        is_note
    }

    /// The descriptors that came with it, beside those of shared objects.
    #[must_use]
    pub fn descriptors(&self) -> &[OwnedFd] {
        &self.attachments.others
    }

    /// Whether there are handles in it.
    #[must_use]
    pub fn has_attachments(&self) -> bool {
        !self.attachments.objects.is_empty()
    }

    /// Ends the way of the handles in it: what was decoded from it are copies, that count for
    /// themselves. Once, and when it is dropped at the latest.
    pub fn settle(&self) {
        // Relaxed: the one that turns it acts, and orders nothing by it.
        if self.has_attachments()
            && !self.settled.swap(true, Ordering::Relaxed)
            && let Some(settle) = SETTLE.get()
        {
            for (kind, slot) in &self.attachments.objects {
                let region = Arc::clone(slot.region());
                if let Some(slot) = Slot::at(region, slot.offset(), slot.length()) {
                    settle(*kind, slot);
                }
            }
        }
    }

    /// How many parts it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// One part's bytes.
    ///
    /// # Panics
    /// When there is no such part.
    #[must_use]
    pub fn part(&self, index: usize) -> &[u8] {
        &self.storage.bytes()[self.parts[index].clone()]
    }

    /// Whether the bytes lie in shared memory, which is lent until the payload is dropped.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        !matches!(self.storage, Storage::Own(_))
    }

    /// The address of a part that is read in place, and may be written there too, as long as the
    /// payload lives: by this process alone, and by each child that it forks for itself. `None` for
    /// one that has to be copied.
    ///
    /// # Panics
    /// When there is no such part.
    #[must_use]
    pub fn lend(&self, index: usize) -> Option<usize> {
        let start = self.parts[index].start;
        let whole = match &self.storage {
            Storage::Lent(lease) => lease.lend(),
            Storage::Own(_) => None,
        };
        Some(whole?.as_ptr().addr() + start)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(parts: &[&[u8]]) {
        let gathered: Vec<&dyn Part> = parts.iter().map(|p| p as &dyn Part).collect();
        let sent = Parts(&gathered);
        let received = Payload::from_bytes(sent.to_vec(), sent.count()).expect("intact");
        assert_eq!(received.count(), parts.len());
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(received.part(index), *part);
        }
    }

    #[test]
    fn parts_arrive_as_they_were() {
        round_trip(&[b"one"]);
        round_trip(&[b""]);
        round_trip(&[b"one", b"", &[3; 1000]]);
    }

    #[test]
    fn later_parts_are_aligned() {
        let parts = Parts(&[&&b"a"[..], &&b"bc"[..]]).to_vec();
        assert_eq!(parts[64], b'a');
        assert_eq!(&parts[128..], b"bc");
    }

    #[test]
    fn handles_are_not_all_that_there_is() {
        let none = |_| None;
        assert!(!Payload::single(vec![0; 64]).open_handles(none));
        let parts = Parts(&[&&b"a"[..], &&b"no wire handle"[..]]);
        let mut payload = Payload::from_bytes(parts.to_vec(), 2).expect("intact");
        assert!(!payload.open_handles(none));
        let note = [&[0; 16][..], &[7; 56]].concat();
        let parts = Parts(&[&&b"a"[..], &note]);
        let mut payload = Payload::from_bytes(parts.to_vec(), 2).expect("intact");
        assert!(payload.open_handles(none));
        assert_eq!((payload.count(), payload.part(0)), (1, &b"a"[..]));
        assert!(!payload.open_handles(none));
    }

    #[test]
    fn damaged_tables_are_refused() {
        assert!(Payload::from_bytes(vec![0; 15], 2).is_none());
        let mut bytes = Parts(&[&&b"a"[..], &&b"b"[..]]).to_vec();
        bytes[0] = 200;
        assert!(Payload::from_bytes(bytes.clone(), 2).is_none());
        bytes[..8].fill(0xff);
        assert!(Payload::from_bytes(bytes, 2).is_none());
        assert!(Payload::from_bytes(vec![0; 64], u32::MAX).is_none());
        assert!(Payload::from_bytes(vec![0; 64], 0).is_none());
    }
}
