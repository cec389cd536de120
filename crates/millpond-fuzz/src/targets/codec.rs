//! The Rust binding's codec, for types that have something of everything.

use std::collections::BTreeMap;
use std::hint::black_box;

use millpond::fuzzing::{decode, encode};
use serde::{Deserialize, Serialize};

type Pair = (String, Vec<u64>);
type Nested = BTreeMap<String, Vec<Option<(bool, char, f64)>>>;
type Alternatives = Result<Vec<u8>, (u128, Box<str>)>;

/// A type that does not travel as the compact encoding, since it needs a description.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Described {
    Number(u8),
    Text(Option<String>),
    List(Vec<Described>),
    Struct {
        #[serde(flatten)]
        rest: BTreeMap<String, External>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum External {
    Unit,
    Newtype(Option<Box<External>>),
    Tuple(i128, f32),
    Struct { letter: char },
}

pub(super) fn run(input: &[u8]) {
    let _ = black_box(decode::<Pair>(input));
    let _ = black_box(decode::<Nested>(input));
    let _ = black_box(decode::<Alternatives>(input));
    let _ = black_box(decode::<Vec<u8>>(input));
    let _ = black_box(decode::<Vec<String>>(input));
    let _ = black_box(decode::<Described>(input));
    let _ = black_box(decode::<External>(input));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let pair: Pair = ("hello".to_owned(), vec![1, 300, u64::MAX]);
    let nested: Nested = BTreeMap::from([("key".to_owned(), vec![None, Some((true, 'ä', 0.5))])]);
    let alternatives: Alternatives = Err((7, "reason".into()));
    let external = External::Newtype(Some(Box::new(External::Tuple(-7, 0.5))));
    let rest = [("a", External::Unit), ("b", External::Struct { letter: 'ä' })];
    let rest = rest.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let text = Described::Text(Some("text".to_owned()));
    let described = vec![Described::Struct { rest }, Described::Number(7), text];
    let described = encode(Described::List(described));
    let encoded = [encode(pair), encode(nested), encode(alternatives), encode(external), described];
    encoded.into_iter().flatten().collect()
}
