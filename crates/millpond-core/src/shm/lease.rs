//! The receiving side of a heap: blocks are read in place and go back when the lease is dropped.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use crate::os::fork::Owner;
use crate::os::memfd;
use crate::shm::heap::{BLOCK_HEADER, BlockRef, FREE, class_of};
use crate::shm::loans::{self, Lender, Loan, Part, State};
use crate::shm::mapped::MappedBlocks;
use crate::shm::segment::HEAP_START;
use crate::shm::window::Window;

/// The windows that are kept mapped although no lease needs them: 1 GiB of address space at most.
const KEPT_WINDOWS: usize = 16;

/// Maps the windows of another process' heap that its blocks lie in.
#[derive(Debug, Default)]
pub(crate) struct Importer {
    windows: HashMap<Window, Arc<MappedBlocks>>,
    /// A length that the segment has at least.
    end: u64,
    /// How many blocks were opened since windows were last let go of.
    opened: usize,
}

/// The right to read, and to write, a block of shared memory, which goes back when this is dropped.
///
/// A forked child has a copy of this value, not the block, which it does not give back. What was
/// lent to readers before is a copy there too.
#[derive(Debug)]
pub struct Lease {
    lender: Arc<dyn Lender>,
    part: Part,
    /// Bytes of the part before the payload.
    header: usize,
    holder: Owner,
    /// Since its address was given away.
    loan: OnceLock<Loan>,
    /// Whether the block goes back when this is dropped.
    is_held: bool,
}

impl Importer {
    /// The block that a ring named, in the heap of the segment behind `fd`: always the same one.
    ///
    /// # Errors
    /// `InvalidData` for a reference that no heap could have made; the system's when address
    /// space has run out.
    pub(crate) fn open(&mut self, fd: BorrowedFd<'_>, block: BlockRef) -> io::Result<Lease> {
        let (length, class) = self.checked(fd, block)?;
        let window = Window::around(block.offset, class);
        let at = usize::try_from(block.offset - window.start).map_err(|_| invalid())?;
        self.opened += 1;
        if self.windows.len() > KEPT_WINDOWS && self.opened > self.windows.len() {
            self.opened = 0;
            self.windows.retain(|_, map| Arc::strong_count(map) > 1);
        }
        if let Some(map) = self.windows.get(&window)
            && map.can_be_used_again()
        {
            return Ok(Lease::of_block(Arc::clone(map), at, length));
        }
        let map = Arc::new(MappedBlocks::new(fd, window.start, window.length)?);
        if map.can_be_lent() {
            self.windows.insert(window, Arc::clone(&map));
        }
        Ok(Lease::of_block(map, at, length))
    }

    /// What is in the block, in memory of this process, for want of address space. The block stays
    /// lent if there is no memory either.
    ///
    /// # Errors
    /// `InvalidData` as for [`open`](Self::open); `OutOfMemory`.
    pub(crate) fn copy(&mut self, fd: BorrowedFd<'_>, block: BlockRef) -> io::Result<Vec<u8>> {
        let (length, _) = self.checked(fd, block)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        bytes.resize(length, 0);
        let mut done = 0;
        while done < length {
            let from = block.offset + (BLOCK_HEADER + done) as u64;
            match rustix::io::pread(fd, &mut bytes[done..], from) {
                Ok(0) => return Err(invalid()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        give_back(fd, block);
        Ok(bytes)
    }

    /// Checks a reference; the payload's length and the block's.
    fn checked(&mut self, fd: BorrowedFd<'_>, block: BlockRef) -> io::Result<(usize, usize)> {
        let length = usize::try_from(block.length).map_err(|_| invalid())?;
        let class = class_of(length).ok_or_else(invalid)?;
        let end = block.offset.checked_add(class as u64).ok_or_else(invalid)?;
        if block.offset < HEAP_START || !block.offset.is_multiple_of(4096) {
            return Err(invalid());
        }
        if end > self.end {
            self.end = rustix::fs::fstat(fd)?.st_size.cast_unsigned();
        }
        if end > self.end { Err(invalid()) } else { Ok((length, class)) }
    }
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Gives a block back that is mapped nowhere and was named by the heap of the segment behind `fd`.
pub(crate) fn give_back(fd: BorrowedFd<'_>, block: BlockRef) {
    // Where it fails, the block stays lent as long as this process lives.
    let _ = memfd::store(fd, block.offset, FREE);
}

impl Lease {
    /// The block `part`, whose payload begins behind `header` bytes.
    ///
    /// # Safety
    /// The part is longer than the header, mapped as long as the lender lives, and no other process
    /// writes it as long as this is held.
    pub(crate) unsafe fn new(
        lender: Arc<dyn Lender>,
        part: Part,
        header: usize,
        is_held: bool,
    ) -> Self {
        Self { lender, part, header, holder: Owner::current(), loan: OnceLock::new(), is_held }
    }

    /// The payload of the block that begins `at` bytes from the start of `map` and is longer than
    /// `length` with its header.
    pub(crate) fn of_block(map: Arc<MappedBlocks>, at: usize, length: usize) -> Self {
        let whole = length + BLOCK_HEADER;
        assert!(at + whole <= map.length());
        let part = Part { start: map.block(at), length: whole, block: at };
        // SAFETY: it lies within the mapping; senders do not touch blocks that are lent.
        unsafe { Self::new(map, part, BLOCK_HEADER, true) }
    }

    /// Which block of its lender it is.
    pub(crate) fn block(&self) -> usize {
        self.part.block
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Says whether the block goes back when this is dropped.
    pub(crate) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// The payload's first byte, for readers that a fork may duplicate: valid and writable as long as
    /// the lease or, in forked children, its copy lives. `None` if they need a copy.
    #[must_use]
    pub(crate) fn lend(&self) -> Option<NonNull<u8>> {
        if self.loan.get().is_none() && !self.lender.can_be_lent() {
            return None;
        }
        self.loan.get_or_init(|| loans::begin(Arc::clone(&self.lender), self.part));
        Some(self.start())
    }

    fn start(&self) -> NonNull<u8> {
        // SAFETY: the block is longer than its header.
        unsafe { self.part.start.add(self.header) }
    }

    /// The payload's length in bytes.
    #[must_use]
    pub(crate) fn length(&self) -> usize {
        self.part.length - self.header
    }

    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `new` was promised that it is mapped, and this process' own.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.length()) }
    }

    /// The payload, to be changed.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.length()) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_lent = match self.loan.get() {
            // A forked child has a copy of the lease, not the lease.
            None => self.is_held && self.holder.is_current(),
            // SAFETY: its readers are gone.
            Some(loan) => matches!(unsafe { loan.end() }, State::Lent),
        };
        if is_lent {
            self.lender.give_back(self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::shm::bytes::Bytes;
    use crate::shm::heap::{Heap, RECEIVER, WARM_LIMIT};
    use crate::shm::segment::Segment;
    use crate::sync::testing::{Child, until};

    fn lent<'a>(lease: &Lease) -> &'a mut [u8] {
        let start = lease.lend().expect("room");
        // SAFETY: the test has one reference at a time.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), lease.length()) }
    }

    #[test]
    fn each_process_has_what_was_lent_before_a_fork_for_itself() {
        let segment = Segment::create("millpond-test", 4096).expect("memory");
        let mut heap = Heap::new(&segment).expect("heap");
        let mut importer = Importer::default();
        let block = heap.lend(100_000, RECEIVER, |p| p.fill(1)).expect("block");
        let lease = importer.open(segment.as_fd(), block).expect("lease");
        lent(&lease)[0] = 2;
        let shared = Bytes::new(4).expect("memory");
        // SAFETY: zeroed bytes, aligned to more, used as this alone.
        let step = unsafe { shared.start().cast::<AtomicU32>().as_ref() };
        let reached = |n| until(|| step.load(Ordering::Acquire) == n);
        let child = Child::run(|| {
            lent(&lease)[1] = 3;
            step.store(1, Ordering::Release);
            reached(2);
            let seen = lent(&lease);
            assert!(seen[..3] == [2, 3, 1] && seen[3..].iter().all(|&b| b == 1));
            step.store(3, Ordering::Release);
        });
        reached(1);
        lent(&lease)[2] = 4;
        assert_eq!(lent(&lease)[..4], [2, 1, 4, 1]);
        // The block went back with the fork, and is used again.
        let again = heap.lend(100_000, RECEIVER, |p| p.fill(5)).expect("block");
        assert_eq!(again.offset, block.offset);
        let other = importer.open(segment.as_fd(), again).expect("lease");
        assert_eq!(lent(&other), [5; 100_000]);
        assert_eq!(lent(&lease)[..4], [2, 1, 4, 1]);
        drop(lease);
        assert_eq!(lent(&other), [5; 100_000]);
        step.store(2, Ordering::Release);
        reached(3);
        child.join();
        drop(other);
        assert_eq!(heap.lend(100_000, RECEIVER, |_| ()).expect("block").offset, block.offset);
    }

    #[test]
    fn what_nobody_can_read_after_a_fork_stays_where_it_is() {
        let segment = Segment::create("millpond-test", 4096).expect("memory");
        let mut heap = Heap::new(&segment).expect("heap");
        let block = heap.lend(100_000, RECEIVER, |p| p.fill(1)).expect("block");
        let lease = Importer::default().open(segment.as_fd(), block).expect("lease");
        Child::run(|| ()).join();
        assert_ne!(heap.lend(100_000, RECEIVER, |_| ()).expect("block").offset, block.offset);
        drop(lease);
        assert_eq!(heap.lend(100_000, RECEIVER, |_| ()).expect("block").offset, block.offset);
    }

    #[test]
    fn a_fork_does_not_take_twice_the_memory() {
        const LENGTH: usize = 24 << 20;
        let segment = Segment::create("millpond-test", 4096).expect("memory");
        let mut heap = Heap::new(&segment).expect("heap");
        let mut importer = Importer::default();
        let leases: Vec<_> = (0..5)
            .map(|n| {
                let block = heap.lend(LENGTH, RECEIVER, |p| p.fill(n)).expect("block");
                importer.open(segment.as_fd(), block).expect("lease")
            })
            .collect();
        assert!(leases.iter().all(|lease| lease.lend().is_some()));
        Child::run(|| ()).join();
        let pages = rustix::fs::fstat(segment.as_fd()).expect("a descriptor").st_blocks * 512;
        assert!(pages.cast_unsigned() < WARM_LIMIT + (1 << 20), "{pages}");
        for (n, lease) in (0..).zip(&leases) {
            assert!(lent(lease).iter().all(|&b| b == n));
        }
    }
}
