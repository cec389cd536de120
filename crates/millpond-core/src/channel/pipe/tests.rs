//! Pipes between threads and forked processes.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::packet::{inline_header, reference};
use super::{End, Message, ReceiveError};
use crate::os::memfd;
use crate::os::ready::Polled;
use crate::pool::payload::{Part, Parts, Payload};
use crate::sync::testing::{Child, far, sleep_for_ever, until};

fn send(end: &End, kind: u8, parts: &[&[u8]]) {
    let parts: Vec<&dyn Part> = parts.iter().map(|part| part as &dyn Part).collect();
    let mut message = end.prepare(kind, Parts(&parts)).expect("memory");
    assert_eq!(end.send(&mut message, far()).expect("sent"), Polled::Done(()));
}

fn receive(end: &End) -> Result<(u8, Payload), ReceiveError> {
    let mut buffer = End::buffer();
    match end.receive(&mut buffer, far())? {
        Polled::Done(message) => Ok((message.kind(), message.into_payload().expect("intact"))),
        waited => panic!("{waited:?}"),
    }
}

/// A send of raw bytes and descriptors, as no end would send them.
fn inject(end: &End, bytes: &[u8], fds: &[&OwnedFd]) {
    let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    let socket = crate::os::socket::Socket::from(end.as_fd().try_clone_to_owned().expect("fd"));
    socket.send(bytes, &fds).expect("sent");
}

#[test]
fn messages_arrive_as_they_were_sent_whatever_their_size() {
    let (left, right) = End::pair().expect("pair");
    for length in [0, 1, 1000, 32 << 10, (32 << 10) + 1, 100_000, 5 << 20] {
        let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        send(&left, 9, &[&bytes]);
        send(&left, 8, &[b"first", &bytes]);
        let (kind, payload) = receive(&right).expect("message");
        assert_eq!((kind, payload.count()), (9, 1));
        assert!(payload.part(0) == bytes);
        let (kind, payload) = receive(&right).expect("message");
        assert_eq!((kind, payload.count()), (8, 2));
        assert!(payload.part(0) == b"first" && payload.part(1) == bytes);
    }
}

#[test]
fn a_block_is_used_again_once_its_message_is_dropped() {
    let (left, right) = End::pair().expect("pair");
    let mut addresses = Vec::new();
    for round in 0..4_u8 {
        send(&left, 0, &[&vec![round; 100_000]]);
        let (_, payload) = receive(&right).expect("message");
        assert_eq!(payload.part(0), vec![round; 100_000]);
        addresses.push(payload.lend(0).expect("lent"));
    }
    addresses.dedup();
    assert_eq!(addresses.len(), 1);
}

#[test]
fn messages_that_are_kept_stay_as_they_are_and_never_stop_the_sender() {
    let (left, right) = End::pair().expect("pair");
    let mut kept = Vec::new();
    for round in 0..100_u8 {
        send(&left, 0, &[&vec![round; 2 << 20]]);
        kept.push(receive(&right).expect("message").1);
    }
    for (round, payload) in (0..).zip(&kept) {
        assert!(payload.part(0).iter().all(|&b| b == round));
    }
}

#[test]
fn a_child_may_read_what_its_parent_has_dropped() {
    let (left, right) = End::pair().expect("pair");
    let (child_left, child_right) = End::pair().expect("pair");
    send(&left, 0, &[&[1; 100_000]]);
    let (_, payload) = receive(&right).expect("message");
    assert!(payload.lend(0).is_some());
    let child = Child::run(|| {
        let _ = receive(&child_right);
        assert!(payload.part(0) == [1; 100_000]);
        send(&child_right, 1, &[b"unchanged"]);
    });
    drop(payload);
    send(&left, 0, &[&[2; 100_000]]);
    assert!(receive(&right).expect("message").1.part(0) == [2; 100_000]);
    send(&child_left, 0, &[b"go"]);
    assert_eq!(receive(&child_left).expect("message").0, 1);
    child.join();
}

#[test]
fn forked_senders_do_not_share_blocks() {
    let (left, right) = End::pair().expect("pair");
    send(&left, 0, &[&[0; 100_000]]);
    drop(receive(&right));
    let children: Vec<_> = (1..4_u8)
        .map(|n| Child::run(|| (0..50).for_each(|_| send(&left, n, &[&vec![n; 100_000]]))))
        .collect();
    let mut received = 0;
    for _ in 0..50 {
        received += send_taking_others(&left, &right);
    }
    (received..200).for_each(|_| take_whole(&right));
    children.into_iter().for_each(Child::join);
}

/// Sends a message of kind 0; while there is no room, makes some. Returns how many it received:
/// nobody else receives, so a send that waited would wait for ever.
fn send_taking_others(left: &End, right: &End) -> usize {
    let part = vec![0; 100_000];
    let mut message = left.prepare(0, Parts(&[&part])).expect("memory");
    let mut received = 0;
    while !left.try_send(&mut message).expect("open") {
        take_whole(right);
        received += 1;
    }
    received
}

/// Receives a message whose bytes must all be its sender's.
fn take_whole(right: &End) {
    let (kind, payload) = receive(right).expect("message");
    assert!(payload.part(0).iter().all(|&b| b == kind));
}

#[test]
fn the_bytes_in_flight_are_bounded_and_one_message_always_passes() {
    let (left, right) = End::pair().expect("pair");
    let large = vec![0; 8 << 20];
    let mut sent = 0;
    loop {
        let mut message = left.prepare(0, Parts(&[&large])).expect("memory");
        if !left.try_send(&mut message).expect("open") {
            let soon = Some(Instant::now() + Duration::from_millis(5));
            assert_eq!(left.send(&mut message, soon).expect("open"), Polled::TimedOut);
            break;
        }
        sent += 1;
    }
    assert!((4..=16).contains(&sent), "{sent}");
    (0..sent).for_each(|_| drop(receive(&right)));
    send(&left, 0, &[&vec![0; 200 << 20]]);
    assert_eq!(receive(&right).expect("message").1.part(0).len(), 200 << 20);
}

#[test]
fn a_smaller_buffer_takes_less_padding() {
    let (left, right) = End::pair().expect("pair");
    rustix::net::sockopt::set_socket_send_buffer_size(left.as_fd(), 4096).expect("size");
    for _ in 0..3 {
        send(&left, 0, &[&vec![7; 5 << 20]]);
        assert_eq!(receive(&right).expect("message").1.part(0).len(), 5 << 20);
    }
}

#[test]
fn the_end_comes_after_everything_that_was_sent() {
    let (left, right) = End::pair().expect("pair");
    send(&right, 0, &[b"never read"]);
    send(&left, 1, &[b"small"]);
    send(&left, 2, &[&[0; 100_000]]);
    drop(left);
    assert_eq!(receive(&right).expect("message").0, 1);
    assert_eq!(receive(&right).expect("message").0, 2);
    assert!(matches!(receive(&right), Err(ReceiveError::Closed)));
    let mut message = right.prepare(0, Parts(&[&&b"x"[..]])).expect("memory");
    let error = right.try_send(&mut message).expect_err("closed");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_waiting_receiver_and_a_waiting_sender_see_the_other_die() {
    for sends in [false, true] {
        let (left, right) = End::pair().expect("pair");
        let child = Child::run(sleep_for_ever);
        drop(left);
        let waiter = std::thread::spawn(move || {
            if sends {
                while right
                    .send(&mut right.prepare(0, Parts(&[&vec![0; 9000]])).expect("m"), far())
                    .is_ok()
                {}
            } else {
                assert!(matches!(receive(&right), Err(ReceiveError::Closed)));
            }
        });
        std::thread::sleep(Duration::from_millis(5));
        child.kill();
        until(|| waiter.is_finished());
        waiter.join().expect("no panic");
    }
}

#[test]
fn a_wait_ends_at_its_deadline() {
    let (_left, right) = End::pair().expect("pair");
    let soon = Some(Instant::now() + Duration::from_millis(2));
    let mut buffer = End::buffer();
    assert!(matches!(right.receive(&mut buffer, soon), Ok(Polled::TimedOut)));
}

#[test]
fn what_no_end_sends_is_an_error_and_the_next_message_is_fine() {
    let (left, right) = End::pair().expect("pair");
    let tiny = memfd::create("tiny", 4096).expect("memfd");
    let unsealed = rustix::fs::memfd_create("loose", rustix::fs::MemfdFlags::CLOEXEC).expect("fd");
    rustix::fs::ftruncate(&unsealed, 1 << 20).expect("size");
    let damaged: &[(&[u8], &[&OwnedFd])] = &[
        (b"x", &[]),
        (b"neither a message nor a reference", &[]),
        (&reference(0, 1, 100_000), &[&tiny]),
        (&reference(0, 1, u64::MAX), &[&tiny]),
        (&reference(0, u32::MAX, 100), &[&tiny]),
        (&reference(0, 1, 100), &[&unsealed]),
        (b"descriptors that nobody asked for", &[&tiny, &tiny, &tiny]),
    ];
    let before = open_descriptors();
    for (bytes, fds) in damaged {
        inject(&left, bytes, fds);
        assert!(matches!(receive(&right), Err(ReceiveError::Damaged)), "{bytes:?}");
        send(&left, 5, &[b"fine"]);
        assert_eq!(receive(&right).expect("message").0, 5);
    }
    inject(&left, &reference(0, 1, 100), &[]);
    assert!(matches!(receive(&right), Err(ReceiveError::NoRoom(_))));
    inject(&left, &inline_header(0, 70), &[]);
    let mut buffer = End::buffer();
    let message = right.try_receive(&mut buffer).expect("packet").expect("one");
    assert!(matches!(message, Message::Inline { .. }) && message.into_payload().is_none());
    until(|| open_descriptors() <= before);
}

#[test]
fn random_packets_never_panic_and_leak_no_descriptor() {
    let (left, right) = End::pair().expect("pair");
    let block = memfd::create("block", 1 << 16).expect("memfd");
    let seeds = [reference(1, 2, 300).to_vec(), inline_header(3, 4).to_vec()];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut buffer = End::buffer();
    for round in 0..5000 {
        let mut packet = seeds[round % 2].clone();
        packet.resize(8 + round % 90, round as u8);
        for _ in 0..round % 5 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let place = (random >> 33) as usize % packet.len();
            packet[place] ^= (random >> 24) as u8;
        }
        let fds = [&block, &block];
        inject(&left, &packet, &fds[..round % 3]);
        if let Ok(Some(message)) = right.try_receive(&mut buffer) {
            let _ = message.into_payload().map(|p| (0..p.count()).map(|i| p.part(i).len()).max());
        }
    }
    send(&left, 5, &[b"fine"]);
    assert_eq!(receive(&right).expect("message").0, 5);
}

#[test]
fn only_sockets_of_pipes_are_taken_up() {
    let (left, _right) = End::pair().expect("pair");
    let again = End::from_fd(left.as_fd().try_clone_to_owned().expect("fd")).expect("an end");
    assert_ne!(again.as_fd().as_raw_fd(), left.as_fd().as_raw_fd());
    let other: OwnedFd = std::fs::File::open("/dev/null").expect("file").into();
    assert!(!End::is_one(other.as_raw_fd()));
    assert!(End::from_fd(other).is_err());
}

/// Descriptors of this test program, those of tests that run beside this one included.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
