//! The fast lane: a codec for plain values, without pickle.
//!
//! It takes `None`, `bool`, `int` (64 bits), `float`, `str`, `bytes`, tuples of them, and at most
//! one list of them: with two, pickle would have to tell whether they are the same list. Types are
//! exact; whatever else there is makes the whole value go through pickle.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyList, PyString, PyTuple};

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

const DEEPEST: usize = 4;
/// Longer texts gain nothing here, and their length must fit the format.
const LONGEST: usize = 1 << 30;

/// Encodes values one after the other.
#[derive(Default)]
pub(crate) struct Encoder {
    out: Vec<u8>,
    lists: usize,
}

impl Encoder {
    /// The encoded values.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Adds a value; `None` if it is not for the fast lane.
    pub(crate) fn push(&mut self, value: &Bound<'_, PyAny>) -> Option<()> {
        self.value(value, 0)
    }

    fn head(&mut self, tag: u8, length: usize) -> Option<()> {
        let length = u32::try_from(length).ok().filter(|&l| l as usize <= LONGEST)?;
        self.out.push(tag);
        self.out.extend_from_slice(&length.to_le_bytes());
        Some(())
    }

    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Option<()> {
        if let Ok(int) = value.cast_exact::<PyInt>() {
            let int: i64 = int.extract().ok()?;
            if let Ok(small) = i8::try_from(int) {
                self.out.extend_from_slice(&[SMALL_INT, small.cast_unsigned()]);
            } else {
                self.out.push(INT);
                self.out.extend_from_slice(&int.to_le_bytes());
            }
        } else if let Ok(text) = value.cast_exact::<PyString>() {
            let text = text.to_str().ok()?;
            self.head(STR, text.len())?;
            self.out.extend_from_slice(text.as_bytes());
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            self.out.push(FLOAT);
            self.out.extend_from_slice(&float.value().to_le_bytes());
        } else if value.is_none() {
            self.out.push(NONE);
        } else if let Ok(boolean) = value.cast_exact::<PyBool>() {
            self.out.push(if boolean.is_true() { TRUE } else { FALSE });
        } else if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            self.head(BYTES, bytes.as_bytes().len())?;
            self.out.extend_from_slice(bytes.as_bytes());
        } else if depth >= DEEPEST {
            return None;
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            self.head(TUPLE, tuple.len())?;
            for item in tuple.iter_borrowed() {
                self.value(&item, depth + 1)?;
            }
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            if self.lists > 0 {
                return None;
            }
            self.lists += 1;
            self.head(LIST, list.len())?;
            for item in list.iter() {
                self.value(&item, depth + 1)?;
            }
        } else {
            return None;
        }
        Some(())
    }
}

/// Decodes values one after the other.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next value; `None` if the bytes are damaged.
    pub(crate) fn pull<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.value(py, 0)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize;
        // Every value takes a byte at least, so a longer count is damage.
        (length <= self.rest.len()).then_some(length)
    }

    fn items<'py>(&mut self, py: Python<'py>, depth: usize) -> Option<Vec<Bound<'py, PyAny>>> {
        let length = self.length().filter(|_| depth <= DEEPEST)?;
        (0..length).map(|_| self.value(py, depth + 1)).collect()
    }

    fn value<'py>(&mut self, py: Python<'py>, depth: usize) -> Option<Bound<'py, PyAny>> {
        let any = match self.take(1)?[0] {
            NONE => py.None().into_bound(py),
            FALSE => PyBool::new(py, false).to_owned().into_any(),
            TRUE => PyBool::new(py, true).to_owned().into_any(),
            SMALL_INT => {
                let small = self.take(1)?[0].cast_signed();
                small.into_pyobject(py).ok()?.into_any()
            }
            INT => {
                let int = i64::from_le_bytes(self.take(8)?.try_into().ok()?);
                int.into_pyobject(py).ok()?.into_any()
            }
            FLOAT => {
                PyFloat::new(py, f64::from_le_bytes(self.take(8)?.try_into().ok()?)).into_any()
            }
            STR => {
                let length = self.length()?;
                PyString::new(py, std::str::from_utf8(self.take(length)?).ok()?).into_any()
            }
            BYTES => {
                let length = self.length()?;
                PyBytes::new(py, self.take(length)?).into_any()
            }
            TUPLE => PyTuple::new(py, self.items(py, depth)?).ok()?.into_any(),
            LIST => PyList::new(py, self.items(py, depth)?).ok()?.into_any(),
            _ => return None,
        };
        Some(any)
    }
}
