//! What the workers of a pool are told before their first task.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use millpond_core::os::memfd;
use serde::{Deserialize, Serialize};

use crate::function::FunctionId;
use crate::image::BuildId;

/// It travels as an anonymous file that the zygote inherits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Bootstrap {
    pub(super) build: BuildId,
    pub(super) owner_name: String,
    pub(super) owner_pid: u32,
    /// The owner's place in the tree of processes.
    pub(super) owner_lineage: Vec<u64>,
    pub(super) initializer: Option<FunctionId>,
    /// Encoded; each worker decodes them anew.
    #[serde(with = "serde_bytes")]
    pub(super) initializer_arguments: Vec<u8>,
}

impl Bootstrap {
    /// Writes it into a file of its own.
    pub(super) fn to_file(&self) -> io::Result<OwnedFd> {
        let bytes = postcard::to_extend(self, Vec::new()).map_err(io::Error::other)?;
        let file = File::from(memfd::create("millpond-bootstrap", 0)?);
        file.write_all_at(&bytes, 0)?;
        Ok(file.into())
    }

    /// Reads what [`to_file`](Self::to_file) wrote.
    pub(super) fn from_file(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        postcard::from_bytes(&bytes).map_err(io::Error::other)
    }
}
