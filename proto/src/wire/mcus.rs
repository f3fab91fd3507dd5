//! Which MCUs of its band a packed slice has.
//!
//! ```text
//!  0       2      3
//!  count   form   places…
//!  u16     u8     0: a bit an MCU of the band, row by row, the first in the highest bit; the bits behind the last are 0
//!                 1: pairs of u8, MCUs that are left out and MCUs that are there, until `count` are there; no pair of two zeros
//! ```
//!
//! Invariant: what [`Mcus::decode`] accepts names exactly `count` MCUs of the band, each once, row by row. Nothing is allocated.

use super::{Error, Reader};
use std::ops::Range;

const BITS: u8 = 0;
const RUNS: u8 = 1;

/// See the module text; as it stands in a slice's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mcus<'a> {
    count: u16,
    form: u8,
    places: &'a [u8],
}

/// [`Mcus`] that are about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    count: u16,
    form: u8,
    places: Vec<u8>,
}

impl Selection {
    /// Of a band of so many MCUs these, in order, each once; in the form that is shorter. `None` where there are more than a head
    /// can count.
    pub fn new(band: usize, chosen: impl Iterator<Item = usize>) -> Option<Selection> {
        let mut bits = vec![0; band.div_ceil(8)];
        let (mut runs, mut next, mut count) = (Runs::default(), 0, 0_u16);
        for mcu in chosen {
            debug_assert!((next..band).contains(&mcu), "MCU {mcu} after {next} of {band}");
            bits[mcu / 8] |= 0x80 >> (mcu % 8);
            runs.push(mcu - next);
            next = mcu + 1;
            count = count.checked_add(1)?;
        }
        let runs = runs.finish();
        let (form, places) = if runs.len() < bits.len() { (RUNS, runs) } else { (BITS, bits) };
        Some(Selection { count, form, places })
    }

    /// As a head has them.
    pub fn mcus(&self) -> Mcus<'_> {
        Mcus { count: self.count, form: self.form, places: &self.places }
    }
}

/// Pairs being written.
#[derive(Default)]
struct Runs {
    out: Vec<u8>,
    /// The last pair, which may grow.
    skip: u8,
    run: u8,
}

impl Runs {
    /// One MCU, after so many that are left out.
    fn push(&mut self, mut skip: usize) {
        if skip > 0 || self.run == u8::MAX {
            self.close();
        }
        while skip > usize::from(u8::MAX) {
            self.out.extend_from_slice(&[u8::MAX, 0]);
            skip -= usize::from(u8::MAX);
        }
        if skip > 0 {
            self.skip = skip as u8;
        }
        self.run += 1;
    }

    fn close(&mut self) {
        if self.run > 0 {
            self.out.extend_from_slice(&[self.skip, self.run]);
        }
        (self.skip, self.run) = (0, 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.close();
        self.out
    }
}

impl<'a> Mcus<'a> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.into()
    }

    /// Bytes in the head.
    pub fn encoded_len(&self) -> usize {
        3 + self.places.len()
    }

    /// The same of a head that is kept without its bytes; [`Mcus::with`] gives them back.
    pub(crate) fn apart(&self) -> (Mcus<'static>, usize) {
        (Mcus { places: &[], ..*self }, self.places.len())
    }

    /// What [`Mcus::apart`] took the bytes from.
    pub(crate) fn with<'b>(&self, places: &'b [u8]) -> Mcus<'b> {
        Mcus { places, ..*self }
    }

    /// Their bytes: count and form, and the places.
    pub fn fields(&self) -> ([u8; 3], &'a [u8]) {
        let [high, low] = self.count.to_be_bytes();
        ([high, low, self.form], self.places)
    }

    /// Those of a band of so many MCUs.
    pub fn decode(reader: &mut Reader<'a>, band: usize) -> Result<Self, Error> {
        let count = reader.u16("MCU count")?;
        if usize::from(count) > band {
            return Err(reader.invalid("MCU count", count.into(), 2));
        }
        let form = reader.u8("form of places")?;
        let places = match form {
            BITS => {
                let bits = reader.bytes(band.div_ceil(8), "places")?;
                let named: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
                let behind = bits.last().is_some_and(|last| !band.is_multiple_of(8) && last << (band % 8) != 0);
                if named != count.into() || behind {
                    return Err(reader.invalid("places", named.into(), bits.len()));
                }
                bits
            }
            RUNS => {
                let mut ahead = *reader;
                let (mut pairs, mut named, mut end) = (0, 0, 0);
                while named < usize::from(count) {
                    let [skip, run] = ahead.array("places")?.map(usize::from);
                    (pairs, named, end) = (pairs + 1, named + run, end + skip + run);
                    if skip + run == 0 || named > count.into() || end > band {
                        return Err(ahead.invalid("places", named as u64, 2));
                    }
                }
                reader.bytes(2 * pairs, "places")?
            }
            form => return Err(reader.invalid("form of places", form.into(), 1)),
        };
        Ok(Mcus { count, form, places })
    }

    /// Those that follow each other, run by run: their numbers in the band, row by row.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> + Clone + use<'a> {
        let (bits, pairs) = if self.form == BITS { (self.places, &[][..]) } else { (&[][..], self.places) };
        let mut next = 0;
        let pairs = pairs.chunks_exact(2).map(move |pair| {
            let begin = next + usize::from(pair[0]);
            next = begin + usize::from(pair[1]);
            begin..next
        });
        let set = bits.iter().enumerate().flat_map(|(at, byte)| {
            (0..8).filter(move |bit| byte << bit & 0x80 != 0).map(move |bit| 8 * at + bit..8 * at + bit + 1)
        });
        pairs.filter(|run| !run.is_empty()).chain(set)
    }

    /// Their numbers in the band.
    pub fn iter(&self) -> impl Iterator<Item = usize> + Clone + use<'a> {
        self.runs().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(selection: &Selection) -> Vec<u8> {
        let (front, places) = selection.mcus().fields();
        let out = [&front[..], places].concat();
        assert_eq!(out.len(), selection.mcus().encoded_len());
        out
    }

    fn decoded(bytes: &[u8], band: usize) -> Result<Vec<usize>, Error> {
        let mut reader = Reader::new(bytes);
        let mcus = Mcus::decode(&mut reader, band)?;
        reader.end()?;
        Ok(mcus.iter().collect())
    }

    proptest! {
        #[test]
        fn whatever_is_chosen_comes_back(band in 1_usize..3000, chosen in prop::collection::btree_set(0_usize..3000, 0..400)) {
            let chosen: Vec<usize> = chosen.into_iter().filter(|mcu| *mcu < band).collect();
            let bytes = encoded(&Selection::new(band, chosen.iter().copied()).unwrap());
            prop_assert!(bytes.len() <= 3 + band.div_ceil(8));
            prop_assert_eq!(decoded(&bytes, band), Ok(chosen));
        }

        #[test]
        fn whatever_comes_names_as_many_as_it_says_in_order_and_in_the_band(
            bytes in prop::collection::vec(any::<u8>(), 0..200), band in 0_usize..600, count in 0_u8..20, form in 0_u8..2,
        ) {
            let bytes = [&[0, count, form][..], &bytes].concat();
            let mut reader = Reader::new(&bytes);
            if let Ok(mcus) = Mcus::decode(&mut reader, band) {
                let named: Vec<usize> = mcus.iter().collect();
                prop_assert_eq!(named.len(), mcus.count());
                prop_assert!(named.windows(2).all(|pair| pair[0] < pair[1]) && named.iter().all(|mcu| *mcu < band));
            }
        }
    }

    #[test]
    fn few_are_named_by_runs_and_many_by_bits() {
        let of = |chosen: &[usize]| encoded(&Selection::new(700, chosen.iter().copied()).unwrap());
        assert_eq!(of(&[]), [0, 0, RUNS]);
        assert_eq!(of(&[3, 4, 5, 9, 600]), [0, 5, RUNS, 3, 3, 3, 1, 255, 0, 255, 0, 80, 1]);
        let all: Vec<usize> = (0..700).collect();
        assert_eq!(of(&all), [2, 188, RUNS, 0, 255, 0, 255, 0, 190]);
        let every_other: Vec<usize> = (0..700).step_by(2).collect();
        assert_eq!(of(&every_other).len(), 3 + 88);
        assert!(Selection::new(70_000, 0..70_000).is_none());
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let refused = |bytes: &[u8], band| match decoded(bytes, band) {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&[0, 9, RUNS, 0, 9], 8), "MCU count");
        assert_eq!(refused(&[0, 1, 2, 0, 1], 8), "form of places");
        assert_eq!(refused(&[0, 2, BITS, 0x80], 8), "places");
        assert_eq!(refused(&[0, 1, BITS, 0x10], 3), "places", "a bit behind the last");
        assert_eq!(refused(&[0, 2, RUNS, 0, 3], 8), "places", "more than it says");
        assert_eq!(refused(&[0, 2, RUNS, 7, 2], 8), "places", "beyond the band");
        assert_eq!(refused(&[0, 2, RUNS, 0, 0], 8), "places", "for ever");
        for len in 0..7 {
            assert!(matches!(decoded(&[0, 2, RUNS, 0, 1, 1, 1][..len], 8), Err(Error::Truncated { .. })), "{len}");
        }
    }
}
