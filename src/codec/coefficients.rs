//! A camera's JPEG, read block by block as far as it takes to tell what changed, and to send some of its MCUs as they are.
//!
//! **Problem.** Where the path has no room for a camera's whole JPEGs, it often has some for those of their MCUs that changed.
//! Decoding and encoding them anew takes more than twice the time, and costs a generation of quality. **Choice.** The
//! entropy-coded data is read, not more: of each block the place of its AC bits, its DC, and the first of its coefficients, which
//! tell a change (`changes`). An MCU is sent by copying those bits; only its DC, which is coded as a difference to the block
//! before, is coded anew (`cut`). So whatever of it is sent is what the camera made, bit for bit. **Rejected.** libjpeg's
//! `jpeg_read_coefficients` and `jpeg_write_coefficients`: half as long again, all coefficients in memory, and errors that jump
//! (`longjmp`) through C of our own.
//!
//! Invariant: what [`Coefficients::read`] accepted is a baseline scan of exactly as many blocks as its header announces, each of
//! codes that its tables have, each restart interval of its own. Bytes of a camera, or from a pipe, are not trusted: no bytes
//! make it panic, and it allocates for no more blocks than its data can have.

mod changes;
mod cut;
mod huffman;
mod replenisher;

#[cfg(test)]
mod tests;

pub use changes::Changes;
pub use replenisher::Replenisher;

use super::passthrough;
use super::scan;
use Refusal::{Damaged, Unfit};
use eyeline_proto::media::jpeg::bits::BitReader;
use eyeline_proto::media::jpeg::segments::{self, Layout, Refusal};
use eyeline_proto::media::jpeg::tables::{self, DHT, DQT, SOF0, SOS};
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::slice::{MAX_LEN, MOST_MCUS};
use huffman::{Codes, Coefficient, END, split, value};

/// So many coefficients of a block are compared, the first in zigzag order: its five lowest diagonals, and one more.
const COMPARED: usize = 16;

/// A block's, dequantised: the DC first.
type Low = [i16; COMPARED];

/// DC beyond which no picture of 8 bits is (T.81 F.1.1.4: twelve bits with sign, less the shift of levels).
const DC: std::ops::RangeInclusive<i32> = -1024..=1023;

/// Bits of the longest AC coefficient of 8 bits.
const AC_BITS: u32 = 10;

/// What a DC takes, its code and its difference, on average.
const DC_BITS: u64 = 6;

const NO_CODE: Refusal = Damaged("its data has codes that its tables have not");

/// Of one block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Block {
    /// Quantised.
    dc: i16,
    /// How many bits its AC coefficients take, its end included, and the first of them in `Coefficients::scan`.
    bits: u16,
    at: u32,
}

/// A component's tables.
#[derive(Clone)]
struct Component {
    /// Quantiser, in zigzag order.
    quantiser: [u8; 64],
    /// Its AC codes as DHT lists them: lengths, then symbols.
    listed: Vec<u8>,
    dc: Codes,
    ac: Codes,
}

/// See the module text. Kept from picture to picture, for its memory and its tables.
#[derive(Default)]
pub struct Coefficients {
    kind: Option<(Sampling, Size)>,
    /// The segments that `components` are of.
    segments: Vec<u8>,
    components: Vec<Component>,
    /// The entropy-coded data, without stuffing and markers.
    scan: Vec<u8>,
    /// MCU after MCU, each in the order of its blocks (T.81 A.2.3).
    blocks: Vec<Block>,
    low: Vec<Low>,
}

impl Coefficients {
    /// Reads a camera's JPEG. After an error there is nothing in it.
    pub fn read(&mut self, jpeg: &[u8]) -> Result<(), Refusal> {
        self.kind = None;
        let parts = passthrough::take_apart(jpeg)?;
        let layout = parts.layout;
        let (sampling, size) = (layout.sampling, layout.size);
        let grid = sampling.mcus(size);
        let mcus = grid.width * grid.height;
        if mcus > MOST_MCUS || parts.scan.len() > MAX_LEN {
            return Err(Unfit("it has more MCUs, or bytes, than are told apart"));
        }
        if self.segments != parts.tables {
            self.segments.clear();
            self.components = components(&parts.tables, sampling)?;
            self.segments = parts.tables;
        }
        let jpeg = &jpeg[parts.scan];
        let blocks = mcus as usize * tables::blocks(sampling);
        // A block takes two bits at least.
        if blocks * 2 > jpeg.len() * 8 {
            return Err(Damaged("it is too short for its size"));
        }
        let intervals = self.clean(jpeg, &layout)?;
        self.blocks.clear();
        self.blocks.resize(blocks, Block::default());
        self.low.resize(blocks, Low::default());
        Reading { layout, components: &self.components, blocks: &mut self.blocks, low: &mut self.low }
            .all(&self.scan, &intervals)?;
        self.kind = Some((sampling, size));
        Ok(())
    }

    /// What kind of picture was read last; `None` where that failed.
    pub fn kind(&self) -> Option<(Sampling, Size)> {
        self.kind
    }

    /// Which share of its bits these MCUs have, which are the picture's: about that of the bytes that they take alone.
    pub fn share(&self, mcus: &McuSet) -> f64 {
        let Some((sampling, _)) = self.kind else { return 0.0 };
        let each = tables::blocks(sampling);
        let bits = |blocks: &[Block]| blocks.iter().map(|block| u64::from(block.bits) + DC_BITS).sum::<u64>();
        let some: u64 = mcus.runs(0..mcus.of()).map(|run| bits(&self.blocks[run.start * each..run.end * each])).sum();
        some as f64 / bits(&self.blocks).max(1) as f64
    }

    /// About how long its scan is.
    pub fn bytes(&self) -> usize {
        self.scan.len()
    }

    /// Takes stuffing and restart markers out of a scan, and says where its intervals end.
    fn clean(&mut self, scan: &[u8], layout: &Layout) -> Result<Vec<usize>, Refusal> {
        let mcus = layout.sampling.mcus(layout.size);
        let count = match layout.restart {
            0 => 1,
            restart => (mcus.width * mcus.height).div_ceil(u32::from(restart)) as usize,
        };
        let len = scan::whole(scan, count).ok_or(Damaged("its restart markers are not what it announces"))?;
        let (scan, out) = (&scan[..len], &mut self.scan);
        out.clear();
        let (mut ends, mut from) = (Vec::with_capacity(count), 0);
        for at in memchr::memchr_iter(0xFF, scan) {
            out.extend_from_slice(&scan[from.min(at)..at]);
            // What stands for 0xFF, a fill byte, or a marker.
            let behind = match scan.get(at + 1) {
                Some(0x00) => {
                    out.push(0xFF);
                    2
                }
                Some(0xFF) | None => 1,
                Some(_) => {
                    ends.push(out.len());
                    2
                }
            };
            from = at + behind;
        }
        out.extend_from_slice(&scan[from.min(len)..]);
        ends.resize(count, out.len());
        Ok(ends)
    }
}

/// A picture in work.
struct Reading<'a> {
    layout: Layout,
    components: &'a [Component],
    blocks: &'a mut [Block],
    low: &'a mut [Low],
}

impl Reading<'_> {
    /// All of it, from data whose restart intervals end at these bytes.
    fn all(&mut self, scan: &[u8], ends: &[usize]) -> Result<(), Refusal> {
        let grid = self.layout.sampling.mcus(self.layout.size);
        // The JPEG's own MCUs, which may be two of ours, one above the other.
        let high = if self.layout.tall { 2 } else { 1 };
        let (columns, rows) = (grid.width as usize, (grid.height as usize).div_ceil(high));
        let each = match self.layout.restart {
            0 => columns * rows,
            restart => restart.into(),
        };
        let mut begin = 0;
        for (interval, &end) in ends.iter().enumerate() {
            let mut reader = BitReader::new(&scan[..end], begin);
            let mut before = [0; 3];
            for mcu in interval * each..(columns * rows).min((interval + 1) * each) {
                self.mcu(&mut reader, &mut before, (mcu / columns * high, mcu % columns))?;
                if reader.at() > 8 * end {
                    return Err(Damaged("its data ends too early"));
                }
            }
            // Some cameras fill up to a round number of bytes.
            if !scan[reader.at().div_ceil(8)..end].iter().all(|byte| matches!(byte, 0x00 | 0xFF)) {
                return Err(Damaged("it has more data than it announces"));
            }
            begin = end;
        }
        Ok(())
    }

    /// One MCU of the JPEG, at this row and column of ours. `before`: of each component the DC of the block before.
    fn mcu(&mut self, reader: &mut BitReader<'_>, before: &mut [i32; 3], (row, column): (usize, usize)) -> Result<(), Refusal> {
        let Layout { sampling, size, tall, .. } = self.layout;
        let grid = sampling.mcus(size);
        let (columns, rows) = (grid.width as usize, grid.height as usize);
        let all = tables::blocks(sampling);
        let luma = all.saturating_sub(2).max(1);
        let mut first = 0;
        for (component, before) in self.components.iter().zip(before) {
            let count = if first == 0 { luma } else { 1 };
            for half in 0..if tall { 2 } else { 1 } {
                for index in 0..count {
                    let (block, low) = component.block(reader, before)?;
                    // The lower half of what is high may be beyond the picture.
                    if row + half < rows {
                        let at = ((row + half) * columns + column) * all + first + index;
                        (self.blocks[at], self.low[at]) = (block, low);
                    }
                }
            }
            first += count;
        }
        Ok(())
    }
}

impl Component {
    /// Reads a block; `dc` is that of the block before, and then its own.
    #[inline]
    fn block(&self, reader: &mut BitReader<'_>, dc: &mut i32) -> Result<(Block, Low), Refusal> {
        let bits = reader.peek();
        let (length, size) = split(self.dc.find(bits));
        if length == 0 {
            return Err(NO_CODE);
        }
        *dc += value(bits << length, size);
        reader.skip(length + size);
        if !DC.contains(dc) {
            return Err(Damaged("it is brighter than white"));
        }
        // Those beyond what is compared are written over each other.
        let mut levels = [0; COMPARED + 1];
        levels[0] = level(*dc, self.quantiser[0]);
        let at = reader.at();
        let mut k = 1;
        while k < 64 {
            let bits = reader.peek();
            let mut found = self.ac.coefficient(bits);
            if found.bits == 0 {
                found = self.longer(bits)?;
            }
            k += usize::from(found.further);
            let place = (k - 1).min(COMPARED);
            levels[place] = level(found.value.into(), self.quantiser[place]);
            reader.skip(found.bits.into());
        }
        if (65..END).contains(&k) {
            return Err(Damaged("a block has more coefficients than 64"));
        }
        let mut low = [0; COMPARED];
        low.copy_from_slice(&levels[..COMPARED]);
        Ok((Block { dc: *dc as i16, bits: (reader.at() - at) as u16, at: at as u32 }, low))
    }

    /// An AC coefficient that takes many bits.
    fn longer(&self, bits: u64) -> Result<Coefficient, Refusal> {
        let (length, symbol) = split(self.ac.find(bits));
        let (run, size) = (symbol as u8 >> 4, symbol & 15);
        match (length, run, size) {
            (0, ..) => Err(NO_CODE),
            (_, 0, 0) => Ok(Coefficient { bits: length as u8, further: END as u8, value: 0 }),
            (_, 15, 0) => Ok(Coefficient { bits: length as u8, further: 16, value: 0 }),
            (_, _, 1..=AC_BITS) => {
                let value = value(bits << length, size) as i16;
                Ok(Coefficient { bits: (length + size) as u8, further: run + 1, value })
            }
            _ => Err(Damaged("it has coefficients that 8 bits have not")),
        }
    }
}

/// Dequantised.
fn level(coefficient: i32, quantiser: u8) -> i16 {
    (coefficient * i32::from(quantiser)).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// What a camera's segments, which were parsed, say of each component.
fn components(kept: &[u8], sampling: Sampling) -> Result<Vec<Component>, Refusal> {
    let (mut quantisers, mut huffman) = ([[0; 64]; 4], <[[Vec<u8>; 4]; 2]>::default());
    let (mut frame, mut selectors): (&[u8], &[u8]) = (&[], &[]);
    let mut at = 0;
    while at < kept.len() {
        let segment = segments::next(kept, at)?;
        at = segment.at - 4 + segment.bytes.len();
        match segment.marker {
            DQT => {
                for table in segment.payload().chunks_exact(65) {
                    quantisers[usize::from(table[0]) & 3].copy_from_slice(&table[1..]);
                }
            }
            DHT => segments::huffman_tables(segment.payload(), &mut |class, id, lengths, symbols| {
                huffman[class][id] = [lengths, symbols].concat();
            })?,
            SOF0 => frame = &segment.payload()[6..],
            SOS => selectors = &segment.payload()[1..],
            _ => {}
        }
    }
    let count = if sampling == Sampling::Grey { 1 } else { 3 };
    let codes = |listed: &[u8], of: fn(&[u8], &[u8]) -> Codes| {
        let (lengths, symbols) = listed.split_at_checked(16).ok_or(Damaged("a component has no tables"))?;
        Ok(of(lengths, symbols))
    };
    let component = |(frame, selector): (&[u8], &[u8])| {
        let (dc, ac) = (&huffman[0][usize::from(selector[1] >> 4) & 3], &huffman[1][usize::from(selector[1]) & 3]);
        let quantiser = quantisers[usize::from(frame[2]) & 3];
        Ok(Component { quantiser, listed: ac.clone(), dc: codes(dc, Codes::new)?, ac: codes(ac, Codes::of_ac)? })
    };
    let components: Vec<Component> =
        frame.chunks_exact(3).zip(selectors.chunks_exact(2)).take(count).map(component).collect::<Result<_, Refusal>>()?;
    match &components[..] {
        [_, cb, cr] if cb.listed != cr.listed => Err(Unfit("its two colours have codes of their own")),
        _ => Ok(components),
    }
}
