//! The window of `recv`, a tile for each track, and what its keys do.

use super::super::failure::Failure;
use super::super::status::ExitCode;
use crate::pipeline::track::Tracks;
use crate::present::canvas::Canvas;
use crate::present::keys::Action;
use crate::present::mixer::Mixer;
use crate::present::overlay::Overlay;
use crate::present::scene::Scene;
use crate::present::window::{self, Look, Window};
use eyeline_proto::media::speech::Speech;
use eyeline_proto::picture::Size;
use eyeline_proto::session::TrackId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The window's size before the first picture says its own, and the least for several.
const FIRST_SIZE: Size = Size { width: 1280, height: 720 };

/// How much a press changes the volume, in percent.
const VOLUME_STEP: u8 = 5;

/// Whether the user wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Yes.
    Go,
    /// `q`, or the window was closed.
    Quit,
}

/// Nobody sees more pictures a second in a window of many; one alone is shown the moment it is there.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// See the module text.
pub struct Screen {
    window: Window,
    scene: Scene<TrackId>,
    overlay: Overlay,
    figures: bool,
    lines: Vec<String>,
    volume: u8,
    /// What is said where nobody is shown.
    awaited: String,
    /// What is said below a picture whose sender left.
    wanted: String,
    /// The size of the picture the window was last fitted to; smaller ones of its shape are scaled up to it.
    fitted: Option<Size>,
    /// It has room for several.
    widened: bool,
    speech: Speech<TrackId>,
    painted: Option<Instant>,
    /// Whose new pictures are with the display, and since when.
    seen: VecDeque<(TrackId, Instant)>,
}

impl Screen {
    /// Opens the window.
    pub fn open(fullscreen: bool) -> Result<Screen, Failure> {
        let options = window::Options { title: "Eyeline".to_string(), size: FIRST_SIZE, fullscreen };
        let window = Window::open(&options).map_err(lost)?;
        Ok(Screen {
            window,
            scene: Scene::new(),
            overlay: Overlay::default(),
            figures: false,
            lines: Vec::new(),
            volume: 100,
            awaited: String::new(),
            wanted: String::new(),
            fitted: None,
            widened: false,
            speech: Speech::new(),
            painted: None,
            seen: VecDeque::new(),
        })
    }

    /// What is waited for while nobody is shown, and the window's title.
    pub fn awaits(&mut self, sentence: String, title: &str) {
        self.window.set_title(&format!("{title} - Eyeline"));
        self.awaited = sentence;
    }

    /// What is said below a picture whose sender left; nothing while there is a sender.
    pub fn wants(&mut self, sentence: String) {
        self.wanted = sentence;
    }

    /// A track is there; its pictures will be on `canvas`.
    pub fn joins(&mut self, track: TrackId, name: String, canvas: Arc<Canvas>) {
        self.scene.join(track, name, canvas);
    }

    /// A track is gone.
    pub fn leaves(&mut self, track: TrackId) {
        self.scene.leave(track, Instant::now());
    }

    /// Since when nothing is heard of a track's sender.
    pub fn quiet(&mut self, track: TrackId, since: Option<Instant>) {
        self.scene.quiet(track, since);
    }

    /// What is said of a track that shows no picture.
    pub fn says(&mut self, track: TrackId, words: String) {
        self.scene.say(track, words);
    }

    /// Marks who speaks; to be told at every turn.
    pub fn listen(&mut self, tracks: &Tracks) {
        tracks.heard(&mut self.speech);
        self.scene.speaks(self.speech.speaks(Instant::now()));
    }

    /// What the overlay of `i` says.
    pub fn figures(&mut self, lines: Vec<String>) {
        self.lines = lines;
        if self.figures {
            self.overlay.lines.clone_from(&self.lines);
        }
    }

    /// A new picture of a track is on its canvas: shows it, at once where it is alone, else by [`Screen::due`]. See
    /// [`Screen::seen`].
    pub fn show(&mut self, track: TrackId) -> Result<(), Failure> {
        if !self.scene.picture(track) {
            // Nobody will see it, so nobody waits for that.
            self.seen.push_back((track, Instant::now()));
            return Ok(());
        }
        if let [tile] = self.scene.tiles() {
            let size = tile.canvas().size();
            if !self.fitted.is_some_and(|fitted| holds(fitted, size)) {
                self.window.fit(size);
                self.fitted = Some(size);
            }
        }
        if self.due().is_some_and(|due| due <= Instant::now()) { self.paint() } else { Ok(()) }
    }

    /// Whose new picture is with the display, or will not be seen at all, and since when; each picture is named once, older ones of its
    /// track with it.
    pub fn seen(&mut self) -> Option<(TrackId, Instant)> {
        self.seen.pop_front()
    }

    /// When [`Screen::turn`] has a picture to show that has come already.
    pub fn due(&self) -> Option<Instant> {
        let wait = if self.scene.tiles().len() > 1 { PERIOD } else { Duration::ZERO };
        self.scene.is_fresh().then(|| self.painted.map_or_else(Instant::now, |painted| painted + wait))
    }

    fn paint(&mut self) -> Result<(), Failure> {
        let at = match self.scene.tiles() {
            [] => self.window.show_nothing(&self.awaited, &self.overlay).map_err(lost)?.at,
            [tile] if !tile.is_pictured() => self.window.show_nothing(tile.words(), &self.overlay).map_err(lost)?.at,
            [tile] => {
                let awaited = if tile.has_left() { self.wanted.as_str() } else { "" };
                let look = Look { greyed: tile.silent(Instant::now()), awaited };
                let at = self.window.show(tile.canvas().view(), &self.overlay, look).map_err(lost)?.at;
                self.seen.extend(self.scene.take_fresh().map(|track| (track, at)));
                at
            }
            _ => {
                if !self.widened {
                    self.widened = widen(&mut self.window);
                }
                let (shown, tracks) = self.window.show_scene(&mut self.scene, &self.overlay).map_err(lost)?;
                self.seen.extend(tracks.into_iter().map(|track| (track, shown.at)));
                shown.at
            }
        };
        self.painted = Some(at);
        Ok(())
    }

    /// Keys, and a new coat of paint where one is due.
    pub fn turn(&mut self, mixer: Option<&Mixer>) -> Result<Turn, Failure> {
        let actions = self.window.events();
        let changed = !actions.is_empty();
        for action in actions {
            if self.act(action, mixer) == Turn::Quit {
                return Ok(Turn::Quit);
            }
        }
        if changed || self.window.wants_paint() || self.due().is_some_and(|due| due <= Instant::now()) {
            self.paint()?;
        }
        Ok(Turn::Go)
    }

    fn act(&mut self, action: Action, mixer: Option<&Mixer>) -> Turn {
        let now = Instant::now();
        match action {
            Action::Quit => return Turn::Quit,
            Action::ToggleFullscreen => self.window.set_fullscreen(!self.window.is_fullscreen()),
            Action::LeaveFullscreen => self.window.set_fullscreen(false),
            Action::Freeze => self.overlay.frozen = self.scene.toggle_frozen(),
            Action::Mute => match mixer {
                Some(mixer) => {
                    self.overlay.muted = !self.overlay.muted;
                    mixer.mute(self.overlay.muted);
                }
                None => self.overlay.note("there is no sound", now),
            },
            Action::VolumeUp => self.set_volume(self.volume.saturating_add(VOLUME_STEP).min(100), mixer, now),
            Action::VolumeDown => self.set_volume(self.volume.saturating_sub(VOLUME_STEP), mixer, now),
            Action::Pick(index) => self.scene.pick(index.into()),
            Action::Next => self.scene.step(false),
            Action::Previous => self.scene.step(true),
            Action::All => self.scene.all(),
            Action::Click { x, y } => self.scene.click(x, y, self.window.size()),
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

/// Gives a window that was made for the small picture of one sender room for several; false where it must not be touched now.
fn widen(window: &mut Window) -> bool {
    let Size { width, height } = window.size();
    (width >= FIRST_SIZE.width && height >= FIRST_SIZE.height) || window.fit(FIRST_SIZE)
}

fn lost(error: window::Error) -> Failure {
    Failure::new(ExitCode::Device, format!("{error}, or use --no-window"))
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
