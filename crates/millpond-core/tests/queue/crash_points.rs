//! Every step of the queue's protocol as the last thing that a process does, in each role that
//! comes by there, and some as a step at which it stands still.

use std::collections::BTreeSet;
use std::io::Write;

mod consumer;
mod ends;
mod items;
#[path = "../sync/points.rs"]
#[expect(dead_code, reason = "the test of the primitives looks at all points of the engine")]
mod points;
mod producer;
mod stopped;
#[path = "../sync/support.rs"]
#[expect(dead_code, reason = "the tests of the primitives need more of it")]
mod support;
mod waiting;

use support::Case;

fn main() {
    support::watchdog();
    let of_roles: [&[Case]; 5] =
        [&producer::CASES, &consumer::CASES, &waiting::CASES, &ends::CASES, &stopped::CASES];
    let cases: Vec<&Case> = of_roles.into_iter().flatten().collect();
    for Case { point, role, visit } in &cases {
        print!("test {point} ({role}) ... ");
        let _ = std::io::stdout().flush();
        visit(point);
        println!("ok");
    }
    print!("test no crash point of the queue is forgotten ... ");
    let visited: BTreeSet<String> = cases.iter().map(|case| case.point.to_owned()).collect();
    assert_eq!(points::named_in("src/channel/queue"), visited);
    println!("ok");
    println!(
        "\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        cases.len() + 1
    );
}
