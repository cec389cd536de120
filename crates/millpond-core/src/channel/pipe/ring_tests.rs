//! Pipes whose small messages go through rings, and ends that have none.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Instant;

use super::readiness::Readiness;
use super::{End, ReceiveError, Rings};
use crate::os::identity::ProcessId;
use crate::os::ready::{Polled, any_readable};
use crate::pool::payload::Parts;
use crate::sync::robust::RobustWord;
use crate::sync::testing::{Child, far, until};

/// Sends a number in as many bytes.
fn give(end: &End, number: u32, length: usize) {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(length.max(4), number as u8);
    let mut message = end.prepare(0, Parts(&[&bytes])).expect("memory");
    assert_eq!(end.send(&mut message, far()).expect("open"), Polled::Done(()));
}

fn try_give(end: &End, number: u32) -> bool {
    let bytes = number.to_le_bytes().to_vec();
    let mut message = end.prepare(0, Parts(&[&bytes])).expect("memory");
    end.try_send(&mut message).expect("open")
}

fn take(end: &End) -> Result<u32, ReceiveError> {
    let mut buffer = End::buffer();
    let Polled::Done(message) = end.receive(&mut buffer, far())? else { panic!("no message") };
    let payload = message.into_payload().expect("intact");
    let (number, rest) = payload.part(0).split_first_chunk().expect("a number");
    let number = u32::from_le_bytes(*number);
    assert!(rest.iter().all(|&byte| byte == number as u8), "torn");
    Ok(number)
}

/// Whether the kernel says that there is something to read.
fn is_readable(end: &End) -> bool {
    let ready = any_readable(&[end.as_fd().as_raw_fd()], Some(Instant::now()), false);
    matches!(ready, Ok(Polled::Done(_)))
}

/// An end of the same socket that has no rings.
fn bare(end: &End) -> End {
    End::from_fd(end.as_fd().try_clone_to_owned().expect("fd")).expect("an end")
}

/// Small, large, and a kind between them that fills the ring soon.
fn length(number: u32) -> usize {
    match number % 7 {
        0 => 100_000,
        3 | 4 => 20_000,
        _ => 8,
    }
}

#[test]
fn thousands_of_small_messages_fit_and_then_the_sender_waits() {
    let (left, right) = End::pair().expect("pair");
    let sent = (0..).find(|&number| !try_give(&left, number)).expect("an end");
    assert!(sent >= 3000, "{sent}");
    let waiting = std::thread::spawn(move || give(&left, sent, 8));
    for number in 0..=sent {
        assert_eq!(take(&right).expect("message"), number);
    }
    waiting.join().expect("sent");
    assert!(matches!(take(&right), Err(ReceiveError::Closed)));
}

#[test]
fn the_order_is_kept_whichever_way_a_message_goes() {
    let (left, right) = End::pair().expect("pair");
    let sender = std::thread::spawn(move || {
        (0..3000).for_each(|number| give(&left, number, length(number)));
    });
    for number in 0..3000 {
        assert_eq!(take(&right).expect("message"), number);
    }
    assert!(matches!(take(&right), Err(ReceiveError::Closed)));
    sender.join().expect("sent");
}

#[test]
fn many_senders_and_receivers_lose_nothing_and_get_nothing_twice() {
    let (left, right) = End::pair().expect("pair");
    let (left, right) = (&left, &right);
    let mut all: Vec<u32> = std::thread::scope(|scope| {
        for sender in 0..3 {
            scope.spawn(move || {
                (0..500).for_each(|number| give(left, sender * 1000 + number, length(number)));
            });
        }
        let receive = || (0..750).map(|_| take(right).expect("message")).collect::<Vec<u32>>();
        let receivers = [scope.spawn(receive), scope.spawn(receive)];
        receivers.into_iter().flat_map(|receiver| receiver.join().expect("received")).collect()
    });
    all.sort_unstable();
    let expected: Vec<u32> = (0..3).flat_map(|s| (0..500).map(move |n| s * 1000 + n)).collect();
    assert!(all == expected);
    assert!(!is_readable(right) && !right.is_readable());
}

#[test]
fn the_socket_is_readable_exactly_while_there_is_a_message() {
    let (left, right) = End::pair().expect("pair");
    for round in 0..50 {
        let numbers = 0..=round % 5;
        assert!(!is_readable(&right) && !right.is_readable());
        numbers.clone().for_each(|number| give(&left, number, length(round + number)));
        for number in numbers {
            assert!(is_readable(&right) && right.is_readable());
            assert_eq!(take(&right).expect("message"), number);
        }
    }
    assert!(!is_readable(&right) && !right.is_readable());
}

#[test]
fn a_process_that_waits_for_the_socket_is_told_while_others_just_receive() {
    let (left, right) = End::pair().expect("pair");
    let sender = std::thread::spawn(move || (0..20_000).for_each(|n| give(&left, n, 8)));
    for number in 0..20_000 {
        if number % 3 == 0 {
            let minute = Instant::now() + std::time::Duration::from_secs(60);
            let fds = [right.as_fd().as_raw_fd()];
            let ready = any_readable(&fds, Some(minute), number % 2 == 0).expect("poll");
            assert_eq!(ready, Polled::Done(vec![true]));
        }
        assert_eq!(take(&right).expect("message"), number);
    }
    sender.join().expect("sent");
}

#[test]
fn an_end_that_has_only_the_socket_receives_all_in_order() {
    let (left, right) = End::pair().expect("pair");
    let sender = std::thread::spawn(move || {
        (0..2000).for_each(|number| give(&left, number, length(number)));
    });
    let right = bare(&right);
    for number in 0..2000 {
        assert_eq!(take(&right).expect("message"), number);
    }
    sender.join().expect("sent");
}

#[test]
fn an_end_that_has_only_the_socket_sends_to_one_with_rings() {
    let (left, right) = End::pair().expect("pair");
    let left = bare(&left);
    for number in 0..20 {
        give(&left, number, length(number));
        assert!(is_readable(&right) && right.is_readable());
    }
    for number in 0..20 {
        assert_eq!(take(&right).expect("message"), number);
    }
    assert!(!is_readable(&right));
}

#[test]
fn an_end_that_finds_the_rings_leaves_the_notification_to_the_others() {
    let (left, right) = End::pair().expect("pair");
    (0..4).for_each(|number| give(&left, number, 8));
    for number in 0..3 {
        assert_eq!(take(&bare(&right)).expect("message"), number);
        assert!(is_readable(&right));
    }
    assert_eq!(take(&right).expect("message"), 3);
    assert!(!is_readable(&right) && !right.is_readable());
}

#[test]
fn an_end_that_finds_the_rings_by_a_small_packet_makes_room_in_them() {
    let (left, right) = End::pair().expect("pair");
    give(&left, 0, 100_000);
    give(&left, 1, 8);
    assert_eq!(take(&right).expect("message"), 0);
    let right = bare(&right);
    // More than the ring has room for.
    for number in 2..10_000 {
        give(&left, number, 8);
        assert_eq!(take(&right).expect("message"), number - 1);
    }
}

#[test]
fn a_notification_behind_a_packet_goes_with_it() {
    let (left, right) = End::pair().expect("pair");
    give(&bare(&left), 1, 8);
    give(&left, 0, 8);
    for number in 0..2 {
        assert_eq!(take(&right).expect("message"), number);
    }
    assert!(!is_readable(&right) && !right.is_readable());
}

#[test]
fn the_number_of_a_packet_that_is_being_sent_is_not_taken_for_lost() {
    let (readiness, senders, me) = (Readiness::default(), RobustWord::new(), ProcessId::current());
    assert!(senders.try_take(me));
    let number = readiness.number_packet().number;
    readiness.acknowledge_lost(&senders, me, || true);
    assert!(!readiness.is_acknowledged(number));
    senders.release(me);
    readiness.acknowledge_lost(&senders, me, || true);
    assert!(readiness.is_acknowledged(number));
}

#[test]
fn a_pipe_whose_other_end_is_closed_is_broken_at_once() {
    let (left, right) = End::pair().expect("pair");
    give(&left, 1, 8);
    drop(right);
    let mut message = left.prepare(0, Parts(&[&&b"x"[..]])).expect("memory");
    let error = left.try_send(&mut message).expect_err("closed");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn what_was_received_is_no_error_for_its_sender_although_the_end_was_closed_then() {
    for _ in 0..1000 {
        let (left, right) = End::pair().expect("pair");
        let receiver = std::thread::spawn(move || take(&right).expect("message"));
        give(&left, 1, 8);
        assert_eq!(receiver.join().expect("no panic"), 1);
    }
}

#[test]
fn one_that_waits_for_room_learns_that_the_other_end_is_closed() {
    let (left, right) = End::pair().expect("pair");
    while try_give(&left, 7) {}
    let waiter = std::thread::spawn(move || {
        let mut message = left.prepare(0, Parts(&[&&b"one more"[..]])).expect("memory");
        left.send(&mut message, far()).expect_err("closed").kind()
    });
    std::thread::sleep(std::time::Duration::from_millis(5));
    drop(right);
    until(|| waiter.is_finished());
    assert_eq!(waiter.join().expect("no panic"), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn forked_children_share_an_end() {
    let (left, right) = End::pair().expect("pair");
    let children: Vec<_> = (0..3)
        .map(|child| Child::run(|| (0..200).for_each(|n| give(&left, child * 1000 + n, length(n)))))
        .collect();
    let mut next = [0, 1000, 2000];
    for _ in 0..600 {
        let number = take(&right).expect("message");
        let expected = &mut next[number as usize / 1000];
        assert_eq!(number, *expected);
        *expected += 1;
    }
    children.into_iter().for_each(Child::join);
    assert!(!is_readable(&right));
}

#[test]
fn damaged_rings_are_an_error_and_never_a_panic() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 20
    };
    let mut buffer = End::buffer();
    for _ in 0..300 {
        let (left, right) = End::pair().expect("pair");
        let (rings, _) = left.rings().expect("rings");
        for _ in 0..30 {
            let _ = try_send_some(&left, next() as usize % 3000);
            // The heads of directions more often than what is in them.
            let place = if next() % 2 == 0 { next() % 1200 } else { next() % (1 << 18) };
            let value = if next() % 2 == 0 { next() % 200_000 } else { next() << 20 };
            rings.scribble(place as usize, value);
            rings.free_guards();
            let _ = right.try_receive(&mut buffer).map(drop);
            let _ = right.is_readable();
        }
    }
}

fn try_send_some(end: &End, length: usize) -> std::io::Result<bool> {
    let bytes = vec![1; length];
    end.try_send(&mut end.prepare(0, Parts(&[&bytes]))?)
}

#[test]
fn only_the_memory_of_a_pipe_is_taken_for_rings() {
    let (left, _right) = End::pair().expect("pair");
    let (rings, side) = left.rings().expect("rings");
    assert_eq!(side, 0);
    let again = rings.as_fd().try_clone_to_owned().expect("fd");
    Arc::new(Rings::from_fd(again).expect("rings"));
    let other = crate::os::memfd::create("other", 4096).expect("memory");
    assert!(Rings::from_fd(other).is_err());
    assert!(Rings::from_fd(std::fs::File::open("/dev/null").expect("file").into()).is_err());
}
