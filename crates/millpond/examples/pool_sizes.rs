//! A pool with a worker for each CPU, and one with sixty workers.

use millpond::{Pool, cpu_count};

fn length(word: String) -> usize {
    word.chars().count()
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let pool = Pool::builder().build()?;
    println!("one for each CPU: {}", pool.workers() == cpu_count());
    let words = ["a", "few", "words"].map(str::to_owned);
    println!("{:?}", pool.map(length, words)?);

    let large = Pool::new(60)?;
    println!("{large:?}");
    println!("{}", large.map(|number: u64| number, 1..=600)?.iter().sum::<u64>());
    large.close();
    println!("{large:?}");
    large.join()
}
