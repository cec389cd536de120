//! Spinning is looking once: loom looks at all other moments.

/// A waiter's memory of whether spinning paid; models have none.
#[derive(Clone, Debug, Default)]
pub struct Spin(());

impl Spin {
    /// What `ready` says.
    pub fn until(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        ready()
    }
}

/// Calls `wait`.
pub fn with_thread_spin<R>(wait: impl FnOnce(&mut Spin) -> R) -> R {
    wait(&mut Spin::default())
}
