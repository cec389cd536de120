//! Mappings of anonymous memory: shared ones, and private ones that take their place.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};

/// Part of a memfd in the address space of this process, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping is an address range, not tied to the thread that made it; code that reads or
// writes through the pointer argues for that access.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method touches the mapped bytes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of `fd` from `offset`, both multiples of the page size, for reading
    /// and writing, shared with every other process that maps them.
    ///
    /// # Errors
    /// The system's, when address space has run out.
    pub fn new(fd: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<Self> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses a range that nothing in this process uses.
        let start = unsafe { rustix::mm::mmap(null_mut(), length, prot, flags, fd, offset)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// Keeps the mapping out of children that this process forks.
    ///
    /// # Errors
    /// The system's.
    pub fn not_in_forked_children(&self) -> io::Result<()> {
        let start = self.start.as_ptr().cast();
        // SAFETY: the range is a mapping of ours, and DONTFORK changes nothing in this process.
        unsafe { rustix::mm::madvise(start, self.length, Advice::LinuxDontFork) }?;
        Ok(())
    }

    /// Another mapping of a part of the same memory, which is as it was mapped first. The part
    /// begins at a multiple of the page size.
    ///
    /// # Errors
    /// The system's, when address space has run out.
    pub fn duplicate(&self, part: Range<usize>) -> io::Result<Self> {
        debug_assert!(part.start < part.end && part.end <= self.length);
        let length = part.end - part.start;
        let flags = MremapFlags::MAYMOVE;
        // SAFETY: within the mapping; of an old size of 0, the kernel moves nothing and maps the
        // pages once more.
        let start = unsafe {
            rustix::mm::mremap(self.start.add(part.start).as_ptr().cast(), 0, length, flags)?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// Gives the pages of a range back to the system, for all processes; they read as zero
    /// afterwards. Both numbers are multiples of the page size.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Safety
    /// The range lies within the mapping, and nobody needs what is there.
    pub unsafe fn discard(&self, offset: usize, length: usize) -> io::Result<()> {
        debug_assert!(offset + length <= self.length);
        // SAFETY: the caller promises it.
        unsafe {
            let start = self.start.as_ptr().add(offset).cast();
            Ok(rustix::mm::madvise(start, length, Advice::LinuxRemove)?)
        }
    }

    /// The mapping that was forgotten at this place.
    ///
    /// # Safety
    /// `length` bytes at `start` are a mapping that [`Mapping::new`] made and whose destructor did
    /// not and will not run.
    #[must_use]
    pub unsafe fn from_raw(start: NonNull<u8>, length: usize) -> Self {
        Self { start, length }
    }

    /// The first mapped byte.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The byte so far behind the first one.
    ///
    /// # Panics
    /// When nothing is mapped there.
    #[must_use]
    pub fn start_of(&self, offset: u64) -> NonNull<u8> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        assert!(offset < self.length);
        // SAFETY: within the mapping.
        unsafe { self.start.add(offset) }
    }

    /// How many bytes are mapped.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and nobody else unmaps it; users of the pointer
        // hold the mapping alive.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A reference to an open file description that needs no descriptor: a page of the file that cannot
/// be accessed. It ends with the address space.
#[derive(Debug)]
pub(crate) struct Reference(Mapping);

impl Reference {
    /// One to what `fd` refers to, which forked children do not have.
    ///
    /// # Errors
    /// The system's, when address space has run out.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let own = Self::inherited(fd)?;
        own.0.not_in_forked_children()?;
        Ok(own)
    }

    /// One that children have, too, which are forked while it is there.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn inherited(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let length = rustix::param::page_size();
        let (prot, flags) = (ProtFlags::empty(), MapFlags::SHARED);
        // SAFETY: the kernel chooses a range that nothing in this process uses.
        let start = unsafe { rustix::mm::mmap(null_mut(), length, prot, flags, fd, 0)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self(Mapping { start, length }))
    }

    /// Lets go of a reference that the parent of this process had: there is nothing to unmap.
    pub(crate) fn forget(self) {
        std::mem::forget(self.0);
    }
}

/// A private mapping of memory that is mapped elsewhere as shared. It cannot be accessed, but parts
/// of it can take the place of the shared one's without a descriptor.
#[derive(Debug)]
pub struct Spare {
    start: NonNull<u8>,
    /// What is left of it, as distances from the start.
    left: Vec<Range<usize>>,
}

// SAFETY: it is an address range, which nobody accesses; as for `Mapping`.
unsafe impl Send for Spare {}
// SAFETY: as above.
unsafe impl Sync for Spare {}

impl Spare {
    /// One for what `length` bytes of `fd` from `offset` are mapped by. It takes no memory.
    ///
    /// # Errors
    /// The system's, when address space has run out.
    pub fn new(fd: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<Self> {
        let (prot, flags) = (ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: the kernel chooses a range that nothing in this process uses.
        let start = unsafe { rustix::mm::mmap(null_mut(), length, prot, flags, fd, offset)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, left: std::iter::once(0..length).collect() })
    }

    /// Has a part of it take the place of the same part of `shared`. Other threads may read and write
    /// there: they find the same bytes at every moment, and what they write from then on is this
    /// process' alone. The part's ends are multiples of the page size.
    ///
    /// # Errors
    /// The system's; nothing has changed then. `InvalidInput` if the part is gone already.
    pub fn replace(&mut self, shared: &Mapping, part: Range<usize>) -> io::Result<()> {
        debug_assert!(part.start < part.end && part.end <= shared.length);
        let holds = |left: &Range<usize>| left.start <= part.start && part.end <= left.end;
        let index = self.left.iter().position(holds).ok_or(io::ErrorKind::InvalidInput)?;
        let length = part.end - part.start;
        // SAFETY: both ranges are mappings of one length and of the same memory: this one's part is
        // still there. The kernel takes one away and moves the other there in one step, and checks
        // before what could fail.
        unsafe {
            let start = self.start.add(part.start).as_ptr().cast();
            let place = shared.start.add(part.start).as_ptr().cast();
            rustix::mm::mprotect(start, length, MprotectFlags::READ | MprotectFlags::WRITE)?;
            rustix::mm::mremap_fixed(start, length, length, MremapFlags::MAYMOVE, place)?;
        }
        // The part is where `shared`'s was, whose destructor unmaps it.
        let whole = self.left.swap_remove(index);
        let rest = [whole.start..part.start, part.end..whole.end];
        self.left.extend(rest.into_iter().filter(|range| !range.is_empty()));
        Ok(())
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        for range in &self.left {
            // SAFETY: it is mapped still, and nobody uses it.
            let _ = unsafe {
                let start = self.start.add(range.start).as_ptr().cast();
                rustix::mm::munmap(start, range.end - range.start)
            };
        }
    }
}

/// How a range of a file is to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every process that maps the file sees what is written.
    Shared,
    /// What is written is this process' own, and what is not written yet is the file's.
    Private,
}

/// Maps `length` bytes of `fd` from `offset` at `start`, in place of what is mapped there.
///
/// # Errors
/// The system's.
///
/// # Safety
/// The range lies within a [`Mapping`] of the same bytes, and its users can do with how it is
/// mapped now.
pub unsafe fn map_over(
    start: NonNull<u8>,
    length: usize,
    fd: BorrowedFd<'_>,
    offset: u64,
    sharing: Sharing,
) -> io::Result<()> {
    let flags = match sharing {
        Sharing::Shared => MapFlags::SHARED,
        Sharing::Private => MapFlags::PRIVATE | MapFlags::NORESERVE,
    };
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the caller promises that the range is theirs to replace.
    unsafe {
        rustix::mm::mmap(start.as_ptr().cast(), length, prot, flags | MapFlags::FIXED, fd, offset)?;
    }
    Ok(())
}

/// Gives each page of a range that is mapped as private a copy of its own.
///
/// # Errors
/// The system's: some pages may be the file's still.
///
/// # Safety
/// The range is mapped for reading and writing; `start` is a multiple of the page size.
pub unsafe fn copy_pages(start: NonNull<u8>, length: usize) -> io::Result<()> {
    // SAFETY: populating reads and writes no byte.
    let populated =
        unsafe { rustix::mm::madvise(start.as_ptr().cast(), length, Advice::LinuxPopulateWrite) };
    match populated {
        // Before Linux 5.14.
        Err(Errno::INVAL) => {
            // SAFETY: the caller promises that the range is mapped.
            unsafe { write_to_each_page(start, length) };
            Ok(())
        }
        done => Ok(done?),
    }
}

/// Writes the byte to each page that is there.
///
/// # Safety
/// As for [`copy_pages`].
unsafe fn write_to_each_page(start: NonNull<u8>, length: usize) {
    for offset in (0..length).step_by(rustix::param::page_size()) {
        // SAFETY: within the range, whose bytes are accessed here as atomics: other threads that
        // write at the same time lose nothing.
        let byte = unsafe { start.add(offset).cast::<AtomicU8>().as_ref() };
        // An exchange writes even what is there already, which `fetch_or(0)` is compiled not to.
        let mut seen = byte.load(Ordering::Relaxed);
        while let Err(other) =
            byte.compare_exchange_weak(seen, seen, Ordering::Relaxed, Ordering::Relaxed)
        {
            seen = other;
        }
    }
}

/// Forgets what was written to a range that is mapped as private.
///
/// # Safety
/// The range is such a mapping, and nobody reads it any more.
pub unsafe fn forget_pages(start: NonNull<u8>, length: usize) {
    // SAFETY: the caller promises it. It fails for no range that is mapped.
    let _ = unsafe { rustix::mm::madvise(start.as_ptr().cast(), length, Advice::LinuxDontNeed) };
}

/// Says whether children that are forked have a range too.
///
/// # Safety
/// The range is mapped; in children, nobody counts on what they do not have.
pub unsafe fn inherit(start: NonNull<u8>, length: usize, inherited: bool) {
    let advice = if inherited { Advice::LinuxDoFork } else { Advice::LinuxDontFork };
    // SAFETY: nothing in this process changes.
    let _ = unsafe { rustix::mm::madvise(start.as_ptr().cast(), length, advice) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::memfd;
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicBool, AtomicU64};

    const LENGTH: usize = 1 << 16;

    fn bytes(mapping: &Mapping) -> &'static mut [u8] {
        // SAFETY: the tests keep the mapping longer than they use what this returns.
        unsafe { std::slice::from_raw_parts_mut(mapping.start().as_ptr(), mapping.length()) }
    }

    fn shared_and_spare() -> (Mapping, Mapping, Spare) {
        let fd = memfd::create("millpond-test", LENGTH as u64).expect("memory");
        let map = || Mapping::new(fd.as_fd(), 0, LENGTH).expect("a mapping");
        (map(), map(), Spare::new(fd.as_fd(), 0, LENGTH).expect("a mapping"))
    }

    #[test]
    fn a_spare_shows_what_was_written_and_keeps_what_is() {
        let (here, there, mut spare) = shared_and_spare();
        bytes(&here).fill(1);
        spare.replace(&here, 0..LENGTH).expect("room");
        assert_eq!(bytes(&here), [1; LENGTH]);
        bytes(&here)[0] = 2;
        assert_eq!(bytes(&there)[0], 1);
        // What has no copy yet is still the file's.
        bytes(&there)[LENGTH - 1] = 3;
        assert_eq!(bytes(&here)[LENGTH - 1], 3);
    }

    #[test]
    fn copied_pages_are_the_files_no_more() {
        for copy in [copy_pages, |start, length| {
            // SAFETY: as for what it stands for.
            unsafe { write_to_each_page(start, length) };
            Ok(())
        }] {
            let (here, there, mut spare) = shared_and_spare();
            bytes(&here).fill(1);
            let alias = here.duplicate(0..LENGTH).expect("room");
            spare.replace(&here, 0..LENGTH).expect("room");
            // SAFETY: all of a mapping.
            unsafe { copy(here.start(), LENGTH) }.expect("memory");
            bytes(&there).fill(2);
            assert_eq!(bytes(&here), [1; LENGTH]);
            assert_eq!(bytes(&alias), [2; LENGTH]);
            // SAFETY: nobody needs them.
            unsafe { alias.discard(4096, 4096) }.expect("pages go back");
            assert_eq!((bytes(&there)[4096], bytes(&there)[8192]), (0, 2));
        }
    }

    #[test]
    fn writers_lose_nothing_while_pages_become_private() {
        let (here, _there, mut spare) = shared_and_spare();
        let is_over = AtomicBool::new(false);
        let word = |index: usize| {
            // SAFETY: one word on each page of the mapping.
            unsafe { here.start().cast::<AtomicU64>().add(index * 512).as_ref() }
        };
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut rounds = 0;
                while !is_over.load(Ordering::Relaxed) || rounds < 100 {
                    (0..16).for_each(|index| {
                        word(index).fetch_add(1, Ordering::Relaxed);
                    });
                    rounds += 1;
                }
                rounds
            });
            while word(15).load(Ordering::Relaxed) < 10 {
                std::hint::spin_loop();
            }
            spare.replace(&here, 0..LENGTH).expect("room");
            // SAFETY: all of a mapping.
            unsafe { write_to_each_page(here.start(), LENGTH / 2) };
            // SAFETY: as above.
            unsafe { copy_pages(here.start(), LENGTH) }.expect("memory");
            is_over.store(true, Ordering::Relaxed);
            let rounds = writer.join().expect("the writer ends");
            (0..16).for_each(|index| assert_eq!(word(index).load(Ordering::Relaxed), rounds));
        });
    }

    #[test]
    fn a_range_is_shared_again() {
        let fd = memfd::create("millpond-test", LENGTH as u64).expect("memory");
        let map = || Mapping::new(fd.as_fd(), 0, LENGTH).expect("a mapping");
        let (here, there) = (map(), map());
        // SAFETY: a page of a mapping of the same bytes.
        let map_page =
            |sharing| unsafe { map_over(here.start().add(4096), 4096, fd.as_fd(), 4096, sharing) };
        map_page(Sharing::Private).expect("room");
        bytes(&here).fill(1);
        assert_eq!((bytes(&there)[0], bytes(&there)[4096], bytes(&there)[8192]), (1, 0, 1));
        // SAFETY: the page is private, and its content of no use.
        unsafe { forget_pages(here.start().add(4096), 4096) };
        assert_eq!(bytes(&here)[4096], 0);
        map_page(Sharing::Shared).expect("room");
        bytes(&here).fill(2);
        assert_eq!(bytes(&there), [2; LENGTH]);
    }
}
