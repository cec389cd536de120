//! Two threads that add to and remove from one list, under a lock. Threads share memory, so the
//! lock is the standard library's; the list is then handed to a process, which gets a copy.

use std::sync::{Condvar, Mutex};
use std::thread;

const ITEMS: u64 = 1000;

fn sum(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let list = Mutex::new(Vec::new());
    let added = Condvar::new();
    let removed = thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=ITEMS {
                list.lock().unwrap().push(number);
                added.notify_one();
            }
        });
        let remover = scope.spawn(|| {
            let mut removed = Vec::new();
            while removed.len() < ITEMS as usize {
                let mut list =
                    added.wait_while(list.lock().unwrap(), |list| list.is_empty()).unwrap();
                removed.append(&mut list);
            }
            removed
        });
        remover.join().unwrap()
    });
    println!("{} numbers removed, {} left", removed.len(), list.lock().unwrap().len());
    println!("sum {}", millpond::spawn(sum, removed)?.join()?);
    Ok(())
}
