//! A pool that nobody closes: the program ends at once all the same, and the workers with it.

use std::sync::OnceLock;

use millpond::Pool;

/// Never dropped, as nothing in a static is.
static POOL: OnceLock<Pool> = OnceLock::new();

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let pool = Pool::new(4)?;
    let pool = POOL.get_or_init(|| pool);
    println!("{:?}", pool.map(|number: u64| number + 1, 0..5)?);
    let _unused = pool.spawn(|()| std::thread::sleep(std::time::Duration::MAX), ());
    Ok(())
}
