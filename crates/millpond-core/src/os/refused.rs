//! System calls that the surroundings refuse: a seccomp filter, a kernel without them, a limit.
//!
//! The bare "operation not permitted" would leave the reader to guess of what.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// A call that the system refused altogether.
#[derive(Debug)]
pub struct Refused {
    call: &'static str,
    errno: Errno,
}

impl Refused {
    /// The system's number of the error.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno.raw_os_error()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, errno } = self;
        if *errno == Errno::FBIG {
            return write!(
                f,
                "{call}: {errno}: the limit on the size of files (ulimit -f) bounds \
                              shared memory too"
            );
        }
        write!(f, "{call}: {errno}: this system refuses the call, perhaps by a seccomp filter")
    }
}

impl std::error::Error for Refused {}

/// Makes the error of a call, which it names if the call is refused.
pub(crate) fn error_of(call: &'static str) -> impl Fn(Errno) -> io::Error {
    move |errno| match errno {
        Errno::PERM | Errno::NOSYS | Errno::ACCESS | Errno::FBIG => {
            io::Error::new(io::Error::from(errno).kind(), Refused { call, errno })
        }
        errno => errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_is_named() {
        let error = error_of("memfd_create")(Errno::PERM);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().starts_with("memfd_create: "), "{error}");
        let refused = error.get_ref().and_then(|e| e.downcast_ref::<Refused>());
        assert_eq!(refused.map(Refused::errno), Some(1));
        assert_eq!(error_of("memfd_create")(Errno::MFILE).raw_os_error(), Some(24));
    }
}
