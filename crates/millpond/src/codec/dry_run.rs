//! A value's way to another process and back, before it is sent.
//!
//! What `Deserialize` makes of an encoding only shows when it does: it may ask for less than
//! `Serialize` gave, take one variant for another, or refuse. So where a type is not
//! [known](super::known) to be faithful, each value of it is decoded by its sender first. If what
//! comes out encodes as the value itself, it will arrive equal, so far as serde can tell.

use std::panic::AssertUnwindSafe;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::described::{self, Error};
use crate::panic;
use crate::wire_handle::DryRun;

/// Room that most values find enough.
const USUAL_LENGTH: usize = 256;

/// Why a value is not sent.
pub(super) enum Refusal {
    /// Its `Serialize` says so.
    Serialize(Error),
    /// It would not be decoded.
    Deserialize(Error),
    /// Its `Deserialize` panics.
    Panic(String),
    /// Another value would arrive.
    Altered(Error),
    /// Once, and not when it was asked why.
    Unclear(postcard::Error),
}

/// The described bytes of a value that will arrive.
pub(super) fn encode<T>(value: &T) -> Result<Vec<u8>, Refusal>
where
    T: Serialize + DeserializeOwned,
{
    let mut bytes = Vec::with_capacity(USUAL_LENGTH);
    let dry_run = DryRun::begin();
    described::encode(value, &mut bytes).map_err(Refusal::Serialize)?;
    let decoded = panic::catch(AssertUnwindSafe(|| described::decode::<T>(&bytes)));
    let decoded = decoded.map_err(|report| Refusal::Panic(report.message().to_owned()))?;
    let arrived = decoded.map_err(Refusal::Deserialize)?;
    let mut again = Vec::with_capacity(bytes.len());
    described::encode(&arrived, &mut again).map_err(Refusal::Serialize)?;
    if !described::is_same(&bytes, &again) {
        let message = "it would arrive as another value";
        return Err(Refusal::Altered(described::difference(&bytes, &again, message)));
    }
    let has_handles = dry_run.has_handles();
    drop((arrived, dry_run));
    if has_handles {
        // With wire handles that lead to them.
        bytes.clear();
        described::encode(value, &mut bytes).map_err(Refusal::Serialize)?;
    }
    Ok(bytes)
}

/// Why a value does not encode, in the words of its `Serialize`, which the compact encoding drops.
#[cold]
pub(super) fn refusal<T: Serialize>(value: &T, compact: postcard::Error) -> Refusal {
    let _dry_run = DryRun::begin();
    match described::encode(value, &mut Vec::new()) {
        Err(error) => Refusal::Serialize(error),
        Ok(()) => Refusal::Unclear(compact),
    }
}
