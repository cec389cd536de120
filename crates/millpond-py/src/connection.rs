//! One end of a pipe, as `multiprocessing.connection.Connection` has it.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use millpond_core::channel::pipe::packet::HEADER;
use millpond_core::channel::pipe::{
    End, LARGEST_PACKET, Message, OutgoingMessage, ReceiveError, Rings,
};
use millpond_core::os::inherited::adopt;
use millpond_core::os::ready::{Polled, any_readable};
use millpond_core::pool::payload::{Part, Parts, Payload};
use millpond_core::sync::deadline::Turns;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyEOFError, PyMemoryError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyGenericAlias, PyMemoryView, PySlice, PyType};

use crate::codec::{Encoded, EncodedPart, FAST, pipe_codec, shared_codec};
use crate::deadlock::{WaitFor, Watched};
use crate::os_error::os_error;
use crate::plain::{Decoder, Encoder};
use crate::waiting::{deadline, refuse_nan};

/// What a message is: a pickle and its buffers, a value of the plain codec, or bytes.
const PICKLE: u8 = 0;
const BYTES: u8 = 1;

/// Waits come back to the interpreter so often, to see whether the connection was closed or a
/// signal came just before the wait.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a wait pauses that was woken for nothing, or for threads of this process; or that no
/// event ends.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// One end of a pipe.
#[pyclass(name = "Connection", subclass, frozen, module = "millpond._engine")]
pub(crate) struct PyConnection {
    /// `None` once it is closed. Threads lock it with the GIL held, and never while Python code
    /// runs, so `os.fork` finds it unlocked.
    end: Mutex<Option<Arc<End>>>,
    readable: AtomicBool,
    writable: bool,
}

fn receive_error(error: ReceiveError) -> PyErr {
    match error {
        ReceiveError::Closed => PyEOFError::new_err(()),
        ReceiveError::System(error) => os_error(&error),
        ReceiveError::NoRoom(ref cause) => match cause.raw_os_error() {
            Some(code) => PyOSError::new_err((code, error.to_string())),
            None => PyOSError::new_err(error.to_string()),
        },
        other => PyOSError::new_err(other.to_string()),
    }
}

fn closed() -> PyErr {
    PyOSError::new_err("handle is closed")
}

/// Lets `receive` have this thread's buffer for packets. While Python runs inside, others of this
/// thread get one of their own.
fn with_buffer<R>(receive: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    if buffer.is_empty() {
        buffer = End::buffer();
    }
    let result = receive(&mut buffer);
    let _ = BUFFER.try_with(|kept| kept.set(buffer));
    result
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

impl PyConnection {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<End>>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_end(&self) -> PyResult<Arc<End>> {
        self.lock().clone().ok_or_else(closed)
    }

    fn writable_end(&self) -> PyResult<Arc<End>> {
        let end = self.open_end()?;
        if self.writable { Ok(end) } else { Err(PyOSError::new_err("connection is read-only")) }
    }

    fn readable_end(&self) -> PyResult<Arc<End>> {
        let end = self.open_end()?;
        // Relaxed: it says nothing of other memory.
        if self.readable.load(Ordering::Relaxed) {
            Ok(end)
        } else {
            Err(PyOSError::new_err("connection is write-only"))
        }
    }

    /// What a wait does between two slices.
    fn between_slices(&self, py: Python<'_>) -> PyResult<()> {
        py.check_signals()?;
        self.open_end().map(drop)
    }

    fn send_parts(&self, py: Python<'_>, end: &End, kind: u8, parts: &[&dyn Part]) -> PyResult<()> {
        let message = end.prepare(kind, Parts(parts)).map_err(|e| os_error(&e))?;
        self.send_message(py, end, message)
    }

    fn send_encoded(&self, py: Python<'_>, end: &End, encoded: &Encoded<'_>) -> PyResult<()> {
        let parts = encoded.parts();
        let Some(attachments) = &encoded.attachments else {
            return self.send_parts(py, end, encoded.flags, &parts);
        };
        let message = loop {
            let prepared = end.prepare_with(encoded.flags, Parts(&parts), attachments);
            if let Some(message) = prepared.map_err(|e| os_error(&e))? {
                break message;
            }
            py.detach(|| thread::sleep(RETRY_PAUSE));
            self.between_slices(py)?;
        };
        self.send_message(py, end, message)
    }

    fn send_message(
        &self,
        py: Python<'_>,
        end: &End,
        mut message: OutgoingMessage<'_>,
    ) -> PyResult<()> {
        // Sending at once costs less than giving the interpreter away.
        if end.try_send(&mut message).map_err(|e| os_error(&e))? {
            return Ok(());
        }
        let mut turns = Turns::default();
        loop {
            let until = turns.next(None);
            let sent = py.detach(|| end.send(&mut message, Some(until)));
            if sent.map_err(|e| os_error(&e))? == Polled::Done(()) {
                return Ok(());
            }
            self.between_slices(py)?;
        }
    }

    /// Waits for a message and lets `use_it` have it.
    fn receive<R>(
        &self,
        py: Python<'_>,
        end: &End,
        use_it: impl FnOnce(Message<'_>) -> PyResult<R>,
    ) -> PyResult<R> {
        with_buffer(|buffer| {
            // Giving the interpreter away costs more than taking what is there.
            let mut arrival = end.take_at_hand(buffer).map_err(receive_error)?;
            let (mut watched, mut turns) = (Watched::default(), Turns::default());
            let arrival = loop {
                if let Some(arrival) = arrival {
                    break arrival;
                }
                let until = turns.next(None);
                arrival = match py.detach(|| end.take(buffer, Some(until))) {
                    Ok(Polled::Done(arrival)) => Some(arrival),
                    Ok(Polled::TimedOut | Polled::Interrupted) => {
                        self.between_slices(py)?;
                        watched.look(py, || end.is_sole_user(), || WaitFor::Message)?;
                        None
                    }
                    Err(error) => return Err(receive_error(error)),
                };
            };
            use_it(end.open(arrival, buffer).map_err(receive_error)?)
        })
    }

    /// The error of a message of bytes that is longer than the receiver allows: as in the standard
    /// library, nothing can be received afterwards.
    fn bad_message_length(&self) -> PyErr {
        if self.writable {
            self.readable.store(false, Ordering::Relaxed);
        } else {
            self.close();
        }
        PyOSError::new_err("bad message length")
    }

    /// Receives a message and lets `use_it` have its bytes: those of `send_bytes`, or the pickle.
    fn receive_bytes<R>(
        &self,
        py: Python<'_>,
        use_it: impl FnOnce(&[u8]) -> PyResult<R>,
    ) -> PyResult<R> {
        let end = self.readable_end()?;
        self.receive(py, &end, |message| match message {
            Message::Inline { kind: PICKLE | BYTES, parts: 1, bytes } => use_it(bytes),
            Message::Lent { kind: PICKLE | BYTES, payload } if payload.count() == 1 => {
                use_it(payload.part(0))
            }
            // One pickle, with all that was beside it.
            other => {
                let value = value(py, other)?;
                let dumps = py.import("millpond._pickling.codec")?.getattr("dumps_in_band")?;
                let parts: Vec<Bound<'_, PyBytes>> = dumps.call1((value,))?.extract()?;
                use_it(parts.first().map_or(&[], |pickle| pickle.as_bytes()))
            }
        })
    }
}

/// The object that was sent.
fn value<'py>(py: Python<'py>, message: Message<'_>) -> PyResult<Bound<'py, PyAny>> {
    if let Message::Inline { kind: FAST, parts: 1, bytes } = message {
        return Decoder::new(bytes).pull(py);
    }
    let kind = message.kind();
    shared_codec(py)?.decode(py, kind & FAST, payload(message)?)
}

fn payload(message: Message<'_>) -> PyResult<Payload> {
    message.into_payload().ok_or_else(|| receive_error(ReceiveError::Damaged))
}

/// `bytes`, where there is room for them.
fn new_bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    // `PyBytes::new` panics where there is none, so try for as much first.
    let room = Vec::<u8>::new().try_reserve_exact(bytes.len());
    room.map_err(|_| PyMemoryError::new_err("no room for the bytes received"))?;
    Ok(PyBytes::new(py, bytes))
}

/// A view of a buffer as plain bytes.
fn byte_view<'py>(buffer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    PyMemoryView::from(buffer)?.call_method1("cast", ("B",))
}

fn part_of<'py>(view: &Bound<'py, PyAny>, start: usize, length: usize) -> PyResult<PyBuffer<u8>> {
    // Lengths of buffers fit.
    let slice = PySlice::new(view.py(), start.cast_signed(), (start + length).cast_signed(), 1);
    PyBuffer::get(&view.get_item(slice)?)
}

#[pymethods]
impl PyConnection {
    /// The end behind a descriptor, which it then owns.
    #[new]
    #[pyo3(signature = (handle, readable=true, writable=true))]
    fn new(handle: RawFd, readable: bool, writable: bool) -> PyResult<Self> {
        if handle < 0 {
            return Err(PyValueError::new_err("invalid handle"));
        }
        if !readable && !writable {
            let message = "at least one of `readable` and `writable` must be True";
            return Err(PyValueError::new_err(message));
        }
        if !End::is_one(handle) {
            let message = format!("descriptor {handle} is not the end of a pipe");
            return Err(PyValueError::new_err(message));
        }
        let end = adopt(handle).and_then(End::from_fd).map_err(|e| os_error(&e))?;
        let end = Mutex::new(Some(Arc::new(end)));
        Ok(Self { end, readable: AtomicBool::new(readable), writable })
    }

    /// Return the class with the types of what it sends and receives, for type annotations.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(cls.py(), cls, item)
    }

    /// Whether the connection is closed in this process.
    #[getter]
    fn closed(&self) -> bool {
        self.lock().is_none()
    }

    /// Whether the connection can receive.
    #[getter]
    fn readable(&self) -> bool {
        self.readable.load(Ordering::Relaxed)
    }

    /// Whether the connection can send.
    #[getter]
    fn writable(&self) -> bool {
        self.writable
    }

    /// Give a connection that was made from a descriptor its rings.
    ///
    /// They were `given` to this process when it was started, or belong to a new pipe.
    fn _attach(&self, rings: &PyRings, side: u8, given: bool) -> PyResult<()> {
        let (end, rings) = (self.open_end()?, Arc::clone(&rings.0));
        if given {
            end.attach_given(rings, side)
        } else {
            end.attach(rings, side)
        }
        Ok(())
    }

    /// Return the rings and the number of the end, for a process that gets the descriptor.
    fn _rings(&self) -> PyResult<Option<(PyRings, u8)>> {
        Ok(self.open_end()?.rings().map(|(rings, side)| (PyRings(rings), side)))
    }

    /// The descriptor, or None once the connection is closed.
    #[getter]
    fn _handle(&self) -> Option<RawFd> {
        let end = self.lock();
        end.as_ref().inspect(|end| end.give_to_anybody());
        end.as_ref().map(|end| end.as_fd().as_raw_fd())
    }

    /// The same for what is shown and goes nowhere else.
    fn _shown(&self) -> PyResult<RawFd> {
        self.open_end().map(|end| end.as_fd().as_raw_fd())
    }

    /// Return the descriptor of the connection, for `select` and its like.
    ///
    /// Raises:
    ///     OSError: the connection is closed.
    fn fileno(&self) -> PyResult<RawFd> {
        self._handle().ok_or_else(closed)
    }

    /// Close the connection in this process. A second call does nothing.
    ///
    /// The other end gets `EOFError` once no process has this end open and all was received.
    fn close(&self) {
        let end = self.lock().take();
        drop(end);
    }

    /// Stop managing the descriptor: it stays open, and the connection counts as closed.
    fn _detach(&self, py: Python<'_>) {
        let Some(mut end) = self.lock().take() else { return };
        end.give_to_anybody();
        // Threads that wait let go of it at the end of their slice: the connection is closed.
        loop {
            match Arc::try_unwrap(end) {
                Ok(end) => {
                    let _ = OwnedFd::from(end).into_raw_fd();
                    return;
                }
                Err(shared) => end = shared,
            }
            py.detach(|| thread::sleep(RETRY_PAUSE));
        }
    }

    /// Send an object to the other end, waiting while the pipe is full.
    ///
    /// Args:
    ///     obj: any object that can be pickled. Changes after the call do not reach the receiver.
    ///
    /// Raises:
    ///     BrokenPipeError: no process has the other end open any more.
    ///     OSError: the connection is closed or read-only.
    ///     Exception: whatever pickling raises. Nothing was sent.
    fn send(&self, obj: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = obj.py();
        let end = self.writable_end()?;
        let mut fast = Encoder::with_parts_behind(HEADER);
        let encoded = if fast.push(obj).is_some() {
            let (mut packet, large) = fast.finish();
            if large.is_empty() && packet.len() <= LARGEST_PACKET {
                return self.send_message(py, &end, end.prepare_packet(FAST, packet));
            }
            packet.drain(..HEADER);
            Encoded::fast(packet, large)
        } else {
            pipe_codec(py)?.pickle(obj)?
        };
        self.send_encoded(py, &end, &encoded)
    }

    /// Send bytes as one message, waiting while the pipe is full.
    ///
    /// Args:
    ///     buf: an object with the buffer interface, such as `bytes`.
    ///     offset: where in it the message starts.
    ///     size: how many bytes the message has; by default, all from `offset` on.
    ///
    /// Raises:
    ///     ValueError: the offset or size is negative or reaches beyond the end of the buffer.
    ///     BrokenPipeError: no process has the other end open any more.
    ///     OSError: the connection is closed or read-only.
    #[pyo3(signature = (buf, offset=0, size=None))]
    fn send_bytes(
        &self,
        buf: &Bound<'_, PyAny>,
        offset: isize,
        size: Option<isize>,
    ) -> PyResult<()> {
        let py = buf.py();
        let end = self.writable_end()?;
        let bytes = buf.cast_exact::<PyBytes>().ok();
        let view = if bytes.is_some() { None } else { Some(byte_view(buf)?) };
        let whole = match (&bytes, &view) {
            (Some(bytes), _) => bytes.as_bytes().len(),
            (None, Some(view)) => view.len()?,
            (None, None) => 0,
        };
        let (start, length) = range(whole, offset, size)?;
        if let Some(bytes) = bytes {
            let part = &bytes.as_bytes()[start..][..length];
            return self.send_parts(py, &end, BYTES, &[&part]);
        }
        let Some(view) = view else { return Ok(()) };
        let part = EncodedPart::Buffer(buf.clone(), part_of(&view, start, length)?);
        self.send_parts(py, &end, BYTES, &[&part])
    }

    /// Receive an object, waiting until one was sent.
    ///
    /// Raises:
    ///     EOFError: nothing is left to receive and no process has the other end open any more.
    ///     OSError: the connection is closed or write-only.
    ///     Exception: whatever unpickling raises. The message is gone then.
    fn recv<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let end = self.readable_end()?;
        self.receive(py, &end, |message| value(py, message))
    }

    /// Receive a message as bytes, waiting until one was sent.
    ///
    /// Args:
    ///     maxlength: how many bytes the message may have; any number by default.
    ///
    /// Raises:
    ///     EOFError: nothing is left to receive and no process has the other end open any more.
    ///     OSError: the connection is closed or write-only, or the message is longer than
    ///         `maxlength`. After the latter nothing more can be received.
    ///     ValueError: `maxlength` is negative.
    #[pyo3(signature = (maxlength=None))]
    fn recv_bytes<'py>(
        &self,
        py: Python<'py>,
        maxlength: Option<isize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        drop(self.readable_end()?);
        let longest = match maxlength.map(usize::try_from) {
            Some(Err(_)) => return Err(PyValueError::new_err("negative maxlength")),
            Some(Ok(longest)) => longest,
            None => usize::MAX,
        };
        let received = self.receive_bytes(py, |bytes| {
            (bytes.len() <= longest).then(|| new_bytes(py, bytes)).transpose()
        })?;
        received.ok_or_else(|| self.bad_message_length())
    }

    /// Receive a message into a buffer, waiting until one was sent.
    ///
    /// Args:
    ///     buf: a writable object with the buffer interface, such as `bytearray`.
    ///     offset: where in it the message is written.
    ///
    /// Returns:
    ///     The length of the message in bytes.
    ///
    /// Raises:
    ///     multiprocessing.BufferTooShort: the message does not fit; `args[0]` is the message.
    ///     EOFError: nothing is left to receive and no process has the other end open any more.
    ///     OSError: the connection is closed or write-only.
    ///     TypeError: the buffer is not writable.
    ///     ValueError: the offset is negative or beyond the end of the buffer.
    #[pyo3(signature = (buf, offset=0))]
    fn recv_bytes_into(&self, buf: &Bound<'_, PyAny>, offset: isize) -> PyResult<usize> {
        let py = buf.py();
        drop(self.readable_end()?);
        let view = byte_view(buf)?;
        if view.getattr("readonly")?.is_truthy()? {
            return Err(PyTypeError::new_err("a writable bytes-like object is required"));
        }
        let room = view.len()?;
        let offset =
            usize::try_from(offset).map_err(|_| PyValueError::new_err("negative offset"))?;
        if offset > room {
            return Err(PyValueError::new_err("offset too large"));
        }
        self.receive_bytes(py, |bytes| {
            if bytes.len() > room - offset {
                let too_short = py.import("multiprocessing.context")?.getattr("BufferTooShort")?;
                return Err(PyErr::from_value(too_short.call1((new_bytes(py, bytes)?,))?));
            }
            part_of(&view, offset, bytes.len())?.copy_from_slice(py, bytes)?;
            Ok(bytes.len())
        })
    }

    /// Return whether there is a message to receive, or the end of the messages.
    ///
    /// Args:
    ///     timeout: how many seconds to wait for one; None waits without a limit.
    ///
    /// Raises:
    ///     OSError: the connection is closed or write-only.
    ///     ValueError: the timeout is nan.
    #[pyo3(signature = (timeout=Some(0.0)), text_signature = "(self, /, timeout=0.0)")]
    fn poll(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let end = self.readable_end()?;
        let ready = wait_sliced(py, &[Awaited::End(end)], timeout, || self.open_end().map(drop))?;
        Ok(!ready.is_empty())
    }

    /// Return the connection, which the end of the `with` statement closes.
    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Close the connection.
    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.close();
    }
}

/// Where the `size` bytes from `offset` on are in a buffer of `whole` bytes.
fn range(whole: usize, offset: isize, size: Option<isize>) -> PyResult<(usize, usize)> {
    let error = |message: &'static str| PyValueError::new_err(message);
    let start = usize::try_from(offset).map_err(|_| error("offset is negative"))?;
    let rest = whole.checked_sub(start).ok_or_else(|| error("buffer length < offset"))?;
    let Some(size) = size else { return Ok((start, rest)) };
    let length = usize::try_from(size).map_err(|_| error("size is negative"))?;
    if length > rest {
        return Err(error("buffer length < offset + size"));
    }
    Ok((start, length))
}

/// What one can wait for.
enum Awaited {
    /// Whatever is behind a descriptor.
    Descriptor(RawFd),
    /// A message on a pipe.
    End(Arc<End>),
}

impl Awaited {
    fn number(&self) -> RawFd {
        match self {
            Self::Descriptor(number) => *number,
            Self::End(end) => end.as_fd().as_raw_fd(),
        }
    }

    /// Whether it can be read, given what the kernel says of its descriptor.
    fn is_ready(&self, is_readable: bool) -> bool {
        match self {
            Self::Descriptor(_) => is_readable,
            Self::End(end) => end.has_message() || is_readable && end.is_readable(),
        }
    }
}

/// Waits until one of `awaited` can be read; returns for each whether it can, nothing if time ran
/// out.
fn wait_sliced(
    py: Python<'_>,
    awaited: &[Awaited],
    timeout: Option<f64>,
    between_slices: impl Fn() -> PyResult<()>,
) -> PyResult<Vec<bool>> {
    refuse_nan(timeout)?;
    // One alone that has a message needs no system call.
    if let [Awaited::End(end)] = awaited
        && end.has_message()
    {
        return Ok(vec![true]);
    }
    let deadline = deadline(timeout)?;
    let fds: Vec<RawFd> = awaited.iter().map(Awaited::number).collect();
    let mut spin = awaited.iter().any(|one| matches!(one, Awaited::End(_)));
    let mut waited = any_readable(&fds, Some(Instant::now()), false);
    loop {
        let readable = match waited.map_err(|e| os_error(&e))? {
            Polled::Done(readable) => readable,
            Polled::TimedOut | Polled::Interrupted => vec![false; fds.len()],
        };
        let ready = awaited.iter().zip(&readable).map(|(one, readable)| one.is_ready(*readable));
        let ready: Vec<bool> = ready.collect();
        if ready.contains(&true) {
            return Ok(ready);
        }
        if is_over(deadline) {
            return Ok(Vec::new());
        }
        py.check_signals()?;
        between_slices()?;
        let is_false_alarm = readable.contains(&true);
        waited = py.detach(|| {
            if is_false_alarm {
                // Another receiver is about to take the message.
                thread::sleep(RETRY_PAUSE);
            }
            let slice = Instant::now() + RECHECK_INTERVAL;
            any_readable(&fds, Some(deadline.map_or(slice, |end| end.min(slice))), spin)
        });
        spin = false;
    }
}

/// Wait until one of some descriptors and connections can be read or has come to its end; return
/// for each whether it is so, or an empty list if time ran out.
#[pyfunction]
pub(crate) fn wait_readable(
    py: Python<'_>,
    awaited: Vec<Bound<'_, PyAny>>,
    timeout: Option<f64>,
) -> PyResult<Vec<bool>> {
    let one = |one: &Bound<'_, PyAny>| match one.cast::<PyConnection>() {
        Ok(connection) => connection.get().open_end().map(Awaited::End),
        Err(_) => one.extract().map(Awaited::Descriptor),
    };
    let awaited: Vec<Awaited> = awaited.iter().map(one).collect::<PyResult<_>>()?;
    wait_sliced(py, &awaited, timeout, || Ok(()))
}

/// The shared memory of a pipe.
#[pyclass(name = "Rings", frozen, module = "millpond._engine")]
pub(crate) struct PyRings(Arc<Rings>);

#[pymethods]
impl PyRings {
    /// The memory behind a descriptor, which it then owns.
    #[new]
    fn new(fd: RawFd) -> PyResult<Self> {
        let rings = adopt(fd).and_then(Rings::from_fd).map_err(|e| os_error(&e))?;
        Ok(Self(Arc::new(rings)))
    }

    /// Return the descriptor of the memory.
    fn fileno(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }

    /// Say that an end is given to one process that is being started.
    fn give(&self) {
        self.0.give_to_one();
    }
}

/// Return the descriptors of a new pipe's ends, which the caller has to close, and its memory.
#[pyfunction]
pub(crate) fn pipe() -> PyResult<(RawFd, RawFd, Option<PyRings>)> {
    let (a, b) = End::pair().map_err(|e| os_error(&e))?;
    let rings = a.rings().map(|(rings, _)| PyRings(rings));
    Ok((OwnedFd::from(a).into_raw_fd(), OwnedFd::from(b).into_raw_fd(), rings))
}

/// Return whether a descriptor is the end of a pipe.
#[pyfunction]
pub(crate) fn is_pipe(fd: RawFd) -> bool {
    fd >= 0 && End::is_one(fd)
}
