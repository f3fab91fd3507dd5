//! JPEGs one after the other, as they came: what many tools call MJPEG or a `.mjpg` stream. It has no rate and no times.

use std::path::Path;

use super::sink::Sink;
use super::{Error, Timeline, Written};
use crate::time::MediaTime;

/// One picture as the sender encoded it.
pub struct Picture {
    /// Grows whenever another sender, or the same one started anew, is shown.
    pub session: u64,
    /// On that session's media clock.
    pub captured: MediaTime,
    /// A whole JPEG, from SOI to EOI.
    pub jpeg: Vec<u8>,
}

/// See the module text.
pub struct Writer {
    sink: Sink,
    timeline: Timeline,
    pictures: u64,
}

impl Writer {
    /// A new file, or stdout where there is no path.
    pub fn create(path: Option<&Path>, timeline: Timeline) -> Result<Self, Error> {
        Ok(Writer { sink: Sink::open(path)?, timeline, pictures: 0 })
    }
}

impl super::Writer for Writer {
    type Unit = Picture;

    fn write(&mut self, picture: Picture) -> Result<(), Error> {
        if let Some(position) = self.timeline.begin(picture.session, picture.captured) {
            self.timeline.reached(position.max(0) as u64);
        }
        self.sink.unit(&[&picture.jpeg]).map_err(|error| self.sink.error(error, super::y4m::count(self.pictures)))?;
        self.pictures += 1;
        Ok(())
    }

    fn finish(self) -> Result<Written, Error> {
        let name = self.sink.name().to_string();
        let sentence = format!("{name}: {} as received", super::y4m::count(self.pictures));
        Ok(Written { name, units: self.pictures, filled: 0, left_out: 0, sentence })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer as _;
    use super::super::sink::tests::{SmallDisk, Temporary};
    use super::*;

    fn picture(jpeg: &[u8]) -> Picture {
        Picture { session: 1, captured: MediaTime::from_nanos(5_000), jpeg: jpeg.to_vec() }
    }

    #[test]
    fn pictures_are_written_byte_for_byte() {
        let path = Temporary::new("a.mjpeg");
        let mut writer = Writer::create(Some(&path.0), Timeline::new()).unwrap();
        writer.write(picture(b"\xff\xd8one\xff\xd9")).unwrap();
        writer.write(picture(b"\xff\xd8two\xff\xd9")).unwrap();
        let written = writer.finish().unwrap();
        assert_eq!(std::fs::read(&path.0).unwrap(), b"\xff\xd8one\xff\xd9\xff\xd8two\xff\xd9");
        assert_eq!((written.units, written.sentence.ends_with("2 pictures as received")), (2, true));
    }

    #[test]
    fn a_full_disk_leaves_whole_pictures() {
        let disk = SmallDisk::of(10);
        let mut writer = Writer { sink: Sink::to(disk.clone()), timeline: Timeline::new(), pictures: 0 };
        writer.write(picture(b"first!")).unwrap();
        let error = writer.write(picture(b"second")).unwrap_err();
        assert!(error.to_string().contains("it keeps 1 picture:"), "{error}");
        assert_eq!(disk.content(), b"first!");
    }
}
