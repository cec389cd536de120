//! A limit on the size of files bounds shared memory: by an error, never by the signal SIGXFSZ,
//! which ends programs that do not handle it.

#[path = "support/watchdog.rs"]
mod watchdog;

use millpond::{Bytes, ErrorKind, Pool, Queue};
use rustix::process::{Resource, Rlimit};
use watchdog::Watchdog;

millpond::init_before_main!();

const LIMIT: usize = 256 << 20;

fn length(bytes: Bytes) -> usize {
    bytes.len()
}

fn make(length: usize) -> Bytes {
    vec![1; length].into()
}

#[test]
fn what_is_too_large_is_an_error_and_all_else_works() {
    let _watchdog = Watchdog::start();
    let before = rustix::process::getrlimit(Resource::Fsize);
    let limited = Rlimit { current: Some(LIMIT as u64), ..before };
    rustix::process::setrlimit(Resource::Fsize, limited).unwrap();

    let queue = Queue::new().unwrap();
    for size in [10, 1 << 20] {
        queue.push(make(size)).unwrap();
        assert_eq!(queue.pop().unwrap().len(), size);
    }
    assert_eq!(queue.push(make(LIMIT)).unwrap_err().kind(), ErrorKind::Io);
    queue.push(make(10)).unwrap();
    assert_eq!(queue.pop().unwrap().len(), 10);

    let pool = Pool::builder().workers(1).build().unwrap();
    assert_eq!(pool.spawn(length, make(1 << 20)).join().unwrap(), 1 << 20);
    assert_eq!(pool.spawn(make, 1 << 20).join().unwrap().len(), 1 << 20);
    assert_eq!(pool.spawn(length, make(LIMIT)).join().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(pool.spawn(make, LIMIT).join().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(pool.spawn(make, 1 << 20).join().unwrap().len(), 1 << 20);
}
