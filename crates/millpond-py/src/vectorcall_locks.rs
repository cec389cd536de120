//! The quick calls of locks and semaphores.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::sync::OnceLock;

use millpond_core::sync::lock::Lock;
use millpond_core::sync::rlock::RLock;
use millpond_core::sync::semaphore::Semaphore;
use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

use crate::acquire::Acquire;
use crate::lock::PyLock;
use crate::rlock::PyRLock;
use crate::semaphore::PySemaphore;
use crate::vectorcall::{Answer, Arguments, Kept, VectorcallMethod, install};

/// A class whose objects are acquired and released by [vectorcall](crate::vectorcall) calls.
pub(crate) trait Acquirable: PyClass<Frozen = True> + Sync {
    type Primitive: Acquire;

    fn primitive(&self) -> &Self::Primitive;

    /// Where PyO3's methods are kept.
    fn kept() -> &'static [OnceLock<Kept>; 4];
}

macro_rules! acquirable {
    ($($class:ty: $primitive:ty;)*) => {$(
        impl Acquirable for $class {
            type Primitive = $primitive;

            #[inline]
            fn primitive(&self) -> &Self::Primitive {
                &self.0
            }

            fn kept() -> &'static [OnceLock<Kept>; 4] {
                static KEPT: [OnceLock<Kept>; 4] = [const { OnceLock::new() }; 4];
                &KEPT
            }
        }
    )*};
}

acquirable! {
    PyLock: Lock;
    PyRLock: RLock;
    PySemaphore: Semaphore;
}

/// Makes the calls of a class quick.
pub(crate) fn install_fast_methods<C: Acquirable>(py: Python<'_>) -> PyResult<()> {
    install::<AcquireOf<C>>(py)?;
    install::<ReleaseOf<C>>(py)?;
    install::<EnterOf<C>>(py)?;
    install::<ExitOf<C>>(py)
}

macro_rules! vectorcall_methods {
    ($($method:ident $name:literal at $place:literal: $at_once:expr;)*) => {$(
        struct $method<C>(PhantomData<C>);

        impl<C: Acquirable> VectorcallMethod for $method<C> {
            type Class = C;
            const NAME: &'static CStr = $name;

            #[inline]
            fn at_once(this: &C, arguments: Arguments<'_>) -> Option<Answer> {
                $at_once(this.primitive(), arguments)
            }

            fn kept() -> &'static OnceLock<Kept> {
                &C::kept()[$place]
            }
        }
    )*};
}

vectorcall_methods! {
    AcquireOf c"acquire" at 0: |what: &C::Primitive, arguments: Arguments<'_>| {
        let is_plain = arguments.count() == 0 || arguments.is_bool();
        (is_plain && what.try_acquire()).then_some(Answer::True)
    };
    ReleaseOf c"release" at 1: |what: &C::Primitive, arguments: Arguments<'_>| {
        (arguments.count() == 0 && what.release_at_once().is_some_and(|done| done.is_ok())).then_some(Answer::None)
    };
    EnterOf c"__enter__" at 2: |what: &C::Primitive, arguments: Arguments<'_>| {
        (arguments.count() == 0 && what.try_acquire()).then_some(Answer::True)
    };
    // What a `with` statement's end passes does not matter.
    ExitOf c"__exit__" at 3: |what: &C::Primitive, arguments: Arguments<'_>| {
        (arguments.count() <= 3 && what.release_at_once().is_some_and(|done| done.is_ok())).then_some(Answer::None)
    };
}
