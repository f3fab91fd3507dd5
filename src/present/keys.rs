//! What the person at the window wants: keys and clicks become [`Action`]s.
//!
//! A key is taken first by the symbol it types, then by what else it types with or without Shift (digits of a French keyboard,
//! the keypad without Num Lock), then by its place: where a layout has no `q` at all, the key that is `q` on a US keyboard is it. A key
//! that types a digit is no volume key, whatever else it types (`-` on a French keyboard).
//! A key held down repeats only where repeating makes sense (volume).
//!
//! Volume has the keys that browsers and most players give it, arrows and plus and minus, but not mpv's `9` and `0`: digits name tiles.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use x11rb::protocol::xproto::KeyButMask;

use super::keymap::{Keymap, Stroke};

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
    /// Up, `+` or `=`, which is plus without Shift on many keyboards.
    VolumeUp,
    /// Down or `-`.
    VolumeDown,
    /// A digit: that tile is to be large, counted from 0.
    Pick(u8),
    /// Tab: the next tile is to be large.
    Next,
    /// Shift and Tab: the tile before.
    Previous,
    /// `0`: all tiles are to be of one size.
    All,
    /// The left button went down at this place in the window, in its pixels; not of a double click's second.
    Click {
        /// From the left.
        x: u32,
        /// From the top.
        y: u32,
    },
    /// `i`.
    Stats,
    /// `?`, `h` or F1.
    Help,
}

/// A press of a held key that is this long after the one before is a new press whose release went elsewhere: X repeats a
/// held key after 0.66 s by default, then every 40 ms.
const REPEAT: Duration = Duration::from_millis(900);

/// The actions collected since they were last taken.
#[derive(Default)]
pub(super) struct Keys {
    actions: Vec<Action>,
    /// Keys that are down, by their code, and when their last press came.
    held: HashMap<u8, Instant>,
}

impl Keys {
    pub(super) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// A key went down, or repeats.
    pub(super) fn press(&mut self, map: &Keymap, code: u8, state: KeyButMask, now: Instant) {
        let before = self.held.insert(code, now);
        let repeats = before.is_some_and(|before| now.duration_since(before) < REPEAT);
        let action = meaning(map, &map.stroke(code, state));
        self.actions.extend(action.filter(|action| !repeats || may_repeat(*action)));
    }

    /// A key went up.
    pub(super) fn release(&mut self, code: u8) {
        self.held.remove(&code);
    }
}

fn may_repeat(action: Action) -> bool {
    matches!(action, Action::VolumeUp | Action::VolumeDown)
}

/// Symbols that are no characters, by their number in X11's keysymdef.h.
mod keysym {
    pub const ESCAPE: u32 = 0xff1b;
    pub const F1: u32 = 0xffbe;
    pub const F11: u32 = 0xffc8;
    pub const KEYPAD_0: u32 = 0xffb0;
    pub const KEYPAD_9: u32 = 0xffb9;
    pub const TAB: u32 = 0xff09;
    /// What Shift makes of Tab.
    pub const LEFT_TAB: u32 = 0xfe20;
    pub const UP: u32 = 0xff52;
    pub const DOWN: u32 = 0xff54;
    pub const KEYPAD_ADD: u32 = 0xffab;
    pub const KEYPAD_SUBTRACT: u32 = 0xffad;
}

/// Where a US keyboard has the keys of the window, by XKB's names of places.
const PLACES: [(&[u8; 4], char); 15] = [
    (b"AD01", 'q'),
    (b"AC04", 'f'),
    (b"AB07", 'm'),
    (b"AD08", 'i'),
    (b"AC06", 'h'),
    (b"AE01", '1'),
    (b"AE02", '2'),
    (b"AE03", '3'),
    (b"AE04", '4'),
    (b"AE05", '5'),
    (b"AE06", '6'),
    (b"AE07", '7'),
    (b"AE08", '8'),
    (b"AE09", '9'),
    (b"AE10", '0'),
];

/// The place of the question mark, which there is on Shift.
const QUESTION_MARK: &[u8; 4] = b"AB10";

fn meaning(map: &Keymap, stroke: &Stroke) -> Option<Action> {
    let by_level = || stroke.common.into_iter().filter(|symbol| is_digit_or_letter(*symbol)).find_map(by_symbol);
    let has_digit = || stroke.common.into_iter().filter_map(character).any(|character| character.is_ascii_digit());
    let typed = by_symbol(stroke.symbol).filter(|action| !(may_repeat(*action) && has_digit()));
    typed.or_else(by_level).or_else(|| by_place(map, stroke))
}

fn by_symbol(symbol: u32) -> Option<Action> {
    match symbol {
        keysym::ESCAPE => Some(Action::LeaveFullscreen),
        keysym::F11 => Some(Action::ToggleFullscreen),
        keysym::F1 => Some(Action::Help),
        keysym::TAB => Some(Action::Next),
        keysym::LEFT_TAB => Some(Action::Previous),
        keysym::UP | keysym::KEYPAD_ADD => Some(Action::VolumeUp),
        keysym::DOWN | keysym::KEYPAD_SUBTRACT => Some(Action::VolumeDown),
        symbol => by_character(character(symbol)?),
    }
}

fn by_character(character: char) -> Option<Action> {
    Some(match character {
        'q' => Action::Quit,
        'f' => Action::ToggleFullscreen,
        ' ' => Action::Freeze,
        'm' => Action::Mute,
        '+' | '=' => Action::VolumeUp,
        '-' => Action::VolumeDown,
        '0' => Action::All,
        '1'..='9' => Action::Pick(character as u8 - b'1'),
        'i' => Action::Stats,
        '?' | 'h' => Action::Help,
        _ => return None,
    })
}

/// Only where the layout has no such character of its own: on a French keyboard the `a` in the place of `q` is an `a`.
fn by_place(map: &Keymap, stroke: &Stroke) -> Option<Action> {
    let there = PLACES.iter().find(|(place, _)| **place == stroke.place).map(|(_, character)| *character);
    let wanted = there.or((stroke.place == *QUESTION_MARK && stroke.shift).then_some('?'))?;
    // The keypad's digits say nothing of the row's.
    let is_wanted = |symbol| !is_keypad(symbol) && character(symbol) == Some(wanted);
    if map.has(stroke.group, is_wanted) { None } else { by_character(wanted) }
}

/// The ASCII character of a symbol, in lower case, the keypad's digits among them.
fn character(symbol: u32) -> Option<char> {
    let ascii = if is_keypad(symbol) { symbol - keysym::KEYPAD_0 + u32::from('0') } else { symbol };
    let printable = (0x20..0x7f).contains(&ascii);
    printable.then(|| char::from_u32(ascii)).flatten().map(|character| character.to_ascii_lowercase())
}

fn is_keypad(symbol: u32) -> bool {
    (keysym::KEYPAD_0..=keysym::KEYPAD_9).contains(&symbol)
}

fn is_digit_or_letter(symbol: u32) -> bool {
    character(symbol).is_some_and(|character| character.is_ascii_alphanumeric())
}

/// What a button that goes down is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clicked {
    Once,
    /// A double click's second.
    Twice,
}

/// Finds clicks in the button's state as it is polled.
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

    /// Whether a click just began.
    pub(super) fn poll(&mut self, is_down: bool, at: (f32, f32), now: Instant) -> Option<Clicked> {
        let pressed = is_down && !self.was_down;
        self.was_down = is_down;
        if !pressed {
            return None;
        }
        let near = |(x, y): (f32, f32)| (x - at.0).abs() <= Self::MOVED && (y - at.1).abs() <= Self::MOVED;
        let second = self.last.is_some_and(|(when, place)| now.duration_since(when) <= Self::APART && near(place));
        self.last = if second { None } else { Some((now, at)) };
        Some(if second { Clicked::Twice } else { Clicked::Once })
    }
}

#[cfg(test)]
mod tests {
    use super::super::keymap::tests::keymap;
    use super::*;

    const PRESS: Duration = Duration::from_millis(40);

    const PLAIN: u16 = 0;
    const SHIFT: u16 = 1;

    fn us() -> Keymap {
        let both = |plain: char, shifted: char| [u32::from(plain), u32::from(shifted)];
        keymap(&[
            ("AD01", &[both('q', 'Q')]),
            ("AC04", &[both('f', 'F')]),
            ("AB07", &[both('m', 'M')]),
            ("AE09", &[both('9', '(')]),
            ("AB10", &[both('/', '?')]),
            ("SPCE", &[both(' ', ' ')]),
            ("AE11", &[both('-', '_')]),
            ("AE12", &[both('=', '+')]),
            ("TAB", &[[keysym::TAB, keysym::LEFT_TAB]]),
            ("UP", &[[keysym::UP; 2]]),
            ("AE08", &[both('8', '*')]),
        ])
    }

    fn presses(map: &Keymap, strokes: &[(u8, u16)]) -> Vec<Action> {
        let (mut keys, now) = (Keys::default(), Instant::now());
        for (code, state) in strokes {
            keys.press(map, *code, KeyButMask::from(*state), now);
            keys.release(*code);
        }
        keys.take()
    }

    #[test]
    fn a_press_and_release_between_two_polls_is_not_lost() {
        let (mut keys, now, map) = (Keys::default(), Instant::now(), us());
        for code in [11, 15] {
            keys.press(&map, code, KeyButMask::from(PLAIN), now);
            keys.release(code);
        }
        assert_eq!(keys.take(), [Action::ToggleFullscreen, Action::Freeze]);
        assert_eq!(keys.take(), []);
    }

    #[test]
    fn a_held_key_repeats_for_volume_alone() {
        let (mut keys, now, map) = (Keys::default(), Instant::now(), us());
        for step in 0..3 {
            for code in [12, 13, 16] {
                keys.press(&map, code, KeyButMask::from(PLAIN), now + PRESS * step);
            }
        }
        assert_eq!(keys.take(), [Action::Mute, Action::Pick(8), Action::VolumeDown, Action::VolumeDown, Action::VolumeDown]);
    }

    #[test]
    fn a_key_whose_release_went_to_another_window_works_again() {
        let (mut keys, now, map) = (Keys::default(), Instant::now(), us());
        keys.press(&map, 11, KeyButMask::from(PLAIN), now);
        keys.press(&map, 11, KeyButMask::from(PLAIN), now + REPEAT);
        assert_eq!(keys.take().len(), 2);
    }

    #[test]
    fn a_symbol_counts_wherever_the_layout_keeps_it_and_digits_without_shift() {
        assert_eq!(presses(&us(), &[(14, SHIFT), (10, SHIFT), (13, SHIFT)]), [Action::Help, Action::Quit, Action::Pick(8)]);
        let more = [(16, PLAIN), (17, PLAIN), (17, SHIFT), (18, PLAIN), (18, SHIFT), (19, PLAIN), (20, SHIFT)];
        let (up, down) = (Action::VolumeUp, Action::VolumeDown);
        assert_eq!(presses(&us(), &more), [down, up, up, Action::Next, Action::Previous, up, Action::Pick(7)]);
        // Of a French keyboard: a, q, 9 and what is on its plain level, the keypad without Num Lock.
        let (ccedilla, page_up) = (0xe7, 0xff9a);
        let french = keymap(&[
            ("AD01", &[['a' as u32, 'A' as u32]]),
            ("AC01", &[['q' as u32, 'Q' as u32]]),
            ("AE09", &[[ccedilla, '9' as u32]]),
            ("KP9", &[[page_up, keysym::KEYPAD_9]]),
            ("AE06", &[['-' as u32, '6' as u32]]),
        ]);
        assert_eq!(presses(&french, &[(14, PLAIN), (14, SHIFT)]), [Action::Pick(5); 2], "no minus");
        assert_eq!(presses(&french, &[(10, PLAIN), (10, SHIFT)]), [], "an a is an a, whatever stands there elsewhere");
        assert_eq!(presses(&french, &[(11, PLAIN)]), [Action::Quit]);
        assert_eq!(presses(&french, &[(12, PLAIN), (12, SHIFT), (13, PLAIN), (13, SHIFT)]), [Action::Pick(8); 4]);
    }

    #[test]
    fn where_a_layout_has_no_such_letter_the_key_in_its_us_place_is_it() {
        let (shorti, semicolon, arabic_nine, arabic_question) = (0x6ca, 0x3b, 0x5e9, 0x5bf);
        let russian = keymap(&[("AD01", &[[shorti, 0x6ea]]), ("AE09", &[['9' as u32, '(' as u32]])]);
        assert_eq!(presses(&russian, &[(10, PLAIN), (10, SHIFT), (11, PLAIN)]), [Action::Quit, Action::Quit, Action::Pick(8)]);
        let greek = keymap(&[("AD01", &[[semicolon, ':' as u32]])]);
        assert_eq!(presses(&greek, &[(10, PLAIN)]), [Action::Quit], "although a semicolon is a character of ours");
        let arabic = keymap(&[
            ("AE09", &[[arabic_nine, '(' as u32]]),
            ("KP9", &[[0xff9a, keysym::KEYPAD_9]]),
            ("AB10", &[['/' as u32, arabic_question]]),
        ]);
        assert_eq!(presses(&arabic, &[(10, PLAIN), (12, PLAIN), (12, SHIFT)]), [Action::Pick(8), Action::Help]);
    }

    #[test]
    fn the_layout_in_use_decides_and_not_the_others_of_the_keyboard() {
        let both = keymap(&[("AD01", &[['q' as u32, 'Q' as u32], [0x6ca, 0x6ea]]), ("AC01", &[['a' as u32, 'A' as u32]; 2])]);
        let second = 1 << 13;
        assert_eq!(presses(&both, &[(10, PLAIN), (10, second), (11, second)]), [Action::Quit, Action::Quit]);
    }

    #[test]
    fn two_clicks_make_a_double_click_when_close_in_time_and_place() {
        let now = Instant::now();
        let click = |clicks: &mut Clicks, at: (f32, f32), now| (clicks.poll(true, at, now), clicks.poll(false, at, now)).0;
        let mut clicks = Clicks::default();
        let (once, twice) = (Some(Clicked::Once), Some(Clicked::Twice));
        assert_eq!(click(&mut clicks, (5.0, 5.0), now), once);
        assert_eq!(click(&mut clicks, (9.0, 5.0), now + PRESS), twice);
        assert_eq!(click(&mut clicks, (9.0, 5.0), now + PRESS * 2), once, "a third click starts anew");
        assert_eq!(click(&mut clicks, (90.0, 5.0), now + PRESS * 3), once, "too far");
        assert_eq!(click(&mut clicks, (90.0, 5.0), now + PRESS * 3 + Clicks::APART + PRESS), once, "too late");
    }

    #[test]
    fn a_button_held_down_is_one_click() {
        let (mut clicks, now) = (Clicks::default(), Instant::now());
        assert_eq!(clicks.poll(true, (1.0, 1.0), now), Some(Clicked::Once));
        assert!((1..5).all(|step| clicks.poll(true, (1.0, 1.0), now + PRESS * step).is_none()));
    }
}
