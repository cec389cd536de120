//! Tests of `map.rs`.

use super::*;
use crate::os::memfd;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64};

const LENGTH: usize = 1 << 16;

fn bytes(mapping: &Mapping) -> &'static mut [u8] {
    // SAFETY: the tests keep the mapping longer than they use what this returns.
    unsafe { std::slice::from_raw_parts_mut(mapping.start().as_ptr(), mapping.length()) }
}

fn shared_and_spare() -> (Mapping, Mapping, Spare) {
    let fd = memfd::create("millpond-test", LENGTH as u64).expect("memory");
    let map = || Mapping::new(fd.as_fd(), 0, LENGTH).expect("a mapping");
    (map(), map(), Spare::new(fd.as_fd(), 0, LENGTH).expect("a mapping"))
}

#[test]
fn a_spare_shows_what_was_written_and_keeps_what_is() {
    let (here, there, mut spare) = shared_and_spare();
    bytes(&here).fill(1);
    spare.replace(&here, 0..LENGTH).expect("room");
    assert_eq!(bytes(&here), [1; LENGTH]);
    bytes(&here)[0] = 2;
    assert_eq!(bytes(&there)[0], 1);
    // What has no copy yet is still the file's.
    bytes(&there)[LENGTH - 1] = 3;
    assert_eq!(bytes(&here)[LENGTH - 1], 3);
}

#[test]
fn copied_pages_are_the_files_no_more() {
    for copy in [copy_pages, |start, length| {
        // SAFETY: as for what it stands for.
        unsafe { write_to_each_page(start, length) };
        Ok(())
    }] {
        let (here, there, mut spare) = shared_and_spare();
        bytes(&here).fill(1);
        let alias = here.duplicate(0..LENGTH).expect("room");
        spare.replace(&here, 0..LENGTH).expect("room");
        // SAFETY: all of a mapping.
        unsafe { copy(here.start(), LENGTH) }.expect("memory");
        bytes(&there).fill(2);
        assert_eq!(bytes(&here), [1; LENGTH]);
        assert_eq!(bytes(&alias), [2; LENGTH]);
        // SAFETY: nobody needs them.
        unsafe { alias.discard(4096, 4096) }.expect("pages go back");
        assert_eq!((bytes(&there)[4096], bytes(&there)[8192]), (0, 2));
    }
}

#[test]
fn writers_lose_nothing_while_pages_become_private() {
    let (here, _there, mut spare) = shared_and_spare();
    let is_over = AtomicBool::new(false);
    let word = |index: usize| {
        // SAFETY: one word on each page of the mapping.
        unsafe { here.start().cast::<AtomicU64>().add(index * 512).as_ref() }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) || rounds < 100 {
                (0..16).for_each(|index| {
                    word(index).fetch_add(1, Ordering::Relaxed);
                });
                rounds += 1;
            }
            rounds
        });
        while word(15).load(Ordering::Relaxed) < 10 {
            std::hint::spin_loop();
        }
        spare.replace(&here, 0..LENGTH).expect("room");
        // SAFETY: all of a mapping.
        unsafe { write_to_each_page(here.start(), LENGTH / 2) };
        // SAFETY: as above.
        unsafe { copy_pages(here.start(), LENGTH) }.expect("memory");
        is_over.store(true, Ordering::Relaxed);
        let rounds = writer.join().expect("the writer ends");
        (0..16).for_each(|index| assert_eq!(word(index).load(Ordering::Relaxed), rounds));
    });
}

#[test]
fn a_range_is_shared_again() {
    let fd = memfd::create("millpond-test", LENGTH as u64).expect("memory");
    let map = || Mapping::new(fd.as_fd(), 0, LENGTH).expect("a mapping");
    let (here, there) = (map(), map());
    // SAFETY: a page of a mapping of the same bytes.
    let map_page =
        |sharing| unsafe { map_over(here.start().add(4096), 4096, fd.as_fd(), 4096, sharing) };
    map_page(Sharing::Private).expect("room");
    bytes(&here).fill(1);
    assert_eq!((bytes(&there)[0], bytes(&there)[4096], bytes(&there)[8192]), (1, 0, 1));
    // SAFETY: the page is private, and its content of no use.
    unsafe { forget_pages(here.start().add(4096), 4096) };
    assert_eq!(bytes(&here)[4096], 0);
    map_page(Sharing::Shared).expect("room");
    bytes(&here).fill(2);
    assert_eq!(bytes(&there), [2; LENGTH]);
}
