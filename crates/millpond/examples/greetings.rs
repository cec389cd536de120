//! Three processes, started and then joined, each with a name to greet.

use millpond::Process;

fn greet(name: String) {
    println!("hello, {name}!");
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let mut processes = Vec::new();
    for name in ["Ada", "Grace", "Edsger"] {
        processes.push(Process::new(greet).arg(name.to_owned()).start()?);
    }
    for process in &processes {
        process.join()?;
    }
    println!("all have been greeted");
    Ok(())
}
