//! How loud each one is played, and which one is large: what the keys of the window do to one of several.

use super::super::kept::{Loudness, Who};
use super::Screen;
use crate::pipeline::track::{Track, Tracks};
use crate::present::mixer::Mixer;
use crate::present::overlay::Overlay;
use crate::present::scene::Scene;
use eyeline_proto::picture::Size;
use eyeline_proto::session::TrackId;
use std::time::Instant;

impl Screen {
    /// Whose a track is that joined: what was set for it before holds again.
    pub fn knows(&mut self, track: &Track, who: Who) {
        let others = self.here.iter().filter(|(other, _)| **other != track.id()).map(|(_, who)| who);
        let (loudness, large) = self.kept.back(&who, others);
        self.here.insert(track.id(), who);
        self.play(track, loudness);
        if large {
            self.scene.enlarge(track.id());
        }
    }

    fn play(&mut self, track: &Track, loudness: Loudness) {
        let Loudness { volume, silenced } = loudness;
        track.volume(f32::from(volume) / 100.0);
        track.mute(silenced);
        self.scene.set_volume(track.id(), volume);
        self.scene.set_silenced(track.id(), silenced);
        if let Some(who) = self.here.get(&track.id()) {
            self.kept.keep(who, loudness);
        }
    }

    /// The user chooses which tile is large in a window of this size, or none.
    pub(super) fn choose(&mut self, now: Instant, choice: impl FnOnce(&mut Scene<TrackId>, Size)) {
        choice(&mut self.scene, self.window.size());
        (self.chosen, self.meant) = (now, None);
        self.kept.choose(self.scene.large().and_then(|large| self.here.get(&large)).cloned());
    }

    /// Of the tile that is meant nothing is heard, or it is again.
    pub(super) fn silence_one(&mut self, mixer: Option<&Mixer>, tracks: &Tracks, now: Instant) {
        if mixer.is_none() {
            return self.overlay.note("there is no sound", now);
        }
        let meant = self.scene.meant(self.window.pointed(self.chosen), self.window.size());
        let Some((track, tile)) = meant.and_then(|id| tracks.get(id).zip(self.scene.tile(id))) else {
            return self.overlay.note("make one large, or point at it", now);
        };
        let (volume, silenced) = (tile.volume(), !tile.is_silenced());
        let heard = if silenced { "silent here" } else { "heard again" };
        self.overlay.note(format!("{}: {heard}", tile.name()), now);
        self.play(&track, Loudness { volume, silenced });
    }

    /// Of the tile that is meant, else of all. Whoever presses again means the same, unless he points at something since.
    pub(super) fn change_volume(&mut self, change: impl Fn(u8) -> u8, mixer: Option<&Mixer>, tracks: &Tracks, now: Instant) {
        let Some(mixer) = mixer else { return self.overlay.note("there is no sound", now) };
        let again = self.meant.filter(|(_, pressed)| {
            now.saturating_duration_since(*pressed) < Overlay::NOTE && self.window.pointed(*pressed).is_none()
        });
        let pointed = self.window.pointed(self.chosen);
        let meant = again.map_or_else(|| self.scene.meant(pointed, self.window.size()), |(meant, _)| meant);
        self.meant = Some((meant, now));
        let one = meant.and_then(|id| tracks.get(id).zip(self.scene.tile(id)));
        if let Some((track, tile)) = one {
            let volume = change(tile.volume());
            self.overlay.note_volume_of(tile.name(), volume, now);
            self.play(&track, Loudness { volume, silenced: false });
        } else {
            self.volume = change(self.volume);
            mixer.volume(f32::from(self.volume) / 100.0);
            self.overlay.note_volume(self.volume, now);
        }
    }
}
