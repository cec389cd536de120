//! A child puts the even numbers of a range on a queue.

use millpond::Queue;

fn put_even(numbers: std::ops::Range<u32>, queue: Queue<u32>) {
    for number in numbers.filter(|number| number % 2 == 0) {
        queue.push(number).unwrap();
    }
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let queue = Queue::new()?;
    millpond::spawn(put_even, (0..20, queue.clone()))?.join()?;
    let even = queue.try_iter().collect::<Result<Vec<_>, _>>()?;
    println!("{even:?}");
    Ok(())
}
