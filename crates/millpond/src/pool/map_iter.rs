//! Results one by one, from input that is taken as they are used.

use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::time::{Duration, Instant};

use millpond_core::pool::job::Target;
use millpond_core::pool::task::{JobId, Outcome};
use serde::de::DeserializeOwned;

use super::submission::Submission;
use crate::error::{Error, Result, TaskError};
use crate::message::Message;

/// Input is taken ahead by this many items at least, so that fast functions do not wait.
const AHEAD: u64 = 256;
/// Input that is slower than this is not waited for while results are there.
const PATIENCE: Duration = Duration::from_millis(1);

/// The results of a function for each item of its input, in their order. From [`Pool::map_iter`].
///
/// [`Pool::map_iter`]: crate::Pool::map_iter
#[doc(alias = "imap")]
#[must_use = "iterators are lazy: without being asked they do nothing"]
pub struct MapIter<I: Iterator, R>(Stream<I, R>);

/// The results of a function for each item of its input, as they come. From
/// [`Pool::map_unordered`].
///
/// [`Pool::map_unordered`]: crate::Pool::map_unordered
#[must_use = "iterators are lazy: without being asked they do nothing"]
pub struct MapUnordered<I: Iterator, R>(Stream<I, R>);

impl<I: Iterator, R> MapIter<I, R> {
    pub(super) fn new(job: Result<Submission>, input: I) -> Self {
        Self(Stream::new(job, input, true))
    }
}

impl<I: Iterator, R> MapUnordered<I, R> {
    pub(super) fn new(job: Result<Submission>, input: I) -> Self {
        Self(Stream::new(job, input, false))
    }
}

/// A chunk on its way, or an item that could not be sent.
#[derive(Debug)]
enum Entry {
    Sent { task: u64, first: u64, count: u32 },
    Failed(Error),
}

struct Stream<I: Iterator, R> {
    job: Option<Submission>,
    input: Fuse<I>,
    ordered: bool,
    /// No more input is taken: it has ended, or there is no use.
    done: bool,
    /// Results were there before enough input was.
    slow: bool,
    /// How many items may be on their way at most.
    most: u64,
    taken: u64,
    given: u64,
    tasks: u64,
    /// In the order of the input.
    entries: VecDeque<Entry>,
    ready: VecDeque<Result<R>>,
}

impl<I: Iterator, R> Stream<I, R> {
    fn new(job: Result<Submission>, input: I, ordered: bool) -> Self {
        let (job, failed) = match job {
            Ok(job) => (Some(job), None),
            Err(error) => (None, Some(Entry::Failed(error))),
        };
        let most = job.as_ref().map_or(0, |job| {
            let (chunk, workers) = (u64::from(job.chunk), job.shared.processes as u64);
            (AHEAD / chunk).max(2 * workers) * chunk
        });
        Self {
            done: job.is_none(),
            slow: false,
            job,
            input: input.fuse(),
            ordered,
            most,
            taken: 0,
            given: 0,
            tasks: 0,
            entries: failed.into_iter().collect(),
            ready: VecDeque::new(),
        }
    }
}

impl<I, R> Stream<I, R>
where
    I: Iterator,
    I::Item: Message,
    R: DeserializeOwned + 'static,
{
    fn next(&mut self) -> Option<Result<R>> {
        if !self.done && self.taken - self.given <= self.most / 2 {
            // Input that kept results waiting the last time may do so again.
            self.slow = self.slow && self.has_results();
            if !self.slow {
                self.take_input();
            }
        }
        loop {
            if let Some(result) = self.ready.pop_front() {
                self.given += 1;
                return Some(result);
            }
            match self.entries.front() {
                None if self.done => return None,
                None => self.take_input(),
                Some(Entry::Failed(_)) => {
                    if let Some(Entry::Failed(error)) = self.entries.pop_front() {
                        self.ready.push_back(Err(error));
                    }
                }
                Some(&Entry::Sent { task, .. }) => {
                    if let Err(error) = self.wait(task) {
                        self.give_up(error);
                    }
                }
            }
        }
    }

    /// Takes input and sends it until enough is on its way.
    fn take_input(&mut self) {
        let mut since = Instant::now();
        while !self.done && self.taken - self.given < self.most {
            let Some(item) = self.input.next() else {
                self.done = true;
                break;
            };
            self.taken += 1;
            let Some(job) = &mut self.job else { break };
            match job.push(item) {
                Ok(false) => continue,
                Ok(true) => self.note_chunk(),
                Err(error) => {
                    // Ordered, it stands where its item stood.
                    self.end_chunk();
                    self.entries.push_back(Entry::Failed(error));
                }
            }
            if since.elapsed() > PATIENCE {
                self.send();
                self.slow = self.has_results();
                if self.slow {
                    return;
                }
                since = Instant::now();
            }
        }
        self.send();
    }

    /// A chunk of so many calls is complete, the last of which is the last one that was taken.
    fn note(&mut self, count: u32, first: u64) {
        self.entries.push_back(Entry::Sent { task: self.tasks, first, count });
        self.tasks += 1;
    }

    fn note_chunk(&mut self) {
        let chunk = self.job.as_ref().map_or(1, |job| job.chunk);
        self.note(chunk, self.taken - u64::from(chunk));
    }

    /// Completes a chunk before the item that was taken last, which is not in it.
    fn end_chunk(&mut self) {
        if let Some(count) = self.job.as_mut().and_then(Submission::end_chunk) {
            self.note(count, self.taken - 1 - u64::from(count));
        }
    }

    fn send(&mut self) {
        let Some(job) = &mut self.job else { return };
        if let Some(count) = job.end_chunk() {
            self.note(count, self.taken - u64::from(count));
        }
        let Some(job) = &mut self.job else { return };
        let unsent = job.unsent_chunks();
        if unsent == 0 && !(self.done && job.id().is_some()) {
            return;
        }
        if let Err(error) = job.send(self.done) {
            self.done = true;
            let sent = self.tasks - unsent as u64;
            self.entries
                .retain(|entry| !matches!(entry, Entry::Sent { task, .. } if *task >= sent));
            self.entries.push_back(Entry::Failed(error));
        }
    }

    fn target(&self, task: u64) -> Target {
        if self.ordered { Target::Index(task) } else { Target::Any }
    }

    /// Whether `next` has something to give without waiting.
    fn has_results(&self) -> bool {
        let engine = self.job.as_ref().and_then(|job| Some((job, job.id()?)));
        !self.ready.is_empty()
            || match (self.entries.front(), engine) {
                (Some(Entry::Failed(_)), _) => true,
                (Some(&Entry::Sent { task, .. }), Some((job, id))) => {
                    job.shared.engine.is_reached(id, self.target(task)).unwrap_or(true)
                }
                _ => false,
            }
    }

    /// Waits for the results of the first task, or of any, and takes in all that are there.
    fn wait(&mut self, task: u64) -> Result<()> {
        let Some((job, id)) = self.job.take().and_then(|job| job.id().map(|id| (job, id))) else {
            self.entries.clear();
            return Ok(());
        };
        let waited = job.shared.wait(id, self.target(task), None);
        let took = waited.and_then(|_| self.take_results(&job, id));
        self.job = Some(job);
        took
    }

    fn take_results(&mut self, job: &Submission, id: JobId) -> Result<()> {
        let failed = |error| job.shared.error(error);
        if self.ordered {
            while let Some(&Entry::Sent { task, first, count }) = self.entries.front() {
                let Some(outcome) = job.shared.engine.take(id, task).map_err(failed)? else {
                    break;
                };
                self.entries.pop_front();
                self.take_in(job, first, count, &outcome);
            }
            return Ok(());
        }
        while let Some((task, outcome)) = job.shared.engine.take_next(id).map_err(failed)? {
            let at = self.entries.iter().position(
                |entry| matches!(entry, Entry::Sent { task: other, .. } if *other == task),
            );
            if let Some(Entry::Sent { first, count, .. }) =
                at.and_then(|at| self.entries.remove(at))
            {
                self.take_in(job, first, count, &outcome);
            }
        }
        Ok(())
    }

    fn take_in(&mut self, job: &Submission, first: u64, count: u32, outcome: &Outcome) {
        // The pool has ended: more input would only make more errors.
        self.done |= matches!(outcome, Outcome::Cancelled(_));
        job.calls(first, count).results(outcome, |result| self.ready.push_back(result));
    }

    fn give_up(&mut self, error: Error) {
        self.done = true;
        self.entries.clear();
        self.ready.push_back(Err(error));
    }
}

macro_rules! iterator {
    ($name:ident) => {
        impl<I, R> Iterator for $name<I, R>
        where
            I: Iterator,
            I::Item: Message,
            R: DeserializeOwned + 'static,
        {
            type Item = Result<R, TaskError>;

            fn next(&mut self) -> Option<Result<R, TaskError>> {
                Some(self.0.next()?.map_err(TaskError::from))
            }
        }

        impl<I, R> FusedIterator for $name<I, R>
        where
            I: Iterator,
            I::Item: Message,
            R: DeserializeOwned + 'static,
        {
        }

        impl<I: Iterator, R> fmt::Debug for $name<I, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("function", &self.0.job.as_ref().map(|job| job.function.path))
                    .field("taken", &self.0.taken)
                    .field("given", &self.0.given)
                    .finish_non_exhaustive()
            }
        }
    };
}

iterator!(MapIter);
iterator!(MapUnordered);
