//! The canvas's memory: words that a display server on this machine can be shown as they lie, without a copy.
//!
//! An anonymous file (`memfd`) mapped into this process; whoever has its descriptor maps the same pages. Where the system has no such
//! file the words are plain memory and [`Pixels::file`] says so. Who may read or write which words when is the canvas's affair.

#![allow(unsafe_code)] // maps and unmaps one piece of memory

use std::fs::File;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// Before the first word. libjpeg-turbo writes words that lie on a border of 32 bytes past the caches; these, it leaves in them for
/// whoever shows the picture.
pub(super) const LEAD: usize = 16;

pub(super) struct Pixels {
    first: NonNull<u32>,
    len: usize,
    file: Option<Arc<File>>,
    id: u64,
}

// SAFETY: it owns its mapping, which belongs to no thread; it hands out a pointer, never a reference.
unsafe impl Send for Pixels {}

impl Pixels {
    /// `len` words of zero.
    pub(super) fn new(len: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let Some(bytes) = Self::bytes(len) else { return Pixels { first: NonNull::dangling(), len: 0, file: None, id } };
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        let file = memfd_create(c"eyeline-canvas", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).ok().map(File::from);
        // The X server is given the file: neither it nor who else gets at it may take memory away under our mapping.
        let seals = FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL);
        let file = file.filter(|file| file.set_len(bytes.get() as u64).is_ok() && fcntl(file, seals).is_ok());
        let shared = file.and_then(|file| {
            // SAFETY: a new mapping, where the system likes, of a file that nobody else knows yet and that stays as long.
            let start = unsafe { mmap(None, bytes, protection, flags, &file, 0) };
            Some((start.ok()?, Some(file)))
        });
        let mapped = shared.or_else(|| {
            // SAFETY: a new mapping, where the system likes, of nothing.
            let start = unsafe { mmap_anonymous(None, bytes, protection, flags) };
            Some((start.ok()?, None))
        });
        // As every allocation does it.
        let Some((start, file)) = mapped else { panic!("no memory for a picture of {len} pixels") };
        // SAFETY: the mapping is longer than this.
        let first = unsafe { start.byte_add(LEAD) }.cast();
        Pixels { first, len, file: file.map(Arc::new), id }
    }

    /// The length of the mapping; `None` where there is nothing to map.
    fn bytes(len: usize) -> Option<NonZeroUsize> {
        // A length that does not fit is refused by the system as any that is too long.
        if len == 0 { None } else { NonZeroUsize::new(len.saturating_mul(4).saturating_add(LEAD)) }
    }

    /// The first word, at a multiple of four bytes; valid for [`Pixels::len`] words while this lives.
    pub(super) fn first(&self) -> NonNull<u32> {
        self.first
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The file they lie in, [`LEAD`] bytes from its start.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        self.file.as_ref()
    }

    /// A number no other has.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        if let Some(bytes) = Self::bytes(self.len) {
            // SAFETY: what `new` mapped, from its start, as long. Nobody uses the words any more, or they broke `first`'s promise.
            let unmapped = unsafe { munmap(self.first.byte_sub(LEAD).cast(), bytes.get()) };
            debug_assert!(unmapped.is_ok(), "a mapping of our own cannot be undone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn words_are_zero_at_first_and_seen_in_the_file() {
        let pixels = Pixels::new(1000);
        // SAFETY: 1000 words, nobody else's.
        let words = unsafe { std::slice::from_raw_parts_mut(pixels.first().as_ptr(), pixels.len()) };
        assert!(words.iter().all(|word| *word == 0));
        words[999] = 0x1234_5678;
        let file = pixels.file().expect("a memfd");
        let mut last = [0; 4];
        file.read_exact_at(&mut last, LEAD as u64 + 4 * 999).unwrap();
        assert_eq!(u32::from_ne_bytes(last), 0x1234_5678);
        assert!(file.set_len(0).is_err(), "memory would be taken away under the mapping");
        assert_ne!(pixels.id(), Pixels::new(1).id());
    }

    #[test]
    fn no_words_need_no_mapping() {
        let none = Pixels::new(0);
        assert!(none.len() == 0 && none.file().is_none());
    }
}
