//! The mutex: plain data that one thread of one process at a time may read and write.
//!
//! ```text
//! 0                     DATA (64)
//! │ lock and its poison │ the data, aligned to 64                            │
//! ```
//!
//! **Why the references are sound.** A guard exists while its thread's process holds the lock word
//! and no other guard of it does; the word is taken with acquire and given back with release order,
//! so what one holder wrote is whole for the next, in whichever process. A holder that died may
//! have left any bytes: so the data are [`Plain`], for which any bytes are a valid value. The one
//! way around this is a `fork` while a guard exists, after which the child has a copy of it. The
//! copy gives nothing back when it is dropped; reading through it, the child may see what the
//! parent is writing, which is among the things that a caller of `unsafe` `fork` answers for.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::thread;
use std::time::Instant;

use crate::os::identity::ProcessId;
use crate::shm::holdings::HeldSlot;
use crate::shm::plain::{Payload, Plain};
use crate::shm::shared::view;
use crate::shm::slab::Slot;
use crate::shm::wire_handle::WireHandleError;
use crate::sync::lock::Lock;
use crate::sync::poison::{Hold, Poisoned};

const DATA: usize = 64;
const _: () = assert!(size_of::<Lock>() <= DATA && align_of::<Lock>() <= 64);

/// A handle to plain data in shared memory, behind a lock.
pub struct Mutex<T: ?Sized> {
    slot: HeldSlot,
    of: PhantomData<T>,
}

/// Why there is no guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLocked {
    /// Another thread has it, and time is up.
    Held,
    /// The calling thread has it: waiting would last for ever.
    Mine,
}

impl<T: Plain> Mutex<T> {
    /// A new mutex around a value.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn new(value: T) -> io::Result<Self> {
        Self::filled(size_of::<T>(), |place| *place = value)
    }
}

impl<T: Plain> Mutex<[T]> {
    /// A new mutex around a copy of `values`.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn from_slice(values: &[T]) -> io::Result<Self> {
        Self::filled(size_of_val(values), |place| place.copy_from_slice(values))
    }

    /// A new mutex around `length` values of zero bytes.
    ///
    /// # Errors
    /// The system's, when descriptors or memory have run out.
    pub fn zeroed(length: usize) -> io::Result<Self> {
        let bytes = length.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Self::filled(bytes, |_| ())
    }
}

impl<T: ?Sized + Payload> Mutex<T> {
    /// Tells mutexes from other objects in a wire handle.
    pub const KIND: u32 = u32::from_le_bytes(*b"mutx");

    fn filled(bytes: usize, fill: impl FnOnce(&mut T)) -> io::Result<Self> {
        let whole = bytes.checked_add(DATA).ok_or(io::ErrorKind::OutOfMemory)?;
        let mutex = Self::of(Slot::allocate(whole)?);
        // SAFETY: no other code knows it yet.
        fill(unsafe { mutex.data().as_mut() });
        Ok(mutex)
    }

    fn of(slot: Slot) -> Self {
        // SAFETY: the slot begins with a lock; see `lock_word`.
        Self { slot: unsafe { HeldSlot::new(slot, view::<Lock>) }, of: PhantomData }
    }

    /// The mutex that lies in a slot that a wire handle of [this kind](Self::KIND) led to.
    ///
    /// # Errors
    /// [`WireHandleError::Damaged`] if the slot is not as long as such a mutex.
    pub fn open(slot: Slot) -> Result<Self, WireHandleError> {
        let fits = slot.length().checked_sub(DATA).is_some_and(T::fits);
        if fits { Ok(Self::of(slot)) } else { Err(WireHandleError::Damaged) }
    }

    /// The memory that it lies in.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    #[inline]
    fn lock_word(&self) -> &Lock {
        // SAFETY: the slot begins with a lock: it is long and aligned enough, mapped as long as
        // `self`, any bits are a valid lock, and nobody has a reference to it that is not shared.
        unsafe { self.slot.start().cast::<Lock>().as_ref() }
    }

    #[inline]
    fn data(&self) -> NonNull<T> {
        // SAFETY: every slot of a mutex has more than DATA bytes or ends there.
        T::point(unsafe { self.slot.start().add(DATA) }, self.slot.length() - DATA)
    }

    fn guarded(&self, hold: Hold) -> Result<(Guard<'_, T>, Option<Poisoned>), NotLocked> {
        let guard = || Guard {
            mutex: self,
            was_panicking: thread::panicking(),
            stays_in_thread: PhantomData,
        };
        hold.map(|held| (guard(), held.err())).ok_or(NotLocked::Held)
    }

    /// Locks it if it is free, or if its holder is found dead: the guard, and what became of the
    /// last holder if that must be known.
    ///
    /// # Errors
    /// [`NotLocked`].
    pub fn try_lock(&self) -> Result<(Guard<'_, T>, Option<Poisoned>), NotLocked> {
        self.guarded(self.lock_word().try_hold())
    }

    /// Waits for the lock until `deadline`, for ever without one; otherwise as
    /// [`try_lock`](Self::try_lock).
    ///
    /// # Errors
    /// [`NotLocked`].
    #[inline]
    pub fn lock(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(Guard<'_, T>, Option<Poisoned>), NotLocked> {
        if self.lock_word().is_mine() {
            return Err(NotLocked::Mine);
        }
        self.guarded(self.lock_word().hold(deadline))
    }

    /// The process that holds it at this moment.
    #[must_use]
    pub fn holder(&self) -> Option<ProcessId> {
        self.lock_word().holder()
    }
}

/// Access to the data, until it is dropped.
pub struct Guard<'a, T: ?Sized + Payload> {
    mutex: &'a Mutex<T>,
    was_panicking: bool,
    /// As the standard library's: it can be lent to other threads, not given.
    stays_in_thread: PhantomData<std::sync::MutexGuard<'a, ()>>,
}

impl<'a, T: ?Sized + Payload> Guard<'a, T> {
    /// The mutex that it is a guard of.
    #[must_use]
    pub fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: ?Sized + Payload> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: see the module; the data are mapped as long as the mutex, whatever their bytes.
        unsafe { self.mutex.data().as_ref() }
    }
}

impl<T: ?Sized + Payload> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this guard is borrowed mutably.
        unsafe { self.mutex.data().as_mut() }
    }
}

impl<T: ?Sized + Payload> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.lock_word().let_go(!self.was_panicking && thread::panicking());
    }
}

impl<T: ?Sized + Payload + fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::testing::{Child, far, sleep_for_ever, until};

    fn locked<T: ?Sized + Payload>(mutex: &Mutex<T>) -> Guard<'_, T> {
        match mutex.lock(far()) {
            Ok((guard, None)) => guard,
            other => panic!("{:?}", other.map(|(_, poisoned)| poisoned)),
        }
    }

    #[test]
    fn processes_and_threads_add_up() {
        let mutex = Mutex::new(0_u64).expect("memory");
        let add = || (0..1000).for_each(|_| *locked(&mutex) += 1);
        let child = Child::run(add);
        thread::scope(|scope| {
            scope.spawn(add);
            scope.spawn(add);
        });
        child.join();
        assert_eq!(*locked(&mutex), 3000);
    }

    #[test]
    fn a_death_reaches_one_who_only_tries() {
        let mutex = Mutex::from_slice(&[1_u32, 2, 3]).expect("memory");
        let owner = Child::run(|| {
            let mut guard = locked(&mutex);
            guard[1] = 7;
            sleep_for_ever();
        });
        until(|| mutex.holder().is_some());
        assert!(matches!(mutex.try_lock(), Err(NotLocked::Held)));
        let pid = mutex.holder().expect("held").pid();
        owner.kill();
        until(|| match mutex.try_lock() {
            Ok((guard, Some(Poisoned::Died(process)))) => {
                process.pid() == pid && *guard == [1, 7, 3]
            }
            Ok((_, other)) => panic!("{other:?}"),
            Err(_) => false,
        });
        assert_eq!(locked(&mutex).len(), 3);
    }

    #[test]
    fn a_panic_reaches_the_next() {
        let mutex = Mutex::new([0_u8; 3]).expect("memory");
        let panicking = || {
            let mut guard = locked(&mutex);
            guard[0] = 1;
            std::panic::resume_unwind(Box::new(()));
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).unwrap_err();
        let (guard, poisoned) = mutex.lock(far()).expect("free");
        assert_eq!(poisoned, Some(Poisoned::Panicked(ProcessId::current())));
        assert_eq!(*guard, [1, 0, 0]);
        assert!(matches!(mutex.lock(far()), Err(NotLocked::Mine)));
        drop(guard);
        assert_eq!(*locked(&mutex), [1, 0, 0]);
    }

    #[test]
    fn a_forked_childs_copy_of_a_guard_gives_nothing_back() {
        let mutex = Mutex::new(5_u64).expect("memory");
        let mut guard = Some(locked(&mutex));
        Child::run(|| drop(guard.take())).join();
        assert_eq!(mutex.holder(), Some(ProcessId::current()));
    }

    #[test]
    fn a_slot_of_another_length_is_refused() {
        let slot = |length| Slot::allocate(length).expect("memory");
        assert!(Mutex::<u64>::open(slot(DATA + 8)).is_ok());
        assert!(Mutex::<u64>::open(slot(DATA + 7)).is_err());
        assert!(Mutex::<u64>::open(slot(8)).is_err());
        assert!(Mutex::<[u64]>::open(slot(DATA)).is_ok());
        assert!(Mutex::<[u64]>::open(slot(DATA + 12)).is_err());
        assert!(Mutex::<[u64]>::zeroed(usize::MAX / 8).is_err());
    }
}
