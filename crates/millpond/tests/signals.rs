//! Which signals reach whom.

#[path = "support/watchdog.rs"]
mod watchdog;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use millpond::{ErrorKind, Pool};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use watchdog::Watchdog;

fn group() -> i32 {
    getpgrp().as_raw_nonzero().get()
}

#[millpond::test]
fn a_worker_that_kills_its_group_kills_itself_alone() {
    let _watchdog = Watchdog::start();
    let pool = Pool::new(2).unwrap();
    let kill_all = || {
        // SAFETY: a system call without memory.
        unsafe { libc::kill(0, libc::SIGKILL) };
    };
    for _ in 0..3 {
        let error = pool.spawn(kill_all, ()).join().unwrap_err();
        assert_eq!((error.kind(), error.signal_name()), (ErrorKind::Crashed, Some("SIGKILL")));
        assert_eq!(pool.map(|n: u64| n + 1, 0..4).unwrap(), [1, 2, 3, 4]);
    }
    assert_eq!(pool.stats().crashes, 3);
    let worker = pool.spawn(|| (group(), std::process::id()), ()).join().unwrap();
    assert_eq!(worker.0.unsigned_abs(), worker.1);
    assert_eq!(millpond::spawn(group, ()).unwrap().join().unwrap(), group());
}

#[test]
fn a_server_drains_after_ctrl_c() {
    let _watchdog = Watchdog::start();
    let test = std::env::current_exe().unwrap();
    let example = test.parent().unwrap().with_file_name("examples").join("draining");
    let mut command = Command::new(example);
    let mut server = command.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "4 jobs are running\n");
    // What a terminal does.
    let server_group = Pid::from_raw(server.id().try_into().unwrap()).unwrap();
    kill_process_group(server_group, Signal::INT).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(server.wait().unwrap().success());
    assert_eq!(rest, "no more jobs are taken\n4 jobs were finished\n");
}
