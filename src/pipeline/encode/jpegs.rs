//! A camera's JPEGs of which only what changed is sent: as the camera made it, or encoded anew.

use super::super::cutter::{Cut, Treatment, Why};
use super::Encoder;
use crate::codec::encoder::{At, Coded, Encoded};
use crate::codec::passthrough;
use crate::codec::settings::{Error, Settings};
use crate::threads::lock;
use eyeline_proto::media::foreign::{Fitness, Passthrough, Way};
use eyeline_proto::media::jpeg::segments::Refusal;
use eyeline_proto::media::ladder::Step;
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Body, Picture, Size, View};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::Whole;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Encoder {
    /// Whether what changed of a picture may go alone: it is a camera's JPEG that goes as it is, unless it is to go `whole`.
    pub(super) fn may_cut(&self, picture: &Picture, wanted: Size, whole: Whole) -> bool {
        let Some(cutter) = &self.cutter else { return false };
        let as_it_is = matches!(picture.body, Body::Jpeg(_)) && picture.view == View::PLAIN && picture.size == wanted;
        // What has odd sides is decoded otherwise than it was sampled. Each change of sampling costs a whole picture.
        let is_even = picture.size.width.is_multiple_of(2) && picture.size.height.is_multiple_of(2);
        let is_fit = is_even || self.passthrough == Passthrough::On;
        as_it_is && is_fit && whole == Whole::Nobody && lock(cutter).reads(picture.captured)
    }

    /// Sends what changed of a camera's JPEG: as the camera made it, or encoded anew. Gives back what goes another way, and how
    /// it is to be encoded.
    pub(super) fn cut(&self, picture: Picture, step: Step, may_cut: bool, begun: Instant) -> Option<(Picture, Step)> {
        let Some(cutter) = &self.cutter else { return Some((picture, step)) };
        let mut cutter = lock(cutter);
        let jpeg = match &picture.body {
            Body::Jpeg(jpeg) if may_cut && step.foreign != Way::Whole => jpeg,
            _ => {
                cutter.forget();
                return Some((picture, step));
            }
        };
        let owed = lock(&self.owed).clone();
        let cut = match cutter.look(jpeg, &picture, &owed) {
            Ok(cut) => cut,
            Err(refusal) => {
                if !cutter.reads(picture.captured) {
                    return Some(self.refused(picture, refusal));
                }
                self.lost(&refusal.into());
                return None;
            }
        };
        self.announce(picture.size);
        let (capture, number) = (self.epoch.media_time(picture.captured), self.next.load(Ordering::Relaxed));
        let as_made = step.foreign == Way::Changed && lock(&self.steps).ladder.affords(cut.share + cut.lacking);
        let settings = Settings { quality: step.quality, position: picture.position };
        let share = cut.share;
        let encoded = match as_made {
            true => self
                .threads
                .cut(number, (cut.coefficients, picture.captured), capture, settings, cut.some)
                .map(|encoded| (encoded, step)),
            false => self.cut_anew(number, jpeg, &picture, (capture, settings), step, &cut),
        };
        if let Err(Error::Refused(refusal @ Refusal::Unfit(_))) = encoded {
            cutter.refuse(picture.captured);
            return Some(self.refused(picture, refusal));
        }
        // Of what was sent the other knows nothing.
        self.replenisher.iter().for_each(|replenisher| lock(replenisher).forget());
        match encoded {
            Ok((encoded, step)) => {
                cutter.note_cut();
                self.sent(number, &encoded, begun);
                let anew = Treatment::Anew(if self.passthrough == Passthrough::Off { Why::Asked } else { Why::NoRoom });
                *lock(&self.treated) = Some(if step.foreign == Way::Changed { Treatment::Changed } else { anew });
                let ladder = &mut lock(&self.steps).ladder;
                ladder.note_changed(step, share, as_made.then_some(encoded.changed.bytes));
                if !as_made {
                    ladder.note_part(step, encoded.changed.share, encoded.changed.bytes, 0);
                }
            }
            Err(error) => {
                // What is taken for sent was not.
                cutter.forget();
                self.lost(&error);
            }
        }
        None
    }

    /// Nothing can be cut out of a camera's JPEGs: this one, too, goes the way of the next ones.
    fn refused(&self, picture: Picture, refusal: Refusal) -> (Picture, Step) {
        tracing::debug!("nothing can be cut out of a camera's JPEG: {refusal}");
        (picture, lock(&self.steps).ladder.step(Fitness::Whole))
    }

    /// Encodes what changed anew: always, or for once where so much did that the path has no room for it, and the camera's own
    /// follows as it ages. What changed is seen better in what the camera made than in pixels: there noise comes in steps.
    fn cut_anew(
        &self,
        number: u64,
        jpeg: &[u8],
        picture: &Picture,
        (capture, settings): (MediaTime, Settings),
        step: Step,
        cut: &Cut<'_>,
    ) -> Result<(Encoded, Step), Error> {
        let (size, sampling, planes, _) = passthrough::decode(jpeg, &self.buffers)?;
        if cut.coefficients.kind() != Some((sampling, size)) {
            return Err(Refusal::Unfit("it is decoded otherwise than it was sampled").into());
        }
        // A price is known of MCUs that are coded, whatever bytes they were of the camera's.
        let share = |set: &McuSet| set.len() as f64 / set.of().max(1) as f64;
        let quality = |share| lock(&self.steps).ladder.quality_of(step, share);
        let none = McuSet::new(size, sampling);
        let (coded, quality) = match cut.some {
            Some([changed, owed]) => {
                let now = quality(share(changed));
                let owed = At { mcus: owed, quality: quality(share(changed) + share(owed)) };
                (Coded::Some { changed, refined: At { mcus: &none, quality: now }, owed, whole: None }, now)
            }
            None => (Coded::All, quality(1.0)),
        };
        let planes = Picture::new(picture.captured, size, Body::Planes(sampling, planes));
        let encoded = self.threads.encode(number, planes, capture, Settings { quality, ..settings }, coded)?;
        Ok((encoded, Step { quality, ..step }))
    }

    /// Why a camera's JPEG would be encoded anew.
    pub(super) fn why_anew(&self, picture: &Picture, wanted: Size, step: Step) -> Why {
        let is_read = self.cutter.as_ref().is_none_or(|cutter| lock(cutter).reads(picture.captured));
        if self.passthrough == Passthrough::Off {
            Why::Asked
        } else if picture.view != View::PLAIN || picture.size != wanted {
            Why::Size
        } else if step.foreign == Way::Anew && is_read {
            Why::NoRoom
        } else {
            Why::Unfit
        }
    }
}

#[cfg(test)]
#[path = "jpegs_tests.rs"]
mod tests;
