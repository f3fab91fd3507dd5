//! The window of all programs: a tile for each track, one's own picture, and what keys do.
//!
//! What only the program can do (close a camera, send words) is a [`Wish`]; the rest is done here.

mod loudness;
mod words;

use super::args::showing::Showing;
use super::args::window::{Frame, Wanted};
use super::failure::Failure;
use super::kept::{Kept, Who};
use super::status::ExitCode;
use super::windows::Remembered;
use crate::pipeline::track::Tracks;
use crate::present::canvas::Canvas;
use crate::present::geometry::Geometry;
use crate::present::keys::{Action, Bindings};
use crate::present::mixer::Mixer;
use crate::present::overlay::Overlay;
use crate::present::scene::Scene;
use crate::present::window::{self, Look, Window};
use eyeline_proto::media::speech::Speech;
use eyeline_proto::picture::Size;
use eyeline_proto::session::TrackId;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The window's size before the first picture says its own, and the least for several.
const FIRST_SIZE: Size = Size { width: 1280, height: 720 };

/// How much a press changes the volume, in percent.
const VOLUME_STEP: u8 = 5;

/// The screen does not fall asleep before a picture that moved so lately.
const MOVES: Duration = Duration::from_secs(5);

/// Whether the user wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Go,
    /// `q`, or the window was closed.
    Quit,
}

/// What the person at the window wants of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// `r`: record, or end what is recorded.
    Record,
    /// `R`: write what is kept of the last seconds.
    SaveLast,
    /// `s`: keep the picture that is seen.
    Snapshot,
    /// A file was dropped on a preview: send that next.
    Send(PathBuf),
    /// Space: what is seen is to stand still, or to go on.
    Hold,
    /// Left and right: a film is to go a step back, or `on`.
    Step { on: bool },
    /// `m` in a call: mute the microphone, or let it be heard again.
    Microphone,
    /// `c` in a call: close the camera, or open it again.
    Camera,
    /// A digit where nobody is seen: the one of that digit on this network is to be dialled.
    Choose(u8),
    /// `y` or `n` in a call: let in who calls, or do not.
    Answer(bool),
    /// These words to all others: printable, not empty, 500 bytes at most.
    Say(String),
}

/// Nobody sees more pictures a second in a window of many; one alone is shown the moment it is there.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 60);

pub struct Screen {
    window: Window,
    remembered: Remembered,
    /// The program came so far as to look at its keys.
    was_used: bool,
    /// Its title was given by the user.
    titled: bool,
    /// When the last new picture came.
    moved: Option<Instant>,
    scene: Scene<TrackId>,
    overlay: Overlay,
    figures: bool,
    lines: Vec<String>,
    volume: u8,
    /// Whose volume was changed last, `None`: that of all; and when.
    meant: Option<(Option<TrackId>, Instant)>,
    kept: Kept,
    /// Whose tracks there are.
    here: BTreeMap<TrackId, Who>,
    /// When the user chose which tile is large: all tiles moved then.
    chosen: Instant,
    /// What is said where nobody is shown.
    awaited: String,
    /// What is said below a picture whose sender left.
    wanted: String,
    /// The size of the picture the window was last made large enough for.
    fitted: Option<Size>,
    /// A picture was shown: from then on the window grows, and never shrinks by itself.
    pictured: bool,
    /// It has room for several.
    widened: bool,
    speech: Speech<TrackId>,
    painted: Option<Instant>,
    /// There is something to paint that is no picture.
    changed: bool,
    /// Whose new pictures are with the display, and since when.
    seen: VecDeque<(TrackId, Instant)>,
    wishes: VecDeque<Wish>,
    /// What else can be done where there is no window.
    way_out: &'static str,
}

impl Screen {
    /// Opens the window, with keys that mean this; it comes back where it is `remembered`.
    pub fn open(showing: &Showing, bindings: Bindings, remembered: Remembered) -> Result<Screen, Failure> {
        let options = options("Eyeline", FIRST_SIZE, &showing.frame, &remembered);
        let options = window::Options { fullscreen: showing.fullscreen, ..options };
        Self::with(&options, &showing.frame, bindings, (remembered, "use --no-window"))
    }

    /// Opens a window for pictures of `what`, of this size where it is known; it comes back where it is `remembered`.
    pub fn open_preview((what, size): (&str, Option<Size>), frame: &Frame, remembered: Remembered) -> Result<Screen, Failure> {
        let options = options(&format!("{what} - Eyeline preview"), size.unwrap_or(FIRST_SIZE), frame, &remembered);
        let mut screen = Self::with(&options, frame, Bindings::Preview, (remembered, "leave out --preview"))?;
        (screen.fitted, screen.pictured) = (size, size.is_some());
        Ok(screen)
    }

    fn with(
        options: &window::Options,
        frame: &Frame,
        bindings: Bindings,
        (remembered, way_out): (Remembered, &'static str),
    ) -> Result<Screen, Failure> {
        let mut window = Window::open(options).map_err(|error| lost(&error, way_out))?;
        window.bind(bindings);
        Ok(Screen {
            window,
            remembered,
            was_used: false,
            titled: frame.title.is_some(),
            moved: None,
            scene: Scene::new(),
            overlay: Overlay::default(),
            figures: false,
            lines: Vec::new(),
            volume: 100,
            meant: None,
            kept: Kept::default(),
            here: BTreeMap::new(),
            chosen: Instant::now(),
            awaited: String::new(),
            wanted: String::new(),
            fitted: None,
            pictured: false,
            widened: false,
            speech: Speech::new(),
            painted: None,
            changed: false,
            seen: VecDeque::new(),
            wishes: VecDeque::new(),
            way_out,
        })
    }

    /// What is said while nobody is shown, and the window's title, where the user gave it none.
    pub fn awaits(&mut self, words: String, title: &str) {
        if !self.titled {
            self.window.set_title(&format!("{title} - Eyeline"));
        }
        self.awaited = words;
    }

    /// What is said below a picture whose sender left; nothing while there is a sender.
    pub fn wants(&mut self, sentence: String) {
        self.wanted = sentence;
    }

    /// Who calls, in lines; none: nobody does.
    pub fn ringing(&mut self, lines: Vec<String>) {
        self.overlay.ringing = lines;
        self.changed = true;
    }

    /// A track is there; its pictures will be on `canvas`.
    pub fn joins(&mut self, track: TrackId, name: String, canvas: Arc<Canvas>) {
        self.scene.join(track, name, canvas);
    }

    /// Puts the tiles in this order; of the same rank they stay as they are.
    pub fn arrange(&mut self, rank: impl Fn(TrackId) -> usize) {
        self.scene.arrange(rank);
        self.changed = true;
    }

    /// A track is gone.
    pub fn leaves(&mut self, track: TrackId) {
        self.here.remove(&track);
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

    /// What the overlay of `i` says.
    pub fn figures(&mut self, lines: Vec<String>) {
        self.lines = lines;
        if self.figures {
            self.overlay.lines.clone_from(&self.lines);
        }
    }

    /// A new picture of a track, of this size, is on its canvas: shows it, at once where it is alone, else by [`Screen::due`].
    /// See [`Screen::seen`].
    pub fn show(&mut self, track: TrackId, size: Size) -> Result<(), Failure> {
        self.moved = Some(Instant::now());
        if !self.scene.picture(track) {
            // Nobody will see it, so nobody waits for that.
            self.seen.push_back((track, Instant::now()));
            return Ok(());
        }
        // On its canvas it may be smaller still, as it was seen in a tile.
        if self.scene.tiles().len() == 1 && self.fitted != Some(size) {
            // A sender whose path has become narrow makes pictures smaller, and others leave: that should not make it jump.
            if self.pictured {
                self.window.grow(size)
            } else {
                self.window.fit(size)
            };
            self.fitted = Some(size);
        }
        self.pictured = true;
        if self.due().is_some_and(|due| due <= Instant::now()) { self.paint() } else { Ok(()) }
    }

    /// On how many pixels each track is seen; `None` for as many as it has.
    pub fn pixels(&self) -> Vec<(TrackId, Option<u32>)> {
        self.scene.pixels(self.window.size())
    }

    /// The track that the user made large.
    pub fn large(&self) -> Option<TrackId> {
        self.scene.large()
    }

    /// Whether the window is minimized, and nobody is seen.
    pub fn is_hidden(&self) -> bool {
        self.window.is_hidden()
    }

    /// Whose new picture is with the display, or will not be seen at all, and since when; each picture is named once, older ones
    /// of its track with it.
    pub fn seen(&mut self) -> Option<(TrackId, Instant)> {
        self.seen.pop_front()
    }

    /// When [`Screen::turn`] has a picture to show that has come already. One's own never hurries: who is seen alone beside it is
    /// shown at once all the same.
    pub fn due(&self) -> Option<Instant> {
        let wait = match (self.scene.is_fresh(), self.scene.is_own_fresh()) {
            (true, _) if self.scene.tiles().len() == 1 => Duration::ZERO,
            (false, false) => return None,
            _ => PERIOD,
        };
        Some(self.painted.map_or_else(Instant::now, |painted| painted + wait))
    }

    fn paint(&mut self) -> Result<(), Failure> {
        self.try_paint().map_err(|error| lost(&error, self.way_out))
    }

    fn try_paint(&mut self) -> Result<(), window::Error> {
        let at = match (self.scene.alone(), self.scene.tiles()) {
            (None, []) if !self.scene.shows_own() => self.window.show_nothing(&self.awaited, &self.overlay)?.at,
            (Some(tile), _) if !tile.is_pictured() => self.window.show_nothing(tile.words(), &self.overlay)?.at,
            (Some(tile), _) => {
                let awaited = if tile.has_left() { self.wanted.as_str() } else { "" };
                let look = Look { greyed: tile.silent(Instant::now()), awaited };
                let at = self.window.show(tile.canvas().view(), &self.overlay, look)?.at;
                self.seen.extend(self.scene.take_fresh().map(|track| (track, at)));
                at
            }
            (None, tiles) => {
                if tiles.len() > 1 && !self.widened {
                    self.widened = widen(&mut self.window);
                }
                let awaited = if tiles.is_empty() { &self.awaited } else { &self.wanted };
                let (shown, tracks) = self.window.show_scene(&mut self.scene, awaited, &self.overlay)?;
                self.seen.extend(tracks.into_iter().map(|track| (track, shown.at)));
                shown.at
            }
        };
        self.changed = false;
        self.painted = Some(at);
        Ok(())
    }

    /// Keys, who speaks of these tracks, and a new coat of paint where one is due.
    pub fn turn(&mut self, mixer: Option<&Mixer>, tracks: &Tracks) -> Result<Turn, Failure> {
        self.was_used = true;
        tracks.heard(&mut self.speech);
        let moves = self.moved.is_some_and(|moved| moved.elapsed() < MOVES) && !self.window.is_hidden();
        self.window.keep_awake(moves);
        self.scene.speaks(self.speech.speaks(Instant::now()));
        let actions = self.window.events(Instant::now());
        self.changed |= !actions.is_empty();
        for action in actions {
            if self.act(action, mixer, tracks) == Turn::Quit {
                return Ok(Turn::Quit);
            }
        }
        if self.changed || self.window.wants_paint() || self.due().is_some_and(|due| due <= Instant::now()) {
            self.paint()?;
        }
        Ok(Turn::Go)
    }

    fn act(&mut self, action: Action, mixer: Option<&Mixer>, tracks: &Tracks) -> Turn {
        let now = Instant::now();
        match action {
            Action::Quit => return Turn::Quit,
            Action::ToggleFullscreen => self.window.set_fullscreen(!self.window.is_fullscreen()),
            Action::LeaveFullscreen => self.window.set_fullscreen(false),
            Action::Freeze => self.wishes.push_back(Wish::Hold),
            Action::StepBack => self.wishes.push_back(Wish::Step { on: false }),
            Action::StepOn => self.wishes.push_back(Wish::Step { on: true }),
            Action::Mute => match mixer {
                Some(mixer) => {
                    self.overlay.muted = !self.overlay.muted;
                    mixer.mute(self.overlay.muted);
                }
                None => self.overlay.note("there is no sound", now),
            },
            Action::Silence => self.silence_one(mixer, tracks, now),
            Action::Record => self.wishes.push_back(Wish::Record),
            Action::SaveLast => self.wishes.push_back(Wish::SaveLast),
            Action::Snapshot => self.wishes.push_back(Wish::Snapshot),
            Action::Dropped(file) => self.wishes.push_back(Wish::Send(file)),
            Action::Microphone => self.wishes.push_back(Wish::Microphone),
            Action::Camera => self.wishes.push_back(Wish::Camera),
            Action::Answer(taken) => self.wishes.push_back(Wish::Answer(taken)),
            Action::Say(text) => self.wishes.push_back(Wish::Say(text)),
            // It is painted again, as after every action.
            Action::Typed => {}
            Action::OwnPicture => {
                let shown = if self.scene.toggle_own() { "shown" } else { "hidden" };
                self.overlay.note(format!("your own picture is {shown}"), now);
            }
            Action::VolumeUp => self.change_volume(|volume| volume.saturating_add(VOLUME_STEP).min(100), mixer, tracks, now),
            Action::VolumeDown => self.change_volume(|volume| volume.saturating_sub(VOLUME_STEP), mixer, tracks, now),
            Action::Pick(index) if self.scene.is_deserted() => self.wishes.push_back(Wish::Choose(index + 1)),
            Action::Pick(index) => self.choose(now, |scene, _| scene.pick(index.into())),
            Action::Next => self.choose(now, |scene, _| scene.step(false)),
            Action::Previous => self.choose(now, |scene, _| scene.step(true)),
            Action::All => self.choose(now, |scene, _| scene.all()),
            Action::Click { x, y } => self.choose(now, |scene, window| scene.click(x, y, window)),
            Action::Stats => {
                self.figures = !self.figures;
                self.overlay.lines = if self.figures { self.lines.clone() } else { Vec::new() };
            }
            Action::Code if self.overlay.symbol.is_some() => self.overlay.shows_symbol ^= true,
            Action::Code => self.overlay.note("--web 0.0.0.0:9690 shows this in browsers", now),
            Action::Help => self.overlay.help = !self.overlay.help,
        }
        Turn::Go
    }
}

/// Gives a window that was made for the small picture of one sender room for several; false where it must not be touched now.
fn widen(window: &mut Window) -> bool {
    let Size { width, height } = window.size();
    (width >= FIRST_SIZE.width && height >= FIRST_SIZE.height) || window.grow(FIRST_SIZE)
}

impl Drop for Screen {
    fn drop(&mut self) {
        // One that nobody had time to look at stands where it came up.
        if let Some(geometry) = self.window.geometry().filter(|_| self.was_used) {
            self.remembered.keep(geometry);
        }
    }
}

/// How a window begins for a picture of this size.
fn options(title: &str, size: Size, frame: &Frame, remembered: &Remembered) -> window::Options {
    let geometry = match frame.geometry {
        Wanted::AsBefore => remembered.geometry(),
        Wanted::Picture => Geometry::default(),
        Wanted::There(geometry) => geometry,
    };
    let title = frame.title.as_deref().unwrap_or(title).to_string();
    window::Options { title, size, geometry, fullscreen: false, above: frame.above, borderless: frame.borderless }
}

fn lost(error: &window::Error, way_out: &str) -> Failure {
    Failure::new(ExitCode::Device, format!("{error}, or {way_out}"))
}
