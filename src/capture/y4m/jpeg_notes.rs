//! What segments of a JPEG beside the picture say about it: how it is to be turned (Exif 2.32, 4.6.4), how wide its pixels are
//! (JFIF 1.02), which further pictures belong to it (CIPA DC-007, MPF), and that it is itself a gain map (ISO 21496-1, Adobe's
//! `hdrgm`).
//!
//! Cameras write much nonsense here: what cannot be read says nothing, and never makes a picture unusable.

use memchr::memmem;

use eyeline_proto::picture::{Turn, View};

/// More pictures in one file than any camera puts there.
const MOST_COMPANIONS: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes {
    /// How it is to be seen.
    pub view: View,
    /// The lengths in bytes of the pictures that follow and belong to it.
    pub companions: Vec<u32>,
    /// Whether it is the gain map of the picture before it.
    pub gain_map: bool,
    /// How an Adobe marker says its components are to be read.
    pub transform: Option<u8>,
}

impl Default for Notes {
    fn default() -> Self {
        Notes { view: View::PLAIN, companions: Vec::new(), gain_map: false, transform: None }
    }
}

impl Notes {
    /// Takes in the segment of marker `code`.
    pub fn take(&mut self, code: u8, segment: &[u8]) {
        match code {
            0xE0 => {
                // Units 0: what follows is no density but the aspect of a pixel.
                if let Some(&[x1, x0, y1, y0]) = segment.strip_prefix(b"JFIF\0").and_then(|rest| rest.get(3..7))
                    && segment[7] == 0
                {
                    let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
                    self.view = self.view.with_aspect((side(x1, x0), side(y1, y0)));
                }
            }
            0xE1 => {
                if let Some(tiff) = segment.strip_prefix(b"Exif\0\0").and_then(Tiff::open) {
                    let orientation = tiff.entry(0x0112).and_then(|entry| tiff.short(entry + 8));
                    self.view.turn = Turn::from_exif(orientation.unwrap_or(1));
                } else if memmem::find(segment, b"hdrgm:GainMap").is_some() {
                    // The picture that has a gain map lists it in a container, and may say its version.
                    self.gain_map = memmem::find(segment, b"Container:").is_none();
                }
            }
            0xE2 => {
                if let Some(tiff) = segment.strip_prefix(b"MPF\0").and_then(Tiff::open) {
                    self.companions = companions(&tiff).unwrap_or_default();
                }
            }
            0xEE if segment.starts_with(b"Adobe") => self.transform = segment.get(11).copied(),
            _ => {}
        }
    }
}

/// The lengths in the index of a multi-picture file, without the first picture's.
fn companions(tiff: &Tiff<'_>) -> Option<Vec<u32>> {
    let entry = tiff.entry(0xB002)?;
    let (bytes, at) = (tiff.long(entry + 4)? as usize, tiff.long(entry + 8)? as usize);
    Some((1..(bytes / 16).min(MOST_COMPANIONS)).map_while(|number| tiff.long(at.checked_add(16 * number + 4)?)).collect())
}

/// A TIFF header and its first directory, as Exif and MPF have it.
struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl<'a> Tiff<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        match bytes.get(..4)? {
            b"II*\0" => Some(Tiff { bytes, little: true }),
            b"MM\0*" => Some(Tiff { bytes, little: false }),
            _ => None,
        }
    }

    fn short(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// Where the directory has the entry with this tag.
    fn entry(&self, tag: u16) -> Option<usize> {
        let directory = self.long(4)? as usize;
        let count = usize::from(self.short(directory)?);
        (0..count).map_while(|number| directory.checked_add(2 + 12 * number)).find(|&at| self.short(at) == Some(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exif(orientation: u8) -> Vec<u8> {
        let entry = [&[1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0][..], &[0; 4]].concat();
        [&b"Exif\0\0MM\0*\0\0\0\x08\0\x01"[..], &entry].concat()
    }

    fn taken(code: u8, segment: &[u8]) -> Notes {
        let mut notes = Notes::default();
        notes.take(code, segment);
        notes
    }

    #[test]
    fn orientation_and_aspect_are_read_and_nonsense_says_nothing() {
        assert_eq!(taken(0xE1, &exif(6)).view.turn, Turn::from_exif(6));
        assert_eq!(taken(0xE1, &exif(99)).view, View::PLAIN);
        let jfif = |units: u8, x: u8, y: u8| [b"JFIF\0\x01\x02", &[units, 0, x, 0, y, 0, 0][..]].concat();
        assert_eq!(taken(0xE0, &jfif(0, 64, 45)).view.aspect, (64, 45));
        assert_eq!(taken(0xE0, &jfif(1, 72, 96)).view, View::PLAIN, "dots an inch");
        assert_eq!(taken(0xE0, &jfif(0, 0, 0)).view, View::PLAIN);
        for end in 0..exif(6).len() - 6 {
            assert_eq!(taken(0xE1, &exif(6)[..end]).view, View::PLAIN, "{end}");
        }
    }

    #[test]
    fn the_index_of_a_multi_picture_file_gives_the_lengths_of_the_others() {
        let entries =
            [[0, 50_000, 0, 0], [0, 1234, 49_000, 0], [0, 777, 50_234, 0]].map(|entry: [u32; 4]| entry.map(u32::to_le_bytes));
        let directory = [&[1u8, 0, 2, 0xB0, 7, 0][..], &48u32.to_le_bytes(), &26u32.to_le_bytes(), &[0; 4]].concat();
        let segment = [&b"MPF\0II*\0\x08\0\0\0"[..], &directory, entries.as_flattened().as_flattened()].concat();
        assert_eq!(taken(0xE2, &segment).companions, [1234, 777]);
        for end in 0..segment.len() {
            assert!(taken(0xE2, &segment[..end]).companions.len() <= 2, "{end}");
        }
    }

    #[test]
    fn a_gain_map_says_so_and_the_picture_it_belongs_to_does_not() {
        let map = b"http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version=\"1.0\" hdrgm:GainMapMax=\"2\"/>";
        assert!(taken(0xE1, map).gain_map);
        assert!(!taken(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version=\"1.0\"><Container:Directory/>").gain_map);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            code in 0xE0u8..=0xEF,
            prefix in prop_oneof![Just(&b"Exif\0\0II*\0"[..]), Just(&b"MPF\0MM\0*"[..]), Just(&b"JFIF\0"[..]), Just(&b"Adobe"[..])],
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let notes = taken(code, &[prefix, &bytes].concat());
            prop_assert!(notes.companions.len() < MOST_COMPANIONS);
        }
    }
}
