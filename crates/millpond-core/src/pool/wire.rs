//! The frames that travel in a link's rings.

use crate::shm::heap::BlockRef;

/// What a frame to a worker asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    /// Run a task.
    Run = 1,
    /// Remember a function under a number.
    Define = 2,
    /// Forget a function.
    Forget = 3,
    /// There is no more work: end.
    Leave = 4,
}

/// What a frame from a worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Report {
    /// A task came to an end.
    Finished = 1,
    /// The worker is set up and takes tasks.
    Ready = 2,
    /// Setting the worker up failed, in a way that would fail again.
    Unfit = 3,
}

/// Where the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the frame.
    Inline,
    /// In a block of the sender's heap.
    Block(BlockRef),
}

/// Head of a frame to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderHead {
    /// What to do.
    pub order: Order,
    /// How to do it; the binding's business.
    pub op: u8,
    /// How many parts the payload has.
    pub parts: u32,
    /// The task.
    pub task: u64,
    /// The function.
    pub function: u32,
    /// How many items the task's chunk has.
    pub items: u32,
    /// Whether to notify all waiters when the task is done, for the worker will soon want more.
    pub notify_all: bool,
    /// Where the payload is.
    pub placement: Placement,
}

/// Head of a frame from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportHead {
    /// What is reported.
    pub report: Report,
    /// How the task ended; the binding's business.
    pub status: u8,
    /// How many parts the payload has.
    pub parts: u32,
    /// The task.
    pub task: u64,
    /// When the task began, in monotonic nanoseconds.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
    /// Where the payload is.
    pub placement: Placement,
}

/// Length of a head; an inline payload follows, or a block reference.
pub const HEAD: usize = 32;
const BLOCK_REF: usize = 16;

/// How many bytes a frame takes beside an inline payload of `length` bytes.
#[must_use]
pub fn frame_length(placement: Placement, length: usize) -> usize {
    match placement {
        Placement::Inline => HEAD + length,
        Placement::Block(_) => HEAD + BLOCK_REF,
    }
}

fn put_placement(placement: Placement, out: &mut [u8]) {
    out[2] = matches!(placement, Placement::Block(_)).into();
    if let Placement::Block(block) = placement {
        out[HEAD..][..8].copy_from_slice(&block.offset.to_le_bytes());
        out[HEAD + 8..][..8].copy_from_slice(&block.length.to_le_bytes());
    }
}

fn get_placement(frame: &[u8]) -> Option<Placement> {
    Some(match frame[2] {
        0 => Placement::Inline,
        1 if frame.len() >= HEAD + BLOCK_REF => Placement::Block(BlockRef {
            offset: u64_at(frame, HEAD),
            length: u64_at(frame, HEAD + 8),
        }),
        _ => return None,
    })
}

fn u32_at(frame: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
}

fn u64_at(frame: &[u8], at: usize) -> u64 {
    u64::from(u32_at(frame, at)) | u64::from(u32_at(frame, at + 4)) << 32
}

impl OrderHead {
    /// Writes the head to the front of a frame.
    pub fn write(&self, out: &mut [u8]) {
        out[..HEAD].fill(0);
        out[0] = self.order as u8;
        out[1] = self.op;
        out[3] = self.notify_all.into();
        out[4..8].copy_from_slice(&self.parts.to_le_bytes());
        out[8..16].copy_from_slice(&self.task.to_le_bytes());
        out[16..20].copy_from_slice(&self.function.to_le_bytes());
        out[20..24].copy_from_slice(&self.items.to_le_bytes());
        put_placement(self.placement, out);
    }

    /// Reads the head of a frame; `None` if it is damaged.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        if frame.len() < HEAD {
            return None;
        }
        let order = match frame[0] {
            1 => Order::Run,
            2 => Order::Define,
            3 => Order::Forget,
            4 => Order::Leave,
            _ => return None,
        };
        Some(Self {
            order,
            op: frame[1],
            parts: u32_at(frame, 4),
            task: u64_at(frame, 8),
            function: u32_at(frame, 16),
            items: u32_at(frame, 20),
            notify_all: frame[3] != 0,
            placement: get_placement(frame)?,
        })
    }
}

impl ReportHead {
    /// Writes the head to the front of a frame.
    pub fn write(&self, out: &mut [u8]) {
        out[..HEAD].fill(0);
        out[0] = self.report as u8;
        out[1] = self.status;
        out[4..8].copy_from_slice(&self.parts.to_le_bytes());
        out[8..16].copy_from_slice(&self.task.to_le_bytes());
        out[16..24].copy_from_slice(&self.began.to_le_bytes());
        out[24..32].copy_from_slice(&self.ended.to_le_bytes());
        put_placement(self.placement, out);
    }

    /// Reads the head of a frame; `None` if it is damaged.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        if frame.len() < HEAD {
            return None;
        }
        let report = match frame[0] {
            1 => Report::Finished,
            2 => Report::Ready,
            3 => Report::Unfit,
            _ => return None,
        };
        Some(Self {
            report,
            status: frame[1],
            parts: u32_at(frame, 4),
            task: u64_at(frame, 8),
            began: u64_at(frame, 16),
            ended: u64_at(frame, 24),
            placement: get_placement(frame)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_were_written() {
        let block = Placement::Block(BlockRef { offset: 1 << 40, length: 77 });
        for placement in [Placement::Inline, block] {
            let order = OrderHead {
                order: Order::Define,
                op: 3,
                parts: 5,
                task: u64::MAX - 1,
                function: 9,
                items: 4,
                notify_all: true,
                placement,
            };
            let mut frame = vec![0xee; frame_length(placement, 0)];
            order.write(&mut frame);
            assert_eq!(OrderHead::read(&frame), Some(order));
            let report = ReportHead {
                report: Report::Unfit,
                status: 2,
                parts: 1,
                task: 3,
                began: 1 << 60,
                ended: 5,
                placement,
            };
            report.write(&mut frame);
            assert_eq!(ReportHead::read(&frame), Some(report));
        }
    }

    #[test]
    fn damaged_heads_are_refused() {
        assert_eq!(OrderHead::read(&[1; HEAD - 1]), None);
        assert_eq!(OrderHead::read(&[99; HEAD]), None);
        assert_eq!(ReportHead::read(&[0; HEAD]), None);
        let mut frame = [0; HEAD];
        frame[0] = 1;
        frame[2] = 1;
        assert_eq!(ReportHead::read(&frame), None, "a block reference that is cut off");
    }
}
