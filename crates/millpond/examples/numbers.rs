//! Four processes, each with a number of its own to print.

use millpond::Process;

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let processes: Vec<_> = (0..4)
        .map(|number: u32| {
            Process::new(|number: u32| println!("number {number}")).arg(number).start()
        })
        .collect::<Result<_, _>>()?;
    processes.iter().try_for_each(|process| process.join())
}
