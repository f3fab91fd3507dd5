//! `--preview`: a window of what is sent, decoded from the very slices that go out.

use super::super::failure::{Code, Failure};
use super::super::status::ExitCode;
use super::plan::Plan;
use crate::pipeline::decode::{self, Inlet, Job, SharedReel};
use crate::pipeline::encode::Tap;
use crate::present::keys::Action;
use crate::present::overlay::Overlay;
use crate::present::window::{self, Look, Options, Window};
use crate::slot::{Slot, Taken};
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
    reel: Arc<SharedReel>,
    ready: Arc<Slot<decode::Ready>>,
    pool: decode::Pool,
    awaited: String,
    seen: bool,
}

impl Preview {
    /// Opens the window.
    pub fn open(plan: &Plan) -> Result<Preview, Failure> {
        let (width, height) = plan.format().size;
        let size = match (width, height) {
            (0, _) | (_, 0) => Size { width: 1280, height: 720 },
            (width, height) => Size { width: width.into(), height: height.into() },
        };
        let options = Options { title: format!("{} - Eyeline preview", plan.what()), size, fullscreen: false };
        let window = Window::open(&options).map_err(lost)?;
        let (reel, ready) = (SharedReel::new(TrackId::default()), Slot::newest());
        let pool = decode::Pool::new(WORKERS, ready.clone(), drop).code(ExitCode::Failed)?;
        Ok(Preview { window, overlay: Overlay::default(), reel, ready, pool, awaited: String::new(), seen: false })
    }

    /// What the encoder shows its slices to.
    pub fn tap(&self) -> Tap {
        let (inlet, reel): (Inlet, _) = (self.pool.inlet(), self.reel.clone());
        Box::new(move |picture, count, body| {
            let received = Instant::now();
            let (body, present, released) = (body.to_vec(), None, received);
            inlet.push(Job { reel: reel.clone(), picture, count, body, start: 0, present, received, released });
        })
    }

    /// What is said while nobody watches yet.
    pub fn awaits(&mut self, sentence: String) {
        self.awaited = sentence;
    }

    /// Shows what is new and looks at the keys; false once the user closed it.
    pub fn turn(&mut self) -> Result<bool, Failure> {
        let new = matches!(self.ready.take_until(Instant::now() + WAIT, Instant::now), Taken::Value(_));
        self.seen |= new;
        let mut changed = false;
        for action in self.window.events() {
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
            self.window.show(self.reel.canvas().view(), &self.overlay, Look::default()).map_err(lost)?;
        } else if self.window.wants_paint() {
            self.window.show_nothing(&self.awaited, &self.overlay).map_err(lost)?;
        }
        Ok(true)
    }
}

fn lost(error: window::Error) -> Failure {
    Failure::new(ExitCode::Device, format!("{error}, or leave out --preview"))
}
