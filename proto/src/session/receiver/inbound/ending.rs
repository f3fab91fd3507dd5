//! How far a stream is from its end.

use crate::wire::record::End;
use std::time::{Duration, Instant};

/// After the end record the rest is waited for this long from the last piece of it that came.
const WAIT: Duration = Duration::from_secs(2);

pub(super) enum Ending {
    /// Nothing was said of it.
    Open,
    /// So much there is in all; what is missing is waited for until then.
    Said(End, Instant),
    /// It is over.
    Over,
}

impl Ending {
    /// The sender says what there is in all. Believed once.
    pub fn said(&mut self, now: Instant, end: End) {
        *self = Ending::Said(end, now + WAIT);
    }

    /// Something new came: if the end was told, the rest has time from now on.
    pub fn goes_on(&mut self, now: Instant) {
        if let Ending::Said(_, deadline) = self {
            *deadline = now + WAIT;
        }
    }

    /// When the end is waited for no longer.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Ending::Said(_, deadline) => Some(*deadline),
            Ending::Open | Ending::Over => None,
        }
    }
}
