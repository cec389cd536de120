//! The receiver's cache of mapped blocks, keyed by device and inode: a sender fills the same blocks
//! again and again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::blocks::{MAX_BLOCKS, MAX_BYTES};
use super::error::ReceiveError;
use crate::os::memfd;
use crate::shm::heap::BLOCK_HEADER;
use crate::shm::lease::Lease;
use crate::shm::mapped::MappedBlocks;
use crate::sync::local::Local;

/// Which memory a descriptor leads to. It is not given away again while we have it mapped.
type Identity = (u64, u64);

/// What one end has mapped, the newest last.
#[derive(Debug, Default)]
pub(super) struct Mappings(Local<Vec<(Identity, Arc<MappedBlocks>)>>);

impl Mappings {
    /// The payload of `length` bytes in the block behind `fd`.
    pub(super) fn open(&self, fd: OwnedFd, length: u64) -> Result<Lease, ReceiveError> {
        let needed = usize::try_from(length).ok().and_then(|l| l.checked_add(BLOCK_HEADER));
        let needed = needed.ok_or(ReceiveError::Damaged)?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| ReceiveError::System(e.into()))?;
        let identity = (stat.st_dev, stat.st_ino);
        let known = self.0.with(|known| {
            let found = known.iter().rposition(|(other, _)| *other == identity)?;
            let map = Arc::clone(&known[found].1);
            if !map.can_be_used_again() {
                // A fork has made it private, for the leases that read it.
                known.remove(found);
                return None;
            }
            Some(map)
        });
        let map = match known {
            Some(map) => map,
            None => self.map(&fd, identity, stat.st_size)?,
        };
        if map.length() < needed {
            return Err(ReceiveError::Damaged);
        }
        // `needed` fits, so the length does.
        Ok(Lease::of_block(map, 0, needed - BLOCK_HEADER))
    }

    fn map(
        &self,
        fd: &OwnedFd,
        identity: Identity,
        size: i64,
    ) -> Result<Arc<MappedBlocks>, ReceiveError> {
        let size = usize::try_from(size).ok().filter(|size| *size > BLOCK_HEADER);
        let size = size.ok_or(ReceiveError::Damaged)?;
        // What could shrink could vanish under a reader.
        if !memfd::cannot_shrink(fd.as_fd()) {
            return Err(ReceiveError::Damaged);
        }
        let map = MappedBlocks::new(fd.as_fd(), 0, size).map_err(ReceiveError::NoRoom)?;
        let map = Arc::new(map);
        if !map.can_be_used_again() {
            return Ok(map);
        }
        let dropped = self.0.with(|known| {
            known.push((identity, Arc::clone(&map)));
            let mut bytes = 0;
            let fits = |(_, map): &&(Identity, Arc<MappedBlocks>)| {
                bytes += map.length() as u64;
                // A block has up to twice the length of its payload.
                bytes <= 2 * MAX_BYTES
            };
            let kept = known.iter().rev().take(MAX_BLOCKS).take_while(fits).count();
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
