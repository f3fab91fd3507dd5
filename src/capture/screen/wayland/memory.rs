//! Where a buffer's pixels lie: in a file, or, where PipeWire made the buffer, in memory it shares.
//!
//! A file is read, not mapped: whoever writes into it may do so at any time, and may make it shorter. Then a row is another than
//! it was, or cannot be read, and nothing worse. Memory of PipeWire's own stays as long as it is.

#![allow(unsafe_code)] // PipeWire gives the number of a file, not the file

use pipewire::spa::buffer::{Data, DataType};
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;

pub enum Memory<'b> {
    /// From this byte of it on.
    File(File, u64),
    Shared(&'b [u8]),
}

impl Memory<'_> {
    /// Of a buffer that is ours until it is given back.
    pub fn of(data: &mut Data) -> io::Result<Memory<'_>> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "its pixels lie in no shared memory");
        let (kind, number, begin) = (data.type_(), data.fd(), data.as_raw().mapoffset);
        match kind {
            DataType::MemFd if number >= 0 => {
                // SAFETY: PipeWire closes a buffer's files no sooner than the buffer was given back; of this one only a copy is
                // made.
                let file = unsafe { BorrowedFd::borrow_raw(number) };
                Ok(Memory::File(File::from(file.try_clone_to_owned()?), begin.into()))
            }
            DataType::MemPtr => data.data().map(|bytes| Memory::Shared(bytes)).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    /// Reads bytes from there on.
    pub fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Memory::File(file, begin) => file.read_exact_at(bytes, begin + at),
            Memory::Shared(shared) => {
                let at = usize::try_from(at).ok();
                let from = at.and_then(|at| shared.get(at..at.checked_add(bytes.len())?));
                bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}
