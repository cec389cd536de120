//! Handles to shared objects as serde values: a handle travels as a ticket, which opens what it
//! names.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::{Arc, Weak};

use millpond_core::os::fork::Owner;
use millpond_core::shm::region::Region;
use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::shm::slab::Slot;
use millpond_core::shm::ticket::{Ticket, TicketError};
use serde::de::{self, Visitor};
use serde::{Deserializer, Serializer};

thread_local! {
    /// Why the last handle was refused.
    static REFUSAL: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether there is one: cheap to ask before each value.
    static REFUSED: Cell<bool> = const { Cell::new(false) };
    /// What [`keeping`] keeps, while it does.
    static KEPT: Cell<Option<Vec<Arc<Region>>>> = const { Cell::new(None) };
    /// What [`sending`] writes down, while it does.
    static SENT: Cell<Option<Travelling>> = const { Cell::new(None) };
    /// The tickets of the results of a pool's worker, while [`collecting`] wants them; `LISTED` has
    /// them while a result is encoded.
    static RESULTS: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
    static LISTED: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// Memory that is kept for those who open tickets of it, however many.
#[derive(Debug, Default)]
pub(crate) struct Kept(#[expect(dead_code, reason = "it is held, not used")] Vec<Arc<Region>>);

/// Calls `encode`, and keeps the memory of all handles that it encodes. Their tickets may be used
/// any number of times as long as it is kept; others lead somewhere once, unless the object lives.
pub(crate) fn keeping<R>(encode: impl FnOnce() -> R) -> (R, Kept) {
    let outer = KEPT.replace(Some(Vec::new()));
    let result = encode();
    (result, Kept(KEPT.replace(outer).unwrap_or_default()))
}

/// What is on its way to one receiver.
#[derive(Default)]
struct Travelling {
    regions: Vec<Weak<Region>>,
    /// What else to do if it does not arrive.
    recalls: Vec<Box<dyn FnOnce() + Send>>,
}

/// Tickets on their way to one receiver. When this is dropped they are taken back, so that what they
/// name is not kept for one who never came to use them.
pub(crate) struct Sent {
    travelling: Travelling,
    /// A fork has a copy, and nothing to take back.
    owner: Owner,
}

impl Sent {
    /// They have arrived: whoever has them uses them.
    pub(crate) fn arrived(&mut self) {
        self.travelling = Travelling::default();
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("tickets", &self.travelling.regions.len()).finish()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if self.owner.is_current() {
            let Travelling { regions, recalls } = std::mem::take(&mut self.travelling);
            recalls.into_iter().for_each(|recall| recall());
            let there = regions.iter().filter_map(Weak::upgrade);
            there.for_each(|region| Ticket::take_back(&region));
        }
    }
}

/// Calls `encode`, and writes down which tickets it sends.
pub(crate) fn sending<R>(encode: impl FnOnce() -> R) -> (R, Sent) {
    let outer = SENT.replace(Some(Travelling::default()));
    let result = encode();
    let travelling = SENT.replace(outer).unwrap_or_default();
    (result, Sent { travelling, owner: Owner::current() })
}

/// Has `recall` called if what is encoded now is known not to have arrived. Where nobody
/// [writes down](sending) what is sent, that is never known.
pub(crate) fn on_recall(recall: impl FnOnce() + Send + 'static) {
    if let Some(mut sent) = SENT.take() {
        sent.recalls.push(Box::new(recall));
        SENT.set(Some(sent));
    }
}

/// Calls `work` and lists the tickets of handles in the [results](in_result) that it encodes, for
/// the pool to use at once: a worker may end before anybody reads its results. Those in the results
/// themselves only lead to what the pool has by then.
pub(crate) fn collecting<R>(work: impl FnOnce() -> R) -> (R, Vec<u8>) {
    RESULTS.set(Some(Vec::new()));
    let result = work();
    (result, RESULTS.take().unwrap_or_default())
}

/// Calls `encode`, which encodes a result. What the function that made it has sent elsewhere was
/// not part of it.
pub(crate) fn in_result<R>(encode: impl FnOnce() -> R) -> R {
    LISTED.set(RESULTS.take());
    let result = encode();
    RESULTS.set(LISTED.take());
    result
}

/// Encodes a handle to what lies in `slot`.
pub(crate) fn send<S: Serializer>(slot: &Slot, kind: u32, to: S) -> Result<S::Ok, S::Error> {
    let ticket = if let Some(mut kept) = KEPT.take() {
        kept.push(Arc::clone(slot.region()));
        KEPT.set(Some(kept));
        Ticket::new(slot, kind)
    } else if let Some(mut listed) = LISTED.take() {
        listed.extend_from_slice(&Ticket::send(slot, kind).encode());
        LISTED.set(Some(listed));
        Ticket::new(slot, kind)
    } else {
        if let Some(mut sent) = SENT.take() {
            sent.regions.push(Arc::downgrade(slot.region()));
            SENT.set(Some(sent));
        }
        Ticket::send(slot, kind)
    };
    to.serialize_bytes(&ticket.encode())
}

/// Decodes a handle of this kind, and has `open` see that the slot is right.
pub(crate) fn receive<'de, D: Deserializer<'de>, T>(
    kind: u32,
    from: D,
    open: impl FnOnce(Slot) -> Result<T, TicketError>,
) -> Result<T, D::Error> {
    let opened = from.deserialize_bytes(Opener(kind))?.and_then(open);
    opened.map_err(|error| {
        let message = error.to_string();
        let custom = de::Error::custom(&message);
        REFUSAL.set(Some(message));
        REFUSED.set(true);
        custom
    })
}

/// The same for what is typed by itself.
pub(crate) fn receive_shared<'de, D, T>(from: D) -> Result<Shared<T>, D::Error>
where
    D: Deserializer<'de>,
    T: SharedObject,
{
    receive(T::KIND, from, Shared::in_slot)
}

/// Why a handle was refused since the last call.
#[inline]
pub(crate) fn take_refusal() -> Option<String> {
    if REFUSED.replace(false) { REFUSAL.take() } else { None }
}

struct Opener(u32);

impl<'de> Visitor<'de> for Opener {
    type Value = Result<Slot, TicketError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ticket of a shared object")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Ticket::decode(bytes, self.0).and_then(|ticket| ticket.open()))
    }

    /// Formats for people write bytes as numbers.
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut numbers: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = numbers.next_element()? {
            bytes.push(byte);
        }
        self.visit_bytes(&bytes)
    }
}
