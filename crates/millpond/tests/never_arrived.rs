//! What becomes of a handle that was sent to a process which never came to read it.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::fs;

use millpond::sync::SharedSlice;
use serde::{Deserialize, Serialize};
use watchdog::Watchdog;

/// A child whose environment has this ends before it takes its role.
const VARIABLE: &str = "TEST_ENDS_EARLY";

const _: () = {
    extern "C" fn before_all() {
        if std::env::var_os(VARIABLE).is_some() {
            std::process::exit(3);
        }
    }

    // Those with a number come before those without, as `init_before_main` has.
    #[used]
    #[unsafe(link_section = ".init_array.65500")]
    static BEFORE_ALL: extern "C" fn() = before_all;
};

millpond::init_before_main!();

#[derive(Debug, Serialize, Deserialize)]
struct Stubborn;

fn refuse<S: serde::Serializer>(_: &Stubborn, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("no"))
}

#[derive(Debug, Serialize, Deserialize)]
struct Refused {
    slice: SharedSlice<u64>,
    #[serde(serialize_with = "refuse")]
    stubborn: Stubborn,
}

/// How many shared memories this process has open.
fn memories() -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("memfd:millpond")).count()
}

fn large() -> SharedSlice<u64> {
    SharedSlice::zeroed(100_000).unwrap()
}

// The only test of this program: it changes the environment, and counts what is open.
#[test]
fn memory_is_not_kept_for_who_never_came() {
    let _watchdog = Watchdog::start();
    let sum = |slice: SharedSlice<u64>| slice.to_vec().iter().sum::<u64>();
    let before = memories();

    let slice = large();
    let arrived = millpond::spawn(sum, slice.clone()).unwrap();
    assert_eq!(arrived.join().unwrap(), 0);
    drop(slice);
    assert_eq!(memories(), before);

    let refused = Refused { slice: large(), stubborn: Stubborn };
    millpond::spawn(|_: Refused| (), refused).unwrap_err();
    assert_eq!(memories(), before);

    // SAFETY: the watchdog's thread, the only other one, does not touch the environment.
    unsafe { std::env::set_var(VARIABLE, "1") };
    let never = millpond::spawn(sum, large()).unwrap();
    assert_eq!(never.join().unwrap_err().exit_code(), Some(3));
    assert_eq!(memories(), before);

    // A channel's end that never arrived does not keep the other one waiting.
    let (sender, receiver) = millpond::channel::<u64>().unwrap();
    let never = millpond::spawn(|_: millpond::Sender<u64>| (), sender).unwrap();
    assert!(receiver.recv().unwrap().is_none());
    assert_eq!(never.join().unwrap_err().exit_code(), Some(3));
}
