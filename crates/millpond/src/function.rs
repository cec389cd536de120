//! Functions on their way to another process.
//!
//! Both processes run the same program, so a function need not travel: it is enough to say which
//! one it is. For every function that is used this way the compiler makes an *entry point* that
//! decodes the arguments, calls the function and encodes the result; its offset in the program is
//! the function's name. The receiver compares the builds before it believes an offset.

use std::any::type_name;
use std::borrow::Cow;
use std::ptr::NonNull;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::error::{Cause, Error};
use crate::image::{BuildId, Image};
use crate::message::Message;
use crate::wire_handle;

/// A function that can run in another process: a plain `fn` item, or a closure that captures
/// nothing.
///
/// `Input` is what is sent to it. A function of one argument takes it as it is; one of several, up
/// to six, takes them as a tuple; one of none takes `()`. `Form` tells these apart, and is found
/// by the compiler. The trait is implemented for all such functions; there is no need to implement
/// it elsewhere. A closure that captures a value, and a function pointer, are refused when the
/// program is built.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run in another process with the input `{Input}`",
    note = "a plain `fn`, or a closure that captures nothing, is needed",
    note = "one argument is passed as it is, several as a tuple, none as `()`",
    note = "write down the types of a closure's arguments: `|number: u64| …`"
)]
pub trait Function<Input, Form>: Copy + Send + 'static {
    /// What it returns.
    type Output;

    /// Calls it, here and now.
    fn call(self, input: Input) -> Self::Output;
}

impl<Func, R, A> Function<A, fn(A)> for Func
where
    Func: Fn(A) -> R + Copy + Send + 'static,
{
    type Output = R;

    fn call(self, input: A) -> R {
        self(input)
    }
}

macro_rules! functions_of {
    ($($value:ident: $type:ident),*) => {
        impl<Func, R, $($type),*> Function<($($type,)*), fn($($type),*)> for Func
        where
            Func: Fn($($type),*) -> R + Copy + Send + 'static,
        {
            type Output = R;

            fn call(self, ($($value,)*): ($($type,)*)) -> R {
                self($($value),*)
            }
        }
    };
}

functions_of!();
functions_of!(a: A, b: B);
functions_of!(a: A, b: B, c: C);
functions_of!(a: A, b: B, c: C, d: D);
functions_of!(a: A, b: B, c: C, d: D, e: E);
functions_of!(a: A, b: B, c: C, d: D, e: E, f: F);

/// Takes encoded arguments, says when they are decoded, and adds the encoded result to a buffer. A
/// panic of the function passes through.
pub(crate) type EntryPoint = fn(Cow<'_, [u8]>, &dyn Fn(), &mut Vec<u8>) -> Result<(), CodecError>;

/// A function by its place in the program.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct FunctionId {
    offset: u64,
}

impl FunctionId {
    /// The place of a function, with how to call it.
    pub(crate) fn of<F, Form, Input>(_: F) -> Result<Self, Error>
    where
        F: Function<Input, Form>,
        F::Output: Message,
        Input: DeserializeOwned + 'static,
    {
        let entry: EntryPoint = millpond_entry_point::<F, Form, Input>;
        let offset = Image::of_this_program().offset(entry as usize).ok_or_else(|| {
            Error::from(Cause::InvalidInput(format!(
                "function `{}` is not part of the program itself but of a library that it has \
                 loaded, and cannot be found by another process",
                type_name::<F>()
            )))
        })?;
        Ok(Self { offset })
    }

    /// As bytes.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.offset.to_le_bytes()
    }

    /// Of bytes from [`to_bytes`](Self::to_bytes).
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self { offset: u64::from_le_bytes(bytes) })
    }

    /// The function in this process, if this is the `build` that it was named in.
    pub(crate) fn find(self, build: &BuildId) -> Option<EntryPoint> {
        let image = Image::of_this_program();
        if image.build_id() != build || *build == BuildId::Unknown {
            return None;
        }
        let address = image.address(self.offset)?;
        // SAFETY: `of`, the only function that makes ids, took the offset from an `EntryPoint` of
        // the same build, so at this address the same function stands.
        Some(unsafe { std::mem::transmute::<usize, EntryPoint>(address) })
    }
}

/// The entry point of one function.
///
/// The reports of panics are cut off at its name, which is therefore an unusual one.
#[inline(never)]
fn millpond_entry_point<F, Form, Input>(
    arguments: Cow<'_, [u8]>,
    arrived: &dyn Fn(),
    result: &mut Vec<u8>,
) -> Result<(), CodecError>
where
    F: Function<Input, Form>,
    F::Output: Message,
    Input: DeserializeOwned + 'static,
{
    let input = wire_handle::in_arguments(|| codec::decode(arguments))?;
    arrived();
    let value = materialise::<F>().call(input);
    wire_handle::in_result(|| codec::append(value, result))
}

/// Stops the compiler at a function that is more than its code. To be called in a `const` block of
/// every public function that takes one, so that its caller is shown the line. Only there: each
/// further one would be a further message.
pub(crate) const fn must_capture_nothing<F>() {
    assert!(
        size_of::<F>() == 0,
        "only a plain `fn` (no pointer to one) or a closure that captures nothing can run in \
         another process; pass what the closure captures as an argument"
    );
}

/// Makes a value of a zero-sized type of functions or closures, which has no bytes to send.
pub(crate) fn materialise<F: Copy + Send + 'static>() -> F {
    assert!(size_of::<F>() == 0, "the public functions refuse all others");
    // SAFETY: a value without bytes can be read from any aligned address. The type has values:
    // the process that sent the id had one in its hands, and it is `Copy`, so that making another
    // takes nothing from any other code.
    unsafe { NonNull::<F>::dangling().read() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(a: u64, b: u64) -> u64 {
        a + b
    }

    fn call<F, Form, Input>(function: F, input: Input) -> F::Output
    where
        F: Function<Input, Form>,
        F::Output: Message,
        Input: Message,
    {
        let id = FunctionId::of(function).unwrap();
        let entry = id.find(Image::of_this_program().build_id()).unwrap();
        let mut result = Vec::new();
        entry(Cow::Owned(codec::encode(input).unwrap()), &|| {}, &mut result).unwrap();
        codec::decode(Cow::Owned(result)).unwrap()
    }

    #[test]
    fn functions_and_closures_are_found_again() {
        assert_eq!(call(add, (2, 3)), 5);
        assert_eq!(call(|| "nothing".to_owned(), ()), "nothing");
        assert_eq!(call(|bytes: Vec<u8>| bytes.len(), vec![0; 10]), 10);
    }

    #[test]
    fn another_build_is_not_believed() {
        let id = FunctionId::of::<_, _, (u64, u64)>(add).unwrap();
        assert!(id.find(&BuildId::Note(b"another".to_vec())).is_none());
        assert!(id.find(&BuildId::Unknown).is_none());
        assert!(
            FunctionId { offset: u64::MAX }.find(Image::of_this_program().build_id()).is_none()
        );
    }

    #[test]
    fn arguments_that_do_not_decode_are_an_error() {
        let id = FunctionId::of::<_, _, (u64, u64)>(add).unwrap();
        let entry = id.find(Image::of_this_program().build_id()).unwrap();
        assert!(entry(Cow::Borrowed(&[1]), &|| {}, &mut Vec::new()).is_err());
    }
}
