//! Heads of frames, messages of zygotes, packets of pipes, payloads, wire handles, notes of
//! attachments.

use std::hint::black_box;

use millpond_core::channel::payload::{Parts, Payload};
use millpond_core::channel::pipe::packet::{self, Body, Packet};
use millpond_core::fuzzing;
use millpond_core::pool::wire::{Order, OrderHead, Placement, Report, ReportHead, frame_length};
use millpond_core::shm::slab::Slot;
use millpond_core::shm::wire_handle::WireHandle;

pub(super) fn wire(input: &[u8]) {
    black_box(OrderHead::read(input));
    black_box(ReportHead::read(input));
}

pub(super) fn wires() -> Vec<Vec<u8>> {
    let placement = Placement::Inline;
    let mut order = vec![0; frame_length(placement, 10)];
    let (task, function) = (7, 3);
    OrderHead {
        order: Order::Run,
        op: 1,
        parts: 2,
        task,
        function,
        items: 4,
        notify_all: true,
        placement,
    }
    .write(&mut order);
    let mut report = vec![0; frame_length(placement, 10)];
    let report_kind = Report::Finished;
    ReportHead { report: report_kind, status: 0, parts: 1, task, began: 5, ended: 6, placement }
        .write(&mut report);
    vec![order, report]
}

pub(super) fn zygote(input: &[u8]) {
    black_box(fuzzing::zygote_messages(input));
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    (1_u8..=3).map(|kind| [&[kind, 0, 0, 0, 9, 0, 0, 0][..], &[1; 16]].concat()).collect()
}

pub(super) fn packet(input: &[u8]) {
    black_box(packet::Prefix::read(input));
    match packet::parse(input) {
        Ok(Packet { parts, body: Body::Inline(bytes), .. }) => use_payload(bytes, parts),
        other => drop(black_box(other)),
    }
}

pub(super) fn packets() -> Vec<Vec<u8>> {
    let inline = [&packet::inline_header(7, 1)[..], b"hello"].concat();
    let several = [&packet::inline_header(7, 2)[..], &two_parts()].concat();
    vec![inline, several, packet::reference(1, 3, 100_000).to_vec()]
}

/// The number of parts in a byte, then the payload.
pub(super) fn payload(input: &[u8]) {
    if let [parts, bytes @ ..] = input {
        use_payload(bytes, u32::from(*parts));
        use_payload(bytes, u32::from(*parts) << 24 | 1);
    }
}

fn use_payload(bytes: &[u8], parts: u32) {
    if let Some(payload) = Payload::from_bytes(bytes.to_vec(), parts) {
        let lengths = (0..payload.count()).map(|index| payload.part(index).len());
        black_box(lengths.sum::<usize>());
    }
}

fn two_parts() -> Vec<u8> {
    Parts(&[&&b"first"[..], &&b"the second"[..]]).to_vec()
}

pub(super) fn payloads() -> Vec<Vec<u8>> {
    vec![[&[2][..], &two_parts()].concat(), [&[1][..], b"alone"].concat()]
}

const KIND: u32 = 77;

/// Only the region's own identity is followed: another one would be looked for among the
/// descriptors of some process.
pub(super) fn wire_handle(input: &[u8]) {
    let slot = Slot::allocate(100).expect("memory");
    let own = WireHandle::new(&slot, KIND).encode();
    let Some(identity) = input.get(..8) else {
        black_box(WireHandle::decode(input, KIND).is_ok());
        return;
    };
    let mut bytes = input.to_vec();
    if identity[0] & 1 == 0 {
        bytes[..8].copy_from_slice(&own[..8]);
    }
    if let Ok(wire_handle) = WireHandle::decode(&bytes, KIND)
        && bytes[..8] == own[..8]
        && let Ok(found) = wire_handle.open()
    {
        // SAFETY: a slot is mapped for its whole length, which is what is tried here.
        let ends = unsafe {
            let start = found.start();
            match found.length() {
                0 => 0,
                length => start.read() ^ start.add(length - 1).read(),
            }
        };
        black_box(ends);
    }
}

pub(super) fn wire_handles() -> Vec<Vec<u8>> {
    let slot = Slot::allocate(100).expect("memory");
    let mut bytes = WireHandle::new(&slot, KIND).encode().to_vec();
    bytes[0] &= 0xfe;
    vec![bytes]
}

/// Undamaged wire handles in it lead to regions of this process alone.
pub(super) fn note(input: &[u8]) {
    black_box(fuzzing::note(input));
}

pub(super) fn notes() -> Vec<Vec<u8>> {
    let slot = Slot::allocate(100).expect("memory");
    let wire_handle = WireHandle::new(&slot, KIND).encode();
    let header = [[0; 8], 2_u64.to_le_bytes()].concat();
    vec![[&header[..], &wire_handle, &wire_handle].concat(), header]
}
