//! Words over the picture: figures, badges, a passing note, the page of keys.
//!
//! Pure drawing on `0x00RRGGBB` words, cut at every border, in an 8x8 font scaled with the window. The words and the time
//! come from the caller; nothing is kept here but the passing note and when it ends.

use std::time::{Duration, Instant};

use font8x8::{BASIC_FONTS, BLOCK_FONTS, BOX_FONTS, GREEK_FONTS, LATIN_FONTS, UnicodeFonts};

use crate::picture::Size;

const WHITE: u32 = 0x00f2_f2f2;
const GREY: u32 = 0x00b4_b4b4;
const AMBER: u32 = 0x00ff_c24b;
const RED: u32 = 0x00ff_6b5e;
const GLYPH: i64 = 8;

/// What is drawn over the picture.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// Lines at the top left, such as figures; none hides the box.
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
const KEYS: [(&str, &str); 8] = [
    ("q", "quit"),
    ("f, F11", "full screen (or double click)"),
    ("Esc", "leave full screen"),
    ("Space", "freeze the picture"),
    ("m", "mute the sound"),
    ("9  0", "volume down, up"),
    ("i", "figures"),
    ("?, h", "this page"),
];

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
        self.note = Some(Note { text: format!("volume {percent:3} %"), level: Some(percent), until });
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self, now: Instant) -> bool {
        let note = self.note.as_ref().is_some_and(|note| now < note.until);
        self.lines.is_empty() && !(self.help || self.muted || self.frozen || note)
    }

    /// Draws it on a window of `size`; `pixels` holds `size.width * size.height` words.
    pub fn draw(&self, now: Instant, pixels: &mut [u32], size: Size) {
        let mut page = Page::new(pixels, size);
        if !self.lines.is_empty() {
            let lines: Vec<_> = self.lines.iter().map(|line| vec![(WHITE, line.as_str())]).collect();
            page.boxed(&lines, Place::TopLeft, page.scale, 0);
        }
        let badges = [(self.muted, RED, "muted"), (self.frozen, AMBER, "frozen")];
        let badges: Vec<_> = badges.iter().filter(|badge| badge.0).map(|badge| vec![(badge.1, badge.2)]).collect();
        if !badges.is_empty() {
            page.boxed(&badges, Place::TopRight, page.scale, 0);
        }
        if let Some(note) = self.note.as_ref().filter(|note| now < note.until) {
            page.note(note);
        }
        if self.help {
            page.help();
        }
    }
}

/// Writes one sentence into the middle of the window.
pub(super) fn notice(text: &str, pixels: &mut [u32], size: Size) {
    let mut page = Page::new(pixels, size);
    let lines: Vec<_> = text.lines().map(|line| vec![(WHITE, line)]).collect();
    page.boxed(&lines, Place::Middle, page.scale + 1, 0);
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

#[derive(Clone, Copy)]
enum Place {
    TopLeft,
    TopRight,
    Middle,
    Bottom,
}

/// A line is pieces of text in their colours.
type Line<'a> = Vec<(u32, &'a str)>;

struct Page<'a> {
    pixels: &'a mut [u32],
    width: i64,
    height: i64,
    /// Window pixels for a dot of the font.
    scale: i64,
}

impl<'a> Page<'a> {
    fn new(pixels: &'a mut [u32], size: Size) -> Self {
        let (width, height) = (i64::from(size.width), i64::from(size.height));
        // Twice on the windows of a desktop; more where the whole window is read from further away.
        let scale = match height {
            ..240 => 1,
            240..1200 => 2,
            1200..1800 => 3,
            _ => 4,
        };
        Page { pixels, width, height, scale }
    }

    /// A dark box holding `lines` and `more` free pixels below them; says where those begin and how wide they are.
    fn boxed(&mut self, lines: &[Line], place: Place, scale: i64, more: i64) -> (i64, i64, i64) {
        let columns = lines.iter().map(|line| columns(line)).max().unwrap_or(0);
        let rows = lines.len() as i64;
        let outer = |scale: i64| (columns * GLYPH * scale + 10 * scale, rows * (GLYPH + 3) * scale + 5 * scale + more);
        // Smaller letters rather than cut ones.
        let fits = |scale: &i64| outer(*scale).0 <= self.width && outer(*scale).1 <= self.height;
        let scale = (1..=scale).rev().find(fits).unwrap_or(1);
        let (width, height) = outer(scale);
        let margin = 4 * scale;
        let (x, y) = match place {
            Place::TopLeft => (margin, margin),
            Place::TopRight => (self.width - width - margin, margin),
            Place::Middle => ((self.width - width) / 2, (self.height - height) / 2),
            Place::Bottom => ((self.width - width) / 2, self.height - height - 4 * margin),
        };
        self.shade(x, y, width, height);
        let left = x + 5 * scale;
        let mut top = y + 4 * scale;
        for line in lines {
            let mut at = left;
            for (colour, text) in line {
                at = self.text(at, top, scale, *colour, text);
            }
            top += (GLYPH + 3) * scale;
        }
        (left, top - scale, width - 10 * scale)
    }

    fn note(&mut self, note: &Note) {
        let thick = 3 * self.scale;
        let more = if note.level.is_some() { thick + 2 * self.scale } else { 0 };
        let line = vec![(WHITE, note.text.as_str())];
        let (x, y, width) = self.boxed(&[line], Place::Bottom, self.scale, more);
        if let Some(level) = note.level {
            let filled = width * i64::from(level) / 100;
            self.fill(x, y, width, thick, 0x0050_5050);
            self.fill(x, y, filled, thick, WHITE);
        }
    }

    fn help(&mut self) {
        let wide = KEYS.iter().map(|(key, _)| key.len()).max().unwrap_or(0) + 2;
        let keys: Vec<_> = KEYS.iter().map(|(key, does)| (format!("{key:wide$}"), *does)).collect();
        let mut lines: Vec<Line> = vec![vec![(GREY, "Keys")], vec![]];
        lines.extend(keys.iter().map(|(key, does)| vec![(AMBER, key.as_str()), (WHITE, *does)]));
        self.boxed(&lines, Place::Middle, self.scale, 0);
    }

    /// The part of a span that lies within `0..end`.
    fn within(start: i64, length: i64, end: i64) -> std::ops::Range<usize> {
        let (first, last) = (start.clamp(0, end), (start + length).clamp(0, end));
        first as usize..last.max(first) as usize
    }

    fn rows(&mut self, x: i64, y: i64, width: i64, height: i64) -> impl Iterator<Item = &mut [u32]> {
        let columns = Self::within(x, width, self.width);
        let rows = Self::within(y, height, self.height);
        let stride = self.width as usize;
        self.pixels.chunks_exact_mut(stride).take(rows.end).skip(rows.start).map(move |row| &mut row[columns.clone()])
    }

    fn fill(&mut self, x: i64, y: i64, width: i64, height: i64, colour: u32) {
        self.rows(x, y, width, height).for_each(|row| row.fill(colour));
    }

    /// A quarter of the light stays: the picture is still seen, and white letters read on it.
    fn shade(&mut self, x: i64, y: i64, width: i64, height: i64) {
        self.rows(x, y, width, height).flatten().for_each(|pixel| *pixel = *pixel >> 2 & 0x003f_3f3f);
    }

    /// Says where the text ended.
    fn text(&mut self, mut x: i64, y: i64, scale: i64, colour: u32, text: &str) -> i64 {
        for character in text.chars() {
            for (row, dots) in (0..).zip(glyph(character)) {
                for column in (0..GLYPH).filter(|column| dots >> column & 1 == 1) {
                    self.fill(x + column * scale, y + row * scale, scale, scale, colour);
                }
            }
            x += GLYPH * scale;
        }
        x
    }
}

fn columns(line: &Line) -> i64 {
    line.iter().map(|(_, text)| text.chars().count() as i64).sum()
}

/// The eight rows of a character, leftmost dot in the lowest bit; a question mark where the font has none.
fn glyph(character: char) -> [u8; 8] {
    let found = BASIC_FONTS.get(character).or_else(|| LATIN_FONTS.get(character)).or_else(|| GREEK_FONTS.get(character));
    let found = found.or_else(|| BOX_FONTS.get(character)).or_else(|| BLOCK_FONTS.get(character));
    found.or_else(|| BASIC_FONTS.get('?')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 320, height: 200 };

    fn drawn(overlay: &Overlay, now: Instant) -> Vec<u32> {
        let mut pixels = vec![0x00ff_ffff; (SIZE.width * SIZE.height) as usize];
        overlay.draw(now, &mut pixels, SIZE);
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
        // Margin 4, then a box of one letter: 18 wide, 16 high, the letter 5 and 4 into it.
        assert_eq!(at(&pixels, 3, 3), 0x00ff_ffff);
        assert_eq!((at(&pixels, 4, 4), at(&pixels, 21, 19)), (0x003f_3f3f, 0x003f_3f3f));
        assert_eq!((at(&pixels, 22, 19), at(&pixels, 21, 20)), (0x00ff_ffff, 0x00ff_ffff));
        let dots = glyph('I');
        for (row, dots) in (0..8).zip(dots) {
            for column in 0..8 {
                let lit = at(&pixels, 9 + column, 8 + row) == WHITE;
                assert_eq!(lit, dots >> column & 1 == 1, "dot {column},{row}");
            }
        }
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
        assert_eq!((bar(50), bar(100), bar(200)), (48, 96, 96)); // "volume 100 %" is twelve letters of eight dots
    }

    #[test]
    fn words_are_cut_at_every_border_of_a_tiny_window() {
        let now = Instant::now();
        let mut overlay =
            Overlay { lines: vec!["a line far too long".into(); 9], help: true, muted: true, frozen: true, note: None };
        overlay.note_volume(70, now);
        for (width, height) in [(1, 1), (1, 40), (40, 1), (17, 23), (100, 9)] {
            let size = Size { width, height };
            let mut pixels = vec![0x00ff_ffff; (width * height) as usize];
            overlay.draw(now, &mut pixels, size);
            notice("no signal", &mut pixels, size);
            assert!(pixels.iter().any(|pixel| *pixel != 0x00ff_ffff), "{size}");
        }
    }

    #[test]
    fn badges_and_help_show_in_their_places() {
        let now = Instant::now();
        let muted = drawn(&Overlay { muted: true, ..Overlay::default() }, now);
        assert!(muted.contains(&RED) && !muted.contains(&AMBER));
        assert_eq!(at(&muted, SIZE.width - 6, 5), 0x003f_3f3f);
        let help = drawn(&Overlay { help: true, ..Overlay::default() }, now);
        assert!(help.contains(&AMBER) && help.contains(&WHITE));
        assert_eq!((at(&help, SIZE.width / 2, SIZE.height / 2) == 0x00ff_ffff, at(&help, 2, 2)), (false, 0x00ff_ffff));
    }

    #[test]
    fn every_key_of_the_window_is_on_the_page_of_keys_and_can_be_drawn() {
        let page: String = KEYS.iter().map(|(key, _)| *key).collect();
        for key in ["q", "f", "F11", "Esc", "Space", "m", "9", "0", "i", "?", "h"] {
            assert!(page.contains(key), "{key}");
        }
        let unknown = glyph('\u{1f600}');
        assert_eq!(unknown, glyph('?'));
        assert_ne!(glyph('é'), unknown);
    }

    #[test]
    fn a_dead_picture_loses_its_colour_and_half_its_light() {
        let mut pixels = [0x00ff_ffff, 0x00ff_0000, 0];
        grey(&mut pixels);
        assert_eq!(pixels, [0x007f_7f7f, 0x0026_2626, 0]);
    }
}
