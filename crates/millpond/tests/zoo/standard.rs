//! Types of the standard library, and floats that are compared by their bits.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ffi::{CString, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{NonZero, Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::make::{Make, Rng};

/// A number that is equal to itself, whichever it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Double(f64);

/// The same of half the size.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Single(f32);

impl PartialEq for Double {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl PartialEq for Single {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Make for Double {
    fn make(rng: &mut Rng) -> Self {
        let odd = f64::from_bits(0x7ff8_0000_dead_beef);
        let usual = [0.0, -0.0, 1.5, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN, -f64::NAN, odd];
        let any = f64::from_bits(rng.next());
        Self(*usual.get(rng.below(12)).unwrap_or(&any))
    }
}

impl Make for Single {
    fn make(rng: &mut Rng) -> Self {
        let odd = f32::from_bits(0x7fc0_dead);
        let usual = [0.0, -0.0, 0.1, f32::MAX, f32::NEG_INFINITY, f32::NAN, -f32::NAN, odd];
        let any = f32::from_bits(u32::make(rng));
        Self(*usual.get(rng.below(12)).unwrap_or(&any))
    }
}

macro_rules! wrappers {
    ($($wrapper:ident)*) => {$(
        impl<T: Make> Make for $wrapper<T> {
            fn make(rng: &mut Rng) -> Self {
                Self(T::make(rng))
            }
        }
    )*};
}

wrappers!(Reverse Saturating Wrapping);

macro_rules! non_zero {
    ($($type:ty)*) => {$(
        impl Make for NonZero<$type> {
            fn make(rng: &mut Rng) -> Self {
                Self::new(<$type>::make(rng)).unwrap_or(Self::MIN)
            }
        }
    )*};
}

non_zero!(u8 u64 i128 isize);

impl<T: Make> Make for Range<T> {
    fn make(rng: &mut Rng) -> Self {
        T::make(rng)..T::make(rng)
    }
}

impl<T: Make> Make for RangeInclusive<T> {
    fn make(rng: &mut Rng) -> Self {
        T::make(rng)..=T::make(rng)
    }
}

impl<T: Make> Make for RangeFrom<T> {
    fn make(rng: &mut Rng) -> Self {
        T::make(rng)..
    }
}

impl<T: Make> Make for RangeTo<T> {
    fn make(rng: &mut Rng) -> Self {
        ..T::make(rng)
    }
}

impl<T: Make> Make for Bound<T> {
    fn make(rng: &mut Rng) -> Self {
        match rng.below(3) {
            0 => Self::Unbounded,
            1 => Self::Included(T::make(rng)),
            _ => Self::Excluded(T::make(rng)),
        }
    }
}

impl Make for Duration {
    fn make(rng: &mut Rng) -> Self {
        Self::new(u64::make(rng) / 2, u32::make(rng) % 1_000_000_000)
    }
}

impl Make for SystemTime {
    fn make(rng: &mut Rng) -> Self {
        Self::UNIX_EPOCH + Duration::new(u64::from(u32::make(rng)), u32::make(rng) % 1_000_000_000)
    }
}

impl Make for Ipv4Addr {
    fn make(rng: &mut Rng) -> Self {
        u32::make(rng).into()
    }
}

impl Make for Ipv6Addr {
    fn make(rng: &mut Rng) -> Self {
        u128::make(rng).into()
    }
}

impl Make for IpAddr {
    fn make(rng: &mut Rng) -> Self {
        if rng.below(2) == 0 { Ipv4Addr::make(rng).into() } else { Ipv6Addr::make(rng).into() }
    }
}

impl Make for SocketAddrV4 {
    fn make(rng: &mut Rng) -> Self {
        Self::new(Make::make(rng), Make::make(rng))
    }
}

impl Make for SocketAddr {
    fn make(rng: &mut Rng) -> Self {
        if rng.below(2) == 0 {
            return SocketAddrV4::make(rng).into();
        }
        // serde drops the flow information.
        SocketAddrV6::new(Make::make(rng), Make::make(rng), 0, Make::make(rng)).into()
    }
}

impl Make for PathBuf {
    fn make(rng: &mut Rng) -> Self {
        String::make(rng).into()
    }
}

impl Make for OsString {
    fn make(rng: &mut Rng) -> Self {
        Self::from_vec(Make::make(rng))
    }
}

impl Make for CString {
    fn make(rng: &mut Rng) -> Self {
        let bytes: Vec<u8> = Make::make(rng);
        Self::new(bytes.into_iter().filter(|byte| *byte != 0).collect::<Vec<_>>()).unwrap()
    }
}

impl Make for Box<str> {
    fn make(rng: &mut Rng) -> Self {
        String::make(rng).into()
    }
}

impl Make for Box<[u8]> {
    fn make(rng: &mut Rng) -> Self {
        Vec::make(rng).into()
    }
}

impl Make for Cow<'static, str> {
    fn make(rng: &mut Rng) -> Self {
        String::make(rng).into()
    }
}
