//! What a pool and its zygote say to each other.

use std::time::Duration;

/// Length of every message in bytes.
pub(super) const LENGTH: usize = 24;

/// No clock shows the end of a grace of all the milliseconds that a damaged message can name.
const LONGEST_GRACE: Duration = Duration::from_secs(3600);

/// Whether the bytes are a request, and whether they are a notice.
pub(crate) fn decodes(message: &[u8]) -> (bool, bool) {
    (Request::decode(message).is_some(), Notice::decode(message).is_some())
}

/// From the pool to the zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Fork the worker with this number; the link's descriptor comes along.
    Start(u64),
    /// SIGTERM to all workers, SIGKILL to those that are left after the grace, then end.
    Quit {
        /// How long workers have to end by themselves.
        grace: Duration,
    },
}

/// From the zygote to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The worker runs; its pidfd comes along.
    Started { worker: u64, pid: u32 },
    /// The worker is dead, with its wait status.
    Exited { worker: u64, status: i32 },
    /// The worker could not be forked, with the system's error.
    Failed { worker: u64, errno: i32 },
}

fn pack(kind: u32, word: u32, number: u64) -> [u8; LENGTH] {
    let mut out = [0; LENGTH];
    out[..4].copy_from_slice(&kind.to_ne_bytes());
    out[4..8].copy_from_slice(&word.to_ne_bytes());
    out[8..16].copy_from_slice(&number.to_ne_bytes());
    out
}

fn unpack(message: &[u8]) -> Option<(u32, u32, u64)> {
    let message: &[u8; LENGTH] = message.try_into().ok()?;
    let word = |at: usize| [message[at], message[at + 1], message[at + 2], message[at + 3]];
    let [low, high] = [word(8), word(12)].map(u32::from_ne_bytes).map(u64::from);
    let number = if cfg!(target_endian = "little") { low | high << 32 } else { high | low << 32 };
    Some((u32::from_ne_bytes(word(0)), u32::from_ne_bytes(word(4)), number))
}

impl Request {
    pub(super) fn encode(self) -> [u8; LENGTH] {
        match self {
            Self::Start(worker) => pack(1, 0, worker),
            Self::Quit { grace } => {
                pack(2, 0, u64::try_from(grace.as_millis()).unwrap_or(u64::MAX))
            }
        }
    }

    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        match unpack(message)? {
            (1, _, worker) => Some(Self::Start(worker)),
            (2, _, millis) => {
                Some(Self::Quit { grace: Duration::from_millis(millis).min(LONGEST_GRACE) })
            }
            _ => None,
        }
    }
}

impl Notice {
    pub(super) fn encode(self) -> [u8; LENGTH] {
        match self {
            Self::Started { worker, pid } => pack(1, pid, worker),
            Self::Exited { worker, status } => pack(2, status.cast_unsigned(), worker),
            Self::Failed { worker, errno } => pack(3, errno.cast_unsigned(), worker),
        }
    }

    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        match unpack(message)? {
            (1, pid, worker) => Some(Self::Started { worker, pid }),
            (2, status, worker) => Some(Self::Exited { worker, status: status.cast_signed() }),
            (3, errno, worker) => Some(Self::Failed { worker, errno: errno.cast_signed() }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        for request in [Request::Start(1 << 40), Request::Quit { grace: Duration::from_secs(5) }] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        for notice in [
            Notice::Started { worker: 7, pid: u32::MAX },
            Notice::Exited { worker: u64::MAX, status: -1 },
            Notice::Failed { worker: 0, errno: 11 },
        ] {
            assert_eq!(Notice::decode(&notice.encode()), Some(notice));
        }
    }

    #[test]
    fn damaged_messages_are_refused() {
        assert_eq!(Request::decode(&[9; LENGTH]), None);
        assert_eq!(Notice::decode(&[0; LENGTH]), None);
        assert_eq!(Notice::decode(&[1; 3]), None);
    }
}
