//! Several stages for each item.

#[path = "support/watchdog.rs"]
mod watchdog;

use millpond::{ErrorKind, Pool};
use watchdog::Watchdog;

#[millpond::test]
fn stages_are_those_of_an_iterator() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(3).unwrap();
    for count in [0, 1, 2, 11, 1000] {
        let items = || (0..count).map(|number: u64| number.to_string());
        let expected =
            || items().filter(|text| text.len() > 1).map(|text| text + "!").filter(|t| t != "13!");
        let par = || {
            pool.par(items()).filter(|text| text.len() > 1).map(|t| t + "!").filter(|t| t != "13!")
        };
        assert_eq!(par().collect().unwrap(), expected().collect::<Vec<_>>());
        assert_eq!(par().count().unwrap(), expected().count());
        // Which is associative and keeps the order.
        assert_eq!(par().reduce(|a, b| a + &b).unwrap(), expected().reduce(|a, b| a + &b));
    }
    assert_eq!(pool.stats().crashes, 0);
}

#[millpond::test]
fn stages_run_in_workers_and_fail_there() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let mut pids = pool.par(0..50).map(|_: i32| std::process::id()).collect().unwrap();
    pids.retain(|&pid| pid == std::process::id());
    assert!(pids.is_empty());
    let error = pool.par(0..9).for_each(|number: i32| assert!(number < 7)).unwrap_err();
    assert_eq!((error.kind(), error.task_index()), (ErrorKind::Panicked, Some(7)));
    let error = pool.par(0..9).map(|_: i32| -> u8 { std::process::abort() }).count().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    // What does not travel may stand between stages.
    let lengths = pool.par(["ab", "c"].map(str::to_owned)).map(std::rc::Rc::new).map(|rc| rc.len());
    assert_eq!(lengths.collect().unwrap(), [2, 1]);
}
