//! Words over the picture: figures, badges, a passing note, the page of keys, a notice in the middle.
//!
//! What is said is chosen here, where it stands in `layout.rs`, how it is drawn in `page.rs`. The words and the time come from
//! the caller; nothing is kept here but the passing note and when it ends.

mod layout;
mod page;

use std::time::{Duration, Instant};

use super::letters::Letters;
use super::scale::Rect;
use eyeline_proto::picture::Size;
use layout::{Area, Block, Layout, Line, Place, Placed, Style};
use page::Page;

const WHITE: u32 = 0x00f2_f2f2;
const GREY: u32 = 0x00b4_b4b4;
const AMBER: u32 = 0x00ff_c24b;
const RED: u32 = 0x00ff_6b5e;

/// What is drawn over the picture.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// Lines at the top left, such as figures; two spaces part what stands in columns. None hides the box.
    pub lines: Vec<String>,
    /// Whether the page of keys is shown.
    pub help: bool,
    /// Shows the badge "muted".
    pub muted: bool,
    /// Shows the badge "frozen".
    pub frozen: bool,
    note: Option<Note>,
}

#[derive(Debug, Clone)]
struct Note {
    text: String,
    level: Option<u8>,
    until: Instant,
}

/// The page of keys: what to press, what it does.
const KEYS: [(&str, &str); 10] = [
    ("q", "quit"),
    ("f, F11", "full screen (or double click)"),
    ("Esc", "leave full screen"),
    ("Space", "freeze the picture"),
    ("m", "mute the sound"),
    ("↑ ↓, + -", "volume up, down"),
    ("1…9, Tab", "one large (or click it)"),
    ("0", "all of one size"),
    ("i", "figures"),
    ("?, h", "this page"),
];

/// The same in few words, for a small window.
const SHORT_KEYS: [(&str, &str); 10] = [
    ("q", "quit"),
    ("f", "full screen"),
    ("Esc", "leave it"),
    ("Space", "freeze"),
    ("m", "mute"),
    ("↑ ↓", "volume"),
    ("1…9", "one large"),
    ("0", "all"),
    ("i", "figures"),
    ("?", "this page"),
];

/// Said below a notice of a window without a picture.
const HINT: &str = "? keys, q quit";

/// A sentence in the middle of the window; lines as the text has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notice<'a> {
    pub text: &'a str,
    /// Also says which keys help.
    pub hint: bool,
}

impl Overlay {
    /// How long a passing note stays.
    pub const NOTE: Duration = Duration::from_millis(1500);

    /// Shows `text` at the bottom for [`Overlay::NOTE`], in place of the note before.
    pub fn note(&mut self, text: impl Into<String>, now: Instant) {
        self.note = Some(Note { text: text.into(), level: None, until: now + Self::NOTE });
    }

    /// As [`Overlay::note`], with a bar filled to `percent`.
    pub fn note_volume(&mut self, percent: u8, now: Instant) {
        let (percent, until) = (percent.min(100), now + Self::NOTE);
        self.note = Some(Note {
            text: format!("volume {} %", format!("{percent:3}").replace(' ', "\u{2007}")),
            level: Some(percent),
            until,
        });
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self, now: Instant) -> bool {
        let note = self.note.as_ref().is_some_and(|note| now < note.until);
        self.lines.is_empty() && !(self.help || self.muted || self.frozen || note)
    }

    /// Draws it, and a notice if there is one, on a window of `size`; `pixels` holds `size.width * size.height` words.
    pub(super) fn draw(&self, letters: &Letters, now: Instant, notice: Option<Notice<'_>>, pixels: &mut [u32], size: Size) {
        let mut page = Page::new(letters, pixels, size);
        let mut layout = Layout::new(letters, size);
        // In the order of what is hidden last where there is no room for all.
        let help = self.help.then(help);
        let notice = notice.map(|notice| {
            let hint = if notice.hint && !self.help { vec![vec![], vec![(GREY, HINT)]] } else { vec![] };
            let lines = notice.text.lines().map(|line| vec![(WHITE, line)]).chain(hint);
            Block { larger: true, ..Block::new(lines.collect(), &[Place::Middle, Place::Bottom, Place::Top]) }
        });
        let figures = (!self.lines.is_empty()).then(|| {
            let lines = self.lines.iter().map(|line| line.split("  ").map(|piece| (WHITE, piece)).collect());
            Block::new(lines.collect(), &[Place::TopLeft, Place::BottomLeft])
        });
        let blocks: Vec<_> = help.into_iter().chain(notice).chain(figures).collect();
        for placed in layout.arrange(&blocks) {
            page.boxed(&placed);
        }
        let badges = [(self.muted, RED, "muted"), (self.frozen, AMBER, "frozen")];
        let badges: Vec<Line> = badges.iter().filter(|badge| badge.0).map(|badge| vec![(badge.1, badge.2)]).collect();
        if !badges.is_empty() {
            const CORNERS: [Place; 4] = [Place::TopRight, Place::BottomRight, Place::BottomLeft, Place::TopLeft];
            layout.add(&Block::new(badges, &CORNERS)).inspect(|placed| page.boxed(placed));
        }
        if let Some(note) = self.note.as_ref().filter(|note| now < note.until) {
            let line = vec![(WHITE, note.text.as_str())];
            let block = Block { bar: note.level, ..Block::new(vec![line], &[Place::Bottom, Place::Top, Place::BottomRight]) };
            // It passes: rather over the others than not at all.
            page.boxed(&layout.add(&block).unwrap_or_else(|| Layout::new(letters, size).force(&block)));
        }
    }
}

fn help() -> Block<'static> {
    let keys = |keys: &'static [(&str, &str)]| keys.iter().map(|(key, does)| vec![(AMBER, *key), (WHITE, *does)]);
    let page = [vec![(GREY, "Keys")], vec![]].into_iter().chain(keys(&KEYS)).collect();
    let short = Some(keys(&SHORT_KEYS).collect());
    Block { short, ..Block::new(page, &[Place::Middle, Place::Right, Place::Bottom]) }
}

/// What a tile says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    /// The key that makes it large.
    pub digit: Option<usize>,
    /// Whose it is, in the lower edge of the picture; cut where there is no room for all.
    pub name: &'a str,
    /// Where the picture is in the tile.
    pub picture: Rect,
    /// In the middle.
    pub notice: Option<&'a str>,
}

/// A picture lower than this has no room for a name.
const LEAST_LABELLED: i64 = 32;

/// Writes on a tile of `size`; `pixels` holds `size.width * size.height` words.
pub(super) fn label(letters: &Letters, label: Label<'_>, pixels: &mut [u32], size: Size) {
    let Rect { x, y, size: Size { width, height } } = label.picture;
    let [left, top, width, height] = [x, y, width, height].map(i64::from);
    let mut page = Page::new(letters, pixels, size);
    if let Some(notice) = label.notice {
        let block =
            Block { larger: true, ..Block::new(notice.lines().map(|line| vec![(WHITE, line)]).collect(), &[Place::Middle]) };
        for placed in Layout::new(letters, size).arrange(&[block]) {
            page.boxed(&placed);
        }
    }
    if height < LEAST_LABELLED {
        return;
    }
    // A twentieth of the tile's height, and what can be read.
    let style = Style::roomy((i64::from(size.height) / 20).clamp(10, 28));
    let digit = label.digit.map(|digit| digit.to_string());
    let begin = digit.as_ref().map_or(0, |digit| letters.width(digit, style.em) + style.em / 2);
    let name = shortened(letters, label.name, style.em, width - begin - 2 * style.side);
    let wide = if name.is_empty() { begin - style.em / 2 } else { begin + letters.width(&name, style.em) };
    if wide <= 0 {
        return;
    }
    let (wide, high) = (wide + 2 * style.side, style.pitch() + 2 * style.top);
    let pieces = digit.iter().map(|digit| (GREY, digit.as_str(), 0)).chain([(WHITE, name.as_str(), begin)]);
    let (line, columns) = pieces.map(|(colour, text, at)| ((colour, text), at)).unzip();
    let area = Area { x: left, y: top + height - high, width: wide.min(width), height: high };
    page.boxed(&Placed { area, style, lines: vec![line], columns, bar: None });
}

/// As much of a name as has room, with an ellipsis where that is not all.
fn shortened(letters: &Letters, name: &str, em: i64, room: i64) -> String {
    if letters.width(name, em) <= room {
        return name.to_string();
    }
    let ends: Vec<usize> = name.char_indices().map(|(at, _)| at).collect();
    let cut = |end: usize| format!("{}…", name[..end].trim_end());
    let fits = ends.partition_point(|end| letters.width(&cut(*end), em) <= room);
    fits.checked_sub(1).map_or_else(String::new, |last| cut(ends[last]))
}

/// Takes the colour and half the light out of a picture that is no longer alive.
pub(super) fn grey(pixels: &mut [u32]) {
    for pixel in pixels {
        let (red, green, blue) = (*pixel >> 16 & 0xff, *pixel >> 8 & 0xff, *pixel & 0xff);
        // BT.601 luma in 1/512, which halves it.
        let luma = (77 * red + 150 * green + 29 * blue) >> 9;
        *pixel = luma << 16 | luma << 8 | luma;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 320, height: 200 };

    fn drawn(overlay: &Overlay, now: Instant) -> Vec<u32> {
        let mut pixels = vec![0x00ff_ffff; (SIZE.width * SIZE.height) as usize];
        overlay.draw(&Letters::new(), now, None, &mut pixels, SIZE);
        pixels
    }

    fn at(pixels: &[u32], x: u32, y: u32) -> u32 {
        pixels[(y * SIZE.width + x) as usize]
    }

    #[test]
    fn nothing_to_say_leaves_the_picture_alone() {
        assert!(drawn(&Overlay::default(), Instant::now()).iter().all(|pixel| *pixel == 0x00ff_ffff));
    }

    #[test]
    fn lines_stand_in_a_dark_box_at_the_top_left_and_the_rest_is_untouched() {
        let pixels = drawn(&Overlay { lines: vec!["I".into()], ..Overlay::default() }, Instant::now());
        let dark: Vec<(u32, u32)> = (0..)
            .zip(&pixels)
            .filter(|(_, pixel)| **pixel != 0x00ff_ffff)
            .map(|(at, _)| (at % SIZE.width, at / SIZE.width))
            .collect();
        let (left, right) = (dark.iter().map(|at| at.0).min().unwrap(), dark.iter().map(|at| at.0).max().unwrap());
        let (top, bottom) = (dark.iter().map(|at| at.1).min().unwrap(), dark.iter().map(|at| at.1).max().unwrap());
        assert!((2..8).contains(&left) && left == top && right < 30 && bottom < 30, "{left} {top} {right} {bottom}");
        assert_eq!([(left, top), (right, bottom)].map(|(x, y)| at(&pixels, x, y)), [0x003f_3f3f; 2]);
        let brightest = dark.iter().map(|(x, y)| at(&pixels, *x, *y) & 0xff).max();
        assert!(brightest > Some(0xa0), "a letter is in it");
    }

    #[test]
    fn a_note_passes_when_its_time_is_over_and_a_newer_one_replaces_it() {
        let (mut overlay, now) = (Overlay::default(), Instant::now());
        overlay.note("muted", now);
        let empty = drawn(&Overlay::default(), now);
        assert_ne!(drawn(&overlay, now + Overlay::NOTE - Duration::from_millis(1)), empty);
        assert_eq!(drawn(&overlay, now + Overlay::NOTE), empty);
        overlay.note_volume(40, now + Overlay::NOTE);
        assert_ne!(drawn(&overlay, now + Overlay::NOTE), empty);
    }

    #[test]
    fn the_volume_bar_is_as_long_as_the_volume() {
        let now = Instant::now();
        let bar = |percent| {
            let mut overlay = Overlay::default();
            overlay.note_volume(percent, now);
            let pixels = drawn(&overlay, now);
            let longest = |row: &[u32]| row.split(|pixel| *pixel != WHITE).map(<[u32]>::len).max().unwrap_or(0);
            pixels.chunks(SIZE.width as usize).map(longest).max().unwrap_or(0)
        };
        let whole = bar(100);
        assert!(whole > 40 && bar(200) == whole && bar(50).abs_diff(whole / 2) <= 1, "{whole}, {}", bar(50));
    }

    #[test]
    fn words_are_cut_at_every_border_of_a_tiny_window() {
        let now = Instant::now();
        let mut overlay =
            Overlay { lines: vec!["a line far too long".into(); 9], help: true, muted: true, frozen: true, note: None };
        overlay.note_volume(70, now);
        let letters = Letters::new();
        for (width, height) in [(1, 1), (1, 40), (40, 1), (17, 23), (100, 9)] {
            let size = Size { width, height };
            let mut pixels = vec![0x00ff_ffff; (width * height) as usize];
            let notice = Some(Notice { text: "no signal", hint: true });
            overlay.draw(&letters, now, notice, &mut pixels, size);
            assert!(pixels.iter().any(|pixel| *pixel != 0x00ff_ffff), "{size}");
        }
    }

    #[test]
    fn badges_and_help_show_in_their_places() {
        let now = Instant::now();
        let muted = drawn(&Overlay { muted: true, ..Overlay::default() }, now);
        let coloured =
            |pixels: &[u32], blue: bool| pixels.iter().any(|pixel| (pixel >> 16 & 0xff) > 0xc0 && (pixel & 0xff > 0xc0) == blue);
        assert!(coloured(&muted, false), "a red word");
        assert_eq!(at(&muted, SIZE.width - 6, 5), 0x003f_3f3f);
        let help = drawn(&Overlay { help: true, ..Overlay::default() }, now);
        assert!(coloured(&help, false) && coloured(&help, true), "keys in amber, words in white");
        assert_eq!((at(&help, SIZE.width / 2, SIZE.height / 2) == 0x00ff_ffff, at(&help, 2, 2)), (false, 0x00ff_ffff));
    }

    #[test]
    fn every_key_of_the_window_is_on_the_page_of_keys() {
        let page: String = KEYS.iter().map(|(key, _)| *key).collect();
        for key in ["q", "f", "F11", "Esc", "Space", "m", "↑", "↓", "+", "-", "1…9", "Tab", "0", "i", "?", "h"] {
            assert!(page.contains(key), "{key}");
        }
    }

    #[test]
    fn a_name_stands_in_the_lower_left_of_its_tile_and_is_cut_where_there_is_no_room() {
        let letters = Letters::new();
        let tile = |name: &str| {
            let mut pixels = vec![0x00ff_ffff; (SIZE.width * SIZE.height) as usize];
            let picture = Rect { x: 0, y: 0, size: SIZE };
            label(&letters, Label { digit: Some(3), name, picture, notice: None }, &mut pixels, SIZE);
            pixels
        };
        let dark = |pixels: &[u32]| {
            pixels[(SIZE.width * (SIZE.height - 1)) as usize..].iter().take_while(|pixel| **pixel != 0x00ff_ffff).count()
        };
        let (none, short, long) = (tile(""), tile("Алёна"), tile(&"a very long name ".repeat(20)));
        assert!(0 < dark(&none) && dark(&none) < dark(&short) && dark(&short) < 120, "{} {}", dark(&none), dark(&short));
        assert!((SIZE.width as usize - 20..=SIZE.width as usize).contains(&dark(&long)), "{}", dark(&long));
        assert!(short[..(SIZE.width * 150) as usize].iter().all(|pixel| *pixel == 0x00ff_ffff), "the rest is picture");
        let whole = "a name";
        assert_eq!(shortened(&letters, whole, 12, letters.width(whole, 12)), whole);
        let less = shortened(&letters, whole, 12, letters.width(whole, 12) - 1);
        assert!(less.ends_with('…') && whole.starts_with(less.trim_end_matches('…')), "{less}");
        assert_eq!(shortened(&letters, whole, 12, 0), "");
    }

    #[test]
    fn a_tile_of_any_size_takes_its_words() {
        let letters = Letters::new();
        for (width, height) in [(1, 1), (1, 90), (90, 1), (33, 33), (160, 90)] {
            let size = Size { width, height };
            let mut pixels = vec![0x00ff_ffff; (width * height) as usize];
            let picture = Rect { x: width / 3, y: 0, size: Size { width: width - width / 3, height } };
            let label = Label { digit: None, name: "name", picture, notice: Some("no signal 3.2 s") };
            super::label(&letters, label, &mut pixels, size);
            assert!(pixels.iter().any(|pixel| *pixel != 0x00ff_ffff), "{size}");
        }
    }

    #[test]
    fn a_dead_picture_loses_its_colour_and_half_its_light() {
        let mut pixels = [0x00ff_ffff, 0x00ff_0000, 0];
        grey(&mut pixels);
        assert_eq!(pixels, [0x007f_7f7f, 0x0026_2626, 0]);
    }
}
