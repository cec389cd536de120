//! What a queue does while no process dies.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::*;
use crate::channel::payload::INLINE_LIMIT;
use crate::channel::queue::OutgoingItems;
use crate::channel::queue::heap::WARM_BYTES;
use crate::shm::lease::Lease;
use crate::sync::testing::{Child, sleep_for_ever};

#[test]
fn items_of_all_sizes_arrive_in_order() {
    let queue = queue();
    let sizes = [
        0,
        1,
        7,
        8,
        9,
        1000,
        INLINE_LIMIT - 1,
        INLINE_LIMIT,
        INLINE_LIMIT + 1,
        65_536,
        100_000,
        5_000_000,
        70 << 20,
    ];
    for (index, size) in sizes.into_iter().enumerate() {
        put(&queue, index as u32, &pattern(size, index));
    }
    assert_eq!(queue.len(), sizes.len() as u64);
    for (index, size) in sizes.into_iter().enumerate() {
        let (tag, bytes) = get(&queue);
        assert_eq!(tag, index as u32);
        assert!(bytes == pattern(size, index), "{size} bytes");
    }
    assert!(matches!(try_get(&queue), Err(GetError::Empty)));
}

#[test]
fn a_backlog_grows_and_its_memory_comes_back() {
    let queue = queue();
    for round in 0..2 {
        for n in 0..40_000_usize {
            put(&queue, n as u32, &pattern(n % 5000, n));
        }
        let full = memory(&queue);
        assert!(full > 80 << 20, "{full}");
        for n in 0..40_000_usize {
            let (tag, bytes) = get(&queue);
            assert!(tag == n as u32 && bytes == pattern(n % 5000, n), "round {round}, {n}");
        }
        let empty = memory(&queue);
        assert!(empty < WARM_BYTES + (3 << 20), "{empty}");
    }
}

#[test]
fn large_blocks_come_back_and_beyond_a_limit_their_memory_goes() {
    let queue = queue();
    let bytes = pattern(4 << 20, 1);
    for _ in 0..3 {
        (0..20).for_each(|_| put(&queue, 0, &bytes));
        assert!(memory(&queue) >= 80 << 20);
        (0..20).for_each(|_| assert!(get(&queue).1 == bytes));
        assert!(memory(&queue) < WARM_BYTES + (3 << 20));
    }
    // Blocks that are held outlive the handle, and can be written.
    put(&queue, 0, &bytes);
    let mut received = queue.get(&mut Vec::new(), far()).expect("an item");
    let block = received.block.as_mut().expect("a block");
    drop(queue);
    block.bytes_mut()[5] = 9;
    assert_eq!(block.bytes()[5], 9);
}

#[test]
fn a_bounded_queue_is_full_at_its_capacity() {
    let queue = bounded(3);
    (0..3).for_each(|n| try_put(&queue, &[n]).expect("room"));
    assert!(queue.is_full());
    assert!(matches!(try_put(&queue, &[3]), Err(PutError::Full)));
    let soon = Some(Instant::now() + Duration::from_millis(5));
    assert!(matches!(queue.put(0, Parts(&[&&b"x"[..]]), soon), Err(PutError::Full)));
    let large = vec![0; 1 << 20];
    assert!(matches!(try_put(&queue, &large), Err(PutError::Full)));
    assert_eq!(get(&queue).1, [0]);
    try_put(&queue, &[3]).expect("room");
    (1..4).for_each(|n| assert_eq!(get(&queue).1, [n]));
    assert!(queue.is_empty());
}

/// Numbers, as items.
struct Numbers(std::ops::Range<u64>);

impl OutgoingItems for Numbers {
    fn count(&self) -> usize {
        (self.0.end - self.0.start) as usize
    }

    fn tag(&self, index: usize) -> u32 {
        index as u32
    }

    fn length(&self, index: usize) -> usize {
        if index % 1000 == 999 { 40_000 } else { 8 }
    }

    fn write(&self, index: usize, out: &mut [u8]) {
        out[..8].copy_from_slice(&(self.0.start + index as u64).to_le_bytes());
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

#[test]
fn many_items_go_in_and_out_at_once() {
    let queue = queue();
    queue.put_many(&Numbers(0..10_000), far()).expect("put");
    queue.put_many(&Numbers(0..0), far()).expect("nothing is put");
    assert_eq!(queue.len(), 10_000);
    let (mut buffer, mut items, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    while numbers.len() < 10_000 {
        let n = queue.get_many(777, &mut buffer, &mut items, far()).expect("items");
        assert!(n > 0 && n <= 777);
        numbers.extend(items.iter().map(|item| number(&content(&buffer, item))));
        items.clear();
        buffer.clear();
    }
    assert!(numbers.into_iter().eq(0..10_000));
}

#[test]
fn many_items_wait_for_room_and_say_how_many_got_in() {
    let queue = bounded(10);
    let soon = Some(Instant::now() + Duration::from_millis(5));
    let error = queue.put_many(&Numbers(0..25), soon).expect_err("no room");
    assert!(error.put == 10 && matches!(error.reason, PutError::Full), "{error}");
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| queue.put_many(&Numbers(10..2000), far()));
        (0..2000).for_each(|n| assert_eq!(number(&get(&queue).1), n));
        putting.join().expect("no panic").expect("room");
    });
}

/// `producers` and `consumers`, threads and processes, move `each` numbers a producer.
fn crowd(queue: &Queue, producers: u64, consumers: usize, each: u64) {
    let sums = super::queue();
    let consume = |queue: &Queue| {
        let (mut sum, mut count) = (0, 0);
        loop {
            match number(&get(queue).1) {
                u64::MAX => break,
                n => (sum, count) = (sum + n, count + 1),
            }
        }
        let report: Vec<u8> = [sum, count].into_iter().flat_map(u64::to_le_bytes).collect();
        put(&sums, 0, &report);
    };
    let produce = |first: u64| {
        for n in first * each..(first + 1) * each {
            put(queue, 0, &n.to_le_bytes());
        }
    };
    let children: Vec<_> = (0..producers)
        .map(|first| Child::run(|| produce(first)))
        .chain((1..consumers).map(|_| Child::run(|| consume(queue))))
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| consume(queue));
        let mut children = children.into_iter();
        (&mut children).take(producers as usize).for_each(Child::join);
        (0..consumers).for_each(|_| put(queue, 0, &u64::MAX.to_le_bytes()));
        children.for_each(Child::join);
    });
    let (mut sum, mut count) = (0, 0);
    for _ in 0..consumers {
        let (_, report) = get(&sums);
        (sum, count) = (sum + number(&report), count + number(&report[8..]));
    }
    let all = producers * each;
    assert_eq!((count, sum), (all, all * (all - 1) / 2));
}

#[test]
fn every_item_reaches_one_of_many_consumers() {
    crowd(&queue(), 3, 3, 20_000);
}

#[test]
fn every_item_gets_through_a_narrow_queue() {
    crowd(&bounded(2), 3, 3, 2000);
}

#[test]
fn a_wire_handle_leads_to_the_queue() {
    let queue =
        Queue::create(Options { readiness_fd: true, ..Options::default() }).expect("a queue");
    put(&queue, 1, b"one");
    let other = Queue::open(&queue.send()).expect("the queue");
    assert_eq!(get(&other), (1, b"one".to_vec()));
    assert_eq!(other.identity(), queue.identity());
    let memory = rustix::io::fcntl_dupfd_cloexec(&queue, 0).expect("a descriptor");
    let readiness_fd =
        queue.readiness_fd().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 0).expect("another"));
    let third = Queue::open_with(&queue.wire_handle(), memory, readiness_fd).expect("the queue");
    put(&third, 2, &pattern(100_000, 2));
    assert_eq!(get(&queue), (2, pattern(100_000, 2)));
    assert!(Queue::open(&[0; 3]).is_err());
}

#[test]
fn a_descriptor_that_is_something_else_by_now_is_not_taken_for_the_readiness_fd() {
    let queue =
        Queue::create(Options { readiness_fd: true, ..Options::default() }).expect("a queue");
    let directory = std::fs::File::open("/").expect("a directory");
    let (other, _writer) = rustix::pipe::pipe().expect("a pipe");
    for fd in [directory.as_fd(), other.as_fd(), queue.as_fd()] {
        let file = rustix::fs::fstat(fd).expect("an open descriptor");
        assert!(!queue.memory.region().is_companion(&file), "{file:?}");
        let memory = rustix::io::fcntl_dupfd_cloexec(&queue, 0).expect("a descriptor");
        let readiness_fd = rustix::io::fcntl_dupfd_cloexec(fd, 0).expect("another");
        assert!(Queue::open_with(&queue.wire_handle(), memory, Some(readiness_fd)).is_err());
    }
    let readiness_fd = queue.readiness_fd().expect("a readiness descriptor");
    assert!(
        queue.memory.region().is_companion(&rustix::fs::fstat(readiness_fd).expect("it is open"))
    );
}

#[test]
fn a_queue_is_kept_with_its_readiness_fd_until_its_wire_handle_arrives() {
    let (wire_handles, ready) = (queue(), queue());
    let sender = Child::run(|| {
        let queue =
            Queue::create(Options { readiness_fd: true, ..Options::default() }).expect("a queue");
        put(&queue, 7, b"kept");
        put(&wire_handles, 0, &queue.send());
        drop(queue);
        put(&ready, 0, b"dropped");
        sleep_for_ever();
    });
    get(&ready);
    let opened = Queue::open(&get(&wire_handles).1).expect("the queue");
    assert!(is_readable(&opened));
    assert_eq!(get(&opened), (7, b"kept".to_vec()));
    assert!(!is_readable(&opened));
    drop(sender);
}

fn is_readable(queue: &Queue) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let fd = queue.watch().expect("a readiness descriptor");
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("poll") == 1
}

#[test]
fn the_readiness_fd_is_readable_while_there_are_items() {
    let queue =
        Queue::create(Options { readiness_fd: true, ..Options::default() }).expect("a queue");
    put(&queue, 0, b"before anybody watched");
    assert!(is_readable(&queue));
    put(&queue, 0, b"another");
    get(&queue);
    assert!(is_readable(&queue));
    get(&queue);
    assert!(!is_readable(&queue));
    let child = Child::run(|| put(&queue, 0, b"from a child"));
    child.join();
    assert!(is_readable(&queue));
    assert!(super::queue().watch().is_none());
}

#[test]
fn an_item_that_no_memory_holds_is_an_error() {
    struct Huge(usize);
    impl OutgoingItems for Huge {
        fn count(&self) -> usize {
            1
        }
        fn tag(&self, _: usize) -> u32 {
            0
        }
        fn length(&self, _: usize) -> usize {
            self.0
        }
        fn write(&self, _: usize, _: &mut [u8]) {
            panic!("there is no such memory");
        }
    }
    let queue = queue();
    let error = queue.put_many(&Huge(usize::MAX - 7), far()).expect_err("too large");
    assert!(matches!(error.reason, PutError::TooLarge), "{error}");
    assert!(try_put(&queue, b"still usable").is_ok());
}

#[test]
fn each_process_has_what_was_lent_before_a_fork_for_itself() {
    fn lent<'a>(block: &Lease) -> &'a mut [u8] {
        let start = block.lend().expect("lent");
        // SAFETY: the test has one reference at a time.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), block.length()) }
    }

    let queue = queue();
    let go = super::queue();
    put(&queue, 0, &[1; 100_000]);
    let mut first = Some(take(&queue));
    lent(first.as_ref().expect("kept"))[0] = 2;
    let child = Child::run(|| {
        let first = first.take().expect("inherited");
        lent(&first)[1] = 3;
        put(&go, 0, b"written");
        // What comes where the parent's was, and what comes where it is private in this process.
        let second = take(&queue);
        assert!(lent(&second).iter().all(|&b| b == 4));
        let seen = lent(&first);
        assert!(seen[..3] == [2, 3, 1] && seen[3..].iter().all(|&b| b == 1));
        drop((first, second));
        for n in 0..10 {
            put(&queue, 0, &[n; 100_000]);
            assert!(lent(&take(&queue)).iter().all(|&b| b == n));
        }
        put(&go, 0, b"seen");
    });
    let first = first.expect("kept");
    assert_eq!(get(&go).1, b"written");
    assert_eq!(lent(&first)[..3], [2, 1, 1]);
    lent(&first)[2] = 5;
    // Its block went back with the fork, so this lies there.
    put(&queue, 0, &[4; 100_000]);
    assert_eq!(get(&go).1, b"seen");
    assert_eq!(lent(&first)[..4], [2, 1, 5, 1]);
    for n in 6..16 {
        put(&queue, 0, &[n; 100_000]);
        let other = take(&queue);
        assert!(lent(&other).iter().all(|&b| b == n));
        assert_eq!(lent(&first)[..4], [2, 1, 5, 1]);
        drop(other);
    }
    drop(first);
    put(&queue, 0, &[16; 100_000]);
    assert_eq!(lent(&take(&queue)), [16; 100_000]);
    child.join();
}

fn take(queue: &Queue) -> Lease {
    let received = queue.get(&mut Vec::new(), far()).expect("an item");
    received.block.expect("a large item")
}
