//! Handles that name something else than was sent, and memory that its sender can take away.

use std::os::fd::{IntoRawFd, OwnedFd};

use millpond::sync::raw::{Lock, ReentrantLock};
use millpond::sync::{Barrier, Event, Mutex, Semaphore, SharedSlice};
use millpond::{Pool, Queue};
use rustix::fs::{MemfdFlags, SealFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

millpond::init_before_main!();

/// The words of a wire handle: identity, process, kind and descriptor, descriptor of a companion,
/// offset, length, mapped length.
struct TicketWords([u64; 7]);

impl TicketWords {
    /// Of a handle as postcard encodes it: behind a byte for the length.
    fn of(handle: &impl Serialize) -> Self {
        let bytes = postcard::to_stdvec(handle).unwrap();
        let word = |n: usize| u64::from_le_bytes(bytes[1 + 8 * n..][..8].try_into().unwrap());
        let mut words = std::array::from_fn(word);
        // The check is in their high bits.
        words[4..].iter_mut().for_each(|word| *word &= (1 << 48) - 1);
        Self(words)
    }

    fn with(&self, index: usize, word: u64) -> Self {
        let mut words = self.0;
        words[index] = word;
        Self(words)
    }

    fn with_kind(&self, kind: u64) -> Self {
        self.with(2, self.0[2] >> 32 << 32 | kind)
    }

    fn kind(&self) -> u64 {
        self.0[2] & u64::from(u32::MAX)
    }

    /// The wire handle with a check that is right.
    fn encode(&self) -> [u8; 56] {
        let mixed = self.0.iter().fold(0xcbf2_9ce4_8422_2325_u64, |mixed, word| {
            let mixed = (mixed ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^ mixed >> 32
        });
        let mut words = self.0;
        for (shift, word) in [0, 16, 32].into_iter().zip(&mut words[4..]) {
            *word |= (mixed >> shift & 0xffff) << 48;
        }
        std::array::from_fn(|at| words[at / 8].to_le_bytes()[at % 8])
    }

    fn decode<T: DeserializeOwned>(&self) -> Option<T> {
        let encoded = postcard::to_stdvec(serde_bytes::Bytes::new(&self.encode())).unwrap();
        postcard::from_bytes(&encoded).ok()
    }
}

/// Whether any kind of handle can be made of these words.
fn opens_as_anything(words: &TicketWords) -> bool {
    words.decode::<Lock>().is_some()
        || words.decode::<ReentrantLock>().is_some()
        || words.decode::<Semaphore>().is_some()
        || words.decode::<Event>().is_some()
        || words.decode::<Barrier>().is_some()
        || words.decode::<Queue<u64>>().is_some()
        || words.decode::<Mutex<[u64; 4]>>().is_some()
        || words.decode::<Mutex<[u64]>>().is_some()
        || words.decode::<SharedSlice<u8>>().is_some()
        || words.decode::<SharedSlice<u64>>().is_some()
}

#[test]
fn memory_is_what_it_was_made_for() {
    let mutex = Mutex::new([1_u64, 2, 3, 4]).unwrap();
    let large = Mutex::zeroed(50_000).unwrap() as Mutex<[u64]>;
    let slice = SharedSlice::<u64>::zeroed(24).unwrap();
    let (lock, rlock, semaphore) =
        (Lock::new().unwrap(), ReentrantLock::new().unwrap(), Semaphore::new(1).unwrap());
    let (event, barrier) = (Event::new().unwrap(), Barrier::new(2).unwrap());
    let queue = Queue::<u64>::new().unwrap();
    let handles = [
        TicketWords::of(&mutex),
        TicketWords::of(&large),
        TicketWords::of(&slice),
        TicketWords::of(&lock),
        TicketWords::of(&rlock),
        TicketWords::of(&semaphore),
        TicketWords::of(&event),
        TicketWords::of(&barrier),
        TicketWords::of(&queue),
    ];
    for handle in &handles {
        assert!(opens_as_anything(handle), "as it was sent");
        let others = handles.iter().map(TicketWords::kind).filter(|&kind| kind != handle.kind());
        for kind in others {
            let forged = handle.with_kind(kind);
            assert!(!opens_as_anything(&forged), "{:x?} as {kind:x}", handle.0);
            // Whatever place and length would suit the other kind.
            for length in [8, 16, 64, 128, 192, 256, 4096] {
                assert!(!opens_as_anything(&forged.with(5, length)));
                assert!(!opens_as_anything(&forged.with(4, 64).with(5, length)));
            }
        }
        let [.., offset, length, mapped] = handle.0;
        let places = [0, 64, offset - 64, offset + 64, offset + 256, mapped, mapped - 64];
        for place in places.into_iter().filter(|&place| place != offset) {
            let forged = handle.with(4, place);
            // Another object of the same kind and length may lie there.
            let is_other = handles
                .iter()
                .any(|other| other.0[0] == handle.0[0] && other.0[4..6] == [place, length]);
            assert!(is_other || !opens_as_anything(&forged), "{:x?} at {place:x}", handle.0);
        }
        for other in [0, length + 8, length + 64, (length / 2) & !7, mapped - offset] {
            let forged = handle.with(5, other);
            assert!(other == length || !opens_as_anything(&forged), "{other} for {length} bytes");
        }
    }
    assert_eq!(*mutex.lock().unwrap(), [1, 2, 3, 4]);
}

/// The wire handle of memory that its process can take away.
fn loose_memory(_: u32) -> Vec<u8> {
    let real = Mutex::<[u64]>::zeroed(50_000).unwrap();
    let words = TicketWords::of(&real);
    let (sealed, loose) = (memory_of(words.0[2] >> 32), unsealed(words.0[6]));
    let mut bytes = vec![0; 1 << 12];
    let length = rustix::io::pread(&sealed, &mut bytes, 0).unwrap();
    // What the region says of itself, but for its identity.
    bytes[8..16].copy_from_slice(&77_u64.to_le_bytes());
    rustix::io::pwrite(&loose, &bytes[..length], 0).unwrap();
    // It stays open as long as the worker lives.
    let fd = u64::try_from(loose.into_raw_fd()).unwrap();
    words.with(0, 77).with(2, fd << 32 | words.kind()).encode().to_vec()
}

fn memory_of(fd: u64) -> OwnedFd {
    let path = format!("/proc/self/fd/{}", fd & 0x7fff_ffff);
    std::fs::File::open(path).unwrap().into()
}

fn unsealed(size: u64) -> OwnedFd {
    let fd = rustix::fs::memfd_create("loose", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&fd, size).unwrap();
    fd
}

#[test]
fn memory_that_can_be_taken_away_is_refused() {
    let pool = Pool::new(1).unwrap();
    let wire_handle = pool.spawn(loose_memory, 1).join().unwrap();
    let encoded = postcard::to_stdvec(serde_bytes::Bytes::new(&wire_handle)).unwrap();
    assert!(postcard::from_bytes::<Mutex<[u64]>>(&encoded).is_err());
    pool.close();
    pool.join().unwrap();
}

#[test]
fn nobody_seals_the_memory_of_others() {
    let slice = SharedSlice::<u64>::zeroed(50_000).unwrap();
    let path = format!("/proc/self/fd/{}", TicketWords::of(&slice).0[2] >> 32 & 0x7fff_ffff);
    let memory = std::fs::File::options().read(true).write(true).open(path).unwrap();
    for seal in [SealFlags::GROW, SealFlags::WRITE, SealFlags::FUTURE_WRITE] {
        assert_eq!(rustix::fs::fcntl_add_seals(&memory, seal), Err(rustix::io::Errno::PERM));
    }
    slice.store(49_999, 1);
}
