//! Squares, cubes and doubles by a pool of four, in the order of the numbers.

use millpond::Pool;

fn square(number: u64) -> u64 {
    number * number
}

fn cube(number: u64) -> u64 {
    number * number * number
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let pool = Pool::new(4)?;
    println!("squares {:?}", pool.map(square, 1..=10)?);
    println!("cubes {:?}", pool.map(cube, 1..=10)?);
    println!("doubles {:?}", pool.map(|number: u64| number * 2, 1..=10)?);
    pool.close();
    pool.join()
}
