//! A program that never noticed millpond, which a library of its own uses.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:?}", millpond_test_library::squares(&[2, 3, 4])?);
    Ok(())
}
