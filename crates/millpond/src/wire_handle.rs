//! Handles to shared objects as serde values: a handle travels as a wire handle, which opens what it
//! names.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::{Arc, Weak};

use millpond_core::channel::attachments::Attachments;
use millpond_core::channel::link::Arrivals;
use millpond_core::os::fork::Owner;
use millpond_core::pool::captured_handles::{Arrived, CapturedHandles};
use millpond_core::shm::region::Region;
use millpond_core::shm::shared::{Shared, SharedObject};
use millpond_core::shm::slab::Slot;
use millpond_core::shm::wire_handle::{WireHandle, WireHandleError};
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
    static SENT: Cell<Option<Vec<Piece>>> = const { Cell::new(None) };
    /// What the results of a pool's worker lead to, while [`collecting`] wants it; `ATTACHED` has it
    /// while a result is encoded.
    static RESULTS: Cell<Option<Attachments>> = const { Cell::new(None) };
    static ATTACHED: Cell<Option<Attachments>> = const { Cell::new(None) };
    /// Whether it is a message that is encoded, and the wire handles of its handles so far.
    static IN_MESSAGE: Cell<Message> = const { Cell::new(Message::None) };
    static OF_MESSAGE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Those of the messages around it.
    static ASIDE: Cell<Vec<Vec<u8>>> = const { Cell::new(Vec::new()) };
    /// Where a pool's worker notes which handles among its arguments it has opened.
    static ARRIVALS: RefCell<Option<Arrivals>> = const { RefCell::new(None) };
    /// Whether the value of the dry run has handles.
    static REHEARSED_HANDLES: Cell<bool> = const { Cell::new(false) };
    /// Whether what is encoded is for one process, which decodes it once.
    static TO_ONE: Cell<bool> = const { Cell::new(false) };
    /// Whether what is decoded stays where it is, to be decoded again.
    static COPYING: Cell<bool> = const { Cell::new(false) };
    /// Whether it is arguments that are decoded.
    static IN_ARGUMENTS: Cell<bool> = const { Cell::new(false) };
}

/// Memory that is kept for processes that open wire handles of it, any number of times.
#[derive(Debug, Default)]
pub(crate) struct Kept(#[expect(dead_code, reason = "it is held, not used")] Vec<Arc<Region>>);

/// Calls `encode`, and keeps the memory of all handles that it encodes. Their wire handles may be
/// used any number of times as long as it is kept; others lead somewhere once, unless the object
/// lives.
pub(crate) fn keeping<R>(encode: impl FnOnce() -> R) -> (R, Kept) {
    let outer = KEPT.replace(Some(Vec::new()));
    let result = encode();
    (result, Kept(KEPT.replace(outer).unwrap_or_default()))
}

/// Of the message that is being encoded, which mostly has no handles: that must cost nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    None,
    Plain,
    WithHandles,
    /// Nothing will be sent.
    Rehearsed,
}

/// A handle on its way to one receiver.
struct Piece {
    region: Weak<Region>,
    /// What else to do if it does not arrive.
    recall: Option<Box<dyn FnOnce() + Send + Sync>>,
}

/// Wire handles on their way to one receiver, in the order of their encoding. When this is dropped
/// they are taken back, so that their objects are not kept for a receiver that never used them.
pub(crate) struct Sent {
    pieces: Vec<Piece>,
    /// A fork has a copy, and nothing to take back.
    owner: Owner,
}

impl Sent {
    /// They have arrived: their receiver uses them.
    pub(crate) fn arrived(&mut self) {
        self.pieces.clear();
    }

    /// So many of them have, from the first on.
    fn first_arrived(&mut self, count: u32) {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.pieces.len());
        self.pieces.drain(..count);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("wire_handles", &self.pieces.len()).finish()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if !self.owner.is_current() {
            return;
        }
        for Piece { region, recall } in self.pieces.drain(..) {
            if let Some(recall) = recall {
                recall();
            }
            if let Some(region) = region.upgrade() {
                WireHandle::take_back(&region);
            }
        }
    }
}

/// What the items of a task have sent, by item; those without handles are not there.
#[derive(Debug, Default)]
pub(crate) struct SentItems(Vec<(u32, Sent)>);

impl SentItems {
    /// Adds what an item has sent, which is behind all others.
    pub(crate) fn add(&mut self, item: u32, sent: Sent) {
        if !sent.is_empty() {
            self.0.push((item, sent));
        }
    }

    /// The captured handles of a task with these items, if there is any.
    pub(crate) fn pack(self) -> Option<Box<dyn CapturedHandles>> {
        (!self.0.is_empty()).then(|| Box::new(self) as Box<dyn CapturedHandles>)
    }
}

impl CapturedHandles for SentItems {
    fn settle(mut self: Box<Self>, arrived: Arrived) {
        for (item, sent) in &mut self.0 {
            if *item < arrived.items {
                sent.arrived();
            } else if *item == arrived.items {
                sent.first_arrived(arrived.pieces);
            }
        }
    }
}

/// Calls `encode`, and writes down which wire handles it sends.
pub(crate) fn sending<R>(encode: impl FnOnce() -> R) -> (R, Sent) {
    sending_to(false, encode)
}

/// The same for what one process is started with, which it decodes once.
pub(crate) fn sending_to_one<R>(encode: impl FnOnce() -> R) -> (R, Sent) {
    sending_to(true, encode)
}

fn sending_to<R>(one: bool, encode: impl FnOnce() -> R) -> (R, Sent) {
    let mut writing =
        Writing { before: Some(SENT.replace(Some(Vec::new()))), to_one: TO_ONE.replace(one) };
    let result = encode();
    (result, writing.end())
}

/// Writing down what is sent, until it ends or the encoding panics.
struct Writing {
    /// What was written down before, until that is taken up again.
    before: Option<Option<Vec<Piece>>>,
    to_one: bool,
}

impl Writing {
    fn end(&mut self) -> Sent {
        TO_ONE.set(self.to_one);
        let pieces = self.before.take().and_then(|before| SENT.replace(before));
        Sent { pieces: pieces.unwrap_or_default(), owner: Owner::current() }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// Has `recall` called if the handle that was [sent](send) last is known not to have arrived. Where
/// no thread [writes down](sending) what is sent, that is never known.
pub(crate) fn on_recall(recall: impl FnOnce() + Send + Sync + 'static) {
    if matches!(IN_MESSAGE.get(), Message::Plain | Message::WithHandles) {
        // The sender of the message has its wire handles, which tell their kind.
        return;
    }
    if let Some(mut sent) = SENT.take() {
        if let Some(last) = sent.last_mut() {
            last.recall = Some(Box::new(recall));
        }
        SENT.set(Some(sent));
    }
}

/// From now on, handles that this thread opens [in arguments](in_arguments) are noted.
pub(crate) fn note_arrivals(arrivals: Arrivals) {
    ARRIVALS.set(Some(arrivals));
}

/// Calls `decode`, which decodes the arguments of a call. What the function receives by other ways
/// was not among them.
pub(crate) fn in_arguments<R>(decode: impl FnOnce() -> R) -> R {
    // A panic leaves it set, but no function is called then.
    IN_ARGUMENTS.set(true);
    let result = decode();
    IN_ARGUMENTS.set(false);
    result
}

/// Calls `decode`, which decodes what may be decoded again: the handles that it makes count beside
/// those that are on their way.
pub(crate) fn copying<R>(decode: impl FnOnce() -> R) -> R {
    struct Until(bool);
    impl Drop for Until {
        fn drop(&mut self) {
            COPYING.set(self.0);
        }
    }
    let _until = Until(COPYING.replace(true));
    decode()
}

/// Whether handles that are decoded have not [arrived](copying) by that.
pub(crate) fn is_copy() -> bool {
    COPYING.get() || is_dry_run()
}

/// Calls `work` and gathers what handles in the [results](in_result) that it encodes lead to, which is
/// to be the pool's: a worker may end before its results are read.
pub(crate) fn collecting<R>(work: impl FnOnce() -> R) -> (R, Attachments) {
    RESULTS.set(Some(Attachments::default()));
    let result = work();
    (result, RESULTS.take().unwrap_or_default())
}

/// Calls `encode`, which encodes a result. What the function that made it has sent elsewhere was
/// not part of it.
pub(crate) fn in_result<R>(encode: impl FnOnce() -> R) -> R {
    ATTACHED.set(RESULTS.take());
    let result = encode();
    RESULTS.set(ATTACHED.take());
    result
}

/// A message that is being encoded, with a list of the wire handles that it sends: if none comes
/// to read it, they are all that is known of it.
///
/// Not a function around the encoding, which is to be part of its caller's code.
pub(crate) struct Listing {
    /// Of the message that this one is encoded in the midst of.
    outer: Message,
    /// Takes the wire handles of a message back that does not come about.
    recall: fn(&[u8]),
}

impl Listing {
    #[inline]
    pub(crate) fn begin(recall: fn(&[u8])) -> Self {
        let outer = IN_MESSAGE.replace(Message::Plain);
        if outer == Message::WithHandles {
            put_aside();
        }
        Self { outer, recall }
    }

    /// The wire handles, if there are any.
    #[inline]
    pub(crate) fn end(self) -> Option<Vec<u8>> {
        (IN_MESSAGE.get() == Message::WithHandles).then(|| {
            IN_MESSAGE.set(Message::Plain);
            take_listed()
        })
    }
}

impl Drop for Listing {
    #[inline]
    fn drop(&mut self) {
        if IN_MESSAGE.replace(self.outer) == Message::WithHandles {
            // The encoding has panicked.
            (self.recall)(&take_listed());
        }
        if self.outer == Message::WithHandles {
            take_up_again();
        }
    }
}

/// A time in which handles are encoded and decoded by this process for itself, until it is dropped.
/// Nothing is sent then, so that nothing need arrive.
pub(crate) struct DryRun {
    /// The message that this is part of.
    outer: Message,
    /// Whether a dry run around this one has met handles.
    outer_handles: bool,
}

impl DryRun {
    pub(crate) fn begin() -> Self {
        let outer = IN_MESSAGE.replace(Message::Rehearsed);
        if outer == Message::WithHandles {
            put_aside();
        }
        Self { outer, outer_handles: REHEARSED_HANDLES.replace(false) }
    }

    /// Whether handles were encoded since.
    #[expect(clippy::unused_self, reason = "only while there is one")]
    pub(crate) fn has_handles(&self) -> bool {
        REHEARSED_HANDLES.get()
    }
}

impl Drop for DryRun {
    fn drop(&mut self) {
        IN_MESSAGE.set(self.outer);
        REHEARSED_HANDLES.set(self.outer_handles);
        if self.outer == Message::WithHandles {
            take_up_again();
        }
    }
}

/// Whether handles are only part of a [dry run](DryRun).
pub(crate) fn is_dry_run() -> bool {
    IN_MESSAGE.get() == Message::Rehearsed
}

#[cold]
fn take_listed() -> Vec<u8> {
    OF_MESSAGE.take()
}

#[cold]
fn put_aside() {
    let mut aside = ASIDE.take();
    aside.push(OF_MESSAGE.take());
    ASIDE.set(aside);
}

#[cold]
fn take_up_again() {
    let mut aside = ASIDE.take();
    OF_MESSAGE.set(aside.pop().unwrap_or_default());
    ASIDE.set(aside);
}

/// Encodes a handle to what lies in `slot`.
pub(crate) fn send<S: Serializer>(slot: &Slot, kind: u32, to: S) -> Result<S::Ok, S::Error> {
    let wire_handle = if is_dry_run() {
        REHEARSED_HANDLES.set(true);
        WireHandle::to_self(slot, kind)
    } else if IN_MESSAGE.get() != Message::None {
        let wire_handle = WireHandle::send(slot, kind);
        let mut wire_handles = OF_MESSAGE.take();
        wire_handles.extend_from_slice(&wire_handle.encode());
        OF_MESSAGE.set(wire_handles);
        IN_MESSAGE.set(Message::WithHandles);
        wire_handle
    } else if let Some(mut kept) = KEPT.take() {
        kept.push(Arc::clone(slot.region()));
        KEPT.set(Some(kept));
        WireHandle::new(slot, kind)
    } else if let Some(mut attachments) = ATTACHED.take() {
        let wire_handle = attachments.add(slot, kind);
        ATTACHED.set(Some(attachments));
        return to.serialize_bytes(&wire_handle);
    } else {
        if let Some(mut sent) = SENT.take() {
            sent.push(Piece { region: Arc::downgrade(slot.region()), recall: None });
            SENT.set(Some(sent));
        }
        if TO_ONE.get() {
            WireHandle::send_to_one(slot, kind)
        } else {
            WireHandle::send(slot, kind)
        }
    };
    to.serialize_bytes(&wire_handle.encode())
}

/// Decodes a handle of this kind. `open` sees that the slot is right, and does what else its arrival
/// takes.
pub(crate) fn receive<'de, D: Deserializer<'de>, T>(
    kind: u32,
    from: D,
    open: impl FnOnce(Slot) -> Result<T, WireHandleError>,
) -> Result<T, D::Error> {
    let opened = from.deserialize_bytes(Opener(kind))?.and_then(open);
    if opened.is_ok() && IN_ARGUMENTS.get() && !is_dry_run() {
        ARRIVALS.with_borrow(|arrivals| arrivals.iter().for_each(Arrivals::note));
    }
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
    type Value = Result<Slot, WireHandleError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the wire handle of a shared object")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(WireHandle::decode(bytes, self.0).and_then(|wire_handle| wire_handle.open()))
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
