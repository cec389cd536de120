//! Waiting until descriptors are ready.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::os::futex::Woken;
use crate::sync::spin::with_thread_spin;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled<T> {
    /// What was waited for came.
    Done(T),
    /// The deadline passed.
    TimedOut,
    /// A signal handler ran. Nothing was received or sent.
    Interrupted,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Something to read, or the end of it.
    Readable,
    /// Room to write, or no reader left.
    Writable,
}

/// Repeats `attempt` until it has a result: spins as long as that pays, then sleeps until `fd` is
/// ready.
///
/// # Errors
/// The system's.
pub(crate) fn attempt<T>(
    fd: BorrowedFd<'_>,
    interest: Interest,
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> Option<T>,
) -> io::Result<Polled<T>> {
    let mut result = attempt();
    if result.is_none() && deadline.is_none_or(|d| d > Instant::now()) {
        with_thread_spin(|spin| {
            spin.until(|| {
                result = attempt();
                result.is_some()
            })
        });
    }
    loop {
        if let Some(result) = result {
            return Ok(Polled::Done(result));
        }
        match until(fd, interest, deadline)? {
            Polled::Done(()) => result = attempt(),
            Polled::TimedOut => return Ok(Polled::TimedOut),
            Polled::Interrupted => return Ok(Polled::Interrupted),
        }
    }
}

/// Sleeps until `fd` is ready.
///
/// # Errors
/// The system's.
pub(crate) fn until(
    fd: BorrowedFd<'_>,
    interest: Interest,
    deadline: Option<Instant>,
) -> io::Result<Polled<()>> {
    let flags = match interest {
        Interest::Readable => PollFlags::IN,
        Interest::Writable => PollFlags::OUT,
    };
    match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], left(deadline).as_ref()) {
        Ok(0) => Ok(Polled::TimedOut),
        Ok(_) => Ok(Polled::Done(())),
        Err(Errno::INTR) => Ok(Polled::Interrupted),
        Err(error) => Err(error.into()),
    }
}

/// Sleeps until `fd` is readable, or until the descriptor `other` is or is no open one, which counts as
/// the end of the time.
///
/// # Errors
/// The system's.
pub(crate) fn until_readable_or(
    fd: BorrowedFd<'_>,
    other: Option<RawFd>,
    timeout: Duration,
) -> io::Result<Woken> {
    let mut polled = [fd.as_raw_fd(), other.unwrap_or(-1)].map(in_poll);
    match poll_numbers(&mut polled, left(Some(Instant::now() + timeout))) {
        Ok(_) if polled[0].revents != 0 => Ok(Woken::Changed),
        Ok(_) => Ok(Woken::TimedOut),
        Err(Errno::INTR) => Ok(Woken::Interrupted),
        Err(error) => Err(error.into()),
    }
}

/// What `poll` is asked of a number; it passes over negative ones.
fn in_poll(number: RawFd) -> libc::pollfd {
    libc::pollfd { fd: number, events: libc::POLLIN, revents: 0 }
}

/// `poll` for descriptors that are known by their numbers and need not be open, which it says then.
fn poll_numbers(polled: &mut [libc::pollfd], left: Option<Timespec>) -> Result<usize, Errno> {
    let left = left.map(|left| libc::timespec { tv_sec: left.tv_sec, tv_nsec: left.tv_nsec });
    let timeout = left.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the entries, as many as it is told, and the time are there as long as the call lasts. It
    // looks the numbers up, and reads, writes or closes nothing through them.
    let count =
        unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as _, timeout, ptr::null()) };
    usize::try_from(count)
        .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// Waits until one at least of `fds` can be read, has come to its end, or is no open descriptor;
/// returns for each whether it is so. Spins before it sleeps if told to.
///
/// # Errors
/// `BADF` if a number is negative; the system's.
pub fn any_readable(
    fds: &[RawFd],
    deadline: Option<Instant>,
    spin_first: bool,
) -> io::Result<Polled<Vec<bool>>> {
    if fds.iter().any(|&number| number < 0) {
        return Err(Errno::BADF.into());
    }
    let mut polled: Vec<_> = fds.iter().copied().map(in_poll).collect();
    let now = Some(Timespec { tv_sec: 0, tv_nsec: 0 });
    let mut ready = poll_numbers(&mut polled, now);
    if ready == Ok(0) && spin_first && deadline.is_none_or(|d| d > Instant::now()) {
        with_thread_spin(|spin| {
            spin.until(|| {
                ready = poll_numbers(&mut polled, now);
                ready != Ok(0)
            })
        });
    }
    if ready == Ok(0) {
        ready = poll_numbers(&mut polled, left(deadline));
    }
    match ready {
        Ok(0) => Ok(Polled::TimedOut),
        Ok(_) => Ok(Polled::Done(polled.iter().map(|p| p.revents != 0).collect())),
        Err(Errno::INTR) => Ok(Polled::Interrupted),
        Err(error) => Err(error.into()),
    }
}

/// How long it is until a deadline, as the kernel wants it: for ever where there is none.
fn left(deadline: Option<Instant>) -> Option<Timespec> {
    let left = deadline?.saturating_duration_since(Instant::now());
    // Beyond what the kernel takes it is for ever.
    Timespec::try_from(left.min(Duration::from_secs(1 << 30))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn says_which_are_ready() {
        let (first, _keep) = io::pipe().expect("pipe");
        let (second, mut writer) = io::pipe().expect("pipe");
        let fds = [first.as_raw_fd(), second.as_raw_fd()];
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        assert_eq!(any_readable(&fds, soon(), true).expect("poll"), Polled::TimedOut);
        writer.write_all(b"x").expect("write");
        assert_eq!(any_readable(&fds, None, true).expect("poll"), Polled::Done(vec![false, true]));
    }

    #[test]
    fn the_end_counts_as_ready() {
        let (reader, writer) = io::pipe().expect("pipe");
        drop(writer);
        let ready = any_readable(&[reader.as_raw_fd()], None, false).expect("poll");
        assert_eq!(ready, Polled::Done(vec![true]));
    }

    #[test]
    fn what_is_no_descriptor_is_not_waited_for() {
        let ready = any_readable(&[RawFd::MAX], None, false).expect("poll");
        assert_eq!(ready, Polled::Done(vec![true]));
        let refused = any_readable(&[-1], None, false).expect_err("no number");
        assert_eq!(refused.raw_os_error(), Some(libc::EBADF));
    }
}
