//! Threads that CPython ends while Rust functions are on their stack.
//!
//! When the interpreter finalizes, CPython before 3.14 ends each other thread that asks for the GIL,
//! by `pthread_exit`. With the GNU C library this unwinds the stack, which Rust answers by aborting
//! the process: its functions are not declared to be unwound, and if they were, their destructors
//! would use Python objects without the GIL. Since 3.14 such a thread hangs until the process ends.
//! Here it hangs in older versions, too.
//!
//! Any function of CPython may ask for the GIL that runs Python code, be it a method of a program's
//! class, a finalizer, or a callback of the garbage collector, which runs when containers are
//! allocated. Each one that the engine calls has a stand-in, which the linker puts in its place
//! (`--wrap`, see `build.rs`): it calls the function, whatever its arguments are, and its frame has
//! a personality routine that hangs the thread when it is unwound. The routine calls nothing of an
//! unwinder, as the C library's may be another than the one that is linked with the engine.
//!
//! A hanging thread keeps what it holds. So no lock of this process is held where Python is called;
//! [`once`](crate::once::once) is for what is computed once.

use std::arch::global_asm;
use std::ffi::{c_int, c_void};
use std::{ptr, thread};

use pyo3::ffi::{Py_tp_new, PyBaseObject_Type, PyObject, PyTypeObject};

type Object = *mut PyObject;
type Class = *mut PyTypeObject;

/// Set in the actions that an unwinder names when it ends a thread.
const FORCED: c_int = 8;
/// Has an unwinder go on to the next frame.
const CONTINUE: c_int = 8;

/// The personality routine of the stand-ins, by the C++ ABI's convention for exceptions.
extern "C" fn personality(
    _version: c_int,
    actions: c_int,
    _class: u64,
    _exception: *mut c_void,
    _context: *mut c_void,
) -> c_int {
    if actions & FORCED == 0 {
        return CONTINUE;
    }
    loop {
        thread::park();
    }
}

/// Defines a function that calls another with the arguments that it gets in registers, which are
/// all that functions of CPython have, and returns what that returns.
macro_rules! stand_in {
    ($name:expr, $real:expr) => {
        #[cfg(target_arch = "x86_64")]
        global_asm!(
            concat!(".globl ", $name),
            concat!(".type ", $name, ", @function"),
            concat!($name, ":"),
            ".cfi_startproc",
            ".cfi_personality 0x1b, {personality}",
            "push rax",
            ".cfi_adjust_cfa_offset 8",
            concat!("call [rip + ", $real, "@GOTPCREL]"),
            "pop rcx",
            ".cfi_adjust_cfa_offset -8",
            "ret",
            ".cfi_endproc",
            concat!(".size ", $name, ", . - ", $name),
            personality = sym personality,
        );
        #[cfg(target_arch = "aarch64")]
        global_asm!(
            concat!(".globl ", $name),
            concat!(".type ", $name, ", %function"),
            concat!($name, ":"),
            ".cfi_startproc",
            ".cfi_personality 0x1b, {personality}",
            "stp x29, x30, [sp, #-16]!",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset x29, -16",
            ".cfi_offset x30, -8",
            concat!("bl ", $real),
            "ldp x29, x30, [sp], #16",
            ".cfi_def_cfa_offset 0",
            ".cfi_restore x29",
            ".cfi_restore x30",
            "ret",
            ".cfi_endproc",
            concat!(".size ", $name, ", . - ", $name),
            personality = sym personality,
        );
    };
}

/// The stand-ins. `build.rs` reads their names, one a line.
macro_rules! stand_ins {
    ($($name:ident)*) => {
        $(stand_in!(concat!("__wrap_", stringify!($name)), concat!("__real_", stringify!($name)));)*
    };
}

stand_ins! {
    PyBuffer_Release
    PyCMethod_New
    PyDescr_NewMethod
    PyDict_GetItemWithError
    PyDict_New
    PyDict_SetItem
    PyErr_CheckSignals
    PyErr_Clear
    PyErr_NewExceptionWithDoc
    PyErr_NormalizeException
    PyErr_PrintEx
    PyErr_Restore
    PyErr_SetObject
    PyErr_SetString
    PyErr_WriteUnraisable
    PyEval_RestoreThread
    PyException_SetCause
    PyException_SetTraceback
    PyFloat_AsDouble
    PyGILState_Ensure
    PyGILState_Release
    PyImport_Import
    PyIter_Next
    PyList_GetSlice
    PyList_New
    PyLong_AsLong
    PyLong_AsUnsignedLongLong
    PyMemoryView_FromObject
    PyNumber_And
    PyNumber_Index
    PyOS_AfterFork_Child
    PyOS_AfterFork_Parent
    PyOS_BeforeFork
    PyObject_Call
    PyObject_CallNoArgs
    PyObject_ClearWeakRefs
    PyObject_DelItem
    PyObject_GetAttr
    PyObject_GetBuffer
    PyObject_GetItem
    PyObject_GetIter
    PyObject_IsTrue
    PyObject_Repr
    PyObject_SetAttr
    PyObject_SetAttrString
    PyObject_SetItem
    PyObject_Size
    PyObject_Str
    PySlice_New
    PyTraceBack_Print
    PyTuple_New
    PyType_FromSpec
    PyUnicode_AsEncodedString
    PyUnicode_AsUTF8AndSize
    Py_GenericAlias
    _Py_DecRef
}

unsafe extern "C" {
    #[link_name = "__real_PyType_GetSlot"]
    fn PyType_GetSlot(class: Class, slot: c_int) -> *mut c_void;
    fn millpond_stand_in_of_new(class: Class, arguments: Object, keywords: Object) -> Object;
}

/// In place of the function by which PyO3 finds `object.__new__`, which it calls to make objects of
/// its classes and their subclasses: it finds the stand-in for that.
///
/// # Safety
/// As for CPython's function.
// SAFETY: the linker gives no other function this name, which C reserves.
#[unsafe(export_name = "__wrap_PyType_GetSlot")]
unsafe extern "C" fn slot_of(class: Class, slot: c_int) -> *mut c_void {
    if slot == Py_tp_new && ptr::eq(class, &raw const PyBaseObject_Type) {
        return millpond_stand_in_of_new as *mut c_void;
    }
    // SAFETY: the caller's promise. It reads the slot and does nothing else.
    unsafe { PyType_GetSlot(class, slot) }
}

stand_in!("millpond_stand_in_of_new", "millpond_new");

/// Calls `object.__new__`. This frame may be unwound: it has nothing to drop.
///
/// # Safety
/// As for that function.
// SAFETY: no other function has a name that begins with that of this library.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn millpond_new(
    class: Class,
    arguments: Object,
    keywords: Object,
) -> Object {
    type New = unsafe extern "C-unwind" fn(Class, Object, Object) -> Object;
    // SAFETY: the slot of this class has a function of this type; the caller's promise.
    unsafe {
        let new = PyType_GetSlot(&raw mut PyBaseObject_Type, Py_tp_new);
        std::mem::transmute::<*mut c_void, New>(new)(class, arguments, keywords)
    }
}
