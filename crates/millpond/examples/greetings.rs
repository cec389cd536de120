//! Three processes, started and then joined, each with a name to greet.

fn greet(name: String) {
    println!("hello, {name}!");
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let mut processes = Vec::new();
    for name in ["Ada", "Grace", "Edsger"] {
        processes.push(millpond::spawn(greet, name.to_owned())?);
    }
    for process in processes {
        process.join()?;
    }
    println!("all have been greeted");
    Ok(())
}
