//! The one thread that lives as long as the process.
//!
//! It starts the daemons, because the kernel ends a daemon with the *thread* that started it; and
//! it reaps children whose handle was dropped while they ran; and it wakes async tasks that wait for
//! a child. It does not exist before one of these is wanted.

use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::{io, thread};

use millpond_core::os::eventfd::EventFd;
use millpond_core::os::exec::Started;
use millpond_core::os::signals;
use rustix::event::{PollFd, PollFlags};

use super::child::Child;
use super::launch::Launch;

/// What the thread can be asked for.
#[derive(Debug)]
enum Order {
    Start(Launch, Sender<(Launch, io::Result<Started>)>),
    Reap(Child),
    Wake(Child, WakerSlot),
}

/// Who is to be woken when a child has ended, as its handle was polled last.
pub(super) type WakerSlot = Arc<Mutex<Option<Waker>>>;

/// How to reach the thread. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Reaper {
    orders: Sender<Order>,
    wake_up: Arc<EventFd>,
}

impl Reaper {
    pub(super) fn start() -> io::Result<Self> {
        let wake_up = Arc::new(EventFd::new()?);
        let (orders, received) = mpsc::channel();
        let for_thread = Arc::clone(&wake_up);
        thread::Builder::new().name("millpond-reaper".into()).spawn(move || {
            // Signals are for the program's own threads.
            let _ = signals::block_all();
            keep(&received, &for_thread);
        })?;
        Ok(Self { orders, wake_up })
    }

    /// Starts a daemon, which will end when this process does.
    pub(super) fn launch(&self, launch: Launch) -> io::Result<(Launch, Started)> {
        let gone = |_| io::Error::other("the thread that starts daemons has ended");
        let (sender, answer) = mpsc::channel();
        self.orders.send(Order::Start(launch, sender)).map_err(|_| gone(mpsc::RecvError))?;
        self.wake_up.signal();
        let (launch, started) = answer.recv().map_err(gone)?;
        Ok((launch, started?))
    }

    /// Reaps a child when it ends.
    pub(super) fn reap(&self, child: Child) {
        if self.orders.send(Order::Reap(child)).is_ok() {
            self.wake_up.signal();
        }
    }
}

impl Reaper {
    /// Wakes whoever stands in the slot when a child has ended.
    pub(super) fn wake(&self, child: Child, slot: WakerSlot) {
        if self.orders.send(Order::Wake(child, slot)).is_ok() {
            self.wake_up.signal();
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // The thread notices it when it looks for orders.
        (self.orders, _) = mpsc::channel();
        self.wake_up.signal();
    }
}

fn keep(orders: &Receiver<Order>, wake_up: &EventFd) {
    let mut children: Vec<(Child, Option<WakerSlot>)> = Vec::new();
    loop {
        wake_up.clear();
        loop {
            match orders.try_recv() {
                Ok(Order::Start(launch, answer)) => {
                    let started = launch.start();
                    // The thread that sent the order waits for the answer.
                    let _ = answer.send((launch, started));
                }
                Ok(Order::Reap(child)) => children.push((child, None)),
                Ok(Order::Wake(child, slot)) => children.push((child, Some(slot))),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        children.retain(|(child, slot)| {
            let is_alive = child.is_alive();
            if !is_alive && let Some(slot) = slot {
                let waker = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                waker.into_iter().for_each(Waker::wake);
            }
            is_alive
        });
        let mut watched: Vec<PollFd<'_>> = [wake_up.as_fd()]
            .into_iter()
            .chain(children.iter().map(|(child, _)| child.as_fd()))
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        // Interrupted or not, all are looked at anew.
        let _ = rustix::event::poll(&mut watched, None);
    }
}
