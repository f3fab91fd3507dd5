//! The window of `recv` and what its keys do.

use super::super::failure::Failure;
use super::super::status::ExitCode;
use crate::present::canvas::Canvas;
use crate::present::keys::Action;
use crate::present::mixer::Mixer;
use crate::present::overlay::Overlay;
use crate::present::window::{self, Look, Window};
use eyeline_proto::picture::Size;
use std::sync::Arc;
use std::time::Instant;

/// The window's size before the first picture says its own.
const FIRST_SIZE: Size = Size { width: 1280, height: 720 };

/// How much a press of 9 or 0 changes the volume, in percent.
const VOLUME_STEP: u8 = 5;

/// Whether the user wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Yes.
    Go,
    /// `q`, or the window was closed.
    Quit,
}

/// See the module text.
pub struct Screen {
    window: Window,
    overlay: Overlay,
    figures: bool,
    lines: Vec<String>,
    volume: u8,
    /// A copy of the picture the user froze.
    frozen: Option<Arc<Canvas>>,
    quiet_since: Option<Instant>,
    /// What is said where there is no picture.
    awaited: String,
    /// What is said below a picture whose sender left.
    wanted: String,
    seen: bool,
    /// The size of the picture the window was last fitted to; smaller ones of its shape are scaled up to it.
    fitted: Size,
}

impl Screen {
    /// Opens the window.
    pub fn open(fullscreen: bool) -> Result<Screen, Failure> {
        let options = window::Options { title: "Eyeline".to_string(), size: FIRST_SIZE, fullscreen };
        let window = Window::open(&options).map_err(lost)?;
        Ok(Screen {
            window,
            overlay: Overlay::default(),
            figures: false,
            lines: Vec::new(),
            volume: 100,
            frozen: None,
            quiet_since: None,
            awaited: String::new(),
            wanted: String::new(),
            seen: false,
            fitted: FIRST_SIZE,
        })
    }

    /// What is waited for while there is no picture, and the window's title.
    pub fn awaits(&mut self, sentence: String, title: &str) {
        self.window.set_title(&format!("{title} - Eyeline"));
        self.awaited = sentence;
    }

    /// What is said below a picture whose sender left; nothing while there is a sender.
    pub fn wants(&mut self, sentence: String) {
        self.wanted = sentence;
    }

    /// The picture of before is nobody's any more: its sender's place was taken by one that sends none.
    pub fn forget(&mut self) {
        self.seen = false;
    }

    /// Since when nothing is heard.
    pub fn quiet(&mut self, since: Option<Instant>) {
        self.quiet_since = since;
    }

    /// What the overlay of `i` says.
    pub fn figures(&mut self, lines: Vec<String>) {
        self.lines = lines;
        if self.figures {
            self.overlay.lines.clone_from(&self.lines);
        }
    }

    /// Shows the canvas; says when its pixels were with the display.
    pub fn show(&mut self, canvas: &Arc<Canvas>) -> Result<Instant, Failure> {
        let first = !std::mem::replace(&mut self.seen, true);
        self.quiet_since = None;
        if self.frozen.is_some() {
            return Ok(Instant::now());
        }
        let size = canvas.size();
        if first || !holds(self.fitted, size) {
            self.window.fit(size);
            self.fitted = size;
        }
        self.paint(canvas)
    }

    fn paint(&mut self, canvas: &Arc<Canvas>) -> Result<Instant, Failure> {
        let look = Look { greyed: self.quiet_since.map(|since| since.elapsed()), awaited: &self.wanted };
        let canvas = self.frozen.as_ref().unwrap_or(canvas);
        let shown = self.window.show(canvas.view(), &self.overlay, look).map_err(lost)?;
        Ok(shown.at)
    }

    /// Keys, and a new coat of paint where one is due.
    pub fn turn(&mut self, canvas: &Arc<Canvas>, mixer: Option<&Mixer>) -> Result<Turn, Failure> {
        let actions = self.window.events();
        let changed = !actions.is_empty();
        for action in actions {
            if self.act(action, canvas, mixer) == Turn::Quit {
                return Ok(Turn::Quit);
            }
        }
        if changed || self.window.wants_paint() {
            if self.seen {
                self.paint(canvas)?;
            } else {
                self.window.show_nothing(&self.awaited, &self.overlay).map_err(lost)?;
            }
        }
        Ok(Turn::Go)
    }

    fn act(&mut self, action: Action, canvas: &Arc<Canvas>, mixer: Option<&Mixer>) -> Turn {
        let now = Instant::now();
        match action {
            Action::Quit => return Turn::Quit,
            Action::ToggleFullscreen => self.window.set_fullscreen(!self.window.is_fullscreen()),
            Action::LeaveFullscreen => self.window.set_fullscreen(false),
            Action::Freeze => {
                self.frozen = match self.frozen.take() {
                    Some(_) => None,
                    None => copy(canvas).map(Arc::new),
                };
                self.overlay.frozen = self.frozen.is_some();
            }
            Action::Mute => match mixer {
                Some(mixer) => {
                    self.overlay.muted = !self.overlay.muted;
                    mixer.mute(self.overlay.muted);
                }
                None => self.overlay.note("there is no sound", now),
            },
            Action::VolumeUp => self.set_volume(self.volume.saturating_add(VOLUME_STEP).min(100), mixer, now),
            Action::VolumeDown => self.set_volume(self.volume.saturating_sub(VOLUME_STEP), mixer, now),
            Action::Stats => {
                self.figures = !self.figures;
                self.overlay.lines = if self.figures { self.lines.clone() } else { Vec::new() };
            }
            Action::Help => self.overlay.help = !self.overlay.help,
        }
        Turn::Go
    }

    fn set_volume(&mut self, volume: u8, mixer: Option<&Mixer>, now: Instant) {
        self.volume = volume;
        match mixer {
            Some(mixer) => {
                mixer.volume(f32::from(volume) / 100.0);
                self.overlay.note_volume(volume, now);
            }
            None => self.overlay.note("there is no sound", now),
        }
    }
}

fn lost(error: window::Error) -> Failure {
    Failure::new(ExitCode::Device, format!("{error}, or use --no-window"))
}

/// The picture as it is now, on a canvas of its own.
fn copy(canvas: &Canvas) -> Option<Canvas> {
    let view = canvas.view();
    let size = view.size();
    let copy = Canvas::new();
    let mut band = copy.band(0, size, 0..size.height)?;
    band.pixels().copy_from_slice(view.pixels());
    drop(band);
    Some(copy)
}

/// Whether a window made for a picture of `fitted` stays as it is for one of `size`: a sender whose path has become narrow makes
/// pictures smaller, and that should cost sharpness, not make the window jump. It grows, for one that began small.
fn holds(fitted: Size, size: Size) -> bool {
    let (across, down) = (u64::from(fitted.width) * u64::from(size.height), u64::from(fitted.height) * u64::from(size.width));
    // Scaled sides are rounded.
    let alike = across.abs_diff(down) * 50 <= across.max(down);
    alike && size.width <= fitted.width && size.height <= fitted.height
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_stays_for_a_smaller_picture_of_its_shape_and_for_no_other() {
        let size = |width, height| Size { width, height };
        let hd = size(1280, 720);
        for smaller in [size(1280, 720), size(640, 360), size(854, 480), size(426, 240)] {
            assert!(holds(hd, smaller), "{smaller:?}");
        }
        for other in [size(1920, 1080), size(640, 480), size(960, 720), size(1280, 640), size(360, 640)] {
            assert!(!holds(hd, other), "{other:?}");
        }
    }
}
