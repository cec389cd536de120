//! `Queue`, and what `JoinableQueue` and `SimpleQueue` have in common with it.
//!
//! What can be done at once is done with the interpreter lock held, as giving it away costs more;
//! waiting is done without it. An item is encoded by whoever puts it and is in shared memory when
//! `put` returns: there is no thread that feeds a pipe.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use millpond_core::channel::payload::{Part, Parts, Payload};
use millpond_core::channel::queue::{
    DoneError, GRACE, GetError, JoinError, Options, PutError, Queue, Received,
};
use millpond_core::os::fork;
use millpond_core::os::inherited::adopt;
use pyo3::exceptions::{PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::acquire::Truth;
use crate::batch::{Batch, Rest};
use crate::codec::{Codec, Encoded, FAST, shared_codec};
use crate::fast::{Decoder, Encoder};
use crate::{handle, waiting};

/// A buffer that has grown beyond this is not kept.
const BUFFER_KEPT: usize = 4 << 20;
/// How long one who has seen the way free may wait with the interpreter lock held, should others
/// have been faster.
const MOMENT: Duration = Duration::from_millis(1);

/// A queue, which its subclass starts or attaches.
#[pyclass(name = "Queue", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyQueue {
    queue: PyOnceLock<Queue>,
    /// The process in which it was closed, if it was: a forked child may go on using it.
    closed_in: AtomicU32,
}

/// The tag of an item: its format, and how many parts it has.
pub(crate) fn tag(flags: u8, parts: u32) -> u32 {
    u32::from(flags) | parts << 8
}

impl PyQueue {
    fn queue(&self, py: Python<'_>) -> PyResult<&Queue> {
        let missing = || PyRuntimeError::new_err("the queue's __init__() was not called");
        self.queue.get(py).ok_or_else(missing)
    }

    fn is_closed(&self) -> bool {
        // Relaxed: threads with the interpreter see each other's stores.
        let closed_in = self.closed_in.load(Ordering::Relaxed);
        closed_in != 0 && closed_in == fork::pid()
    }

    #[inline]
    fn open_queue<'a>(slf: &'a Bound<'_, Self>) -> PyResult<&'a Queue> {
        let this = slf.get();
        if this.is_closed() {
            slf.call_method0("_refuse")?;
        }
        this.queue(slf.py())
    }
}

/// An instant that has passed, so that asking the clock costs nothing.
fn past() -> Instant {
    thread_local! {
        static PAST: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    PAST.with(|past| {
        past.get().unwrap_or_else(|| {
            let now = Instant::now();
            past.set(Some(now));
            now
        })
    })
}

thread_local! {
    /// This thread's buffer for small items. While Python runs that might use it, others of this
    /// thread get one of their own.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn keep_buffer(buffer: Vec<u8>) {
    if buffer.capacity() <= BUFFER_KEPT {
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
}

/// Lets `receive` have this thread's buffer.
fn with_buffer<R>(receive: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    let result = receive(&mut buffer);
    keep_buffer(buffer);
    result
}

fn exception(py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
    static FULL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = if name == "Full" { &FULL } else { &EMPTY };
    let class = class
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("queue")?.getattr(name)?.unbind()))?;
    class.call0(py)
}

#[cold]
fn empty(py: Python<'_>) -> PyErr {
    exception(py, "Empty").map_or_else(|e| e, |e| PyErr::from_value(e.into_bound(py)))
}

#[cold]
fn full(py: Python<'_>) -> PyErr {
    exception(py, "Full").map_or_else(|e| e, |e| PyErr::from_value(e.into_bound(py)))
}

/// An error of putting, with how many items of several were put.
#[cold]
fn with_put(py: Python<'_>, error: PyErr, put: usize) -> PyErr {
    // What a signal handler raises may be an object that takes no attributes.
    let _ = error.value(py).setattr("put", put);
    error
}

#[cold]
fn put_error(error: &PutError) -> PyErr {
    match error {
        PutError::NoMemory(_) => PyMemoryError::new_err(error.to_string()),
        PutError::TooLarge => PyValueError::new_err(error.to_string()),
        _ => PyOSError::new_err(error.to_string()),
    }
}

#[cold]
fn get_error(error: &GetError) -> PyErr {
    match error {
        GetError::NoMemory(_) => PyMemoryError::new_err(error.to_string()),
        _ => PyOSError::new_err(error.to_string()),
    }
}

/// When somebody may give up who found the queue busy, or not busy: whoever is in the way has
/// [`GRACE`] to leave, counted from when it was seen first, should the deadline come sooner.
struct End {
    deadline: Option<Instant>,
    grace: Option<Instant>,
}

impl End {
    fn of(block: bool, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let deadline = waiting::deadline_of(timeout)?;
        Ok(Self { deadline: if block { deadline } else { Some(past()) }, grace: None })
    }

    fn when(&mut self, busy: bool) -> Option<Instant> {
        if !busy {
            return self.deadline;
        }
        let grace = *self.grace.get_or_insert_with(|| Instant::now() + GRACE);
        self.deadline.map(|deadline| deadline.max(grace))
    }
}

/// Calls `put`, which puts what it can at once, until it has put everything. What it raises says
/// how many items that were.
fn put_all(
    py: Python<'_>,
    queue: &Queue,
    block: bool,
    timeout: Option<&Bound<'_, PyAny>>,
    mut put: impl FnMut(Option<Instant>) -> Result<(), PutError>,
    done: impl Fn() -> usize,
) -> PyResult<()> {
    let mut end = None;
    let mut next = past();
    loop {
        let busy = match put(Some(next)) {
            Ok(()) => return Ok(()),
            Err(PutError::Busy) => true,
            Err(PutError::Full | PutError::Interrupted) => false,
            Err(error) => return Err(with_put(py, put_error(&error), done())),
        };
        let end = match &mut end {
            Some(end) => end,
            none => none.insert(End::of(block, timeout).map_err(|e| with_put(py, e, done()))?),
        };
        let slice = Instant::now() + waiting::SLICE;
        let until = end.when(busy).map_or(slice, |end| end.min(slice));
        if until <= Instant::now() {
            return Err(with_put(py, full(py), done()));
        }
        let free = py.detach(|| queue.wait_to_put(Some(until)));
        py.check_signals().map_err(|error| with_put(py, error, done()))?;
        next = if free.is_ok() { Instant::now() + MOMENT } else { past() };
    }
}

/// Takes with `get`, which is given a deadline: at once if it can, else by waiting.
fn take<R: Send>(
    py: Python<'_>,
    block: bool,
    timeout: Option<&Bound<'_, PyAny>>,
    mut get: impl FnMut(Instant) -> Result<R, GetError> + Send,
) -> PyResult<R> {
    let mut end = None;
    let mut got = get(past());
    loop {
        let busy = match got {
            Ok(taken) => return Ok(taken),
            Err(GetError::Busy) => true,
            Err(GetError::Empty | GetError::Interrupted) => false,
            Err(error) => return Err(get_error(&error)),
        };
        let end = match &mut end {
            Some(end) => end,
            none => none.insert(End::of(block, timeout)?),
        };
        let slice = Instant::now() + waiting::SLICE;
        let until = end.when(busy).map_or(slice, |end| end.min(slice));
        if until <= Instant::now() {
            return Err(empty(py));
        }
        py.check_signals()?;
        got = py.detach(|| get(until));
    }
}

/// The object that an item is.
fn decode<'py>(
    py: Python<'py>,
    codec: &Codec,
    item: Received,
    buffer: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    // The low byte, and the rest.
    let (flags, parts) = (item.tag as u8, item.tag >> 8);
    let payload = match item.block {
        None => {
            let bytes = &buffer[item.bytes];
            if flags & FAST != 0 && parts == 1 {
                return Decoder::new(bytes).pull(py);
            }
            Payload::from_bytes(bytes.to_vec(), parts)
        }
        Some(block) => Payload::from_block(block, parts),
    };
    let damaged = || PyOSError::new_err("the item is damaged: some process wrote over it");
    codec.decode(py, flags, payload.ok_or_else(damaged)?)
}

#[pymethods]
impl PyQueue {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { queue: PyOnceLock::new(), closed_in: AtomicU32::new(0) }
    }

    /// Makes a new one: for so many items, any number if that is 0 or less.
    fn _start(&self, py: Python<'_>, maxsize: i32, tasks: bool) -> PyResult<()> {
        let capacity = u32::try_from(maxsize).ok().filter(|&capacity| capacity > 0);
        let queue = Queue::create(Options { capacity, tasks, token: true })?;
        let _ = self.queue.set(py, queue);
        Ok(())
    }

    /// Makes this the queue that a ticket leads to, behind descriptors that came with it if any did.
    fn _attach(&self, py: Python<'_>, ticket: &[u8], fds: Option<(RawFd, RawFd)>) -> PyResult<()> {
        let queue = match fds {
            None => Queue::open(ticket),
            Some((memory, token)) => {
                let own = |fd: RawFd| -> PyResult<OwnedFd> { Ok(adopt(fd)?) };
                Queue::open_with(ticket, own(memory)?, Some(own(token)?))
            }
        };
        let _ = self.queue.set(py, queue.map_err(handle::error)?);
        Ok(())
    }

    /// The bytes that lead to the queue: by themselves if they are `sent`, else with `_fds`.
    fn _ticket<'py>(&self, py: Python<'py>, sent: bool) -> PyResult<Bound<'py, PyBytes>> {
        let queue = self.queue(py)?;
        Ok(PyBytes::new(py, &if sent { queue.send() } else { queue.ticket() }))
    }

    fn _fds(&self, py: Python<'_>) -> PyResult<(RawFd, RawFd)> {
        let queue = self.queue(py)?;
        let token = queue.token().map_or(-1, |token| token.as_raw_fd());
        Ok((queue.as_fd().as_raw_fd(), token))
    }

    /// A descriptor that is readable while there are items.
    fn _watch(&self, py: Python<'_>) -> PyResult<RawFd> {
        let queue = self.queue(py)?;
        Ok(py.detach(|| queue.watch().map_or(-1, |token| token.as_raw_fd())))
    }

    #[pyo3(
        signature = (obj, block = Truth(true), timeout = None),
        text_signature = "(self, /, obj, block=True, timeout=None)"
    )]
    fn put(
        slf: &Bound<'_, Self>,
        obj: &Bound<'_, PyAny>,
        block: Truth,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let queue = Self::open_queue(slf)?;
        let mut fast = Encoder::with_parts_in(BUFFER.try_with(Cell::take).unwrap_or_default());
        let is_fast = fast.push(obj).is_some();
        if is_fast && fast.is_whole() {
            let (bytes, _) = fast.finish();
            let parts: [&dyn Part; 1] = [&bytes];
            let put = |until| queue.put(tag(FAST, 1), Parts(&parts), until);
            let done = put_all(py, queue, block.0, timeout, put, || 0);
            keep_buffer(bytes);
            return done;
        }
        let encoded = if is_fast {
            let (values, large) = fast.finish();
            Ok(Encoded::fast(values, large))
        } else {
            shared_codec(py)?.pickle(obj)
        };
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => {
                // Raises it, unless a subclass wants to be told instead.
                slf.call_method1("_unsent", (error.into_value(py), obj))?;
                return Ok(());
            }
        };
        let parts = encoded.parts();
        let parts = Parts(&parts);
        let tag = tag(encoded.flags, parts.count());
        put_all(py, queue, block.0, timeout, |until| queue.put(tag, parts, until), || 0)
    }

    /// Puts all items of an iterable, as many at a time as there is room for.
    #[pyo3(
        signature = (items, block = Truth(true), timeout = None),
        text_signature = "(self, /, items, block=True, timeout=None)"
    )]
    fn put_many(
        slf: &Bound<'_, Self>,
        items: &Bound<'_, PyAny>,
        block: Truth,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let queue = Self::open_queue(slf)?;
        let batch = Batch::encode(shared_codec(py)?, items).map_err(|e| with_put(py, e, 0))?;
        let put = Cell::new(0);
        let some = |until| {
            let rest = Rest { batch: &batch, from: put.get() };
            if rest.from == batch.count() {
                return Ok(());
            }
            queue.put_many(&rest, until).map_err(|error| {
                put.set(put.get() + error.put);
                error.reason
            })
        };
        put_all(py, queue, block.0, timeout, some, || put.get())
    }

    #[pyo3(
        signature = (block = Truth(true), timeout = None),
        text_signature = "(self, /, block=True, timeout=None)"
    )]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        block: Truth,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let queue = Self::open_queue(slf)?;
        with_buffer(|buffer| {
            let item = take(py, block.0, timeout, |until| queue.get(buffer, Some(until)))?;
            decode(py, shared_codec(py)?, item, buffer)
        })
    }

    /// Takes up to `max` items, at least one, for which alone it waits.
    #[pyo3(
        signature = (max, block = Truth(true), timeout = None),
        text_signature = "(self, /, max, block=True, timeout=None)"
    )]
    fn get_many<'py>(
        slf: &Bound<'py, Self>,
        max: usize,
        block: Truth,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let queue = Self::open_queue(slf)?;
        if max == 0 {
            return Err(PyValueError::new_err("max must be at least 1"));
        }
        with_buffer(|buffer| {
            buffer.clear();
            let mut items = Vec::new();
            take(py, block.0, timeout, |until| {
                queue.get_many(max, buffer, &mut items, Some(until))
            })?;
            let codec = shared_codec(py)?;
            let mut failure = None;
            let mut values = Vec::with_capacity(items.len());
            for item in items {
                match decode(py, codec, item, buffer) {
                    Ok(value) => values.push(value),
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            let values = PyList::new(py, values)?;
            match failure {
                None => Ok(values),
                // The others were taken too, and must not be lost.
                Some(error) => {
                    error.value(py).setattr("received", values)?;
                    Err(error)
                }
            }
        })
    }

    fn qsize(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.queue(py)?.len())
    }

    fn empty(&self, py: Python<'_>) -> PyResult<bool> {
        if self.is_closed() {
            return Err(PyOSError::new_err("handle is closed"));
        }
        Ok(self.queue(py)?.is_empty())
    }

    fn full(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.queue(py)?.is_full())
    }

    /// Lets this process put and get nothing any more.
    fn close(&self) {
        self.closed_in.store(fork::pid(), Ordering::Relaxed);
    }

    #[getter]
    fn _closed(&self) -> bool {
        self.is_closed()
    }

    /// How many items were put and are not done.
    fn _unfinished(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.queue(py)?.unfinished())
    }

    fn _task_done(&self, py: Python<'_>) -> PyResult<()> {
        let queue = self.queue(py)?;
        let settled = |done| match done {
            Err(DoneError::Busy | DoneError::Interrupted) => None,
            done => Some(done),
        };
        let mut done = settled(queue.task_done(Some(past())));
        if done.is_none() {
            done = waiting::wait(py, None, |until| settled(queue.task_done(Some(until))))?;
        }
        let many = |_| PyValueError::new_err("task_done() called too many times");
        done.unwrap_or(Ok(())).map_err(many)
    }

    /// Waits until all items are done; how many were lost with processes that died.
    fn _join(&self, py: Python<'_>) -> PyResult<u64> {
        let queue = self.queue(py)?;
        let lost = waiting::wait(py, None, |until| match queue.join(Some(until)) {
            Ok(()) => Some(0),
            Err(JoinError::Lost { count }) => Some(count),
            Err(_) => None,
        })?;
        Ok(lost.unwrap_or(0))
    }
}
