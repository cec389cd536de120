//! Which types are known to decode just what they encode.
//!
//! The language does not let a generic function ask that of its type parameter, but it tells the
//! parameter's name. A name that is not on the lists here, be it that a later compiler writes it
//! differently, only costs time: such a type makes a [dry run](super::dry_run).

use std::any::{TypeId, type_name};
use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Types without a part that serde changes on the way or writes in more than one form. If they have
/// type parameters, those must be known, too.
const STANDARD: &[&str] = &[
    "alloc::borrow::Cow",
    "alloc::boxed::Box",
    "alloc::collections::binary_heap::BinaryHeap",
    "alloc::collections::btree::map::BTreeMap",
    "alloc::collections::btree::set::BTreeSet",
    "alloc::collections::linked_list::LinkedList",
    "alloc::collections::vec_deque::VecDeque",
    "alloc::ffi::c_str::CString",
    "alloc::rc::Rc",
    "alloc::string::String",
    "alloc::sync::Arc",
    "alloc::vec::Vec",
    "bool",
    "char",
    "core::cell::Cell",
    "core::cell::RefCell",
    "core::cmp::Reverse",
    "core::net::ip_addr::IpAddr",
    "core::net::ip_addr::Ipv4Addr",
    "core::net::ip_addr::Ipv6Addr",
    "core::net::socket_addr::SocketAddrV4",
    "core::num::nonzero::NonZero",
    "core::num::saturating::Saturating",
    "core::num::wrapping::Wrapping",
    "core::ops::range::Bound",
    "core::ops::range::Range",
    "core::ops::range::RangeFrom",
    "core::ops::range::RangeInclusive",
    "core::ops::range::RangeTo",
    "core::option::Option",
    "core::result::Result",
    "core::sync::atomic::AtomicBool",
    "core::sync::atomic::AtomicI16",
    "core::sync::atomic::AtomicI32",
    "core::sync::atomic::AtomicI64",
    "core::sync::atomic::AtomicI8",
    "core::sync::atomic::AtomicIsize",
    "core::sync::atomic::AtomicU16",
    "core::sync::atomic::AtomicU32",
    "core::sync::atomic::AtomicU64",
    "core::sync::atomic::AtomicU8",
    "core::sync::atomic::AtomicUsize",
    "core::time::Duration",
    "f32",
    "f64",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "isize",
    "std::collections::hash::map::HashMap",
    "std::collections::hash::set::HashSet",
    "std::ffi::os_str::OsString",
    "std::path::Path",
    "std::path::PathBuf",
    "std::sync::poison::mutex::Mutex",
    "std::sync::poison::rwlock::RwLock",
    "std::time::SystemTime",
    "str",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "usize",
];

/// The same whatever their parameters are: no value of those travels with them.
const WHATEVER_THEIR_PARAMETERS: &[&str] = &[
    "core::marker::PhantomData",
    "millpond::bytes::Bytes",
    "millpond::channel::connection::Connection",
    "millpond::channel::receiver::Receiver",
    "millpond::channel::sender::Sender",
    "millpond::queue::handle::Queue",
    "millpond::sync::barrier::Barrier",
    "millpond::sync::condvar::Condvar",
    "millpond::sync::event::Event",
    "millpond::sync::lock::Lock",
    "millpond::sync::mutex::Mutex",
    "millpond::sync::reentrant_lock::ReentrantLock",
    "millpond::sync::semaphore::Semaphore",
    "millpond::sync::slice::SharedSlice",
];

/// How many answers a thread remembers.
const REMEMBERED: usize = 64;

thread_local! {
    static ANSWERS: [Cell<Option<(TypeId, bool)>>; REMEMBERED] =
        const { [const { Cell::new(None) }; REMEMBERED] };
}

/// Whether a value of this type decodes as it was encoded, in any format.
#[inline]
pub(super) fn is_known<T: 'static>() -> bool {
    let own = TypeId::of::<T>();
    is_one_of_the_usual(own) || is_remembered_as_known(own, type_name::<T>())
}

/// Those that cost nothing to know, since the compiler does.
#[inline(always)]
fn is_one_of_the_usual(own: TypeId) -> bool {
    macro_rules! is_any_of {
        ($($known:ty)*) => {
            $(own == TypeId::of::<$known>() || own == TypeId::of::<($known,)>())||*
        };
    }
    is_any_of!(() bool u8 u32 u64 usize i32 i64 f64 String Vec<f64> Vec<u64> Vec<String>)
}

#[inline]
fn is_remembered_as_known(own: TypeId, name: &str) -> bool {
    let mut hash = Low(0);
    own.hash(&mut hash);
    ANSWERS.with(|answers| {
        let answer = &answers[hash.0 as usize % REMEMBERED];
        match answer.get() {
            Some((of, is_known)) if of == own => is_known,
            _ => {
                let is_known = is_known_by_name(name);
                answer.set(Some((own, is_known)));
                is_known
            }
        }
    })
}

/// Of a number that is a hash already.
struct Low(u64);

impl Hasher for Low {
    fn write(&mut self, bytes: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        self.0 = hasher.finish();
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cold]
fn is_known_by_name(name: &str) -> bool {
    let mut name = Name(name);
    name.is_known() && name.0.is_empty()
}

/// What is left of a type's name.
struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    fn is_known(&mut self) -> bool {
        if self.eat("(") {
            return self.are_known_until(")");
        }
        if self.eat("[") {
            let is_known = self.is_known();
            if self.eat("; ") {
                self.word();
            }
            return is_known && self.eat("]");
        }
        if self.eat("'") {
            self.word();
            return true;
        }
        let word = self.word();
        if WHATEVER_THEIR_PARAMETERS.contains(&word) {
            self.skip_parameters();
            return true;
        }
        STANDARD.contains(&word) && (!self.eat("<") || self.are_known_until(">"))
    }

    fn are_known_until(&mut self, end: &str) -> bool {
        loop {
            if self.eat(end) {
                return true;
            }
            if !self.is_known() {
                return false;
            }
            let _ = self.eat(", ") || self.eat(",");
        }
    }

    fn eat(&mut self, start: &str) -> bool {
        let rest = self.0.strip_prefix(start);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A path, a number or the name of a lifetime.
    fn word(&mut self) -> &'a str {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn skip_parameters(&mut self) {
        let mut depth = 0;
        let mut before = ' ';
        let end = self.0.find(|c| {
            match c {
                '<' => depth += 1,
                // Not that of an arrow.
                '>' if before != '-' => depth -= 1,
                _ => {}
            }
            before = c;
            depth == 0
        });
        if self.0.starts_with('<') {
            self.0 = end.map_or("", |end| &self.0[end + 1..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::{
        BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque,
    };
    use std::marker::PhantomData;
    use std::net::{IpAddr, SocketAddr};
    use std::num::{NonZeroU8, Wrapping};
    use std::ops::{Bound, Range, RangeInclusive};
    use std::path::{Path, PathBuf};
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::sync::raw::{Lock, ReentrantLock};
    use crate::sync::{Barrier, Condvar, Event, Mutex, Semaphore, SharedSlice};
    use crate::{Bytes, Connection, Queue, Receiver, Sender};

    struct Own;

    macro_rules! assert_known {
        ($($known:ty),* $(,)?) => {
            $(assert!(is_known::<$known>(), "{}", type_name::<$known>());
            assert!(is_known_by_name(type_name::<$known>()), "{}", type_name::<$known>());)*
        };
    }

    macro_rules! assert_unknown {
        ($($unknown:ty),* $(,)?) => {
            $(assert!(!is_known::<$unknown>(), "{}", type_name::<$unknown>());)*
        };
    }

    #[test]
    fn the_standard_library_is_known() {
        assert_known!(
            (),
            (u64,),
            (u8, i128, f32, char, bool, usize),
            ((), ((i8,), String)),
            Vec<f64>,
            [u16; 32],
            Box<[u8]>,
            Box<str>,
            Box<Path>,
            Option<Option<Vec<String>>>,
            Result<(), String>,
            Cow<'static, str>,
            HashMap<(u8, char), Vec<HashSet<u64>>>,
            BTreeMap<String, BTreeSet<u8>>,
            VecDeque<BinaryHeap<u8>>,
            LinkedList<(Duration, SystemTime)>,
            Bound<Range<u8>>,
            RangeInclusive<Wrapping<u8>>,
            (IpAddr, PathBuf, NonZeroU8),
            Vec<Rc<Arc<u8>>>,
            PhantomData<fn(Own) -> Vec<Own>>,
            (PhantomData<Own>, u8),
        );
    }

    #[test]
    fn handles_are_known() {
        assert_known!(
            Bytes,
            (Queue<Own>, Sender<Vec<Own>>, Receiver<fn(Own) -> Own>),
            Connection<Own, Own>,
            (Lock, ReentrantLock, Semaphore, Event, Barrier, Condvar),
            (Mutex<u64>, SharedSlice<u64>),
        );
    }

    #[test]
    fn others_are_not() {
        assert_unknown!(
            Own,
            Vec<Own>,
            (u8, Own),
            (PhantomData<u8>, Own),
            Option<HashMap<String, Own>>,
            HashMap<u8, u8, std::hash::BuildHasherDefault<DefaultHasher>>,
            [Own; 3],
            fn(u8) -> u8,
            &'static str,
            // Loses what they were shared with.
            std::rc::Weak<u8>,
            // Loses its flow label.
            SocketAddr,
        );
    }
}
