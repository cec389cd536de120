//! The lifeline: a pipe by which other processes learn that a program is over, because its process
//! has ended or executes another program.
//!
//! A pidfd survives exec. The lifeline is a pipe whose writing end this process alone has: exec closes
//! it, and so does a handler in each child that the C library's `fork` makes. Once it is closed, the
//! reading end is hung up for every process that polls it.

use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::os::fork::{self, Owner};

/// Of this process; null while it has none.
static CURRENT: AtomicPtr<Lifeline> = AtomicPtr::new(ptr::null_mut());
static FORKS_ARE_SEEN: AtomicBool = AtomicBool::new(false);

/// The lifeline of the process that made it.
///
/// Both ends are kept by number: in a child the handler has closed them, and a program that closes
/// what it does not know may have other files under these numbers.
#[derive(Debug)]
pub(crate) struct Lifeline {
    owner: Owner,
    reader: RawFd,
    writer: RawFd,
    inode: u64,
}

impl Lifeline {
    /// Makes the lifeline of this process, which has no other.
    ///
    /// # Errors
    /// The system's, when descriptors have run out.
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        // Registered before there is anything to close; a second time is harmless.
        if !FORKS_ARE_SEEN.swap(true, Ordering::AcqRel) {
            fork::in_forked_child(cut);
        }
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let inode = rustix::fs::fstat(&writer)?.st_ino;
        let (reader, writer) = (reader.into_raw_fd(), writer.into_raw_fd());
        let fresh = Arc::new(Self { owner: Owner::current(), reader, writer, inode });
        // Release: a child finds the fields behind the pointer.
        CURRENT.store(Arc::as_ptr(&fresh).cast_mut(), Ordering::Release);
        Ok(fresh)
    }

    /// The reading end, for handing to another process.
    ///
    /// # Errors
    /// The system's, when descriptors have run out or the program has closed it.
    pub(crate) fn reader(&self) -> io::Result<OwnedFd> {
        if !is_of(self.reader, self.inode) || !is_of(self.writer, self.inode) {
            return Err(Errno::BADF.into());
        }
        // SAFETY: it was open just now. Should the program close it meanwhile the call fails, or
        // duplicates another file, which the pool then waits for in vain or takes for its end.
        let reader = unsafe { BorrowedFd::borrow_raw(self.reader) };
        Ok(rustix::io::fcntl_dupfd_cloexec(reader, 0)?)
    }

    fn close(&self) {
        for fd in [self.writer, self.reader] {
            if is_of(fd, self.inode) {
                // SAFETY: the number belongs to this module as long as it names the pipe.
                unsafe { rustix::io::close(fd) };
            }
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        if self.owner.is_current() {
            let this = ptr::from_mut(self);
            // If there is a newer one, that is what children are to close.
            let _ = CURRENT.compare_exchange(
                this,
                ptr::null_mut(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            self.close();
        }
    }
}

/// Whether the descriptor is an end of that pipe.
fn is_of(fd: RawFd, inode: u64) -> bool {
    // SAFETY: `fstat` of a number that is not open fails, and changes nothing of one that is.
    let stat = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(fd) });
    stat.is_ok_and(|stat| {
        stat.st_ino == inode
            && rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo
    })
}

/// In a forked child: lets go of the parent's lifeline.
extern "C" fn cut() {
    let inherited = CURRENT.swap(ptr::null_mut(), Ordering::Acquire);
    // SAFETY: what is published is not freed before it is withdrawn, and this is a copy of the memory.
    if let Some(lifeline) = unsafe { inherited.as_ref() } {
        lifeline.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fork::{Forked, exit_now, fork};
    use rustix::event::{PollFd, PollFlags, poll};

    fn is_hung_up(reader: &OwnedFd, wait: bool) -> bool {
        let mut fds = [PollFd::new(reader, PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, if wait { None } else { Some(&now) }) == Ok(1)
    }

    #[test]
    fn a_child_of_the_process_does_not_keep_it_alive() {
        let (tell, told) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        // SAFETY: the children make system calls, and take no lock that another thread could hold.
        if let Forked::Child = unsafe { fork() }.expect("fork") {
            let lifeline = Lifeline::new().expect("a lifeline");
            let reader = lifeline.reader().expect("its end");
            let lasts = !is_hung_up(&reader, false);
            // SAFETY: as above.
            if let Ok(Forked::Child) = unsafe { fork() } {
                let _ = rustix::io::write(&told, &[u8::from(lasts && is_hung_up(&reader, true))]);
            }
            exit_now(0);
        }
        drop(told);
        let mut answer = [0];
        assert_eq!(rustix::io::read(&tell, &mut answer), Ok(1));
        assert_eq!(answer, [1], "it was hung up while its process lived");
    }

    #[test]
    fn it_ends_when_it_is_dropped() {
        let lifeline = Lifeline::new().expect("a lifeline");
        let reader = lifeline.reader().expect("its end");
        assert!(!is_hung_up(&reader, false));
        drop(lifeline);
        // A child that another test has just forked may be about to let go of it.
        assert!(is_hung_up(&reader, true));
    }
}
