//! What of each of a camera's JPEGs is sent as it was made: conditional replenishment, as [`crate::codec::replenisher`] has it
//! for planes, but for what stands still: a camera's own noise stays.

use super::{Changes, Coefficients};
use crate::codec::ageing::Ageing;
use eyeline_proto::media::parts::MOST;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Sampling, Size};
use std::time::Instant;

#[derive(Default)]
pub struct Replenisher {
    changes: Changes,
    ageing: Ageing,
    /// When the last picture was caught.
    last: Option<Instant>,
    changed: Option<McuSet>,
    lacking: Option<McuSet>,
}

impl Replenisher {
    /// Pictures were sent of which it was not told.
    pub fn forget(&mut self) {
        *self = Replenisher::default();
    }

    /// What is to be sent of the next picture, which was caught then: what changed, and what is owed beside that. `None`: all.
    pub fn look(
        &mut self,
        picture: &Coefficients,
        (sampling, size): (Sampling, Size),
        owed: &Owed,
        captured: Instant,
    ) -> Option<(&McuSet, &McuSet)> {
        let passed = self.last.replace(captured).map(|last| captured.saturating_duration_since(last)).unwrap_or_default();
        let changed = self.changed.insert(McuSet::new(size, sampling));
        self.changes.look(picture, changed);
        self.ageing.due(changed.of(), passed).for_each(|mcu| changed.insert(mcu));
        let most = changed.len() as f64 >= MOST * changed.of() as f64;
        if most {
            changed.fill();
        }
        self.changes.sent(picture, changed);
        let lacking = self.lacking.insert(owed.of(size, sampling));
        lacking.remove_all(changed);
        (!most).then_some((&*changed, &*lacking))
    }
}
