//! On `write-decode`: settled pictures are decoded in order, or joined to one JPEG each, and handed to the thread that writes
//! them. What did not come of a picture is what its own sender showed there before, or black or grey.

use super::super::back::Back;
use super::super::decode::Ready;
use super::super::fair_queue::Lane;
use super::inlets::Unit;
use super::{Error, Format, LeftOut, Tell};
use crate::codec::decoder::Decoder;
use crate::codec::raw::PlanesMut;
use crate::codec::stitch::{self, Stitcher};
use crate::present::writers::{self, Moment, Progress, Target, Threaded, Timeline, Written, mjpeg, y4m};
use crate::slot::{Closed, Slot};
use eyeline_proto::media::assemble::AccessUnit;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{BufferPool, Sampling, Size};
use eyeline_proto::session::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Decoded pictures between decoder and disk.
const DECODED: usize = 4;

/// Who is told of pictures that are written.
pub(super) struct Told {
    /// `None` where there is a window: latency is what the window shows.
    pub ready: Option<Lane<Ready>>,
    pub back: Back,
    pub written: Arc<AtomicU32>,
    pub tell: Tell,
}

pub(super) struct Decoding {
    sink: Sink,
    decoder: Decoder,
    before: Before,
    pool: BufferPool,
    timeline: Timeline,
    told: Told,
}

enum Sink {
    Y4m(Threaded<y4m::Picture>),
    Mjpeg(Threaded<mjpeg::Picture>),
}

impl Sink {
    fn finish(&mut self) -> Result<Written, writers::Error> {
        match self {
            Sink::Y4m(thread) => thread.finish(),
            Sink::Mjpeg(thread) => thread.finish(),
        }
    }
}

/// What fills the holes of the next picture: of one sender alone, for nobody is shown what another sent.
#[derive(Default)]
struct Before {
    session: u64,
    planes: Option<Planes>,
    stitcher: Option<Stitcher>,
}

/// The picture as it stands: bands that did not come keep their last good pixels.
struct Planes {
    size: Size,
    sampling: Sampling,
    bytes: Vec<u8>,
    /// MCUs of which nothing was drawn yet.
    undrawn: McuSet,
}

impl Decoding {
    /// Starts the thread that writes to what was claimed. `decoded`: bytes that wait for it, beyond one picture.
    pub fn new(format: Format, target: Target, decoded: usize, timeline: Timeline, told: Told) -> Result<Self, Error> {
        let ours = timeline.clone();
        let sink = match format {
            Format::Y4m => {
                let writer = y4m::Writer::new(target, timeline);
                let queue = Slot::waiting_bytes(DECODED, decoded, |picture: &y4m::Picture| picture.planes.len());
                Sink::Y4m(Threaded::spawn("write-y4m", queue, writer)?)
            }
            Format::Mjpeg => {
                let writer = mjpeg::Writer::new(target, timeline);
                let queue = Slot::waiting_bytes(DECODED, decoded, |picture: &mjpeg::Picture| picture.jpeg.len());
                Sink::Mjpeg(Threaded::spawn("write-mjpeg", queue, writer)?)
            }
        };
        let (decoder, pool) = (Decoder::new()?, BufferPool::new());
        Ok(Decoding { sink, decoder, before: Before::default(), pool, timeline: ours, told })
    }

    /// Decodes a picture and hands it on.
    fn hand_on(&mut self, unit: &Unit) -> Result<(), Closed> {
        let session = unit.session;
        if self.before.session != session {
            self.before = Before { session, ..Before::default() };
        }
        let picture = &unit.picture;
        let (captured, position, received) = (picture.capture, picture.position, picture.received);
        let moment = Moment { session, captured, position, received };
        let (number, rate) = (picture.number, unit.rate);
        match &self.sink {
            Sink::Y4m(thread) => {
                let planes = self.before.planes.get_or_insert_with(|| Planes::grey(picture.size, picture.sampling));
                let Some(drawn) = planes.draw(&mut self.decoder, picture, &self.timeline) else { return Ok(()) };
                if !drawn {
                    self.told.back.tell(Command::Missed(unit.track, number));
                }
                // Of a size that is new what changed in a picture was drawn on nothing: it is left out.
                let some = |slice: &Slice| slice.head().mcus.is_some();
                if !planes.undrawn.is_empty() && picture.slices.iter().flatten().any(some) {
                    return Ok(());
                }
                let mut copy = self.pool.take(planes.bytes.len());
                copy.copy_from_slice(&planes.bytes);
                let (size, sampling) = (planes.size, planes.sampling);
                thread.push(y4m::Picture { moment, number, rate, size, sampling, planes: copy })
            }
            Sink::Mjpeg(thread) => match join(&mut self.before.stitcher, picture) {
                Ok(jpeg) => thread.push(mjpeg::Picture { moment, number, rate, jpeg }),
                Err(error) => {
                    (self.told.tell)(LeftOut { picture: number, error });
                    Ok(())
                }
            },
        }
    }
}

impl writers::Writer for Decoding {
    type Unit = Unit;

    fn write(&mut self, unit: Unit) -> Result<(), writers::Error> {
        if self.timeline.hurries() {
            return Ok(());
        }
        if let (Sink::Y4m(thread), Some(size)) = (&self.sink, largest(&unit.picture))
            && !unit.held.tenant().takes_pixels(u64::from(size.width) * u64::from(size.height))
        {
            return Err(writers::Error::TooLarge { name: thread.progress().name().into(), size });
        }
        if self.hand_on(&unit).is_err() {
            // After an early end nobody need collect any more.
            return self.sink.finish().map(drop);
        }
        if self.timeline.hurries() {
            return Ok(());
        }
        let decoded = Instant::now();
        self.told.written.fetch_add(1, Ordering::Relaxed);
        let track = unit.track;
        self.told.back.tell(Command::Written(track, unit.picture.number + 1));
        if let Some(ready) = &self.told.ready {
            // Closed only when the program ends.
            let _ = ready.push(Ready { track, picture: unit.picture.ready(decoded) });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Written, writers::Error> {
        self.sink.finish()
    }

    fn progress(&self) -> Progress {
        match &self.sink {
            Sink::Y4m(thread) => thread.progress(),
            Sink::Mjpeg(thread) => thread.progress(),
        }
    }
}

/// The largest picture that any slice of it says it is of.
fn largest(picture: &AccessUnit) -> Option<Size> {
    let slices = picture.slices.iter().flatten().chain(picture.parts.iter().map(|part| &part.slice));
    let sizes = slices.map(|slice| slice.head().size);
    sizes.max_by_key(|size| u64::from(size.width) * u64::from(size.height))
}

/// One JPEG of a picture's slices; the stitcher remembers what fills the holes.
fn join(stitcher: &mut Option<Stitcher>, picture: &AccessUnit) -> Result<Vec<u8>, stitch::Error> {
    let stitcher = match stitcher {
        Some(stitcher) => stitcher,
        none => none.insert(Stitcher::new()?),
    };
    let slices: Vec<&Slice> = picture.slices.iter().flatten().collect();
    stitcher.push(&slices)
}

impl Planes {
    /// Black luma, neutral colour.
    fn grey(size: Size, sampling: Sampling) -> Self {
        let luma = size.width as usize * size.height as usize;
        let mut bytes = vec![128; sampling.bytes(size)];
        bytes[..luma].fill(0);
        let mut undrawn = McuSet::new(size, sampling);
        undrawn.fill();
        Planes { size, sampling, bytes, undrawn }
    }

    /// The planes from a luma row on.
    fn band(&mut self, top: u32) -> PlanesMut<'_> {
        let (luma, rest) = self.bytes.split_at_mut(self.size.width as usize * self.size.height as usize);
        let chroma = self.sampling.chroma(self.size).unwrap_or(Size { width: 0, height: 0 });
        let (cb, cr) = rest.split_at_mut(chroma.width as usize * chroma.height as usize);
        let down = self.size.height.div_ceil(chroma.height.max(1));
        let strides = [self.size.width as usize, chroma.width as usize, chroma.width as usize];
        let rows = [top as usize, (top / down) as usize, (top / down) as usize];
        let [luma, cb, cr] = [(luma, 0), (cb, 1), (cr, 2)].map(|(plane, at)| &mut plane[rows[at] * strides[at]..]);
        PlanesMut { planes: [luma, cb, cr], strides }
    }

    /// Draws the slices that came, and says whether all of each that is whole could be; `None` where there is a hurry and some
    /// were left out.
    fn draw(&mut self, decoder: &mut Decoder, picture: &AccessUnit, timeline: &Timeline) -> Option<bool> {
        let mut all = true;
        let whole = picture.slices.iter().flatten().map(|slice| (slice, None));
        for (slice, part) in whole.chain(picture.parts.iter().map(|part| (&part.slice, Some(part)))) {
            if timeline.hurries() {
                return None;
            }
            let head = slice.head();
            if (head.size, head.sampling) != (self.size, self.sampling) {
                *self = Planes::grey(head.size, head.sampling);
            }
            let band = self.band(u32::from(head.top));
            let drawn = match part {
                None => decoder.decode_planes(slice, band),
                Some(part) => decoder.decode_planes_part(slice, &part.present, part.ended, band),
            };
            if !self.undrawn.is_empty() && drawn.is_ok() {
                let mut these = McuSet::new(self.size, self.sampling);
                these.insert_runs(head.runs());
                self.undrawn.remove_all(&these);
            }
            all &= part.is_some() || drawn.as_ref().is_ok_and(|drawn| !drawn.partial);
            if let Err(error) = drawn {
                tracing::debug!("a slice did not decode: {error}");
            }
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::super::room::Room;
    use super::*;
    use crate::codec::testing;
    use crate::present::writers::{Overwrite, Writer as _};
    use eyeline_proto::media::assemble::Assembly;
    use eyeline_proto::media::depacketizer::Settled;
    use eyeline_proto::rate::Rate;
    use eyeline_proto::session::TrackId;
    use eyeline_proto::time::MediaTime;

    const SIZE: Size = Size { width: 16, height: 64 };

    /// The slice of a grey picture that begins at this row; four make one.
    fn slice(luma: u8, top: u32) -> Slice {
        let planes = vec![luma; (SIZE.width * SIZE.height) as usize];
        testing::slice(&planes, &testing::head(SIZE, Sampling::Grey, 80, top, 16))
    }

    fn unit(session: u64, luma: u8, tops: &[u32]) -> Unit {
        let (mut assembly, picture) = (Assembly::new(1 << 20), 0);
        for (index, top) in [0, 16, 32, 48].into_iter().enumerate().filter(|(_, top)| tops.contains(top)) {
            let mut slice = slice(luma, top);
            (slice.index, slice.count) = (index as u8, 4);
            assembly.slice(slice, Instant::now());
        }
        let picture = assembly.settled(Settled { picture, slices: tops.len() as u8, count: 4, unsent: false }).unwrap();
        let held = Room::default().tenant(false).hold(picture.bytes());
        Unit { track: TrackId::default(), session, picture, rate: Rate::new(10, 1), held }
    }

    /// A picture whose slices are these.
    fn unit_of(number: u64, slices: Vec<Slice>) -> Unit {
        let (mut assembly, count) = (Assembly::new(1 << 20), slices.len() as u8);
        for (index, mut slice) in (0..).zip(slices) {
            (slice.picture, slice.index, slice.count) = (number, index, count);
            slice.stamp_capture(MediaTime::from_nanos(number * 100_000_000));
            assembly.slice(slice, Instant::now());
        }
        let picture = assembly.settled(Settled { picture: number, slices: count, count, unsent: false }).unwrap();
        let held = Room::default().tenant(false).hold(picture.bytes());
        Unit { track: TrackId::default(), session: 1, picture, rate: Rate::new(10, 1), held }
    }

    /// What is in a file of these pictures, of which none is left out.
    fn written(format: Format, name: &str, units: Vec<Unit>) -> Vec<u8> {
        let count = units.len();
        let (content, written) = written_of(format, name, units);
        assert_eq!(written, count as u64);
        content
    }

    /// What is in a file of these pictures, and how many of them are.
    fn written_of(format: Format, name: &str, units: Vec<Unit>) -> (Vec<u8>, u64) {
        let path = std::env::temp_dir().join(format!("eyeline-{}-{name}", std::process::id()));
        let target = Target::claim(Some(&path), Overwrite::Own).unwrap();
        let timeline = Timeline::new();
        let told = Told { ready: None, back: Back::default(), written: Arc::default(), tell: Arc::new(|_| ()) };
        let mut decoding = Decoding::new(format, target, 1 << 20, timeline.clone(), told).unwrap();
        for unit in units {
            decoding.write(unit).unwrap();
        }
        // Who is told to hurry leaves out whatever comes now.
        timeline.hurry();
        decoding.write(unit(2, 0, &[0])).unwrap();
        let units = decoding.finish().unwrap().units;
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        (content, units)
    }

    #[test]
    fn a_y4m_of_what_changed_is_bit_for_bit_that_of_whole_pictures() {
        for sampling in testing::SAMPLINGS {
            let size = Size { width: 161, height: 99 };
            let band = |top: u32| testing::head(size, sampling, 80, top, if top == 0 { 48 } else { size.height - 48 });
            let (grid, mcu) = (sampling.mcus(size), sampling.mcu());
            let above = (grid.width * 48 / mcu.height) as usize;
            let changed =
                |number: u64| (0..(grid.width * grid.height) as usize).filter(move |mcu| mcu % 5 == number as usize % 5);
            let (mut planes, mut whole, mut some) = (testing::planes(size, sampling, 0), Vec::new(), Vec::new());
            for number in 0..6 {
                let bands = |planes: &[u8]| [0, 48].map(|top| testing::slice(planes, &band(top))).to_vec();
                if number > 0 {
                    let of_new = changed(number).partition::<Vec<usize>, _>(|mcu| *mcu < above);
                    let below: Vec<usize> = of_new.1.into_iter().map(|mcu| mcu - above).collect();
                    let new = testing::planes(size, sampling, number);
                    let slices = [testing::packed(&new, &band(0), &of_new.0), testing::packed(&new, &band(48), &below)];
                    replace(&mut planes, &new, (size, sampling), changed(number));
                    some.push(unit_of(number, slices.to_vec()));
                } else {
                    some.push(unit_of(number, bands(&planes)));
                }
                whole.push(unit_of(number, bands(&planes)));
            }
            let (whole, some) = (written(Format::Y4m, "whole.y4m", whole), written(Format::Y4m, "some.y4m", some));
            assert!(whole.len() > 6 * sampling.bytes(size) && whole == some, "{sampling:?}");
        }
    }

    /// The whole one of that size may have been left out on the way: what follows is of what changed since.
    #[test]
    fn what_changed_of_a_picture_that_never_came_is_not_written_on_black() {
        let (size, sampling) = (Size { width: 160, height: 96 }, Sampling::Yuv420);
        let whole = |size: Size, seed| {
            testing::slice(&testing::planes(size, sampling, seed), &testing::head(size, sampling, 80, 0, size.height))
        };
        let some = |mcus: &[usize]| {
            testing::packed(&testing::planes(size, sampling, 2), &testing::head(size, sampling, 80, 0, 96), mcus)
        };
        let smaller = Size { width: 80, height: 48 };
        let (above, below) = ((0..30).collect::<Vec<_>>(), (30..60).collect::<Vec<_>>());
        let slices = [vec![whole(smaller, 1)], vec![some(&[5, 6])], vec![some(&above)], vec![some(&below)], vec![some(&[7])]];
        let units: Vec<Unit> = (0..).zip(slices).map(|(number, slices)| unit_of(number, slices)).collect();
        let (content, written) = written_of(Format::Y4m, "begun.y4m", units);
        assert!(written >= 3, "the first, and the larger ones once all of them was drawn: {written}");
        assert!(!content.windows(400).any(|bytes| bytes.iter().all(|byte| *byte == 0)), "nothing is black");
    }

    /// Puts these MCUs of other planes in place of theirs.
    fn replace(planes: &mut [u8], new: &[u8], (size, sampling): (Size, Sampling), mcus: impl Iterator<Item = usize> + Clone) {
        let (columns, mcu) = (sampling.mcus(size).width as usize, sampling.mcu());
        let chroma = sampling.chroma(size).into_iter().flat_map(|chroma| [chroma; 2]);
        let mut at = 0;
        for plane in std::iter::once(size).chain(chroma) {
            let block = |of: u32, all: u32, plane: u32| of as usize / if plane == all { 1 } else { 2 };
            let (width, height) = (block(mcu.width, size.width, plane.width), block(mcu.height, size.height, plane.height));
            let (stride, rows) = (plane.width as usize, plane.height as usize);
            for place in mcus.clone() {
                let (left, top) = (place % columns * width, place / columns * height);
                for row in top..(top + height).min(rows) {
                    let range = at + row * stride + left..at + row * stride + (left + width).min(stride);
                    planes[range.clone()].copy_from_slice(&new[range]);
                }
            }
            at += stride * rows;
        }
    }

    #[test]
    fn nothing_of_the_sender_before_fills_the_holes_of_the_next() {
        let both = || [unit(1, 200, &[0, 16, 32, 48]), unit(2, 100, &[16])];
        let y4m = written(Format::Y4m, "holes.y4m", both().into());
        let frame = (SIZE.width * SIZE.height) as usize;
        let [first, second] = [2, 1].map(|back| &y4m[y4m.len() - back * frame - (back - 1) * 6..][..frame]);
        assert!(first.iter().all(|luma| luma.abs_diff(200) < 3));
        for (band, luma) in second.chunks(16 * 16).zip([0u8, 100, 0, 0]) {
            assert!(band.iter().all(|found| found.abs_diff(luma) < 3), "{luma}: {band:?}");
        }
        let mjpeg = written(Format::Mjpeg, "holes.mjpeg", both().into());
        let alone = Stitcher::new().unwrap().push(&[&slice(100, 16)]).unwrap();
        assert!(mjpeg.ends_with(&alone), "as if nothing had been before it");
    }
}
