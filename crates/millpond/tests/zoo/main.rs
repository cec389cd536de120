//! Types of every kind that serde can express: what is sent arrives equal, or is refused when it is
//! sent.

mod enums;
mod handwritten;
mod make;
mod refused;
mod standard;
mod structs;
#[path = "../support/watchdog.rs"]
mod watchdog;

use std::any::type_name;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZero, Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use make::{Make, Rng};
use millpond::fuzzing::{decode, encode};
use millpond::{Connection, Message, Pool, Queue, Receiver, Sender};
use standard::{Double, Single};
use watchdog::Watchdog;

millpond::init_before_main!();

/// A type of the zoo.
trait Animal: Message + Make + Clone + Debug + PartialEq {}

impl<T: Message + Make + Clone + Debug + PartialEq> Animal for T {}

/// Something to do with each type.
trait Keeper {
    fn visit<T: Animal>(&mut self);
}

macro_rules! visit {
    ($keeper:ident: $($animal:ty,)*) => {$($keeper.visit::<$animal>();)*};
}

/// What is around a type that arrives whatever it is.
type Around<T> = (Vec<T>, Option<Box<T>>, HashMap<String, T>, structs::Generic<T, T>);

/// All of the zoo but [`Shy`], several at a time, which takes less long to compile.
fn visit_all(keeper: &mut impl Keeper) {
    visit_standard(keeper);
    visit_structs(keeper);
    visit_enums(keeper);
    visit_handwritten(keeper);
}

fn visit_standard(keeper: &mut impl Keeper) {
    visit! { keeper:
        ((), bool, char, String, Double, Single, Box<str>, Box<[u8]>),
        (u8, u16, u32, u64, usize),
        (i8, i16, i32, i64, isize),
        (Option<u8>, Option<Option<()>>, Option<Option<Option<bool>>>, Result<u8, String>),
        (Vec<u8>, Vec<Double>, Vec<()>, Vec<Vec<Option<char>>>, VecDeque<u16>, LinkedList<String>),
        (BTreeSet<i32>, HashSet<Vec<char>>, BTreeMap<i64, String>, HashMap<u8, Option<u8>>),
        (HashMap<Vec<Option<u8>>, Double>, HashMap<char, HashMap<bool, ()>>),
        (BTreeMap<(u8, char), [Option<u8>; 2]>, [u8; 0], [u16; 1], [i64; 32], Box<Option<u8>>),
        (Cow<'static, str>, Wrapping<i32>, Saturating<u16>, Reverse<u8>),
        (NonZero<u8>, NonZero<u64>, NonZero<isize>),
        (Range<u8>, RangeInclusive<char>, RangeFrom<i64>, RangeTo<String>, Bound<u8>),
        (Duration, SystemTime, IpAddr, SocketAddr, PathBuf, OsString, CString),
    }
}

fn visit_structs(keeper: &mut impl Keeper) {
    use structs::*;
    visit! { keeper:
        (Plain, Empty, Nothing, Newtype, NewtypeOfOption, Pair, Transparent, Unit),
        (LeavesOut, LeavesMuchOut, HasDefaults, Renamed, Skips),
        (Flattens, FlattensMaybe, FlattensDeeply, FlattensRest, FlattensSmall),
        (FlattensNumbers, FlattensAny<String>, One<Small>, With, Converted, Remote),
        (Generic<u8, Generic<String, LeavesOut>>, Tree, Chain, Options, Keeps),
    }
}

fn visit_enums(keeper: &mut impl Keeper) {
    use enums::*;
    visit! { keeper:
        (External, Renamed, Skips, Conversions, Number, PartlyUntagged),
        (Internal, Adjacent, Untagged),
    }
}

fn visit_handwritten(keeper: &mut impl Keeper) {
    use handwritten::*;
    visit! { keeper:
        (Anything, Color, Colors, Unmeasured),
        (Selective, Shrinking),
    }
}

/// What serde cannot keep for enums without tags: large numbers, variants by their number, and
/// structs that are newtypes.
type Shy =
    ((u128, i128), HashMap<i128, Option<NonZero<i128>>>, handwritten::Numbered, handwritten::Raw);

fn made<T: Make>(seed: u64) -> T {
    T::make(&mut Rng::new(seed))
}

/// Encodes and decodes, by itself and in all that may be around it.
struct Codec {
    values: u64,
    refused: u64,
    arrived: u64,
    damaged: u64,
}

impl Codec {
    fn must_arrive<T: Animal>(&mut self) {
        let refused = self.refused;
        self.arrives_or_is_refused::<T>();
        assert_eq!(self.refused, refused, "{} must arrive", type_name::<T>());
    }

    fn arrives_or_is_refused<T: Animal>(&mut self) {
        for seed in 0..self.values {
            let value: T = made(seed);
            match encode(value.clone()) {
                Ok(bytes) => {
                    self.try_damaged::<T>(&bytes, seed);
                    let arrived = decode::<T>(&bytes);
                    assert_eq!(arrived.as_ref(), Ok(&value), "{} {seed}", type_name::<T>());
                    self.arrived += 1;
                }
                Err(error) => {
                    println!("{error}\n{seed}: {value:?}\n");
                    assert!(error.contains(type_name::<T>()), "{error}");
                    self.refused += 1;
                }
            }
        }
    }
}

impl Codec {
    /// Damaged bytes may be another value, but not more than that.
    fn try_damaged<T: Animal>(&mut self, bytes: &[u8], seed: u64) {
        let mut rng = Rng::new(seed);
        let mut damaged = bytes.to_vec();
        damaged.truncate(rng.below(bytes.len() + 1));
        self.damaged += u64::from(decode::<T>(&damaged).is_err());
        damaged = bytes.to_vec();
        if let Some(last) = damaged.len().checked_sub(1) {
            damaged[rng.below(last + 1)] = rng.next().to_le_bytes()[0];
            self.damaged += u64::from(decode::<T>(&damaged).is_err());
        }
    }
}

impl Keeper for Codec {
    fn visit<T: Animal>(&mut self) {
        self.must_arrive::<T>();
        self.must_arrive::<Around<T>>();
        self.must_arrive::<enums::InExternal<T>>();
        self.must_arrive::<structs::FlattensAny<T>>();
        self.must_arrive::<enums::InInternal<T>>();
        self.must_arrive::<enums::InAdjacent<T>>();
        self.must_arrive::<enums::InUntagged<T>>();
    }
}

#[test]
fn the_zoo_encodes_and_decodes() {
    let _watchdog = Watchdog::start();
    let mut codec = Codec { values: 100, refused: 0, arrived: 0, damaged: 0 };
    visit_all(&mut codec);
    codec.must_arrive::<Shy>();
    codec.must_arrive::<Around<Shy>>();
    codec.must_arrive::<enums::InExternal<Shy>>();
    codec.must_arrive::<enums::InAdjacent<Shy>>();
    let arrived = codec.arrived;
    codec.arrives_or_is_refused::<enums::InInternal<Shy>>();
    codec.arrives_or_is_refused::<enums::InUntagged<Shy>>();
    codec.arrives_or_is_refused::<structs::FlattensAny<Shy>>();
    assert!(arrived > 10_000 && codec.arrived > arrived && codec.refused > 0);
    assert!(codec.damaged > arrived);
}

fn echo<T>(value: T) -> T {
    value
}

struct Pools {
    pool: Pool,
    values: u64,
}

impl Keeper for Pools {
    fn visit<T: Animal>(&mut self) {
        for seed in 0..self.values {
            let value: T = made(seed);
            assert_eq!(self.pool.spawn(echo::<T>, value.clone()).join().unwrap(), value);
        }
        let values: Vec<T> = (0..self.values).map(made).collect();
        let arrived = self.pool.chunk_size(3).map(echo::<T>, values.clone()).unwrap();
        assert_eq!(arrived, values);
        let arrived: Result<Vec<T>, _> = self.pool.map_iter(echo::<T>, values.clone()).collect();
        assert_eq!(arrived.unwrap(), values);
    }
}

#[test]
fn the_zoo_goes_to_a_pool_and_back() {
    let _watchdog = Watchdog::start();
    let mut pools = Pools { pool: Pool::new(1).unwrap(), values: 4 };
    visit_all(&mut pools);
    pools.visit::<Shy>();
}

struct Channels {
    values: u64,
}

impl Keeper for Channels {
    fn visit<T: Animal>(&mut self) {
        let values: Vec<T> = (0..self.values).map(made).collect();
        let queue = Queue::new().unwrap();
        values.iter().for_each(|value| queue.push(value.clone()).unwrap());
        queue.push_many(&values).unwrap();
        let (sender, receiver): (Sender<T>, Receiver<T>) = millpond::channel().unwrap();
        values.iter().for_each(|value| sender.send_ref(value).unwrap());
        let (one, other): (Connection<T, T>, Connection<T, T>) = millpond::pipe().unwrap();
        values.iter().for_each(|value| one.send(value.clone()).unwrap());
        for value in &values {
            assert_eq!(&queue.pop().unwrap(), value);
            assert_eq!(&receiver.recv().unwrap().unwrap(), value);
            assert_eq!(&other.recv().unwrap().unwrap(), value);
        }
        assert_eq!(queue.pop_many(values.len()).unwrap(), values);
    }
}

#[test]
fn the_zoo_goes_through_queues_channels_and_pipes() {
    let _watchdog = Watchdog::start();
    let mut channels = Channels { values: 6 };
    visit_all(&mut channels);
    channels.visit::<Shy>();
}

struct Processes;

impl Keeper for Processes {
    fn visit<T: Animal>(&mut self) {
        let (answers, answer) = millpond::channel().unwrap();
        let values: (T, T) = (made(1), made(2));
        let relay = |one: T, other: T, answers: Sender<T>| {
            answers.send(other).unwrap();
            one
        };
        let input = (values.0.clone(), values.1.clone(), answers);
        let child = millpond::spawn(relay, input).unwrap();
        assert_eq!(child.join().unwrap(), values.0);
        assert_eq!(answer.recv().unwrap().unwrap(), values.1);
    }
}

#[test]
fn the_zoo_goes_to_processes_and_back() {
    let _watchdog = Watchdog::start();
    visit_all(&mut Processes);
    Processes.visit::<Shy>();
}
