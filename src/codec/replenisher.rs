//! What of each picture is coded: conditional replenishment (McCanne, Jacobson: vic, 1995).
//!
//! What changed against what was sent last, by the [`Detector`]; what is due because it is old, by [`Ageing`]; what stands still
//! and is sent once more, better, by [`Refinement`]; and beside these what receivers are owed. Where most of a picture is to be
//! coded, all of it is: packing costs more there than it saves. The caller encodes what [`Replenisher::look`] says: it is taken
//! for sent, and told of what was sent otherwise.
//!
//! Where the source knows in what pictures differ ([`Replenisher::comes`]) nothing else is compared. What is old is refined as it
//! is, and so is what changed and was sent coarsely ([`Replenisher::was_sent`]), as soon as there is room; where that takes
//! longer than all takes to be old once more, it is sent at the picture's own quality. Where pictures are scaled, what changed in
//! the source's is carried over.
//!
//! What was refined was sent as a mean of pictures, and each receiver should be shown that mean, which the detector compares
//! with. So means are drawn into the picture that is encoded: of what is refined in it, and of what is owed and was refined
//! before, though of that only the quality may be less. What was refined and is old is sent again as it was, or, one time
//! in four, refined anew; where there is no room for that, as it was at the picture's own quality.
//!
//! Of pictures that are published in layers ([`Replenisher::layered`]) those of layer 0 alone bring what is old or refined, for all
//! take them; and each brings what others did since its base, as it is now.

use super::ageing::Ageing;
use super::detector::Detector;
use super::refinement::Refinement;
use super::scale;
use eyeline_proto::media::layers::{self, Changes};
use eyeline_proto::media::parts::MOST;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::slice::MOST_MCUS;
use std::time::{Duration, Instant};

/// What is old is summed up anew once in so many times; else its mean is sent again as it was, which costs no sums.
const ANEW: usize = 4;

/// See the module text.
#[derive(Default)]
pub struct Replenisher {
    detector: Detector,
    ageing: Ageing,
    refinement: Option<Refinement>,
    /// When the last picture was caught.
    last: Option<Instant>,
    /// What may have changed since a picture was looked at.
    unseen: Unseen,
    /// Whether it was told of the next picture.
    told: bool,
    /// Of what kind the source's pictures are, where it says what changed in them, and the one that was looked at last.
    source: Option<(Sampling, Size)>,
    looked: Option<(Sampling, Size)>,
    /// What changed in the last picture.
    moved: Option<McuSet>,
    /// What waits for room: it was sent worse than it may be, or is old.
    waiting: Option<McuSet>,
    due: Option<Due>,
    /// Time for which nothing grew old.
    unaged: Duration,
    /// The number of the next picture, where it is of a layer, and what those have to bring.
    number: Option<u64>,
    layers: Changes,
}

/// What may have changed since a picture was looked at, in the source's pictures.
#[derive(Default)]
enum Unseen {
    #[default]
    Anything,
    Nothing,
    These(McuSet),
}

/// What of a picture is coded. No MCU is in two of these.
#[derive(Debug, Clone)]
pub struct Due {
    /// What changed, or has to be sent as it is now.
    pub changed: McuSet,
    /// What is sent once more, better.
    pub refined: McuSet,
    /// What is owed beside these.
    pub owed: McuSet,
}

impl Replenisher {
    /// Pictures were sent of which it was not told.
    pub fn forget(&mut self) {
        *self = Replenisher::default();
    }

    /// A picture comes that may differ there from the one before it; `None`: anywhere, as in one of which it is not told. To be told
    /// also of those that are not looked at.
    pub fn comes(&mut self, changed: Option<&McuSet>) {
        self.told = true;
        let source = changed.map(|changed| (changed.sampling(), changed.size()));
        let same = self.source.is_none_or(|before| Some(before) == source);
        self.source = source;
        self.unseen = match (std::mem::take(&mut self.unseen), changed.filter(|_| same)) {
            (Unseen::Nothing, Some(changed)) => Unseen::These(changed.clone()),
            (Unseen::These(mut unseen), Some(changed)) => {
                unseen.add(changed);
                Unseen::These(unseen)
            }
            _ => Unseen::Anything,
        };
    }

    /// The next picture has this number, and is published in layers; `None`: in none.
    pub fn layered(&mut self, number: Option<u64>) {
        if number.is_none() {
            self.layers.forget();
        }
        self.number = number;
    }

    /// What [`Replenisher::look`] said is sent: what changed at the best quality it may have (`fine`), or worse.
    pub fn was_sent(&mut self, fine: bool) {
        let (Some(due), Some(moved)) = (&self.due, &self.moved) else { return };
        let waiting = waiting(&mut self.waiting, moved);
        if fine {
            waiting.remove_all(&due.changed);
        } else {
            waiting.add(moved);
        }
        waiting.remove_all(&due.refined);
    }

    /// Whether something waits for room in a picture, also of one in which nothing changed.
    pub fn is_waited_for(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| !waiting.is_empty())
    }

    /// What is to be coded of the next picture, which was caught then; `None`: all. Told the share that changed, `room` says
    /// which share may be refined beside it. Into `planes` the means are drawn of what is to be coded as such.
    pub fn look(
        &mut self,
        planes: &mut [u8],
        kind: (Sampling, Size),
        owed: &Owed,
        captured: Instant,
        room: impl FnOnce(f64) -> f64,
    ) -> Option<&Due> {
        let is_lowest = self.number.is_none_or(|number| layers::of(number) == 0);
        let room = |share| if is_lowest { room(share) } else { 0.0 };
        let passed = self.last.replace(captured).map(|last| captured.saturating_duration_since(last)).unwrap_or_default();
        self.unaged += passed;
        let passed = if is_lowest { std::mem::take(&mut self.unaged) } else { Duration::ZERO };
        let is_part = self.look_at(planes, kind, owed, passed, room).is_some();
        self.carry(planes, is_part);
        self.due.as_ref().filter(|_| is_part)
    }

    /// Adds what a picture of its layer has to bring beside what is due; `is_part`: not all of it is coded.
    fn carry(&mut self, planes: &[u8], is_part: bool) {
        let Some(number) = self.number else { return };
        match &mut self.due {
            Some(due) if is_part => {
                let mut coded = due.changed.clone();
                coded.add(&due.refined);
                let since = self.layers.due(number, &coded);
                self.detector.sent(planes, &since);
                due.changed.add(&since);
                due.owed.remove_all(&since);
            }
            Some(due) => self.layers.all(number, &due.changed),
            None => self.layers.forget(),
        }
    }

    fn look_at(
        &mut self,
        planes: &mut [u8],
        (sampling, size): (Sampling, Size),
        owed: &Owed,
        passed: Duration,
        room: impl FnOnce(f64) -> f64,
    ) -> Option<&Due> {
        let none = McuSet::new(size, sampling);
        if none.of() > MOST_MCUS as usize || planes.len() < sampling.bytes(size) {
            self.forget();
            return None;
        }
        let same = self.looked.replace((sampling, size)) == Some((sampling, size));
        let known = std::mem::take(&mut self.told) && same;
        let unseen = std::mem::replace(&mut self.unseen, Unseen::Nothing);
        let due = self.due.insert(Due { changed: none.clone(), refined: none.clone(), owed: none.clone() });
        if let (true, Unseen::These(within)) = (known, unseen) {
            self.detector.look_within(planes, &scale::carried(&within, size, sampling), &mut due.changed);
            self.moved = Some(due.changed.clone());
            return self.renew(planes, passed, owed, room);
        }
        let scene = self.detector.look(planes, &mut due.changed);
        let still = !(scene.drifting || scene.flickering || scene.sampled);
        let (mut old, moved) = (none.clone(), due.changed.clone());
        if !scene.sampled {
            self.ageing.due(none.of(), passed).for_each(|mcu| old.insert(mcu));
        }
        let mut again = none;
        if still {
            again.add(&old);
            again.keep_all(self.detector.means());
            old.remove_all(&again);
        }
        due.changed.add(&old);
        let most = due.changed.len() as f64 >= MOST * due.changed.of() as f64;
        if most {
            due.changed.fill();
        }
        self.moved = Some(due.changed.clone());
        if most || !still {
            self.refinement.iter_mut().for_each(Refinement::stop);
            self.detector.sent(planes, &due.changed);
        } else {
            self.refine(planes, (&moved, &old), again, room);
        }
        if most {
            return None;
        }
        let due = self.due.as_mut()?;
        due.owed = owed.of(size, sampling);
        due.owed.remove_all(&due.changed);
        due.owed.remove_all(&due.refined);
        let mut means = due.owed.clone();
        means.keep_all(self.detector.means());
        self.detector.recall(planes, &means);
        self.due.as_ref()
    }

    /// Of a picture without noise, of which it is known what changed: what is old is sent again, as it is, and finely; what there
    /// is no room for waits. There is nothing that a mean would make better.
    fn renew(&mut self, planes: &[u8], passed: Duration, owed: &Owed, room: impl FnOnce(f64) -> f64) -> Option<&Due> {
        self.refinement = None;
        let due = self.due.as_mut()?;
        let mut old = McuSet::new(due.changed.size(), due.changed.sampling());
        self.ageing.due(old.of(), passed).for_each(|mcu| old.insert(mcu));
        old.remove_all(&due.changed);
        let (changed, all) = (due.changed.len() as f64, due.changed.of() as f64);
        if changed >= MOST * all {
            due.changed.fill();
            self.moved.iter_mut().for_each(McuSet::fill);
            self.detector.sent(planes, &due.changed);
            return None;
        }
        let waiting = waiting(&mut self.waiting, &old);
        due.refined.add(&old);
        due.refined.add(waiting);
        due.refined.remove_all(&due.changed);
        due.refined.keep_first((room(changed / all) * all) as usize);
        old.remove_all(&due.refined);
        waiting.remove_all(&due.refined);
        let mut late = old.clone();
        late.keep_all(waiting);
        waiting.add(&old);
        due.changed.add(&late);
        self.detector.sent(planes, &due.changed);
        self.detector.sent(planes, &due.refined);
        due.owed = owed.of(due.changed.size(), due.changed.sampling());
        due.owed.remove_all(&due.changed);
        due.owed.remove_all(&due.refined);
        self.due.as_ref()
    }

    /// Of a picture in which this much `moved` and nothing else: sums up what is still, and sends what is due of it. `old` is
    /// sent as it is, `again` as a mean.
    fn refine(&mut self, planes: &mut [u8], (moved, old): (&McuSet, &McuSet), mut again: McuSet, room: impl FnOnce(f64) -> f64) {
        let Some(Due { changed, refined, .. }) = &mut self.due else { return };
        if !self.refinement.as_ref().is_some_and(|refinement| refinement.is_of(changed)) {
            self.refinement = None;
        }
        let refinement = self.refinement.get_or_insert_with(|| Refinement::new(changed));
        let mut moving = McuSet::new(changed.size(), changed.sampling());
        refinement.add(planes, self.detector.noise(), moved, &mut moving);
        refinement.leave(old);
        moving.keep_all(self.detector.means());
        changed.add(&moving);
        let all = changed.of() as f64;
        let room = (room(changed.len() as f64 / all) * all) as usize;
        refinement.take(room.min(refinement.most() + again.len()), refined);
        changed.remove_all(refined);
        again.remove_all(changed);
        again.remove_all(refined);
        let mut anew = again.clone();
        again.iter().filter(|mcu| !self.ageing.is_one_of(*mcu, ANEW)).for_each(|mcu| anew.remove(mcu));
        // What has its turn to be summed up anew is sent when that is done. All for which there is no room is sent at the
        // picture's own quality, for nothing is kept without being sent again.
        let (mut fine, mut coarse) = (again.clone(), again);
        fine.remove_all(&anew);
        fine.keep_first(room.saturating_sub(refined.len()));
        coarse.remove_all(&fine);
        if room > refined.len() {
            coarse.remove_all(&anew);
        }
        let mut others = moving;
        others.fill();
        for known in [&*changed, &*refined, self.detector.means()] {
            others.remove_all(known);
        }
        refinement.leave_idle(&mut others);
        refinement.begin(planes, &anew, &others);
        self.detector.sent(planes, changed);
        refinement.draw(planes, refined);
        self.detector.sent_mean(planes, refined);
        for (sent, kept) in [(refined, fine), (changed, coarse)] {
            self.detector.recall(planes, &kept);
            sent.add(&kept);
        }
    }
}

/// What waits, of such pictures.
fn waiting<'a>(waiting: &'a mut Option<McuSet>, like: &McuSet) -> &'a mut McuSet {
    let kept = waiting.take().filter(|waiting| waiting.is_of(like.size(), like.sampling()));
    waiting.insert(kept.unwrap_or_else(|| McuSet::new(like.size(), like.sampling())))
}

#[cfg(test)]
#[path = "replenisher_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "replenisher_drawn_tests.rs"]
mod drawn_tests;
