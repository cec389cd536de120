//! Processes with names that people have given them.

use millpond::{Process, current_process, parent_process};

fn introduce() {
    let parent = parent_process().map_or("nobody".to_owned(), |parent| parent.name().to_owned());
    println!("I am {}, started by {parent}", current_process().name());
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let first = Process::new(introduce).name("Child 1").start()?;
    let second = Process::new(introduce).name("Child 2").start()?;
    for process in [first, second] {
        process.join()?;
        println!("{} has ended", process.name());
    }
    Ok(())
}
