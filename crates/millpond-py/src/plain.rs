//! The plain codec: a codec for plain values, without pickle.
//!
//! It takes `None`, `bool`, `int` (64 bits), `float`, `str`, `bytes`, tuples of them, and at most
//! one list of them: with two, pickle would have to tell whether they are the same list. Types are
//! exact; whatever else there is makes the whole value go through pickle.
//!
//! A text, bytes or tuple that a value contains several times is encoded once, as pickle's memo does
//! it, and is one object again where it arrives: `[text] * 1000` takes the room of one text. What
//! has one reference cannot come a second time, so most values pay nothing for this.
//!
//! Large texts and bytes are parts of their own behind the encoded values, so that they are copied
//! once on either side.

use millpond_core::os::memory;
use millpond_core::pool::payload::{Part, Payload};
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyList, PyString, PyTuple};
use rustc_hash::FxHashMap;

use crate::vectorcall;

use crate::os_error::os_error;

const NONE: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const STR: u8 = 5;
const BYTES: u8 = 6;
const TUPLE: u8 = 7;
const LIST: u8 = 8;
const SMALL_INT: u8 = 9;
const LARGE_STR: u8 = 10;
const LARGE_BYTES: u8 = 11;
const MEDIUM_INT: u8 = 12;
/// An object that came before: the number that it has among those that were marked.
const AGAIN: u8 = 13;
/// Marks the tag of an object that may come again.
const MARKED: u8 = 0x80;

const DEEPEST: usize = 4;
/// Longer texts gain nothing here, and their length must fit the format.
const LONGEST: usize = 1 << 30;
/// Texts and bytes from so many bytes on are parts of their own.
const LARGE: usize = 32 << 10;

/// For copies of as many bytes it is asked first whether there is so much memory.
const WORTH_ASKING: usize = 1 << 20;

/// A text or bytes, as a part of a payload.
pub(crate) enum Large<'py> {
    Str(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
}

impl Large<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            // `Encoder::value` has seen that it is valid.
            Self::Str(text) => text.to_str().unwrap_or_default().as_bytes(),
            Self::Bytes(bytes) => bytes.as_bytes(),
        }
    }
}

impl Part for Large<'_> {
    fn length(&self) -> usize {
        self.bytes().len()
    }

    fn copy_to(&self, out: &mut [u8]) {
        out.copy_from_slice(self.bytes());
    }
}

/// The objects of a value that may come again, by address, in the order of their encoding.
///
/// The value holds them for as long as it is being encoded, so their addresses stay theirs.
#[derive(Default)]
struct Memo {
    first: [usize; Memo::FIRST],
    more: FxHashMap<usize, u32>,
    count: u32,
}

impl Memo {
    /// Looking through so few is faster than hashing.
    const FIRST: usize = 8;

    fn number(&self, object: usize) -> Option<u32> {
        let used = Self::FIRST.min(self.count as usize);
        let found = self.first[..used].iter().position(|&known| known == object);
        // There are at most `FIRST` of them.
        found.map(|at| at as u32).or_else(|| self.more.get(&object).copied())
    }

    fn add(&mut self, object: usize) {
        match self.first.get_mut(self.count as usize) {
            Some(place) => *place = object,
            None => drop(self.more.insert(object, self.count)),
        }
        self.count += 1;
    }

    fn clear(&mut self) {
        if self.count as usize > Self::FIRST {
            // Not cleared, which takes as long as its largest content would.
            self.more = FxHashMap::default();
        }
        self.count = 0;
    }
}

/// Encodes values one after the other.
#[derive(Default)]
pub(crate) struct Encoder<'py> {
    out: Vec<u8>,
    large: Option<Vec<Large<'py>>>,
    lists: usize,
    memo: Memo,
}

impl<'py> Encoder<'py> {
    /// One that leaves large texts and bytes aside, to be sent as parts of their own.
    pub(crate) fn with_parts() -> Self {
        Self { large: Some(Vec::new()), ..Self::default() }
    }

    /// The same, with room for a header of so many bytes before the values.
    pub(crate) fn with_parts_behind(header: usize) -> Self {
        let mut out = Vec::with_capacity(64);
        out.resize(header, 0);
        Self { out, ..Self::with_parts() }
    }

    /// Like [`with_parts`](Self::with_parts), and writes to `out`, whose memory it uses again.
    pub(crate) fn with_parts_in(mut out: Vec<u8>) -> Self {
        out.clear();
        Self { out, ..Self::with_parts() }
    }

    /// Whether nothing was left aside.
    pub(crate) fn is_whole(&self) -> bool {
        self.large.as_ref().is_none_or(Vec::is_empty)
    }

    /// The encoded values, and what was left aside.
    pub(crate) fn finish(self) -> (Vec<u8>, Vec<Large<'py>>) {
        (self.out, self.large.unwrap_or_default())
    }

    /// Adds a value; `None` if it is not for the plain codec.
    pub(crate) fn push(&mut self, value: &Bound<'py, PyAny>) -> Option<()> {
        self.value(value, 0, Py_ssize_t::MAX)
    }

    /// Adds a value that does not belong to the others; `None` if it is not for the plain codec.
    pub(crate) fn push_another(&mut self, value: &Bound<'py, PyAny>) -> Option<()> {
        self.lists = 0;
        self.memo.clear();
        self.push(value)
    }

    /// How many bytes the encoded values have.
    pub(crate) fn length(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was added since there were so many bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.out.truncate(length);
    }

    fn leave_aside(&mut self, tag: u8, length: usize, large: impl FnOnce() -> Large<'py>) -> bool {
        let Some(aside) = self.large.as_mut().filter(|_| length >= LARGE) else {
            return false;
        };
        self.out.push(tag);
        // There are fewer parts than bytes of memory divided by LARGE.
        self.out.extend_from_slice(&(aside.len() as u32).to_le_bytes());
        aside.push(large());
        true
    }

    fn head(&mut self, tag: u8, length: usize) -> Option<()> {
        let length = u32::try_from(length).ok().filter(|&l| l as usize <= LONGEST)?;
        self.out.push(tag);
        self.out.extend_from_slice(&length.to_le_bytes());
        Some(())
    }

    /// Adds an object by `add`, or a reference to it if it came before; with `once` references, an
    /// object is in one place of one container.
    #[inline]
    fn once(
        &mut self,
        value: &Bound<'py, PyAny>,
        once: Py_ssize_t,
        add: impl FnOnce(&mut Self, u8) -> Option<()>,
    ) -> Option<()> {
        // SAFETY: the object is alive, for `value` is, and the interpreter is held.
        if unsafe { ffi::Py_REFCNT(value.as_ptr()) } <= once {
            return add(self, 0);
        }
        let object = value.as_ptr().addr();
        if let Some(number) = self.memo.number(object) {
            self.out.push(AGAIN);
            self.out.extend_from_slice(&number.to_le_bytes());
        } else {
            add(self, MARKED)?;
            self.memo.add(object);
        }
        Some(())
    }

    fn value(&mut self, value: &Bound<'py, PyAny>, depth: usize, once: Py_ssize_t) -> Option<()> {
        if let Ok(int) = value.cast_exact::<PyInt>() {
            let int = vectorcall::int(int)?;
            if let Ok(small) = i8::try_from(int) {
                self.out.extend_from_slice(&[SMALL_INT, small.cast_unsigned()]);
            } else if let Ok(medium) = i32::try_from(int) {
                let [a, b, c, d] = medium.to_le_bytes();
                self.out.extend_from_slice(&[MEDIUM_INT, a, b, c, d]);
            } else {
                self.out.push(INT);
                self.out.extend_from_slice(&int.to_le_bytes());
            }
        } else if let Ok(text) = value.cast_exact::<PyString>() {
            self.once(value, once, |to, mark| {
                let bytes = text.to_str().ok()?.as_bytes();
                if !to.leave_aside(LARGE_STR | mark, bytes.len(), || Large::Str(text.clone())) {
                    to.head(STR | mark, bytes.len())?;
                    to.out.extend_from_slice(bytes);
                }
                Some(())
            })?;
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            self.out.push(FLOAT);
            self.out.extend_from_slice(&float.value().to_le_bytes());
        } else if value.is_none() {
            self.out.push(NONE);
        } else if let Ok(boolean) = value.cast_exact::<PyBool>() {
            self.out.push(if boolean.is_true() { TRUE } else { FALSE });
        } else if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            self.once(value, once, |to, mark| {
                let length = bytes.as_bytes().len();
                if !to.leave_aside(LARGE_BYTES | mark, length, || Large::Bytes(bytes.clone())) {
                    to.head(BYTES | mark, length)?;
                    to.out.extend_from_slice(bytes.as_bytes());
                }
                Some(())
            })?;
        } else {
            return self.container(value, depth, once);
        }
        Some(())
    }

    fn container(
        &mut self,
        value: &Bound<'py, PyAny>,
        depth: usize,
        once: Py_ssize_t,
    ) -> Option<()> {
        if depth >= DEEPEST {
            return None;
        }
        if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            return self.once(value, once, |to, mark| {
                to.head(TUPLE | mark, tuple.len())?;
                tuple.iter_borrowed().try_for_each(|item| to.value(&item, depth + 1, 1))
            });
        }
        let list = value.cast_exact::<PyList>().ok().filter(|_| self.lists == 0)?;
        self.lists += 1;
        self.head(LIST, list.len())?;
        // The iterator has a reference of its own.
        list.iter().try_for_each(|item| self.value(&item, depth + 1, 2))
    }
}

/// Decodes values one after the other.
pub(crate) struct Decoder<'a, 'py> {
    rest: &'a [u8],
    /// The objects that were marked, in the order of their encoding.
    marked: Vec<Bound<'py, PyAny>>,
    /// Where large texts and bytes are, behind its first part.
    payload: Option<&'a Payload>,
}

fn damaged() -> PyErr {
    PyValueError::new_err("damaged payload")
}

impl<'a, 'py> Decoder<'a, 'py> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, marked: Vec::new(), payload: None }
    }

    /// One for a payload that [`Encoder::with_parts`] has encoded.
    pub(crate) fn with_parts(payload: &'a Payload) -> Self {
        Self { rest: payload.part(0), marked: Vec::new(), payload: Some(payload) }
    }

    /// The next value.
    ///
    /// Raises ValueError if the bytes are damaged, MemoryError if there is no room for it.
    pub(crate) fn pull(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.value(py, 0)
    }

    fn take(&mut self, count: usize) -> PyResult<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    fn word<const N: usize>(&mut self) -> PyResult<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| damaged())
    }

    fn length(&mut self) -> PyResult<usize> {
        let length = u32::from_le_bytes(self.word()?) as usize;
        // Every value takes a byte at least, so a longer count is damage.
        if length <= self.rest.len() { Ok(length) } else { Err(damaged()) }
    }

    fn items(&mut self, py: Python<'py>, depth: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        if depth > DEEPEST {
            return Err(damaged());
        }
        let length = self.length()?;
        (0..length).map(|_| self.value(py, depth + 1)).collect()
    }

    /// A large text or bytes, where it lies.
    fn large(&mut self) -> PyResult<&'a [u8]> {
        let index = u32::from_le_bytes(self.word()?) as usize + 1;
        let payload = self.payload.filter(|p| index < p.count()).ok_or_else(damaged)?;
        Ok(payload.part(index))
    }

    fn value(&mut self, py: Python<'py>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let [tag] = self.word()?;
        let value = match tag & !MARKED {
            NONE => py.None().into_bound(py),
            FALSE => PyBool::new(py, false).to_owned().into_any(),
            TRUE => PyBool::new(py, true).to_owned().into_any(),
            SMALL_INT => i8::from_le_bytes(self.word()?).into_pyobject(py)?.into_any(),
            MEDIUM_INT => i32::from_le_bytes(self.word()?).into_pyobject(py)?.into_any(),
            INT => i64::from_le_bytes(self.word()?).into_pyobject(py)?.into_any(),
            FLOAT => PyFloat::new(py, f64::from_le_bytes(self.word()?)).into_any(),
            STR => {
                let length = self.length()?;
                let text = std::str::from_utf8(self.take(length)?).map_err(|_| damaged())?;
                PyString::new(py, text).into_any()
            }
            BYTES => {
                let length = self.length()?;
                PyBytes::new(py, self.take(length)?).into_any()
            }
            LARGE_STR => PyString::from_bytes(py, self.large()?)?.into_any(),
            LARGE_BYTES => {
                let bytes = self.large()?;
                // Where there is no room `PyBytes::new` panics, so try for as much first.
                let room = Vec::<u8>::new().try_reserve_exact(bytes.len());
                if bytes.len() >= WORTH_ASKING {
                    memory::ensure_left(bytes.len() as u64).map_err(os_error)?;
                }
                room.map_err(|_| PyMemoryError::new_err("no room for the bytes received"))?;
                PyBytes::new(py, bytes).into_any()
            }
            TUPLE => PyTuple::new(py, self.items(py, depth)?)?.into_any(),
            LIST => PyList::new(py, self.items(py, depth)?)?.into_any(),
            AGAIN => {
                let number = u32::from_le_bytes(self.word()?) as usize;
                self.marked.get(number).ok_or_else(damaged)?.clone()
            }
            _ => return Err(damaged()),
        };
        if tag & MARKED != 0 {
            self.marked.push(value.clone());
        }
        Ok(value)
    }
}
