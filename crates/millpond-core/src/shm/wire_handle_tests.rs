//! Tests of `wire_handle.rs`.

use super::*;

const KIND: u32 = 77;

#[test]
fn an_encoded_wire_handle_leads_to_its_slot() {
    let slot = Slot::allocate(100).expect("memory");
    // SAFETY: within the slot.
    unsafe { slot.start().write(42) };
    let bytes = WireHandle::send(&slot, KIND).encode();
    let opened = WireHandle::decode(&bytes, KIND).expect("a wire handle").open().expect("the slot");
    assert!(Arc::ptr_eq(opened.region(), slot.region()));
    // SAFETY: as above.
    assert_eq!(unsafe { opened.start().read() }, 42);
}

#[test]
fn memory_that_is_not_mapped_here_is_opened_by_its_sender() {
    let slot = Slot::allocate(100_000).expect("memory");
    // SAFETY: within the slot.
    unsafe { slot.start().write(42) };
    let wire_handle = WireHandle::new(&slot, KIND);
    // As in a process that does not know the region.
    let fd = wire_handle.reopen(wire_handle.fd, |_| true).expect("procfs");
    let region = Region::attach(fd, wire_handle.identity, slot.region().length()).expect("region");
    // SAFETY: the slot's place in the second mapping.
    assert_eq!(unsafe { region.start().add(slot.offset()).read() }, 42);
}

#[test]
fn a_descriptor_that_is_something_else_by_now_is_not_taken_for_the_region() {
    let slot = Slot::allocate(100_000).expect("memory");
    let mut wire_handle = WireHandle::new(&slot, KIND);
    drop(slot);
    let other = Region::create("millpond-test", 200_000).expect("memory");
    wire_handle.fd = other.as_fd().as_raw_fd().cast_unsigned();
    assert!(matches!(wire_handle.open(), Err(WireHandleError::SenderGone { .. })));
    // Which cannot be opened for writing.
    let directory = std::fs::File::open("/").expect("a directory");
    wire_handle.fd = directory.as_raw_fd().cast_unsigned();
    assert!(matches!(wire_handle.open(), Err(WireHandleError::SenderGone { .. })));
    wire_handle.fd = 999_999;
    assert!(matches!(wire_handle.open(), Err(WireHandleError::SenderGone { .. })));
}

#[test]
fn damaged_bytes_are_an_error() {
    let slot = Slot::allocate(100).expect("memory");
    let bytes = WireHandle::new(&slot, KIND).encode();
    assert!(WireHandle::decode(&bytes[1..], KIND).is_err());
    assert!(WireHandle::decode(&bytes, KIND + 1).is_err());
    for index in 0..LENGTH {
        let mut damaged = bytes;
        damaged[index] ^= 0xff;
        assert!(WireHandle::decode(&damaged, KIND).is_err(), "byte {index}");
        for bit in 0..8 {
            damaged[index] = bytes[index] ^ 1 << bit;
            assert!(WireHandle::decode(&damaged, KIND).is_err(), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn a_region_is_kept_until_its_wire_handle_was_used() {
    let slot = Slot::allocate(100_000).expect("memory");
    let identity = slot.region().identity();
    let wire_handle = WireHandle::send(&slot, KIND);
    drop(slot);
    assert!(Region::known(identity).is_some());
    drop(wire_handle.open().expect("kept"));
    // The next wire handle that is sent looks whether earlier ones have arrived.
    let other = Slot::allocate(100).expect("memory");
    let _ = WireHandle::send(&other, KIND).open();
    assert!(Region::known(identity).is_none());
}
