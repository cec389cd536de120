//! Descriptors of other processes, opened through procfs.
//!
//! By the time a number arrives it may name another file. Opening that for use could wake a device,
//! start a program's server or change what others see, so it is looked at first, through a
//! descriptor that does nothing else (`O_PATH`). What is opened then is the very file that was
//! looked at, as the second opening goes through that descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// What some process has behind a descriptor; not open yet.
#[derive(Debug)]
pub(crate) struct Foreign {
    path: OwnedFd,
    stat: Stat,
}

impl Foreign {
    /// What process `pid` has behind descriptor `number`.
    ///
    /// # Errors
    /// `NotFound` if there is no such process or descriptor, `PermissionDenied` if it is another
    /// user's.
    pub(crate) fn of_process(pid: u32, number: u32) -> io::Result<Self> {
        Self::at(&format!("/proc/{pid}/fd/{number}"))
    }

    /// What this process has behind a descriptor, to be opened once more.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn own(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Self::at(&format!("/proc/self/fd/{}", fd.as_raw_fd()))
    }

    fn at(path: &str) -> io::Result<Self> {
        let path = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let path = path.map_err(|errno| match errno {
            // It ended during the call.
            Errno::SRCH => io::ErrorKind::NotFound.into(),
            Errno::NOENT if !is_mounted() => no_procfs(),
            errno => io::Error::from(errno),
        })?;
        let stat = rustix::fs::fstat(&path)?;
        Ok(Self { path, stat })
    }

    /// What the system says of it.
    pub(crate) fn stat(&self) -> &Stat {
        &self.stat
    }

    /// What kind of file it is.
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Opens it for reading and writing.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.path.as_fd().as_raw_fd());
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(rustix::fs::open(path, flags, Mode::empty())?)
    }
}

fn is_mounted() -> bool {
    std::path::Path::new("/proc/self/fd").exists()
}

fn no_procfs() -> io::Error {
    let text = "/proc is not mounted, through which processes open what others have";
    io::Error::new(io::ErrorKind::Unsupported, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn number(fd: &impl AsRawFd) -> u32 {
        fd.as_raw_fd().cast_unsigned()
    }

    #[test]
    fn a_file_is_opened_as_what_it_was_looked_at() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let looked_at = Foreign::of_process(std::process::id(), number(&reader)).expect("it");
        drop((reader, writer));
        assert_eq!(looked_at.kind(), FileType::Fifo);
        let opened = looked_at.open().expect("procfs");
        assert_eq!(rustix::io::write(&opened, b"x"), Ok(1));
        let mut bytes = [0; 2];
        assert_eq!(rustix::io::read(&opened, &mut bytes), Ok(1));
    }

    #[test]
    fn what_cannot_be_opened_can_be_looked_at() {
        let directory = File::open("/").expect("a directory");
        let looked_at = Foreign::own(directory.as_fd()).expect("procfs");
        assert_eq!(looked_at.kind(), FileType::Directory);
        assert!(looked_at.open().is_err());
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let gone = Foreign::of_process(std::process::id(), 999_999).expect_err("no descriptor");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
