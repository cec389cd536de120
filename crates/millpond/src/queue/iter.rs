//! Taking values one after the other.

use std::marker::PhantomData;

use millpond_core::channel::queue::Queue as Engine;

use super::transfer;
use super::turns::Wait;
use crate::error::{RecvError, Result, TryRecvError, until_end};
use crate::message::Message;

/// Takes values and waits for each; ends when the channel is disconnected, which a queue never is.
#[derive(Debug)]
pub struct Iter<'a, T>(pub(crate) &'a Engine, pub(crate) PhantomData<fn() -> T>);

impl<T: Message> Iterator for Iter<'_, T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Result<T, RecvError>> {
        until_end(transfer::get(self.0, Wait::Ever)).transpose()
    }
}

/// Takes values until there is none at this moment.
#[derive(Debug)]
pub struct TryIter<'a, T>(pub(crate) &'a Engine, pub(crate) PhantomData<fn() -> T>);

impl<T: Message> Iterator for TryIter<'_, T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Result<T, RecvError>> {
        match until_end(transfer::get(self.0, Wait::Not)) {
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Failed(error)) => Some(Err(error)),
            Ok(received) => received.map(Ok),
        }
    }
}
