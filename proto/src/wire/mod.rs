//! Bytes ↔ values, and nothing else: no state, no time, no keys. PROTOCOL.md draws every byte; this is its code.
//!
//! All integers are big endian, sound samples little endian. A parser either consumes its input exactly or says what was
//! wrong and where; it never panics and never allocates more than its input is long.

pub mod datagram;
mod direct;
mod film;
pub mod mcus;
pub mod preamble;
pub mod record;
mod refresh;
pub mod report;
pub mod slice;
pub mod sound;
pub mod text;
mod want;

/// The protocol's version. A side that speaks another one says so in a sentence and leaves.
pub const VERSION: u8 = 2;

/// Numbers of pictures end here, so that those after them can be counted: ten thousand years at 1000 a second are fewer.
const MOST_PICTURES: u64 = 1 << 62;

/// Why bytes were not a message. `at` counts from the start of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message ends inside a field.
    #[error("{field} is cut off: the message ends at byte {len}")]
    Truncated {
        field: &'static str,
        /// The message's length.
        len: usize,
    },
    /// A field has a value that it cannot have.
    #[error("{field} cannot be {value} (at byte {at})")]
    Invalid {
        field: &'static str,
        /// What it said.
        value: u64,
        /// Where it stands.
        at: usize,
    },
    /// A kind of message or record that a later program may know: skip it.
    #[error("{field} {kind} is not known here")]
    Unknown {
        /// Whether it is a message or a record.
        field: &'static str,
        kind: u8,
    },
    /// There is more than the message.
    #[error("{extra} bytes too many after {len}")]
    Trailing {
        extra: usize,
        /// Where the message ended.
        len: usize,
    },
}

/// Reads fields off a message, front to back.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(Error::Truncated { field, len: self.bytes.len() })?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N, field)?);
        Ok(array)
    }

    pub fn u8(&mut self, field: &'static str) -> Result<u8, Error> {
        Ok(self.array::<1>(field)?[0])
    }

    pub fn u16(&mut self, field: &'static str) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    pub fn u32(&mut self, field: &'static str) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    pub fn u64(&mut self, field: &'static str) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    /// A byte of length and that much UTF-8, made [`text::printable`], for it will be shown.
    pub fn text(&mut self, field: &'static str) -> Result<String, Error> {
        let len = self.u8(field)?;
        Ok(text::printable(&String::from_utf8_lossy(self.bytes(usize::from(len), field)?)))
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    /// A complaint about the field that was just read, `width` bytes long.
    pub fn invalid(&self, field: &'static str, value: u64, width: usize) -> Error {
        Error::Invalid { field, value, at: self.at.saturating_sub(width) }
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Error> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            extra => Err(Error::Trailing { extra, len: self.at }),
        }
    }
}

/// The beginning of a text, of at most so many bytes, cut at a character.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// Appends a byte of length and at most 255 bytes of text, cut at a character.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = cut(text, 255);
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}
