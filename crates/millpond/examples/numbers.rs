//! Four processes, each with a number of its own to print.

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let processes: Vec<_> = (0..4)
        .map(|number: u32| millpond::spawn(|number: u32| println!("number {number}"), number))
        .collect::<Result<_, _>>()?;
    Ok(processes.into_iter().try_for_each(|process| process.join())?)
}
