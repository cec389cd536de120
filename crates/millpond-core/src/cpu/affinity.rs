//! The set of CPUs that a thread may run on.

use std::io;

/// Where to stop asking: a machine of half a million CPUs.
const LARGEST_MASK: usize = 64 * 1024 / size_of::<u64>();

/// The number of CPUs that the calling thread may run on.
///
/// # Errors
/// The system's.
pub(super) fn allowed() -> io::Result<usize> {
    // The kernel refuses a mask with less bits than the machine could have CPUs, which is more
    // than the 1,024 of `cpu_set_t` on large ones.
    let mut mask = vec![0_u64; 16];
    loop {
        // SAFETY: the kernel fills in at most as many bytes as it is told that there are.
        let result =
            unsafe { libc::sched_getaffinity(0, size_of_val(&mask[..]), mask.as_mut_ptr().cast()) };
        if result == 0 {
            return Ok(mask.iter().map(|word| word.count_ones() as usize).sum());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) || mask.len() >= LARGEST_MASK {
            return Err(error);
        }
        mask.resize(mask.len() * 2, 0);
    }
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    #[test]
    fn follows_the_thread() {
        // Affinity belongs to the thread, so this one spoils nothing.
        std::thread::spawn(|| {
            let before = sched_getaffinity(None).unwrap();
            assert_eq!(super::allowed().unwrap(), before.count() as usize);
            let mut one = CpuSet::new();
            one.set((0..CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu)).unwrap());
            sched_setaffinity(None, &one).unwrap();
            assert_eq!(super::allowed().unwrap(), 1);
        })
        .join()
        .unwrap();
    }
}
