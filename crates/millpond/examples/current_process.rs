//! A process that prints its name and its pid.

use millpond::{Process, current_process};

fn introduce() {
    let me = current_process();
    println!("{} has pid {}", me.name(), me.pid());
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    introduce();
    let process = Process::new(introduce).start()?;
    process.join()?;
    println!("the parent says {}", process.pid());
    Ok(())
}
