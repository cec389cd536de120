//! The attributes of tests, which need no other preparation.

#[path = "support/watchdog.rs"]
mod watchdog;

use watchdog::Watchdog;

#[millpond::test]
fn a_test_has_children() {
    let _watchdog = Watchdog::start();
    assert_eq!(millpond::spawn(|n: u64| n * 2, 4).unwrap().join().unwrap(), 8);
}

/// With a result, and attributes of its own.
#[millpond::test]
fn a_test_may_return_a_result() -> Result<(), millpond::Error> {
    let _watchdog = Watchdog::start();
    assert_eq!(millpond::Pool::new(1)?.map(|n: u64| n + 1, 0..3)?, [1, 2, 3]);
    Ok(())
}

#[millpond::test]
#[test]
#[should_panic(expected = "on purpose")]
fn a_test_that_is_one_already_is_one_test() {
    panic!("on purpose");
}

#[millpond::test]
fn a_child_ignores_broken_pipes_as_a_rust_program_does() {
    let _watchdog = Watchdog::start();
    let write = || {
        use std::io::Write;
        let (reader, mut writer) = std::io::pipe().unwrap();
        drop(reader);
        writer.write_all(b"x").unwrap_err().kind() == std::io::ErrorKind::BrokenPipe
    };
    assert!(millpond::spawn(write, ()).unwrap().join().unwrap());
    assert!(millpond::Pool::new(1).unwrap().spawn(write, ()).join().unwrap());
}
