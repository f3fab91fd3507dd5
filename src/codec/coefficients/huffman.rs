//! A Huffman table for reading: the symbol that the next bits are the code of (T.81 C.2, F.2.2.3).

/// Codes of up to so many bits are found at once.
const FAST: u32 = 10;

/// What the end of a block adds to the place of its next coefficient.
pub const END: usize = 128;

/// An AC coefficient that is known with its code: how many bits both have, how far the place of the next one is from that of this
/// one's run, and its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coefficient {
    /// 0 where it is not known.
    pub bits: u8,
    pub further: u8,
    pub value: i16,
}

/// See the module text.
#[derive(Clone, PartialEq, Eq)]
pub struct Codes {
    /// By the next [`FAST`] bits: the code's length and its symbol, as [`Codes::find`] gives them; 0 where it is longer.
    fast: Vec<u16>,
    /// Of each length: the first 16 bits that are beyond its codes, and what to add to a code for its symbol's place.
    longer: [(u32, i32); 17],
    symbols: Vec<u8>,
    /// By the next [`FAST`] bits, of AC codes: the coefficient that begins with them.
    coefficients: Vec<Coefficient>,
}

impl Codes {
    /// Of a table as DHT lists it, whose code tree has room for all its leaves.
    pub fn new(lengths: &[u8], symbols: &[u8]) -> Codes {
        let (fast, coefficients) = (vec![0; 1 << FAST], Vec::new());
        let mut codes = Codes { fast, longer: [(0, 0); 17], symbols: symbols.to_vec(), coefficients };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (&count, bits) in lengths.iter().zip(1_u32..=16) {
            codes.longer[bits as usize].1 = place as i32 - code as i32;
            for _ in 0..count {
                if bits <= FAST {
                    let first = (code << (FAST - bits)) as usize;
                    codes.fast[first..first + (1 << (FAST - bits))].fill((bits as u16) << 8 | u16::from(symbols[place]));
                }
                (code, place) = (code + 1, place + 1);
            }
            codes.longer[bits as usize].0 = code << (16 - bits);
            code <<= 1;
        }
        codes
    }

    /// As [`Codes::new`], of AC coefficients.
    pub fn of_ac(lengths: &[u8], symbols: &[u8]) -> Codes {
        let mut codes = Codes::new(lengths, symbols);
        let coefficient = |at: usize| {
            let (length, symbol) = split(codes.fast[at].into());
            let (run, size) = (symbol >> 4, symbol & 15);
            match (length, run, size) {
                (0, ..) => Coefficient::default(),
                (_, 0, 0) => Coefficient { bits: length as u8, further: END as u8, value: 0 },
                _ if size == 0 || length + size > FAST => Coefficient::default(),
                _ => {
                    let value = value((at as u64) << (64 - FAST + length), size);
                    Coefficient { bits: (length + size) as u8, further: run as u8 + 1, value: value as i16 }
                }
            }
        };
        codes.coefficients = (0..1 << FAST).map(coefficient).collect();
        codes
    }

    /// The AC coefficient at the highest bits, where it is short.
    #[inline]
    pub fn coefficient(&self, bits: u64) -> Coefficient {
        self.coefficients[(bits >> (64 - FAST)) as usize]
    }

    /// The code at the highest bits: its length times 256, and its symbol. 0 where it is none.
    #[inline]
    pub fn find(&self, bits: u64) -> u32 {
        match self.fast[(bits >> (64 - FAST)) as usize] {
            0 => self.find_longer((bits >> 48) as u32),
            found => found.into(),
        }
    }

    #[cold]
    fn find_longer(&self, bits: u32) -> u32 {
        for length in FAST + 1..=16 {
            let (end, add) = self.longer[length as usize];
            if bits < end {
                let symbol = self.symbols.get(((bits >> (16 - length)) as i32 + add) as usize);
                return symbol.map_or(0, |symbol| length << 8 | u32::from(*symbol));
            }
        }
        0
    }
}

/// Length and symbol of what [`Codes::find`] found.
pub fn split(found: u32) -> (u32, u32) {
    (found >> 8, found & 0xFF)
}

/// The number of `size` bits, up to 15, that stand highest (T.81 F.2.2.1).
#[inline]
pub fn value(bits: u64, size: u32) -> i32 {
    // Two shifts: of no bits there is nothing.
    let plain = (bits >> 1 >> (63 - size)) as i32;
    let is_negative = (bits >> 63) == 0;
    plain - if is_negative { (1 << size) - 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::media::jpeg::tables::{self, DHT};
    use eyeline_proto::media::jpeg::{bits::BitWriter, segments};
    use eyeline_proto::picture::Sampling;

    #[test]
    fn every_code_of_annex_k_is_found_and_nothing_else() {
        let mut all = Vec::new();
        tables::huffman(&mut all, Sampling::Yuv420);
        let mut at = 0;
        while at < all.len() {
            let segment = segments::next(&all, at).unwrap();
            at += segment.bytes.len();
            assert_eq!(segment.marker, DHT);
            segments::huffman_tables(segment.payload(), &mut |_, _, lengths, symbols| {
                let codes = Codes::new(lengths, symbols);
                for &symbol in symbols {
                    let (code, bits) = segments::code_of(symbol, lengths, symbols).unwrap();
                    let mut writer = BitWriter::default();
                    writer.put(code.into(), bits.into());
                    writer.put(0x5555_5555, 32);
                    let bits_at_once = u64::from(code) << (64 - bits);
                    assert_eq!(codes.find(bits_at_once), u32::from(bits) << 8 | u32::from(symbol));
                    assert_eq!(codes.find(bits_at_once | (u64::MAX >> bits)), u32::from(bits) << 8 | u32::from(symbol));
                }
                assert_eq!(codes.find(u64::MAX), 0, "no code is all ones");
            })
            .unwrap();
        }
    }
}
