//! Has the linker put the stand-ins of `src/finalization.rs` in the place of CPython's functions.

use std::{env, fs};

const STAND_INS: &str = "src/finalization.rs";

fn main() {
    println!("cargo::rerun-if-changed={STAND_INS}");
    let target_is = |key: &str, values: &[&str]| {
        env::var(format!("CARGO_CFG_TARGET_{key}")).is_ok_and(|is| values.contains(&is.as_str()))
    };
    if target_is("ENV", &["gnu"]) && target_is("ARCH", &["x86_64", "aarch64"]) {
        let source = fs::read_to_string(STAND_INS).expect("the package has its sources");
        let names = source.lines().filter_map(|line| line.strip_prefix("    "));
        let names = names.filter_map(|line| line.trim_start_matches("fn ").split('(').next());
        let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        for name in names.filter(is_name).filter(|name| name.contains("Py")) {
            println!("cargo::rustc-link-arg-cdylib=-Wl,--wrap={name}");
        }
    }
}
