//! Processes with names that people have given them.

use millpond::{Builder, current_process, parent_process};

fn introduce() {
    let parent = parent_process().map_or("nobody".to_owned(), |parent| parent.name().to_owned());
    println!("I am {}, started by {parent}", current_process().name());
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let first = Builder::new().name("Child 1").spawn(introduce, ())?;
    let second = Builder::new().name("Child 2").spawn(introduce, ())?;
    for process in [first, second] {
        let name = process.name().to_owned();
        process.join()?;
        println!("{name} has ended");
    }
    Ok(())
}
