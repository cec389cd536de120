//! One command a file.

pub(crate) mod bench;
pub(crate) mod chaos;
pub(crate) mod clean;
pub(crate) mod conformance;
pub(crate) mod damage;
pub(crate) mod demo;
pub(crate) mod differential;
pub(crate) mod fuzz;
pub(crate) mod interpreters;
pub(crate) mod lint;
pub(crate) mod models;
pub(crate) mod python;
pub(crate) mod sanitize;
pub(crate) mod setup;
pub(crate) mod soak;
pub(crate) mod test;
pub(crate) mod wheels;
