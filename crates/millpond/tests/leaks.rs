//! What is left behind: nothing. One test, since it counts what belongs to the whole program.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::{fs, thread};

use millpond::{Builder, active_children};
use rustix::io::FdFlags;
use watchdog::Watchdog;

millpond::init_before_main!();

/// The open descriptors of this process, and what they are.
fn descriptors() -> BTreeMap<String, String> {
    let list = fs::read_dir("/proc/self/fd").unwrap().flatten();
    list.filter_map(|entry| {
        // The descriptor of this very listing is gone when it is looked at.
        let target = fs::read_link(entry.path()).ok()?.display().to_string();
        let listing = target.starts_with("/proc/") && target.ends_with("/fd");
        (!listing).then(|| (entry.file_name().display().to_string(), target))
    })
    .collect()
}

/// The children of this process, zombies among them.
fn children() -> Vec<u32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

fn echo(number: u32) -> u32 {
    number
}

fn one_of_each_fate() {
    let returns = millpond::spawn(echo, 1).unwrap();
    let daemon = Builder::new().end_with_parent(true).spawn(echo, 2).unwrap();
    let panics = millpond::spawn(panics_quietly, ()).unwrap();
    let killed = millpond::spawn(loop_for_ever, ()).unwrap();
    killed.kill().unwrap();
    assert_eq!((returns.join().unwrap(), daemon.join().unwrap()), (1, 2));
    panics.join().unwrap_err();
    killed.join().unwrap_err();
    // And one that nobody joins.
    drop(millpond::spawn(echo, 3).unwrap());
}

/// Without a word on standard error.
fn panics_quietly() {
    std::panic::resume_unwind(Box::new("as it should"))
}

fn loop_for_ever() {
    loop {
        thread::park();
    }
}

#[test]
fn nothing_is_left() {
    let _watchdog = Watchdog::start();
    // The first round makes what a process keeps: the reaper's thread and its eventfd.
    one_of_each_fate();
    until_no_child_is_left();
    let before = descriptors();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| one_of_each_fate()));
        }
    });
    until_no_child_is_left();
    assert_eq!(descriptors(), before);
    assert!(active_children().is_empty());

    a_child_has_only_what_is_meant_for_it();
}

/// Abandoned children are reaped without a call of millpond: this function makes none.
fn until_no_child_is_left() {
    while !children().is_empty() {
        thread::yield_now();
    }
}

fn a_child_has_only_what_is_meant_for_it() {
    // A descriptor that some library has left open for every program to inherit.
    let stray = OwnedFd::from(fs::File::open("/dev/zero").unwrap());
    rustix::io::fcntl_setfd(&stray, FdFlags::empty()).unwrap();
    assert!(descriptors().contains_key(&stray.as_raw_fd().to_string()));
    let children: Vec<_> = (0..8)
        .map(|at| Builder::new().end_with_parent(at % 2 == 0).spawn(descriptors, ()).unwrap())
        .collect();
    for child in children {
        let mut open = child.join().unwrap();
        assert_eq!(open.remove("0").unwrap(), "/dev/null");
        open.remove("1").unwrap();
        open.remove("2").unwrap();
        let kinds: Vec<&str> = open.values().map(String::as_str).collect();
        let result_slots = kinds.iter().filter(|kind| kind.contains("memfd:millpond-process"));
        assert_eq!(result_slots.count(), 1, "{open:?}");
        assert_eq!(kinds.iter().filter(|kind| kind.contains("pidfd")).count(), 1, "{open:?}");
        assert_eq!(kinds.len(), 2, "{open:?}");
    }
    let programs = || {
        let list = std::process::Command::new("ls").arg("/proc/self/fd").output().unwrap();
        String::from_utf8(list.stdout).unwrap().lines().count()
    };
    // The standard streams, and that of the listing.
    assert_eq!(
        millpond::spawn(programs, ()).unwrap().join().unwrap(),
        4,
        "a program inherits from a child"
    );
}
