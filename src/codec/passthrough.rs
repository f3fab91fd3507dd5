//! A camera's own JPEG → slices, without decoding: its tables and its scan data go on byte for byte.
//!
//! Where its restart intervals are whole MCU rows the scan is cut between them, and the markers inside a slice count from RST0
//! again; otherwise the picture is one slice. Huffman tables are Annex K's where it carries none (as UVC allows). What is no
//! baseline JPEG of our samplings is [`Refusal::Unfit`] and can be [`decode`]d to be encoded afresh.

use super::raw::{Compressor, Decompressor, Outcome, PlanesMut};
use super::scan::{self, Run};
use super::settings::{Error, Settings};
use super::shrink::Shrink;
use Refusal::{Damaged, Unfit};
use eyeline_proto::media::jpeg::segments::{self, Layout, Refusal, parse};
use eyeline_proto::media::jpeg::tables::{self, EOI};
use eyeline_proto::media::parts::SLICE_BYTES;
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::{self, Buffer, Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::slice::{Head, MAX_LEN, MAX_SLICES, Tables};
use std::ops::Range;
use std::time::Duration;

/// A camera's JPEG taken apart.
pub struct Parts {
    /// The segments that slices carry.
    pub tables: Vec<u8>,
    /// What they say.
    pub layout: Layout,
    /// Where its only scan lies.
    pub scan: Range<usize>,
}

/// The slices of picture number `picture`, top first.
pub fn split(jpeg: &[u8], picture: u64, capture: MediaTime, settings: Settings) -> Result<Vec<Slice>, Refusal> {
    let parts = take_apart(jpeg)?;
    let scan = &jpeg[parts.scan.clone()];
    let cuts = cuts(scan, &parts.layout)?;
    let mcus = parts.layout.sampling.mcus(parts.layout.size);
    let mcu_height = parts.layout.sampling.mcu().height;
    let rows_per_interval = u32::from(parts.layout.restart) / mcus.width * mcu_height;
    let Layout { sampling, size, restart, .. } = parts.layout;
    // What we encoded once goes as if it were new: with the same tables, which need not travel.
    let tables = match tables::quality_of(&jpeg[..parts.scan.start], sampling, size, restart) {
        Some(quality) if restart != 0 => Tables::Own(quality),
        _ => Tables::Foreign(&parts.tables),
    };
    let mut slices = Vec::with_capacity(cuts.len());
    for (index, cut) in cuts.iter().enumerate() {
        let top = cut.first as u32 * rows_per_interval;
        let end = cuts.get(index + 1).map_or(parts.layout.size.height, |next| next.first as u32 * rows_per_interval);
        let head = Head {
            sampling: parts.layout.sampling,
            tables,
            size: parts.layout.size,
            top: top as u16,
            rows: (end - top) as u16,
            restart: parts.layout.restart,
            capture,
            queued: Duration::ZERO,
            encoded: Duration::ZERO,
            shared: cuts.len() as u8,
            owed: cuts.len() as u8,
            position: settings.position,
            mcus: None,
        };
        if LENGTH_PREFIX + head.encoded_len() + cut.bytes.len() > MAX_LEN {
            return Err(Unfit("a slice of it would be longer than 4 MiB"));
        }
        let mut slice = Slice::new(picture, index as u8, cuts.len() as u8, &head, &scan[cut.bytes.clone()]);
        renumber(slice.scan_mut(), cut.first, 0);
        slices.push(slice);
    }
    Ok(slices)
}

/// Makes restart markers that counted from interval `from` count from interval `to`.
pub fn renumber(scan: &mut [u8], from: usize, to: usize) {
    if from % 8 == to % 8 {
        return;
    }
    let mut at = 0;
    loop {
        let next = scan::markers(&scan[at..]).next();
        let Some(marker) = next else { return };
        if let Some(number) = marker.restart() {
            scan[at + marker.at + 1] = tables::RST0 + ((usize::from(number) + 8 - from % 8 + to) % 8) as u8;
        }
        at += marker.at + 2;
    }
}

/// Finds tables and scan of a JPEG that slices can carry.
pub fn take_apart(jpeg: &[u8]) -> Result<Parts, Refusal> {
    let (kept, at) = segments::of(jpeg)?;
    let end = scan::markers(&jpeg[at..]).find(|marker| marker.restart().is_none());
    let end = end.ok_or(Damaged("it has no end"))?;
    if end.code != EOI {
        return Err(Unfit("it has more than one scan"));
    }
    // A camera that always writes an odd table is shown as well as it can be: libjpeg has the last word.
    let layout = parse(&kept).map_err(|refusal| match refusal {
        Damaged(why) | Unfit(why) => Unfit(why),
    })?;
    Ok(Parts { tables: kept, layout, scan: at..at + end.at })
}

/// Where to cut: runs of intervals of about [`SLICE_BYTES`], or all in one.
fn cuts(scan: &[u8], layout: &Layout) -> Result<Vec<Run>, Refusal> {
    let mcus = layout.sampling.mcus(layout.size);
    let intervals = match layout.restart {
        0 => 1,
        restart => (mcus.width * mcus.height).div_ceil(u32::from(restart)) as usize,
    };
    if scan::whole(scan, intervals).is_none() {
        return Err(Unfit("its restart markers are not what it announces"));
    }
    let mut runs = vec![Run { first: 0, count: intervals, bytes: 0..scan.len() }];
    if layout.restart == 0 || u32::from(layout.restart) % mcus.width != 0 {
        return Ok(runs);
    }
    // Every cut but the last is at least this long, so there are at most `MAX_SLICES`.
    let least = SLICE_BYTES.max(scan.len() / (MAX_SLICES - 1) + 1);
    for (before, marker) in scan::markers(scan).enumerate().take(intervals - 1) {
        let interval = before + 1;
        let run = runs.last_mut().expect("there is always one");
        if marker.at - run.bytes.start >= least {
            (run.count, run.bytes.end) = (interval - run.first, marker.at);
            runs.push(Run { first: interval, count: intervals - interval, bytes: marker.at + 2..scan.len() });
        }
    }
    Ok(runs)
}

/// Decodes a whole JPEG to planes in a buffer of `pool`: what cannot be passed through, or has to be made smaller. What is not in
/// one of our samplings comes out as 4:4:4. Also says whether the decoder found something wrong with it.
pub fn decode(jpeg: &[u8], pool: &picture::BufferPool) -> Result<(Size, Sampling, Buffer, Outcome), Error> {
    let mut decompressor = Decompressor::new()?;
    let info = decompressor.info(jpeg)?;
    let (size, area) = (info.size, info.size.width as usize * info.size.height as usize);
    let ours = info.sampling.filter(|sampling| info.ycbcr || *sampling == Sampling::Grey);
    // What the library pads (odd sizes with halved colours) takes the way over RGB too.
    let ours = ours.filter(|sampling| super::raw::plane_sizes(*sampling, size)[0] == size);
    let Some(sampling) = ours else {
        let mut pixels = vec![0; area];
        let outcome = decompressor.rgb(jpeg, (size, Shrink::Whole), &mut pixels, size.width as usize)?;
        let mut planes = pool.take(3 * area);
        Compressor::new()?.planes_from_rgb(&pixels, size, &mut planes)?;
        return Ok((size, Sampling::Yuv444, planes, outcome));
    };
    let mut planes = pool.take(sampling.bytes(size));
    let (luma, colour) = planes.split_at_mut(area);
    let (cb, cr) = colour.split_at_mut(colour.len() / 2);
    let stride = sampling.chroma(size).map_or(0, |chroma| chroma.width as usize);
    let out = PlanesMut { planes: [luma, cb, cr], strides: [size.width as usize, stride, stride] };
    let outcome = decompressor.planes(jpeg, sampling, size, out)?;
    if outcome == Outcome::Warned {
        tracing::debug!("a camera's JPEG was decoded although it is not quite right");
    }
    Ok((size, sampling, planes, outcome))
}

#[cfg(test)]
mod tests {
    use super::super::decoder::{Decoder, RgbMut};
    use super::super::raw::Planes;
    use super::super::stitch;
    use super::super::testing::{self, SETTINGS, psnr};
    use super::*;
    use eyeline_proto::media::jpeg::tables::{DHT, DQT, SOI};

    const SIZE: Size = Size { width: 640, height: 480 };
    const MOMENT: MediaTime = MediaTime::from_nanos(5);

    /// A camera's JPEG: APP0 (`AVI1`), a comment, its tables, and `restart` MCUs between markers as [`testing::foreign_slice`]
    /// has them.
    fn camera(restart: u16, huffman: bool) -> Vec<u8> {
        let slice = testing::foreign_slice(&testing::planes(SIZE, Sampling::Yuv420, 9), SIZE, restart);
        let Tables::Foreign(segments) = slice.head().tables else { unreachable!() };
        let mut out = vec![0xFF, SOI];
        tables::segment(&mut out, 0xE0, &[b"AVI1\0\0\0\0"]);
        tables::segment(&mut out, 0xFE, &[b"a comment with \xFF\xD9 in it"]);
        let mut at = 0;
        while at < segments.len() {
            let segment = segments::next(segments, at).unwrap();
            at += segment.bytes.len();
            if huffman || segment.marker != DHT {
                out.extend_from_slice(segment.bytes);
            }
        }
        out.extend_from_slice(slice.scan());
        out.extend_from_slice(&[0xFF, EOI]);
        out
    }

    fn joined(jpeg: &[u8]) -> (usize, Vec<u8>) {
        let slices = split(jpeg, 3, MOMENT, SETTINGS).unwrap();
        for (index, slice) in slices.iter().enumerate() {
            assert_eq!((slice.picture, usize::from(slice.index), usize::from(slice.count)), (3, index, slices.len()));
        }
        (slices.len(), stitch::jpeg(&slices.iter().collect::<Vec<_>>()).unwrap())
    }

    #[test]
    fn a_cameras_jpeg_comes_out_byte_for_byte_with_and_without_restart_markers() {
        for restart in [0, 40] {
            let jpeg = camera(restart, true);
            let (count, joined) = joined(&jpeg);
            let start = jpeg.windows(2).position(|pair| pair == [0xFF, DQT]).unwrap();
            assert!(joined[2..] == jpeg[start..], "restart {restart}");
            assert_eq!(count > 1, restart == 40, "{count} slices");
        }
    }

    #[test]
    fn what_we_encoded_once_comes_out_byte_for_byte_and_its_tables_do_not_travel() {
        let planes = testing::planes(SIZE, Sampling::Yuv420, 9);
        for quality in [40, 80, 100] {
            let head = Head { restart: 40, ..testing::head(SIZE, Sampling::Yuv420, quality, 0, SIZE.height) };
            let jpeg = stitch::jpeg(&[&testing::slice(&planes, &head)]).unwrap();
            let slices = split(&jpeg, 3, MOMENT, SETTINGS).unwrap();
            assert!(slices.iter().all(|slice| slice.head().tables == Tables::Own(quality)));
            assert_eq!(joined(&jpeg).1, jpeg);
        }
    }

    #[test]
    fn slices_are_cut_between_mcu_rows_and_decode_one_by_one() {
        let jpeg = camera(40, true);
        let (mut whole, mut banded) = (vec![0; 640 * 480], vec![0; 640 * 480]);
        Decompressor::new().unwrap().rgb(&jpeg, (SIZE, Shrink::Whole), &mut whole, 640).unwrap();
        let slices = split(&jpeg, 3, MOMENT, SETTINGS).unwrap();
        for slice in &slices {
            let head = slice.head();
            assert!(slice.scan().len() < SLICE_BYTES * 2, "{}", slice.scan().len());
            let out = &mut banded[usize::from(head.top) * 640..];
            let decoded = Decoder::new().unwrap().decode_rgb(slice, RgbMut::whole(out, 640)).unwrap();
            assert_eq!((decoded.rows, decoded.partial, decoded.suspect), (u32::from(head.rows), false, false));
        }
        let differing = whole.chunks(640).zip(banded.chunks(640)).filter(|(a, b)| a != b).count();
        assert!(differing <= 2 * (slices.len() - 1), "{differing} rows differ, beyond those beside a cut");
    }

    #[test]
    fn a_camera_that_writes_no_huffman_tables_gets_annex_k() {
        let (_, with) = joined(&camera(0, true));
        let without = split(&camera(0, false), 3, MOMENT, SETTINGS).unwrap();
        let mut pixels = vec![0; 640 * 480];
        let decoded = Decoder::new().unwrap().decode_rgb(&without[0], RgbMut::whole(&mut pixels, 640)).unwrap();
        assert!(!decoded.partial && !decoded.suspect);
        let mut expected = vec![0; 640 * 480];
        Decompressor::new().unwrap().rgb(&with, (SIZE, Shrink::Whole), &mut expected, 640).unwrap();
        assert_eq!(pixels, expected);
    }

    #[test]
    fn what_follows_the_end_is_not_looked_at() {
        let jpeg = camera(40, true);
        let stale = [&jpeg[..], &jpeg[100..]].concat();
        assert_eq!(split(&stale, 3, MOMENT, SETTINGS), split(&jpeg, 3, MOMENT, SETTINGS));
    }

    #[test]
    fn a_cut_jpeg_is_damaged_and_never_passed_on() {
        let jpeg = camera(40, true);
        for len in (0..jpeg.len()).step_by(37) {
            assert!(matches!(split(&jpeg[..len], 3, MOMENT, SETTINGS), Err(Damaged(_))), "{len}");
        }
    }

    #[test]
    fn restart_markers_that_are_not_as_announced_are_unfit() {
        let mut jpeg = camera(40, true);
        let marker = jpeg.windows(2).rposition(|pair| pair[0] == 0xFF && (0xD0..0xD8).contains(&pair[1])).unwrap();
        jpeg[marker + 1] ^= 1;
        assert!(matches!(split(&jpeg, 3, MOMENT, SETTINGS), Err(Unfit(_))));
    }

    /// A JPEG of a kind that slices do not carry.
    fn odd_kind(subsamp: turbojpeg::Subsamp, progressive: bool) -> (Vec<u8>, Vec<u8>) {
        let planes = testing::planes(SIZE, Sampling::Yuv444, 9);
        let mut jpeg = vec![0; Compressor::bound(SIZE, Sampling::Yuv444)];
        let (area, width) = (640 * 480, 640);
        let input = Planes { planes: [&planes[..area], &planes[area..2 * area], &planes[2 * area..]], strides: [width; 3] };
        let len = Compressor::new().unwrap().compress(input, Sampling::Yuv444, SIZE, 98, 80, &mut jpeg).unwrap();
        let mut pixels = vec![0; area];
        Decompressor::new().unwrap().rgb(&jpeg[..len], (SIZE, Shrink::Whole), &mut pixels, width).unwrap();
        let bytes: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
        let image =
            turbojpeg::Image { pixels: &bytes[..], width, pitch: 4 * width, height: 480, format: turbojpeg::PixelFormat::BGRX };
        let mut compressor = turbojpeg::Compressor::new().unwrap();
        compressor.set_subsamp(subsamp).unwrap();
        compressor.set_quality(98).unwrap();
        compressor.set_progressive(progressive).unwrap();
        (compressor.compress_to_vec(image).unwrap(), planes)
    }

    #[test]
    fn jpegs_of_other_kinds_are_unfit_and_decode_to_their_picture() {
        use turbojpeg::Subsamp;
        for (subsamp, progressive, sampling) in [
            (Subsamp::Sub1x2, true, Sampling::Yuv440),
            (Subsamp::Sub4x1, false, Sampling::Yuv444),
            (Subsamp::Sub2x2, true, Sampling::Yuv420),
        ] {
            let (jpeg, planes) = odd_kind(subsamp, progressive);
            assert!(matches!(split(&jpeg, 3, MOMENT, SETTINGS), Err(Unfit(_))), "{subsamp:?}");
            let (size, found, decoded, _) = decode(&jpeg, &picture::BufferPool::new()).unwrap();
            assert_eq!((size, found), (SIZE, sampling));
            let luma = psnr(&planes[..640 * 480], &decoded[..640 * 480]);
            assert!(luma > 36.0, "{subsamp:?}: {luma}");
        }
    }
}
