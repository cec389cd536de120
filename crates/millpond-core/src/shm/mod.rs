//! Anonymous shared memory.
//!
//! *Pools* have [segments](segment), one a worker, with a [heap] of blocks that large payloads
//! travel in. *Primitives* live in [regions](region), which forked children inherit and others find
//! by [wire handle]: small ones in [slots](slab) of a region, [typed](shared) or plain [bytes].

pub(crate) mod block;
pub mod bytes;
pub mod draft;
pub(crate) mod handed;
pub mod heap;
pub mod holdings;
pub mod in_transit;
pub mod lease;
pub(crate) mod loans;
pub(crate) mod mapped;
pub mod number;
pub mod plain;
pub(crate) mod presence;
pub mod region;
pub mod segment;
pub mod shared;
pub mod slab;
pub mod slice;
pub(crate) mod sole_user;
pub(crate) mod tables;
pub(crate) mod window;
pub mod wire_handle;
