//! Vectorcall methods: methods whose usual case costs less than the call of a method of PyO3's.
//!
//! PyO3 wraps each method in what makes any method safe: it counts that the interpreter is attached,
//! catches panics, matches arguments to names, and turns results into objects and errors. That is
//! some 4 ns a call, as much as acquiring a free lock takes. So a [`VectorcallMethod`] is a
//! function in front of PyO3's method. It sees the arguments as CPython passes them, and does
//! [at once](VectorcallMethod::at_once) what neither waits nor fails nor calls Python. All else it
//! leaves to PyO3's method, which is the only one that knows signatures, errors and signals.
//!
//! It uses the stable ABI alone: the vectorcall method takes the place of PyO3's in the class, with
//! the same name, documentation and signature.

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyInt, PyType};
use pyo3::{PyClass, ffi};

/// A method that is often done at once.
pub(crate) trait VectorcallMethod {
    /// The class that has it.
    type Class: PyClass<Frozen = True> + Sync;
    /// Its name in Python.
    const NAME: &'static CStr;

    /// What the call comes to if it can be done here and now; `None` leaves it to PyO3's method, as
    /// if no call had come yet. It must not panic, wait, or run Python code.
    fn at_once(this: &Self::Class, arguments: Arguments<'_>) -> Option<Answer>;

    /// Where PyO3's method is kept.
    fn kept() -> &'static OnceLock<Kept>;
}

/// What a call came to.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    None,
    True,
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// The arguments of a call that has positional ones alone.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a>(&'a [*mut ffi::PyObject]);

/// PyO3's function for a method.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    NoArguments(ffi::PyCFunction),
    Fast(ffi::PyCFunctionFastWithKeywords),
}

// SAFETY, for all three methods: CPython passes objects that live as long as the call, and calls
// with the interpreter attached. The exact types make sure that no Python code runs.
impl Arguments<'_> {
    #[inline]
    pub(crate) fn count(self) -> usize {
        self.0.len()
    }

    /// The argument at this place if it is an `int` and fits.
    #[inline]
    pub(crate) fn int(self, at: usize) -> Option<i64> {
        let argument = *self.0.get(at)?;
        // SAFETY: above.
        unsafe { if ffi::PyLong_CheckExact(argument) == 0 { None } else { value_of(argument) } }
    }

    /// The argument at this place if it is a `float`.
    #[inline]
    pub(crate) fn float(self, at: usize) -> Option<f64> {
        let argument = *self.0.get(at)?;
        // SAFETY: above.
        unsafe { (ffi::PyFloat_CheckExact(argument) != 0).then(|| ffi::PyFloat_AsDouble(argument)) }
    }

    /// Whether there is one argument, `True` or `False`.
    #[inline]
    pub(crate) fn is_bool(self) -> bool {
        // SAFETY: above; these are addresses alone.
        matches!(self.0, &[it] if unsafe { it == ffi::Py_True() || it == ffi::Py_False() })
    }
}

/// The value of an `int` if it fits.
#[inline]
pub(crate) fn int(object: &Bound<'_, PyInt>) -> Option<i64> {
    // SAFETY: it is one.
    unsafe { value_of(object.as_ptr()) }
}

/// The value of an `int` if it fits. No Python code runs, so this function of CPython needs no
/// stand-in (see [`finalization`](crate::finalization)).
///
/// # Safety
/// It is one, and the interpreter is attached.
#[inline]
unsafe fn value_of(int: *mut ffi::PyObject) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: the caller's promise; of an `int` too large, nothing is raised but `overflow` set.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(int, &raw mut overflow) };
    (overflow == 0).then_some(value)
}

impl Answer {
    /// The object, or null with an error set.
    ///
    /// # Safety
    /// The interpreter is attached.
    #[inline]
    unsafe fn object(self) -> *mut ffi::PyObject {
        // SAFETY: the caller's promise is all that these need.
        unsafe {
            match self {
                Self::None => ffi::Py_NewRef(ffi::Py_None()),
                Self::True => ffi::Py_NewRef(ffi::Py_True()),
                Self::Signed(value) => ffi::PyLong_FromLongLong(value),
                Self::Unsigned(value) => ffi::PyLong_FromUnsignedLongLong(value),
                Self::Float(value) => ffi::PyFloat_FromDouble(value),
            }
        }
    }
}

/// Puts the vectorcall method in front of PyO3's.
pub(crate) fn install<M: VectorcallMethod>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<M::Class>();
    let missing = || PyRuntimeError::new_err(format!("{class} has no method {:?}", M::NAME));
    let pyo3s = method_of(&class, M::NAME).ok_or_else(missing)?;
    let kept = match pyo3s.ml_flags {
        // SAFETY: the flags tell which kind of function it is.
        ffi::METH_NOARGS => unsafe { Kept::NoArguments(pyo3s.ml_meth.PyCFunction) },
        // SAFETY: as above.
        FAST => unsafe { Kept::Fast(pyo3s.ml_meth.PyCFunctionFastWithKeywords) },
        flags => return Err(PyRuntimeError::new_err(format!("no quick calls with {flags:#x}"))),
    };
    // The first one stays: it is the same for all.
    let _ = M::kept().set(kept);
    let function = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call::<M> };
    // As long as the class, which is for ever.
    let quick =
        Box::leak(Box::new(ffi::PyMethodDef { ml_meth: function, ml_flags: FAST, ..pyo3s }));
    // SAFETY: the class is one, and the definition says truly what function it has.
    let method = unsafe {
        let descriptor = ffi::PyDescr_NewMethod(class.as_type_ptr(), quick);
        Bound::from_owned_ptr_or_err(py, descriptor)?
    };
    class.setattr(M::NAME.to_string_lossy().as_ref(), method)
}

/// How vectorcall methods are called: with an array of arguments, and the names of the last ones.
const FAST: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

/// PyO3's definition of a method of its class.
fn method_of(class: &Bound<'_, PyType>, name: &CStr) -> Option<ffi::PyMethodDef> {
    // SAFETY: this slot of a class that PyO3 made is null or an array of definitions, the last of
    // which has no name. They live as long as the class, and are not changed.
    unsafe {
        let methods = ffi::PyType_GetSlot(class.as_type_ptr(), ffi::Py_tp_methods);
        let mut method = methods.cast::<ffi::PyMethodDef>();
        while !method.is_null() && !(*method).ml_name.is_null() {
            if CStr::from_ptr((*method).ml_name) == name {
                return Some(*method);
            }
            method = method.add(1);
        }
    }
    None
}

/// The function that CPython calls.
///
/// # Safety
/// As CPython calls methods that it finds in a class: with an instance of it, an array of objects
/// (so many positional arguments, then those that `names` names), and the interpreter attached.
unsafe extern "C" fn call<M: VectorcallMethod>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    if names.is_null() {
        // SAFETY: the caller's promise. The method's descriptor has checked that it is an instance;
        // a frozen class that is `Sync` may be referred to by any thread. Nothing here is dropped, and
        // `at_once` calls nothing, for which PyO3 would have to know that it is attached. A panic
        // could not unwind from here: Rust would end the process.
        let answer = unsafe {
            let object = Borrowed::from_ptr(Python::assume_attached(), this);
            let positional = match count {
                0 => &[],
                count => std::slice::from_raw_parts(arguments, count.cast_unsigned()),
            };
            M::at_once(object.cast_unchecked::<M::Class>().get(), Arguments(positional))
        };
        if let Some(answer) = answer {
            // SAFETY: the caller's promise.
            return unsafe { answer.object() };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { leave_to_pyo3(M::NAME, M::kept(), this, arguments, count, names) }
}

/// Calls PyO3's method.
///
/// # Safety
/// As for [`call`].
#[cold]
unsafe fn leave_to_pyo3(
    name: &CStr,
    kept: &OnceLock<Kept>,
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise; each kind of function gets what it takes.
    unsafe {
        match kept.get() {
            Some(Kept::Fast(function)) => function(this, arguments, count, names),
            Some(Kept::NoArguments(function)) if count == 0 && names.is_null() => {
                function(this, std::ptr::null_mut())
            }
            _ => {
                let text = [name.to_bytes(), c"() takes no arguments".to_bytes_with_nul()].concat();
                ffi::PyErr_SetString(ffi::PyExc_TypeError, text.as_ptr().cast());
                std::ptr::null_mut()
            }
        }
    }
}
