//! A region: anonymous shared memory that lives as long as some process has it mapped, and that
//! processes which have not inherited it can find.
//!
//! ```text
//! 0                          HEADER                            length, may grow
//! │ magic, identity, records │ what it is for                  │
//! ```
//!
//! A record says what lies in the region, or in a slot of it if it is a [slab](crate::shm::slab): a
//! wire handle that says something else is refused. So no process takes the memory of a lock for
//! numbers to write to, whatever bytes a wire handle was decoded from.
//!
//! Unlike a [`Segment`](crate::shm::segment::Segment), which belongs to one pool and one worker, a
//! region is inherited by forked children, mapping and descriptor, and other processes open it with
//! a [`WireHandle`](crate::shm::wire_handle::WireHandle). The kernel counts its users, and frees
//! the memory when the last process has dropped it or died.

use std::collections::HashMap;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use rustix::fs::{FileType, Stat};

use crate::os::fork::Owner;
use crate::os::map::Mapping;
use crate::os::memfd;
use crate::shm::handed::Handed;
use crate::shm::presence::Presence;
use crate::shm::tables::{self, Table};

/// Where the part that users of a region may lay out begins.
pub(crate) const HEADER: usize = 128;
/// "millpond", and the version of the layouts of everything that lies in regions.
const MAGIC: u64 = u64::from_le_bytes(*b"millpnd\x05");

/// The first bytes of every region. All but the counters are written once, before any other process
/// knows the region.
#[derive(Debug)]
#[repr(C)]
struct Header {
    magic: AtomicU64,
    identity: AtomicU64,
    /// Wire handles that were sent to processes, and how many of them were used. While they differ a
    /// wire handle is on its way.
    sent: AtomicU64,
    used: AtomicU64,
    /// How many bytes the slots of a slab have, whose records follow the header; 0 for memory of one
    /// thing, which has this one.
    slot_size: AtomicU64,
    /// Which file the [companion](Region::companion) is, so that nothing else is taken for it; 0 if
    /// there is none.
    companion: AtomicU64,
    record: SlotRecord,
    handed: Handed,
}

const _: () = assert!(size_of::<Header>() <= HEADER);

/// What lies in a slot.
#[derive(Debug)]
#[repr(C)]
struct SlotRecord {
    kind: AtomicU32,
    length: AtomicU64,
}

/// Which bytes of a wire handle's kind say what lies in a slot. The high one says how the wire
/// handle's holder uses it.
const OBJECT: u32 = 0x00ff_ffff;

/// Where the first slot of a slab of `length` bytes lies, behind the records. `None` for sizes that no
/// slab has.
pub(crate) fn first_slot(size: usize, length: usize) -> Option<usize> {
    let records = length.checked_div(size)?.checked_mul(size_of::<SlotRecord>())?;
    records.checked_add(HEADER)?.checked_next_multiple_of(size)
}

/// All regions that are mapped here, by identity.
static MAPPED: Table<HashMap<u64, Weak<Region>>> = Table::new();

/// Anonymous shared memory, mapped from its beginning.
#[derive(Debug)]
pub struct Region {
    /// Dropped before what it refers to.
    presence: Presence,
    fd: OwnedFd,
    map: Mapping,
    identity: u64,
    /// The process that made it; `None` if another one made it and sent it here.
    maker: Option<Owner>,
    /// A descriptor that belongs to what lies here and lives as long, or -1. An atomic, as a fork
    /// may happen at any time.
    companion: AtomicI32,
}

impl Region {
    /// New zero-filled memory of `length` bytes, header included, all of it with real pages.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub(crate) fn create(name: &str, length: usize) -> io::Result<Arc<Self>> {
        Self::new(memfd::create(name, length as u64)?, length, length, 0)
    }

    /// Like [`create`](Self::create), with slots of so many bytes; the first `reserved` have pages.
    pub(crate) fn create_slab(
        name: &str,
        length: usize,
        reserved: usize,
        slot: usize,
    ) -> io::Result<Arc<Self>> {
        Self::new(memfd::create(name, length as u64)?, length, reserved, slot)
    }

    /// Like [`create`](Self::create), but only the header has pages: the others come when they are
    /// touched.
    ///
    /// # Errors
    /// The system's, when descriptors or address space have run out.
    pub(crate) fn create_sparse(name: &str, length: usize) -> io::Result<Arc<Self>> {
        Self::new(memfd::create(name, length as u64)?, length, HEADER, 0)
    }

    /// Memory of `length` bytes of which the first `mapped` are mapped, and the first `reserved`
    /// have pages. A process maps and reserves the others before it uses them.
    ///
    /// # Errors
    /// The system's, when descriptors, address space or memory have run out.
    pub(crate) fn create_partly(
        name: &str,
        length: u64,
        mapped: usize,
        reserved: usize,
    ) -> io::Result<Arc<Self>> {
        Self::new(memfd::create(name, length)?, mapped, reserved, 0)
    }

    fn new(fd: OwnedFd, length: usize, reserved: usize, slot: usize) -> io::Result<Arc<Self>> {
        memfd::reserve(fd.as_fd(), 0, reserved as u64)?;
        let map = Mapping::new(fd.as_fd(), 0, length)?;
        let identity = random()?;
        let maker = Some(Owner::current());
        let presence = enter(fd.as_fd(), &map)?;
        let region = Self { presence, fd, map, identity, maker, companion: AtomicI32::new(-1) };
        // Relaxed: no other process knows the region yet.
        region.header().identity.store(identity, Ordering::Relaxed);
        region.header().slot_size.store(slot as u64, Ordering::Relaxed);
        region.header().magic.store(MAGIC, Ordering::Relaxed);
        let region = Arc::new(region);
        MAPPED.of(&mut tables::lock()).insert(identity, Arc::downgrade(&region));
        Ok(region)
    }

    /// Maps the first `length` bytes of the region behind `fd`, or all if that is `None`; the one
    /// that this process has already, if it has.
    ///
    /// # Errors
    /// `InvalidData` if there is no such region behind it, or one that its maker can shorten while this
    /// process reads it; the system's.
    pub(crate) fn attach(fd: OwnedFd, identity: u64, length: usize) -> io::Result<Arc<Self>> {
        let size = rustix::fs::fstat(&fd)?.st_size.cast_unsigned();
        if length < HEADER || size < length as u64 || !memfd::cannot_shrink(fd.as_fd()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let map = Mapping::new(fd.as_fd(), 0, length)?;
        let presence = enter(fd.as_fd(), &map)?;
        let region =
            Self { presence, fd, map, identity, maker: None, companion: AtomicI32::new(-1) };
        let header = region.header();
        // Relaxed: written before the wire handle was.
        if header.magic.load(Ordering::Relaxed) != MAGIC
            || header.identity.load(Ordering::Relaxed) != identity
        {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let region = Arc::new(region);
        let mut tables = tables::lock();
        let mapped = MAPPED.of(&mut tables);
        if let Some(known) = mapped.get(&identity).and_then(Weak::upgrade) {
            // Another thread was faster.
            drop(tables);
            return Ok(known);
        }
        mapped.insert(identity, Arc::downgrade(&region));
        drop(tables);
        Ok(region)
    }

    /// The region of this identity, if this process has it mapped.
    pub(crate) fn known(identity: u64) -> Option<Arc<Self>> {
        MAPPED.of(&mut tables::lock()).get(&identity).and_then(Weak::upgrade)
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned and at least a header long; any bits are valid
        // atomics, and every process accesses them as such.
        unsafe { self.map.start().cast::<Header>().as_ref() }
    }

    /// What tells this region from all others.
    #[must_use]
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// The first byte; `length` bytes stay mapped as long as the region lives.
    #[must_use]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.map.start()
    }

    /// How many bytes are mapped.
    #[must_use]
    pub(crate) fn length(&self) -> usize {
        self.map.length()
    }

    /// What says that the calling process lives, to others that have the region.
    pub(crate) fn presence(&self) -> &Presence {
        &self.presence
    }

    /// The record of the slot at `offset`. Another process may have made the region: its numbers are
    /// checked.
    fn record(&self, offset: usize) -> Option<&SlotRecord> {
        // Relaxed: written before the region was known.
        let size = usize::try_from(self.header().slot_size.load(Ordering::Relaxed)).ok()?;
        if size == 0 {
            return (offset == HEADER).then_some(&self.header().record);
        }
        let from_first = offset.checked_sub(first_slot(size, self.length())?)?;
        if !from_first.is_multiple_of(size) || offset.checked_add(size)? > self.length() {
            return None;
        }
        let place = HEADER + from_first / size * size_of::<SlotRecord>();
        // SAFETY: there are as many records as sizes in the length, all before the first slot, which
        // lies in the mapping; they are aligned to 16, and any bits are valid atomics.
        Some(unsafe { self.map.start().add(place).cast::<SlotRecord>().as_ref() })
    }

    /// Records what lies in the slot at `offset`.
    pub(crate) fn describe(&self, offset: usize, length: usize, kind: u32) {
        if let Some(record) = self.record(offset) {
            // Relaxed: the wire handle that leads to the slot is sent afterwards.
            record.kind.store(kind & OBJECT, Ordering::Relaxed);
            record.length.store(length as u64, Ordering::Relaxed);
        }
    }

    /// Whether that lies in the slot at `offset` which a wire handle says.
    pub(crate) fn holds(&self, offset: usize, length: usize, kind: u32) -> bool {
        self.record(offset).is_some_and(|record| {
            // Relaxed: written before the wire handle was.
            record.kind.load(Ordering::Relaxed) == kind & OBJECT
                && record.length.load(Ordering::Relaxed) == length as u64
        })
    }

    /// Gives the region a second descriptor, the companion: each process that has the region has
    /// that, too. To be called before another process has the region.
    pub(crate) fn accompany(&self, fd: OwnedFd) -> io::Result<()> {
        let mark = mark_of(&rustix::fs::fstat(&fd)?);
        // Relaxed: no other process knows the region yet.
        self.header().companion.store(mark, Ordering::Relaxed);
        self.keep_companion(fd);
        Ok(())
    }

    /// Whether this process has the region without the descriptor that belongs to it.
    pub(crate) fn lacks_companion(&self) -> bool {
        // Relaxed: written before the wire handle was.
        self.companion().is_none() && self.header().companion.load(Ordering::Relaxed) != 0
    }

    /// Whether a file is the one that belongs to the region.
    pub(crate) fn is_companion(&self, file: &Stat) -> bool {
        // Relaxed: as above.
        FileType::from_raw_mode(file.st_mode) == FileType::Fifo
            && self.header().companion.load(Ordering::Relaxed) == mark_of(file)
    }

    /// Keeps a descriptor for as long as this process has the region, unless it keeps one already.
    pub(crate) fn keep_companion(&self, fd: OwnedFd) {
        let raw = fd.into_raw_fd();
        // Relaxed: the number stands for itself; what it means is the kernel's.
        let kept = self.companion.compare_exchange(-1, raw, Ordering::Relaxed, Ordering::Relaxed);
        // Several wire handles of one region may have come with one descriptor: the first keeps it.
        if kept.is_err_and(|kept| kept != raw) {
            // SAFETY: it was an owned descriptor a moment ago, and nothing else has its number.
            drop(unsafe { OwnedFd::from_raw_fd(raw) });
        }
    }

    /// The descriptor that was given to be kept.
    pub(crate) fn companion(&self) -> Option<BorrowedFd<'_>> {
        let raw = self.companion.load(Ordering::Relaxed);
        // SAFETY: it was put there as an owned descriptor, and is closed when `self` is dropped.
        (raw >= 0).then(|| unsafe { BorrowedFd::borrow_raw(raw) })
    }

    /// Whether the calling process made it: others have it only if it was sent or inherited.
    pub(crate) fn is_made_here(&self) -> bool {
        self.maker.is_some_and(Owner::is_current)
    }

    /// The counters of processes that have the region or are yet to open it.
    pub(crate) fn handed(&self) -> &Handed {
        &self.header().handed
    }

    pub(crate) fn note_sent(&self) {
        // Relaxed: a count; it guards no data.
        self.header().sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_used(&self) {
        let Header { sent, used, .. } = self.header();
        // One wire handle may be used by many, as that of a function which all workers of a pool
        // get: those uses must not count for wire handles that are sent later. Relaxed: as above.
        let _ = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < sent.load(Ordering::Relaxed)).then(|| count + 1)
        });
    }

    /// Whether a wire handle may be on its way.
    pub(crate) fn is_in_transit(&self) -> bool {
        let used = self.header().used.load(Ordering::Relaxed);
        self.header().sent.load(Ordering::Relaxed) > used
    }
}

impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let companion = *self.companion.get_mut();
        if companion >= 0 {
            // SAFETY: see `keep_companion`; it is not borrowed any more.
            drop(unsafe { OwnedFd::from_raw_fd(companion) });
        }
        let mut tables = tables::lock();
        let mapped = MAPPED.of(&mut tables);
        // A newer mapping of the same region may have taken the place.
        if mapped.get(&self.identity).is_some_and(|known| known.strong_count() == 0) {
            mapped.remove(&self.identity);
        }
    }
}

/// The presence of the calling process in a region that is mapped whole or in part.
fn enter(fd: BorrowedFd<'_>, map: &Mapping) -> io::Result<Presence> {
    // SAFETY: a header lies at the start of every mapping of a region, all of whose fields are
    // accessed as atomics; a region drops its presence before its mapping.
    unsafe {
        let handed = map.start().add(offset_of!(Header, handed)).cast();
        Presence::enter(fd, map.start(), map.length(), handed)
    }
}

/// What tells a file from others, in one word that is not 0.
fn mark_of(file: &Stat) -> u64 {
    (file.st_ino ^ file.st_dev.rotate_left(40)) | 1 << 63
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_le_bytes(bytes))
}
