//! The Rust door's codec, for types that have something of everything.

use std::collections::BTreeMap;
use std::hint::black_box;

use millpond::fuzzing::{decode, encode};

type Pair = (String, Vec<u64>);
type Nested = BTreeMap<String, Vec<Option<(bool, char, f64)>>>;
type Alternatives = Result<Vec<u8>, (u128, Box<str>)>;

pub(super) fn run(input: &[u8]) {
    black_box(decode::<Pair>(input));
    black_box(decode::<Nested>(input));
    black_box(decode::<Alternatives>(input));
    black_box(decode::<Vec<u8>>(input));
    black_box(decode::<Vec<String>>(input));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let pair: Pair = ("hello".to_owned(), vec![1, 300, u64::MAX]);
    let nested: Nested = BTreeMap::from([("key".to_owned(), vec![None, Some((true, 'ä', 0.5))])]);
    let alternatives: Alternatives = Err((7, "reason".into()));
    let encoded = [encode(pair), encode(nested), encode(alternatives)];
    encoded.into_iter().flatten().collect()
}
