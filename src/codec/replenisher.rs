//! What of each picture is coded: conditional replenishment (McCanne, Jacobson: vic, 1995).
//!
//! What changed against what was sent last, by the [`Detector`]; what is due because it is old, by [`Ageing`]; and beside these
//! what receivers are owed. Where most of a picture is to be coded, all of it is: packing costs more there than it saves. The
//! caller encodes what [`Replenisher::look`] says: it is taken for sent, and told of what was sent otherwise.

use super::ageing::Ageing;
use super::detector::Detector;
use eyeline_proto::media::parts::MOST;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::wire::slice::MOST_MCUS;
use std::time::Instant;

/// See the module text.
#[derive(Default)]
pub struct Replenisher {
    detector: Detector,
    ageing: Ageing,
    /// When the last picture was caught.
    last: Option<Instant>,
    changed: Option<McuSet>,
    owed: Option<McuSet>,
}

impl Replenisher {
    /// Pictures were sent of which it was not told.
    pub fn forget(&mut self) {
        *self = Replenisher::default();
    }

    /// What is to be coded of the next picture, which was caught then: what changed, and what is owed beside that. `None`: all.
    pub fn look(
        &mut self,
        planes: &[u8],
        (sampling, size): (Sampling, Size),
        owed: &Owed,
        captured: Instant,
    ) -> Option<(&McuSet, &McuSet)> {
        let passed = self.last.replace(captured).map(|last| captured.saturating_duration_since(last)).unwrap_or_default();
        let changed = self.changed.insert(McuSet::new(size, sampling));
        if changed.of() > MOST_MCUS as usize {
            return None;
        }
        let scene = self.detector.look(planes, changed);
        if !scene.sampled {
            self.ageing.due(changed.of(), passed).for_each(|mcu| changed.insert(mcu));
        }
        let most = changed.len() as f64 >= MOST * changed.of() as f64;
        if most {
            changed.fill();
        }
        self.detector.sent(planes, changed);
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
