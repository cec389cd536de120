//! Three processes that print under a lock which they are given, so that lines stay whole.

use std::io::Write as _;

use millpond::sync::raw::Lock;

fn report(lock: Lock, name: String) {
    for step in 1..=3 {
        let _guard = lock.lock().expect("nobody died with it");
        // Piece by piece: without the lock the pieces of three processes would mix.
        for piece in [&name, ": step ", &step.to_string(), "\n"] {
            print!("{piece}");
            std::io::stdout().flush().expect("standard output is open");
        }
    }
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let lock = Lock::new()?;
    let mut processes = Vec::new();
    for name in ["first", "second", "third"] {
        processes.push(millpond::spawn(report, (lock.clone(), name.to_owned()))?);
    }
    for process in processes {
        process.join()?;
    }
    println!("held by {:?}", lock.holder());
    Ok(())
}
