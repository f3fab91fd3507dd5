//! What the program has said at the window: badges, passing notes, what others write, the mark of a recording.

use super::{Screen, Wish};
use crate::present::canvas::Canvas;
use crate::present::overlay::Symbol;
use crate::present::scene::Marks;
use eyeline_proto::session::TrackId;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Screen {
    /// What the sender of a track says of its devices.
    pub fn marks(&mut self, track: TrackId, marks: Marks) {
        self.scene.mark(track, marks);
    }

    /// Shows what somebody wrote, for ten seconds; both are printable.
    pub fn said(&mut self, name: &str, text: &str) {
        self.overlay.said(name, text, Instant::now());
        self.changed = true;
    }

    /// One's own pictures will be on `canvas`, shown mirrored; `None` where there is no camera, or it is closed.
    pub fn own(&mut self, canvas: Option<Arc<Canvas>>) {
        self.scene.set_own(canvas);
    }

    /// A new picture is on one's own canvas; it is shown by [`Screen::turn`].
    pub fn own_picture(&mut self) {
        self.scene.own_picture();
        self.pictured |= self.scene.shows_own();
    }

    /// Whether one's own microphone is muted, for the badge that says so.
    pub fn microphone_muted(&mut self, muted: bool) {
        self.overlay.microphone_muted = muted;
        self.changed = true;
    }

    /// Whether one's own camera is closed, for the badge that says so.
    pub fn camera_closed(&mut self, closed: bool) {
        self.overlay.camera_closed = closed;
        self.changed = true;
    }

    /// What is said of what the program did.
    pub fn notes(&mut self, sentence: impl Into<String>) {
        self.overlay.note(sentence, Instant::now());
        self.changed = true;
    }

    /// What is seen stands still, or goes on.
    pub fn freeze(&mut self) {
        self.overlay.frozen = self.scene.toggle_frozen();
        self.changed = true;
    }

    /// Whether it stands still by [`Screen::freeze`].
    pub fn is_frozen(&self) -> bool {
        self.overlay.frozen
    }

    /// Whether a film stands still, for the badge that says so.
    pub fn paused(&mut self, paused: bool) {
        self.changed |= self.overlay.paused != paused;
        self.overlay.paused = paused;
    }

    /// Where a film is, with a bar filled to `percent`.
    pub fn notes_place(&mut self, place: String, percent: u8) {
        self.overlay.note_place(place, percent, Instant::now());
        self.changed = true;
    }

    /// How long it has been recorded, where it is, for the mark that says so.
    pub fn recording(&mut self, lasts: Option<Duration>) {
        let words = lasts.map(|lasts| format!("\u{25cf} {}:{:02}", lasts.as_secs() / 60, lasts.as_secs() % 60));
        self.changed |= self.overlay.recording != words;
        self.overlay.recording = words;
    }

    /// Where this is found in a browser, as a code for the camera of a phone.
    pub fn symbol(&mut self, symbol: Option<Symbol>) {
        self.overlay.symbol = symbol;
    }

    /// What is wanted next of the program.
    pub fn wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }
}
