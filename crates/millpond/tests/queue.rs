//! Queues between processes.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use millpond::{Bytes, ErrorKind, Pool, Queue};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    number: u64,
    text: String,
    data: Bytes,
}

#[test]
fn values_of_all_sorts_cross_and_keep_their_order() {
    fn echo(from: Queue<Order>, to: Queue<Order>) {
        for _ in 0..100 {
            to.push(from.pop().unwrap()).unwrap();
        }
    }

    let _watchdog = Watchdog::start();
    let (there, back) = (Queue::new().unwrap(), Queue::new().unwrap());
    let child = millpond::spawn(echo, (there.clone(), back.clone())).unwrap();
    let order = |number: u64| Order {
        number,
        text: format!("order {number}"),
        data: vec![number as u8; if number.is_multiple_of(10) { 200_000 } else { 10 }].into(),
    };
    (0..100).for_each(|number| there.push(order(number)).unwrap());
    (0..100).for_each(|number| assert_eq!(back.pop().unwrap(), order(number)));
    child.join().unwrap();
    assert!(there.is_empty() && back.is_empty());
}

#[test]
fn bytes_are_their_own_encoding() {
    let _watchdog = Watchdog::start();
    for size in [0, 1, 1000, 40_000, 5 << 20] {
        let queue = Queue::new().unwrap();
        let bytes: Vec<u8> = (0..size).map(|at: u32| at as u8).collect();
        queue.push_ref(&bytes).unwrap();
        queue.push_many(&[bytes.clone(), bytes.clone()]).unwrap();
        assert!(queue.pop().unwrap() == bytes);
        let mut got = queue.pop_many(2).unwrap();
        while got.len() < 2 {
            got.extend(queue.pop_many(1).unwrap());
        }
        assert!(got.iter().all(|got| *got == bytes));
    }
}

#[test]
fn a_bounded_queue_says_that_it_is_full_and_gives_the_value_back() {
    let _watchdog = Watchdog::start();
    let queue = Queue::bounded(2).unwrap();
    queue.push_many(&["a".to_owned(), "b".to_owned()]).unwrap();
    assert!(queue.is_full() && queue.capacity() == Some(2));
    let error = queue.try_push("c".to_owned()).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Full, "the queue is full"));
    let error = queue.push_timeout(error.into_value(), Duration::from_millis(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.into_value(), "c");
    assert_eq!(format!("{queue:?}"), "Queue { len: 2, capacity: Some(2) }");
    assert_eq!(queue.pop().unwrap(), "a");
    queue.try_push("c".to_owned()).unwrap();
    assert_eq!(queue.try_iter().map(Result::unwrap).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(Queue::<u8>::bounded(0).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_empty_queue_says_so() {
    let _watchdog = Watchdog::start();
    let queue = Queue::<u64>::new().unwrap();
    assert_eq!(queue.try_pop().unwrap(), None);
    let error = queue.pop_timeout(Duration::from_millis(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "nothing came in time");
}

#[test]
fn what_would_not_decode_is_refused_and_the_next_value_arrives() {
    #[derive(Debug, PartialEq, Serialize)]
    struct Even(u8);
    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            match u8::deserialize(from)? {
                even if even % 2 == 0 => Ok(Self(even)),
                _ => Err(serde::de::Error::custom("odd")),
            }
        }
    }

    let _watchdog = Watchdog::start();
    let queue = Queue::new().unwrap();
    queue.push(Even(2)).unwrap();
    let error = queue.push(Even(3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_string().contains("Even") && error.to_string().ends_with("odd"), "{error}");
    assert_eq!(error.into_value(), Even(3));
    queue.push(Even(4)).unwrap();
    assert_eq!(queue.pop().unwrap(), Even(2));
    assert_eq!(queue.pop().unwrap(), Even(4));
}

/// Decodes in the process that it was made in, and in no other.
#[derive(Debug, PartialEq, Serialize)]
struct Local(u32);

impl Local {
    fn new() -> Self {
        Self(std::process::id())
    }
}

impl<'de> Deserialize<'de> for Local {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            here if here == std::process::id() => Ok(Self(here)),
            _ => Err(serde::de::Error::custom("from elsewhere")),
        }
    }
}

#[test]
fn what_does_not_decode_is_an_error_and_the_next_value_arrives() {
    let _watchdog = Watchdog::start();
    let queue = Queue::new().unwrap();
    queue.push(Local::new()).unwrap();
    let put = |queue: Queue<Local>| queue.push(Local::new()).unwrap();
    millpond::spawn(put, queue.clone()).unwrap().join().unwrap();
    queue.push(Local::new()).unwrap();
    assert_eq!(queue.pop().unwrap(), Local::new());
    let error = queue.pop().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    let message = error.to_string();
    assert!(message.contains("could not decode") && message.contains("Local"), "{message}");
    assert!(message.ends_with("from elsewhere"), "{message}");
    assert_eq!(queue.pop().unwrap(), Local::new());
}

#[test]
fn queues_travel_inside_of_messages_and_to_pools() {
    fn work((number, results): (u64, Queue<u64>)) {
        results.push(number * 2).unwrap();
    }
    static RESULTS: OnceLock<Queue<u64>> = OnceLock::new();
    fn prepare(results: Queue<u64>) {
        RESULTS.set(results).unwrap();
    }
    fn put_double(number: u64) {
        RESULTS.get().unwrap().push(number * 2).unwrap();
    }
    fn answer(requests: Queue<(u64, Queue<u64>)>) {
        for _ in 0..10 {
            let (number, reply) = requests.pop().unwrap();
            reply.push(number + 1).unwrap();
        }
    }

    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let results = Queue::new().unwrap();
    pool.map(work, (0..50).map(|number| (number, results.clone()))).unwrap();
    let mut doubles = results.try_iter().collect::<Result<Vec<_>, _>>().unwrap();
    doubles.sort_unstable();
    assert!(doubles.into_iter().eq((0..50).map(|number| number * 2)));

    let pool = Pool::builder().workers(2).initializer_with(prepare, results.clone());
    let pool = pool.build().unwrap();
    pool.map(put_double, 0..50).unwrap();
    assert_eq!(results.pop_many(100).unwrap().into_iter().sum::<u64>(), 49 * 50);

    let requests = Queue::new().unwrap();
    let child = millpond::spawn(answer, requests.clone()).unwrap();
    for number in 0..10 {
        let reply = Queue::new().unwrap();
        requests.push((number, reply.clone())).unwrap();
        assert_eq!(reply.pop().unwrap(), number + 1);
    }
    child.join().unwrap();
}

#[test]
fn a_queue_whose_sender_is_gone_says_so() {
    fn send_and_end(carrier: Queue<Queue<u64>>) {
        let queue = Queue::new().unwrap();
        queue.push(1).unwrap();
        carrier.push(queue).unwrap();
    }

    let _watchdog = Watchdog::start();
    let carrier = Queue::new().unwrap();
    millpond::spawn(send_and_end, carrier.clone()).unwrap().join().unwrap();
    let error = carrier.pop().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_string().contains("which sent it, ended"), "{error}");
}

#[test]
fn many_producers_and_consumers_share_the_work() {
    fn produce(first: u64, numbers: Queue<u64>) {
        (first..first + 10_000).for_each(|number| numbers.push(number).unwrap());
    }
    fn consume(numbers: Queue<u64>) -> (u64, u64) {
        let ours = numbers.iter().map(Result::unwrap).take_while(|number| *number != u64::MAX);
        ours.fold((0, 0), |(count, sum), number| (count + 1, sum + number))
    }

    let _watchdog = Watchdog::start();
    let numbers = Queue::bounded(100).unwrap();
    let consumers: Vec<_> =
        (0..3).map(|_| millpond::spawn(consume, numbers.clone()).unwrap()).collect();
    let producers: Vec<_> =
        (0..3).map(|n| millpond::spawn(produce, (n * 10_000, numbers.clone())).unwrap()).collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    (0..3).for_each(|_| numbers.push(u64::MAX).unwrap());
    let (count, sum) = consumers.into_iter().fold((0, 0), |(count, sum), consumer| {
        let (n, s) = consumer.join().unwrap();
        (count + n, sum + s)
    });
    assert_eq!((count, sum), (30_000, 30_000 * 29_999 / 2));
}

#[test]
fn killed_producers_lose_nothing_that_was_put() {
    fn produce(who: u64, numbers: Queue<(u64, u64)>) {
        for number in 0.. {
            numbers.push((who, number)).unwrap();
        }
    }

    let _watchdog = Watchdog::start();
    let numbers = Queue::new().unwrap();
    for who in 0..10 {
        let child = millpond::spawn(produce, (who, numbers.clone())).unwrap();
        let mut next = 0;
        let mut check = |(from, number): (u64, u64)| {
            assert_eq!((from, number), (who, next));
            next += 1;
        };
        (0..200).for_each(|_| check(numbers.pop().unwrap()));
        child.kill().unwrap();
        assert_eq!(child.join().unwrap_err().signal_name(), Some("SIGKILL"));
        numbers.try_iter().for_each(|left| check(left.unwrap()));
    }
}

#[test]
fn threads_may_use_one_handle() {
    let _watchdog = Watchdog::start();
    let queue = Queue::bounded(3).unwrap();
    let sum: u64 = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..1000_u64).for_each(|number| queue.push(number).unwrap()));
        }
        (0..3000).map(|_| queue.pop().unwrap()).sum()
    });
    assert_eq!(sum, 3 * 999 * 500);
}
