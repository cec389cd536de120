//! What panics say in a program that is built with `panic = "abort"`.
//!
//! A panic ends its worker there, so no result can tell of it. The panic's hook, in whichever
//! thread, appends a record to the file that the workers were told their bootstrap by, in one write
//! (`O_APPEND`), and the pool's owner looks for that of a worker that has died of `SIGABRT`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use millpond_core::os::memfd;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::panic::PanicReport;

/// The pid of the worker, and the length of what follows.
const HEADER: usize = 2 * size_of::<u32>();
/// More reports than this are not kept for errors that nobody has asked for.
const MAX_KEPT: usize = 1024;

/// The owner's side: the files of its pool's zygotes, and what was read from them.
#[derive(Debug, Default)]
pub(super) struct LastWords(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Each with the place up to which it was read.
    files: Vec<(File, u64)>,
    reports: HashMap<u32, PanicReport>,
}

/// Appends the report of this process' panic.
pub(super) fn say(mut file: &File, report: &PanicReport) {
    let Ok(report) = postcard::to_extend(report, Vec::new()) else { return };
    let length = u32::try_from(report.len()).unwrap_or(0);
    let header = [std::process::id().to_ne_bytes(), length.to_ne_bytes()].concat();
    // Without memory for it the pool learns of the death alone.
    let _ = file.write(&[header, report].concat());
}

impl LastWords {
    /// Listens to the file that a new zygote is given.
    pub(super) fn listen(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let file = File::from(file.try_clone_to_owned()?);
        fcntl_setfl(&file, fcntl_getfl(&file)? | OFlags::APPEND)?;
        let end = file.metadata()?.len();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).files.push((file, end));
        Ok(())
    }

    /// What a worker said at its end.
    pub(super) fn of(&self, pid: u32) -> Option<PanicReport> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard { files, reports } = &mut *heard;
        for (file, read) in files {
            if reports.len() > MAX_KEPT {
                reports.clear();
            }
            // A file that cannot be read, or was damaged, has nothing to say.
            let _ = hear(file, read, reports);
        }
        reports.get(&pid).cloned()
    }
}

fn hear(file: &File, read: &mut u64, reports: &mut HashMap<u32, PanicReport>) -> io::Result<()> {
    let end = file.metadata()?.len();
    let Some(length) = end.checked_sub(*read).filter(|&length| length > 0) else { return Ok(()) };
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, *read)?;
    memfd::discard(file.as_fd(), *read, length)?;
    *read = end;
    let mut rest = bytes.as_slice();
    while let Some((header, content)) = rest.split_first_chunk::<HEADER>() {
        let (pid, length) = header.split_at(HEADER / 2);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_ne_bytes);
        let Some((report, behind)) = content.split_at_checked(number(length) as usize) else {
            break;
        };
        if let Ok(report) = postcard::from_bytes(report) {
            reports.insert(number(pid), report);
        }
        rest = behind;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panic;

    #[test]
    fn what_is_said_is_heard() {
        let file = File::from(memfd::create("test", 0).unwrap());
        file.write_all_at(b"a bootstrap", 0).unwrap();
        let words = LastWords::default();
        words.listen(file.as_fd()).unwrap();
        let me = std::process::id();
        assert!(words.of(me).is_none());
        for message in ["first", "second"] {
            let report = panic::catch(|| std::panic::resume_unwind(Box::new(message)));
            say(&file, &report.map(|never: ()| never).unwrap_err());
            assert_eq!(words.of(me).unwrap().message(), message);
        }
        assert_eq!(words.of(me).unwrap().message(), "second", "again");
        assert!(words.of(me + 1).is_none());
        (&file).write_all(&[0xff; 30]).unwrap();
        assert_eq!(words.of(me).unwrap().message(), "second", "after damage");
    }
}
