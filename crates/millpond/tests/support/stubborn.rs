//! A value that refuses to travel.

use serde::{Deserialize, Serialize, Serializer};

/// Does not encode.
#[derive(Deserialize)]
pub(crate) struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}
