//! Measures channels, and those of ipc-channel, the peer, beside them. For `cargo xtask bench
//! primitives`.
//!
//! Prints a JSON object a line: workload, value, unit; a line for each round. Build it with
//! `--release`. `--quick` does a quarter of the work in two rounds.

use std::time::Instant;

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer};
use ipc_channel::ipc::{IpcReceiver, IpcSender};
use millpond::{Bytes, Connection};

const ROUNDS: usize = 5;
const ROUND_TRIPS: u64 = 4_000;
const LARGE: usize = 4_000_000;
const LARGE_MESSAGES: usize = 100;
/// Ends a phase of the conversation.
const STOP: u64 = u64::MAX;

/// One end of a conversation between two processes.
trait Link {
    fn send(&mut self, number: u64);
    fn receive(&mut self) -> u64;
    fn send_bytes(&mut self, bytes: &Bytes);
    fn receive_bytes(&mut self) -> Vec<u8>;
}

struct IpcChannel {
    sender: IpcSender<u64>,
    receiver: IpcReceiver<u64>,
    bytes_sender: IpcBytesSender,
    bytes_receiver: IpcBytesReceiver,
}

type Ends = (IpcSender<u64>, IpcReceiver<u64>, IpcBytesSender, IpcBytesReceiver);

impl From<Ends> for IpcChannel {
    fn from((sender, receiver, bytes_sender, bytes_receiver): Ends) -> Self {
        Self { sender, receiver, bytes_sender, bytes_receiver }
    }
}

impl Link for IpcChannel {
    fn send(&mut self, number: u64) {
        self.sender.send(number).expect("the peer lives");
    }

    fn receive(&mut self) -> u64 {
        self.receiver.recv().expect("the peer lives")
    }

    fn send_bytes(&mut self, bytes: &Bytes) {
        self.bytes_sender.send(bytes).expect("the peer lives");
    }

    fn receive_bytes(&mut self) -> Vec<u8> {
        self.bytes_receiver.recv().expect("the peer lives")
    }
}

/// Ours: one pipe for numbers, one for bytes.
struct Millpond {
    numbers: Connection<u64, u64>,
    bytes: Connection<Bytes, Bytes>,
}

impl Link for Millpond {
    fn send(&mut self, number: u64) {
        self.numbers.send(number).expect("the peer lives");
    }

    fn receive(&mut self) -> u64 {
        self.numbers.recv().expect("a number").expect("the peer lives")
    }

    fn send_bytes(&mut self, bytes: &Bytes) {
        // As the peer: what is sent stays the caller's.
        self.bytes.sender().send_ref(bytes).expect("the peer lives");
    }

    fn receive_bytes(&mut self) -> Vec<u8> {
        self.bytes.recv().expect("bytes").expect("the peer lives").into_vec()
    }
}

/// What the other process does: echoes, then sums up, then measures lengths.
fn answer(link: &mut impl Link) {
    loop {
        let number = link.receive();
        link.send(number);
        if number == STOP {
            break;
        }
    }
    let mut sum: u64 = 0;
    loop {
        match link.receive() {
            STOP => break,
            number => sum += number,
        }
    }
    link.send(sum);
    let mut length = 0;
    loop {
        match link.receive_bytes().len() {
            1 => break,
            more => length += more as u64,
        }
    }
    link.send(length);
}

/// Measures all workloads once and prints them under a library's name.
fn ask(library: &str, link: &mut impl Link, numbers: u64, share: u64) {
    let print = |workload: &str, value: f64, unit: &str| {
        println!(
            "{{\"workload\": \"{library} {workload}\", \"value\": {value:.4}, \"unit\": \"{unit}\"}}"
        );
    };
    let mut took: Vec<_> = (0..ROUND_TRIPS / share)
        .map(|number| {
            let start = Instant::now();
            link.send(number);
            assert_eq!(link.receive(), number);
            start.elapsed().as_secs_f64()
        })
        .collect();
    took.sort_by(f64::total_cmp);
    print("round trip p50", took[took.len() / 2] * 1e6, "µs");
    link.send(STOP);
    link.receive();

    let numbers = numbers / share;
    let start = Instant::now();
    (0..numbers).for_each(|number| link.send(number));
    link.send(STOP);
    assert_eq!(link.receive(), numbers * (numbers - 1) / 2);
    print("u64, one way", numbers as f64 / start.elapsed().as_secs_f64() / 1e3, "k/s");

    let bytes = Bytes::from(vec![7; LARGE]);
    let messages = LARGE_MESSAGES / share as usize;
    let start = Instant::now();
    (0..messages).for_each(|_| link.send_bytes(&bytes));
    link.send_bytes(&Bytes::from(vec![0]));
    assert_eq!(link.receive(), (messages * LARGE) as u64);
    let gigabytes = (messages * LARGE) as f64 / 1e9;
    print("4 MB of bytes", gigabytes / start.elapsed().as_secs_f64(), "GB/s");
}

fn answer_ipc_channel(server: String) {
    let server = IpcSender::connect(server).expect("the server's name");
    let (sender, their_receiver) = ipc::channel().expect("a channel");
    let (their_sender, receiver) = ipc::channel().expect("a channel");
    let (bytes_sender, their_bytes_receiver) = ipc::bytes_channel().expect("a channel");
    let (their_bytes_sender, bytes_receiver) = ipc::bytes_channel().expect("a channel");
    let theirs: Ends = (their_sender, their_receiver, their_bytes_sender, their_bytes_receiver);
    server.send(theirs).expect("the server lives");
    answer(&mut IpcChannel::from((sender, receiver, bytes_sender, bytes_receiver)));
}

fn ask_ipc_channel(share: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (server, name) = IpcOneShotServer::<Ends>::new()?;
    let other = millpond::spawn(answer_ipc_channel, name)?;
    let (_, ends) = server.accept()?;
    ask("ipc-channel", &mut IpcChannel::from(ends), 200_000, share);
    other.join()?;
    Ok(())
}

fn answer_millpond(numbers: Connection<u64, u64>, bytes: Connection<Bytes, Bytes>) {
    answer(&mut Millpond { numbers, bytes });
}

fn ask_millpond(share: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (numbers, their_numbers) = millpond::pipe()?;
    let (bytes, their_bytes) = millpond::pipe()?;
    let other = millpond::spawn(answer_millpond, (their_numbers, their_bytes))?;
    ask("rust", &mut Millpond { numbers, bytes }, 5_000_000, share);
    other.join()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    millpond::init();
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, share) = if quick { (2, 4) } else { (ROUNDS, 1) };
    for _ in 0..rounds {
        ask_ipc_channel(share)?;
        ask_millpond(share)?;
    }
    Ok(())
}
