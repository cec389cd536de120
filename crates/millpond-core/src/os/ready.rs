//! Waiting until descriptors are ready.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
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
pub enum Interest {
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
pub fn attempt<T>(
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
pub fn until(
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
    let other = other.map_or(fd, |number| {
        // SAFETY: the kernel looks the number up and says so if it is not open; nothing is read,
        // written or closed through it.
        unsafe { BorrowedFd::borrow_raw(number) }
    });
    let mut polled = [fd, other].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    match poll(&mut polled, left(Some(Instant::now() + timeout)).as_ref()) {
        Ok(_) if !polled[0].revents().is_empty() => Ok(Woken::Changed),
        Ok(_) => Ok(Woken::TimedOut),
        Err(Errno::INTR) => Ok(Woken::Interrupted),
        Err(error) => Err(error.into()),
    }
}

/// Waits until one at least of `fds` can be read, has come to its end, or is no open descriptor;
/// returns for each whether it is so. Spins before it sleeps if told to.
///
/// # Errors
/// The system's.
pub fn any_readable(
    fds: &[RawFd],
    deadline: Option<Instant>,
    spin_first: bool,
) -> io::Result<Polled<Vec<bool>>> {
    let polled = |&number: &RawFd| {
        // SAFETY: the kernel looks the number up and says so if it is not open; nothing is read,
        // written or closed through it.
        let fd = unsafe { BorrowedFd::borrow_raw(number.max(0)) };
        PollFd::from_borrowed_fd(fd, PollFlags::IN)
    };
    let mut polled: Vec<_> = fds.iter().map(polled).collect();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut ready = poll(&mut polled, Some(&now));
    if ready == Ok(0) && spin_first && deadline.is_none_or(|d| d > Instant::now()) {
        with_thread_spin(|spin| {
            spin.until(|| {
                ready = poll(&mut polled, Some(&now));
                ready != Ok(0)
            })
        });
    }
    if ready == Ok(0) {
        ready = poll(&mut polled, left(deadline).as_ref());
    }
    match ready {
        Ok(0) => Ok(Polled::TimedOut),
        Ok(_) => Ok(Polled::Done(polled.iter().map(|p| !p.revents().is_empty()).collect())),
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
    use std::os::fd::AsRawFd;

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
}
