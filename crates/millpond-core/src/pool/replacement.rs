//! The thread that replaces workers: it calls the binding for tags and, if need be, a new zygote.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;

use crate::pool::shared::Shared;
use crate::pool::supervisor::{Supervisor, message_of};
use crate::pool::zygote::client::{Replacement, ZygoteClient};

/// How large the stack of a main thread is, or may become.
fn main_stack_size() -> usize {
    const USUAL: u64 = 8 << 20;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    // The memory is reserved, not used. 64 MiB also where the limit is "unlimited".
    usize::try_from(limit.unwrap_or(USUAL).clamp(1 << 20, 64 << 20)).unwrap_or(1 << 20)
}

impl Supervisor {
    /// Has a thread prepare for workers that take the places of others: the binding may have to wait for a
    /// lock of its own.
    pub(super) fn renew(&'static self, key: u64, shared: &Arc<Shared>, count: usize) {
        let for_thread = Arc::clone(shared);
        // Where zygotes are forked, this is the main thread of their workers.
        let thread = thread::Builder::new().stack_size(main_stack_size());
        let spawned = thread.spawn(move || {
            let shared = for_thread;
            if let Some(name) = &shared.thread_name {
                let _ = rustix::thread::set_name(name);
            }
            let prepare = || shared.mask.restore().and_then(|()| Self::prepare(&shared, count));
            let renewed = panic::catch_unwind(AssertUnwindSafe(prepare));
            let renewed = renewed.unwrap_or_else(|panic| {
                Err(io::Error::other(format!("a panic: {}", message_of(&*panic))))
            });
            self.renewed(key, &shared, renewed);
        });
        if let Err(error) = spawned {
            self.renewed(key, shared, Err(error));
        }
    }

    /// Gets workers' tags, and a zygote unless the newest will do.
    fn prepare(shared: &Shared, count: usize) -> io::Result<(VecDeque<u64>, Option<ZygoteClient>)> {
        let replacement = if shared.has_had_zygotes() {
            shared.source.replace(count)?
        } else {
            Replacement { tags: Vec::new(), outdated: true }
        };
        let mut tags = VecDeque::from(replacement.tags);
        tags.resize(count, 0);
        let is_wanted = replacement.outdated || shared.newest_zygote().is_none();
        let zygote = is_wanted.then(|| shared.make_zygote()).transpose()?;
        Ok((tags, zygote))
    }

    fn renewed(
        &'static self,
        key: u64,
        shared: &Arc<Shared>,
        renewed: io::Result<(VecDeque<u64>, Option<ZygoteClient>)>,
    ) {
        let watched = renewed.and_then(|(tags, zygote)| {
            if let Some(zygote) = zygote {
                let zygote = shared.take_up(zygote);
                let mut pools = self.pools();
                let Some(entry) = pools.by_key.get_mut(&key) else {
                    // A panic ended the pool meanwhile.
                    drop(pools);
                    shared.forget_zygote(zygote.generation);
                    zygote.kill();
                    zygote.reap();
                    return Ok(tags);
                };
                // If the pool ends meanwhile, this zygote is to be told so too.
                entry.kill_at = None;
                if let Some(poller) = &pools.poller {
                    poller.watch_zygote(&zygote, key)?;
                }
            }
            Ok(tags)
        });
        {
            let mut state = shared.state();
            state.renewing = false;
            match watched {
                Ok(tags) if shared.newest_zygote().is_some() => state.grants = tags,
                // It has died by now: the next look finds that workers are missing.
                Ok(_) => {}
                Err(error) if shared.zygotes().is_empty() => state.orphan(error),
                Err(error) => state.cannot_renew(error),
            }
        }
        self.tend(key, shared);
        // This is another thread: the supervisor's may have to wake earlier than it knows.
        if let Some(poller) = &self.pools().poller {
            poller.wake.signal();
        }
    }
}
