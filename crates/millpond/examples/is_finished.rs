//! Whether a process has ended, before it was waited for and after.

use std::time::Duration;

fn rest(duration: Duration) {
    std::thread::sleep(duration);
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let process = millpond::spawn(rest, Duration::from_millis(300))?;
    println!("at first: is_finished = {}", process.is_finished());
    process.child().join()?;
    println!("at last: is_finished = {}", process.is_finished());
    Ok(())
}
