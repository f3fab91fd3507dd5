//! Elements of EBML (RFC 8794): an id, a size, and what is in it.

/// What is in no way read: it fills a place that something else may take later.
pub const VOID: u32 = 0xEC;

/// The size of an element that ends where its sibling begins (RFC 8794, §6.2).
pub const UNKNOWN: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

/// The id as it is written: it says its own length.
pub fn id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    out.extend_from_slice(&bytes[(id.leading_zeros() / 8) as usize..]);
}

/// A size in as few bytes as there are for it. All ones is no size, but an unknown one.
pub fn size(out: &mut Vec<u8>, size: u64) {
    let length = (1..8).find(|length| size < (1 << (7 * length)) - 1).unwrap_or(8);
    let marked = size | 1 << (7 * length);
    out.extend_from_slice(&marked.to_be_bytes()[8 - length as usize..]);
}

/// A size in eight bytes, whatever it is: it may become another.
pub fn wide_size(size: u64) -> [u8; 8] {
    (size & !(0xFF << 56) | 1 << 56).to_be_bytes()
}

/// An element of these bytes.
pub fn bytes(out: &mut Vec<u8>, name: u32, content: &[u8]) {
    id(out, name);
    size(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// An element of others.
pub fn master(out: &mut Vec<u8>, name: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    bytes(out, name, &content);
}

/// A number in as few bytes as it needs, at least one.
pub fn uint(out: &mut Vec<u8>, name: u32, value: u64) {
    let skipped = (value.leading_zeros() / 8).min(7) as usize;
    bytes(out, name, &value.to_be_bytes()[skipped..]);
}

/// A number in eight bytes: it may become another.
pub fn wide_uint(out: &mut Vec<u8>, name: u32, value: u64) {
    bytes(out, name, &value.to_be_bytes());
}

pub fn float(out: &mut Vec<u8>, name: u32, value: f64) {
    bytes(out, name, &value.to_be_bytes());
}

/// Nothing, of so many bytes with its id and size: two at least. Of it no more than the head is written; what is behind that stays.
pub fn void(out: &mut Vec<u8>, len: usize) {
    id(out, VOID);
    match len {
        0..9 => size(out, len.saturating_sub(2) as u64),
        _ => out.extend_from_slice(&wide_size(len as u64 - 9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn sizes_are_as_short_as_they_can_be_and_never_all_ones() {
        assert_eq!(of(|out| size(out, 0)), [0x80]);
        assert_eq!(of(|out| size(out, 126)), [0xFE]);
        assert_eq!(of(|out| size(out, 127)), [0x40, 0x7F], "0xFF would be an unknown one");
        assert_eq!(of(|out| size(out, 16382)), [0x7F, 0xFE]);
        assert_eq!(of(|out| size(out, 16383)), [0x20, 0x3F, 0xFF]);
        assert_eq!(wide_size(5), [0x01, 0, 0, 0, 0, 0, 0, 5]);
    }

    #[test]
    fn numbers_have_no_byte_that_they_do_not_need() {
        assert_eq!(of(|out| uint(out, 0xD7, 0)), [0xD7, 0x81, 0]);
        assert_eq!(of(|out| uint(out, 0x2A_D7B1, 1_000_000)), [0x2A, 0xD7, 0xB1, 0x83, 0x0F, 0x42, 0x40]);
    }

    #[test]
    fn what_is_void_is_as_long_as_it_says() {
        assert_eq!(of(|out| void(out, 2)), [0xEC, 0x80]);
        assert_eq!(of(|out| void(out, 8)), [0xEC, 0x86]);
        assert_eq!(of(|out| void(out, 9)), [0xEC, 0x01, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(of(|out| void(out, 300)), [0xEC, 0x01, 0, 0, 0, 0, 0, 1, 35]);
    }
}
