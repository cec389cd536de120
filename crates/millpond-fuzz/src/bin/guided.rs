//! The coverage-guided fuzzer: libFuzzer on the target that `FUZZ_TARGET` names.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use millpond_fuzz::targets::{Target, find};

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        find(&name).expect("FUZZ_TARGET names a target")
    });
    (target.run)(input);
});
