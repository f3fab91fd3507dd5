//! JPEGs one after the other: what many tools call MJPEG or a `.mjpg` stream. It says neither rate nor times; so each picture
//! stands at its place at the stream's rate (`placing.rs`), as it came, repeated where others are missing. The rate is told at
//! the end.

use super::placing::{Due, Placing};
use super::sink::Sink;
use super::y4m::count;
use super::{Error, Moment, Progress, Target, Timeline, Written};
use eyeline_proto::rate::Rate;

/// One picture as the sender encoded it.
pub struct Picture {
    /// When it was caught.
    pub moment: Moment,
    /// The sender's number of it; a gap is a loss.
    pub number: u64,
    /// Of its stream, where the sender says one.
    pub rate: Option<Rate>,
    /// A whole JPEG, from SOI to EOI.
    pub jpeg: Vec<u8>,
}

pub struct Writer {
    sink: Sink,
    placing: Placing<Vec<u8>>,
    /// The last picture written, for repeating.
    last: Option<Vec<u8>>,
    pictures: u64,
    repeated: u64,
}

impl Writer {
    /// Writes to what was claimed, from the first picture on.
    pub fn new(target: Target, timeline: Timeline) -> Self {
        Self::to(Sink::new(target), timeline)
    }

    fn to(sink: Sink, timeline: Timeline) -> Self {
        Writer { sink, placing: Placing::new(timeline), last: None, pictures: 0, repeated: 0 }
    }

    fn put(&mut self, due: Due<Vec<u8>>) -> Result<(), Error> {
        for (repeats, jpeg) in due {
            let before = self.last.as_ref().unwrap_or(&jpeg);
            for repeat in (0..=repeats).rev().map(|left| left > 0) {
                if repeat && self.placing.hurries() {
                    continue;
                }
                let one = if repeat { before } else { &jpeg };
                self.sink.unit(&[one.as_slice()]).map_err(|error| self.sink.error(error, count(self.pictures)))?;
                self.pictures += 1;
                self.repeated += u64::from(repeat);
            }
            self.last = Some(jpeg);
        }
        Ok(())
    }
}

impl super::Writer for Writer {
    type Unit = Picture;

    fn write(&mut self, picture: Picture) -> Result<(), Error> {
        let due = self.placing.push(picture.moment, picture.number, picture.rate, picture.jpeg.len(), picture.jpeg);
        self.put(due)
    }

    fn finish(mut self) -> Result<Written, Error> {
        let rest = self.placing.release();
        self.put(rest)?;
        let (name, left_out) = (self.sink.name().to_string(), self.placing.left_out);
        let mut sentence = format!("{name}: {} as received", count(self.pictures));
        if self.pictures > 0 {
            sentence += &format!(", for {} a second", self.placing.rate());
        }
        if self.repeated > 0 {
            sentence += &format!(", {} of them repeated for missing ones", self.repeated);
        }
        if left_out > 0 {
            sentence += &format!("; {left_out} more came late or had no place at this rate");
        }
        Ok(Written { name, units: self.pictures, filled: self.repeated, left_out, sentence })
    }

    fn progress(&self) -> Progress {
        self.sink.progress()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sink::tests::{SmallDisk, Temporary, target};
    use super::super::{Writer as _, arrival};
    use super::*;
    use eyeline_proto::time::MediaTime;

    /// Ten a second.
    fn picture(number: u64, jpeg: &[u8]) -> Picture {
        let (captured, received) = (MediaTime::from_nanos(number * 100_000_000), arrival(number * 100_000_000));
        let moment = Moment { session: 1, captured, position: None, received };
        Picture { moment, number, rate: Rate::new(10, 1), jpeg: jpeg.to_vec() }
    }

    #[test]
    fn pictures_are_written_byte_for_byte() {
        let path = Temporary::new("a.mjpeg");
        let mut writer = Writer::new(target(&path.0), Timeline::new());
        writer.write(picture(0, b"\xff\xd8one\xff\xd9")).unwrap();
        writer.write(picture(1, b"\xff\xd8two\xff\xd9")).unwrap();
        let written = writer.finish().unwrap();
        assert_eq!(std::fs::read(&path.0).unwrap(), b"\xff\xd8one\xff\xd9\xff\xd8two\xff\xd9");
        assert_eq!((written.units, written.sentence.ends_with("2 pictures as received, for 10 a second")), (2, true));
    }

    #[test]
    fn a_picture_is_repeated_where_others_are_missing() {
        let disk = SmallDisk::of(100);
        let mut writer = Writer::to(Sink::to(disk.clone()), Timeline::new());
        for number in [0, 1, 4] {
            writer.write(picture(number, number.to_string().as_bytes())).unwrap();
        }
        assert_eq!((disk.content(), writer.finish().unwrap().filled), (b"01114".to_vec(), 2));
    }

    #[test]
    fn a_full_disk_leaves_whole_pictures() {
        let disk = SmallDisk::of(10);
        let mut writer = Writer::to(Sink::to(disk.clone()), Timeline::new());
        writer.write(picture(0, b"first!")).unwrap();
        let error = writer.write(picture(1, b"second")).unwrap_err();
        assert!(error.to_string().contains("it keeps 1 picture:"), "{error}");
        assert_eq!(disk.content(), b"first!");
    }
}
