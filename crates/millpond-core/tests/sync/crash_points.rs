//! Every step of the primitives' protocols as the last thing that a process does, in each role that
//! comes by there.

use std::collections::BTreeSet;
use std::io::Write;

mod barrier;
mod condition;
mod event;
mod event_count;
mod kept;
mod lock;
mod points;
mod poison;
mod semaphore;
mod support;

use support::Case;

fn main() {
    support::watchdog();
    let of_primitives: [&[Case]; 8] = [
        &lock::CASES,
        &kept::CASES,
        &poison::CASES,
        &semaphore::CASES,
        &event::CASES,
        &condition::CASES,
        &barrier::CASES,
        &event_count::CASES,
    ];
    let cases: Vec<&Case> = of_primitives.into_iter().flatten().collect();
    for Case { point, role, visit } in &cases {
        print!("test {point} ({role}) ... ");
        let _ = std::io::stdout().flush();
        visit(point);
        println!("ok");
    }
    print!("test no crash point of the engine is forgotten ... ");
    let visited: BTreeSet<String> = cases.iter().map(|case| case.point.to_owned()).collect();
    assert_eq!(points::named_in("src/sync"), visited);
    points::assert_that_all_are_visited();
    println!("ok");
    println!(
        "\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        cases.len() + 1
    );
}
