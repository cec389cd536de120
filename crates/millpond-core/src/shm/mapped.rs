//! One process' mapping of a range of another's heap, in which it reads blocks.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::os::map::{self, Mapping, Spare};
use crate::shm::heap::{COLD, FREE, state};
use crate::shm::loans::{Lender, Part};
use crate::sync::local::Local;

/// How much of a block is copied at a time where its pages go back: so much is there twice.
const STEP: usize = 2 << 20;

/// A block or a window of them, mapped as shared until a [fork](crate::shm::loans) makes parts of it
/// private.
#[derive(Debug)]
pub(crate) struct MappedBlocks {
    map: Mapping,
    /// What will take the place of such parts; `None` where there was no room for it.
    spare: Local<Option<Spare>>,
    /// Some part is private, and will not show what is sent next.
    is_spent: AtomicBool,
}

impl MappedBlocks {
    /// Maps `length` bytes of `fd` from `offset`, which are whole blocks.
    pub(crate) fn new(fd: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<Self> {
        let map = Mapping::new(fd, offset, length)?;
        let spare = Local::new(Spare::new(fd, offset, length).ok());
        Ok(Self { map, spare, is_spent: AtomicBool::new(false) })
    }

    /// Whether it shows the next payload too, and that can be lent; else another mapping is made.
    pub(crate) fn can_be_used_again(&self) -> bool {
        // Relaxed: a fork sets it with all loans locked, and no new payload is told of by that.
        !self.is_spent.load(Ordering::Relaxed) && self.can_be_lent()
    }

    /// The first byte of the block that begins `at` bytes from the start.
    pub(crate) fn block(&self, at: usize) -> NonNull<u8> {
        self.map.start_of(at as u64)
    }

    pub(crate) fn length(&self) -> usize {
        self.map.length()
    }

    /// The pages of a part.
    fn pages(&self, part: Part) -> Range<usize> {
        let at = part.block;
        let end = (at + part.length).next_multiple_of(rustix::param::page_size());
        at..end.min(self.map.length())
    }
}

impl Lender for MappedBlocks {
    fn can_be_lent(&self) -> bool {
        self.spare.with(|spare| spare.is_some())
    }

    fn give_back(&self, part: Part) {
        // Release: our reads and writes come before the owner's next use of the block.
        // SAFETY: a block is page-aligned, its first word is used as an atomic by every process, and
        // any bits are a valid u32.
        unsafe { part.start.cast::<AtomicU32>().as_ref() }.store(FREE, Ordering::Release);
    }

    unsafe fn take_back(&self, part: Part) -> bool {
        let pages = self.pages(part);
        // SAFETY: the caller promises it; these pages are not handed out again.
        unsafe { map::forget_pages(part.start, pages.end - pages.start) };
        true
    }

    fn make_own(&self, part: Part, with_pages: bool) -> bool {
        let pages = self.pages(part);
        let alias = self.map.duplicate(pages.clone()).ok();
        // Before the block goes back: its next payload is not to be looked for here.
        self.is_spent.store(true, Ordering::Relaxed);
        let replace = |spare: &mut Option<Spare>| Some(spare.as_mut()?.replace(&self.map, pages));
        if !matches!(self.spare.with(replace), Some(Ok(()))) {
            return false;
        }
        if !with_pages && let Some(alias) = &alias {
            // Before it loses the first one: if this process dies on the way, the owner still asks
            // for pages again.
            state(alias).fetch_or(COLD, Ordering::Relaxed);
        }
        for offset in (0..part.length).step_by(STEP) {
            let end = part.length.min(offset + STEP);
            // SAFETY: within the mapping, and a multiple of the page size away from its start.
            if unsafe { map::copy_pages(part.start.add(offset), end - offset) }.is_err() {
                // It stays lent, and what is not copied as it is.
                return true;
            }
            if !with_pages && let Some(alias) = &alias {
                // The first page has the state.
                let begin = offset.max(rustix::param::page_size());
                // SAFETY: only this process reads a block that is lent to it, and it has
                // copied these pages.
                let _ = unsafe { alias.discard(begin, end.saturating_sub(begin)) };
            }
        }
        if let Some(alias) = &alias {
            // Release: our reads and writes come before the owner's next use of the block.
            state(alias).fetch_and(COLD, Ordering::Release);
        }
        true
    }
}
