//! What is fuzzed.

mod codec;
mod messages;
mod pipe;
mod queue;
mod ring;

/// A decoder, and bytes that it understands.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// How often the short run of `cargo test` calls it.
    pub short_run: u32,
    /// Reads bytes of any kind, and uses what it read.
    pub run: fn(&[u8]),
    /// Undamaged bytes to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target { name: "ring", short_run: 20_000, run: ring::run, seeds: ring::seeds },
    Target { name: "wire", short_run: 20_000, run: messages::wire, seeds: messages::wires },
    Target { name: "zygote", short_run: 5_000, run: messages::zygote, seeds: messages::requests },
    Target { name: "packet", short_run: 10_000, run: messages::packet, seeds: messages::packets },
    Target {
        name: "payload",
        short_run: 10_000,
        run: messages::payload,
        seeds: messages::payloads,
    },
    Target {
        name: "wire_handle",
        short_run: 10_000,
        run: messages::wire_handle,
        seeds: messages::wire_handles,
    },
    Target { name: "note", short_run: 10_000, run: messages::note, seeds: messages::notes },
    Target { name: "codec", short_run: 10_000, run: codec::run, seeds: codec::seeds },
    Target { name: "queue", short_run: 150, run: queue::run, seeds: queue::seeds },
    Target { name: "pipe", short_run: 150, run: pipe::run, seeds: pipe::seeds },
];

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
