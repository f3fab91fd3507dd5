//! What the only viewer of a film wants of it is done, and where the film is then is told to all who watch.

use crate::capture::file::Film;
use crate::pipeline::encode::Encoder;
use eyeline_proto::session::Command;
use eyeline_proto::wire::record;
use std::time::Duration;

/// How far a film of sound alone is, is told so often.
const RETOLD: Duration = Duration::from_secs(1);

/// Of a film that moves.
pub struct Steering {
    /// How long it is, where that is known.
    length: Option<Duration>,
    paused: bool,
    /// What the session was told last.
    told: Option<record::Film>,
    /// And how far the film was then, where nothing but that says it.
    heard: Duration,
}

impl Steering {
    /// Nobody has steered it yet.
    pub fn new(length: Option<Duration>) -> Self {
        Steering { length, paused: false, told: None, heard: Duration::ZERO }
    }

    /// It stands still by a viewer's wish.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Does what is wanted, while the film is not over.
    pub fn steer(&mut self, steer: record::Steer, film: &Film, encoder: &Encoder) {
        if let Some(paused) = steer.paused.filter(|paused| film.pause(*paused)) {
            self.paused = paused;
        }
        if let Some(to) = steer.to {
            film.go_to(to, |jump| {
                let film = self.film((jump.played, jump.place));
                self.told = Some(film);
                if let Some(at) = jump.at {
                    encoder.jump(at, jump.played, film);
                }
            });
        }
    }

    /// Where the film is, where the session does not know it yet: `encoder` has come so far. Of a film of sound alone, whose
    /// pictures do not say how far it is, each second.
    pub fn news(&mut self, film: &Film, encoder: &Encoder) -> Option<Command> {
        let (played, heard) = (played(film, encoder), film.heard());
        let (since, place) = film.place(played);
        let now = self.film((since, place));
        let is_known = self.told.replace(now) == Some(now);
        match heard {
            Some(heard) if is_known && heard < self.heard + RETOLD => None,
            Some(heard) => {
                self.heard = heard;
                let place = place + played.saturating_sub(since);
                Some(Command::Film { film: record::Film { played, place, ..now }, jumped: false })
            }
            None => (!is_known).then_some(Command::Film { film: now, jumped: false }),
        }
    }

    /// Where the film is.
    pub fn place(film: &Film, encoder: &Encoder) -> Duration {
        let played = played(film, encoder);
        let (since, place) = film.place(played);
        place + played.saturating_sub(since)
    }

    fn film(&self, (played, place): (Duration, Duration)) -> record::Film {
        let (paused, length) = (self.paused, self.length);
        record::Film { paused, sought: true, played, place, length, ..record::Film::default() }
    }
}

/// How far a film is by its clock: its pictures, or where it has none, its sound.
fn played(film: &Film, encoder: &Encoder) -> Duration {
    film.heard().unwrap_or_else(|| encoder.position())
}
