//! `Queue`, and what `JoinableQueue` and `SimpleQueue` have in common with it.
//!
//! A call that need not wait keeps the GIL, as releasing it costs more than the call; waiting
//! releases it. The caller of `put` encodes the item, which is in shared memory when `put` returns:
//! there is no feeder thread.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use millpond_core::channel::payload::{Part, Parts, Payload};
use millpond_core::channel::queue::{
    DoneError, GUARD_TIMEOUT, GetError, JoinError, Options, PutError, Queue, ReceivedItem,
};
use millpond_core::os::fork;
use millpond_core::os::inherited::adopt;
use millpond_core::sync::deadline::Turns;
use pyo3::exceptions::{PyMemoryError, PyOSError, PyOverflowError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyGenericAlias, PyList, PyTuple, PyType};

use crate::acquire::Truthiness;
use crate::batch::{Batch, Rest, tag};
use crate::codec::{Codec, Encoded, FAST, shared_codec};
use crate::deadlock::{WaitFor, Watched};
use crate::once::once;
use crate::os_error::os_error;
use crate::plain::{Decoder, Encoder};
use crate::{handle, waiting};

/// A buffer that has grown beyond this is not kept.
const BUFFER_KEPT: usize = 4 << 20;
/// How long a thread that has seen room in the queue waits for it with the GIL held, should other
/// producers have been faster.
const GIL_HELD_TIMEOUT: Duration = Duration::from_millis(1);

/// A queue, which its subclass starts or attaches.
#[pyclass(name = "Queue", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyQueue {
    queue: PyOnceLock<Queue>,
    /// The process in which it was closed, if it was: a forked child may go on using it.
    closed_in: AtomicU32,
}

impl PyQueue {
    fn queue(&self, py: Python<'_>) -> PyResult<&Queue> {
        let missing = || PyRuntimeError::new_err("the queue's __init__() was not called");
        self.queue.get(py).ok_or_else(missing)
    }

    fn is_closed(&self) -> bool {
        // Relaxed: it says nothing of other memory.
        let closed_in = self.closed_in.load(Ordering::Relaxed);
        closed_in != 0 && closed_in == fork::pid()
    }

    #[inline]
    fn open_queue<'a>(slf: &'a Bound<'_, Self>) -> PyResult<&'a Queue> {
        let this = slf.get();
        if this.is_closed() {
            slf.getattr("_refuse")?.call0()?;
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
    once(py, class, || Ok(py.import("queue")?.getattr(name)?.unbind()))?.call0(py)
}

#[cold]
fn empty(py: Python<'_>) -> PyErr {
    exception(py, "Empty").map_or_else(|e| e, |e| PyErr::from_value(e.into_bound(py)))
}

#[cold]
fn full(py: Python<'_>) -> PyErr {
    exception(py, "Full").map_or_else(|e| e, |e| PyErr::from_value(e.into_bound(py)))
}

/// An error of putting, with how many items were put where there are several.
#[cold]
fn with_put(py: Python<'_>, error: PyErr, put: Option<usize>) -> PyErr {
    if let Some(put) = put {
        // What a signal handler raises may be an object that takes no attributes.
        let _ = error.value(py).setattr("put", put);
    }
    error
}

/// An error of putting several; `Full`, which has no text, says how many were put.
#[cold]
fn in_words(py: Python<'_>, error: PyErr, put: usize, of: usize) -> PyErr {
    let full = py.import("queue").and_then(|queue| queue.getattr("Full"));
    if full.is_ok_and(|full| error.get_type(py).is(&full)) {
        let text = format!("put {put} of {of} items; the queue is full");
        let _ = error.value(py).setattr("args", (text,));
    }
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

/// When a call gives up. A process that keeps the queue busy has [`GUARD_TIMEOUT`] to leave,
/// counted from when it was seen first, even if the deadline comes sooner.
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
        let grace = *self.grace.get_or_insert_with(|| Instant::now() + GUARD_TIMEOUT);
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
    done: impl Fn() -> Option<usize>,
) -> PyResult<()> {
    let (mut end, mut watched, mut turns) = (None, Watched::default(), Turns::default());
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
        let until = turns.next(end.when(busy));
        if until <= Instant::now() {
            return Err(with_put(py, full(py), done()));
        }
        let free = py.detach(|| queue.wait_to_put(Some(until)));
        let looked = py.check_signals().and_then(|()| match end.deadline {
            None if free.is_err() => watched.look(py, || queue.is_sole_user(), || WaitFor::Room),
            _ => Ok(()),
        });
        looked.map_err(|error| {
            queue.pass_room_on();
            with_put(py, error, done())
        })?;
        next = if free.is_ok() { Instant::now() + GIL_HELD_TIMEOUT } else { past() };
    }
}

/// Takes with `get`, which is given a deadline: at once if it can, else by waiting.
fn take<R: Send>(
    py: Python<'_>,
    queue: &Queue,
    block: bool,
    timeout: Option<&Bound<'_, PyAny>>,
    mut get: impl FnMut(Instant) -> Result<R, GetError> + Send,
) -> PyResult<R> {
    if block {
        // Also where there is no need to wait, as in the standard library.
        waiting::refuse_nan(timeout.and_then(|t| t.extract().ok()))?;
    }
    let (mut end, mut watched, mut turns) = (None, Watched::default(), Turns::default());
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
        let until = turns.next(end.when(busy));
        if until <= Instant::now() {
            return Err(empty(py));
        }
        py.check_signals()?;
        if end.deadline.is_none() {
            watched.look(py, || queue.is_sole_user(), || WaitFor::Item)?;
        }
        got = py.detach(|| get(until));
    }
}

/// The object that an item is.
fn decode<'py>(
    py: Python<'py>,
    codec: &Codec,
    item: ReceivedItem,
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
        Some(block) => Payload::from_lease(block, parts),
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

    /// Return the class with the type of its items, for type annotations.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(cls.py(), cls, item)
    }

    /// Make a new queue of at most `maxsize` items, or of any number if that is 0 or less.
    fn _start(&self, py: Python<'_>, maxsize: &Bound<'_, PyAny>, tasks: bool) -> PyResult<()> {
        let Ok(capacity) = maxsize.extract::<i32>() else {
            let text = format!("maxsize must be at most {}, not {maxsize}", i32::MAX);
            return Err(PyOverflowError::new_err(text));
        };
        let capacity = u32::try_from(capacity).ok().filter(|&capacity| capacity > 0);
        let queue =
            Queue::create(Options { capacity, tasks, readiness_fd: true }).map_err(os_error)?;
        let _ = self.queue.set(py, queue);
        Ok(())
    }

    /// Open the queue of a wire handle, by the descriptors that came with it if any did.
    fn _attach(
        &self,
        py: Python<'_>,
        wire_handle: &[u8],
        fds: Option<(RawFd, RawFd)>,
    ) -> PyResult<()> {
        let queue = match fds {
            None => Queue::open(wire_handle),
            Some((memory, readiness_fd)) => {
                let own = |fd: RawFd| -> PyResult<OwnedFd> { adopt(fd).map_err(os_error) };
                Queue::open_with(wire_handle, own(memory)?, Some(own(readiness_fd)?))
            }
        };
        let _ = self.queue.set(py, queue.map_err(handle::error)?);
        Ok(())
    }

    /// Return the bytes that another process opens the queue with.
    ///
    /// They do by themselves if they are `sent`, else together with the descriptors of `_fds`. None
    /// stands for one process that is being started, which opens it once.
    fn _wire_handle<'py>(
        &self,
        py: Python<'py>,
        sent: Option<bool>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let queue = self.queue(py)?;
        let wire_handle = match sent {
            Some(true) => queue.send(),
            Some(false) => queue.wire_handle(),
            None => queue.wire_handle_for_one(),
        };
        Ok(PyBytes::new(py, &wire_handle))
    }

    /// Return the descriptors of the queue's memory and of its readiness_fd, which -1 stands for
    /// none of.
    fn _fds(&self, py: Python<'_>) -> PyResult<(RawFd, RawFd)> {
        let queue = self.queue(py)?;
        let readiness_fd = queue.readiness_fd().map_or(-1, |readiness_fd| readiness_fd.as_raw_fd());
        Ok((queue.as_fd().as_raw_fd(), readiness_fd))
    }

    /// Return a descriptor that is readable while there are items.
    fn _watch(&self, py: Python<'_>) -> PyResult<RawFd> {
        let queue = self.queue(py)?;
        Ok(py.detach(|| queue.watch().map_or(-1, |readiness_fd| readiness_fd.as_raw_fd())))
    }

    /// Put an item at the end of the queue, waiting while the queue is full.
    ///
    /// The item is pickled at once and is in shared memory when this returns; later changes of the
    /// object do not reach the receiver.
    ///
    /// Args:
    ///     obj: any object that can be pickled.
    ///     block: whether to wait for room. False raises `queue.Full` if there is none.
    ///     timeout: how many seconds to wait at most; None waits without a limit.
    ///
    /// Raises:
    ///     queue.Full: there was no room, or none within the timeout.
    ///     ValueError: the queue is closed in this process, the item is larger than a queue can
    ///         hold, or the timeout is nan.
    ///     MemoryError: the machine has no memory for the item.
    ///     Exception: whatever pickling raises. The queue is unchanged.
    #[pyo3(
        signature = (obj, block = Truthiness(true), timeout = None),
        text_signature = "(self, /, obj, block=True, timeout=None)"
    )]
    fn put(
        slf: &Bound<'_, Self>,
        obj: &Bound<'_, PyAny>,
        block: Truthiness,
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
            let done = put_all(py, queue, block.0, timeout, put, || None);
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
        put_all(py, queue, block.0, timeout, |until| queue.put(tag, parts, until), || None)
    }

    /// Put all items of an iterable, in order, waiting while the queue is full.
    ///
    /// Items of other processes may come between them. All are pickled before the first is put.
    ///
    /// Args:
    ///     items: the objects to put.
    ///     block: whether to wait for room. False puts as many as there is room for.
    ///     timeout: how many seconds to wait at most, for all of them; None waits without a limit.
    ///
    /// Raises:
    ///     queue.Full: there was not enough room, or not within the timeout. The first `put` items,
    ///         an attribute of this and of the other exceptions, are in the queue.
    ///     ValueError: the queue is closed in this process, an item is larger than a queue can
    ///         hold, or the timeout is nan.
    ///     MemoryError: the machine has no memory for the items.
    ///     Exception: whatever the iterable or pickling raises; then no item was put.
    #[pyo3(
        signature = (items, block = Truthiness(true), timeout = None),
        text_signature = "(self, /, items, block=True, timeout=None)"
    )]
    fn put_many(
        slf: &Bound<'_, Self>,
        items: &Bound<'_, PyAny>,
        block: Truthiness,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let queue = Self::open_queue(slf)?;
        let batch =
            Batch::encode(shared_codec(py)?, items).map_err(|e| with_put(py, e, Some(0)))?;
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
        put_all(py, queue, block.0, timeout, some, || Some(put.get()))
            .map_err(|error| in_words(py, error, put.get(), batch.count()))
    }

    /// Remove and return the first item, waiting for one while the queue is empty.
    ///
    /// Args:
    ///     block: whether to wait. False raises `queue.Empty` if there is no item now.
    ///     timeout: how many seconds to wait at most; None waits without a limit.
    ///
    /// Raises:
    ///     queue.Empty: there was no item, or none within the timeout.
    ///     ValueError: the queue is closed in this process, or the timeout is nan.
    ///     MemoryError: there is no memory for the item, which stays in the queue.
    ///     Exception: whatever unpickling raises. The item is taken nevertheless.
    #[pyo3(
        signature = (block = Truthiness(true), timeout = None),
        text_signature = "(self, /, block=True, timeout=None)"
    )]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        block: Truthiness,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let queue = Self::open_queue(slf)?;
        with_buffer(|buffer| {
            let item = take(py, queue, block.0, timeout, |until| queue.get(buffer, Some(until)))?;
            decode(py, shared_codec(py)?, item, buffer)
        })
    }

    /// Remove and return several items, waiting for the first one alone.
    ///
    /// Args:
    ///     max: how many items to return at most.
    ///     block: whether to wait. False raises `queue.Empty` if there is no item now.
    ///     timeout: how many seconds to wait at most; None waits without a limit.
    ///
    /// Returns:
    ///     The first items of the queue in order: one at least, and as many as there are up to
    ///     `max`.
    ///
    /// Raises:
    ///     queue.Empty: there was no item, or none within the timeout.
    ///     ValueError: the queue is closed in this process, `max` is 0, or the timeout is nan.
    ///     OverflowError: `max` is negative.
    ///     Exception: whatever unpickling raises. All items were taken; the attribute `received` of
    ///         the exception has those that did unpickle.
    #[pyo3(
        signature = (max, block = Truthiness(true), timeout = None),
        text_signature = "(self, /, max, block=True, timeout=None)"
    )]
    fn get_many<'py>(
        slf: &Bound<'py, Self>,
        max: usize,
        block: Truthiness,
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
            take(py, queue, block.0, timeout, |until| {
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

    /// Return the number of items, which others may change at any time.
    fn qsize(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.queue(py)?.len())
    }

    /// Return whether there is no item now, which others may change at any time.
    ///
    /// Raises:
    ///     OSError: the queue is closed in this process.
    fn empty(&self, py: Python<'_>) -> PyResult<bool> {
        if self.is_closed() {
            return Err(PyOSError::new_err("handle is closed"));
        }
        Ok(self.queue(py)?.is_empty())
    }

    /// Return whether `put` would have to wait now, which others may change at any time.
    fn full(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.queue(py)?.is_full())
    }

    /// Close this process's end of the queue: `put` and `get` raise `ValueError` from now on.
    ///
    /// Other processes and what is in the queue are not affected, and nothing waits.
    fn close(&self) {
        self.closed_in.store(fork::pid(), Ordering::Relaxed);
    }

    /// Whether the queue is closed in this process.
    #[getter]
    fn _closed(&self) -> bool {
        self.is_closed()
    }

    /// Return how many items were put and are not done.
    fn _unfinished(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.queue(py)?.unfinished())
    }

    /// Count an item as done.
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

    /// Wait until all items are done; return how many were lost with processes that died.
    fn _join(&self, py: Python<'_>) -> PyResult<u64> {
        let queue = self.queue(py)?;
        let turn = |until| match queue.join(Some(until)) {
            Ok(()) => Some(0),
            Err(JoinError::Lost { count }) => Some(count),
            Err(_) => None,
        };
        let look =
            |watched: &mut Watched| watched.look(py, || queue.is_sole_user(), || WaitFor::Tasks);
        let lost = waiting::wait_watched(py, None, turn, look)?;
        Ok(lost.unwrap_or(0))
    }
}
