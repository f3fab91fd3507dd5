//! `--preview`: a window of what is sent. It is that of `recv`, with one's own picture as the only tile.

use super::super::args::window::Frame;
use super::super::failure::{Code, Failure};
use super::super::own_picture::{OWN, OwnPicture};
use super::super::screen::{Screen, Turn, Wish};
use super::super::status::ExitCode;
use super::super::windows::Remembered;
use super::plan::Plan;
use crate::pipeline::decode::Announced;
use crate::pipeline::fair_queue::FairQueue;
use crate::pipeline::sink::EncodedSink;
use crate::pipeline::track::{Screening, Tracks};
use crate::present::overlay::Symbol;
use crate::slot::Taken;
use std::time::{Duration, Instant};

/// One decoder will do: nobody measures the preview.
const WORKERS: usize = 1;

/// How long a turn waits for a picture.
const WAIT: Duration = Duration::from_millis(5);

pub struct Preview {
    screen: Screen,
    own: OwnPicture,
    announced: Announced,
    _screening: Screening,
    /// Of others: none.
    others: Tracks,
}

impl Preview {
    /// Opens the window.
    pub fn open(plan: &Plan, frame: &Frame, remembered: Remembered) -> Result<Preview, Failure> {
        let mut screen = Screen::open_preview((plan.what(), plan.format().size), frame, remembered)?;
        let (announced, screening) = (FairQueue::newest(), Screening::start(WORKERS).code(ExitCode::Failed)?);
        let own = OwnPicture::new(&screening, &announced);
        screen.joins(OWN, String::new(), own.canvas().clone());
        Ok(Preview { screen, own, announced, _screening: screening, others: Tracks::default() })
    }

    /// What the encoder shows its slices to.
    pub fn sink(&self) -> Box<dyn EncodedSink> {
        self.own.sink()
    }

    /// What is said while nobody watches yet.
    pub fn awaits(&mut self, sentence: String) {
        self.screen.says(OWN, sentence);
    }

    /// What is wanted next at the window.
    pub fn wish(&mut self) -> Option<Wish> {
        self.screen.wish()
    }

    /// Where this is found in a browser.
    pub fn symbol(&mut self, symbol: Option<Symbol>) {
        self.screen.symbol(symbol);
    }

    /// What is said of what the program did.
    pub fn notes(&mut self, sentence: &str) {
        self.screen.notes(sentence);
    }

    /// Shows what is new, for how long it has been `recorded`, and looks at the keys.
    pub fn turn(&mut self, recorded: Option<Duration>) -> Result<Turn, Failure> {
        self.screen.recording(recorded);
        if let Taken::Value(ready) = self.announced.take_until(Instant::now() + WAIT, Instant::now) {
            self.screen.show(ready.track, ready.picture.size)?;
        }
        let turn = self.screen.turn(None, &self.others)?;
        // Nobody measures when it was seen.
        while self.screen.seen().is_some() {}
        Ok(turn)
    }
}
