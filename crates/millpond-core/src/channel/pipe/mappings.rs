//! The receiver's mappings of blocks, kept because the same blocks come again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::SealFlags;

use super::blocks::{MOST, MOST_BYTES};
use super::error::ReceiveError;
use crate::os::map::Mapping;
use crate::shm::heap::BLOCK_HEADER;
use crate::shm::lease::Lease;
use crate::sync::local::Local;

/// Which memory a descriptor leads to. It is not given away again while we have it mapped.
type Identity = (u64, u64);

/// What one end has mapped, the newest last.
#[derive(Debug, Default)]
pub(super) struct Mappings(Local<Vec<(Identity, Arc<Mapping>)>>);

impl Mappings {
    /// The payload of `length` bytes in the block behind `fd`.
    pub(super) fn open(&self, fd: OwnedFd, length: u64) -> Result<Lease, ReceiveError> {
        let needed = usize::try_from(length).ok().and_then(|l| l.checked_add(BLOCK_HEADER));
        let needed = needed.ok_or(ReceiveError::Damaged)?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| ReceiveError::System(e.into()))?;
        let identity = (stat.st_dev, stat.st_ino);
        let known = self.0.with(|known| {
            let found = known.iter().rfind(|(other, _)| *other == identity);
            found.map(|(_, map)| Arc::clone(map))
        });
        let map = match known {
            Some(map) => map,
            None => self.map(&fd, identity, stat.st_size)?,
        };
        if map.length() < needed {
            return Err(ReceiveError::Damaged);
        }
        // `needed` fits, so the length does.
        Ok(Lease::of_block(map, needed - BLOCK_HEADER))
    }

    fn map(
        &self,
        fd: &OwnedFd,
        identity: Identity,
        size: i64,
    ) -> Result<Arc<Mapping>, ReceiveError> {
        let size = usize::try_from(size).ok().filter(|size| *size > BLOCK_HEADER);
        let size = size.ok_or(ReceiveError::Damaged)?;
        // What could shrink could vanish under a reader.
        let seals = rustix::fs::fcntl_get_seals(fd).map_err(|_| ReceiveError::Damaged)?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(ReceiveError::Damaged);
        }
        let map = Mapping::new(fd.as_fd(), 0, size).map_err(ReceiveError::NoRoom)?;
        let map = Arc::new(map);
        let dropped = self.0.with(|known| {
            known.push((identity, Arc::clone(&map)));
            let mut bytes = 0;
            let fits = |(_, map): &&(Identity, Arc<Mapping>)| {
                bytes += map.length() as u64;
                // A block has up to twice the length of its payload.
                bytes <= 2 * MOST_BYTES
            };
            let kept = known.iter().rev().take(MOST).take_while(fits).count();
            known.drain(..known.len() - kept).collect::<Vec<_>>()
        });
        drop(dropped);
        Ok(map)
    }

    /// Forgets all: nothing will come any more.
    pub(super) fn clear(&self) {
        drop(self.0.with(std::mem::take));
    }
}

/// A packet named a block but brought no descriptor: the system had none for this process.
pub(super) fn no_descriptor() -> ReceiveError {
    ReceiveError::NoRoom(io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()))
}
