//! What of a camera's JPEG changed, and what is said to become of such JPEGs.
//!
//! Where a camera's JPEGs cannot be read they go another way for a while, which doubles each time that the next try fails, too:
//! each is a change of way, which costs a picture that is coded whole. One that is damaged, of a camera whose others are not, is
//! left out instead: what was sent still stands.

use crate::codec::coefficients::{Coefficients, Replenisher};
use eyeline_proto::media::jpeg::segments::Refusal;
use eyeline_proto::picture::Picture;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use std::time::{Duration, Instant};

/// What becomes of a camera's JPEGs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// They go as they are.
    Whole,
    /// Of their MCUs those go that changed, as they are.
    Changed,
    /// They are decoded, and encoded anew.
    Anew(Why),
}

/// Why they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The user wants it.
    Asked,
    /// They are turned, or made smaller or larger.
    Size,
    /// The path has no room for what changes of them.
    NoRoom,
    /// They are of a kind that slices do not carry.
    Unfit,
}

/// Compares a camera's JPEGs with what was sent of them.
#[derive(Default)]
pub struct Cutter {
    coefficients: Coefficients,
    replenisher: Replenisher,
    /// None is read that was caught before this.
    rests_until: Option<Instant>,
    /// How long it rested last; `None` where one was read since.
    rest: Option<Duration>,
    /// Damaged ones, one after the other, behind one that was read; `None` where none was.
    damaged: Option<u32>,
}

/// How long none is read after one could not be, the first time, and at most.
const REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(320);

/// So many damaged ones in a row are no accident.
const DAMAGED: u32 = 3;

/// What of a JPEG is to be sent.
pub struct Cut<'a> {
    /// The JPEG.
    pub coefficients: &'a Coefficients,
    /// What changed, and what is owed beside it; `None` where all of it is to be sent.
    pub some: Option<[&'a McuSet; 2]>,
    /// The share of its bytes that changed, and that of what is owed beside them.
    pub share: f64,
    pub lacking: f64,
}

impl Cutter {
    /// Pictures were sent of which it was not told.
    pub fn forget(&mut self) {
        self.replenisher.forget();
    }

    /// Whether JPEGs that were caught then are read.
    pub fn reads(&self, captured: Instant) -> bool {
        self.rests_until.is_none_or(|until| captured >= until)
    }

    /// Nothing can be cut out of the JPEGs of this camera: from this one on, none is read for a while.
    pub fn refuse(&mut self, captured: Instant) {
        self.forget();
        let rest = self.rest.map_or(REST, |rest| (2 * rest).min(LONGEST_REST));
        (self.rests_until, self.rest, self.damaged) = (Some(captured + rest), Some(rest), None);
    }

    /// What of the JPEG of this picture is to be sent; it is taken for sent. An error where nothing can be cut out of it: if it
    /// [reads](Cutter::reads) on, this one alone is damaged, and none of it was taken for sent.
    pub fn look(&mut self, jpeg: &[u8], picture: &Picture, owed: &Owed) -> Result<Cut<'_>, Refusal> {
        let read = self.coefficients.read(jpeg).and_then(|()| {
            let kind = self.coefficients.kind().filter(|(_, size)| *size == picture.size);
            kind.ok_or(Refusal::Unfit("its size is not what its source says"))
        });
        match (&read, &mut self.damaged) {
            (Ok(_), damaged) => *damaged = Some(0),
            (Err(Refusal::Damaged(_)), Some(damaged)) if *damaged + 1 < DAMAGED => *damaged += 1,
            (Err(_), _) => self.refuse(picture.captured),
        }
        let kind = read?;
        let coefficients = &self.coefficients;
        Ok(match self.replenisher.look(coefficients, kind, owed, picture.captured) {
            None => Cut { coefficients, some: None, share: 1.0, lacking: 0.0 },
            Some((changed, owed)) => {
                let (share, lacking) = (coefficients.share(changed), coefficients.share(owed));
                Cut { coefficients, some: Some([changed, owed]), share, lacking }
            }
        })
    }

    /// One was read, and what is cut out of it can be sent.
    pub fn note_cut(&mut self) {
        self.rest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{camera_jpeg, planes};
    use eyeline_proto::picture::{Body, Sampling, Size};

    const SIZE: Size = Size { width: 160, height: 96 };

    /// Looks at a JPEG that was caught then; whether all of it is sent, if it is read.
    fn look(cutter: &mut Cutter, jpeg: &[u8], at: Instant) -> Option<bool> {
        let picture = Picture::new(at, SIZE, Body::Jpeg(jpeg.to_vec().into()));
        cutter.look(jpeg, &picture, &Owed::Nothing).ok().map(|cut| cut.some.is_none())
    }

    #[test]
    fn a_damaged_jpeg_changes_nothing_and_three_in_a_row_are_no_accident() {
        let (mut cutter, start) = (Cutter::default(), Instant::now());
        let good = camera_jpeg(&planes(SIZE, Sampling::Yuv420, 9), SIZE, Sampling::Yuv420, 80, 0);
        let bad = &good[..good.len() / 2];
        assert_eq!(look(&mut cutter, &good, start), Some(true));
        for _ in 0..4 {
            for _ in 0..2 {
                assert!(look(&mut cutter, bad, start).is_none() && cutter.reads(start));
            }
            assert_eq!(look(&mut cutter, &good, start), Some(false), "what was sent still stands");
        }
        for damaged in 1..=3 {
            assert!(look(&mut cutter, bad, start).is_none());
            assert_eq!(cutter.reads(start), damaged < 3);
        }
        assert_eq!(look(&mut cutter, &good, start + REST), Some(true), "others were sent meanwhile");
        // A camera of which none was read may be one whose JPEGs all look damaged.
        let mut cutter = Cutter::default();
        assert!(look(&mut cutter, bad, start).is_none() && !cutter.reads(start));
    }

    #[test]
    fn each_refusal_is_followed_by_a_rest_twice_as_long_until_something_was_cut() {
        let (mut cutter, mut now) = (Cutter::default(), Instant::now());
        let mut rest = |cutter: &mut Cutter| {
            cutter.refuse(now);
            let seconds = (1..1000).find(|seconds| cutter.reads(now + Duration::from_secs(*seconds))).unwrap();
            now += Duration::from_secs(seconds);
            seconds
        };
        let rests: Vec<u64> = (0..9).map(|_| rest(&mut cutter)).collect();
        assert_eq!(rests, [5, 10, 20, 40, 80, 160, 320, 320, 320]);
        cutter.note_cut();
        assert_eq!(rest(&mut cutter), 5);
    }
}
