//! Attachments: what a message owns beside its bytes, the descriptors of the shared objects whose
//! handles it contains.
//!
//! They travel as one descriptor, a *bundle* (`os/bundle.rs`), so the kernel keeps them from when
//! the message is sent until it is decoded or dropped. Its sender may end, or be killed, at once. The
//! last part of such a message's payload is the *note*:
//!
//! ```text
//! 0         8                16
//! │ number  │ others         │ wire handles, one behind the other │
//! ```
//!
//! *Number* tells which bundle is that of the message, where they come by separate ways. The bundle
//! has, for each region that a wire handle names first, the descriptors of its memory and of its
//! companion, and then the *others*, which the message refers to by their order.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::os::bundle;
use crate::shm::region::Region;
use crate::shm::slab::Slot;
use crate::shm::wire_handle::{LENGTH, WireHandle};

/// A bit of what says how a payload is to be read: its last part is a note.
pub const HANDLES: u8 = 0x40;

const HEADER: usize = 16;

/// What a message owns, gathered by its sender while it encodes the message.
#[derive(Debug, Default)]
pub struct Attachments {
    wire_handles: Vec<u8>,
    /// Each once, in the order of the wire handles. Kept, since the sender may drop its handles
    /// before the message is sent.
    regions: Vec<Arc<Region>>,
    known: HashSet<u64>,
    others: Vec<OwnedFd>,
}

/// What came with a message.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// What the wire handles lead to, by their kinds.
    pub(crate) objects: Vec<(u32, Slot)>,
    pub(crate) others: Vec<OwnedFd>,
}

impl Attachments {
    /// Attaches what lies in `slot`; the wire handle that stands for it in the message.
    pub fn add(&mut self, slot: &Slot, kind: u32) -> [u8; LENGTH] {
        let wire_handle = WireHandle::new(slot, kind).encode();
        self.keep(&wire_handle, Arc::clone(slot.region()));
        wire_handle
    }

    /// Attaches what a wire handle of this process' leads to.
    pub fn add_wire_handle(&mut self, wire_handle: &[u8]) {
        if let Ok(Some(region)) =
            WireHandle::decode_any(wire_handle).map(|wire_handle| wire_handle.known())
        {
            self.keep(wire_handle, region);
        }
    }

    fn keep(&mut self, wire_handle: &[u8], region: Arc<Region>) {
        self.wire_handles.extend_from_slice(wire_handle);
        if self.known.insert(region.identity()) {
            self.regions.push(region);
        }
    }

    /// Attaches a descriptor of another kind; its number among those.
    pub fn add_descriptor(&mut self, fd: OwnedFd) -> usize {
        self.others.push(fd);
        self.others.len() - 1
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wire_handles.is_empty() && self.others.is_empty()
    }

    /// The bundle.
    ///
    /// # Errors
    /// The system's; see [`bundle::pack`].
    pub(crate) fn pack(&self) -> io::Result<OwnedFd> {
        let mut fds = Vec::new();
        for region in &self.regions {
            fds.push(region.as_fd());
            fds.extend(region.companion());
        }
        fds.extend(self.others.iter().map(AsFd::as_fd));
        bundle::pack(&fds)
    }

    /// The note.
    pub(crate) fn note(&self, number: u64) -> Vec<u8> {
        let mut note = Vec::with_capacity(HEADER + self.wire_handles.len());
        note.extend_from_slice(&number.to_le_bytes());
        note.extend_from_slice(&(self.others.len() as u64).to_le_bytes());
        note.extend_from_slice(&self.wire_handles);
        note
    }
}

/// The attachments of a message with this note; `bundle_of` finds its bundle. A handle whose
/// descriptor is not in the bundle, or leads nowhere, fails when it is opened later. `None` if the
/// bytes are no note.
pub(crate) fn open(note: &[u8], bundle_of: impl FnOnce(u64) -> Option<OwnedFd>) -> Option<Opened> {
    let (header, wire_handles) = note.split_first_chunk::<HEADER>()?;
    let word = |n: usize| u64::from_le_bytes(std::array::from_fn(|i| header[8 * n + i]));
    let (number, others) = (word(0), usize::try_from(word(1)).ok()?);
    let wire_handles: Vec<_> = wire_handles
        .chunks_exact(LENGTH)
        .filter_map(|bytes| WireHandle::decode_any(bytes).ok())
        .collect();
    let mut seen = HashSet::new();
    let is_first: Vec<_> =
        wire_handles.iter().map(|wire_handle| seen.insert(wire_handle.region())).collect();
    let firsts = wire_handles.iter().zip(&is_first).filter(|&(_, &is_first)| is_first);
    let of_regions = firsts.map(|(wire_handle, _)| 1 + usize::from(wire_handle.has_companion()));
    let count = of_regions.sum::<usize>().checked_add(others)?;
    let fds = bundle_of(number).map(|bundle| bundle::unpack(&bundle, count));
    let mut fds = fds.and_then(Result::ok).unwrap_or_default().into_iter();
    let mut opened = Opened::default();
    for (wire_handle, is_first) in wire_handles.iter().zip(is_first) {
        let slot = match if is_first { fds.next() } else { None } {
            Some(memory) => {
                let companion = if wire_handle.has_companion() { fds.next() } else { None };
                wire_handle.open_with(memory, companion)
            }
            None => wire_handle.open(),
        };
        opened.objects.extend(slot.ok().map(|slot| (wire_handle.kind(), slot)));
    }
    opened.others = fds.collect();
    Some(opened)
}
