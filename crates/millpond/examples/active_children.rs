//! Which children still run.

use std::time::Duration;

use millpond::{Process, active_children};

fn wait_for_the_end() {
    std::thread::sleep(Duration::from_secs(600));
}

fn show() {
    let children = active_children();
    let names: Vec<&str> = children.iter().map(|child| child.name()).collect();
    println!("{} children: {}", names.len(), names.join(", "));
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    show();
    let left = Process::new(wait_for_the_end).name("left").start()?;
    let right = Process::new(wait_for_the_end).name("right").start()?;
    show();
    left.terminate()?;
    println!("{}", left.join().unwrap_err().signal_name().unwrap_or("no signal"));
    show();
    right.kill()?;
    println!("{}", right.join().unwrap_err().signal_name().unwrap_or("no signal"));
    show();
    Ok(())
}
