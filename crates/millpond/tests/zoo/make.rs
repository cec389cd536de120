//! Values out of a seed.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::hash::Hash;

/// Random numbers that are the same for the same seed, and a limit for how much to make of them.
pub(crate) struct Rng {
    state: u64,
    fuel: u32,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_add(0x9e37_79b9_7f4a_7c15), fuel: 30 }
    }

    /// The next number, by splitmix64 (Steele, Lea and Flood, 2014).
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// Whether to make another part, of which there are at most so many.
    pub(crate) fn more(&mut self) -> bool {
        let more = self.fuel > 0 && !self.next().is_multiple_of(3);
        self.fuel = self.fuel.saturating_sub(1);
        more
    }

    fn some<T: Make>(&mut self) -> Vec<T> {
        let mut some = Vec::new();
        while some.len() < 40 && self.more() {
            some.push(T::make(self));
        }
        some
    }
}

/// What can be made at random.
pub(crate) trait Make {
    fn make(rng: &mut Rng) -> Self;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Make for $type {
            #[expect(clippy::allow_attributes, reason = "not each of the types has this lint")]
            #[allow(clippy::cast_possible_truncation, clippy::cast_lossless, clippy::cast_possible_wrap)]
            fn make(rng: &mut Rng) -> Self {
                match rng.below(4) {
                    0 => [0, 1, <$type>::MIN, <$type>::MAX][rng.below(4)],
                    1 => rng.below(100) as $type,
                    _ => {
                        let wide = u128::from(rng.next()) << 64 | u128::from(rng.next());
                        let bits = rng.below(<$type>::BITS as usize);
                        (wide as $type) >> bits
                    }
                }
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

impl Make for bool {
    fn make(rng: &mut Rng) -> Self {
        rng.below(2) == 1
    }
}

impl Make for char {
    fn make(rng: &mut Rng) -> Self {
        let any = u32::try_from(rng.below(0x11_0000)).unwrap();
        ['a', '\0', '"', 'ß', '犬', char::from_u32(any).unwrap_or('?')][rng.below(6)]
    }
}

impl Make for String {
    fn make(rng: &mut Rng) -> Self {
        rng.some::<char>().into_iter().collect()
    }
}

impl Make for () {
    fn make(_: &mut Rng) -> Self {}
}

impl<T: Make> Make for Box<T> {
    fn make(rng: &mut Rng) -> Self {
        Self::new(T::make(rng))
    }
}

impl<T: Make> Make for Option<T> {
    fn make(rng: &mut Rng) -> Self {
        rng.more().then(|| T::make(rng))
    }
}

impl<T: Make, E: Make> Make for Result<T, E> {
    fn make(rng: &mut Rng) -> Self {
        if rng.below(2) == 0 { Ok(T::make(rng)) } else { Err(E::make(rng)) }
    }
}

impl<T: Make, const N: usize> Make for [T; N] {
    fn make(rng: &mut Rng) -> Self {
        std::array::from_fn(|_| T::make(rng))
    }
}

macro_rules! collections {
    ($($type:ident: $($bound:ident)*;)*) => {$(
        impl<T: Make $(+ $bound)*> Make for $type<T> {
            fn make(rng: &mut Rng) -> Self {
                rng.some().into_iter().collect()
            }
        }
    )*};
}

collections! {
    Vec:;
    VecDeque:;
    LinkedList:;
    BTreeSet: Ord;
    BinaryHeap: Ord;
    HashSet: Eq Hash;
}

impl<K: Make + Ord, V: Make> Make for BTreeMap<K, V> {
    fn make(rng: &mut Rng) -> Self {
        rng.some().into_iter().collect()
    }
}

impl<K: Make + Eq + Hash, V: Make> Make for HashMap<K, V> {
    fn make(rng: &mut Rng) -> Self {
        rng.some().into_iter().collect()
    }
}

macro_rules! tuples {
    ($(($($type:ident)*))*) => {$(
        impl<$($type: Make),*> Make for ($($type,)*) {
            fn make(rng: &mut Rng) -> Self {
                ($($type::make(rng),)*)
            }
        }
    )*};
}

tuples! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
}

/// Defines a type that serde encodes and decodes and that can be made at random.
macro_rules! animal {
    ($(#[$meta:meta])* struct $Name:ident $(<$($P:ident),*>)? {
        $($(#[$attribute:meta])* $field:ident: $type:ty,)*
    }) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        $(#[$meta])*
        pub(crate) struct $Name $(<$($P),*>)? {
            $($(#[$attribute])* pub(crate) $field: $type,)*
        }

        impl $(<$($P: $crate::make::Make),*>)? $crate::make::Make for $Name $(<$($P),*>)? {
            fn make(_rng: &mut $crate::make::Rng) -> Self {
                Self { $($field: <$type>::make(_rng)),* }
            }
        }
    };
    ($(#[$meta:meta])* struct $Name:ident $(<$($P:ident),*>)? (
        $($(#[$attribute:meta])* $type:ty),*
    );) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        $(#[$meta])*
        pub(crate) struct $Name $(<$($P),*>)? ($($(#[$attribute])* pub(crate) $type),*);

        impl $(<$($P: $crate::make::Make),*>)? $crate::make::Make for $Name $(<$($P),*>)? {
            fn make(_rng: &mut $crate::make::Rng) -> Self {
                Self($(<$type>::make(_rng)),*)
            }
        }
    };
    ($(#[$meta:meta])* enum $Name:ident $(<$($P:ident),*>)? {
        $(
            $(#[$attribute:meta])* $variant:ident
            $(($($(#[$of_item:meta])* $item:ty),*))?
            $({$($(#[$of_field:meta])* $field:ident: $type:ty),*})?,
        )*
    }) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        $(#[$meta])*
        pub(crate) enum $Name $(<$($P),*>)? {
            $(
                $(#[$attribute])* $variant
                $(($($(#[$of_item])* $item),*))?
                $({$($(#[$of_field])* $field: $type),*})?,
            )*
        }

        impl $(<$($P: $crate::make::Make),*>)? $crate::make::Make for $Name $(<$($P),*>)? {
            fn make(rng: &mut $crate::make::Rng) -> Self {
                let variants: &[fn(&mut $crate::make::Rng) -> Self] = &[$(
                    |_rng| Self::$variant
                        $(($(<$item>::make(_rng)),*))?
                        $({$($field: <$type>::make(_rng)),*})?
                ),*];
                variants[rng.below(variants.len())](rng)
            }
        }
    };
}

pub(crate) use animal;
