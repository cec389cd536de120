//! Channels, whose ends know when the others are gone.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use millpond::{
    Connection, ErrorKind, Receiver, RecvError, Sender, TryRecvError, bounded_channel, channel,
    pipe,
};
use watchdog::Watchdog;

millpond::init_before_main!();

fn wait_for_the_end() {
    thread::sleep(Duration::from_secs(3600));
}

#[test]
fn a_receiver_gets_what_is_left_and_then_learns_that_the_senders_are_gone() {
    fn send(numbers: std::ops::Range<u64>, sender: Sender<u64>) {
        numbers.for_each(|number| sender.send(number).unwrap());
    }

    let _watchdog = Watchdog::start();
    let (sender, receiver) = channel().unwrap();
    let children: Vec<_> = (0..3)
        .map(|n| {
            let arguments = (n * 100..(n + 1) * 100, sender.clone());
            millpond::spawn(send, arguments).unwrap()
        })
        .collect();
    drop(sender);
    let mut all = receiver.iter().collect::<Result<Vec<_>, _>>().unwrap();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..300));
    assert_eq!(receiver.recv().unwrap(), None);
    assert_eq!(receiver.try_recv().unwrap(), None);
    assert_eq!(receiver.recv_timeout(Duration::MAX).unwrap(), None);
    assert!(receiver.recv_many(5).unwrap().is_empty());
    assert!(receiver.iter().next().is_none() && receiver.try_iter().next().is_none());
    children.into_iter().for_each(|child| child.join().unwrap());
}

#[test]
fn a_sender_gets_its_value_back_when_the_receivers_are_gone() {
    let _watchdog = Watchdog::start();
    let (sender, receiver) = channel().unwrap();
    sender.send_ref(&"one".to_owned()).unwrap();
    drop(receiver);
    let error = sender.send("two".to_owned()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert_eq!(error.into_value(), "two");
    let error = sender.send_many(&["three".to_owned()]).unwrap_err();
    assert_eq!((error.sent(), error.kind()), (0, ErrorKind::Disconnected));
}

#[test]
fn a_killed_sender_and_a_killed_receiver_are_noticed() {
    fn hold_sender(sender: Sender<u64>) {
        sender.send(1).unwrap();
        wait_for_the_end();
    }
    fn hold_receiver(receiver: Receiver<u64>) {
        receiver.recv().unwrap().unwrap();
        wait_for_the_end();
    }

    let _watchdog = Watchdog::start();
    let (sender, receiver) = channel().unwrap();
    let child = millpond::spawn(hold_sender, sender).unwrap();
    assert_eq!(receiver.recv().unwrap().unwrap(), 1);
    child.kill().unwrap();
    assert!(receiver.recv().unwrap().is_none());

    let (sender, receiver) = bounded_channel(1).unwrap();
    let child = millpond::spawn(hold_receiver, receiver).unwrap();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    child.kill().unwrap();
    let error = sender.send(3).unwrap_err();
    assert_eq!((error.kind(), error.into_value()), (ErrorKind::Disconnected, 3));

    // A sender that never waits notices, too.
    let (sender, receiver) = channel().unwrap();
    let child = millpond::spawn(hold_receiver, receiver).unwrap();
    sender.send(0).unwrap();
    while !sender.is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.join().unwrap_err();
    let error = (0..100_000).find_map(|number| sender.send(number).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

#[test]
fn ends_travel_inside_of_messages() {
    fn serve(requests: Receiver<(u64, Sender<u64>)>) {
        for request in requests {
            let (number, reply) = request.unwrap();
            reply.send(number * 3).unwrap();
        }
    }

    let _watchdog = Watchdog::start();
    let (requests, receiver) = channel().unwrap();
    let server = millpond::spawn(serve, receiver).unwrap();
    for number in 0..20 {
        let (reply, answer) = channel().unwrap();
        requests.send((number, reply)).unwrap();
        assert_eq!(answer.recv().unwrap().unwrap(), number * 3);
        // The server has dropped its end by itself.
        assert!(answer.recv().unwrap().is_none());
    }
    drop(requests);
    server.join().unwrap();
}

#[test]
fn what_was_in_a_message_that_was_not_sent_is_not_on_its_way() {
    let _watchdog = Watchdog::start();
    let (requests, receiver) = bounded_channel::<Sender<u64>>(1).unwrap();
    let (reply, answer) = channel().unwrap();
    requests.send(reply.clone()).unwrap();
    let soon = Duration::from_millis(5);
    let error = requests.send_timeout(reply.clone(), soon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(error);
    // The one that was sent arrives, and goes.
    receiver.recv().unwrap().unwrap();
    drop(receiver);
    let error = requests.send_many(&[reply.clone(), reply]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(answer.recv().unwrap().is_none());
}

#[test]
fn a_pipe_goes_both_ways() {
    fn count(words: Connection<usize, String>) {
        while let Some(text) = words.recv().unwrap() {
            words.send(text.split_whitespace().count()).unwrap();
        }
    }

    let _watchdog = Watchdog::start();
    let (ours, theirs) = pipe::<String, usize>().unwrap();
    let child = millpond::spawn(count, theirs).unwrap();
    for (text, words) in [("", 0), ("so many words", 3), ("one", 1)] {
        ours.send(text.to_owned()).unwrap();
        assert_eq!(ours.recv().unwrap().unwrap(), words);
    }
    assert!(matches!(ours.try_recv(), Err(TryRecvError::Empty)));
    let shown = format!("{ours:?}");
    assert!(shown.starts_with("Connection { sender: Sender { len: 0"), "{shown}");
    let (sender, receiver) = ours.split();
    drop(sender);
    assert!(receiver.recv().unwrap().is_none());
    child.join().unwrap();
}

/// Decodes in the process that made it, where its sender rehearses it, and nowhere else.
#[derive(Debug, serde::Serialize)]
struct Local(u32);

impl<'de> serde::Deserialize<'de> for Local {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let pid = u32::deserialize(from)?;
        let here = pid == std::process::id() || pid == 0;
        if here { Ok(Self(pid)) } else { Err(serde::de::Error::custom("not at home")) }
    }
}

#[test]
fn what_cannot_be_decoded_is_not_the_end() {
    let _watchdog = Watchdog::start();
    let (sender, receiver) = channel::<Local>().unwrap();
    let send = |sender: Sender<Local>| {
        for pid in [0, std::process::id(), 0] {
            sender.send(Local(pid)).unwrap();
        }
    };
    millpond::spawn(send, sender).unwrap().join().unwrap();
    assert!(receiver.recv().unwrap().is_some());
    let error = receiver.recv().unwrap_err();
    assert!(matches!(error, RecvError::Decode(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Codec);
    // Along its sources, the reason is told once.
    let first: &dyn std::error::Error = &error;
    let told = std::iter::successors(Some(first), |error| error.source())
        .filter(|error| error.to_string().contains("not at home"))
        .count();
    assert_eq!(told, 1, "{error}");
    assert!(receiver.recv().unwrap().is_some());
    assert!(receiver.recv().unwrap().is_none());
}

#[test]
fn timeouts_end_waits() {
    let _watchdog = Watchdog::start();
    let (sender, receiver) = bounded_channel(1).unwrap();
    let soon = Duration::from_millis(5);
    assert_eq!(receiver.recv_timeout(soon).unwrap_err().kind(), ErrorKind::TimedOut);
    sender.send(1_u8).unwrap();
    assert_eq!(sender.send_timeout(2, soon).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(sender.try_send(2).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!((sender.len(), receiver.len(), receiver.capacity()), (1, 1, Some(1)));
    assert_eq!(receiver.recv_many(5).unwrap(), [1]);
}
