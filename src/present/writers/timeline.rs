//! Where a moment of a sender's media clock lies in the files: what makes picture and sound start together, and stay together.
//!
//! Time zero of the files is the capture time of the first picture written, or of the first sound where no pictures are.
//! When `recv` meets another session (the sender was started anew, so its media clock began again), its first picture or sound
//! follows what is written by then. Shared by the writers' threads; each asks a few times a picture or block at most.
//!
//! *A film that stood still.* Capture times say when a film was played; where its player or the network made it wait, everything
//! after is later. A picture's position in its film says what was waited: capture less position grows by it. Pictures leave those
//! steps here ([`Film`]), and sound, which has only capture times, is corrected by the step before or after it. Sound from before
//! the first picture has no step before it: how long its film stood still until that picture nobody says, and the numbers of what
//! comes later place it (`wav.rs`).
//!
//! *Nothing for a long time* is cut to [`LONGEST_HOLE`] for all writers alike: what lies further behind the end of the longest
//! file is moved there, and everything after it with it. Where only pictures are missing, sound goes on and the hole keeps its
//! length.
//!
//! *Times are a peer's word.* Nothing lies further from the start of the files than the time since then, on our own clock, and
//! [`LONGEST_LEAD`]: what a sender says it caught in the meantime cannot have taken longer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{LONGEST_HOLE, LONGEST_LEAD};
use crate::threads::lock;
use eyeline_proto::time::MediaTime;

/// A writer can be this many sessions behind the other: its queue holds a second or so, and a session lasts longer than that.
const SESSIONS_KEPT: usize = 4;

/// Steps and cuts remembered: a writer is some seconds behind the other at most, and each takes a tenth of a second or more.
const KEPT: usize = 64;

/// When a picture was caught, and where it stands in its film if it is of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Grows whenever another sender, or the same one started anew, is shown.
    pub session: u64,
    /// On that session's media clock.
    pub captured: MediaTime,
    /// Time in the film; `None` of live pictures.
    pub position: Option<Duration>,
    /// When the last of it came, on our clock.
    pub received: Instant,
}

/// Where sound lies, in nanoseconds from the start of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// If the film has not stood still since the picture before it; `None` where it comes before the film's first picture.
    pub before: Option<i64>,
    /// If it is in step with the picture after it; `None` while no such picture is known.
    pub after: Option<i64>,
}

impl Place {
    /// The place that nothing speaks against: both pictures around it say the same.
    pub fn certain(self) -> Option<i64> {
        self.before.filter(|_| self.before == self.after)
    }
}

/// What pictures of a film said.
struct Film {
    /// Capture less position of the first picture.
    base: i128,
    /// From these capture times on, how much later than `base` the film is.
    steps: VecDeque<(MediaTime, i64)>,
    /// Capture time of the last picture.
    newest: MediaTime,
}

struct Session {
    id: u64,
    first: MediaTime,
    /// Nanoseconds from the start of the files.
    at: i64,
    film: Option<Film>,
    /// What was cut out: from where, and how much. Each speaks of places from which those before it were cut.
    cuts: VecDeque<(i64, i64)>,
}

#[derive(Default)]
struct State {
    sessions: VecDeque<Session>,
    /// Nanoseconds from the start of the files to the end of the longest, or to what is about to be written there.
    end: i64,
    /// When the first picture or sound came.
    began: Option<Instant>,
}

/// Shared by all writers of one run. Clones are the same timeline.
#[derive(Clone, Default)]
pub struct Timeline {
    state: Arc<Mutex<State>>,
    hurries: Arc<AtomicBool>,
}

impl Timeline {
    /// With nothing on it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whoever waits for the files waits no longer: what is not decoded yet is left out, and holes are not filled any more.
    pub fn hurry(&self) {
        self.hurries.store(true, Ordering::Relaxed);
    }

    /// Whether that was said.
    pub fn hurries(&self) -> bool {
        self.hurries.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Nanoseconds from the start of the files to a picture; negative before it. A newer session than all before begins with it;
    /// `None` for ever when its session is an old one.
    pub(super) fn picture(&self, moment: Moment) -> Option<i64> {
        let mut state = self.lock();
        let ends = state.ends(moment.received);
        let session = state.begin(moment.session, moment.captured)?;
        let stood = session.note(moment);
        let at = session.place(moment.captured, stood, ends);
        state.end = state.end.max(at);
        Some(at)
    }

    /// The same for sound. Its session must have been begun by a picture, unless it is `alone`.
    pub(super) fn sound(&self, session: u64, captured: MediaTime, received: Instant, alone: bool) -> Option<Place> {
        let mut state = self.lock();
        let ends = state.ends(received);
        let session = if alone { state.begin(session, captured)? } else { state.find(session)? };
        let Some(film) = &session.film else {
            let at = session.place(captured, 0, ends);
            state.end = state.end.max(at);
            return Some(Place { before: Some(at), after: Some(at) });
        };
        let earlier = film.steps.iter().rfind(|(from, _)| *from <= captured).map(|(_, stood)| *stood);
        // Forgotten steps lie far before whatever still comes; before the first picture there is none.
        let forgotten = film.steps.front().filter(|_| captured >= session.first).map(|(_, stood)| *stood);
        let before = earlier.or(forgotten);
        let later = film.steps.iter().find(|(from, _)| *from > captured).map(|(_, stood)| *stood);
        let after = later.or(before.filter(|_| film.newest >= captured));
        let after = after.map(|stood| session.place(captured, stood, ends));
        // Where the film stood still this lies too far off, and nothing is to be cut for it.
        let before = before.map(|stood| session.cut(session.raw(captured, stood)));
        state.end = state.end.max(after.unwrap_or(0));
        Some(Place { before, after })
    }

    /// Nanoseconds from the start of the files beyond which nothing lies that came by then.
    pub(super) fn furthest(&self, received: Instant) -> i64 {
        self.lock().ends(received).furthest
    }

    /// Something is written up to here.
    pub(super) fn reached(&self, nanos: u64) {
        let mut state = self.lock();
        state.end = state.end.max(i64::try_from(nanos).unwrap_or(i64::MAX));
    }
}

/// Where the files end, in nanoseconds from their start.
#[derive(Clone, Copy)]
struct Ends {
    end: i64,
    /// At most, with what has just come.
    furthest: i64,
}

impl State {
    fn ends(&mut self, received: Instant) -> Ends {
        let elapsed = received.saturating_duration_since(*self.began.get_or_insert(received));
        // No clock is wrong by more than a hundredth; one that is a little fast must not be cut after a day.
        let furthest = (elapsed + elapsed / 100).saturating_add(LONGEST_LEAD).as_nanos();
        Ends { end: self.end, furthest: i64::try_from(furthest).unwrap_or(i64::MAX) }
    }

    fn find(&mut self, id: u64) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|known| known.id == id)
    }

    fn begin(&mut self, id: u64, captured: MediaTime) -> Option<&mut Session> {
        if self.find(id).is_none() {
            if self.sessions.back().is_some_and(|newest| newest.id > id) {
                return None;
            }
            if self.sessions.len() == SESSIONS_KEPT {
                self.sessions.pop_front();
            }
            self.sessions.push_back(Session { id, first: captured, at: self.end, film: None, cuts: VecDeque::new() });
        }
        self.find(id)
    }
}

impl Session {
    /// Remembers where this picture stands in its film; says for how long the film has stood still before it.
    fn note(&mut self, moment: Moment) -> i64 {
        let Some(position) = moment.position else { return 0 };
        let shift = i128::from(moment.captured.as_nanos()) - i128::try_from(position.as_nanos()).unwrap_or(i128::MAX);
        let new = || Film { base: shift, steps: VecDeque::new(), newest: moment.captured };
        let film = self.film.get_or_insert_with(new);
        let stood = i64::try_from(shift - film.base).unwrap_or(i64::MAX);
        if film.steps.back().is_none_or(|(_, known)| *known != stood) {
            if film.steps.len() == KEPT {
                film.steps.pop_front();
            }
            film.steps.push_back((moment.captured, stood));
        }
        film.newest = film.newest.max(moment.captured);
        stood
    }

    fn raw(&self, captured: MediaTime, stood: i64) -> i64 {
        self.at.saturating_add(captured.signed_since(self.first)).saturating_sub(stood)
    }

    fn cut(&self, place: i64) -> i64 {
        self.cuts.iter().fold(place, |place, &(from, cut)| if place > from { from.max(place.saturating_sub(cut)) } else { place })
    }

    /// Where it lies; a hole behind the end of all files that is too long, or cannot be, is cut.
    fn place(&mut self, captured: MediaTime, stood: i64, ends: Ends) -> i64 {
        let place = self.cut(self.raw(captured, stood));
        let furthest = ends.end.saturating_add(LONGEST_HOLE.as_nanos() as i64).min(ends.furthest);
        if place <= furthest {
            return place;
        }
        if self.cuts.len() == KEPT {
            // Nobody asks for what lies before it any more.
            let oldest = self.cuts.pop_front();
            self.at = self.at.saturating_sub(oldest.map_or(0, |(_, cut)| cut));
        }
        self.cuts.push_back((ends.end.min(furthest), place - furthest));
        furthest
    }
}

#[cfg(test)]
mod tests {
    use super::super::arrival;
    use super::*;

    const MS: u64 = 1_000_000;
    const S: i64 = 1_000_000_000;

    fn at(nanos: u64) -> MediaTime {
        MediaTime::from_nanos(nanos)
    }

    fn live(session: u64, nanos: u64) -> Moment {
        Moment { session, captured: at(nanos), position: None, received: arrival(nanos) }
    }

    fn film(captured_ms: u64, position_ms: u64) -> Moment {
        Moment { position: Some(Duration::from_millis(position_ms)), ..live(1, captured_ms * MS) }
    }

    fn sound(timeline: &Timeline, session: u64, nanos: u64) -> Option<i64> {
        timeline.sound(session, at(nanos), arrival(nanos), false)?.before
    }

    #[test]
    fn the_first_moment_is_zero_and_others_lie_around_it() {
        let timeline = Timeline::new();
        assert_eq!(sound(&timeline, 1, 500), None);
        assert_eq!(timeline.picture(live(1, 500)), Some(0));
        assert_eq!((timeline.picture(live(1, 700)), sound(&timeline, 1, 480)), (Some(200), Some(-20)));
    }

    #[test]
    fn another_session_follows_what_is_written() {
        let timeline = Timeline::new();
        timeline.picture(live(1, 1_000_000));
        timeline.reached(300);
        timeline.reached(200);
        assert_eq!(timeline.picture(live(2, 7)), Some(300));
        assert_eq!(sound(&timeline, 2, 8), Some(301));
        assert_eq!(sound(&timeline, 1, 1_000_100), Some(100), "the session before is still known to the slower writer");
        assert_eq!(timeline.picture(live(0, 0)), None, "an older one is not begun again");
    }

    #[test]
    fn no_moment_a_peer_invents_overflows() {
        let timeline = Timeline::new();
        timeline.picture(live(1, 0));
        timeline.reached(u64::MAX);
        for nanos in [0, u64::MAX] {
            assert_eq!(timeline.picture(live(2, nanos)), Some(LONGEST_LEAD.as_nanos() as i64));
        }
        for position in [Duration::ZERO, Duration::MAX] {
            assert!(timeline.picture(Moment { position: Some(position), ..live(2, 9) }).is_some());
        }
        assert!(timeline.sound(2, at(u64::MAX), arrival(u64::MAX), false).is_some());
    }

    #[test]
    fn a_film_that_stood_still_lasts_no_longer_for_it() {
        let timeline = Timeline::new();
        assert_eq!(timeline.picture(film(500, 80)), Some(0));
        assert_eq!(timeline.picture(film(540, 120)), Some(40 * MS as i64));
        assert_eq!(timeline.picture(film(1580, 160)), Some(80 * MS as i64), "it stood still for a second");
        let place = |ms| timeline.sound(1, at(ms * MS), arrival(ms * MS), false).unwrap();
        let ms = |ms: i64| ms * MS as i64;
        assert_eq!(place(490), Place { before: None, after: Some(ms(-10)) }, "nobody knows what was before the first picture");
        assert_eq!(place(530), Place { before: Some(ms(30)), after: Some(ms(30 - 1000)) });
        assert_eq!(place(1570), Place { before: Some(ms(1070)), after: Some(ms(70)) }, "sound moved first");
        assert_eq!(place(1580), Place { before: Some(ms(80)), after: Some(ms(80)) });
        assert_eq!(place(1590), Place { before: Some(ms(90)), after: None }, "what comes after nobody knows yet");
    }

    #[test]
    fn a_long_hole_is_cut_for_everybody_and_one_in_the_pictures_alone_is_not() {
        let timeline = Timeline::new();
        timeline.picture(live(1, 0));
        timeline.reached(S as u64);
        let minute = 60 * S as u64;
        assert_eq!(timeline.picture(live(1, minute)), Some(11 * S), "ten seconds behind the end of all files");
        assert_eq!(sound(&timeline, 1, minute + 5), Some(11 * S + 5));
        assert_eq!(sound(&timeline, 1, minute - 5), Some(11 * S - 5), "what came before it, too");
        assert_eq!(sound(&timeline, 1, S as u64 / 2), Some(S / 2), "what came before the hole stays where it was");
        timeline.reached(40 * S as u64);
        assert_eq!(timeline.picture(live(1, minute + 30 * S as u64)), Some(41 * S), "sound went on meanwhile");
    }

    #[test]
    fn nothing_lies_further_off_than_the_time_that_passed_and_what_was_kept_for_us() {
        let timeline = Timeline::new();
        let lead = LONGEST_LEAD.as_nanos() as i64;
        // All of it comes within a second; the clock it tells of runs a hundred times as fast.
        for k in 0..1000 {
            let at = timeline.picture(Moment { received: arrival(k * MS), ..live(1, k * S as u64 / 10) }).unwrap();
            assert!(at <= lead + (k * MS * 101 / 100) as i64, "picture {k}: {at}");
        }
        // Sound that is written makes no room for pictures.
        timeline.reached(3600 * S as u64);
        let flood = timeline.picture(Moment { received: arrival(S as u64), ..live(1, 3600 * S as u64) });
        assert!(flood <= Some(lead + S * 101 / 100), "{flood:?}");
    }

    #[test]
    fn a_clock_that_runs_a_little_fast_is_not_cut_after_a_day() {
        let timeline = Timeline::new();
        for second in 0..100_000 {
            // By 500 millionths.
            let captured = second * 1_000_500_000;
            let moment = Moment { received: arrival(second * S as u64), ..live(1, captured) };
            assert_eq!(timeline.picture(moment), Some(captured as i64));
        }
    }

    #[test]
    fn cuts_without_end_are_forgotten_in_order() {
        let timeline = Timeline::new();
        timeline.picture(live(1, 0));
        for k in 1..200u64 {
            timeline.reached(k * S as u64);
            assert_eq!(timeline.picture(live(1, k * 100 * S as u64)), Some((k as i64 * 10 + 1) * S));
        }
    }
}
