//! What keys of the window mean: strokes become [`Action`]s.
//!
//! A key is taken first by the symbol it types, then by what else it types with or without Shift (digits of a French keyboard,
//! the keypad without Num Lock), then by its place: where a layout has no `q` at all, the key that is `q` on a US keyboard is it.
//! A key that types a digit is no volume key, whatever else it types (`-` on a French keyboard).
//!
//! Volume has the keys that browsers and most players give it, arrows up and down and plus and minus, but not mpv's `9` and `0`: digits name
//! tiles.

use super::keymap::{Keymap, Stroke};
use std::path::PathBuf;

/// Which keys there are: they differ with what the window is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bindings {
    /// Others are seen and heard.
    #[default]
    Watch,
    /// And see and hear the one at the window, who can also write to them.
    Call,
    /// One's own picture is seen, and nothing heard.
    Preview,
}

/// What was asked for at the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `q`, or the window was closed.
    Quit,
    /// `f`, F11 or a double click.
    ToggleFullscreen,
    LeaveFullscreen,
    /// Space: what is seen is to stand still, or to go on.
    Freeze,
    /// Left: a film is to go back a step.
    StepBack,
    /// Right: it is to go on a step.
    StepOn,
    /// `m` where only others are heard, `M` in a call: no sound of anybody.
    Mute,
    /// `x`: the voice of one, whom the user means, is to be silent, or heard again.
    Silence,
    /// `r`: what is seen and heard is to be recorded, or no longer.
    Record,
    /// `R`: what is kept of the last seconds is to be written.
    SaveLast,
    /// `s`: the picture that is seen is to be kept.
    Snapshot,
    /// `m` in a call: one's own microphone is to be muted, or heard again.
    Microphone,
    /// `c` in a call: one's own camera is to be closed, or opened again.
    Camera,
    /// `y` or `n` in a call: whoever calls is to be let in, or not.
    Answer(bool),
    /// `v` in a call: one's own picture is to be hidden, or shown again.
    OwnPicture,
    /// The line that is typed is another, or was opened or closed: there is something to paint.
    Typed,
    /// A line was typed, and Enter pressed: these words are to be sent. Never empty, printable, at most
    /// [`MOST_BYTES`](super::typing::MOST_BYTES) long.
    Say(String),
    /// Up, `+` or `=`, which is plus without Shift on many keyboards, or the wheel.
    VolumeUp,
    /// Down or `-`, or the wheel.
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
    /// This file was dropped on the window of a preview.
    Dropped(PathBuf),
    /// `i`.
    Stats,
    /// `w`: where this is found in a browser, as a code for a phone.
    Code,
    /// `?`, `h` or F1.
    Help,
}

/// Whether a key that is held down goes on doing it.
pub(super) fn may_repeat(action: &Action) -> bool {
    matches!(action, Action::VolumeUp | Action::VolumeDown)
}

/// Symbols that are no characters, by their number in X11's keysymdef.h.
pub(super) mod keysym {
    pub const ESCAPE: u32 = 0xff1b;
    pub const F1: u32 = 0xffbe;
    pub const F11: u32 = 0xffc8;
    pub const KEYPAD_0: u32 = 0xffb0;
    pub const KEYPAD_9: u32 = 0xffb9;
    pub const TAB: u32 = 0xff09;
    /// What Shift makes of Tab.
    pub const LEFT_TAB: u32 = 0xfe20;
    pub const LEFT: u32 = 0xff51;
    pub const RIGHT: u32 = 0xff53;
    pub const UP: u32 = 0xff52;
    pub const DOWN: u32 = 0xff54;
    pub const KEYPAD_ADD: u32 = 0xffab;
    pub const KEYPAD_SUBTRACT: u32 = 0xffad;
    pub const RETURN: u32 = 0xff0d;
    pub const KEYPAD_ENTER: u32 = 0xff8d;
    pub const BACKSPACE: u32 = 0xff08;
}

/// Where a US keyboard has the keys of the window, by XKB's names of places.
const PLACES: [(&[u8; 4], char); 23] = [
    (b"AD01", 'q'),
    (b"AD02", 'w'),
    (b"AC04", 'f'),
    (b"AC02", 's'),
    (b"AB02", 'x'),
    (b"AD04", 'r'),
    (b"AB07", 'm'),
    (b"AB03", 'c'),
    (b"AB04", 'v'),
    (b"AD08", 'i'),
    (b"AC06", 'h'),
    (b"AD06", 'y'),
    (b"AB06", 'n'),
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

/// What a stroke asks for, if anything.
pub(super) fn meaning(bindings: Bindings, map: &Keymap, stroke: &Stroke) -> Option<Action> {
    let by_symbol = |symbol: u32| by_symbol(bindings, symbol, stroke.shift);
    let by_level = || stroke.common.into_iter().filter(|symbol| is_digit_or_letter(*symbol)).find_map(by_symbol);
    let has_digit = || stroke.common.into_iter().filter_map(character).any(|character| character.is_ascii_digit());
    let typed = by_symbol(stroke.symbol).filter(|action| !(may_repeat(action) && has_digit()));
    typed.or_else(by_level).or_else(|| by_place(bindings, map, stroke)).filter(|action| is_of(bindings, action))
}

/// Whether there is such a thing to do at the window.
pub(super) fn is_of(bindings: Bindings, action: &Action) -> bool {
    let of_window =
        matches!(action, Action::Quit | Action::ToggleFullscreen | Action::LeaveFullscreen | Action::Code | Action::Help);
    let of_files = matches!(action, Action::Record | Action::SaveLast | Action::Snapshot);
    of_window || of_files || matches!(action, Action::Dropped(_)) == (bindings == Bindings::Preview)
}

fn by_symbol(bindings: Bindings, symbol: u32, shift: bool) -> Option<Action> {
    match symbol {
        keysym::ESCAPE => Some(Action::LeaveFullscreen),
        keysym::F11 => Some(Action::ToggleFullscreen),
        keysym::F1 => Some(Action::Help),
        keysym::TAB => Some(Action::Next),
        keysym::LEFT_TAB => Some(Action::Previous),
        keysym::LEFT => Some(Action::StepBack),
        keysym::RIGHT => Some(Action::StepOn),
        keysym::UP | keysym::KEYPAD_ADD => Some(Action::VolumeUp),
        keysym::DOWN | keysym::KEYPAD_SUBTRACT => Some(Action::VolumeDown),
        symbol => by_character(bindings, character(symbol)?, shift),
    }
}

/// Of letters those in lower case.
fn by_character(bindings: Bindings, character: char, shift: bool) -> Option<Action> {
    let calls = bindings == Bindings::Call;
    Some(match character {
        'q' => Action::Quit,
        'f' => Action::ToggleFullscreen,
        ' ' => Action::Freeze,
        'm' if calls && !shift => Action::Microphone,
        'm' => Action::Mute,
        'x' => Action::Silence,
        's' => Action::Snapshot,
        'r' if shift => Action::SaveLast,
        'r' => Action::Record,
        'c' if calls => Action::Camera,
        'y' if calls => Action::Answer(true),
        'n' if calls => Action::Answer(false),
        'v' if calls => Action::OwnPicture,
        '+' | '=' => Action::VolumeUp,
        '-' => Action::VolumeDown,
        '0' => Action::All,
        '1'..='9' => Action::Pick(character as u8 - b'1'),
        'i' => Action::Stats,
        'w' => Action::Code,
        '?' | 'h' => Action::Help,
        _ => return None,
    })
}

/// Only where the layout has no such character of its own: on a French keyboard the `a` in the place of `q` is an `a`.
fn by_place(bindings: Bindings, map: &Keymap, stroke: &Stroke) -> Option<Action> {
    let there = PLACES.iter().find(|(place, _)| **place == stroke.place).map(|(_, character)| *character);
    let wanted = there.or((stroke.place == *QUESTION_MARK && stroke.shift).then_some('?'))?;
    // The keypad's digits say nothing of the row's.
    let is_wanted = |symbol| !is_keypad(symbol) && character(symbol) == Some(wanted);
    if map.has(stroke.group, is_wanted) { None } else { by_character(bindings, wanted, stroke.shift) }
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
