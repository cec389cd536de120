//! Signal masks of threads and zygotes.

use std::io;
use std::mem::MaybeUninit;

/// A set of blocked signals, to be put back later.
#[derive(Clone, Copy)]
pub struct SignalMask(libc::sigset_t);

impl std::fmt::Debug for SignalMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalMask")
    }
}

/// Blocks every signal that can be blocked in the calling thread; returns the mask before.
///
/// # Errors
/// The system's.
pub fn block_all() -> io::Result<SignalMask> {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises `all` and pthread_sigmask initialises `before`; both point
    // to storage of the right type, and `before` is read after success only.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) {
            0 => Ok(SignalMask(before.assume_init())),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

impl SignalMask {
    /// The mask of the calling thread.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn current() -> io::Result<Self> {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: with no new set the call only fills in `mask`, which is read after success.
        unsafe {
            match libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr()) {
                0 => Ok(Self(mask.assume_init())),
                code => Err(io::Error::from_raw_os_error(code)),
            }
        }
    }

    /// Makes this the mask of the calling thread.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn restore(&self) -> io::Result<()> {
        // SAFETY: the set was filled in by the system; the old mask is not asked for.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) } {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}
