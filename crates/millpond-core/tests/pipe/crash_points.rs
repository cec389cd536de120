//! Every step of a pipe's protocol as the last thing that a sender or a receiver does.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use millpond_core::channel::pipe::{End, ReceiveError};
use millpond_core::os::ready::Waited;
use millpond_core::pool::payload::Parts;

const ROLE: &str = "MILLPOND_TEST_ROLE";

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

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("sender") => return sender(),
        Ok("receiver") => return receiver(),
        _ => {}
    }
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        eprintln!("a test of the crash points hangs");
        std::process::abort();
    });
    for (point, received) in SENDER {
        sender_dies(point, received);
        println!("test sender dies at \"{point}\" ... ok");
    }
    for (point, gone) in RECEIVER {
        receiver_dies_alone(point);
        receiver_dies_among_others(point, gone);
        println!("test receiver dies at \"{point}\" ... ok");
    }
    let passed = SENDER.len() + RECEIVER.len();
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

fn sender() {
    let end = inherited();
    (0..10).for_each(|n| give(&end, n).expect("open"));
}

fn receiver() {
    let end = inherited();
    while take(&end).is_ok() {}
}

fn inherited() -> End {
    let stdin = io::stdin().as_fd().try_clone_to_owned().expect("fd");
    End::from_fd(stdin).expect("an end")
}

/// Sends message `number`: small if it is the first, else large.
fn give(end: &End, number: usize) -> io::Result<()> {
    let length = if number == 0 { 10 } else { 1 << 20 };
    let bytes = vec![number as u8; length];
    let kind = number as u8;
    let mut message = end.prepare(kind, Parts(&[&bytes]))?;
    assert_eq!(end.send(&mut message, None)?, Waited::Done(()));
    Ok(())
}

fn take(end: &End) -> Result<usize, ReceiveError> {
    let mut buffer = End::buffer();
    let Waited::Done(message) = end.receive(&mut buffer, None)? else { panic!("no message") };
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
        let once = std::env::temp_dir().join(format!("millpond-pipe-{}", std::process::id()));
        std::fs::write(&once, b"").expect("a file");
        let fd: OwnedFd = end.into();
        let child = Command::new(std::env::current_exe().expect("this program"))
            .env(ROLE, role)
            .env("MILLPOND_CRASH_AT", point)
            .env("MILLPOND_CRASH_ONCE", &once)
            .stdin(Stdio::from(fd))
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
