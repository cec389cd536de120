//! FIFOs with one descriptor for both directions.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::os::foreign::Foreign;
use crate::os::fork;

/// A FIFO without a name, whose descriptor reads and writes and never blocks.
///
/// # Errors
/// The system's.
pub(crate) fn create() -> io::Result<OwnedFd> {
    let (reader, _writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    match Foreign::own(reader.as_fd()) {
        Ok(fifo) => fifo.open(),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => create_by_name(),
        Err(error) => Err(error),
    }
}

/// The same where there is no procfs: it has a name until it is open.
fn create_by_name() -> io::Result<OwnedFd> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    loop {
        // Relaxed: only the number counts.
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("millpond-{}-{number}", fork::pid()));
        match rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            // Of a process of another pid namespace, or of one that was killed here.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
            Ok(()) => {
                let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
                let opened = rustix::fs::open(&path, flags, Mode::empty());
                rustix::fs::unlink(&path)?;
                return Ok(opened?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_carry_bytes_both_ways_and_have_no_name() {
        for fifo in [create().expect("a FIFO"), create_by_name().expect("a FIFO")] {
            assert_eq!(rustix::io::write(&fifo, b"x"), Ok(1));
            let mut bytes = [0; 2];
            assert_eq!(rustix::io::read(&fifo, &mut bytes), Ok(1));
            assert_eq!(rustix::io::read(&fifo, &mut bytes), Err(Errno::AGAIN));
        }
        let ours = format!("millpond-{}-", fork::pid());
        let names = std::fs::read_dir(std::env::temp_dir()).expect("the folder");
        let mut names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        assert!(!names.any(|name| name.starts_with(&ours)));
    }
}
