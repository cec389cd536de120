//! A race between processes: an event is the starting gun, a condition hands the baton on, and a
//! barrier has all cross the finish together.

use millpond::sync::{Barrier, Condvar, Event, Mutex};
use serde::{Deserialize, Serialize};

const RUNNERS: u32 = 3;

#[derive(Clone, Serialize, Deserialize)]
struct Track {
    start: Event,
    /// The number of the runner whose turn it is.
    baton: Mutex<u32>,
    passed: Condvar,
    finish: Barrier,
}

fn run(track: Track, number: u32) {
    track.start.wait();
    let baton = track.baton.lock().expect("nobody died with it");
    let mut baton = track.passed.wait_while(baton, |baton| *baton != number).expect("as above");
    println!("runner {number} has the baton");
    *baton += 1;
    drop(baton);
    track.passed.notify_all();
    if track.finish.wait().expect("all finish").is_leader() {
        println!("all have finished");
    }
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let track = Track {
        start: Event::new()?,
        baton: Mutex::new(0)?,
        passed: Condvar::new()?,
        finish: Barrier::new(RUNNERS)?,
    };
    let mut runners = Vec::new();
    for number in 0..RUNNERS {
        runners.push(millpond::spawn(run, (track.clone(), number))?);
    }
    println!("go");
    track.start.set();
    for runner in runners {
        runner.join()?;
    }
    Ok(())
}
