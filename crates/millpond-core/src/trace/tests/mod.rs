//! The picture of runs of every kind.

mod markup_check;
mod picture;
mod runs;
