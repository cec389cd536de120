//! What becomes of handles in messages that nobody reads.

#[path = "support/memories.rs"]
mod memories;
#[path = "support/stubborn.rs"]
mod stubborn;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use memories::{large, memories};
use millpond::sync::SharedSlice;
use millpond::{ErrorKind, JoinHandle, Receiver, Sender, channel};
use serde::{Deserialize, Serialize, Serializer};
use stubborn::Stubborn;
use watchdog::Watchdog;

millpond::init_before_main!();

/// Cannot be encoded without a panic.
#[derive(Deserialize)]
struct Panics;

impl Serialize for Panics {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("as it should")
    }
}

/// A message with the way to answer it.
#[derive(Serialize, Deserialize)]
struct Question {
    numbers: SharedSlice<u64>,
    answer: Sender<u64>,
}

/// A message that may hold an end of the channel that it goes through.
#[derive(Serialize, Deserialize)]
enum Letter {
    Numbers(SharedSlice<u64>),
    Sender(Sender<Letter>),
    Receiver(Receiver<Letter>),
}

/// Waits until there are `expected` memories. Making a large one frees those that have arrived, and
/// dropping a sender looks for channels that have lost their receivers.
fn until_memories_are(expected: usize) {
    loop {
        drop(large());
        drop(channel::<()>().unwrap());
        if memories() == expected {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A child that has the receiver, and never reads.
fn idle<T: millpond::Message>(receiver: Receiver<T>) -> JoinHandle<()> {
    let (ready, is_ready) = channel::<()>().unwrap();
    let sleep = |_receiver: Receiver<T>, ready: Sender<()>| {
        ready.send(()).unwrap();
        thread::sleep(Duration::from_secs(3600));
    };
    let child = millpond::spawn(sleep, (receiver, ready)).unwrap();
    is_ready.recv().unwrap().unwrap();
    child
}

fn end(child: JoinHandle<()>) {
    child.kill().unwrap();
    child.join().unwrap_err();
}

// The only test of this program: it counts what is open.
#[test]
fn nothing_is_kept_for_who_never_reads() {
    let _watchdog = Watchdog::start();
    let before = memories();
    let question = || {
        let (answer, answers) = channel().unwrap();
        (Question { numbers: large(), answer }, answers)
    };
    let disconnected = |answers: &Receiver<u64>| {
        assert!(answers.recv().unwrap().is_none());
    };

    // The receiver reads one message, and is dropped with others in the channel.
    let (sender, receiver) = channel().unwrap();
    let all: Vec<_> = (0..3).map(|_| question()).collect();
    let (questions, answers): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    sender.send_many(&questions).unwrap();
    drop(questions);
    let (last, last_answers) = question();
    sender.send(last).unwrap();
    let read = receiver.recv().unwrap().unwrap();
    read.answer.send(read.numbers.load(99_999)).unwrap();
    drop((read, receiver));
    assert_eq!(answers[0].recv().unwrap().unwrap(), 0);
    answers.iter().for_each(disconnected);
    disconnected(&last_answers);

    // A message that comes too late comes back.
    let (late, late_answers) = question();
    let error = sender.send(late).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    drop(error);
    disconnected(&late_answers);
    drop((sender, answers, last_answers, late_answers));
    until_memories_are(before);

    // The receiver is killed, and the sender waits for an answer.
    let (sender, receiver) = channel().unwrap();
    let child = idle(receiver);
    let (asked, answers) = question();
    sender.send(asked).unwrap();
    end(child);
    disconnected(&answers);
    drop((sender, answers));
    until_memories_are(before);

    // The same when the sender has dropped its end.
    let (sender, receiver) = channel().unwrap();
    let child = idle(receiver);
    let (asked, answers) = question();
    sender.send(asked).unwrap();
    drop(sender);
    end(child);
    disconnected(&answers);
    drop(answers);
    until_memories_are(before);

    // A channel with its own sender in it, and one inside of another.
    let (sender, receiver) = channel().unwrap();
    let (inner_sender, inner_receiver) = channel().unwrap();
    inner_sender.send(Letter::Numbers(large())).unwrap();
    sender.send(Letter::Sender(sender.clone())).unwrap();
    sender.send(Letter::Receiver(inner_receiver)).unwrap();
    sender.send(Letter::Sender(inner_sender)).unwrap();
    drop(receiver);
    drop(sender);
    until_memories_are(before);

    // An inner receiver that comes back from a child which never read it.
    let (sender, receiver) = channel().unwrap();
    let (inner_sender, inner_receiver) = channel().unwrap();
    let child = idle(receiver);
    sender.send(Letter::Receiver(inner_receiver)).unwrap();
    inner_sender.send(Letter::Numbers(large())).unwrap();
    end(child);
    drop(sender);
    let error = inner_sender.send(Letter::Numbers(large())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    drop((error, inner_sender));
    until_memories_are(before);

    // What does not encode takes the handles before it along.
    let (sender, receiver) = channel().unwrap();
    sender.send((large(), Stubborn)).unwrap_err();
    sender.send_many(&[(large(), Stubborn)]).unwrap_err();
    drop((sender, receiver));
    until_memories_are(before);
    let (sender, receiver) = channel().unwrap();
    let send = || sender.send((large(), Panics));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(send)).unwrap_err();
    until_memories_are(before + 1);
    drop((sender, receiver));
    until_memories_are(before);
}
