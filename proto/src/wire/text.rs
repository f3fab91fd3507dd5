//! Text that others wrote and people will read: names, goodbyes, what a device or a film calls itself.
//!
//! Some characters show nothing, or change what stands beside them: a name with a right-to-left override reads as another name,
//! one with a zero-width space is another name and looks the same, a private-use character is whatever a font makes of it. None
//! of them is needed to say who one is. They become U+FFFD, each one, so that it is seen that something was there. Two that show
//! nothing stay where a script or a picture is written wrong without them: U+200C and U+200D, which part letters and join them.

/// Stands for a character that is not shown.
pub const REPLACEMENT: char = '\u{fffd}';

/// The text with every character replaced that must not reach a terminal or a window, a tab by a space. Of the same number of
/// characters; none of them is a control character, a line end included.
pub fn printable(text: &str) -> String {
    let shown = |(c, may)| match c {
        '\t' => ' ',
        c if may => c,
        _ => REPLACEMENT,
    };
    characters(text).map(shown).collect()
}

/// All characters of a text, and whether each may be shown as it is, where it stands: as [`is_printable`], and a joiner between
/// two that it joins or parts.
pub fn characters(text: &str) -> impl Iterator<Item = (char, bool)> {
    let (mut chars, mut before) = (text.chars().peekable(), None);
    std::iter::from_fn(move || {
        let c = chars.next()?;
        let joins = is_joiner(c) && before.is_some_and(is_joined) && chars.peek().copied().is_some_and(is_joined);
        before = Some(c);
        Some((c, joins || is_printable(c)))
    })
}

/// Whether a character may be shown as it is, wherever it stands: it is no control character, steers no direction of writing
/// (Unicode's Bidi_Control), takes room (Default_Ignorable_Code_Point), and means the same everywhere (no private use, no
/// noncharacter).
pub fn is_printable(c: char) -> bool {
    !c.is_control() && !is_invisible(c) && !is_private(c)
}

/// ZERO WIDTH NON-JOINER and ZERO WIDTH JOINER.
pub fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether a joiner beside it is seen by what it does: letters and marks of scripts that join theirs (Arabic to N'Ko, those of
/// India to Tibet, Myanmar, Khmer and Mongolian), and emoji. Between Latin letters it would make another name that looks the
/// same.
fn is_joined(c: char) -> bool {
    let script = matches!(c, '\u{600}'..='\u{8ff}' | '\u{900}'..='\u{109f}' | '\u{1780}'..='\u{18af}' | '\u{a840}'..='\u{aaff}');
    let emoji = matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}');
    is_printable(c) && (script || emoji)
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Zero width, left-to-right and right-to-left marks; line and paragraph ends; embeddings, overrides; word joiner to
        // isolates.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_private(c: char) -> bool {
    let nonchar = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    nonchar || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_hides_or_means_nothing_is_replaced_and_every_script_stays() {
        for honest in ["robot-7", "Käthes Kamera", "камера", "κάμερα", "カメラ 2", "مختبر", "מצלמה", "हिन्दी", "📷", "e\u{301}"]
        {
            assert_eq!(printable(honest), honest);
        }
        let steering = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}";
        let hidden = "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{3164}\u{fe0f}\u{e0041}\u{2028}\u{2029}";
        let private = "\u{e000}\u{f8ff}\u{f0000}\u{10fffd}\u{fffe}\u{fdd0}";
        let control = "\0\x1b\n\r\x0b\u{7f}\u{9b}";
        for c in [steering, hidden, private, control].concat().chars() {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "U+{:04X}", u32::from(c));
        }
        assert_eq!(printable("column\tcolumn"), "column column");
    }

    #[test]
    fn what_joins_letters_and_emoji_stays_between_them_and_nowhere_else() {
        for honest in ["علی\u{200c}رضا", "क्\u{200d}ष", "👨\u{200d}👩\u{200d}👧", "👩🏽\u{200d}🔬"] {
            assert_eq!(printable(honest), honest);
        }
        for (hidden, seen) in [
            ("ad\u{200d}a", "ad\u{fffd}a"),
            ("\u{200c}علی\u{200c}", "\u{fffd}علی\u{fffd}"),
            ("ر\u{200c}\u{200c}ض", "ر\u{fffd}\u{fffd}ض"),
            ("👧\u{200d} ", "👧\u{fffd} "),
            ("ر\u{200b}ض", "ر\u{fffd}ض"),
        ] {
            assert_eq!(printable(hidden), seen);
        }
        let refused: Vec<_> = characters("a\u{200d}ر\u{200d}ض").filter(|(_, may)| !may).collect();
        assert_eq!(refused, [('\u{200d}', false)]);
    }
}
