//! A pool in a program whose `main` has the attribute in place of a call.

#[millpond::main]
fn main() -> Result<(), millpond::Error> {
    let pool = millpond::Pool::new(2)?;
    println!("{:?}", pool.map(|number: u64| number * number, 0..4)?);
    Ok(())
}
