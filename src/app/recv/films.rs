//! Films that are seen: where each is, and what whoever sees it alone wants of it.
//!
//! Between two times that its sender tells where a film is, that follows from the pictures that are shown. What was asked for last
//! counts until the sender says that it is so, for somebody who presses a key three times means three steps.

use super::super::ticker;
use eyeline_proto::session::TrackId;
use eyeline_proto::wire::record::{Film, Steer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An arrow key goes so far.
const STEP: Duration = Duration::from_secs(5);

/// What was asked for and is not so by then was not done.
const ASKED: Duration = Duration::from_millis(1500);

/// A film is where somebody wants it where it is as near as that: near its end it goes no further.
const THERE: Duration = Duration::from_secs(1);

struct Seen {
    film: Film,
    /// When that was told.
    told: Instant,
    /// Of the picture that was shown last.
    position: Option<Duration>,
    /// What was asked for last, and when.
    paused: Option<(bool, Instant)>,
    to: Option<(Duration, Instant)>,
}

/// What becomes of a wish.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its sender is to be told this, and the user that.
    Steer(Steer, String, u8),
    /// It cannot be, for this reason.
    Refused(String),
    /// It is no film, or its sender is an older program.
    Live,
}

#[derive(Default)]
pub struct Films(BTreeMap<TrackId, Seen>);

impl Films {
    /// Where the film is that is this track.
    pub fn told(&mut self, track: TrackId, film: Film, now: Instant) {
        let before = self.0.remove(&track);
        let (position, paused, to) = before.map_or((None, None, None), |seen| (seen.position, seen.paused, seen.to));
        let paused = paused.filter(|(paused, _)| *paused != film.paused);
        let to = to.filter(|(to, _)| to.abs_diff(film.place) > THERE);
        self.0.insert(track, Seen { film, told: now, position, paused, to });
    }

    /// A picture of this position was shown.
    pub fn shown(&mut self, track: TrackId, position: Option<Duration>) {
        if let Some(seen) = self.0.get_mut(&track) {
            seen.position = position.or(seen.position);
        }
    }

    /// The track is no more.
    pub fn over(&mut self, track: TrackId) {
        self.0.remove(&track);
    }

    /// Whether any stands still by somebody's wish.
    pub fn any_paused(&self) -> bool {
        self.0.values().any(|seen| seen.film.paused)
    }

    /// The user wants it to stand still, or to go on.
    pub fn pause(&mut self, track: TrackId, now: Instant) -> Answer {
        let Some(seen) = self.0.get_mut(&track) else { return Answer::Live };
        if !seen.film.steered {
            return Answer::Refused(format!("{}: it goes on", seen.refusal()));
        }
        let paused = !asked(seen.paused, now).unwrap_or(seen.film.paused);
        seen.paused = Some((paused, now));
        let (place, percent) = seen.words(seen.place(now));
        Answer::Steer(Steer { paused: Some(paused), to: None }, place, percent)
    }

    /// The user wants to see what is a step further on, or back.
    pub fn step(&mut self, track: TrackId, on: bool, now: Instant) -> Answer {
        let Some(seen) = self.0.get_mut(&track) else { return Answer::Live };
        if !seen.film.steered || !seen.film.sought {
            return Answer::Refused(format!("{}: it stays where it is", seen.refusal()));
        }
        let from = asked(seen.to, now).unwrap_or(seen.place(now));
        let to = if on { from.saturating_add(STEP) } else { from.saturating_sub(STEP) };
        let to = seen.film.length.map_or(to, |length| to.min(length));
        seen.to = Some((to, now));
        let (place, percent) = seen.words(to);
        Answer::Steer(Steer { paused: None, to: Some(to) }, place, percent)
    }

    /// How far it is, as a terminal's line says it.
    pub fn line(&self, track: TrackId, now: Instant) -> Option<String> {
        let seen = self.0.get(&track)?;
        Some(ticker::film(seen.place(now), seen.film.length, seen.film.paused))
    }

    /// The same as `--stats json` says it, of each.
    pub fn objects(&self, now: Instant) -> BTreeMap<TrackId, Value> {
        let object = |seen: &Seen| {
            let seconds = |time: Duration| super::super::stats::round(time.as_secs_f64());
            let (place, length) = (seconds(seen.place(now)), seen.film.length.map(seconds));
            json!({"place_s": place, "length_s": length, "paused": seen.film.paused, "others": seen.film.others})
        };
        self.0.iter().map(|(track, seen)| (*track, object(seen))).collect()
    }
}

/// What was asked for, where it may still become so.
fn asked<T>(asked: Option<(T, Instant)>, now: Instant) -> Option<T> {
    asked.filter(|(_, at)| now.saturating_duration_since(*at) < ASKED).map(|(asked, _)| asked)
}

impl Seen {
    fn place(&self, now: Instant) -> Duration {
        let passed = if self.film.paused { Duration::ZERO } else { now.saturating_duration_since(self.told) };
        // Of a film of sound alone no picture says it.
        self.film.place_of(self.position.unwrap_or(self.film.played.saturating_add(passed)))
    }

    /// In words, and in percent of its length.
    fn words(&self, place: Duration) -> (String, u8) {
        let Some(length) = self.film.length else { return (ticker::clock(place), 0) };
        let percent = (place.as_secs_f64() / length.as_secs_f64() * 100.0).min(100.0);
        (format!("{} / {}", ticker::clock(place), ticker::clock(length)), percent as u8)
    }

    fn refusal(&self) -> String {
        match self.film.others {
            0 => "this film is not steered from here".to_string(),
            1 => "one other watches this film".to_string(),
            others => format!("{others} others watch this film"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::session::PeerId;

    const TRACK: TrackId = TrackId::own(PeerId(1));

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn film() -> Film {
        Film { steered: true, sought: true, length: Some(seconds(90)), ..Film::default() }
    }

    fn to(answer: Answer) -> u64 {
        match answer {
            Answer::Steer(Steer { to: Some(to), .. }, ..) => to.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn three_steps_are_three_from_where_it_was_however_late_their_sender_answers() {
        let (mut films, now) = (Films::default(), Instant::now());
        films.told(TRACK, film(), now);
        films.shown(TRACK, Some(seconds(20)));
        assert_eq!([true, true].map(|on| to(films.step(TRACK, on, now))), [25, 30]);
        films.told(TRACK, Film { played: seconds(21), place: seconds(25), ..film() }, now);
        assert_eq!(to(films.step(TRACK, true, now)), 35, "the second is under way");
        films.told(TRACK, Film { played: seconds(22), place: seconds(35), ..film() }, now);
        films.shown(TRACK, Some(seconds(24)));
        assert_eq!(to(films.step(TRACK, false, now)), 32, "it is there, and went on");
        assert_eq!(to(films.step(TRACK, true, now + ASKED)), 42, "that was never done");
        films.told(TRACK, Film { played: seconds(30), place: seconds(88), ..film() }, now + ASKED);
        assert_eq!(to(films.step(TRACK, true, now + ASKED * 2)), 90);
        films.told(TRACK, Film { played: seconds(30), place: seconds(2), ..film() }, now + ASKED * 3);
        assert_eq!(to(films.step(TRACK, false, now + ASKED * 4)), 0);
    }

    #[test]
    fn who_watches_alone_pauses_a_film_and_others_are_told_why_not() {
        let (mut films, now) = (Films::default(), Instant::now());
        assert_eq!((films.pause(TRACK, now), films.step(TRACK, true, now)), (Answer::Live, Answer::Live));
        films.told(TRACK, film(), now);
        films.shown(TRACK, Some(seconds(45)));
        let paused = |paused| Steer { paused: Some(paused), to: None };
        assert_eq!(films.pause(TRACK, now), Answer::Steer(paused(true), "0:45 / 1:30".into(), 50));
        assert_eq!(films.pause(TRACK, now), Answer::Steer(paused(false), "0:45 / 1:30".into(), 50), "pressed twice");
        films.told(TRACK, Film { paused: true, ..film() }, now);
        assert!(films.any_paused());
        assert_eq!(films.pause(TRACK, now + ASKED), Answer::Steer(paused(false), "0:45 / 1:30".into(), 50));
        films.told(TRACK, Film { steered: false, others: 2, ..film() }, now);
        assert_eq!(films.pause(TRACK, now), Answer::Refused("2 others watch this film: it goes on".into()));
        films.told(TRACK, Film { steered: false, others: 1, ..film() }, now);
        assert_eq!(films.step(TRACK, true, now), Answer::Refused("one other watches this film: it stays where it is".into()));
        films.over(TRACK);
        assert_eq!(films.pause(TRACK, now), Answer::Live);
    }

    #[test]
    fn a_film_of_sound_alone_is_as_far_as_time_went_by() {
        let (mut films, now) = (Films::default(), Instant::now());
        films.told(TRACK, Film { place: seconds(10), length: None, ..film() }, now);
        assert_eq!(films.line(TRACK, now + seconds(7)).as_deref(), Some("0:17"));
        films.told(TRACK, Film { place: seconds(10), paused: true, ..film() }, now);
        assert_eq!(films.line(TRACK, now + seconds(7)).as_deref(), Some("0:10 / 1:30 [==>                 ] paused"));
        assert_eq!(films.objects(now)[&TRACK]["place_s"], 10.0);
    }
}
