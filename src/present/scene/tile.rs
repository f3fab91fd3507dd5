//! One sender of the scene: its canvas, and all that is said of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::canvas::Canvas;

/// The loudest that a listener sets, in percent: as it came.
pub const FULL_VOLUME: u8 = 100;

/// What a sender says of its own devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Its microphone is muted.
    pub muted: bool,
    /// Its camera is closed: no picture of it is shown until it is opened.
    pub camera_closed: bool,
}

pub struct Tile<K> {
    pub(in super::super) id: K,
    /// No other tile ever has it.
    pub(in super::super) serial: u64,
    pub(super) canvas: Arc<Canvas>,
    /// A copy of the picture the user froze.
    frozen: Option<Arc<Canvas>>,
    pub(super) name: String,
    pub(super) quiet_since: Option<Instant>,
    pub(super) left: bool,
    /// What is said while there is no picture.
    pub(super) words: String,
    pub(super) marks: Marks,
    /// The listener's, in percent.
    pub(super) volume: u8,
    /// The listener wants to hear nothing of it.
    pub(super) silenced: bool,
    /// There has been a picture.
    pictured: bool,
    /// There is one that was not composed yet.
    pub(in super::super) fresh: bool,
    /// How often in a row it was not composed because it was being written.
    pub(in super::super) missed: u32,
}

/// Everything seen of a tile but the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Face {
    /// The digit that makes it large.
    pub digit: Option<usize>,
    pub name: String,
    /// Its sender muted its microphone.
    pub muted: bool,
    /// In percent, where the listener changed it.
    pub volume: Option<u8>,
    /// In its middle.
    pub notice: Option<String>,
    pub pictured: bool,
    pub greyed: bool,
    /// A ring around it says so.
    pub speaks: bool,
}

impl<K> Tile<K> {
    pub(super) fn new(id: K, serial: u64, name: String, canvas: Arc<Canvas>) -> Self {
        Tile {
            id,
            serial,
            canvas,
            frozen: None,
            name,
            quiet_since: None,
            left: false,
            words: String::new(),
            marks: Marks::default(),
            volume: FULL_VOLUME,
            silenced: false,
            pictured: false,
            fresh: false,
            missed: 0,
        }
    }

    /// What is shown of it.
    pub fn canvas(&self) -> &Arc<Canvas> {
        self.frozen.as_ref().unwrap_or(&self.canvas)
    }

    /// Whether it has a picture to show.
    pub fn is_pictured(&self) -> bool {
        self.pictured && !self.marks.camera_closed
    }

    /// What is said while it has none.
    pub fn words(&self) -> &str {
        if self.marks.camera_closed { "camera closed" } else { &self.words }
    }

    /// Who it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How loud it is played, in percent.
    pub fn volume(&self) -> u8 {
        self.volume
    }

    /// Whether nothing of it is played.
    pub fn is_silenced(&self) -> bool {
        self.silenced
    }

    /// How long nothing has been heard of its sender.
    pub fn silent(&self, now: Instant) -> Option<Duration> {
        self.quiet_since.map(|since| now.saturating_duration_since(since))
    }

    /// Whether its sender is gone.
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Whether there is nothing to say over its picture.
    pub(super) fn is_plain(&self) -> bool {
        self.marks == Marks::default() && self.volume == FULL_VOLUME && !self.silenced
    }

    /// A new picture is on its canvas; false where it will not be seen.
    pub(super) fn picture(&mut self) -> bool {
        self.quiet_since = None;
        if self.frozen.is_some() || self.left {
            return false;
        }
        self.pictured = true;
        self.fresh |= !self.marks.camera_closed;
        !self.marks.camera_closed
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Holds the picture as it is, or lets it go on.
    pub(super) fn freeze(&mut self, on: bool) {
        let thaw = self.frozen.is_some() && !on;
        self.frozen = if on && self.pictured { copy(&self.canvas).map(Arc::new) } else { None };
        self.fresh |= thaw && self.pictured;
    }

    /// `digit` makes it large.
    pub(in super::super) fn face(&self, digit: Option<usize>, speaks: bool, now: Instant) -> Face {
        let silent = self.silent(now).map(|silent| format!("no signal {}", spoken(silent)));
        let words = (!self.is_pictured()).then(|| self.words().to_string()).filter(|words| !words.is_empty());
        Face {
            digit: digit.filter(|digit| *digit < 10),
            name: self.name.clone(),
            muted: self.marks.muted,
            volume: Some(if self.silenced { 0 } else { self.volume }).filter(|volume| *volume != FULL_VOLUME),
            notice: silent.or(words),
            pictured: self.is_pictured(),
            greyed: self.quiet_since.is_some(),
            speaks: speaks && self.quiet_since.is_none(),
        }
    }
}

/// A silence as people say it; number and unit stay on one line.
pub(in super::super) fn spoken(silent: Duration) -> String {
    match silent.as_secs() {
        ..10 => format!("{:.1}\u{a0}s", silent.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds}\u{a0}s"),
        seconds @ 60..3600 => format!("{}\u{a0}min {}\u{a0}s", seconds / 60, seconds % 60),
        seconds => format!("{}\u{a0}h {}\u{a0}min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The picture as it is now, on a canvas of its own.
fn copy(canvas: &Canvas) -> Option<Canvas> {
    let view = canvas.view();
    let size = view.size();
    let copy = Canvas::new();
    let mut band = copy.rows(0, size, 0..size.height)?;
    band.pixels().copy_from_slice(view.pixels());
    drop(band);
    Some(copy)
}
