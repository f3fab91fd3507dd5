//! What the only viewer of a film wants of it is done, and where the film is then is told to all who watch.

use crate::capture::file::Film;
use crate::pipeline::encode::Encoder;
use eyeline_proto::session::Command;
use eyeline_proto::wire::record;
use std::time::Duration;

/// Of a film that moves.
pub struct Steering {
    /// How long it is, where that is known.
    length: Option<Duration>,
    paused: bool,
    /// What the session was told last.
    told: Option<record::Film>,
}

impl Steering {
    /// Nobody has steered it yet.
    pub fn new(length: Option<Duration>) -> Self {
        Steering { length, paused: false, told: None }
    }

    /// It stands still by a viewer's wish.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Does what is wanted.
    pub fn steer(&mut self, steer: record::Steer, film: &Film, encoder: &Encoder) {
        if let Some(paused) = steer.paused {
            film.pause(paused);
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

    /// Where the film is, where the session does not know it yet: `encoder` has come so far.
    pub fn news(&mut self, film: &Film, encoder: &Encoder) -> Option<Command> {
        let film = self.film(film.place(encoder.position()));
        (self.told.replace(film) != Some(film)).then_some(Command::Film { film, jumped: false })
    }

    fn film(&self, (played, place): (Duration, Duration)) -> record::Film {
        let (paused, length) = (self.paused, self.length);
        record::Film { paused, sought: true, played, place, length, ..record::Film::default() }
    }
}
