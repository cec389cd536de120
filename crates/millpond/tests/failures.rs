//! What is said when a process gives nothing back.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use millpond::{Builder, ErrorKind, ExitStatus, Failure};
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

millpond::init_before_main!();

fn exit_with(code: i32) -> String {
    std::process::exit(code)
}

#[test]
fn a_result_is_whole_or_not_there() {
    fn large() -> Vec<u8> {
        vec![9; 16 << 20]
    }

    let _watchdog = Watchdog::start();
    let (mut whole, mut none) = (0, 0);
    for round in 0..60_u64 {
        let process = millpond::spawn(large, ()).unwrap();
        // From the start of the program to beyond the writing of the result.
        thread::sleep(Duration::from_micros(400 * round));
        process.kill().unwrap();
        match process.join() {
            Ok(result) => {
                assert!(result.len() == 16 << 20 && result.iter().all(|&byte| byte == 9));
                whole += 1;
            }
            Err(error) => {
                assert_eq!(error.signal_name(), Some("SIGKILL"), "{error}");
                none += 1;
            }
        }
    }
    println!("{whole} whole, {none} none");
}

#[test]
fn a_panic_arrives_with_message_place_and_stack() {
    #[inline(never)]
    fn outer(number: u32) {
        inner(number);
        // Not the last thing it does: a call at the end may leave no frame.
        std::hint::black_box(number);
    }
    #[inline(never)]
    fn inner(number: u32) {
        panic!("no {number} today");
    }

    let _watchdog = Watchdog::start();
    let process = Builder::new().name("panicker").spawn(outer, 5).unwrap();
    let (pid, child) = (process.pid(), process.child().clone());
    let error = process.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert_eq!(error.panic_message(), Some("no 5 today"));
    assert!(error.panic_location().unwrap().starts_with(file!()), "{error}");
    assert_eq!(error.pid(), Some(pid));
    assert_eq!(error.process_name(), Some("panicker"));
    assert!(error.function().unwrap().ends_with("outer"), "{error}");
    assert_eq!((error.signal(), error.exit_code()), (None, None));
    assert_eq!(child.exit_status(), Some(ExitStatus::Exited(101)));

    let message = error.to_string();
    assert!(message.starts_with(&format!("process 'panicker' (pid {pid}, ")));
    assert!(message.ends_with(": no 5 today"), "{message}");
}

#[test]
fn a_crash_names_signal_and_function() {
    let _watchdog = Watchdog::start();
    let process = millpond::spawn(|| -> () { std::process::abort() }, ()).unwrap();
    let child = process.child().clone();
    let error = process.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    assert_eq!((error.signal(), error.signal_name()), (Some(6), Some("SIGABRT")));
    assert!(error.to_string().contains("was killed by SIGABRT"), "{error}");
    assert!(matches!(child.exit_status(), Some(ExitStatus::Signaled { signal: 6, .. })));
}

#[test]
fn a_stack_overflow_is_a_crash() {
    #[expect(unconditional_recursion, reason = "to overflow the stack")]
    fn deeper(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 128]);
        deeper(frame[5] + 1) + frame[7]
    }

    let _watchdog = Watchdog::start();
    let error = millpond::spawn(deeper, 0).unwrap().join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    assert!(matches!(error.signal_name(), Some("SIGSEGV" | "SIGABRT")), "{error}");
}

#[test]
fn an_exit_is_no_result() {
    let _watchdog = Watchdog::start();
    for code in [3, 0] {
        let process = millpond::spawn(exit_with, code).unwrap();
        let child = process.child().clone();
        let error = process.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Crashed);
        assert_eq!((error.exit_code(), error.signal()), (Some(code), None));
        assert_eq!(error.exit_status(), child.exit_status());
        assert!(error.to_string().contains(&format!("exited with code {code} before")), "{error}");
    }
    // … except where there is none to give.
    fn leave(code: i32) {
        std::process::exit(code)
    }
    millpond::spawn(leave, 0).unwrap().join().unwrap();
    assert!(millpond::spawn(leave, 1).unwrap().join().is_err());
}

#[test]
fn what_would_not_arrive_says_so() {
    #[derive(Debug)]
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    impl<'de> Deserialize<'de> for Stubborn {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    /// Decodes where it was encoded, and nowhere else.
    #[derive(Debug, Serialize)]
    struct Local(u32);
    impl<'de> Deserialize<'de> for Local {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            match u32::deserialize(from)? {
                here if here == std::process::id() => Ok(Self(here)),
                _ => Err(serde::de::Error::custom("from elsewhere")),
            }
        }
    }

    let _watchdog = Watchdog::start();
    let error = millpond::spawn(|_: Stubborn| (), Stubborn).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(
        error.to_string().contains("could not encode") && error.to_string().contains("Stubborn")
    );

    let process = millpond::spawn(|| Stubborn, ()).unwrap();
    let pid = process.pid();
    let error = process.join().unwrap_err();
    assert_eq!((error.kind(), error.pid()), (ErrorKind::Codec, Some(pid)));
    assert!(error.to_string().contains("could not encode"), "{error}");

    let local = Local(std::process::id());
    let error = millpond::spawn(|_: Local| (), local).unwrap().join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    let message = error.to_string();
    assert!(message.contains("could not decode") && message.ends_with("from elsewhere"));

    let error = millpond::spawn(|| Local(std::process::id()), ()).unwrap().join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_string().ends_with("from elsewhere"), "{error}");
}

#[test]
fn a_failure_tells_each_message_once() {
    /// Has the message of its source in its own.
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "could not read it: {}", self.0)
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    let inner = "x".parse::<u8>().unwrap_err();
    let failure = Failure::from(Outer(inner.clone())).context("no number");
    let message = inner.to_string();
    assert_eq!(format!("{failure:#}"), format!("no number: could not read it: {message}"));
    assert_eq!(failure.chain().count(), 2);
}

#[test]
fn a_value_that_is_not_received_is_told_without_a_subject() {
    #[derive(Debug, Serialize)]
    struct Small(u8);
    impl<'de> Deserialize<'de> for Small {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            match u8::deserialize(from)? {
                small if small < 10 => Ok(Self(small)),
                _ => Err(serde::de::Error::custom("too large")),
            }
        }
    }

    let (sender, _receiver) = millpond::channel().unwrap();
    let error = sender.send(Small(10)).unwrap_err();
    assert!(error.to_string().starts_with("could not encode a value"), "{error}");
    assert_eq!(Failure::from(millpond::Error::from(error)).chain().count(), 1);
}
