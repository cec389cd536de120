//! Calls that are asked for now and collected later, with a limit to waiting.

use std::thread;
use std::time::Duration;

use millpond::{ErrorKind, Pool};

fn square(number: u64) -> u64 {
    number * number
}

fn sleep(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let pool = Pool::new(4)?;
    let mut result = pool.spawn(square, 12);
    // Long enough for a machine with much else to do.
    println!("{}", result.join_timeout(Duration::from_secs(60))?);

    let mut results = Vec::new();
    for number in 0..25 {
        results.push(pool.spawn(square, number));
    }
    let squares = results.into_iter().map(|result| result.join()).collect::<Result<Vec<_>, _>>()?;
    println!("{squares:?}");

    let error = pool.spawn(sleep, 3600).join_timeout(Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    println!("{error}");
    // What sleeps on is ended with the pool.
    Ok(())
}
