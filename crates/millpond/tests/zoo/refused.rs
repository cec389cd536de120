//! Values that serde cannot express: they are refused when they are sent, with the type and, where
//! serde says so much, the field.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use millpond::fuzzing::{decode, encode};
use millpond::sync::raw::Lock;
use millpond::{Error, ErrorKind, Message, Pool, Queue, Sender};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::enums::Untagged;
use crate::handwritten::Anything;
use crate::structs::Chain;
use crate::watchdog::Watchdog;

/// The message of a refusal, without its beginning.
#[track_caller]
fn refusal<T: Message>(value: T) -> String {
    let error = encode(value).unwrap_err();
    let start = format!("could not encode a value of type `{}`: ", std::any::type_name::<T>());
    error.strip_prefix(&start).unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[track_caller]
fn arrives<T: Message + Clone + Debug + PartialEq>(value: T) {
    assert_eq!(decode::<T>(&encode(value.clone()).unwrap()), Ok(value));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Outer<T> {
    list: Vec<(u8, HashMap<u16, T>)>,
}

fn outer<T>(value: T) -> Outer<T> {
    Outer { list: vec![(1, HashMap::new()), (2, HashMap::from([(7, value)]))] }
}

#[test]
fn fields_that_are_not_sent_or_not_read() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Unsent {
        a: u8,
        #[serde(skip_serializing)]
        b: u8,
    }
    let message = refusal(outer(Unsent { a: 1, b: 2 }));
    assert_eq!(message, "its `Deserialize` would refuse it: at `list[1][1][7]`: missing field `b`");

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Unread {
        a: u8,
        #[serde(skip_deserializing)]
        b: u8,
    }
    let message = refusal(outer(Unread { a: 1, b: 2 }));
    assert_eq!(message, "at `list[1][1][7].b`: it would arrive as another value");
    arrives(Unread { a: 1, b: 0 });

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Renamed {
        #[serde(default, rename(serialize = "one", deserialize = "two"))]
        a: u8,
    }
    let message = refusal(outer(Renamed { a: 1 }));
    assert_eq!(message, "at `list[1][1][7].one`: it would arrive as another value");

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Unnamed(u8, #[serde(skip_serializing_if = "Option::is_none")] Option<u8>, u8);
    arrives(Unnamed(1, Some(2), 3));
    let message = refusal(Unnamed(1, None, 3));
    assert!(message.contains("invalid length 2"), "{message}");

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Doubled {
        a: u8,
        #[serde(flatten)]
        rest: HashMap<String, u8>,
    }
    let rest = |key: &str| HashMap::from([(key.to_owned(), 2)]);
    arrives(Doubled { a: 1, rest: rest("b") });
    let message = refusal(Doubled { a: 1, rest: rest("a") });
    assert!(message.contains("duplicate field `a`"), "{message}");
}

#[test]
fn variants_that_are_taken_for_others() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Number {
        Small(u8),
        Large(u64),
        Struct { a: Option<u8> },
        More { a: Option<u8>, b: u8 },
    }
    arrives(vec![Number::Small(5), Number::Large(500), Number::Struct { a: None }]);
    let message = refusal(outer(Number::Large(5)));
    assert_eq!(message, "at `list[1][1][7]`: it would arrive as another value");
    let message = refusal(outer(Number::More { a: None, b: 1 }));
    assert!(message.contains("another value"), "{message}");

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Wide {
        Number(i128),
    }
    let message = refusal(outer(Wide::Number(5)));
    assert!(message.contains("at `list[1][1][7]`") && message.contains("i128"), "{message}");

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Sealed {
        Open(u8),
        #[serde(skip_deserializing)]
        Secret(u8),
        #[serde(skip_serializing)]
        Silent(u8),
    }
    arrives(Sealed::Open(1));
    let message = refusal(outer(Sealed::Secret(1)));
    assert!(message.contains("at `list[1][1][7]`: unknown variant `Secret`"), "{message}");
    let message = refusal(outer(Sealed::Silent(1)));
    assert!(message.contains("at `list[1][1][7]`") && message.contains("Silent"), "{message}");
}

#[test]
fn conversions_that_do_not_lead_back() {
    fn doubled<S: Serializer>(number: &u8, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(number.wrapping_mul(2))
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum OneWay {
        Variant {
            #[serde(serialize_with = "doubled")]
            number: u8,
        },
    }
    arrives(OneWay::Variant { number: 0 });
    let message = refusal(outer(OneWay::Variant { number: 3 }));
    assert_eq!(message, "at `list[1][1][7].number`: it would arrive as another value");

    let bytes: [u8; 2] = [0x66, 0xff];
    let message = refusal(outer(PathBuf::from(OsStr::from_bytes(&bytes))));
    assert!(message.contains("its `Serialize` refused it: at `list[1][1][7]`: path"), "{message}");
    let message = refusal((1_u8, SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    assert!(message.contains("its `Serialize` refused it: at `[1]`: SystemTime"), "{message}");
}

#[test]
fn what_is_nested_too_deeply() {
    let chain = |length| {
        (1..length).fold(Chain { next: None }, |chain, _| Chain { next: Some(Box::new(chain)) })
    };
    let lists = |depth| (1..depth).fold(Untagged::Nothing, |list, _| Untagged::List(vec![list]));
    let anything = |depth| (1..depth).fold(Anything::Nothing, |list, _| Anything::List(vec![list]));
    // Each link is a struct and an option; the innermost list has an item.
    arrives(chain(256));
    arrives(lists(513));
    arrives(anything(513));
    let deep = "more than 512 deep in each other";
    for more in [1, 5000] {
        assert!(refusal(chain(256 + more)).contains(deep));
        assert!(refusal(lists(513 + more)).contains(deep));
        assert!(refusal(anything(513 + more)).contains(deep));
    }
}

/// Refuses to be written (1) and to be read (2), and breaks off when it is read (3).
#[derive(Clone, Debug, PartialEq)]
struct Delicate(u8);

impl Serialize for Delicate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            1 => Err(serde::ser::Error::custom("one is not written")),
            number => to.serialize_u8(number),
        }
    }
}

impl<'de> Deserialize<'de> for Delicate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u8::deserialize(from)? {
            2 => Err(D::Error::custom("two is not read")),
            3 => panic!("three is too many"),
            number => Ok(Self(number)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parcel {
    number: u8,
    content: Delicate,
}

fn parcel(content: u8) -> Parcel {
    Parcel { number: 1, content: Delicate(content) }
}

#[track_caller]
fn check(error: &Error, content: u8) {
    let message = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Codec, "{message}");
    assert!(message.contains("could not encode") && message.contains("Parcel"), "{message}");
    let reason = match content {
        1 => "content`: one is not written",
        2 => "content`: two is not read",
        _ => "its `Deserialize` would panic: three is too many",
    };
    assert!(message.contains(reason), "{message}");
}

fn work(parcel: Parcel) -> u8 {
    parcel.content.0
}

#[test]
fn each_way_says_what_serde_said() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    for content in 1..=3 {
        check(&pool.spawn(work, parcel(content)).join().unwrap_err(), content);
        check(&pool.map(work, [parcel(7), parcel(content)]).unwrap_err(), content);
        check(&pool.spawn_map(work, [parcel(content)]).join().map(drop).unwrap_err(), content);
        let mut results = pool.map_iter(work, [parcel(content), parcel(7)]);
        check(&results.next().unwrap().unwrap_err(), content);
        assert_eq!(results.next().unwrap().unwrap(), 7);
        check(&pool.spawn(parcel, content).join().unwrap_err(), content);
        let mut results = pool.map_iter(parcel, [7, content, 8]);
        assert_eq!(results.next().unwrap().unwrap(), parcel(7));
        check(&results.next().unwrap().unwrap_err(), content);
        assert_eq!(results.next().unwrap().unwrap(), parcel(8));

        let error =
            pool.spawn(|content: u8| Err::<(), _>(parcel(content)), content).join().unwrap_err();
        check(&error, content);

        let prepare = |_: Parcel| ();
        let unprepared = Pool::builder().initializer_with(prepare, parcel(content)).build();
        check(&unprepared.map(drop).unwrap_err(), content);

        check(&millpond::spawn(work, parcel(content)).map(drop).unwrap_err(), content);
        check(&millpond::spawn(parcel, content).unwrap().join().unwrap_err(), content);

        let queue = Queue::new().unwrap();
        let error = queue.push(parcel(content)).unwrap_err();
        assert!(error.to_string().contains("Parcel"), "{error}");
        assert_eq!(error.into_value(), parcel(content));
        let error = queue.push_many(&[parcel(7), parcel(content)]).unwrap_err();
        assert!(error.to_string().contains("could not encode"), "{error}");
        assert_eq!(queue.try_pop().unwrap(), None);
        let (sender, receiver) = millpond::channel().unwrap();
        check(&sender.send_ref(&parcel(content)).unwrap_err(), content);
        sender.send(parcel(7)).unwrap();
        assert_eq!(receiver.recv().unwrap().unwrap(), parcel(7));
    }
    assert_eq!(pool.spawn(work, parcel(7)).join().unwrap(), 7);
    assert_eq!(pool.stats().crashes, 0);
}

/// Handles in all that is not compact.
#[derive(Debug, Serialize, Deserialize)]
struct Handles {
    #[serde(skip_serializing_if = "Option::is_none")]
    none: Option<u8>,
    #[serde(flatten)]
    flat: Flat,
    either: Either,
    locks: Vec<Lock>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    sender: Sender<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u8),
    Queue(Queue<u8>),
}

#[test]
fn handles_are_rehearsed_too() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(1).unwrap();
    let queue = Queue::new().unwrap();
    let lock = Lock::new().unwrap();
    let make = || {
        let (sender, receiver) = millpond::channel().unwrap();
        let (flat, either) = (Flat { sender }, Either::Queue(queue.clone()));
        (Handles { none: None, flat, either, locks: vec![lock.clone(), lock.clone()] }, receiver)
    };
    fn send(handles: Handles) -> Either {
        handles.flat.sender.send(7).unwrap();
        drop(handles.locks[0].lock().unwrap());
        drop(handles.locks[1].lock().unwrap());
        if let Either::Queue(queue) = &handles.either {
            queue.push(8).unwrap();
        }
        handles.either
    }
    for n in 0..20 {
        let (handles, receiver) = make();
        match n % 3 {
            0 => drop(pool.spawn(send, handles).join().unwrap()),
            1 => drop(millpond::spawn(send, handles).unwrap().join().unwrap()),
            _ => {
                let inside = Queue::new().unwrap();
                inside.push(handles).unwrap();
                drop(send(inside.pop().unwrap()));
            }
        }
        assert_eq!(receiver.recv().unwrap().unwrap(), 7);
        // The sender has gone with the handles, and no dry run has kept one.
        assert!(receiver.recv().unwrap().is_none());
        assert_eq!(queue.pop().unwrap(), 8);
    }
    let (handles, receiver) = make();
    let both = millpond::spawn(|_: Handles, _: Parcel| (), (handles, parcel(2)));
    check(&both.map(drop).unwrap_err(), 2);
    assert!(receiver.recv().unwrap().is_none());
}

/// An everyday attribute of serde.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u8>,
    b: u8,
    c: Vec<u8>,
}

#[test]
fn what_is_left_out_does_not_shift_the_rest() {
    let _watchdog = Watchdog::start();
    let sent = Sparse { a: None, b: 1, c: vec![7, 1, 9] };
    let same = |value: Sparse| value;
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.spawn(same, sent.clone()).join().unwrap(), sent);
    assert_eq!(pool.map(same, vec![sent.clone(); 2]).unwrap(), vec![sent.clone(); 2]);
    assert_eq!(millpond::spawn(same, sent.clone()).unwrap().join().unwrap(), sent);
    let queue = Queue::new().unwrap();
    queue.push(sent.clone()).unwrap();
    assert_eq!(queue.pop().unwrap(), sent);
    let (sender, receiver) = millpond::channel().unwrap();
    sender.send(sent.clone()).unwrap();
    assert_eq!(receiver.recv().unwrap().unwrap(), sent);
}
