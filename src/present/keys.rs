//! What the person at the window does with the keyboard: keys become [`Action`]s, or letters of the line that is being typed.
//!
//! What a key means stands in `bindings.rs`; while a line is open (`typing.rs`) no key means anything but what it types. A key
//! held down repeats only where repeating makes sense: volume, and letters.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use x11rb::protocol::xproto::KeyButMask;

use super::bindings::{self, keysym};
use super::keymap::Keymap;
use super::typing::{Line, Typed};

pub use super::bindings::{Action, Bindings};

/// A press of a held key that is this long after the one before is a new press whose release went elsewhere: X repeats a
/// held key after 0.66 s by default, then every 40 ms.
const REPEAT: Duration = Duration::from_millis(900);

/// The actions collected since they were last taken.
#[derive(Default)]
pub(super) struct Keys {
    bindings: Bindings,
    actions: Vec<Action>,
    /// Keys that are down, by their code, and when their last press came.
    held: HashMap<u8, Instant>,
    line: Option<Line>,
}

impl Keys {
    pub(super) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// From now on keys mean this.
    pub(super) fn bind(&mut self, bindings: Bindings) {
        self.bindings = bindings;
    }

    pub(super) fn bindings(&self) -> Bindings {
        self.bindings
    }

    /// The line that is being typed.
    pub(super) fn line(&self) -> Option<&Line> {
        self.line.as_ref()
    }

    /// A key went down, or repeats.
    pub(super) fn press(&mut self, map: &Keymap, code: u8, state: KeyButMask, now: Instant) {
        let before = self.held.insert(code, now);
        let repeats = before.is_some_and(|before| now.duration_since(before) < REPEAT);
        let stroke = map.stroke(code, state);
        let is_enter = matches!(stroke.symbol, keysym::RETURN | keysym::KEYPAD_ENTER);
        if repeats && (is_enter || stroke.symbol == keysym::ESCAPE) {
            return;
        }
        match &mut self.line {
            Some(line) => match line.press(&stroke) {
                Typed::Nothing => {}
                Typed::Changed => self.actions.push(Action::Typed),
                Typed::Closed => {
                    self.line = None;
                    self.actions.push(Action::Typed);
                }
                Typed::Done(text) => {
                    self.line = None;
                    self.actions.push(Action::Say(text));
                }
            },
            None if is_enter && self.bindings == Bindings::Call => {
                self.line = Some(Line::default());
                self.actions.push(Action::Typed);
            }
            None => {
                let action = bindings::meaning(self.bindings, map, &stroke);
                self.actions.extend(action.filter(|action| !repeats || bindings::may_repeat(action)));
            }
        }
    }

    /// A key went up.
    pub(super) fn release(&mut self, code: u8) {
        self.held.remove(&code);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::keymap::tests::keymap;
    use super::*;

    /// What the key of this name asks for, as people call it: `Esc`, `F11`, `Up`, `M` (with Shift).
    pub(crate) fn asked_by(bindings: Bindings, name: &str) -> Vec<Action> {
        let symbol = match name {
            "Esc" => keysym::ESCAPE,
            "F1" => keysym::F1,
            "F11" => keysym::F11,
            "Tab" => keysym::TAB,
            "Enter" => keysym::RETURN,
            "Space" => u32::from(' '),
            "Left" | "←" => keysym::LEFT,
            "Right" | "→" => keysym::RIGHT,
            "Up" | "↑" => keysym::UP,
            "Down" | "↓" => keysym::DOWN,
            name => match name.chars().collect::<Vec<_>>()[..] {
                [character] => character.into(),
                _ => panic!("no key is called {name}"),
            },
        };
        let state = if name.chars().all(char::is_uppercase) { SHIFT } else { PLAIN };
        let mut keys = Keys::default();
        keys.bind(bindings);
        presses_of(&mut keys, &keymap(&[("AB05", &[[symbol; 2]])]), &[(10, state)])
    }

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
            ("RTRN", &[[keysym::RETURN; 2]]),
            ("ESC", &[[keysym::ESCAPE; 2]]),
            ("AB03", &[both('c', 'C')]),
            ("AB04", &[both('v', 'V')]),
        ])
    }

    fn presses(map: &Keymap, strokes: &[(u8, u16)]) -> Vec<Action> {
        presses_of(&mut Keys::default(), map, strokes)
    }

    fn presses_of(keys: &mut Keys, map: &Keymap, strokes: &[(u8, u16)]) -> Vec<Action> {
        let now = Instant::now();
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
        let (up, down) = (|| Action::VolumeUp, || Action::VolumeDown);
        assert_eq!(presses(&us(), &more), [down(), up(), up(), Action::Next, Action::Previous, up(), Action::Pick(7)]);
        // Of a French keyboard: a, q, 9 and what is on its plain level, the keypad without Num Lock.
        let (ccedilla, page_up) = (0xe7, 0xff9a);
        let french = keymap(&[
            ("AD01", &[['a' as u32, 'A' as u32]]),
            ("AC01", &[['q' as u32, 'Q' as u32]]),
            ("AE09", &[[ccedilla, '9' as u32]]),
            ("KP9", &[[page_up, keysym::KEYPAD_9]]),
            ("AE06", &[['-' as u32, '6' as u32]]),
        ]);
        assert_eq!(presses(&french, &[(14, PLAIN), (14, SHIFT)]), [Action::Pick(5), Action::Pick(5)], "no minus");
        assert_eq!(presses(&french, &[(10, PLAIN), (10, SHIFT)]), [], "an a is an a, whatever stands there elsewhere");
        assert_eq!(presses(&french, &[(11, PLAIN)]), [Action::Quit]);
        assert_eq!(presses(&french, &[(12, PLAIN), (12, SHIFT), (13, PLAIN), (13, SHIFT)]), vec![Action::Pick(8); 4]);
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

    const ENTER: u8 = 21;
    const ESCAPE: u8 = 22;

    /// As in a call.
    fn calling() -> Keys {
        let mut keys = Keys::default();
        keys.bind(Bindings::Call);
        keys
    }

    #[test]
    fn in_a_call_m_is_the_microphone_and_with_shift_the_speakers_and_c_and_v_are_ones_own_picture() {
        let strokes = [(12, PLAIN), (12, SHIFT), (23, PLAIN), (24, PLAIN), (24, SHIFT)];
        let wanted = [Action::Microphone, Action::Mute, Action::Camera, Action::OwnPicture, Action::OwnPicture];
        assert_eq!(presses_of(&mut calling(), &us(), &strokes), wanted);
        assert_eq!(presses(&us(), &strokes), [Action::Mute, Action::Mute], "who only watches has no microphone");
        // Caps Lock is no Shift; a Russian keyboard has the letters in their US places.
        let russian = keymap(&[("AB07", &[[0x6d8, 0x6f8]]), ("AB03", &[[0x6d3, 0x6f3]])]);
        let seen = presses_of(&mut calling(), &russian, &[(10, PLAIN), (10, SHIFT), (11, PLAIN)]);
        assert_eq!(seen, [Action::Microphone, Action::Mute, Action::Camera]);
    }

    #[test]
    fn while_a_line_is_open_keys_type_and_do_nothing_else() {
        let (mut keys, map) = (calling(), us());
        let strokes = [(ENTER, PLAIN), (10, PLAIN), (15, PLAIN), (12, SHIFT), (18, PLAIN)];
        assert_eq!(presses_of(&mut keys, &map, &strokes), vec![Action::Typed; 4], "Tab types nothing");
        assert_eq!(keys.line().map(Line::text), Some("q M"));
        assert_eq!(presses_of(&mut keys, &map, &[(ENTER, PLAIN)]), [Action::Say("q M".into())]);
        assert_eq!(presses_of(&mut keys, &map, &[(10, PLAIN)]), [Action::Quit], "it is closed");
        let strokes = [(ENTER, PLAIN), (10, PLAIN), (ESCAPE, PLAIN), (ESCAPE, PLAIN)];
        let seen = presses_of(&mut keys, &map, &strokes);
        assert_eq!(seen, [Action::Typed, Action::Typed, Action::Typed, Action::LeaveFullscreen], "nothing is said");
        assert_eq!(presses(&map, &[(ENTER, PLAIN), (10, PLAIN)]), [Action::Quit], "who only watches cannot write");
    }

    #[test]
    fn enter_held_down_opens_a_line_once_and_letters_repeat() {
        let (mut keys, now, map) = (calling(), Instant::now(), us());
        (0..3).for_each(|step| keys.press(&map, ENTER, KeyButMask::from(PLAIN), now + PRESS * step));
        assert_eq!(keys.take(), [Action::Typed]);
        (0..3).for_each(|step| keys.press(&map, 10, KeyButMask::from(PLAIN), now + PRESS * step));
        assert_eq!((keys.take().len(), keys.line().map(Line::text)), (3, Some("qqq")));
        keys.release(ENTER);
        (0..3).for_each(|step| keys.press(&map, ESCAPE, KeyButMask::from(PLAIN), now + PRESS * step));
        assert_eq!(keys.take(), [Action::Typed], "it closes the line and does not leave the full screen");
    }
}
