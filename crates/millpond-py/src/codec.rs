//! Python values as payloads: through the plain codec where it applies, else through pickle.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};

use millpond_core::channel::attachments::Attachments;
use millpond_core::pool::captured_handles::{CapturedHandles, KeptAttachments};
use millpond_core::pool::payload::{Part, Payload};
use millpond_core::pool::task::{JobId, Outcome};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PySlice, PyTuple};

use crate::attachments::PyAttachments;
use crate::lent::Lent;
use crate::once::once;
use crate::plain::{Decoder, Encoder, Large};

/// Set in a task's `op` and in a result's `status` when the payload is in the plain codec's format.
pub(crate) const FAST: u8 = 0x80;
/// The status of a task whose arguments could not be sent; its payload is the number under which
/// the exception is kept here.
pub(crate) const UNSENT: u8 = 2;

/// How this process turns values into bytes and back, beyond the plain codec.
#[derive(Debug)]
pub(crate) struct Codec {
    /// `dumps(value) -> [bytes, buffer, …]`, or that and the attachments.
    dumps: Py<PyAny>,
    /// `loads(pickle, [buffer, …]) -> value`
    loads: Py<PyAny>,
    unsent: Mutex<Unsent>,
}

/// How queues turn values into bytes, and queues and pipes turn those back.
pub(crate) fn shared_codec(py: Python<'_>) -> PyResult<&Codec> {
    static CODEC: PyOnceLock<Codec> = PyOnceLock::new();
    codec(py, &CODEC, "dumps")
}

/// How pipes do, whose messages own what their handles lead to.
pub(crate) fn pipe_codec(py: Python<'_>) -> PyResult<&Codec> {
    static CODEC: PyOnceLock<Codec> = PyOnceLock::new();
    codec(py, &CODEC, "dumps_message")
}

fn codec<'a>(py: Python<'_>, made: &'a PyOnceLock<Codec>, dumps: &str) -> PyResult<&'a Codec> {
    once(py, made, || {
        let module = py.import("millpond._pickling.codec")?;
        Ok(Codec::new(module.getattr(dumps)?.unbind(), module.getattr("loads")?.unbind()))
    })
}

/// Why arguments could not be sent, until the program asks for the results.
#[derive(Debug, Default)]
struct Unsent {
    last: u64,
    errors: HashMap<u64, (JobId, PyErr)>,
}

/// A value as the parts of a payload.
pub(crate) struct Encoded<'py> {
    /// Says which format it has: [`FAST`] or nothing.
    pub(crate) flags: u8,
    parts: Vec<EncodedPart<'py>>,
    /// What it is to own, where it goes by a way that carries that.
    pub(crate) attachments: Option<Attachments>,
}

pub(crate) enum EncodedPart<'py> {
    Bytes(Vec<u8>),
    Large(Large<'py>),
    /// An object and its buffer.
    Buffer(Bound<'py, PyAny>, PyBuffer<u8>),
}

impl EncodedPart<'_> {
    fn detached(&self) -> DetachedPart<'_> {
        match self {
            Self::Bytes(bytes) => DetachedPart::Bytes(bytes),
            Self::Large(large) => DetachedPart::Bytes(large.bytes()),
            Self::Buffer(object, buffer) => DetachedPart::Buffer(object.clone().unbind(), buffer),
        }
    }
}

impl Part for EncodedPart<'_> {
    fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Large(large) => large.length(),
            Self::Buffer(_, buffer) => buffer.len_bytes(),
        }
    }

    fn copy_to(&self, out: &mut [u8]) {
        match self {
            Self::Bytes(bytes) => out.copy_from_slice(bytes),
            Self::Large(large) => large.copy_to(out),
            Self::Buffer(object, buffer) => {
                let copied = buffer.copy_to_slice(object.py(), out);
                // It fails for a wrong length only, and `length` told the right one.
                debug_assert!(copied.is_ok());
            }
        }
    }
}

/// How much of a buffer is copied before other threads get a chance to run.
const STEP: usize = 4 << 20;
/// Payloads of as many bytes are copied while other threads run.
const LARGE: usize = 1 << 20;

/// A part as a thread sees it that does not hold the GIL.
pub(crate) enum DetachedPart<'a> {
    /// They are not written.
    Bytes(&'a [u8]),
    /// Other threads may write there while they hold the GIL. The object and its buffer.
    Buffer(Py<PyAny>, &'a PyBuffer<u8>),
}

impl Part for DetachedPart<'_> {
    fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Buffer(_, buffer) => buffer.len_bytes(),
        }
    }

    fn copy_to(&self, out: &mut [u8]) {
        let (object, buffer) = match self {
            Self::Bytes(bytes) => return out.copy_from_slice(bytes),
            Self::Buffer(object, buffer) => (object, buffer),
        };
        let mut steps = out.chunks_mut(STEP).enumerate();
        let copy = |(index, out): (usize, &mut [u8])| {
            Python::attach(|py| copy_from(object.bind(py), index * STEP, out))
        };
        if steps.try_for_each(copy).is_ok() {
            return;
        }
        // There is no memory for a view of a step: all at once.
        let copied = Python::attach(|py| buffer.copy_to_slice(py, out));
        // It fails for a wrong length only, and `length` told the right one.
        debug_assert!(copied.is_ok());
    }
}

/// Copies what an object has from `start` on.
fn copy_from(object: &Bound<'_, PyAny>, start: usize, out: &mut [u8]) -> PyResult<()> {
    let py = object.py();
    let step = PySlice::new(py, start.try_into()?, (start + out.len()).try_into()?, 1);
    let view = PyMemoryView::from(object)?.get_item(step)?;
    PyBuffer::get(&view)?.copy_to_slice(py, out)
}

impl<'py> Encoded<'py> {
    /// Whether other threads would notice if they stood still while it is copied.
    pub(crate) fn is_large(&self) -> bool {
        self.length() >= LARGE
    }

    /// How many bytes its parts have.
    pub(crate) fn length(&self) -> usize {
        self.parts.iter().map(Part::length).sum()
    }

    /// What the payload is gathered from, without the GIL.
    pub(crate) fn detached_parts(&self) -> Vec<DetachedPart<'_>> {
        self.parts.iter().map(EncodedPart::detached).collect()
    }

    /// What the plain codec's encoder has made.
    pub(crate) fn fast(values: Vec<u8>, large: Vec<Large<'py>>) -> Self {
        let mut parts = vec![EncodedPart::Bytes(values)];
        parts.extend(large.into_iter().map(EncodedPart::Large));
        Self { flags: FAST, parts, attachments: None }
    }

    /// Takes what it leads to, if there are handles in it: they lead there as long as this is kept.
    pub(crate) fn take_captured_handles(&mut self) -> Option<Box<dyn CapturedHandles>> {
        Some(Box::new(KeptAttachments(self.attachments.take()?)))
    }

    /// What the payload is gathered from.
    pub(crate) fn parts(&self) -> Vec<&dyn Part> {
        self.parts.iter().map(|part| part as &dyn Part).collect()
    }
}

impl Codec {
    pub(crate) fn new(dumps: Py<PyAny>, loads: Py<PyAny>) -> Self {
        Self { dumps, loads, unsent: Mutex::default() }
    }

    /// Keeps the reason why arguments could not be sent, and returns it as a task's outcome.
    pub(crate) fn keep_unsent(&self, job: JobId, error: PyErr) -> Outcome {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        unsent.last += 1;
        let number = unsent.last;
        unsent.errors.insert(number, (job, error));
        let payload = Arc::new(Payload::single(number.to_le_bytes().into()));
        Outcome::Finished { status: UNSENT, payload }
    }

    /// The reason that `keep_unsent` kept, and keeps until it is not asked for any more.
    pub(crate) fn unsent(&self, py: Python<'_>, payload: &Payload) -> PyErr {
        let number = payload.part(0).try_into().map_or(0, u64::from_le_bytes);
        let unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let error = unsent.errors.get(&number).map(|(_, error)| error.clone_ref(py));
        error.unwrap_or_else(|| PyValueError::new_err("the arguments could not be sent"))
    }

    /// This outcome will not be asked for any more.
    pub(crate) fn forget(&self, outcome: &Outcome) {
        if let Outcome::Finished { status: UNSENT, payload } = outcome {
            let number = payload.part(0).try_into().map_or(0, u64::from_le_bytes);
            let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
            let forgotten = unsent.errors.remove(&number);
            // Dropping exceptions may run Python code: not under the lock.
            drop(unsent);
            drop(forgotten);
        }
    }

    /// The results of this job will not be asked for.
    pub(crate) fn forget_unsent(&self, job: JobId) {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten: Vec<_> = unsent.errors.extract_if(|_, (of, _)| *of == job).collect();
        // Dropping exceptions may run Python code: not under the lock.
        drop(unsent);
        drop(forgotten);
    }

    /// Encodes one value.
    pub(crate) fn encode<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Encoded<'py>> {
        match Self::encode_fast(value) {
            Some(encoded) => Ok(encoded),
            None => self.pickle(value),
        }
    }

    /// Encodes a value that the plain codec takes.
    pub(crate) fn encode_fast<'py>(value: &Bound<'py, PyAny>) -> Option<Encoded<'py>> {
        let mut fast = Encoder::with_parts();
        fast.push(value)?;
        let (values, large) = fast.finish();
        Some(Encoded::fast(values, large))
    }

    /// Encodes a value that is not for the plain codec.
    pub(crate) fn pickle<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Encoded<'py>> {
        let encoded = Self::pickle_with(self.dumps.bind(value.py()), value)?;
        encoded.ok_or_else(|| PyValueError::new_err("not pickled"))
    }

    /// Encodes a value by another function like `dumps`, which may decline by returning `None`.
    pub(crate) fn pickle_with<'py>(
        dumps: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Encoded<'py>>> {
        let dumped = dumps.call1((value,))?;
        if dumped.is_none() {
            return Ok(None);
        }
        let part = |object: PyResult<Bound<'py, PyAny>>| {
            let object = object?;
            let buffer = PyBuffer::get(&object)?;
            Ok(EncodedPart::Buffer(object, buffer))
        };
        let Ok(pair) = dumped.cast::<PyTuple>() else {
            let parts = dumped.try_iter()?.map(part).collect::<PyResult<_>>()?;
            return Ok(Some(Encoded { flags: 0, parts, attachments: None }));
        };
        let (buffers, attachments): (Bound<'py, PyAny>, Bound<'py, PyAttachments>) =
            pair.extract()?;
        let parts = buffers.try_iter()?.map(part).collect::<PyResult<_>>()?;
        Ok(Some(Encoded { flags: 0, parts, attachments: Some(attachments.get().take()) }))
    }

    /// The value of a payload whose format `flags` tell.
    pub(crate) fn decode<'py>(
        &self,
        py: Python<'py>,
        flags: u8,
        payload: Payload,
    ) -> PyResult<Bound<'py, PyAny>> {
        if flags & FAST != 0 {
            return Decoder::with_parts(&payload).pull(py);
        }
        self.unpickle(py, &Arc::new(payload), 0)
    }

    /// Like `decode`, and the payload is there afterwards.
    pub(crate) fn decode_shared<'py>(
        &self,
        py: Python<'py>,
        flags: u8,
        payload: &Arc<Payload>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if flags & FAST != 0 {
            return Decoder::with_parts(payload).pull(py);
        }
        self.unpickle(py, payload, 0)
    }

    /// Unpickles part `first` of a payload; the parts behind it are its buffers.
    pub(crate) fn unpickle<'py>(
        &self,
        py: Python<'py>,
        payload: &Arc<Payload>,
        first: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        if payload.count() <= first {
            return Err(PyValueError::new_err("damaged payload"));
        }
        let loads = self.loads.bind(py);
        // They live as long as the payload, which is longer than any of the calls below.
        let descriptors: Vec<_> = payload.descriptors().iter().map(AsRawFd::as_raw_fd).collect();
        let with_descriptors;
        let loads = if descriptors.is_empty() {
            loads
        } else {
            let bind = py.import("millpond._pickling.handles")?.getattr("with_descriptors")?;
            with_descriptors = bind.call1((loads, descriptors))?;
            &with_descriptors
        };
        let buffers = PyList::empty(py);
        if payload.count() == first + 1 && !payload.is_lent() {
            return loads.call1((PyBytes::new(py, payload.part(first)), buffers));
        }
        for index in first + 1..payload.count() {
            buffers.append(Lent::view(payload, py, index)?)?;
        }
        // Where it lies: a large pickle is not copied.
        loads.call1((Lent::view(payload, py, first)?, buffers))
    }
}
