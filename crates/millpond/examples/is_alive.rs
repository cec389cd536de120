//! Whether a process runs, before it is joined and after.

use std::time::Duration;

use millpond::Process;

fn rest(duration: Duration) {
    std::thread::sleep(duration);
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let process = Process::new(rest).arg(Duration::from_millis(300)).start()?;
    println!("before join: is_alive = {}", process.is_alive());
    process.join()?;
    println!("after join: is_alive = {}", process.is_alive());
    Ok(())
}
