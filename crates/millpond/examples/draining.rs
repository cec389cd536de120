//! A service that finishes what its pool has begun after Ctrl-C, which reaches it and no worker.

use millpond::Pool;
use millpond::sync::{Barrier, Event};
use tokio::signal::unix::{SignalKind, signal};

fn work(begun: Barrier, may_end: Event) -> bool {
    begun.wait().is_ok() && {
        may_end.wait();
        true
    }
}

#[millpond::main]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(4)?;
    let (begun, may_end) = (Barrier::new(5)?, Event::new()?);
    let jobs: Vec<_> = (0..4).map(|_| pool.spawn(work, (begun.clone(), may_end.clone()))).collect();
    let mut interrupt = signal(SignalKind::interrupt())?;
    begun.wait()?;
    println!("4 jobs are running");
    interrupt.recv().await;
    println!("no more jobs are taken");
    pool.close();
    may_end.set();
    let mut finished = 0;
    for job in jobs {
        finished += usize::from(job.await?);
    }
    println!("{finished} jobs were finished");
    Ok(())
}
