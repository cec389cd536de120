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
    let me = ProcessId::current();
    let (of_handles, left) = {
        let mut tables = tables::lock();
        let holdings = OWN.of(&mut tables);
        let handles = holdings.handles.iter().flatten();
        let mapped = handles.filter_map(|(region, object)| Some((region.upgrade()?, *object)));
        (mapped.collect::<Vec<_>>(), holdings.left.clone())
    };
    for (_region, object) in &of_handles {
        // SAFETY: the region stays mapped for as long.
        if let Some(object) = unsafe { object.get() } {
            object.keep(me);
        }
    }
    left.iter().filter_map(|left| left.get()).for_each(|object| object.keep(me));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::shared::Shared;
    use crate::sync::deadline::RECHECK_INTERVAL;
    use crate::sync::lock::Lock;
    use crate::sync::mutex::Mutex;
    use crate::sync::rlock::RLock;
    use crate::sync::robust::Taken;
    use crate::sync::semaphore::Semaphore;
    use crate::sync::testing::{Child, far, sleep_for_ever, until};
    use std::time::Instant;

    fn lock() -> Shared<Lock> {
        Shared::zeroed().expect("memory")
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + 2 * RECHECK_INTERVAL)
    }

    #[test]
    fn what_a_process_keeps_does_not_come_back() {
        let (lock, rlock) = (lock(), Shared::<RLock>::zeroed().expect("memory"));
        let mutex = Mutex::new(1_u64).expect("memory");
        let semaphore = Shared::<Semaphore>::zeroed().expect("memory");
        semaphore.start(3, 3);
        Child::run(|| {
            assert!(lock.try_acquire() && rlock.try_acquire() && rlock.try_acquire());
            assert!(semaphore.try_acquire() == Ok(true) && semaphore.try_acquire() == Ok(true));
            std::mem::forget(mutex.lock(None));
            keep();
            // It may go on for a while.
            rlock.release().expect("mine");
            keep();
        })
        .join();
        assert_eq!(lock.acquire(soon()), Taken::TimedOut);
        assert_eq!(rlock.acquire(soon()), Taken::TimedOut);
        assert!(mutex.lock(soon()).is_err() && mutex.try_lock().is_err());
        assert_eq!(semaphore.acquire(soon()), Ok(Taken::Clean));
        assert_eq!(semaphore.acquire(soon()), Ok(Taken::TimedOut));
        lock.release().expect("kept");
        assert_eq!(lock.acquire(far()), Taken::Clean);
    }

    #[test]
    fn what_was_released_since_is_not_kept() {
        let lock = lock();
        Child::run(|| {
            assert!(lock.try_acquire());
            keep();
            lock.release().expect("held");
            assert!(lock.try_acquire());
        })
        .join();
        assert!(matches!(lock.acquire(far()), Taken::OwnerDied(_)));
    }

    #[test]
    fn a_lock_that_is_held_briefly_is_not_kept() {
        let lock = Shared::<RLock>::zeroed().expect("memory");
        assert_eq!(lock.briefly(|| lock.is_held_by(ProcessId::current())), Some(false));
    }

    #[test]
    fn what_is_held_without_a_handle_is_kept_at_the_end_and_not_before() {
        let (ends, dies) = (lock(), lock());
        let hold = |lock: &Shared<Lock>| {
            let handle = Shared::<Lock>::open(&lock.wire_handle().encode(), None).expect("memory");
            assert!(handle.try_acquire());
        };
        Child::run(|| {
            hold(&ends);
            keep();
        })
        .join();
        let killed = Child::run(|| {
            hold(&dies);
            sleep_for_ever();
        });
        until(|| dies.holder().is_some());
        killed.kill();
        assert_eq!(ends.acquire(soon()), Taken::TimedOut);
        assert!(matches!(dies.acquire(far()), Taken::OwnerDied(_)));
    }

    /// Acquires each lock by a handle that is dropped then.
    fn leave(locks: &[Shared<Lock>], and_then: impl Fn(&Lock)) {
        for lock in locks {
            let handle = Shared::<Lock>::open(&lock.wire_handle().encode(), None).expect("memory");
            assert!(handle.try_acquire());
            drop(handle);
            and_then(lock);
        }
    }

    fn left() -> usize {
        OWN.of(&mut tables::lock()).left.len()
    }

    /// A child that says by a lock that all is well.
    fn check(is_well: impl FnOnce() -> bool) -> Child {
        let well = lock();
        let child = Child::run(|| {
            if is_well() {
                well.try_acquire();
            }
            sleep_for_ever();
        });
        until(|| well.holder().is_some());
        child
    }

    #[test]
    fn what_was_left_and_released_makes_room() {
        let locks: Vec<_> = (0..5 * MAX_LEFT / 2).map(|_| lock()).collect();
        check(|| {
            leave(&locks, |lock| lock.release().expect("held"));
            // All are free, so none was kept.
            left() <= MAX_LEFT && locks.iter().all(|lock| lock.try_acquire())
        });
    }

    #[test]
    fn of_too_many_that_are_held_without_a_handle_the_oldest_are_kept() {
        let locks: Vec<_> = (0..=MAX_LEFT).map(|_| lock()).collect();
        let child = check(|| {
            leave(&locks, |_| ());
            left() <= MAX_LEFT
        });
        child.kill();
        assert!(matches!(locks[MAX_LEFT].acquire(far()), Taken::OwnerDied(_)));
        assert_eq!(locks[0].acquire(soon()), Taken::TimedOut);
    }

    #[test]
    fn a_lock_that_nobody_else_knows_is_forgotten() {
        check(|| {
            let before = left();
            let own = lock();
            assert!(own.try_acquire());
            drop(own);
            left() == before
        });
    }
}
