//! The table of a process' handles of locks and semaphores, by which it finds at its end the ones
//! that it holds.
//!
//! A process that ends normally [keeps](keep) what it holds; sync/README.md says what that means.
//! For that it must find what it holds, and neither acquiring nor releasing is to pay for it. So a
//! handle is entered in a table when it is made, and taken out when it is dropped. Where the process
//! holds the object then, the table gets a mapping of the object's own, which needs no descriptor.
//! Of more such mappings than there is room for the oldest go, and what is held there is kept however
//! the process ends.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use crate::os::exit::{self, LastAct};
use crate::os::identity::ProcessId;
use crate::os::map::Mapping;
use crate::shm::presence::Claim;
use crate::shm::region::Region;
use crate::shm::slab::Slot;
use crate::shm::tables::{self, Table};

/// How many objects without a handle a process remembers: each keeps the memory around it.
const MAX_LEFT: usize = 128;

/// An object that a process can hold, and [keeps](keep) when it ends normally.
pub trait Holdable: Sync {
    /// Whether the process holds it.
    fn is_held_by(&self, process: ProcessId) -> bool;

    /// Marks what the caller, a process that is about to end, holds of it as kept. Does nothing if
    /// it holds nothing.
    fn keep(&self, me: ProcessId);
}

/// What this process may hold.
static OWN: Table<Holdings> = Table::new();

#[derive(Default)]
struct Holdings {
    handles: Vec<Option<(Weak<Region>, Object)>>,
    /// Where `handles` has room.
    vacant: Vec<usize>,
    /// What was held when its handle was dropped, oldest first.
    left: Vec<Arc<Left>>,
    end_is_seen: bool,
}

/// An object in memory that is mapped as long as what lies beside this.
#[derive(Clone, Copy, Debug)]
struct Object {
    start: NonNull<u8>,
    view: View,
}

/// Views what lies there as an object that can be held, if it is one.
type View = unsafe fn(NonNull<u8>) -> Option<NonNull<dyn Holdable>>;

// SAFETY: an object that can be held is `Sync` and lies in shared memory, which is of no thread.
unsafe impl Send for Object {}

impl Object {
    /// # Safety
    /// Its memory is mapped as long as the reference is used.
    unsafe fn get<'a>(self) -> Option<&'a dyn Holdable> {
        // SAFETY: there is an object of the type that the view is for, and the caller's promise.
        unsafe { (self.view)(self.start).map(|object| object.as_ref()) }
    }
}

/// An object, mapped for itself.
struct Left {
    /// For others, this process lives as long as it may hold the object.
    _claim: Option<Arc<Claim>>,
    _pages: Mapping,
    object: Object,
}

// SAFETY: the object is `Sync` and lies in shared memory, which is of no thread.
unsafe impl Send for Left {}
// SAFETY: as above.
unsafe impl Sync for Left {}

impl Left {
    fn map(slot: &Slot, object: Object) -> io::Result<Self> {
        // SAFETY: the slot is mapped.
        let length = unsafe { object.get() }.map_or(0, size_of_val);
        let page = rustix::param::page_size();
        let inside = slot.offset() % page;
        let length = (inside + length).next_multiple_of(page);
        let pages = Mapping::new(slot.region().as_fd(), (slot.offset() - inside) as u64, length)?;
        // SAFETY: the same memory, in another place, to which the pages reach.
        let start = unsafe { pages.start().add(inside) };
        let claim = slot.region().presence().claim();
        Ok(Self { _claim: claim, _pages: pages, object: Object { start, ..object } })
    }

    fn get(&self) -> Option<&dyn Holdable> {
        // SAFETY: the pages stay mapped as long as `self`.
        unsafe { self.object.get() }
    }

    fn is_held_by(&self, process: ProcessId) -> bool {
        self.get().is_some_and(|object| object.is_held_by(process))
    }
}

/// The slot of a handle, which is entered in the table if the object in it can be held.
#[derive(Debug)]
pub(crate) struct HeldSlot {
    slot: ManuallyDrop<Slot>,
    entry: Option<(usize, Object)>,
}

// SAFETY: the object is `Sync` and lies in shared memory, which is of no thread.
unsafe impl Send for HeldSlot {}
// SAFETY: as above.
unsafe impl Sync for HeldSlot {}

impl HeldSlot {
    /// Enters a slot.
    ///
    /// # Safety
    /// It begins with what `view` views.
    pub(crate) unsafe fn new(slot: Slot, view: View) -> Self {
        let object = Object { start: slot.start(), view };
        // SAFETY: the slot is mapped.
        let can_be_held = unsafe { object.get() }.is_some();
        let entry = can_be_held.then(|| {
            let region = Arc::downgrade(slot.region());
            (OWN.of(&mut tables::lock()).enter(region, object), object)
        });
        Self { slot: ManuallyDrop::new(slot), entry }
    }
}

impl Deref for HeldSlot {
    type Target = Slot;

    #[inline]
    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        // SAFETY: the handle is dropped, so its slot is not in use.
        let slot = unsafe { ManuallyDrop::take(&mut self.slot) };
        let Some((entry, object)) = self.entry else {
            return;
        };
        OWN.of(&mut tables::lock()).strike(entry);
        let me = ProcessId::current();
        // SAFETY: the slot is mapped.
        let Some(held) = unsafe { object.get() }.filter(|object| object.is_held_by(me)) else {
            return;
        };
        // What only this process knows is not missed.
        if slot.is_private() {
            return;
        }
        match Left::map(&slot, object) {
            Ok(left) => {
                let displaced = OWN.of(&mut tables::lock()).leave(Arc::new(left), me);
                // Nothing happens to those that were released since.
                displaced.iter().filter_map(|left| left.get()).for_each(|object| object.keep(me));
            }
            // There is no room to remember it.
            Err(_) => held.keep(me),
        }
    }
}

impl Holdings {
    fn enter(&mut self, region: Weak<Region>, object: Object) -> usize {
        if !std::mem::replace(&mut self.end_is_seen, true) {
            exit::after_success::<Keep>();
        }
        let entry = Some((region, object));
        match self.vacant.pop() {
            Some(place) => {
                self.handles[place] = entry;
                place
            }
            None => {
                self.handles.push(entry);
                self.handles.len() - 1
            }
        }
    }

    fn strike(&mut self, place: usize) {
        self.handles[place] = None;
        self.vacant.push(place);
    }

    /// Returns those that had to make room: all that are not held any more, or the older half.
    fn leave(&mut self, left: Arc<Left>, me: ProcessId) -> Vec<Arc<Left>> {
        let mut displaced = Vec::new();
        if self.left.len() == MAX_LEFT {
            displaced.extend(self.left.extract_if(.., |left| !left.is_held_by(me)));
            if displaced.is_empty() {
                displaced.extend(self.left.drain(..MAX_LEFT / 2));
            }
        }
        self.left.push(left);
        displaced
    }
}

struct Keep;

impl LastAct for Keep {
    fn act() {
        keep();
    }
}

/// Keeps all that this process holds; for one that is about to end and has not failed.
pub fn keep() {
    let (of_handles, left) = {
        let mut tables = tables::lock();
        let holdings = OWN.of(&mut tables);
        let handles = holdings.handles.iter().flatten();
        let mapped = handles.filter_map(|(region, object)| Some((region.upgrade()?, *object)));
        (mapped.collect::<Vec<_>>(), holdings.left.clone())
    };
    if of_handles.is_empty() && left.is_empty() {
        return;
    }
    let me = ProcessId::current();
    for (_region, object) in &of_handles {
        // SAFETY: the region stays mapped for as long.
        if let Some(object) = unsafe { object.get() } {
            object.keep(me);
        }
    }
    left.iter().filter_map(|left| left.get()).for_each(|object| object.keep(me));
}

#[cfg(test)]
#[path = "holdings_tests.rs"]
mod tests;
