//! The memory through which a process is called and answers.
//!
//! It is one anonymous file that parent and child have open: a header, the call, and behind that
//! the reply. The file has room for a reply of any size, so a child never waits for its parent to
//! read, and the parent may join at any later time. The child writes the reply's content first and
//! its length and kind, in one write, last. So there is a whole reply or none, wherever the child
//! dies.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use millpond_core::os::memfd;
use serde::{Deserialize, Serialize};

use crate::codec::CodecError;
use crate::function::FunctionId;
use crate::image::BuildId;
use crate::panic::PanicReport;

/// Tells a result slot from any other file: the first bytes.
const MAGIC: u64 = u64::from_le_bytes(*b"millpond");
/// Magic, length of the call, length of the arguments.
const CALL_AT: u64 = 0;
/// Kind of the reply, 0 while there is none, and its length.
const REPLY_AT: u64 = 24;
/// 1 once the child has taken the call.
const TAKEN_AT: u64 = 40;
const CONTENT_AT: u64 = 48;
/// Arguments of more bytes than this are not kept for as long as the call lasts.
const WORTH_GIVING_BACK: u64 = 64 * 1024;

/// What a child is told, besides the arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) build: BuildId,
    pub(super) function: FunctionId,
    pub(super) name: String,
    /// The numbers of the process and its ancestors below the main one, as in `Process-1:2`.
    pub(super) lineage: Vec<u64>,
    pub(super) daemon: bool,
    pub(super) parent_name: String,
    pub(super) parent_pid: u32,
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Reply {
    /// The function returned; its encoded result.
    Returned(Vec<u8>),
    /// It panicked.
    Panicked(PanicReport),
    /// It could not be called, or its result could not be sent.
    Failed(Failure),
}

/// What kept a call from giving a result, except the function itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    BuildMismatch,
    Codec(CodecError),
    Io { what: Attempt, message: String },
}

/// What a child tried to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Attempt {
    Prepare,
    Answer,
}

#[derive(Debug)]
pub(super) struct ResultSlot(File);

impl ResultSlot {
    /// A result slot with a call in it.
    pub(super) fn new(call: &Call, arguments: &[u8]) -> io::Result<Self> {
        let call = to_bytes(call)?;
        let file = File::from(memfd::create("millpond-process", CONTENT_AT)?);
        let lengths = [MAGIC, call.len() as u64, arguments.len() as u64];
        file.write_all_at(&words(lengths), CALL_AT)?;
        file.write_all_at(&call, CONTENT_AT)?;
        file.write_all_at(arguments, CONTENT_AT + call.len() as u64)?;
        Ok(Self(file))
    }

    /// The result slot that a child was given, if it is one.
    pub(super) fn open(fd: OwnedFd) -> io::Result<Self> {
        let result_slot = Self(File::from(fd));
        let [magic, ..] = result_slot.lengths()?;
        if magic == MAGIC { Ok(result_slot) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// The call, and the arguments, whose memory is given back. It can be taken once.
    pub(super) fn take_call(&self) -> io::Result<(Call, Vec<u8>)> {
        let [_, call, arguments] = self.lengths()?;
        let content = self.read(CONTENT_AT, call)?;
        let encoded = self.read(CONTENT_AT + call, arguments)?;
        if arguments > WORTH_GIVING_BACK {
            // It is memory saved; without, all else is as it was.
            let _ = memfd::discard(self.as_fd(), CONTENT_AT + call, arguments);
        }
        Ok((from_bytes(&content)?, encoded))
    }

    /// The child has decoded the arguments: it has whatever they lead to. Failing that, the parent
    /// takes wire handles back that were used, and keeps some memory a little shorter for others.
    pub(super) fn arguments_arrived(&self) {
        let _ = self.0.write_all_at(&words([1]), TAKEN_AT);
    }

    /// Whether the child has come so far as to decode the arguments.
    pub(super) fn was_taken(&self) -> bool {
        !matches!(self.read_words(TAKEN_AT), Ok([0]))
    }

    /// Answers the call. A second answer is not given.
    pub(super) fn answer(&self, reply: Reply) -> io::Result<()> {
        if self.reply_header()? != [0, 0] {
            return Ok(());
        }
        let (kind, content) = match reply {
            Reply::Returned(result) => (1, result),
            Reply::Panicked(report) => (2, to_bytes(&report)?),
            Reply::Failed(failure) => (3, to_bytes(&failure)?),
        };
        self.0.write_all_at(&content, self.reply_content_at()?)?;
        self.0.write_all_at(&words([kind, content.len() as u64]), REPLY_AT)
    }

    /// The reply, if there is one. To be asked when the child has ended.
    pub(super) fn reply(&self) -> io::Result<Option<Reply>> {
        let [kind, length] = self.reply_header()?;
        if kind == 0 {
            return Ok(None);
        }
        let content = self.read(self.reply_content_at()?, length)?;
        Ok(Some(match kind {
            1 => Reply::Returned(content),
            2 => Reply::Panicked(from_bytes(&content)?),
            _ => Reply::Failed(from_bytes(&content)?),
        }))
    }

    fn lengths(&self) -> io::Result<[u64; 3]> {
        self.read_words(CALL_AT)
    }

    fn reply_header(&self) -> io::Result<[u64; 2]> {
        self.read_words(REPLY_AT)
    }

    fn reply_content_at(&self) -> io::Result<u64> {
        let [_, call, arguments] = self.lengths()?;
        Ok(CONTENT_AT + call + arguments)
    }

    fn read_words<const N: usize>(&self, offset: u64) -> io::Result<[u64; N]> {
        let mut words = [0; N];
        for (word, at) in words.iter_mut().zip((offset..).step_by(8)) {
            let mut bytes = [0; 8];
            self.0.read_exact_at(&mut bytes, at)?;
            *word = u64::from_ne_bytes(bytes);
        }
        Ok(words)
    }

    /// Exactly so many bytes, into memory that is not cleared first.
    fn read(&self, mut offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        while bytes.len() < length {
            let spare = rustix::buffer::spare_capacity(&mut bytes);
            match rustix::io::pread(&self.0, spare, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => offset += count as u64,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The allocator may have given more room than asked for, and the file may be longer.
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl AsFd for ResultSlot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn words<const N: usize>(words: [u64; N]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn to_bytes<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_extend(value, Vec::new()).map_err(|error| io::Error::other(error.to_string()))
}

fn from_bytes<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| io::Error::other(error.to_string()))
}
