//! A process that prints its name and its pid.

use millpond::current_process;

fn introduce() {
    let me = current_process();
    println!("{} has pid {}", me.name(), me.pid());
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    introduce();
    let process = millpond::spawn(introduce, ())?;
    let pid = process.pid();
    process.join()?;
    println!("the parent says {pid}");
    Ok(())
}
