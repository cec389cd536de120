//! Builds with a sanitizer, which the stable toolchain can make when it is told to.

use std::process::Command;

use crate::project::Project;

/// A target that is named keeps build scripts and macros free of the sanitizer.
pub(crate) const TRIPLE: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-gnu"
} else {
    "x86_64-unknown-linux-gnu"
};

/// What watches the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sanitizer {
    /// Memory that is not the program's any more, or never was; and leaks.
    Address,
    /// Accesses that nothing orders. The standard library is not watched.
    Thread,
}

impl Sanitizer {
    fn flags(self) -> &'static str {
        match self {
            Self::Address => "-Zsanitizer=address",
            // Not all of the program has it: the standard library comes without.
            Self::Thread => "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
        }
    }
}

/// A cargo that builds with a sanitizer, and with more flags, into a folder below target/.
pub(crate) fn cargo(project: &Project, sanitizer: Sanitizer, flags: &str, folder: &str) -> Command {
    let mut cargo = project.cargo();
    // Sanitizers are behind the door of unstable options, of a stable compiler too.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.env("RUSTFLAGS", format!("{} {flags}", sanitizer.flags()));
    // Other flags in the same folder would have everything built anew each time.
    cargo.env("CARGO_BUILD_TARGET", TRIPLE).env("CARGO_TARGET_DIR", project.target(folder));
    cargo
}
