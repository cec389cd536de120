//! Taking values one after the other.

use std::marker::PhantomData;

use millpond_core::channel::queue::Queue as Engine;

use super::message::Message;
use super::transfer;
use super::turns::Wait;
use crate::error::{ErrorKind, Result};

/// Takes values and waits for each; ends when the channel is disconnected, which a queue never is.
#[derive(Debug)]
pub struct Iter<'a, T>(pub(crate) &'a Engine, pub(crate) PhantomData<fn() -> T>);

impl<T: Message> Iterator for Iter<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match transfer::get(self.0, Wait::Ever) {
            Err(error) if error.kind() == ErrorKind::Disconnected => None,
            received => Some(received),
        }
    }
}

/// Takes values until there is none at this moment.
#[derive(Debug)]
pub struct TryIter<'a, T>(pub(crate) &'a Engine, pub(crate) PhantomData<fn() -> T>);

impl<T: Message> Iterator for TryIter<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match transfer::try_get(self.0) {
            Err(error) if error.kind() == ErrorKind::Disconnected => None,
            received => received.transpose(),
        }
    }
}
