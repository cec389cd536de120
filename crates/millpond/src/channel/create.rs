//! New channels.

use millpond_core::channel::queue::{End, Options, Queue as Engine};

use super::endpoint_ref::EndpointRef;
use super::receiver::Receiver;
use super::sender::Sender;
use crate::error::{Cause, Result};
use crate::message::Message;
use crate::queue::checked;

/// A new channel that holds any number of values, as far as there is memory.
///
/// Both ends can be cloned, and can be passed to other processes as arguments and inside of
/// messages, like a [`Queue`](crate::Queue). Unlike a queue, a channel counts its handles: when all
/// senders are gone, dropped or dead, receivers get the values that are left and then an error;
/// when all receivers are gone, senders get their values back.
///
/// ```
/// use millpond::Sender;
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let (sender, receiver) = millpond::channel()?;
///     let send = |sender: Sender<String>| sender.send("from the child".to_owned()).unwrap();
///     let child = millpond::spawn(send, sender)?;
///     assert_eq!(receiver.recv()?.as_deref(), Some("from the child"));
///     // The child had the only sender.
///     assert_eq!(receiver.recv()?, None);
///     Ok(child.join()?)
/// }
/// ```
///
/// # Which handles count
///
/// Each handle that a process has, and each one on its way in a message or an argument. A handle in
/// the arguments of a process or of a pool's call counts no more when these end before they have
/// read it, and one in a message of a channel that has lost its receivers no more when its sender
/// looks: within 100 ms if it waits for a channel or queue meanwhile, or else when it drops a
/// sender or sends again.
///
/// Not known are a handle that is left in a [`Queue`](crate::Queue), or in a channel inside of
/// itself; one in the result of a pool's call that is never taken, or whose worker dies before it
/// has sent it; and one that dies with a process between the taking of a message and its decoding.
/// They keep the end open. A child that was made with `fork`, not by this crate, counts once it
/// uses the handle that it inherited.
///
/// Receivers that wait notice a death within 50 ms, and so do senders of large values; a sender of
/// small ones that need not wait notices that the receivers have died (as opposed to dropped
/// theirs) some hundred KiB later.
///
/// # Large values
///
/// A value of more than 32 KiB lies in memory of its own until it is received. A sender that is
/// faster than the receivers may wait before each one, to use memory that they are about to give
/// back: 32 µs for each 64 KiB, as long as fresh pages would take, and 2 ms at most. Each wait in
/// vain doubles the number of values that do not wait, up to 16.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) when memory or file descriptors have run out.
pub fn channel<T: Message>() -> Result<(Sender<T>, Receiver<T>)> {
    create(None)
}

/// A new [`channel`] that holds up to `capacity` values. Sending one more blocks.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a capacity of 0;
/// [`Io`](crate::ErrorKind::Io) when memory or file descriptors have run out.
pub fn bounded_channel<T: Message>(capacity: usize) -> Result<(Sender<T>, Receiver<T>)> {
    create(Some(checked(capacity)?))
}

fn create<T: Message>(capacity: Option<u32>) -> Result<(Sender<T>, Receiver<T>)> {
    let engine = Engine::create(Options { capacity, ..Options::default() });
    let engine = engine.map_err(|source| Cause::Io { what: "make a channel", source })?;
    let join = |end| EndpointRef::join(engine.clone(), end);
    let ends = join(End::Producers).and_then(|sender| Ok((sender, join(End::Consumers)?)));
    let (sender, receiver) = ends.map_err(|source| Cause::Io { what: "make a channel", source })?;
    Ok((Sender::new(sender), Receiver::new(receiver)))
}
