//! Processes that add to one number. One of them is killed while it holds the mutex: the next one
//! is told, looks at the number, and all go on.

use std::thread;
use std::time::Duration;

use millpond::sync::{Event, Mutex};

fn add(counter: Mutex<u64>, times: u64) {
    for _ in 0..times {
        *counter.lock().expect("nobody died with it") += 1;
    }
}

fn hold(counter: Mutex<u64>, held: Event) {
    let _counter = counter.lock().expect("nobody died with it");
    held.set();
    thread::sleep(Duration::from_secs(3600));
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let counter = Mutex::new(0)?;
    let mut adders = Vec::new();
    for _ in 0..4 {
        adders.push(millpond::spawn(add, (counter.clone(), 10_000))?);
    }
    for adder in adders {
        adder.join()?;
    }
    println!("4 processes counted to {}", *counter.lock()?);

    let held = Event::new()?;
    let holder = millpond::spawn(hold, (counter.clone(), held.clone()))?;
    held.wait();
    holder.kill()?;
    let mut guard = counter.lock().unwrap_or_else(|poisoned| {
        println!("the holder died: {}", poisoned.owner_died() && poisoned.pid() == holder.pid());
        poisoned.into_inner()
    });
    *guard += 1;
    drop(guard);
    println!("and on to {}", *counter.lock()?);
    Ok(())
}
