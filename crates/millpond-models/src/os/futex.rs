//! How sleeps end.

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A thread woke it, or the word had changed already.
    Changed,
    /// The timeout ran out.
    TimedOut,
    /// A signal handler ran. No model sends signals.
    Interrupted,
}
