//! Bits of entropy-coded data: written with byte stuffing (T.81 F.1.2.3), and read from data whose stuffing was taken out.

/// Writes bits, the first in the highest bit of a byte, with a zero behind each 0xFF.
#[derive(Default)]
pub struct BitWriter {
    /// What is complete.
    pub bytes: Vec<u8>,
    held: u64,
    bits: u32,
}

impl BitWriter {
    /// The `bits` lowest bits of `code`, at most 32; those above them are 0.
    pub fn put(&mut self, code: u32, bits: u32) {
        self.held = self.held << bits | u64::from(code);
        self.bits += bits;
        while self.bits >= 8 {
            self.bits -= 8;
            let byte = (self.held >> self.bits) as u8;
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
    }

    /// Fills the last byte with ones.
    pub fn pad(&mut self) {
        if self.bits > 0 {
            let missing = 8 - self.bits;
            self.put((1 << missing) - 1, missing);
        }
    }
}

/// Reads bits. Behind the last byte there are zeros without end: whoever reads looks at [`BitReader::at`].
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// The byte after those in `held`.
    next: usize,
    /// Bits not read yet, the next in the highest.
    held: u64,
    bits: u32,
}

impl<'a> BitReader<'a> {
    /// From byte `next` on.
    pub fn new(bytes: &'a [u8], next: usize) -> Self {
        BitReader { bytes, next, held: 0, bits: 0 }
    }

    /// The place of the next bit, counted from the first of the first byte.
    pub fn at(&self) -> usize {
        8 * self.next - self.bits as usize
    }

    /// At least the next 32 bits, the first in the highest; those behind them may be anything.
    #[inline]
    pub fn peek(&mut self) -> u64 {
        if self.bits < 32 {
            self.held |= word(self.bytes, self.next) >> self.bits;
            let more = (63 - self.bits) / 8;
            self.next += more as usize;
            self.bits += 8 * more;
        }
        self.held
    }

    /// Leaves out so many of the bits that [`BitReader::peek`] showed.
    #[inline]
    pub fn skip(&mut self, bits: u32) {
        self.held <<= bits;
        self.bits -= bits;
    }
}

/// Eight bytes as they stand.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(word) => u64::from_be_bytes(*word),
        None => {
            let mut word = [0; 8];
            let rest = bytes.get(at..).unwrap_or_default();
            word[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(word)
        }
    }
}

/// Copies `bits` bits that begin with bit `at`.
pub fn copy(bytes: &[u8], mut at: usize, mut bits: u32, out: &mut BitWriter) {
    while bits > 0 {
        let some = bits.min(32);
        let window = word(bytes, at / 8) << (at % 8);
        out.put((window >> (64 - some)) as u32, some);
        (at, bits) = (at + some as usize, bits - some);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Without the zeros behind 0xFF.
    fn unstuffed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            if at == 0 || *byte != 0 || bytes[at - 1] != 0xFF {
                out.push(*byte);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_what_is_copied_is_the_same(
            codes in prop::collection::vec((any::<u32>(), 1_u32..=32), 0..60), from in 0_usize..60,
        ) {
            let codes: Vec<(u32, u32)> = codes.into_iter().map(|(code, bits)| ((u64::from(code) % (1 << bits)) as u32, bits)).collect();
            let mut writer = BitWriter::default();
            codes.iter().for_each(|(code, bits)| writer.put(*code, *bits));
            writer.pad();
            let clean = unstuffed(&writer.bytes);
            let mut reader = BitReader::new(&clean, 0);
            for (code, bits) in &codes {
                prop_assert_eq!((reader.peek() >> (64 - bits)) as u32, *code);
                reader.skip(*bits);
            }
            let from = from.min(codes.len());
            let begin: u32 = codes[..from].iter().map(|(_, bits)| bits).sum();
            let (mut copied, mut again) = (BitWriter::default(), BitWriter::default());
            copy(&clean, begin as usize, codes[from..].iter().map(|(_, bits)| bits).sum(), &mut copied);
            codes[from..].iter().for_each(|(code, bits)| again.put(*code, *bits));
            copied.pad();
            again.pad();
            prop_assert_eq!(copied.bytes, again.bytes);
        }
    }

    #[test]
    fn behind_the_end_there_are_zeros() {
        let mut reader = BitReader::new(&[0xFF], 0);
        assert_eq!(reader.peek() >> 48, 0xFF00);
        for _ in 0..100 {
            reader.skip(30);
            assert_eq!(reader.peek() >> 32, 0);
        }
        assert_eq!(reader.at(), 3000);
    }
}
