//! The messages between a pool's owner and its zygote.

use std::time::Duration;

/// Length of every message in bytes.
pub(super) const LENGTH: usize = 24;

/// No clock shows the end of a timeout of all the milliseconds that a damaged message can name.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// Whether the bytes are a request, and whether they are a notice.
pub(crate) fn decodes(message: &[u8]) -> (bool, bool) {
    (Request::decode(message).is_some(), Notice::decode(message).is_some())
}

/// From the pool to the zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Fork a worker; the descriptors of its link, and of its end for bundles, come along.
    Start {
        /// Its number within the pool.
        worker: u64,
        /// What the binding calls it.
        tag: u64,
    },
    /// There is a newer zygote: end with the last of the workers.
    Retire,
    /// SIGTERM to the workers that have not ended by themselves in a moment, SIGKILL to those that
    /// are left after the timeout, then end.
    Quit {
        /// How long workers have to end by themselves.
        timeout: Duration,
    },
    /// To a template: fork a zygote, whose descriptors come along.
    Fork {
        /// What the answer names.
        zygote: u64,
        /// The number of other descriptors that follow, in messages of their own.
        passed: u32,
    },
    /// To a template: some of those descriptors come along.
    Pass,
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
    /// From a template: it is prepared, and forks zygotes from now on.
    Ready,
}

fn pack(kind: u32, word: u32, number: u64, tag: u64) -> [u8; LENGTH] {
    let mut out = [0; LENGTH];
    out[..4].copy_from_slice(&kind.to_ne_bytes());
    out[4..8].copy_from_slice(&word.to_ne_bytes());
    out[8..16].copy_from_slice(&number.to_ne_bytes());
    out[16..].copy_from_slice(&tag.to_ne_bytes());
    out
}

fn unpack(message: &[u8]) -> Option<(u32, u32, u64, u64)> {
    let message: &[u8; LENGTH] = message.try_into().ok()?;
    let word = |at: usize| [message[at], message[at + 1], message[at + 2], message[at + 3]];
    let number = |at: usize| {
        let [low, high] = [word(at), word(at + 4)].map(u32::from_ne_bytes).map(u64::from);
        if cfg!(target_endian = "little") { low | high << 32 } else { high | low << 32 }
    };
    Some((u32::from_ne_bytes(word(0)), u32::from_ne_bytes(word(4)), number(8), number(16)))
}

impl Request {
    pub(super) fn encode(self) -> [u8; LENGTH] {
        match self {
            Self::Start { worker, tag } => pack(1, 0, worker, tag),
            Self::Quit { timeout } => {
                pack(2, 0, u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX), 0)
            }
            Self::Retire => pack(3, 0, 0, 0),
            Self::Fork { zygote, passed } => pack(4, passed, zygote, 0),
            Self::Pass => pack(5, 0, 0, 0),
        }
    }

    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        match unpack(message)? {
            (1, _, worker, tag) => Some(Self::Start { worker, tag }),
            (2, _, millis, _) => {
                Some(Self::Quit { timeout: Duration::from_millis(millis).min(MAX_TIMEOUT) })
            }
            (3, ..) => Some(Self::Retire),
            (4, passed, zygote, _) => Some(Self::Fork { zygote, passed }),
            (5, ..) => Some(Self::Pass),
            _ => None,
        }
    }
}

impl Notice {
    pub(super) fn encode(self) -> [u8; LENGTH] {
        match self {
            Self::Started { worker, pid } => pack(1, pid, worker, 0),
            Self::Exited { worker, status } => pack(2, status.cast_unsigned(), worker, 0),
            Self::Failed { worker, errno } => pack(3, errno.cast_unsigned(), worker, 0),
            Self::Ready => pack(4, 0, 0, 0),
        }
    }

    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        match unpack(message)? {
            (1, pid, worker, _) => Some(Self::Started { worker, pid }),
            (2, status, worker, _) => Some(Self::Exited { worker, status: status.cast_signed() }),
            (3, errno, worker, _) => Some(Self::Failed { worker, errno: errno.cast_signed() }),
            (4, ..) => Some(Self::Ready),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        for request in [
            Request::Start { worker: 1 << 40, tag: u64::MAX - 1 },
            Request::Quit { timeout: Duration::from_secs(5) },
            Request::Retire,
        ] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        for notice in [
            Notice::Started { worker: 7, pid: u32::MAX },
            Notice::Exited { worker: u64::MAX, status: -1 },
            Notice::Failed { worker: 0, errno: 11 },
            Notice::Ready,
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
