//! The page of keys: what to press, and what it does.

use super::super::bindings::Bindings;
use super::layout::{Line, Paragraph, Place};
use super::{AMBER, GREY, WHITE};

/// What to press and what it does, in full, and in few words for a small window; what that has no room for is left out there.
type Key = ((&'static str, &'static str), Option<(&'static str, &'static str)>);

const WATCH: [Key; 16] = [
    (("q", "quit"), Some(("q", "quit"))),
    (("f, F11", "full screen (or double click)"), Some(("f", "full screen"))),
    (("Esc", "leave full screen"), Some(("Esc", "leave it"))),
    (("Space", "pause a film, or freeze the picture"), Some(("Space", "pause, freeze"))),
    (("← →", "5 s back, on in a film"), Some(("← →", "5 s in a film"))),
    (("m", "mute the sound"), Some(("m", "mute"))),
    (("↑ ↓, + -", "volume up, down"), Some(("↑ ↓", "volume"))),
    (("x", "silence one (pointed at, or large)"), None),
    (("s", "keep the picture"), None),
    (("r", "record, or stop"), Some(("r", "record"))),
    (("R", "keep the last seconds"), None),
    (("1…9, Tab", "one large (or click it)"), Some(("1…9", "one large"))),
    (("0", "all of one size"), Some(("0", "all"))),
    (("i", "figures"), Some(("i", "figures"))),
    (("w", "code for a phone (--web)"), None),
    (("?, h", "this page"), Some(("?", "this page"))),
];

const CALL: [Key; 21] = [
    (("q", "quit"), Some(("q", "quit"))),
    (("m", "mute your microphone"), Some(("m", "mute yourself"))),
    (("M", "mute the others"), Some(("M", "mute others"))),
    (("c", "close your camera"), Some(("c", "close camera"))),
    (("v", "hide your own picture"), Some(("v", "own picture"))),
    (("Enter", "write to the others"), Some(("Enter", "write"))),
    (("y, n", "let in who calls, or not"), Some(("y, n", "who calls"))),
    (("f, F11", "full screen (or double click)"), Some(("f", "full screen"))),
    (("Esc", "leave full screen"), None),
    (("Space", "pause a film, or freeze the pictures"), None),
    (("← →", "5 s back, on in a film"), None),
    (("↑ ↓, + -", "volume up, down"), Some(("↑ ↓", "volume"))),
    (("x", "silence one (pointed at, or large)"), None),
    (("s", "keep the picture"), None),
    (("r", "record, or stop"), Some(("r", "record"))),
    (("R", "keep the last seconds"), None),
    (("1…9, Tab", "one large (or click it)"), Some(("1…9", "one large"))),
    (("0", "all of one size"), None),
    (("i", "figures"), None),
    (("w", "code for a phone (--web)"), None),
    (("?, h", "this page"), Some(("?", "this page"))),
];

const PREVIEW: [Key; 8] = [
    (("q", "quit"), Some(("q", "quit"))),
    (("f, F11", "full screen (or double click)"), Some(("f", "full screen"))),
    (("Esc", "leave full screen"), Some(("Esc", "leave it"))),
    (("s", "keep the picture"), None),
    (("r", "record, or stop"), Some(("r", "record"))),
    (("R", "keep the last seconds"), None),
    (("w", "code for a phone (--web)"), None),
    (("?, h", "this page"), Some(("?", "this page"))),
];

/// The page where keys mean this.
pub(super) fn page(bindings: Bindings) -> Paragraph<'static> {
    let keys: &[Key] = match bindings {
        Bindings::Watch => &WATCH,
        Bindings::Call => &CALL,
        Bindings::Preview => &PREVIEW,
    };
    let row = |(key, does): (&'static str, &'static str)| -> Line<'static> { vec![(AMBER, key), (WHITE, does)] };
    let rows = keys.iter().map(|(full, _)| row(*full));
    let lines = [vec![(GREY, "Keys")], vec![]].into_iter().chain(rows).collect();
    let short = Some(keys.iter().filter_map(|(_, short)| short.map(row)).collect());
    Paragraph { short, ..Paragraph::new(lines, &[Place::Middle, Place::Right, Place::Bottom]) }
}

#[cfg(test)]
mod tests {
    use super::super::super::keys::tests::asked_by;
    use super::*;

    #[test]
    fn every_key_on_the_page_of_keys_does_something() {
        for bindings in [Bindings::Watch, Bindings::Call, Bindings::Preview] {
            for (_, row) in page(bindings).lines.iter().filter(|line| line.len() == 2).map(|line| line[0]) {
                for key in row.split([',', ' ', '…']).filter(|key| !key.is_empty()) {
                    assert_eq!(asked_by(bindings, key).len(), 1, "{bindings:?}: {key}");
                }
            }
        }
    }

    #[test]
    fn every_key_of_the_window_is_on_the_page_of_keys() {
        let watch = [
            "q", "f", "F11", "Esc", "Space", "←", "→", "m", "↑", "↓", "+", "-", "x", "s", "r", "R", "1…9", "Tab", "0", "i", "?",
            "h",
        ];
        let call = [&watch[..], &["M", "c", "v", "Enter"]].concat();
        let preview = ["q", "f", "F11", "Esc", "s", "r", "R", "?", "h"];
        for key in watch {
            let is_there = asked_by(Bindings::Preview, if key == "1…9" { "1" } else { key }).len() == 1;
            assert_eq!(is_there, preview.contains(&key), "{key}");
        }
        for (bindings, keys) in [(Bindings::Watch, &watch[..]), (Bindings::Call, &call[..]), (Bindings::Preview, &preview[..])] {
            let page: Vec<&str> = page(bindings).lines.iter().filter_map(|line| line.first()).map(|(_, key)| *key).collect();
            for key in keys {
                assert!(page.iter().any(|row| row.split([',', ' ']).any(|word| word == *key)), "{bindings:?}: {key}");
            }
        }
    }
}
