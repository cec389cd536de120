//! A pipe whose messages are counted, and a socket that carries notifications.

use std::collections::VecDeque;

use loom::sync::{Condvar, Mutex};

use super::readiness::Readiness;
use crate::crash::crash_point;
use crate::os::identity::ProcessId;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::robust::{RobustWord, Taken};
use crate::sync::spin::Spin;

/// One direction of a pipe.
#[derive(Debug, Default)]
pub struct Messages {
    senders: RobustWord,
    receivers: RobustWord,
    tail: AtomicU32,
    head: AtomicU32,
    readiness: Readiness,
    socket: Mutex<VecDeque<u32>>,
    readable: Condvar,
}

fn enter(guard: &RobustWord) -> Taken {
    loop {
        match guard.take(ProcessId::current(), &mut Spin::default(), None) {
            Taken::TimedOut | Taken::Interrupted => {}
            taken => return taken,
        }
    }
}

fn leave(guard: &RobustWord) {
    guard.release(ProcessId::current());
}

impl Messages {
    fn socket<R>(&self, change: impl FnOnce(&mut VecDeque<u32>) -> R) -> R {
        change(&mut self.socket.lock().expect("no model panics here"))
    }

    fn is_empty(&self) -> bool {
        self.tail.load(Ordering::Acquire) == self.head.load(Ordering::Relaxed)
    }

    /// Sends a message.
    pub fn send(&self) {
        if let Taken::OwnerDied(_) = enter(&self.senders)
            && !self.is_empty()
            && let Some(number) = self.readiness.notify(self.tail.load(Ordering::Relaxed), true)
        {
            self.notify(number);
        }
        let tail = self.tail.load(Ordering::Relaxed);
        self.tail.store(tail + 1, Ordering::Release);
        crash_point!("pipe: sent");
        if let Some(number) = self.readiness.notify(tail + 1, false) {
            self.notify(number);
        }
        leave(&self.senders);
    }

    fn notify(&self, number: u32) {
        crash_point!("pipe: notification has a number");
        self.socket(|socket| socket.push_back(number));
        self.readable.notify_all();
    }

    /// Sleeps until the socket is readable.
    pub fn select(&self) {
        let mut socket = self.socket.lock().expect("no model panics here");
        while socket.is_empty() {
            socket = self.readable.wait(socket).expect("no model panics here");
        }
    }

    /// Whether the socket says that there is something.
    pub fn is_readable(&self) -> bool {
        self.socket(|socket| !socket.is_empty())
    }

    /// Receives a message, which it waits for.
    pub fn receive(&self) {
        let mut is_readable = false;
        loop {
            let _ = enter(&self.receivers);
            let mut received = self.take(false);
            if !received && is_readable {
                self.settle();
                received = self.take(false);
                if !received {
                    self.socket(|socket| {
                        let is_stale =
                            |notification: &u32| self.readiness.is_acknowledged(*notification);
                        if socket.front().is_some_and(is_stale) {
                            socket.pop_front();
                        }
                    });
                }
            } else if !received {
                received = self.begin_spinning();
            }
            leave(&self.receivers);
            if received {
                return;
            }
            self.select();
            is_readable = true;
        }
    }

    fn begin_spinning(&self) -> bool {
        self.readiness.begin_spinning();
        crash_point!("pipe: spinning");
        if self.is_empty() {
            Spin::default().until(|| self.readiness.is_claimed());
        }
        let is_claimed = self.readiness.leave();
        self.take(is_claimed)
    }

    fn take(&self, is_claimed: bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let head = self.head.load(Ordering::Relaxed);
        self.head.store(head + 1, Ordering::Release);
        if !is_claimed {
            self.settle();
        }
        true
    }

    fn settle(&self) {
        let is_empty = || self.is_empty();
        let wait = || self.readiness.settle(&self.senders, ProcessId::current(), is_empty);
        let mut is_settled = false;
        if !is_empty() {
            return;
        }
        if !self.readiness.is_notified(self.head.load(Ordering::Relaxed)) {
            is_settled = wait();
            if !is_settled {
                return;
            }
        }
        while self.readiness.is_outstanding() {
            match self.socket(|socket| socket.front().copied()) {
                Some(number) => {
                    if !self.readiness.is_acknowledged(number)
                        && !self.readiness.acknowledge_if_empty(number, is_empty)
                    {
                        return;
                    }
                    self.socket(VecDeque::pop_front);
                }
                None if !is_settled => {
                    is_settled = wait();
                    if !is_settled {
                        return;
                    }
                }
                None => {
                    let is_gone = || is_empty() && !self.is_readable();
                    self.readiness.acknowledge_lost(&self.senders, ProcessId::current(), is_gone);
                    return;
                }
            }
        }
    }

    /// How many messages are in the ring.
    pub fn length(&self) -> u32 {
        self.tail.load(Ordering::Acquire) - self.head.load(Ordering::Relaxed)
    }
}
