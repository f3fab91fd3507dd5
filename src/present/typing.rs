//! The line a person types: strokes become text, of any script whose letters the keyboard has.
//!
//! Keysyms become characters (`xkeysym`, the tables of X11's keysymdef.h). A dead key puts its accent on the letter after it,
//! composed where Unicode has them in one character. Compose sequences and input methods are left out: they are a conversation
//! with another program.

use std::mem;

use unicode_normalization::char::compose;
use xkeysym::Keysym;

use super::bindings::keysym;
use super::keymap::Stroke;
use eyeline_proto::wire::text::{characters, is_joiner, is_printable};

/// Of one line, in UTF-8: what a message to others holds.
pub const MOST_BYTES: usize = 500;

/// What became of a stroke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    Nothing,
    Changed,
    /// It is finished, and these are its words.
    Done(String),
    /// It is given up, or had no words.
    Closed,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    text: String,
    /// Of a dead key: a combining character, for the next letter.
    accent: Option<char>,
    /// A letter had no room.
    full: bool,
}

/// Accents by their dead keys: the keysym, the combining character, and what stands for it alone.
const ACCENTS: [(u32, char, char); 18] = [
    (0xfe50, '\u{300}', '`'),
    (0xfe51, '\u{301}', '´'),
    (0xfe52, '\u{302}', '^'),
    (0xfe53, '\u{303}', '~'),
    (0xfe54, '\u{304}', '¯'),
    (0xfe55, '\u{306}', '˘'),
    (0xfe56, '\u{307}', '˙'),
    (0xfe57, '\u{308}', '¨'),
    (0xfe58, '\u{30a}', '°'),
    (0xfe59, '\u{30b}', '˝'),
    (0xfe5a, '\u{30c}', 'ˇ'),
    (0xfe5b, '\u{327}', '¸'),
    (0xfe5c, '\u{328}', '˛'),
    (0xfe5e, '\u{3099}', '゛'),
    (0xfe5f, '\u{309a}', '゜'),
    (0xfe60, '\u{323}', '.'),
    (0xfe61, '\u{309}', '?'),
    (0xfe62, '\u{31b}', '\''),
];

impl Line {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a letter had no room.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn press(&mut self, stroke: &Stroke) -> Typed {
        match stroke.symbol {
            keysym::ESCAPE => return Typed::Closed,
            keysym::RETURN | keysym::KEYPAD_ENTER => {
                // Joiners that came to stand where they join nothing are left out.
                let text: String = characters(mem::take(&mut self.text).trim()).filter(|(_, may)| *may).map(|(c, _)| c).collect();
                return if text.trim().is_empty() { Typed::Closed } else { Typed::Done(text.trim().to_string()) };
            }
            keysym::BACKSPACE => {
                self.full = false;
                let taken = self.accent.take().is_some() || self.text.pop().is_some();
                return if taken { Typed::Changed } else { Typed::Nothing };
            }
            _ if stroke.command => return Typed::Nothing,
            _ => {}
        }
        if let Some((_, accent, alone)) = ACCENTS.iter().find(|(symbol, ..)| *symbol == stroke.symbol) {
            return match self.accent.replace(*accent) {
                // Twice is the accent itself.
                Some(before) if before == *accent => {
                    self.accent = None;
                    self.push(&[*alone])
                }
                _ => Typed::Nothing,
            };
        }
        let typed = Keysym::new(stroke.symbol).key_char().filter(|letter| is_printable(*letter) || is_joiner(*letter));
        let Some(letter) = typed else { return Typed::Nothing };
        match self.accent.take() {
            None => self.push(&[letter]),
            Some(accent) if letter == ' ' => {
                let alone = ACCENTS.iter().find(|(_, combining, _)| *combining == accent).map_or(' ', |(.., alone)| *alone);
                self.push(&[alone])
            }
            Some(accent) => match compose(letter, accent) {
                Some(whole) => self.push(&[whole]),
                None => self.push(&[letter, accent]),
            },
        }
    }

    #[cfg(test)]
    pub(super) fn type_for_test(&mut self, letter: char) {
        self.push(&[letter]);
    }

    /// All of the letters or none.
    fn push(&mut self, letters: &[char]) -> Typed {
        let bytes: usize = letters.iter().map(|letter| letter.len_utf8()).sum();
        self.full = self.text.len() + bytes > MOST_BYTES;
        if !self.full {
            self.text.extend(letters);
        }
        Typed::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stroke(symbol: u32) -> Stroke {
        Stroke { symbol, common: [symbol; 2], place: [0; 4], shift: false, command: false, group: 0 }
    }

    fn typed(symbols: &[u32]) -> Line {
        let mut line = Line::default();
        symbols.iter().for_each(|symbol| drop(line.press(&stroke(*symbol))));
        line
    }

    #[test]
    fn letters_of_any_script_are_typed_by_their_keysyms() {
        // Latin-1, the old tables of Cyrillic, Greek, Hebrew, Arabic, kana and Thai, the euro, Unicode's own, the keypad.
        let symbols = [0x61, 0xe4, 0x6c1, 0x7e1, 0xce0, 0x5e5, 0x4b1, 0xda1, 0x20ac, 0x0100_0905, 0x0101_f600, 0xffb7, 0x20];
        assert_eq!(typed(&symbols).text(), "aäаαאمアก€अ😀7 ");
        // What types nothing: Shift, Up, a function key, what turns writing around, no symbol.
        assert_eq!(typed(&[0xffe1, 0xff52, 0xffc0, 0x0100_202e, 0, 0xff09, 0xff1f]).text(), "");
    }

    #[test]
    fn a_dead_key_puts_its_accent_on_the_next_letter() {
        let (grave, circumflex, diaeresis) = (0xfe50, 0xfe52, 0xfe57);
        let letters = [circumflex, 0x65, diaeresis, 0x69, grave, 0x20, circumflex, circumflex, circumflex, 0x78, 0x61];
        assert_eq!(typed(&letters).text(), "êï`^x\u{302}a");
        let mut line = typed(&[0x61, grave]);
        assert_eq!((line.press(&stroke(keysym::BACKSPACE)), line.text()), (Typed::Changed, "a"), "it takes the accent back");
        line.press(&stroke(0x65));
        assert_eq!(line.text(), "ae");
    }

    #[test]
    fn backspace_takes_letters_whole_and_a_command_types_nothing() {
        let mut line = typed(&[0x61, 0xe4, 0x0101_f600]);
        for left in ["aä", "a", ""] {
            assert_eq!((line.press(&stroke(keysym::BACKSPACE)), line.text()), (Typed::Changed, left));
        }
        assert_eq!(line.press(&stroke(keysym::BACKSPACE)), Typed::Nothing);
        assert_eq!(line.press(&Stroke { command: true, ..stroke(0x61) }), Typed::Nothing);
    }

    #[test]
    fn a_line_holds_500_bytes_and_no_half_letter() {
        let mut line = typed(&[0x0101_f600; 124]);
        (0..3).for_each(|_| drop(line.press(&stroke(0x61))));
        assert_eq!((line.text().len(), line.is_full()), (499, false));
        line.press(&stroke(0xe4));
        assert_eq!((line.text().len(), line.is_full()), (499, true));
        line.press(&stroke(0x61));
        assert_eq!((line.text().len(), line.is_full()), (MOST_BYTES, false));
        let Typed::Done(text) = line.press(&stroke(keysym::RETURN)) else { panic!("it is finished") };
        assert_eq!(text.len(), MOST_BYTES);
    }

    #[test]
    fn a_line_without_words_is_closed_unsaid() {
        for symbols in [&[][..], &[0x20, 0x20]] {
            assert_eq!(typed(symbols).press(&stroke(keysym::KEYPAD_ENTER)), Typed::Closed);
        }
        assert_eq!(typed(&[0x20, 0x61, 0x20]).press(&stroke(keysym::RETURN)), Typed::Done("a".into()));
        assert_eq!(typed(&[0x61]).press(&stroke(keysym::ESCAPE)), Typed::Closed);
    }
}
