//! Numbers in shared memory that a lock guards: what `Value` and `Array` are made of.

use std::ffi::CStr;
use std::sync::OnceLock;

use millpond_core::shm::number::{NumberKind, Numbers, Scalar};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use crate::acquire::{Truthiness, acquire};
use crate::bytes::PySharedBytes;
use crate::rlock::PyRLock;
use crate::vectorcall::{Answer, Arguments, Kept, VectorcallMethod};

/// The first number in shared bytes, read and written with a lock held.
///
/// `object` is what ctypes has laid over the same bytes. What is not an ordinary number is left to
/// it, so that it is converted, or refused, as ctypes does.
#[pyclass(name = "GuardedNumber", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyGuardedNumber {
    numbers: Numbers,
    lock: Py<PyRLock>,
    object: Py<PyAny>,
}

#[pymethods]
impl PyGuardedNumber {
    /// `code` is the letter by which ctypes and `array` call the number's type.
    #[new]
    fn new(
        object: Py<PyAny>,
        lock: Py<PyRLock>,
        memory: &Bound<'_, PySharedBytes>,
        code: char,
    ) -> PyResult<Self> {
        Ok(Self { numbers: numbers(memory, code)?, lock, object })
    }

    /// Return the lock.
    fn get_lock(&self, py: Python<'_>) -> Py<PyRLock> {
        self.lock.clone_ref(py)
    }

    /// The number. Reading and writing it take the lock.
    #[getter]
    fn get_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let scalar = locked(py, &self.lock, || Ok(self.numbers.get(0)))?;
        python(py, scalar)
    }

    #[setter]
    fn set_value(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let scalar = if self.numbers.kind().is_float() {
            value.cast::<PyFloat>().ok().map(|float| Scalar::Float(float.value()))
        } else {
            let integer = value.cast::<PyInt>().ok();
            integer.and_then(|integer| integer.extract().ok()).map(Scalar::Signed)
        };
        locked(py, &self.lock, || match scalar {
            Some(scalar) => {
                self.numbers.set(0, scalar);
                Ok(())
            }
            None => self.object.bind(py).setattr(intern!(py, "value"), value),
        })
    }

    /// Add to the value under its lock, and return the sum.
    ///
    /// The sum is as ctypes stores it: integers wrap around.
    ///
    /// Raises:
    ///     TypeError: the amount is no number of the value's kind.
    ///     OwnerDied: the process that held the lock was killed or failed. Nothing was added, the
    ///         value is as that process left it, and the lock is free again.
    fn add<'py>(&self, py: Python<'py>, amount: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let amount = summand(self.numbers.kind(), amount)?;
        let sum = locked(py, &self.lock, || Ok(self.numbers.add(0, amount)))?;
        python(py, sum)
    }
}

/// Numbers side by side in shared bytes, of which one may be added to with a lock held.
#[pyclass(name = "GuardedNumbers", module = "millpond._engine", subclass, frozen)]
pub(crate) struct PyGuardedNumbers {
    numbers: Numbers,
    length: usize,
    lock: Py<PyRLock>,
}

#[pymethods]
impl PyGuardedNumbers {
    /// `length` numbers, of the type that `code` stands for.
    #[new]
    fn new(
        length: usize,
        lock: Py<PyRLock>,
        memory: &Bound<'_, PySharedBytes>,
        code: char,
    ) -> PyResult<Self> {
        Ok(Self { numbers: numbers(memory, code)?, length, lock })
    }

    /// Return the lock.
    fn get_lock(&self, py: Python<'_>) -> Py<PyRLock> {
        self.lock.clone_ref(py)
    }

    /// Add to one element under the lock, and return the sum.
    ///
    /// The sum is as ctypes stores it: integers wrap around.
    ///
    /// Raises:
    ///     IndexError: there is no such element.
    ///     TypeError: the amount is no number of the elements' kind.
    ///     OwnerDied: the process that held the lock was killed or failed. Nothing was added, the
    ///         element is as that process left it, and the lock is free again.
    fn add<'py>(
        &self,
        py: Python<'py>,
        index: isize,
        amount: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let from_end = if index < 0 { self.length } else { 0 };
        let index = from_end.wrapping_add_signed(index);
        if index >= self.length {
            return Err(PyIndexError::new_err("invalid index"));
        }
        let amount = summand(self.numbers.kind(), amount)?;
        let sum = locked(py, &self.lock, || Ok(self.numbers.add(index, amount)))?;
        python(py, sum)
    }
}

/// Adds an ordinary amount, the argument at this place, if the lock is free or is soon.
#[inline]
fn add_at_once(
    numbers: &Numbers,
    index: usize,
    lock: &Py<PyRLock>,
    arguments: Arguments<'_>,
    at: usize,
) -> Option<Answer> {
    let amount = if numbers.kind().is_float() {
        Scalar::Float(arguments.float(at)?)
    } else {
        Scalar::Signed(arguments.int(at)?)
    };
    if arguments.count() != at + 1 {
        return None;
    }
    let sum = lock.get().0.briefly(|| numbers.add(index, amount))?;
    Some(match sum? {
        Scalar::Signed(sum) => Answer::Signed(sum),
        Scalar::Unsigned(sum) => Answer::Unsigned(sum),
        Scalar::Float(sum) => Answer::Float(sum),
    })
}

macro_rules! vectorcall_additions {
    ($($method:ident of $class:ident: $at_once:expr;)*) => {$(
        /// Its method `add`.
        pub(crate) struct $method;

        impl VectorcallMethod for $method {
            type Class = $class;
            const NAME: &'static CStr = c"add";

            #[inline]
            fn at_once(this: &$class, arguments: Arguments<'_>) -> Option<Answer> {
                $at_once(this, arguments)
            }

            fn kept() -> &'static OnceLock<Kept> {
                static KEPT: OnceLock<Kept> = OnceLock::new();
                &KEPT
            }
        }
    )*};
}

vectorcall_additions! {
    AddToNumber of PyGuardedNumber: |this: &PyGuardedNumber, arguments| {
        add_at_once(&this.numbers, 0, &this.lock, arguments, 0)
    };
    AddToNumbers of PyGuardedNumbers: |this: &PyGuardedNumbers, arguments: Arguments<'_>| {
        let index = usize::try_from(arguments.int(0)?).ok().filter(|&index| index < this.length)?;
        add_at_once(&this.numbers, index, &this.lock, arguments, 1)
    };
}

/// Calls the function with the lock held. The death of its owner is an error, once.
#[inline]
fn locked<R>(
    py: Python<'_>,
    lock: &Py<PyRLock>,
    call: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let lock = lock.get();
    acquire(py, &*lock.0, Truthiness(true), None)?;
    let result = call();
    lock.release()?;
    result
}

fn numbers(memory: &Bound<'_, PySharedBytes>, code: char) -> PyResult<Numbers> {
    let kind = kind(code).ok_or_else(|| PyValueError::new_err("no code of a number"))?;
    Ok(Numbers::new(memory.get().bytes.clone(), kind))
}

#[inline]
fn summand(kind: NumberKind, amount: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    if kind.is_float() { Ok(Scalar::Float(amount.extract()?)) } else { integer(amount) }
}

fn kind(code: char) -> Option<NumberKind> {
    // C's `long` has 64 bits wherever this engine runs.
    const { assert!(size_of::<std::ffi::c_long>() == 8) };
    Some(match code {
        'b' => NumberKind::I8,
        'B' => NumberKind::U8,
        'h' => NumberKind::I16,
        'H' => NumberKind::U16,
        'i' => NumberKind::I32,
        'I' => NumberKind::U32,
        'l' | 'q' => NumberKind::I64,
        'L' | 'Q' => NumberKind::U64,
        'f' => NumberKind::F32,
        'd' => NumberKind::F64,
        _ => return None,
    })
}

/// An integer, or as much of its two's complement as any number has bits.
#[inline]
fn integer(amount: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    match amount.extract() {
        Ok(amount) => Ok(Scalar::Signed(amount)),
        Err(error) => large_integer(amount, error),
    }
}

#[cold]
fn large_integer(amount: &Bound<'_, PyAny>, error: PyErr) -> PyResult<Scalar> {
    let py = amount.py();
    if !error.is_instance_of::<PyOverflowError>(py) {
        return Err(error);
    }
    let exact = py.import("operator")?.call_method1("index", (amount,))?;
    Ok(Scalar::Unsigned(exact.bitand(u64::MAX)?.extract()?))
}

#[inline]
fn python(py: Python<'_>, scalar: Option<Scalar>) -> PyResult<Bound<'_, PyAny>> {
    Ok(
        match scalar.ok_or_else(|| PyValueError::new_err("the memory has no room for a number"))? {
            Scalar::Signed(value) => value.into_pyobject(py)?.into_any(),
            Scalar::Unsigned(value) => value.into_pyobject(py)?.into_any(),
            Scalar::Float(value) => PyFloat::new(py, value).into_any(),
        },
    )
}
