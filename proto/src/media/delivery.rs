//! What one receiver has of a track's picture: which MCUs it was sent as they were coded last, and which it lacks.
//!
//! **Problem.** Where a picture is only what changed, whatever a receiver was not sent, or lost, stays wrong with it until the
//! same MCU happens to change again. **Choice.** Of each MCU a byte: the receiver has it, lacks it, or it was sent in a picture
//! that the receiver has not said to have. What it does not get (skipped, lost, drawn nowhere) becomes lacking and is *owed*: it
//! is sent again, to this receiver alone, in slices that refresh. There is no other way out of that state, so no hole is silent.
//! **Rejected.** Sending all MCUs again in turn alone (vic's background refill): a hole would stand for seconds.
//!
//! Capacity: a byte an MCU, of at most [`MOST_MCUS`]; of larger pictures all is sent each time, and nothing is kept.

use super::missed::{LATEST, TOLD};
use crate::picture::mcu_set::{McuSet, Owed};
use crate::picture::{Sampling, Size};
use crate::wire::slice::{Head, MOST_MCUS};

/// Pictures that may be under way at once: twice as many as are told of.
const SLOTS: usize = 128;

/// States of an MCU; those between are the number of a slot, and one.
const HAS: u8 = 0;
const LACKS: u8 = u8::MAX;

/// See the module text.
#[derive(Debug)]
pub struct Delivery {
    /// Of pictures like these; `None`: it has nothing.
    of: Option<(Size, Sampling)>,
    mcus: Vec<u8>,
    /// How many of them it lacks.
    lacking: usize,
    /// What is owed may be something else than when that was asked last.
    changed: bool,
    /// The picture that each slot stands for, and one; 0: none.
    slots: [u64; SLOTS],
    /// The newest picture of which anything was sent.
    newest: u64,
    /// Every picture below was reported on.
    settled: u64,
}

impl Default for Delivery {
    fn default() -> Self {
        let (mcus, slots) = (Vec::new(), [0; SLOTS]);
        Delivery { of: None, mcus, lacking: 0, changed: true, slots, newest: 0, settled: 0 }
    }
}

impl Delivery {
    /// It was sent a slice with this head, of this picture.
    pub fn sent(&mut self, picture: u64, head: &Head<'_>) {
        self.fit(head);
        let slot = (picture % SLOTS as u64) as usize;
        if picture + 1 < self.slots[slot] {
            // It is later than all that is remembered. What is lacking may be of a newer one.
            return;
        }
        if self.slots[slot] != picture + 1 {
            self.retire(slot);
            self.slots[slot] = picture + 1;
        }
        let (late, state) = (picture < self.newest, slot as u8 + 1);
        self.newest = self.newest.max(picture);
        let Delivery { mcus, slots, .. } = self;
        let mut mended = 0;
        for run in head.runs() {
            for known in mcus.get_mut(run).into_iter().flatten() {
                // One that overtook it has newer ones, or lost them.
                let newer = late && (*known == LACKS || *known != HAS && slots[usize::from(*known) - 1] > picture + 1);
                if !newer {
                    mended += usize::from(std::mem::replace(known, state) == LACKS);
                }
            }
        }
        self.lacking -= mended;
        self.changed |= mended > 0;
    }

    /// It is not sent the slice with this head at all.
    pub fn passed_over(&mut self, head: &Head<'_>) {
        if self.of.is_some() {
            self.fit(head);
            head.runs().for_each(|run| self.lose(run));
        }
    }

    /// It has nothing any more: it is another receiver, or nobody knows what it was not sent.
    pub fn lose_all(&mut self) {
        *self = Delivery { newest: self.newest, settled: self.settled, ..Delivery::default() };
    }

    /// It comes back over another connection: of what was under way nobody can say what came. What was said to have come may turn
    /// out to be missed as before.
    pub fn resumed(mut self) -> Self {
        for slot in 0..SLOTS {
            if self.slots[slot] > self.settled {
                self.retire(slot);
                self.slots[slot] = 0;
            }
        }
        self
    }

    /// It says that it lacks these.
    pub fn lacks(&mut self, owed: &Owed) {
        match owed {
            Owed::Nothing => {}
            Owed::Some(set) if self.of == Some((set.size(), set.sampling())) => {
                set.runs(0..set.of()).for_each(|run| self.lose(run));
            }
            // It speaks of a picture of another size, which was replaced since.
            Owed::Some(_) => {}
            Owed::All => self.lose_all(),
        }
    }

    /// It has settled every picture below `settled`, and of the [`TOLD`] before that missed those whose bits are set, the last
    /// one in the lowest.
    pub fn reported(&mut self, settled: u64, missed: u64) {
        let before = self.settled;
        self.settled = before.max(settled);
        let is_missed = |after: u64| {
            // Counted from the picture below `settled`, which is number 0.
            let back = settled.checked_sub(after);
            // Of one of which reports speak no more what was said last may have changed since.
            after != 0 && back.is_some_and(|back| if back < TOLD { missed >> back & 1 != 0 } else { after + LATEST > before })
        };
        let lost = self.slots.map(is_missed);
        if lost.contains(&true) {
            let mut lacking = 0;
            for known in self.mcus.iter_mut().filter(|known| **known != HAS && **known != LACKS) {
                if lost[usize::from(*known) - 1] {
                    (*known, lacking) = (LACKS, lacking + 1);
                }
            }
            self.lacking += lacking;
            self.changed |= lacking > 0;
            // Nothing that it has is of those pictures now, so nobody looks for it again.
            self.slots.iter_mut().zip(lost).filter(|(_, lost)| *lost).for_each(|(slot, _)| *slot = 0);
        }
    }

    /// What it is owed.
    pub fn owed(&self) -> Owed {
        let Some((size, sampling)) = self.of else { return Owed::All };
        if self.lacking == 0 {
            return Owed::Nothing;
        }
        let mut set = McuSet::new(size, sampling);
        let mut at = 0;
        for run in self.mcus.chunk_by(|a, b| (*a == LACKS) == (*b == LACKS)) {
            if run.first() == Some(&LACKS) {
                set.insert_runs(std::iter::once(at..at + run.len()));
            }
            at += run.len();
        }
        Owed::Some(set)
    }

    /// Whether it is owed anything.
    pub fn is_owed(&self) -> bool {
        self.of.is_none() || self.lacking > 0
    }

    /// Whether what is owed may be something else than when this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn lose(&mut self, run: std::ops::Range<usize>) {
        let mut lacking = 0;
        for known in self.mcus.get_mut(run).into_iter().flatten() {
            lacking += usize::from(std::mem::replace(known, LACKS) != LACKS);
        }
        self.lacking += lacking;
        self.changed |= lacking > 0;
    }

    /// Pictures are of another size, or sampled otherwise: of those it has nothing.
    fn fit(&mut self, head: &Head<'_>) {
        let of = Some((head.size, head.sampling));
        if self.of != of {
            let grid = head.grid();
            let mcus = Some(grid.width * grid.height).filter(|mcus| *mcus <= MOST_MCUS).unwrap_or(0) as usize;
            (self.of, self.mcus, self.slots) = (of, vec![LACKS; mcus], [0; SLOTS]);
            (self.lacking, self.changed) = (mcus, true);
        }
    }

    /// A slot is used again: what was sent in its picture is there, or nobody said so.
    fn retire(&mut self, slot: usize) {
        let (state, former) = (slot as u8 + 1, self.slots[slot]);
        if former != 0 {
            let became = if former <= self.settled { HAS } else { LACKS };
            let mut retired = 0;
            for known in self.mcus.iter_mut().filter(|known| **known == state) {
                (*known, retired) = (became, retired + 1);
            }
            if became == LACKS {
                self.lacking += retired;
                self.changed |= retired > 0;
            }
        }
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
