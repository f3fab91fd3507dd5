//! What the person at the window wants: keys and double clicks become [`Action`]s.
//!
//! Letters and named keys are taken by key, the rest by the character typed, so `?` is found wherever the keyboard layout
//! keeps it. A key held down repeats only where repeating makes sense (volume). Nothing is lost between two polls: the
//! window calls back for every press.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use minifb::Key;

/// What was asked for at the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `q`, or the window was closed.
    Quit,
    /// `f`, F11 or a double click.
    ToggleFullscreen,
    /// Esc.
    LeaveFullscreen,
    /// Space.
    Freeze,
    /// `m`.
    Mute,
    /// `0`.
    VolumeUp,
    /// `9`.
    VolumeDown,
    /// `i`.
    Stats,
    /// `?`, `h` or F1.
    Help,
}

/// A press of a held key that is this long after the one before is a new press whose release went elsewhere: X repeats a
/// held key after 0.66 s by default, then every 40 ms.
const REPEAT: Duration = Duration::from_millis(900);

#[derive(Default)]
struct Pressed {
    actions: Vec<Action>,
    held: HashMap<u8, Instant>,
    /// The press being reported gave an action already: its character gives no second one.
    taken: bool,
}

/// The actions collected since they were last taken. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Keys(Rc<RefCell<Pressed>>);

impl Keys {
    pub(super) fn take(&self) -> Vec<Action> {
        std::mem::take(&mut self.0.borrow_mut().actions)
    }

    fn key(&self, key: Key, is_down: bool, now: Instant) {
        let mut pressed = self.0.borrow_mut();
        if !is_down {
            pressed.held.remove(&(key as u8));
            return;
        }
        let before = pressed.held.insert(key as u8, now);
        let repeats = before.is_some_and(|before| now.duration_since(before) < REPEAT);
        let action = by_key(key);
        pressed.taken = action.is_some();
        if let Some(action) = action.filter(|action| !repeats || may_repeat(*action)) {
            pressed.actions.push(action);
        }
    }

    fn character(&self, character: char) {
        let mut pressed = self.0.borrow_mut();
        if !std::mem::take(&mut pressed.taken)
            && let Some(action) = by_character(character)
        {
            pressed.actions.push(action);
        }
    }
}

impl minifb::InputCallback for Keys {
    fn add_char(&mut self, character: u32) {
        if let Some(character) = char::from_u32(character) {
            self.character(character);
        }
    }

    fn set_key_state(&mut self, key: Key, is_down: bool) {
        self.key(key, is_down, Instant::now());
    }
}

fn may_repeat(action: Action) -> bool {
    matches!(action, Action::VolumeUp | Action::VolumeDown)
}

fn by_key(key: Key) -> Option<Action> {
    Some(match key {
        Key::Q => Action::Quit,
        Key::F | Key::F11 => Action::ToggleFullscreen,
        Key::Escape => Action::LeaveFullscreen,
        Key::Space => Action::Freeze,
        Key::M => Action::Mute,
        Key::Key9 | Key::NumPad9 => Action::VolumeDown,
        Key::Key0 | Key::NumPad0 => Action::VolumeUp,
        Key::I => Action::Stats,
        Key::H | Key::F1 => Action::Help,
        _ => return None,
    })
}

fn by_character(character: char) -> Option<Action> {
    Some(match character {
        'q' => Action::Quit,
        'f' => Action::ToggleFullscreen,
        'm' => Action::Mute,
        '9' => Action::VolumeDown,
        '0' => Action::VolumeUp,
        'i' => Action::Stats,
        '?' | 'h' => Action::Help,
        _ => return None,
    })
}

/// Finds double clicks in the button's state as it is polled.
#[derive(Default)]
pub(super) struct Clicks {
    was_down: bool,
    last: Option<(Instant, (f32, f32))>,
}

impl Clicks {
    /// What most desktops use.
    const APART: Duration = Duration::from_millis(400);
    /// Pixels a hand may move between two clicks that are meant as one.
    const MOVED: f32 = 8.0;

    /// Whether a second click just began.
    pub(super) fn poll(&mut self, is_down: bool, at: (f32, f32), now: Instant) -> bool {
        let pressed = is_down && !self.was_down;
        self.was_down = is_down;
        if !pressed {
            return false;
        }
        let near = |(x, y): (f32, f32)| (x - at.0).abs() <= Self::MOVED && (y - at.1).abs() <= Self::MOVED;
        let second = self.last.is_some_and(|(when, place)| now.duration_since(when) <= Self::APART && near(place));
        self.last = if second { None } else { Some((now, at)) };
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESS: Duration = Duration::from_millis(40);

    #[test]
    fn a_press_and_release_between_two_polls_is_not_lost() {
        let (keys, now) = (Keys::default(), Instant::now());
        for key in [Key::F, Key::Space] {
            keys.key(key, true, now);
            keys.key(key, false, now);
        }
        assert_eq!(keys.take(), [Action::ToggleFullscreen, Action::Freeze]);
        assert_eq!(keys.take(), []);
    }

    #[test]
    fn a_held_key_repeats_for_volume_alone() {
        let (keys, now) = (Keys::default(), Instant::now());
        for step in 0..3 {
            keys.key(Key::M, true, now + PRESS * step);
            keys.key(Key::Key9, true, now + PRESS * step);
        }
        assert_eq!(keys.take(), [Action::Mute, Action::VolumeDown, Action::VolumeDown, Action::VolumeDown]);
    }

    #[test]
    fn a_key_whose_release_went_to_another_window_works_again() {
        let (keys, now) = (Keys::default(), Instant::now());
        keys.key(Key::F, true, now);
        keys.key(Key::F, true, now + REPEAT);
        assert_eq!(keys.take().len(), 2);
    }

    #[test]
    fn a_character_counts_once_and_only_where_its_key_did_not() {
        let (keys, now) = (Keys::default(), Instant::now());
        keys.key(Key::M, true, now);
        keys.character('m');
        assert_eq!(keys.take(), [Action::Mute]);
        keys.key(Key::Slash, true, now);
        keys.character('?');
        keys.character('9'); // French: the digits are on shift, and their keys are unknown
        keys.character('ç');
        assert_eq!(keys.take(), [Action::Help, Action::VolumeDown]);
    }

    #[test]
    fn two_clicks_make_a_double_click_when_close_in_time_and_place() {
        let now = Instant::now();
        let click = |clicks: &mut Clicks, at: (f32, f32), now| (clicks.poll(true, at, now), clicks.poll(false, at, now)).0;
        let mut clicks = Clicks::default();
        assert!(!click(&mut clicks, (5.0, 5.0), now));
        assert!(click(&mut clicks, (9.0, 5.0), now + PRESS));
        assert!(!click(&mut clicks, (9.0, 5.0), now + PRESS * 2), "a third click starts anew");
        assert!(!click(&mut clicks, (90.0, 5.0), now + PRESS * 3), "too far");
        assert!(!click(&mut clicks, (90.0, 5.0), now + PRESS * 3 + Clicks::APART + PRESS), "too late");
    }

    #[test]
    fn a_button_held_down_is_one_click() {
        let (mut clicks, now) = (Clicks::default(), Instant::now());
        assert!((0..5).all(|step| !clicks.poll(true, (1.0, 1.0), now + PRESS * step)));
    }
}
