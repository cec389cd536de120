//! Four workers put a sum each on one queue and are joined before anybody takes a result: what was
//! put is in shared memory and needs its producer no more.

use millpond::Queue;

fn put_sum(queue: Queue<u64>) {
    queue.push((0..1_000_000).sum()).unwrap();
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let queue = Queue::new()?;
    let workers =
        (0..4).map(|_| millpond::spawn(put_sum, queue.clone())).collect::<Result<Vec<_>, _>>()?;
    workers.into_iter().try_for_each(|worker| worker.join())?;
    println!("{} results", queue.len());
    for sum in queue.try_iter() {
        println!("{}", sum?);
    }
    Ok(())
}
