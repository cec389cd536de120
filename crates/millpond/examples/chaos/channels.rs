//! Queues, channels and pipes whose producers and consumers are killed.

use std::cell::RefCell;
use std::rc::Rc;

use millpond::{Bytes, Queue, Receiver, Sender};
use serde::{Deserialize, Serialize};

use crate::ledger::{Book, GETTING, Ledger, put_begins, put_returned};
use crate::runner::{Part, Scenario};
use crate::slot::Slot;

const PRODUCERS: usize = 2;
const CONSUMERS: usize = 2;
const CAPACITY: usize = 10;
const BATCH: u64 = 8;
const SIZES: [usize; 10] = [0, 0, 1, 10, 100, 100, 1_000, 10_000, 100_000, 1_000_000];

/// Producer, number, and content that shows damage; `None` ends a consumer.
pub(crate) type Item = Option<(u64, u64, Bytes)>;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum ChannelPart {
    Put(Queue<Item>),
    Get(Queue<Item>, String),
    PutMany(Queue<Item>),
    GetMany(Queue<Item>, String),
    Send(Sender<Item>),
    Receive(Receiver<Item>, String),
}

fn item(slot: &Slot, number: u64) -> Item {
    item_of(slot.number as u64, number)
}

pub(crate) fn item_of(producer: u64, number: u64) -> Item {
    Some((producer, number, content(producer, number)))
}

fn content(producer: u64, number: u64) -> Bytes {
    let size = SIZES[((number * 7919 + producer) % SIZES.len() as u64) as usize];
    Bytes::from(vec![(number % 251) as u8; size])
}

pub(crate) fn check(item: Item) -> Option<(u64, u64)> {
    let (producer, number, bytes) = item?;
    assert!(bytes == content(producer, number), "item {number} of {producer} is damaged");
    Some((producer, number))
}

impl ChannelPart {
    pub(crate) fn run(self, slot: &Slot) {
        match self {
            Self::Put(queue) => produce(slot, |item| queue.push(item).expect("memory")),
            Self::Send(sender) => produce(slot, |item| sender.send(item).expect("receivers")),
            Self::Get(queue, book) => consume(slot, &book, || queue.pop().expect("memory")),
            Self::Receive(receiver, book) => {
                consume(slot, &book, || receiver.recv().expect("memory").expect("senders"));
            }
            Self::PutMany(queue) => {
                while slot.phase() == 0 {
                    let count = 1 + slot.beats() % BATCH;
                    let first = put_begins(slot, count);
                    let items: Vec<_> =
                        (first..first + count).map(|number| item(slot, number)).collect();
                    queue.push_many(&items).expect("memory");
                    put_returned(slot);
                }
            }
            Self::GetMany(queue, book) => pop_many(slot, &queue, &book),
        }
    }
}

fn produce(slot: &Slot, put: impl Fn(Item)) {
    while slot.phase() == 0 {
        let number = put_begins(slot, 1);
        put(item(slot, number));
        put_returned(slot);
    }
}

fn consume(slot: &Slot, book: &str, get: impl Fn() -> Item) {
    let mut book = Book::open(book);
    loop {
        slot.set_state(GETTING);
        let Some(arrived) = check(get()) else { return };
        book.arrived(slot, &[arrived]);
    }
}

fn pop_many(slot: &Slot, queue: &Queue<Item>, book: &str) {
    let mut book = Book::open(book);
    loop {
        slot.set_state(GETTING);
        let got = queue.pop_many(BATCH as usize).expect("memory");
        let ends = got.iter().filter(|item| item.is_none()).count();
        let arrived: Vec<_> = got.into_iter().filter_map(check).collect();
        // The ends may come with each other and with items; each consumer needs one.
        let own = usize::from(arrived.is_empty());
        for _ in own..ends {
            queue.push(None).expect("memory");
        }
        if arrived.is_empty() {
            return;
        }
        book.arrived(slot, &arrived);
    }
}

/// The scenario's end: no more than `most` items may be missing for each consumer that was killed.
fn keep_account(scenario: &mut Scenario, ledger: Ledger, producers: Vec<Slot>, most: u64) {
    let ledger = Rc::new(RefCell::new(ledger));
    let audited = Rc::clone(&ledger);
    scenario.on_kill = Box::new(move |role| ledger.borrow_mut().killed(&role.slot, most));
    scenario.check = Box::new(move |_, _, outcome| outcome.add(audited.borrow().audit(&producers)));
}

fn queue_scenario(
    name: &'static str,
    most: u64,
    put: fn(Queue<Item>) -> ChannelPart,
    get: fn(Queue<Item>, String) -> ChannelPart,
) -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new(name)?;
    let queue = Queue::bounded(CAPACITY)?;
    let ledger = Ledger::new(name);
    let producers = (0..PRODUCERS)
        .map(|_| scenario.start_role("producer", Part::Channel(put(queue.clone())), 1))
        .collect();
    for _ in 0..CONSUMERS {
        scenario.start_role("consumer", Part::Channel(get(queue.clone(), ledger.path())), 2);
    }
    scenario.wake = Box::new(move |_| {
        (0..CONSUMERS).for_each(|_| queue.push(None).expect("memory"));
    });
    keep_account(&mut scenario, ledger, producers, most);
    Ok(scenario)
}

pub(crate) fn queue() -> millpond::Result<Scenario> {
    queue_scenario("queue", 1, ChannelPart::Put, ChannelPart::Get)
}

pub(crate) fn queue_in_batches() -> millpond::Result<Scenario> {
    queue_scenario("queue-in-batches", BATCH, ChannelPart::PutMany, ChannelPart::GetMany)
}

/// The director keeps ends of its own, so that no role is told that the others are gone.
pub(crate) fn channel() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("channel")?;
    let (sender, receiver) = millpond::bounded_channel(CAPACITY)?;
    let ledger = Ledger::new("channel");
    let producers = (0..PRODUCERS)
        .map(|_| scenario.start_role("sender", Part::Channel(ChannelPart::Send(sender.clone())), 1))
        .collect();
    for _ in 0..CONSUMERS {
        let part = ChannelPart::Receive(receiver.clone(), ledger.path());
        scenario.start_role("receiver", Part::Channel(part), 2);
    }
    scenario.wake = Box::new(move |_| {
        (0..CONSUMERS).for_each(|_| sender.send(None).expect("receivers"));
    });
    keep_account(&mut scenario, ledger, producers, 1);
    Ok(scenario)
}

/// One sender and one receiver at each end; all ends stay open.
pub(crate) fn pipe() -> millpond::Result<Scenario> {
    let mut scenario = Scenario::new("pipe")?;
    let (one, other) = millpond::pipe()?;
    let (one, other) = (one.split(), other.split());
    let mut directions = Vec::new();
    for (number, sender, receiver) in [(0, &one.0, &other.1), (1, &other.0, &one.1)] {
        let ledger = Ledger::new(&format!("pipe-{number}"));
        let part = ChannelPart::Send(sender.clone());
        let producer = scenario.start_role("sender", Part::Channel(part), 1);
        let part = ChannelPart::Receive(receiver.clone(), ledger.path());
        scenario.start_role("receiver", Part::Channel(part), 2);
        directions.push((ledger, producer));
    }
    scenario.wake = Box::new(move |_| {
        one.0.send(None).expect("receivers");
        other.0.send(None).expect("receivers");
    });
    let directions = Rc::new(RefCell::new(directions));
    let audited = Rc::clone(&directions);
    // Slots come in pairs, one pair for each direction.
    scenario.on_kill = Box::new(move |role| {
        directions.borrow_mut()[role.slot.number / 2].0.killed(&role.slot, 1);
    });
    scenario.check = Box::new(move |_, _, outcome| {
        for (ledger, producer) in audited.borrow().iter() {
            outcome.add(ledger.audit(std::slice::from_ref(producer)));
        }
    });
    Ok(scenario)
}
