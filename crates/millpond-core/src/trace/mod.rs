//! The record of a run, and its picture.
//!
//! A traced pool notes a [`Span`] for each task and a [`Life`] for each worker process. The
//! [`Timeline`] that they make up draws itself as one self-contained page or picture.

mod axis;
mod chart;
mod density;
mod header;
mod incident;
mod lane;
mod lane_drawing;
mod life;
mod markup;
mod page;
mod scale;
mod span;
mod summary;
mod symbol;
mod timeline;
mod tooltip;
mod units;

pub use life::Life;
pub use span::{Outcome, Span};
pub use summary::Summary;
pub use timeline::Timeline;

#[cfg(test)]
mod tests;
