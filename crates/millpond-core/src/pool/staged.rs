//! Large arguments, on their way into the pool's heap.
//!
//! A block is taken out under the pool's lock, which takes no time; pages are reserved and bytes are
//! copied without it; and the task is added under the lock again. So threads that submit, wait for
//! or take other tasks do not stand still meanwhile.

use std::collections::VecDeque;
use std::io;

use crate::pool::INLINE_LIMIT;
use crate::pool::payload::Parts;
use crate::pool::shared::Shared;
use crate::pool::task::NewTask;
use crate::shm::draft::{Draft, Filled};

/// Whether a payload travels in a block.
pub(crate) fn is_large(payload: Parts<'_>) -> bool {
    payload.encoded_length() > INLINE_LIMIT
}

/// Whether any of these tasks has large arguments.
pub(crate) fn any_large(tasks: &[NewTask<'_>]) -> bool {
    tasks.iter().any(|task| is_large(task.payload))
}

/// The blocks of those tasks that have large arguments, in order.
#[derive(Debug)]
pub(crate) struct StagedArguments {
    filled: VecDeque<Filled>,
    /// How many tasks have found room for their arguments.
    pub(crate) count: usize,
    /// Why the next one has not.
    pub(crate) failure: io::Result<()>,
}

impl StagedArguments {
    /// Copies all large arguments of `tasks`, up to the first ones that find no room. Takes the
    /// pool's lock only if there are any.
    pub(crate) fn new(shared: &Shared, tasks: &[NewTask<'_>]) -> Self {
        let mut staged = Self { filled: VecDeque::new(), count: tasks.len(), failure: Ok(()) };
        let mut drafts = Vec::new();
        if any_large(tasks) {
            let mut state = shared.state();
            for (index, task) in tasks.iter().enumerate() {
                if is_large(task.payload) {
                    match state.heap.take(task.payload.encoded_length()) {
                        Ok(draft) => drafts.push((index, draft)),
                        Err(error) => {
                            staged.fail(index, error);
                            break;
                        }
                    }
                }
            }
        }
        for (index, draft) in drafts {
            let payload = tasks[index].payload;
            match Draft::fill(draft, |out| payload.encode(out)) {
                Ok(filled) => staged.filled.push_back(filled),
                Err(error) => {
                    staged.fail(index, error);
                    break;
                }
            }
        }
        staged
    }

    fn fail(&mut self, index: usize, error: io::Error) {
        self.count = index;
        self.failure = Err(error);
    }

    /// The block of the next task, if its arguments are large.
    pub(crate) fn next(&mut self, task: &NewTask<'_>) -> Option<Filled> {
        if is_large(task.payload) { self.filled.pop_front() } else { None }
    }
}
