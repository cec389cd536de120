//! Every step of the worker's and the zygote's protocol as the last thing that one does.

use std::time::Duration;

#[expect(dead_code, reason = "the tests of the pool need more of it")]
mod support;

use support::{Op, close_and_join, outcomes, pool, submit};

const POINTS: [&str; 10] = [
    "zygote: has an order",
    "zygote: forked",
    "zygote: told of the start",
    "worker: claimed",
    "worker: holds",
    "worker: released",
    "worker: result is written",
    "worker: result is committed",
    "worker: holds nothing",
    "worker: owes the watcher a signal",
];

fn main() {
    support::init();
    support::watchdog(Duration::from_secs(60));
    for point in POINTS {
        visit(point);
        println!("test {point} ... ok");
    }
    println!(
        "\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        POINTS.len()
    );
}

/// One worker, or the zygote with one worker, dies at `point`; at most the task that it was at is lost, and none is done twice.
fn visit(point: &str) {
    let once = std::env::temp_dir().join(format!("millpond-crash-{}", std::process::id()));
    std::fs::write(&once, b"").expect("a file");
    // SAFETY: no other thread reads or writes the environment.
    unsafe {
        std::env::set_var("MILLPOND_CRASH_AT", point);
        std::env::set_var("MILLPOND_CRASH_ONCE", &once);
    }
    let pool = pool(2);
    let large = vec![1; 100_000];
    let tasks: Vec<(Op, &[u8])> = (0..100)
        .map(|n| (Op::Echo, if n % 10 == 0 { &large[..] } else { &b"small"[..] }))
        .collect();
    let job = submit(&pool, &tasks);
    if point == "worker: owes the watcher a signal" {
        // The watcher is only told while no thread waits.
        std::thread::sleep(Duration::from_millis(300));
    }
    let results = outcomes(&pool, job);
    let lost = results.iter().filter(|r| **r == Err("crashed")).count();
    let most = usize::from(!matches!(
        point,
        "zygote: has an order"
            | "worker: claimed"
            | "worker: result is committed"
            | "worker: holds nothing"
            | "worker: owes the watcher a signal"
    ));
    assert!(lost <= most, "{point}: {lost} tasks lost");
    for (result, (_, sent)) in results.iter().zip(&tasks) {
        assert!(result.is_err() || result.as_deref() == Ok(sent));
    }
    assert!(results.iter().filter(|r| r.is_err()).count() == lost);
    assert!(!once.exists() || point.ends_with("signal"), "{point} was not reached");
    let _ = std::fs::remove_file(&once);
    close_and_join(&pool);
}
