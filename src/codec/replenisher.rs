//! What of each picture is coded: conditional replenishment (McCanne, Jacobson: vic, 1995).
//!
//! What changed against what was sent last, by what [`Compare`]s (the [`Detector`](super::detector::Detector), or
//! [`Changes`](super::coefficients::Changes) in a camera's own JPEGs); what is due because it is old, by [`Ageing`]; and beside
//! these what receivers are owed. Where most of a picture is to be coded, all of it is: packing costs more there than it saves.
//! The caller encodes what [`Replenisher::look`] says: it is taken for sent, and told of what was sent otherwise.

use super::ageing::Ageing;
use super::parts::MOST;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::slice::MOST_MCUS;
use std::time::Instant;

/// Tells what changed, against what was last sent.
pub trait Compare: Default {
    /// Each picture that it compares.
    type Picture: ?Sized;

    /// Says which MCUs are to be sent. Returns whether that is all of them because it did not look everywhere.
    fn look(&mut self, picture: &Self::Picture, changed: &mut McuSet) -> bool;

    /// These are sent as they are in the picture last looked at.
    fn sent(&mut self, picture: &Self::Picture, sent: &McuSet);
}

/// See the module text.
#[derive(Default)]
pub struct Replenisher<C> {
    compare: C,
    ageing: Ageing,
    /// When the last picture was caught.
    last: Option<Instant>,
    changed: Option<McuSet>,
    owed: Option<McuSet>,
}

impl<C: Compare> Replenisher<C> {
    /// Pictures were sent of which it was not told.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// What is to be coded of the next picture, which was caught then: what changed, and what is owed beside that. `None`: all.
    pub fn look(
        &mut self,
        picture: &C::Picture,
        (sampling, size): (Sampling, Size),
        owed: &Owed,
        captured: Instant,
    ) -> Option<(&McuSet, &McuSet)> {
        let passed = self.last.replace(captured).map(|last| captured.saturating_duration_since(last)).unwrap_or_default();
        let changed = self.changed.insert(McuSet::new(size, sampling));
        if changed.of() > MOST_MCUS as usize {
            return None;
        }
        if !self.compare.look(picture, changed) {
            self.ageing.due(changed.of(), passed).for_each(|mcu| changed.insert(mcu));
        }
        let most = changed.len() as f64 >= MOST * changed.of() as f64;
        if most {
            changed.fill();
        }
        self.compare.sent(picture, changed);
        let lacking = self.owed.insert(McuSet::new(size, sampling));
        match owed {
            Owed::Nothing => {}
            Owed::Some(set) if set.is_of(size, sampling) => *lacking = set.clone(),
            // Of pictures of another size nobody has anything.
            Owed::Some(_) | Owed::All => lacking.fill(),
        }
        lacking.remove_all(changed);
        (!most).then_some((&*changed, &*lacking))
    }
}
