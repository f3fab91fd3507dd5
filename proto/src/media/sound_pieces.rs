//! A block of sound in pieces that each fit a datagram, and whole again from any two of them.
//!
//! **Problem.** A block of stereo does not fit a datagram, and where copies of sound are needed datagrams are lost, too. At 5 % each
//! tenth block would miss a half; asking for it costs a round trip, and at 60 ms sound cannot wait for that.
//!
//! **Choice.** Two halves `A` and `B`, and two more pieces of the same length, the `P` and `Q` of a RAID-6 (H. P. Anvin, "The
//! mathematics of RAID-6"): `P = A + B`, `Q = A + 2·B` byte by byte in GF(2⁸) with x⁸ + x⁴ + x³ + x² + 1. **Any two of the four are the
//! block.** With `P` three times the square of the loss stay incomplete (0.03 % at 1 %), with both four times its cube
//! (0.05 % at 5 %). How many are sent is the receiver's wish (`session/sound_receiver.rs`), a block later than the halves: what
//! one burst takes, the next datagrams bring.
//!
//! **Rejected.** Sending each half twice: the same bytes, ten times the residue (a half lost twice, 0.5 %). Reed–Solomon over several
//! blocks: a better ratio, paid for with the time they take. A smaller copy (mono, eight bits): not the same sound, so that a file
//! would depend on what was lost. Pictures have a code of their own, over hundreds of fragments; this one needs no tables beyond a
//! byte's.
//!
//! Capacity: [`Assembly`] holds [`BLOCKS`] unfinished blocks of at most 3840 bytes; the lowest number goes first.

use std::collections::BTreeMap;

use crate::sound::{Block, Numbered};
use crate::time::MediaTime;
use crate::wire::sound::{self, PIECES, Piece};

/// Unfinished blocks: 320 ms, and what is older than 200 ms nobody sends.
const BLOCKS: usize = 32;

/// x⁸ less the polynomial.
const POLYNOMIAL: u8 = 0x1D;

const fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b > 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        let carry = a & 0x80 != 0;
        a <<= 1;
        if carry {
            a ^= POLYNOMIAL;
        }
        b >>= 1;
    }
    product
}

/// All products of one factor.
const fn table(factor: u8) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = times(byte as u8, factor);
        byte += 1;
    }
    table
}

const DOUBLE: [u8; 256] = table(2);
/// 2⁻¹ and 3⁻¹: `2 × 0x8E = 3 × 0xF4 = 1`.
const HALF: [u8; 256] = table(0x8E);
const THIRD: [u8; 256] = table(0xF4);

/// Appends piece `index` (0–3) of a block of `frames × channels` samples.
pub fn cut(samples: &[i16], frames: u16, channels: u8, index: u8, out: &mut Vec<u8>) {
    // A sample is two bytes, on each of which the field's sums and products work.
    let len = Piece::len_of(frames, channels) / 2;
    let (first, second) = samples.split_at(len.min(samples.len()));
    let (first, second) = (first.iter().copied(), second.iter().copied().chain(std::iter::repeat(0)));
    match index {
        0 => out.extend(sound::bytes(first)),
        1 => out.extend(sound::bytes(second.take(len))),
        2 => out.extend(sound::bytes(first.zip(second).map(|(a, b)| a ^ b))),
        _ => out.extend(sound::bytes(first.zip(second).map(|(a, b)| a ^ doubled(b)))),
    }
}

/// Both bytes of a sample times two.
fn doubled(sample: i16) -> i16 {
    i16::from_ne_bytes(sample.to_ne_bytes().map(|byte| DOUBLE[usize::from(byte)]))
}

/// The two halves from two different pieces.
fn join((i, x): (u8, &[u8]), (j, y): (u8, &[u8])) -> [Vec<u8>; 2] {
    let pairs = || x.iter().zip(y);
    match (i, j) {
        (0, 1) => [x.to_vec(), y.to_vec()],
        (0, 2) => [x.to_vec(), pairs().map(|(a, p)| a ^ p).collect()],
        (0, _) => [x.to_vec(), pairs().map(|(a, q)| HALF[usize::from(a ^ q)]).collect()],
        (1, 2) => [pairs().map(|(b, p)| b ^ p).collect(), x.to_vec()],
        (1, _) => [pairs().map(|(b, q)| q ^ DOUBLE[usize::from(*b)]).collect(), x.to_vec()],
        _ => {
            let second: Vec<u8> = pairs().map(|(p, q)| THIRD[usize::from(p ^ q)]).collect();
            [x.iter().zip(&second).map(|(p, b)| p ^ b).collect(), second]
        }
    }
}

/// What all pieces of a block agree on: capture, channels, frames.
type Terms = (MediaTime, u8, u16);

/// Pieces that came, until a second one of their block does. See the module text.
#[derive(Default)]
pub struct Assembly {
    blocks: BTreeMap<u64, (Terms, u8, Vec<u8>)>,
}

impl Assembly {
    pub fn new() -> Self {
        Self::default()
    }

    /// A piece came; the block, if that is enough for it. Pieces that contradict an earlier one of their block take its place.
    pub fn push(&mut self, piece: &Piece<'_>) -> Option<Numbered<MediaTime>> {
        debug_assert!(usize::from(piece.index) < PIECES);
        let terms = (piece.capture, piece.channels, piece.frames);
        match self.blocks.get(&piece.number) {
            Some((known, index, _)) if *known == terms && *index == piece.index => return None,
            Some((known, index, payload)) if *known == terms && payload.len() == piece.payload.len() => {
                let mut both = [(*index, payload.as_slice()), (piece.index, piece.payload)];
                both.sort_unstable_by_key(|(index, _)| *index);
                let [mut bytes, second] = join(both[0], both[1]);
                bytes.extend_from_slice(&second);
                bytes.truncate(usize::from(piece.frames) * 2 * usize::from(piece.channels));
                self.blocks.remove(&piece.number);
                let (number, capture, channels) = (piece.number, piece.capture, piece.channels);
                return Some(Numbered { number, block: Block { capture, channels, samples: sound::samples(&bytes) } });
            }
            _ => {}
        }
        self.blocks.insert(piece.number, (terms, piece.index, piece.payload.to_vec()));
        if self.blocks.len() > BLOCKS {
            self.blocks.pop_first();
        }
        None
    }

    /// The block came another way.
    pub fn forget(&mut self, number: u64) {
        self.blocks.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(samples: &[i16], frames: u16, channels: u8) -> Vec<Vec<u8>> {
        (0..PIECES as u8)
            .map(|index| {
                let mut payload = Vec::new();
                cut(samples, frames, channels, index, &mut payload);
                payload
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_two_pieces_are_the_block(
            frames in 1u16..=480, channels in 1u8..=2, i in 0usize..PIECES, other in 1usize..PIECES, dice in any::<u64>(),
        ) {
            let len = usize::from(frames) * usize::from(channels);
            let samples: Vec<i16> = (0..len as u64).map(|n| (dice.wrapping_mul(n * 2 + 1) >> 40) as i16).collect();
            let pieces = pieces(&samples, frames, channels);
            prop_assert!(pieces.iter().all(|piece| piece.len() == Piece::len_of(frames, channels)));
            let mut assembly = Assembly::new();
            let piece = |index: usize| Piece {
                number: 7, capture: MediaTime::ZERO, channels, frames, index: index as u8, payload: &pieces[index],
            };
            prop_assert_eq!(assembly.push(&piece(i)), None);
            prop_assert_eq!(assembly.push(&piece(i)), None, "a copy of a piece is no second piece");
            let whole = assembly.push(&piece((i + other) % PIECES)).expect("two are enough");
            prop_assert_eq!(&*whole.block.samples, samples);
            prop_assert!(assembly.blocks.is_empty());
        }
    }

    #[test]
    fn a_peer_that_finishes_nothing_costs_bounded_memory() {
        let mut assembly = Assembly::new();
        for number in 0..10_000 {
            let payload = [0; 960];
            let piece =
                Piece { number: number * 977, capture: MediaTime::ZERO, channels: 2, frames: 480, index: 0, payload: &payload };
            assert_eq!(assembly.push(&piece), None);
        }
        assert_eq!(assembly.blocks.len(), BLOCKS);
        assert_eq!(assembly.blocks.last_key_value().map(|(number, _)| *number), Some(9_999 * 977), "the newest are kept");
    }

    #[test]
    fn a_piece_that_contradicts_the_one_before_is_not_joined_to_it() {
        let mut assembly = Assembly::new();
        let payload = [1; 960];
        let good = Piece { number: 1, capture: MediaTime::ZERO, channels: 2, frames: 480, index: 0, payload: &payload };
        assert_eq!(assembly.push(&good), None);
        assert_eq!(assembly.push(&Piece { channels: 1, frames: 480, index: 1, payload: &payload[..480], ..good }), None);
        assert_eq!(assembly.push(&Piece { index: 2, ..good }), None, "it stands against the second now");
        assert!(assembly.push(&Piece { index: 1, ..good }).is_some());
    }
}
