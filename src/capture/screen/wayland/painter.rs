//! Pictures of PipeWire's → the sheet, and the sheet → pictures of ours, when one is due.
//!
//! What the desktop says it drew is read, and all of a picture where it does not say. Desktops give a picture when something was
//! drawn: between those the sheet is given every second as it is, as of every screen.

use super::super::super::stamp;
use super::super::Note;
use super::super::damage::{Damage, Rect, mark};
use super::super::pace::{Pace, REST};
use super::super::sheet::Sheet;
use super::Error;
use super::frame::{self, Rows, Said};
use super::memory::Memory;
use super::params::Format;
use eyeline_proto::picture::Size;
use eyeline_proto::picture::mcu_set::McuSet;
use pipewire::buffer::Buffer;
use pipewire::spa::buffer::meta::{MetaHeader, MetaHeaderFlags, MetaRegion, MetaVideoCrop, MetaVideoDamage};
use pipewire::spa::buffer::{Chunk, ChunkFlags, Data};
use pipewire::stream::Stream;
use std::io;
use std::time::{Duration, Instant};

/// So long is waited for a picture that fits what was agreed upon.
const MISFITTING: Duration = Duration::from_secs(1);

/// See the module text.
pub struct Painter {
    sheet: Sheet,
    name: String,
    pace: Pace,
    /// As pictures come; `None`: not agreed upon.
    format: Option<Format>,
    /// What of them is seen; `None`: none came yet.
    seen: Option<Rect>,
    /// What was drawn and is not read yet; `None`: it was not said.
    drawn: Option<Damage>,
    /// What was read since the sheet was given; `None`: anything.
    changed: Option<McuSet>,
    /// When the newest on the sheet was caught, where that was not given yet.
    caught: Option<Instant>,
    misfits: Misfits,
    /// Room for a row.
    line: Vec<u8>,
}

impl Painter {
    pub fn new(sheet: Sheet, name: String, period: Duration) -> Painter {
        let pace = Pace::new(period);
        Painter {
            sheet,
            name,
            pace,
            format: None,
            seen: None,
            drawn: None,
            changed: None,
            caught: None,
            misfits: Misfits::default(),
            line: Vec::new(),
        }
    }

    /// Whether nobody takes pictures any more.
    pub fn is_closed(&self) -> bool {
        self.sheet.is_closed()
    }

    /// Pictures come like this from now on.
    pub fn agree(&mut self, format: Format) {
        (self.format, self.misfits) = (Some(format), Misfits::default());
    }

    /// How long nothing is to be done but to listen.
    pub fn rest(&self, now: Instant) -> Duration {
        if self.seen.is_none() { REST } else { self.pace.until_due(now, self.is_new()) }
    }

    /// Takes what came: of several the newest, with what was drawn in all of them.
    pub fn take(&mut self, stream: &Stream, tell: &dyn Fn(Note)) -> Result<(), Error> {
        let (mut newest, mut torn) = (None, false);
        while let Some(mut buffer) = stream.dequeue_buffer() {
            let Some(chunk) = buffer.datas_mut().first().and_then(chunk) else { continue };
            let whole = !chunk.flags().contains(ChunkFlags::CORRUPTED) && !is_torn(&buffer);
            match (&mut self.drawn, damage(&buffer)) {
                (Some(drawn), Some(parts)) => parts.into_iter().for_each(|part| drawn.add(part)),
                _ => self.drawn = None,
            }
            (newest, torn) = if whole { (Some(buffer), false) } else { (newest, true) };
        }
        match (newest, self.format) {
            (Some(buffer), Some(format)) => self.paint(buffer, format, tell)?,
            _ => return self.misfits.judge(Instant::now()),
        }
        if torn {
            // What was drawn in a torn one after it was read from one that does not have it.
            self.drawn = None;
        }
        self.misfits.judge(Instant::now())
    }

    /// Reads what was drawn.
    fn paint(&mut self, mut buffer: Buffer<'_>, format: Format, tell: &dyn Fn(Note)) -> Result<(), Error> {
        let crop = buffer.find_meta::<MetaVideoCrop>().and_then(|crop| rect(crop.meta_region(), format.size));
        let seen = frame::seen(format.size, crop);
        let caught = caught(buffer.find_meta::<MetaHeader>().map(MetaHeader::pts), Instant::now());
        let Some(data) = buffer.datas_mut().first_mut() else { return Ok(()) };
        let (length, chunk) = (data.as_raw().maxsize, data.chunk());
        let said = Said { length, offset: chunk.offset(), stride: chunk.stride() };
        let Some(rows) = Rows::new(said, format.size) else {
            self.misfits.add(Instant::now(), format!("{} in {said:?}", format.size));
            return Ok(());
        };
        self.misfits = Misfits::default();
        let unreadable = |error: io::Error| Error::Unreadable(error.to_string());
        let memory = Memory::of(data).map_err(unreadable)?;
        if self.look_at(seen, tell) {
            self.drawn = None;
        }
        let parts = match self.drawn.replace(Damage::default()) {
            Some(mut drawn) => drawn.take(),
            None => {
                self.changed = None;
                vec![seen]
            }
        };
        for part in parts {
            // In what is seen of it.
            let at = (i64::from(part.x) - i64::from(seen.x), i64::from(part.y) - i64::from(seen.y));
            let Some(part) = Rect::within(seen.size, at, (part.size.width, part.size.height)) else { continue };
            let part = part.in_mcus(self.sheet.sampling(), seen.size);
            let mut planes = self.sheet.planes();
            let corner = (seen.x, seen.y);
            let read = |bytes: &mut [u8], at| memory.read(bytes, at);
            rows.read(read, (part, corner), format.red_first, &mut self.line, &mut planes).map_err(unreadable)?;
            self.changed.iter_mut().for_each(|changed| mark(part, changed));
        }
        self.caught = Some(caught);
        Ok(())
    }

    /// What is seen is this now; whether the sheet is another for it.
    fn look_at(&mut self, seen: Rect, tell: &dyn Fn(Note)) -> bool {
        let before = self.seen.replace(seen);
        if before == Some(seen) {
            return false;
        }
        if before.is_none_or(|before| before.size != seen.size) {
            self.sheet.resize(seen.size);
            if before.is_some() {
                tell(Note::Resized(self.name.clone(), seen.size));
            }
        }
        true
    }

    /// Whether the next picture is another than the last, or is wanted.
    fn is_new(&self) -> bool {
        self.caught.is_some() || self.sheet.is_wanted()
    }

    /// Gives the sheet, where that is due.
    pub fn give(&mut self, now: Instant) {
        let Some(seen) = self.seen else { return };
        if !self.pace.is_due(now, self.is_new()) {
            return;
        }
        let none = McuSet::new(seen.size, self.sheet.sampling());
        let changed = self.changed.replace(none);
        self.sheet.give(self.caught.take().unwrap_or(now), changed, |_, _| ());
        self.pace.gives(now);
    }
}

/// Pictures that do not fit what was agreed upon since one last did. One may be left of before that: it is skipped.
#[derive(Default)]
struct Misfits {
    /// When the first came, and what is wrong with the last.
    seen: Option<(Instant, String)>,
}

impl Misfits {
    fn add(&mut self, now: Instant, wrong: String) {
        let first = self.seen.take().map_or(now, |(first, _)| first);
        self.seen = Some((first, wrong));
    }

    /// Where none came that fits in all that time, none will.
    fn judge(&self, now: Instant) -> Result<(), Error> {
        match &self.seen {
            Some((first, wrong)) if now.saturating_duration_since(*first) >= MISFITTING => Err(Error::Unreadable(wrong.clone())),
            _ => Ok(()),
        }
    }
}

/// What is said of its pixels; `None`: there are none, as where only the cursor went elsewhere.
fn chunk(data: &Data) -> Option<&Chunk> {
    let there = !data.as_raw().chunk.is_null();
    there.then(|| data.chunk()).filter(|chunk| chunk.size() > 0)
}

/// Whether its pixels are not as they should be.
fn is_torn(buffer: &Buffer<'_>) -> bool {
    buffer.find_meta::<MetaHeader>().is_some_and(|header| header.flags().contains(MetaHeaderFlags::CORRUPTED))
}

/// What was drawn in it; `None`: it does not say.
fn damage(buffer: &Buffer<'_>) -> Option<Vec<Rect>> {
    let all = Size { width: eyeline_proto::picture::MAX_SIDE, height: eyeline_proto::picture::MAX_SIDE };
    let parts: Vec<_> = buffer.find_meta::<MetaVideoDamage>()?.iter().filter_map(|region| rect(region, all)).collect();
    (!parts.is_empty()).then_some(parts)
}

/// What of a region lies in a picture of this size; `None`: nothing.
fn rect(region: &MetaRegion, size: Size) -> Option<Rect> {
    let (at, wide) = (region.position(), region.size());
    Rect::within(size, (at.x.into(), at.y.into()), (wide.width, wide.height))
}

/// When a picture was caught, on our clock.
fn caught(stamp: Option<i64>, now: Instant) -> Instant {
    let stamp = stamp.and_then(|stamp| u64::try_from(stamp).ok()).map(Duration::from_nanos);
    stamp::moment(stamp, stamp::monotonic(), now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_does_not_fit_is_an_error_only_where_none_fits_for_a_second() {
        let (mut misfits, start) = (Misfits::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert!(misfits.judge(after(5000)).is_ok());
        misfits.add(start, "old".into());
        misfits.add(after(900), "new".into());
        assert!(misfits.judge(after(999)).is_ok());
        assert!(misfits.judge(after(1000)).unwrap_err().to_string().ends_with(": new"));
    }
}
