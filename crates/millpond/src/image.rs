//! The program's image in memory: where it was loaded, and which build it is.
//!
//! A function of the program has another address in every process, since programs are loaded at
//! random places, but the same offset from where they are loaded, if the build is the same.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{fs, ptr, slice};

use serde::{Deserialize, Serialize};

/// The type of a note that holds a build id, from the ELF specification of GNU.
const NT_GNU_BUILD_ID: u32 = 3;

/// What tells one build of a program from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BuildId {
    /// The linker's own: a hash of the program.
    Note(Vec<u8>),
    /// Of a program without a note: its file, by device, inode, size and time of change.
    File([i128; 4]),
    /// Neither is to be had.
    #[default]
    Unknown,
}

/// Where the program lies in this process.
#[derive(Debug, Default)]
pub(crate) struct Image {
    base: usize,
    code: Vec<Range<usize>>,
    build_id: BuildId,
}

impl Image {
    /// The program of this process, looked at once.
    pub(crate) fn of_this_program() -> &'static Self {
        // Not a `OnceLock`: a fork in the midst of its initialization would wait for it for ever.
        static IMAGE: AtomicPtr<Image> = AtomicPtr::new(ptr::null_mut());
        // SAFETY: what is stored here is never freed, and Acquire makes its content visible.
        if let Some(image) = unsafe { IMAGE.load(Ordering::Acquire).as_ref() } {
            return image;
        }
        // Threads that get here at once store equal images; all but the last are leaked.
        let image = Box::into_raw(Box::new(Self::look()));
        // Release publishes the content.
        IMAGE.store(image, Ordering::Release);
        // SAFETY: it is leaked, and only read from now on.
        unsafe { &*image }
    }

    fn look() -> Self {
        let mut image = Self::default();
        // SAFETY: `visit` matches the callback's type, and gets this exclusive pointer to `image`,
        // which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut image).cast()) };
        if image.build_id == BuildId::Unknown {
            image.build_id = file_id();
        }
        image
    }

    pub(crate) fn build_id(&self) -> &BuildId {
        &self.build_id
    }

    /// The offset of a piece of the program's code; `None` for an address elsewhere, as in a
    /// library that was loaded.
    pub(crate) fn offset(&self, address: usize) -> Option<u64> {
        self.holds(address).then(|| (address - self.base) as u64)
    }

    /// The address in this process of a piece of code that has this offset.
    pub(crate) fn address(&self, offset: u64) -> Option<usize> {
        let address = self.base.checked_add(usize::try_from(offset).ok()?)?;
        self.holds(address).then_some(address)
    }

    fn holds(&self, address: usize) -> bool {
        self.code.iter().any(|range| range.contains(&address))
    }
}

/// Reads the headers of the first image, which is the program, and stops there.
///
/// # Safety
/// As `dl_iterate_phdr` calls it: `info` describes a loaded image, and `image` is the pointer to
/// an [`Image`] that it was given.
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, image: *mut c_void) -> c_int {
    // SAFETY: both pointers are valid for the call, and no other code has the second.
    let (info, image) = unsafe { (&*info, &mut *image.cast::<Image>()) };
    // SAFETY: the loader gives a table of that many headers.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let word = |value| usize::try_from(value).unwrap_or_default();
    image.base = word(info.dlpi_addr);
    for header in headers {
        let start = image.base.wrapping_add(word(header.p_vaddr));
        match header.p_type {
            libc::PT_LOAD if header.p_flags & libc::PF_X != 0 => {
                image.code.push(start..start + word(header.p_memsz));
            }
            libc::PT_NOTE => {
                // SAFETY: notes are part of a loaded, read-only segment.
                let notes =
                    unsafe { slice::from_raw_parts(start as *const u8, word(header.p_memsz)) };
                if let Some(id) = build_id(notes, word(header.p_align)) {
                    image.build_id = BuildId::Note(id.to_vec());
                }
            }
            _ => {}
        }
    }
    1
}

/// The build id among ELF notes: sizes of name and content, a type, then both, each padded.
fn build_id(mut notes: &[u8], align: usize) -> Option<&[u8]> {
    let align = if align == 8 { 8 } else { 4 };
    loop {
        let (header, rest) = notes.split_first_chunk::<12>()?;
        let field = |at: usize| {
            header[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).unwrap_or_default()
        };
        let (name_size, size, kind) = (field(0) as usize, field(4) as usize, field(8));
        let name = rest.get(..name_size)?;
        let content_at = (12 + name_size).next_multiple_of(align) - 12;
        let content = rest.get(content_at..)?.get(..size)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return Some(content);
        }
        notes = rest.get((content_at + size).next_multiple_of(align)..)?;
    }
}

fn file_id() -> BuildId {
    let Ok(file) = fs::metadata("/proc/self/exe") else {
        return BuildId::Unknown;
    };
    let changed = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
    BuildId::File([file.dev().into(), file.ino().into(), file.size().into(), changed])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u32, name: &[u8], content: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for field in [name.len() as u32, content.len() as u32, kind] {
            note.extend(field.to_ne_bytes());
        }
        for part in [name, content] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn own_functions_have_an_offset_that_leads_back() {
        fn here() {}
        let image = Image::of_this_program();
        let address = here as fn() as usize;
        let offset = image.offset(address).unwrap();
        assert_eq!(image.address(offset), Some(address));
    }

    #[test]
    fn other_addresses_have_none() {
        let image = Image::of_this_program();
        assert_eq!(image.offset(libc::getpid as unsafe extern "C" fn() -> i32 as usize), None);
        assert_eq!(image.offset(ptr::from_ref(image) as usize), None);
        assert_eq!(image.address(u64::MAX), None);
        assert_eq!(image.address(0), None, "the headers are no code");
    }

    #[test]
    fn every_program_has_an_identity() {
        assert_ne!(*Image::of_this_program().build_id(), BuildId::Unknown);
        assert_eq!(file_id(), file_id());
        assert_ne!(file_id(), BuildId::Unknown);
    }

    #[test]
    fn finds_the_build_id_among_notes() {
        let others = [note(1, b"GNU\0", &[0; 16]), note(3, b"Go\0", b"x")].concat();
        let all = [others.clone(), note(3, b"GNU\0", b"a hash of 20 bytes..")].concat();
        assert_eq!(build_id(&all, 4), Some(&b"a hash of 20 bytes.."[..]));
        assert_eq!(build_id(&others, 4), None);
        assert_eq!(build_id(&all[..all.len() - 1], 4), None, "cut off");
        assert_eq!(build_id(&[0xff; 64], 4), None);
    }
}
