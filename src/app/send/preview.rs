//! `--preview`: a window of what is sent, decoded from the very slices that go out.

use super::super::failure::{Code, Failure};
use super::super::status::ExitCode;
use super::plan::Plan;
use crate::pipeline::decode::Announced;
use crate::pipeline::fair_queue::FairQueue;
use crate::pipeline::show::Show;
use crate::pipeline::sink::EncodedSink;
use crate::pipeline::track::{Screening, Track};
use crate::present::keys::Action;
use crate::present::overlay::Overlay;
use crate::present::window::{self, Bindings, Look, Options, Window};
use crate::slot::Taken;
use eyeline_proto::media::hold::Hold;
use eyeline_proto::picture::Size;
use eyeline_proto::session::TrackId;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One decoder will do: nobody measures the preview.
const WORKERS: usize = 1;

/// How long a turn waits for a picture.
const WAIT: Duration = Duration::from_millis(5);

/// See the module text.
pub struct Preview {
    window: Window,
    overlay: Overlay,
    track: Arc<Track>,
    announced: Announced,
    _screening: Screening,
    awaited: String,
    seen: bool,
}

impl Preview {
    /// Opens the window.
    pub fn open(plan: &Plan) -> Result<Preview, Failure> {
        let size = plan.format().size.unwrap_or(Size { width: 1280, height: 720 });
        let options = Options { title: format!("{} - Eyeline preview", plan.what()), size, fullscreen: false };
        let mut window = Window::open(&options).map_err(lost)?;
        window.bind(Bindings::Preview);
        let (announced, screening) = (FairQueue::newest(), Screening::start(WORKERS).code(ExitCode::Failed)?);
        let track = Track::new(TrackId::default(), Hold::default(), &announced, Some(&screening), None);
        let (overlay, awaited) = (Overlay::default(), String::new());
        Ok(Preview { window, overlay, track, announced, _screening: screening, awaited, seen: false })
    }

    /// What the encoder shows its slices to.
    pub fn sink(&self) -> Box<dyn EncodedSink> {
        Box::new(Show::new(self.track.clone(), false))
    }

    /// What is said while nobody watches yet.
    pub fn awaits(&mut self, sentence: String) {
        self.awaited = sentence;
    }

    /// Shows what is new and looks at the keys; false once the user closed it.
    pub fn turn(&mut self) -> Result<bool, Failure> {
        let new = matches!(self.announced.take_until(Instant::now() + WAIT, Instant::now), Taken::Value(_));
        self.seen |= new;
        let mut changed = false;
        for action in self.window.events(Instant::now()) {
            changed = true;
            match action {
                Action::Quit => return Ok(false),
                Action::ToggleFullscreen => self.window.set_fullscreen(!self.window.is_fullscreen()),
                Action::LeaveFullscreen => self.window.set_fullscreen(false),
                Action::Help => self.overlay.help = !self.overlay.help,
                _ => {}
            }
        }
        if self.seen && (new || changed || self.window.wants_paint()) {
            self.window.show(self.track.canvas().view(), &self.overlay, Look::default()).map_err(lost)?;
        } else if self.window.wants_paint() {
            self.window.show_nothing(&self.awaited, &self.overlay).map_err(lost)?;
        }
        Ok(true)
    }
}

fn lost(error: window::Error) -> Failure {
    Failure::new(ExitCode::Device, format!("{error}, or leave out --preview"))
}
