//! A library that uses millpond inside. Programs that use it need not know.

millpond::init_before_main!();

/// Squares, made by two workers and a process of its own.
///
/// # Errors
/// Those of millpond.
pub fn squares(numbers: &[u64]) -> Result<Vec<u64>, millpond::Error> {
    let pool = millpond::Pool::new(2)?;
    let sum = millpond::spawn(|numbers: Vec<u64>| numbers.iter().sum::<u64>(), numbers.to_vec())?;
    let mut squares = pool.map(|number: u64| number * number, numbers.to_vec())?;
    squares.push(sum.join()?);
    Ok(squares)
}
