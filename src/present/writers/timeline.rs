//! Where a moment of a sender's media clock lies in the files: what makes picture and sound start together.
//!
//! Time zero of the files is the capture time of the first picture written, or of the first sound where no pictures are.
//! When `recv` meets another session (the sender was started anew, so its media clock began again), its first picture or sound
//! follows what is written by then. Shared by the writers' threads; each asks a few times a picture or block at most.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::time::MediaTime;

/// A writer can be this many sessions behind the other: its queue holds a second or so, and a session lasts longer than that.
const SESSIONS_KEPT: usize = 4;

struct Session {
    id: u64,
    first: MediaTime,
    /// Nanoseconds from the start of the files.
    at: u64,
}

#[derive(Default)]
struct State {
    sessions: VecDeque<Session>,
    /// Nanoseconds from the start of the files to the end of the longest.
    end: u64,
}

/// Shared by all writers of one run. Clones are the same timeline.
#[derive(Clone, Default)]
pub struct Timeline {
    state: Arc<Mutex<State>>,
}

impl Timeline {
    /// With nothing on it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nanoseconds from the start of the files to `captured`; negative before it. `None` while the session has not begun, and for
    /// ever when it is an old one.
    pub(super) fn position(&self, session: u64, captured: MediaTime) -> Option<i64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sessions.iter().find(|known| known.id == session).map(|known| known.position(captured))
    }

    /// The same; a newer session than all before begins with this moment.
    pub(super) fn begin(&self, session: u64, captured: MediaTime) -> Option<i64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.sessions.iter().find(|known| known.id == session) {
            return Some(known.position(captured));
        }
        if state.sessions.back().is_some_and(|newest| newest.id > session) {
            return None;
        }
        let begun = Session { id: session, first: captured, at: state.end };
        let position = begun.position(captured);
        if state.sessions.len() == SESSIONS_KEPT {
            state.sessions.pop_front();
        }
        state.sessions.push_back(begun);
        Some(position)
    }

    /// Something is written up to here.
    pub(super) fn reached(&self, nanos: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.end = state.end.max(nanos);
    }
}

impl Session {
    fn position(&self, captured: MediaTime) -> i64 {
        i64::try_from(self.at).unwrap_or(i64::MAX).saturating_add(captured.signed_since(self.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> MediaTime {
        MediaTime::from_nanos(nanos)
    }

    #[test]
    fn the_first_moment_is_zero_and_others_lie_around_it() {
        let timeline = Timeline::new();
        assert_eq!(timeline.position(1, at(500)), None);
        assert_eq!(timeline.begin(1, at(500)), Some(0));
        assert_eq!((timeline.begin(1, at(700)), timeline.position(1, at(480))), (Some(200), Some(-20)));
    }

    #[test]
    fn another_session_follows_what_is_written() {
        let timeline = Timeline::new();
        timeline.begin(1, at(1_000_000));
        timeline.reached(300);
        timeline.reached(200);
        assert_eq!(timeline.begin(2, at(7)), Some(300));
        assert_eq!(timeline.position(2, at(8)), Some(301));
        assert_eq!(timeline.position(1, at(1_000_100)), Some(100), "the session before is still known to the slower writer");
        assert_eq!(timeline.begin(0, at(0)), None, "an older one is not begun again");
    }

    #[test]
    fn no_moment_a_peer_invents_overflows() {
        let timeline = Timeline::new();
        timeline.begin(1, at(0));
        timeline.reached(u64::MAX);
        assert_eq!(timeline.begin(2, at(0)), Some(i64::MAX));
        assert_eq!(timeline.position(2, at(u64::MAX)), Some(i64::MAX));
    }
}
