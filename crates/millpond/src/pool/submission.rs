//! One call of a pool on its way to the workers: a `spawn`, a `map`, a `map_iter`.

use std::sync::Arc;

use millpond_core::pool::job::{JobSpec, Target};
use millpond_core::pool::options::TaskOptions;
use millpond_core::pool::payload::{Part, Parts};
use millpond_core::pool::task::{JobId, NewTask, Outcome};

use super::frame;
use super::reply::Calls;
use super::shared::Shared;
use super::shipped::Shipped;
use super::worker::Op;
use crate::codec;
use crate::error::{Cause, Error, Result, Subject};
use crate::message::Message;
use crate::wire_handle::{self, SentItems};

/// The bytes of arguments at which they are handed to the engine.
const WORTH_SENDING: usize = 256 << 10;
/// The number of chunks at which they are.
const MANY: usize = 1024;

/// Gathers arguments into chunks and chunks into hand-overs. Dropped, it gives up the outcomes.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) shared: Arc<Shared>,
    pub(super) function: Shipped,
    /// How many calls a full chunk has.
    pub(super) chunk: u32,
    /// The engine's number, once there is one.
    id: Option<JobId>,
    fail_fast: bool,
    options: TaskOptions,
    /// Whether this is one call, and not one for each of many items.
    pub(super) single: bool,
    /// Chunks that have not been sent; the last one may be open.
    chunks: Vec<Chunk>,
    open: bool,
    unsent: usize,
    /// Calls so far.
    pub(super) calls: u64,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    calls: u32,
    sent: SentItems,
}

impl Submission {
    pub(super) fn new(
        shared: Arc<Shared>,
        function: Shipped,
        chunk: u32,
        fail_fast: bool,
        options: TaskOptions,
    ) -> Self {
        Self {
            shared,
            function,
            chunk,
            id: None,
            fail_fast,
            options,
            single: false,
            chunks: Vec::new(),
            open: false,
            unsent: 0,
            calls: 0,
            spare: Vec::new(),
        }
    }

    /// The engine's number of the job, which it has when something was sent.
    pub(super) fn id(&self) -> Option<JobId> {
        self.id
    }

    /// Whether chunks of this job are framed; a single call needs no frame.
    pub(super) fn framed(&self) -> bool {
        self.chunk > 1
    }

    /// Adds a call. `true` if that completes a chunk.
    pub(super) fn push<A>(&mut self, input: A) -> Result<bool>
    where
        A: Message,
    {
        if !self.open {
            let bytes = self.spare.pop().unwrap_or_default();
            self.chunks.push(Chunk { bytes, calls: 0, sent: SentItems::default() });
            self.open = true;
        }
        let framed = self.framed();
        let Some(chunk) = self.chunks.last_mut() else { return Ok(false) };
        let before = chunk.bytes.len();
        let start = framed.then(|| frame::begin(&mut chunk.bytes));
        let (encoded, sent) = wire_handle::sending(|| codec::append(input, &mut chunk.bytes));
        match (start, &encoded) {
            (Some(start), Ok(())) => frame::end(&mut chunk.bytes, start, false),
            (Some(start), Err(_)) => frame::take_back(&mut chunk.bytes, start),
            (None, _) => {}
        }
        self.unsent += chunk.bytes.len() - before;
        let index = self.calls;
        self.calls += 1;
        if let Err(error) = encoded {
            return Err(self.error(Some(index), Cause::Codec(error)));
        }
        chunk.sent.add(chunk.calls, sent);
        chunk.calls += 1;
        let complete = chunk.calls >= self.chunk;
        self.open = !complete;
        Ok(complete)
    }

    /// Ends the open chunk; how many calls it has, if there is one with any.
    pub(super) fn end_chunk(&mut self) -> Option<u32> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        let calls = self.chunks.last().map_or(0, |chunk| chunk.calls);
        if calls == 0 {
            self.chunks.pop();
            return None;
        }
        Some(calls)
    }

    /// Whether so much is there that sending pays.
    pub(super) fn is_worth_sending(&self) -> bool {
        self.unsent >= WORTH_SENDING || self.chunks.len() >= MANY
    }

    /// How many chunks wait to be sent.
    pub(super) fn unsent_chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Sends what is there. Nothing more may follow if it is `sealed`.
    pub(super) fn send(&mut self, sealed: bool) -> Result<()> {
        self.end_chunk();
        let op = if self.framed() { Op::Chunk } else { Op::Call } as u8;
        let mut chunks = std::mem::take(&mut self.chunks);
        let sent = if let [only] = chunks.as_mut_slice() {
            // The common case, without a list.
            let captured_handles = std::mem::take(&mut only.sent).pack();
            let payload = Parts(&[&only.bytes]);
            self.hand_over(
                &mut [NewTask { op, items: only.calls, payload, captured_handles }],
                sealed,
            )
        } else {
            let captured_handles: Vec<_> =
                chunks.iter_mut().map(|chunk| std::mem::take(&mut chunk.sent).pack()).collect();
            let parts: Vec<[&dyn Part; 1]> =
                chunks.iter().map(|chunk| [&chunk.bytes as &dyn Part]).collect();
            let chunks = chunks.iter().zip(&parts).zip(captured_handles);
            let tasks = chunks.map(|((chunk, parts), captured_handles)| {
                let payload = Parts(parts);
                NewTask { op, items: chunk.calls, payload, captured_handles }
            });
            self.hand_over(&mut tasks.collect::<Vec<_>>(), sealed)
        };
        self.unsent = 0;
        if sealed {
            self.spare = Vec::new();
        } else {
            self.spare.extend(chunks.drain(..).map(|mut chunk| {
                chunk.bytes.clear();
                chunk.bytes
            }));
            self.chunks = chunks;
        }
        self.id = Some(sent?);
        Ok(())
    }

    fn hand_over(&self, tasks: &mut [NewTask<'_>], sealed: bool) -> Result<JobId> {
        let spec = JobSpec {
            function: &self.function.id,
            label: self.function.label(),
            fail_fast: self.fail_fast,
            options: self.options,
        };
        let handed = self.shared.add(self.id, &spec, tasks, sealed);
        handed.map_err(|error| self.shared.error(error))
    }

    /// Whether all that was asked for has come.
    pub(super) fn is_over(&self) -> bool {
        self.id.is_some_and(|id| self.shared.engine.is_reached(id, Target::All).unwrap_or(false))
    }

    /// What came of all of it, when that is over.
    pub(super) fn outcomes(&self) -> Result<Vec<Option<Outcome>>> {
        let Some(id) = self.id else { return Ok(Vec::new()) };
        let engine = &self.shared.engine;
        let outcomes = if self.single {
            // The common case, which is as fast as can be.
            engine.take(id, 0).map(|outcome| vec![outcome])
        } else {
            engine.take_all(id)
        };
        outcomes.map_err(|error| self.shared.error(error))
    }

    /// The calls of a chunk, for what came of it.
    pub(super) fn calls(&self, first: u64, count: u32) -> Calls<'_> {
        let last_words = &self.shared.last_words;
        Calls {
            last_words,
            function: self.function.path,
            first,
            count,
            framed: self.framed(),
            single: self.single,
        }
    }

    /// An error of the call as a whole.
    pub(super) fn failed(&self, cause: Cause) -> Error {
        self.error((self.calls == 1).then_some(0), cause)
    }

    /// An error of one call, or of all.
    pub(super) fn error(&self, index: Option<u64>, cause: Cause) -> Error {
        let function = self.function.path;
        Error::from(cause).about(match index {
            Some(index) => {
                let index = (!self.single).then_some(index);
                Subject::Task { index, pid: None, function }
            }
            None => Subject::Map { tasks: self.calls, function },
        })
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.engine.abandon(id);
        }
    }
}
