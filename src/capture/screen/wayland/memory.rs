//! The file a buffer's pixels lie in.
//!
//! It is read, not mapped: whoever writes into it may do so at any time, and may make it shorter. Then a row is another than it
//! was, or cannot be read, and nothing worse.

#![allow(unsafe_code)] // PipeWire gives the number of a file, not the file

use pipewire::spa::buffer::{Data, DataType};
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

/// Opened once more: it stays open when the buffer is given back.
pub fn file(data: &Data) -> io::Result<File> {
    let number = data.fd();
    if data.type_() != DataType::MemFd || number < 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "its pixels lie in no shared memory"));
    }
    // SAFETY: `data` is of a buffer that is ours until it is given back, and PipeWire closes its files no sooner; of this one only
    // a copy is made.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(File::from(file.try_clone_to_owned()?))
}
