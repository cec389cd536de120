//! Which children still run.

use std::time::Duration;

use millpond::{Builder, active_children};

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
    let left = Builder::new().name("left").spawn(wait_for_the_end, ())?;
    let right = Builder::new().name("right").spawn(wait_for_the_end, ())?;
    show();
    left.terminate()?;
    println!("{}", left.join().unwrap_err().signal_name().unwrap_or("no signal"));
    show();
    right.kill()?;
    println!("{}", right.join().unwrap_err().signal_name().unwrap_or("no signal"));
    show();
    Ok(())
}
