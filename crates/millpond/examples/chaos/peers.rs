//! Channels of which each end is in one process alone: the one that is left learns that the other
//! died.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use millpond::{ErrorKind, Receiver, Sender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::channels::{Item, check, item_of};
use crate::runner::{BOUND, Part, Scenario};
use crate::slot::Slot;

const HOSTS: usize = 3;
/// Before its peer is killed, a host moves up to so many items.
const MOST: u64 = 30;
/// What hosts send may fill so much, and no more, before it is taken.
const CAPACITY: usize = 10;
/// A host's note: its peer.
const PEER: usize = 0;

/// A role that talks over a channel of its own to a peer, which it kills, and is killed itself.
///
/// A host whose peer is dead must get all that had been sent, undamaged and in order, and then be
/// told that the senders are gone; or, when it sends, that the receivers are. A peer whose host is
/// dead must end by itself.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Host;

impl Host {
    pub(crate) fn run(self, slot: &Slot) {
        while slot.phase() == 0 {
            let until = (slot.beats() * 7 + slot.number as u64 * 11) % MOST;
            if (slot.beats() + slot.number as u64).is_multiple_of(2) {
                receive_from_one_that_is_killed(slot, until);
            } else {
                send_to_one_that_is_killed(slot, until);
            }
            slot.beat();
        }
    }
}

fn receive_from_one_that_is_killed(slot: &Slot, until: u64) {
    let (sender, receiver) = millpond::bounded_channel(CAPACITY).expect("memory");
    let peer = millpond::spawn(send, sender).expect("a process");
    slot.set_note(PEER, peer.pid().into());
    let mut number = 0;
    loop {
        if number == until {
            peer.kill().expect("it is ours");
        }
        let Some(item) = receiver.recv().expect("memory") else { break };
        assert_eq!(check(item), Some((0, number)));
        number += 1;
    }
    assert!(number >= until, "{number}");
    assert_eq!(peer.join().unwrap_err().signal_name(), Some("SIGKILL"));
    slot.set_note(PEER, 0);
}

fn send_to_one_that_is_killed(slot: &Slot, until: u64) {
    let (sender, receiver) = millpond::bounded_channel(CAPACITY).expect("memory");
    let peer = millpond::spawn(receive, receiver).expect("a process");
    slot.set_note(PEER, peer.pid().into());
    let mut number = 0;
    let error = loop {
        if number == until {
            peer.kill().expect("it is ours");
        }
        if let Err(error) = sender.send(item_of(0, number)) {
            break error;
        }
        number += 1;
    };
    assert!(error.kind() == ErrorKind::Disconnected && number >= until, "{number}: {error}");
    assert_eq!(peer.join().unwrap_err().signal_name(), Some("SIGKILL"));
    slot.set_note(PEER, 0);
}

/// A peer: sends until no receiver is left.
fn send(sender: Sender<Item>) {
    let mut number = 0;
    while sender.send(item_of(0, number)).is_ok() {
        number += 1;
    }
}

/// A peer: receives until no sender is left.
fn receive(receiver: Receiver<Item>) {
    for (item, number) in receiver.into_iter().zip(0..) {
        match item {
            Ok(item) => assert_eq!(check(item), Some((0, number))),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A process, if it is there.
fn watch(pid: u64) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Whether a process has ended, or does so before `timeout` is over.
fn has_ended(process: &OwnedFd, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).expect("it is short");
    let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout));
    ended.is_ok_and(|ended| ended > 0)
}

pub(crate) fn peers() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("channel-lone-ends")?;
    for _ in 0..HOSTS {
        scenario.start_role("host", Part::Host(Host), 1);
    }
    let orphans = Rc::new(RefCell::new(Vec::new()));
    let checked = Rc::clone(&orphans);
    scenario.on_kill = Box::new(move |role| {
        let mut orphans = orphans.borrow_mut();
        orphans.extend(watch(role.slot.note(PEER)));
        role.slot.set_note(PEER, 0);
        // So that a run of many kills does not gather descriptors.
        orphans.retain(|orphan| !has_ended(orphan, Duration::ZERO));
    });
    scenario.check = Box::new(move |_, _, outcome| {
        if !checked.borrow().iter().all(|orphan| has_ended(orphan, BOUND)) {
            outcome.hangs += 1;
            outcome.faults.push("a peer of a host that was killed did not notice".to_owned());
        }
    });
    Ok(scenario)
}
