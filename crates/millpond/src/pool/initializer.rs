//! What an initializer may return.

use std::fmt::Display;

/// What the initializer of a pool returns: nothing, or a `Result` of nothing.
///
/// See [`PoolBuilder::initializer`](crate::PoolBuilder::initializer).
#[diagnostic::on_unimplemented(
    message = "an initializer returns `()` or `Result<(), E>`, not `{Self}`",
    note = "`E` must implement `Display`"
)]
pub trait Initialized {
    /// The message of the error, if it is one.
    ///
    /// # Errors
    /// That message.
    fn into_result(self) -> Result<(), String>;
}

impl Initialized for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> Initialized for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}
