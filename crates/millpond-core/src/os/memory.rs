//! How much memory the machine has.

use std::io;

/// Refuses what the machine could never hold, whatever else it holds: its memory and swap are
/// smaller.
///
/// The kernel would grant it, since pages are found when they are touched, and then end whoever
/// touches them.
///
/// # Errors
/// `OutOfMemory`.
pub fn could_hold(length: u64) -> io::Result<()> {
    let info = rustix::system::sysinfo();
    let units = info.totalram.saturating_add(info.totalswap);
    let total = (units as u64).saturating_mul(info.mem_unit.into());
    if length <= total {
        return Ok(());
    }
    let message = format!(
        "{length} bytes of shared memory were asked for, but this machine has {total} in all, \
         swap included: ask for less"
    );
    Err(io::Error::new(io::ErrorKind::OutOfMemory, message))
}
