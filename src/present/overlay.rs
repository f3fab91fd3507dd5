//! Words over the picture: figures, badges, a passing note, the page of keys, a notice in the middle, what others write.
//!
//! What is said is chosen here, where it stands in `layout.rs` and `chat.rs`, how it is drawn in `page.rs`. The words and the
//! time come from the caller; nothing is kept here but what passes, and when that ends.

mod chat;
mod help;
mod label;
mod layout;
mod page;
mod symbol;

use std::time::{Duration, Instant};

use super::bindings::Bindings;
use super::letters::Letters;
use super::scale::Rect;
use super::typing::Line as TypedLine;
use chat::Said;
use eyeline_proto::picture::Size;
use layout::{Area, Layout, Line, Paragraph, Place};
use page::Page;

pub(super) use label::{Label, label};
pub use symbol::Symbol;

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
    /// Shows that no sound of others is heard.
    pub muted: bool,
    /// Shows that one's own microphone is muted.
    pub microphone_muted: bool,
    /// Shows that one's own camera is closed.
    pub camera_closed: bool,
    /// Shows the badge "frozen".
    pub frozen: bool,
    /// Shows that a film stands still.
    pub paused: bool,
    /// Shows that it is recorded, with these words.
    pub recording: Option<String>,
    /// Shows that somebody calls: who, and which keys answer.
    pub ringing: Vec<String>,
    /// Where this is found in a browser.
    pub symbol: Option<Symbol>,
    /// Whether that is shown.
    pub shows_symbol: bool,
    note: Option<Note>,
    said: Said,
}

#[derive(Debug, Clone)]
struct Note {
    text: String,
    level: Option<u8>,
    until: Instant,
}

/// Said below a notice of a window without a picture.
const HINT: &str = "? keys, q quit";

/// Sentences in the middle of the window; lines as the text has them, two spaces part what stands in columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notice<'a> {
    pub text: &'a str,
    /// Also says which keys help.
    pub hint: bool,
}

/// What is drawn beside an overlay's own words.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    pub notice: Option<Notice<'a>>,
    pub bindings: Bindings,
    /// What is being typed.
    pub line: Option<&'a TypedLine>,
    /// Where no words stand: what is there is to be seen.
    pub covered: Option<Rect>,
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
        self.note_level("volume", percent, now);
    }

    /// As [`Overlay::note_volume`], of one sender.
    pub fn note_volume_of(&mut self, name: &str, percent: u8, now: Instant) {
        self.note_level(&format!("{name}: volume"), percent, now);
    }

    /// Shows where a film is, with a bar filled to `percent`.
    pub fn note_place(&mut self, place: impl Into<String>, percent: u8, now: Instant) {
        self.note = Some(Note { text: place.into(), level: Some(percent.min(100)), until: now + Self::NOTE });
    }

    fn note_level(&mut self, what: &str, percent: u8, now: Instant) {
        let (percent, until) = (percent.min(100), now + Self::NOTE);
        let figures = format!("{percent:3}").replace(' ', "\u{2007}");
        self.note = Some(Note { text: format!("{what} {figures} %"), level: Some(percent), until });
    }

    /// Shows what somebody wrote for [`Said::SHOWN`]; both are printable.
    pub fn said(&mut self, name: &str, text: &str, now: Instant) {
        self.said.push(name, text, now);
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self, now: Instant) -> bool {
        let note = self.note.as_ref().is_some_and(|note| now < note.until);
        let boxes = self.lines.is_empty() && self.ringing.is_empty() && !self.help && !self.shows_symbol;
        boxes && !note && self.badges(Bindings::Watch).is_empty() && self.said.is_over(now)
    }

    fn badges(&self, bindings: Bindings) -> Vec<Line<'_>> {
        let calls = bindings == Bindings::Call;
        let badges = [
            (self.microphone_muted, RED, "microphone muted"),
            (self.muted, RED, if calls { "others muted" } else { "muted" }),
            (self.camera_closed, RED, "camera closed"),
            (self.frozen, AMBER, "frozen"),
            (self.paused, AMBER, "paused"),
        ];
        let badges = badges.into_iter().filter(|badge| badge.0).map(|badge| vec![(badge.1, badge.2)]);
        self.recording.as_deref().map(|lasts| vec![(RED, lasts)]).into_iter().chain(badges).collect()
    }

    /// Draws it, and what stands beside it, on a window of `size`; `pixels` holds `size.width * size.height` words.
    pub(super) fn draw(&self, letters: &Letters, now: Instant, beside: Beside<'_>, pixels: &mut [u32], size: Size) {
        let mut page = Page::new(letters, pixels, size);
        let mut layout = Layout::new(letters, size);
        if let Some(Rect { x, y, size }) = beside.covered {
            let [x, y, width, height] = [x, y, size.width, size.height].map(i64::from);
            layout.take(Area { x, y, width, height });
        }
        for area in self.said.draw(letters, now, beside, &mut page, size) {
            layout.take(area);
        }
        // In the order of what is hidden last where there is no room for all.
        let help = self.help.then(|| help::page(beside.bindings));
        let notice = beside.notice.map(|notice| Notice { hint: notice.hint && !self.help, ..notice }.paragraph(&layout));
        let figures = (!self.lines.is_empty()).then(|| {
            let lines = self.lines.iter().map(|line| line.split("  ").map(|piece| (WHITE, piece)).collect());
            Paragraph::new(lines.collect(), &[Place::TopLeft, Place::BottomLeft])
        });
        let paragraphs: Vec<_> = help.into_iter().chain(notice).chain(figures).collect();
        for placed in layout.arrange(&paragraphs) {
            page.boxed(&placed);
        }
        if !self.ringing.is_empty() {
            let lines = self.ringing.iter().map(|line| vec![(AMBER, line.as_str())]).collect();
            let paragraph = Paragraph { larger: true, ..Paragraph::new(lines, &[Place::Top, Place::Bottom, Place::Middle]) };
            // Somebody waits for it: rather over the others than not at all.
            page.boxed(&layout.add(&paragraph).unwrap_or_else(|| Layout::new(letters, size).force(&paragraph)));
        }
        let badges = self.badges(beside.bindings);
        if !badges.is_empty() {
            const CORNERS: [Place; 4] = [Place::TopRight, Place::BottomRight, Place::BottomLeft, Place::TopLeft];
            layout.add(&Paragraph::new(badges, &CORNERS)).inspect(|placed| page.boxed(placed));
        }
        if let Some(symbol) = self.symbol.as_ref().filter(|_| self.shows_symbol) {
            // Whoever wants it has a phone in front of the window.
            symbol.draw(&mut page, size);
        }
        if let Some(note) = self.note.as_ref().filter(|note| now < note.until) {
            let line = vec![(WHITE, note.text.as_str())];
            let paragraph =
                Paragraph { bar: note.level, ..Paragraph::new(vec![line], &[Place::Bottom, Place::Top, Place::BottomRight]) };
            // It passes: rather over the others than not at all.
            page.boxed(&layout.add(&paragraph).unwrap_or_else(|| Layout::new(letters, size).force(&paragraph)));
        }
    }
}

impl<'a> Notice<'a> {
    /// All of it, or where that has no room in whatever letters, what matters most.
    fn paragraph(self, layout: &Layout) -> Paragraph<'a> {
        let with =
            |lines: Vec<_>| Paragraph { larger: true, ..Paragraph::new(lines, &[Place::Middle, Place::Bottom, Place::Top]) };
        let hint = if self.hint { vec![vec![], vec![(GREY, HINT)]] } else { vec![] };
        let all = with(self.text.lines().map(noted).chain(hint.clone()).collect());
        if layout.has_room(&all) {
            return all;
        }
        // Its sentences, and the first of what stands in columns, one below the other.
        let (sentences, columns): (Vec<_>, Vec<_>) = self.text.lines().map(noted).partition(|line| line.len() == 1);
        let first = columns.into_iter().next().into_iter().flatten().map(|piece| vec![piece]);
        let lines = sentences.into_iter().chain(first).chain(hint);
        with(lines.filter(|line| line.iter().any(|(_, text)| !text.is_empty())).collect())
    }
}

/// A line of a notice: where it stands in columns, the first says what the others are of.
fn noted(line: &str) -> Line<'_> {
    match line.split_once("  ") {
        Some((what, said)) => [(GREY, what)].into_iter().chain(said.split("  ").map(|piece| (WHITE, piece))).collect(),
        None => vec![(WHITE, line)],
    }
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
        overlay.draw(&Letters::new(1.0), now, Beside::default(), &mut pixels, SIZE);
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
    fn how_others_reach_this_machine_stands_whole_in_a_window_and_in_a_small_one_what_is_to_be_run() {
        let welcome = |host: &str| {
            let lines = [
                "Nobody watches yet.".to_string(),
                String::new(),
                format!("on the other machine:  recv\u{a0}--host\u{a0}{host}"),
                "or:  recv\u{a0}--host\u{a0}fdd7:12ab:34cd:0:d1c3:2b4a:5e6f:7a8b".to_string(),
                "port:  9688, UDP and TCP".to_string(),
                "who may join:  anybody of a private network; --key asks for a key".to_string(),
            ];
            lines.join("\n")
        };
        let letters = Letters::new(1.0);
        let placed = |text: &str, (width, height)| {
            let size = Size { width, height };
            let mut layout = Layout::new(&letters, size);
            let paragraph = Notice { text, hint: true }.paragraph(&layout);
            let placed = layout.arrange(&[paragraph]).remove(0);
            let Area { x, y, width: across, height: down } = placed.area;
            let is_whole = x >= 0 && y >= 0 && x + across <= i64::from(width) && y + down <= i64::from(height);
            assert!(is_whole, "{size}: {placed:?}");
            let lines = placed.lines.iter().map(|line| line.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(" "));
            lines.collect::<Vec<_>>()
        };
        let (short, long) =
            (welcome("192.168.178.117:25001"), welcome("[fdd7:12ab:34cd:0:d1c3:2b4a:5e6f:7a8b]:25001\u{a0}--key\u{a0}…"));
        for (text, size) in [(&short, (360, 240)), (&short, (1280, 720)), (&long, (640, 360))] {
            assert_eq!(placed(text, size).len(), 8, "{size:?}: all of it");
        }
        let small = ["Nobody watches yet.", "on the other machine:", "recv\u{a0}--host\u{a0}192.168.178.117:25001", HINT];
        assert_eq!([(200, 120), (240, 100)].map(|size| placed(&short, size)), [small; 2]);
        let long = placed(&long, (200, 120)).concat().replace(['\u{a0}', ' '], "");
        assert!(long.contains("recv--host[fdd7:12ab:34cd:0:d1c3:2b4a:5e6f:7a8b]:25001--key…"), "{long}");
    }

    #[test]
    fn words_are_cut_at_every_border_of_a_tiny_window() {
        let now = Instant::now();
        let mut overlay =
            Overlay { lines: vec!["a line far too long".into(); 9], help: true, muted: true, frozen: true, ..Overlay::default() };
        overlay.said("somebody", "words that are far too long", now);
        overlay.note_volume(70, now);
        let letters = Letters::new(1.0);
        for (width, height) in [(1, 1), (1, 40), (40, 1), (17, 23), (100, 9)] {
            let size = Size { width, height };
            let mut pixels = vec![0x00ff_ffff; (width * height) as usize];
            let notice = Some(Notice { text: "no signal", hint: true });
            let covered = Some(Rect { x: width / 2, y: height / 2, size: Size { width: width / 2, height: height / 2 } });
            overlay.draw(&letters, now, Beside { notice, covered, ..Beside::default() }, &mut pixels, size);
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
    fn a_dead_picture_loses_its_colour_and_half_its_light() {
        let mut pixels = [0x00ff_ffff, 0x00ff_0000, 0];
        grey(&mut pixels);
        assert_eq!(pixels, [0x007f_7f7f, 0x0026_2626, 0]);
    }
}
