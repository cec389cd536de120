//! Every step of a pipe's protocol as the last thing that a sender or a receiver does.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use millpond_core::channel::pipe::{End, ReceiveError, Rings};
use millpond_core::os::ready::{Polled, any_readable};
use millpond_core::pool::payload::Parts;

const ROLE: &str = "MILLPOND_TEST_ROLE";
const SIDE: &str = "MILLPOND_TEST_SIDE";

/// Where the sender dies, and how many of its messages are then received: the first is small, all
/// others are large.
const SENDER: [(&str, usize); 4] = [
    ("pipe: about to send", 0),
    ("pipe: sent", 1),
    ("pipe: block is taken", 1),
    ("pipe: block is filled", 1),
];
/// Where the receiver dies, and how many messages of those that it could take are gone with it:
/// the first one, or both.
const RECEIVER: [(&str, usize); 2] = [("pipe: received", 1), ("pipe: mapped", 2)];
/// The same for senders that have rings. A committed message is received, also without a
/// notification.
const SENDER_WITH_RINGS: [(&str, usize); 8] = [
    ("pipe: about to send", 0),
    ("pipe: sent", 1),
    ("pipe: about to notify", 1),
    ("pipe: notification has a number", 1),
    ("pipe: notified", 1),
    ("pipe: block is taken", 1),
    ("pipe: block is filled", 1),
    ("pipe: packet is sent", 2),
];
const RECEIVER_WITH_RINGS: [(&str, usize, Give); 7] = [
    ("pipe: frame is given back", 1, give),
    ("pipe: received", 1, give),
    ("pipe: packet is received", 2, give),
    ("pipe: mapped", 2, give),
    ("pipe: notification is acknowledged", 4, give_small),
    ("pipe: spinning", 4, give),
    ("pipe: left", 4, give_small),
];
type Give = fn(&End, usize) -> io::Result<()>;

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("sender") => return sends(&inherited()),
        Ok("receiver") => return receives(&inherited()),
        Ok("sender with rings") => return sends(&with_rings()),
        Ok("receiver with rings") => return receives(&with_rings()),
        _ => {}
    }
    let (passed_one, passed) = mpsc::channel();
    std::thread::spawn(move || {
        loop {
            match passed.recv_timeout(Duration::from_secs(60)) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!("a test of the crash points hangs");
                    std::process::abort();
                }
            }
        }
    });
    let say = |test: &str, point: &str| {
        println!("test {test} dies at \"{point}\" ... ok");
        passed_one.send(()).expect("the watchdog");
    };
    for (point, received) in SENDER {
        sender_dies(point, received);
        say("sender", point);
    }
    for (point, gone) in RECEIVER {
        receiver_dies_alone(point);
        receiver_dies_among_others(point, gone);
        say("receiver", point);
    }
    for (point, received) in SENDER_WITH_RINGS {
        sender_with_rings_dies(point, received);
        say("sender with rings", point);
    }
    for (point, gone, give) in RECEIVER_WITH_RINGS {
        receiver_with_rings_dies_alone(point, give);
        receiver_with_rings_dies_among_others(point, gone, give);
        say("receiver with rings", point);
    }
    let passed =
        SENDER.len() + RECEIVER.len() + SENDER_WITH_RINGS.len() + RECEIVER_WITH_RINGS.len();
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

/// What was sent is received whole, then the end; nothing of what was being sent is seen.
fn sender_dies(point: &str, received: usize) {
    let (mine, its) = End::pair().expect("pair");
    let child = Mortal::start("sender", point, its);
    for number in 0..received {
        assert_eq!(take(&mine).expect("committed"), number, "{point}");
    }
    assert!(matches!(take(&mine), Err(ReceiveError::Closed)), "{point}");
    child.has_died();
}

/// The sender learns of it, although it waits for room.
fn receiver_dies_alone(point: &str) {
    let (mine, its) = End::pair().expect("pair");
    let child = Mortal::start("receiver", point, its);
    let error = (0..10_000).find_map(|n| give(&mine, n).err()).expect("an error");
    assert!(
        matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
        "{point}: {error}"
    );
    child.has_died();
}

/// Another receiver of the same end gets the rest, and all that is sent later.
fn receiver_dies_among_others(point: &str, gone: usize) {
    let (mine, its) = End::pair().expect("pair");
    let other = End::from_fd(its.as_fd().try_clone_to_owned().expect("fd")).expect("an end");
    (0..4).for_each(|n| give(&mine, n).expect("room"));
    Mortal::start("receiver", point, its).has_died();
    for number in gone..4 {
        assert_eq!(take(&other).expect("message"), number, "{point}");
    }
    for number in 4..200 {
        give(&mine, number).expect("room");
        assert_eq!(take(&other).expect("message"), number, "{point}");
    }
}

/// What it had sent is received, then what another sends by the same end, of which the socket
/// tells; in the end the pipe is quiet.
fn sender_with_rings_dies(point: &str, received: usize) {
    let (mine, its) = End::pair().expect("pair");
    let other = twin(&its);
    Mortal::start_with_rings("sender with rings", point, its).has_died();
    for number in [100, 101, 102] {
        give_small(&other, number).expect("open");
    }
    assert!(is_readable(&mine), "{point}");
    for number in (0..received).chain([100, 101, 102]) {
        assert_eq!(take(&mine).expect("message"), number, "{point}");
    }
    assert!(!mine.is_readable() && !is_readable(&mine), "{point}");
    give_small(&other, 103).expect("open");
    assert!(is_readable(&mine), "{point}");
    drop(other);
    assert_eq!(take(&mine).expect("message"), 103, "{point}");
    assert!(matches!(take(&mine), Err(ReceiveError::Closed)), "{point}");
}

/// The sender learns of it, although it waits for room.
fn receiver_with_rings_dies_alone(point: &str, give: Give) {
    let (mine, its) = End::pair().expect("pair");
    (0..4).for_each(|n| give(&mine, n).expect("room"));
    Mortal::start_with_rings("receiver with rings", point, its).has_died();
    let error = (0..100_000).find_map(|_| give_small(&mine, 5).err()).expect("an error");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{point}: {error}");
}

/// Another receiver of the same end gets the rest, and all that is sent later, of which the socket
/// tells.
fn receiver_with_rings_dies_among_others(point: &str, gone: usize, give: Give) {
    let (mine, its) = End::pair().expect("pair");
    let other = twin(&its);
    (0..4).for_each(|n| give(&mine, n).expect("room"));
    Mortal::start_with_rings("receiver with rings", point, its).has_died();
    for number in gone..4 {
        assert_eq!(take(&other).expect("message"), number, "{point}");
    }
    assert!(!other.is_readable() && !is_readable(&other), "{point}");
    for number in 4..200 {
        let size = if number % 3 == 0 { 1 << 20 } else { 10 };
        give_bytes(&mine, number, size).expect("room");
        // For one message, claimed by a receiver that died spinning, the socket is not readable.
        assert!(is_readable(&other) || number == 4, "{point}");
        assert_eq!(take(&other).expect("message"), number, "{point}");
    }
    assert!(!other.is_readable() && !is_readable(&other), "{point}");
}

fn sends(end: &End) {
    (0..10).for_each(|n| give(end, n).expect("open"));
}

fn receives(end: &End) {
    while take(end).is_ok() {}
}

/// Whether the kernel says that there is something to read.
fn is_readable(end: &End) -> bool {
    let now = Some(std::time::Instant::now());
    let fds = [end.as_fd().as_raw_fd()];
    matches!(any_readable(&fds, now, false), Ok(Polled::Done(_)))
}

/// Another end that is the same.
fn twin(end: &End) -> End {
    let twin = End::from_fd(end.as_fd().try_clone_to_owned().expect("fd")).expect("an end");
    let (rings, side) = end.rings().expect("rings");
    twin.attach(rings, side);
    twin
}

/// The end at this process's input, and the rings at its output.
fn with_rings() -> End {
    let end = inherited();
    let rings = io::stdout().as_fd().try_clone_to_owned().expect("fd");
    let side = std::env::var(SIDE).expect("a side").parse().expect("a number");
    end.attach(Arc::new(Rings::from_fd(rings).expect("rings")), side);
    end
}

fn inherited() -> End {
    let stdin = io::stdin().as_fd().try_clone_to_owned().expect("fd");
    End::from_fd(stdin).expect("an end")
}

/// Sends message `number`: small if it is the first, else large.
fn give(end: &End, number: usize) -> io::Result<()> {
    give_bytes(end, number, if number == 0 { 10 } else { 1 << 20 })
}

fn give_small(end: &End, number: usize) -> io::Result<()> {
    give_bytes(end, number, 10)
}

fn give_bytes(end: &End, number: usize, length: usize) -> io::Result<()> {
    let bytes = vec![number as u8; length];
    let kind = number as u8;
    let mut message = end.prepare(kind, Parts(&[&bytes]))?;
    assert_eq!(end.send(&mut message, None)?, Polled::Done(()));
    Ok(())
}

fn take(end: &End) -> Result<usize, ReceiveError> {
    let mut buffer = End::buffer();
    let Polled::Done(message) = end.receive(&mut buffer, None)? else { panic!("no message") };
    let kind = message.kind();
    let payload = message.into_payload().expect("intact");
    assert!(payload.part(0).iter().all(|&b| b == kind), "torn");
    Ok(usize::from(kind))
}

/// A process that has this program's other role and dies at a crash point.
struct Mortal {
    child: Child,
    once: PathBuf,
}

impl Mortal {
    fn start(role: &str, point: &str, end: End) -> Self {
        Self::run(role, point, end, Stdio::inherit(), 0)
    }

    fn start_with_rings(role: &str, point: &str, end: End) -> Self {
        let (rings, side) = end.rings().expect("rings");
        let fd = rings.as_fd().try_clone_to_owned().expect("fd");
        Self::run(role, point, end, Stdio::from(fd), side)
    }

    fn run(role: &str, point: &str, end: End, output: Stdio, side: u8) -> Self {
        let once = std::env::temp_dir().join(format!("millpond-pipe-{}", std::process::id()));
        std::fs::write(&once, b"").expect("a file");
        let fd: OwnedFd = end.into();
        let child = Command::new(std::env::current_exe().expect("this program"))
            .env(ROLE, role)
            .env("MILLPOND_CRASH_AT", point)
            .env("MILLPOND_CRASH_ONCE", &once)
            .env(SIDE, side.to_string())
            .stdin(Stdio::from(fd))
            .stdout(output)
            .spawn()
            .expect("a process");
        Self { child, once }
    }

    fn has_died(mut self) {
        let status = self.child.wait().expect("status");
        assert!(!status.success(), "the crash point was not reached");
        assert!(!self.once.exists());
    }
}
