//! One pass of a short film, decoded and kept, so that its next passes need no decoding and no child to start.

use std::time::Duration;

use super::matroska::Stream;

/// So many bytes of pictures and sound are kept at most: six seconds of 640x480 at 25 a second, some pictures of 4K. A longer
/// film is decoded anew for each pass, which costs little against a pass of its length.
pub const MOST: usize = 64 << 20;

/// What one pass was made of, in order.
#[derive(Default)]
pub struct Kept {
    packets: Vec<(Stream, Duration, Vec<u8>)>,
    bytes: usize,
    over: bool,
}

impl Kept {
    /// Keeps a packet, or gives all up where it would be too much.
    pub fn push(&mut self, stream: Stream, stamp: Duration, bytes: &[u8]) {
        self.bytes += bytes.len();
        if self.over || self.bytes > MOST {
            (self.over, self.packets) = (true, Vec::new());
            return;
        }
        self.packets.push((stream, stamp, bytes.to_vec()));
    }

    /// The whole pass, if all of it was kept.
    pub fn whole(self) -> Option<Vec<(Stream, Duration, Vec<u8>)>> {
        Some(self.packets).filter(|packets| !self.over && !packets.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_pass_is_kept_in_order_and_a_long_one_not_at_all() {
        let mut kept = Kept::default();
        assert!(Kept::default().whole().is_none());
        kept.push(Stream::Pictures, Duration::ZERO, &vec![1; MOST - 9]);
        kept.push(Stream::Sound, Duration::from_millis(5), &[2; 9]);
        let whole = kept.whole().unwrap();
        assert_eq!(
            whole.iter().map(|(stream, _, bytes)| (*stream, bytes.len())).collect::<Vec<_>>(),
            [(Stream::Pictures, MOST - 9), (Stream::Sound, 9)]
        );
        let mut long = Kept::default();
        long.push(Stream::Pictures, Duration::ZERO, &vec![1; MOST]);
        long.push(Stream::Sound, Duration::ZERO, &[2]);
        long.push(Stream::Sound, Duration::ZERO, &[3]);
        assert!(long.packets.is_empty() && long.whole().is_none());
    }
}
