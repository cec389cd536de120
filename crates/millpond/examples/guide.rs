//! The program of docs/rust.md.

fn crash(_: u32) -> u32 {
    std::process::abort()
}

fn main() -> millpond::Result<()> {
    millpond::init(); // first in main: workers start here
    let pool = millpond::Pool::new(4)?;
    let squares = pool.map(|x: u64| x * x, 0..10)?;
    println!("{squares:?}");
    if let Err(error) = pool.spawn(crash, 1).join() {
        println!("{error}"); // names the function, the process and the signal
    }
    println!("{}", pool.spawn(|name: String| format!("hello, {name}"), "pool".to_owned()).join()?);

    let results = millpond::Queue::new()?; // usable in all processes that get it
    let report =
        |number: u64, results: millpond::Queue<u64>| results.push(number * number).unwrap();
    let process = millpond::spawn(report, (12, results.clone()))?;
    println!("{}", results.pop()?);
    process.join()?;
    Ok(())
}
