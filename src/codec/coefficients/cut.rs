//! MCUs of a camera's JPEG → a scan of their own, and the tables that go with it.
//!
//! AC bits are copied; DC is a difference to the block before, which is another one here, so it is coded anew, with Annex K's
//! codes: these have all twelve sizes. The quantisers are the camera's. Its AC codes are written only where they are not Annex
//! K's, which nearly all cameras use, or where a band goes whole: a packed slice without any means Annex K's (PROTOCOL §6.3).

use super::super::packed;
use super::super::settings::Settings;
use super::{Coefficients, Component};
use eyeline_proto::media::jpeg::bits::{self, BitWriter};
use eyeline_proto::media::jpeg::segments::Refusal;
use eyeline_proto::media::jpeg::tables::{self, DHT, DQT, DRI, RST0, SOF0, SOS};
use eyeline_proto::media::parts::{Part, Parts};
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::slice::{Head, MAX_LEN, Tables};
use std::time::Duration;

impl Coefficients {
    /// The slices of picture number `picture` that have these parts. An error where one of them would be too long.
    pub fn slices(&self, picture: u64, capture: MediaTime, settings: Settings, parts: &Parts) -> Result<Vec<Slice>, Refusal> {
        let Some((sampling, size)) = self.kind else { return Ok(Vec::new()) };
        let (columns, mcu_height) = (sampling.mcus(size).width as usize, sampling.mcu().height);
        let slice = |(index, part): (usize, &Part)| {
            let restart = if part.mcus.is_some() { packed::RESTART } else { columns as u16 };
            let tables = self.tables(restart, part.mcus.is_some());
            let first = (part.top / mcu_height) as usize * columns;
            let scan = match &part.mcus {
                Some(some) => self.scan(some.mcus().iter().map(|mcu| first + mcu), restart),
                None => self.scan(first..first + part.rows.div_ceil(mcu_height) as usize * columns, restart),
            };
            let head = Head {
                sampling,
                // Of no MCUs there are no tables.
                tables: if part.coded == 0 { Tables::Own(settings.quality.clamp(1, 100)) } else { Tables::Foreign(&tables) },
                size,
                top: part.top as u16,
                rows: part.rows as u16,
                restart,
                capture,
                queued: Duration::ZERO,
                encoded: Duration::ZERO,
                shared: parts.shared as u8,
                owed: parts.owed as u8,
                position: settings.position,
                mcus: part.mcus.as_ref().map(|some| some.mcus()),
            };
            if LENGTH_PREFIX + head.encoded_len() + scan.len() > MAX_LEN {
                return Err(Refusal::Unfit("a slice of it would be longer than 4 MiB"));
            }
            Ok(Slice::new(picture, index as u8, parts.parts.len() as u8, &head, &scan))
        };
        parts.parts.iter().enumerate().map(slice).collect()
    }

    /// The scan of these MCUs, side by side, with a marker each `restart`. They are the picture's, which [`Coefficients::read`]
    /// accepted.
    pub fn scan(&self, mcus: impl Iterator<Item = usize>, restart: u16) -> Vec<u8> {
        let Some((sampling, _)) = self.kind else { return Vec::new() };
        let all = tables::blocks(sampling);
        let luma = all.saturating_sub(2).max(1);
        let mut out = BitWriter::default();
        let mut before = [0; 3];
        for (place, mcu) in mcus.enumerate() {
            let restart = usize::from(restart);
            if place > 0 && place % restart == 0 {
                out.pad();
                out.bytes.extend_from_slice(&[0xFF, RST0 + ((place / restart - 1) % 8) as u8]);
                before = [0; 3];
            }
            for (index, block) in self.blocks[mcu * all..(mcu + 1) * all].iter().enumerate() {
                let component = (index + 1).saturating_sub(luma);
                let dc = i32::from(block.dc);
                let difference = dc - std::mem::replace(&mut before[component], dc);
                let size = 32 - difference.unsigned_abs().leading_zeros();
                let (code, length) = tables::dc_code(component > 0, size as u8);
                out.put(code.into(), length.into());
                let below = if difference < 0 { (1 << size) - 1 } else { 0 };
                out.put((difference + below) as u32, size);
                bits::copy(&self.scan, block.at as usize, block.bits.into(), &mut out);
            }
        }
        out.pad();
        out.bytes
    }

    /// The segments of slices that carry such scans: packed ones, or those of whole bands.
    pub fn tables(&self, restart: u16, packed: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(700);
        let Some((sampling, size)) = self.kind else { return out };
        // Both colours share one quantiser, as nearly everywhere, or have one each.
        let shared = self.components.windows(2).skip(1).all(|colours| colours[0].quantiser == colours[1].quantiser);
        let quantiser = |component: usize| if shared { component.min(1) } else { component } as u8;
        for (id, component) in self.components.iter().enumerate().filter(|(at, _)| usize::from(quantiser(*at)) == *at) {
            tables::segment(&mut out, DQT, &[&[id as u8], &component.quantiser]);
        }
        self.frame(&mut out, (sampling, size), quantiser);
        let own: Vec<usize> = (0..self.components.len().min(2)).collect();
        if !packed || own.iter().any(|id| !self.components[*id].has_annex_k(*id)) {
            for id in own {
                tables::dc_table(&mut out, id);
                tables::segment(&mut out, DHT, &[&[0x10 | id as u8], &self.components[id].listed]);
            }
        }
        tables::segment(&mut out, DRI, &[&restart.to_be_bytes()]);
        let selectors: &[u8] = &[1, 0x00, 2, 0x11, 3, 0x11];
        let count = self.components.len();
        tables::segment(&mut out, SOS, &[&[count as u8], &selectors[..2 * count], &[0, 63, 0]]);
        out
    }

    fn frame(&self, out: &mut Vec<u8>, (sampling, size): (Sampling, Size), quantiser: impl Fn(usize) -> u8) {
        let mcu = sampling.mcu();
        let factors = ((mcu.width / 8) << 4 | (mcu.height / 8)) as u8;
        let component = |at: usize| [at as u8 + 1, if at == 0 { factors } else { 0x11 }, quantiser(at)];
        let components: Vec<u8> = (0..self.components.len()).flat_map(component).collect();
        let [height, width] = [size.height, size.width].map(|side| (side as u16).to_be_bytes());
        tables::segment(out, SOF0, &[&[8], &height, &width, &[self.components.len() as u8], &components]);
    }
}

impl Component {
    /// Whether its AC codes are those that Annex K has for luma (0) or colour (1).
    fn has_annex_k(&self, id: usize) -> bool {
        let (lengths, symbols) = tables::annex_k(1, id);
        self.listed.split_at_checked(16) == Some((lengths, symbols))
    }
}
