//! Where words stand in a window: whole, in its border, and no box over another.
//!
//! Letters are as large as the window's height makes them comfortable, and become smaller, words fewer, lines broken, before
//! anything is cut or hidden. Only a window smaller than the least of all this cuts words off. Pure arithmetic, in window pixels.

use eyeline_proto::picture::Size;

/// Dots of a letter, across and down.
pub(super) const GLYPH: i64 = 8;

/// A line is pieces of text in their colours.
pub(super) type Line<'a> = Vec<(u32, &'a str)>;

/// Where a box would like to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    TopLeft,
    Top,
    TopRight,
    Middle,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
}

/// What is to be said in one box.
#[derive(Debug, Clone)]
pub(super) struct Block<'a> {
    pub lines: Vec<Line<'a>>,
    /// The same in fewer words, where `lines` have no room.
    pub short: Option<Vec<Line<'a>>>,
    /// A size larger than the rest where there is room.
    pub larger: bool,
    /// A bar below the words, filled to so many percent.
    pub bar: Option<u8>,
    /// From the most to the least wanted; not empty.
    pub places: &'static [Place],
}

impl<'a> Block<'a> {
    pub(super) fn new(lines: Vec<Line<'a>>, places: &'static [Place]) -> Self {
        Block { lines, short: None, larger: false, bar: None, places }
    }
}

/// A part of the window; may stick out of it where that is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub x: i64,
    pub y: i64,
    pub width: i64,
    pub height: i64,
}

/// How large and how far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// Window pixels for a dot of the font.
    pub scale: i64,
    /// From the box's left edge to its letters, in pixels; as much to the right of them.
    pub side: i64,
    /// From the box's upper edge to its letters.
    pub top: i64,
    /// From one line to the next.
    pub pitch: i64,
    /// Between boxes, and to the border.
    margin: i64,
}

impl Style {
    fn roomy(scale: i64) -> Style {
        Style { scale, side: 5 * scale, top: 4 * scale, pitch: (GLYPH + 3) * scale, margin: 4 * scale }
    }

    /// The least that can be read.
    const TIGHT: Style = Style { scale: 1, side: 1, top: 1, pitch: GLYPH + 1, margin: 0 };

    /// Pixels that a bar takes below the words, the gap before it with it.
    fn bar(self) -> i64 {
        5 * self.scale
    }

    fn size(self, lines: &[Line], bar: bool) -> (i64, i64) {
        let columns = lines.iter().map(columns).max().unwrap_or(0);
        let more = if bar { self.bar() } else { 0 };
        (columns * GLYPH * self.scale + 2 * self.side, lines.len() as i64 * self.pitch + self.top + self.scale + more)
    }
}

/// A box with its words.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a> {
    pub area: Area,
    pub style: Style,
    pub lines: Vec<Line<'a>>,
    pub bar: Option<u8>,
}

/// See the module text.
pub(super) struct Layout {
    width: i64,
    height: i64,
    taken: Vec<Area>,
}

impl Layout {
    pub(super) fn new(size: Size) -> Layout {
        Layout { width: i64::from(size.width), height: i64::from(size.height), taken: Vec::new() }
    }

    /// From the most comfortable to the least that can be read.
    fn styles(&self) -> impl Iterator<Item = Style> + use<> {
        // Twice on the windows of a desktop; more where the whole window is read from further away.
        let scale = match self.height {
            ..240 => 1,
            240..1200 => 2,
            1200..1800 => 3,
            _ => 4,
        };
        (1..=scale).rev().map(Style::roomy).chain([Style::TIGHT])
    }

    /// Places as many of the blocks as have room together, the first rather than the last, all in one style; the first of them
    /// stands even where it is cut.
    pub(super) fn arrange<'a>(&mut self, blocks: &[Block<'a>]) -> Vec<Placed<'a>> {
        for count in (1..=blocks.len()).rev() {
            for style in self.styles() {
                let mut placed = Vec::new();
                if self.arrange_in(style, &blocks[..count], &mut placed) {
                    self.taken.extend(placed.iter().map(|placed| placed.area));
                    return placed;
                }
            }
        }
        blocks.first().map(|block| self.force(block)).into_iter().collect()
    }

    fn arrange_in<'a>(&self, style: Style, blocks: &[Block<'a>], placed: &mut Vec<Placed<'a>>) -> bool {
        let Some((block, others)) = blocks.split_first() else { return true };
        for candidate in self.candidates(style, block) {
            if placed.iter().any(|placed| touch(placed.area, candidate.area, style.margin)) {
                continue;
            }
            placed.push(candidate);
            if self.arrange_in(style, others, placed) {
                return true;
            }
            placed.pop();
        }
        false
    }

    /// One more where there is room beside what stands already.
    pub(super) fn add<'a>(&mut self, block: &Block<'a>) -> Option<Placed<'a>> {
        let placed = self.styles().find_map(|style| self.candidates(style, block).into_iter().next())?;
        self.taken.push(placed.area);
        Some(placed)
    }

    /// Where it would like to stand, whatever stands there or sticks out of the window.
    pub(super) fn force<'a>(&self, block: &Block<'a>) -> Placed<'a> {
        let style = Style::TIGHT;
        let lines = block.short.as_ref().unwrap_or(&block.lines).clone();
        let (width, height) = style.size(&lines, block.bar.is_some());
        let area = self.area(block.places[0], style, width.min(self.width), height.min(self.height));
        Placed { area: Area { width, height, ..area }, style, lines, bar: block.bar }
    }

    /// All the ways a block stands whole in the window in this style, free of what stands already, from the most wanted on.
    fn candidates<'a>(&self, style: Style, block: &Block<'a>) -> Vec<Placed<'a>> {
        let larger = (block.larger && style.margin > 0).then(|| Style::roomy(style.scale + 1));
        let mut candidates = Vec::new();
        for style in larger.into_iter().chain([style]) {
            let columns = (self.width - 2 * (style.margin + style.side)) / (GLYPH * style.scale);
            let broken = || block.lines.iter().flat_map(|line| broken(line, columns.max(1) as usize)).collect();
            // Figures and pages are rather made smaller than broken, a sentence is not, and a word or a command only as a last resort.
            let words = || block.lines.iter().flatten().flat_map(|(_, text)| words(text));
            let breaks = style.scale == 1 || (block.larger && words().all(|word| word.chars().count() as i64 <= columns));
            for lines in [Some(block.lines.clone()), block.short.clone(), breaks.then(broken)].into_iter().flatten() {
                let (width, height) = style.size(&lines, block.bar.is_some());
                if width + 2 * style.margin > self.width || height + 2 * style.margin > self.height {
                    continue;
                }
                // The picture is still to be seen: smaller letters, or fewer words, before more than half of it is covered.
                if !block.larger && style.margin > 0 && 2 * width * height > self.width * self.height {
                    continue;
                }
                let areas = block.places.iter().map(|place| self.area(*place, style, width, height));
                let free = areas.filter(|area| !self.taken.iter().any(|taken| touch(*taken, *area, style.margin)));
                candidates.extend(free.map(|area| Placed { area, style, lines: lines.clone(), bar: block.bar }));
            }
        }
        candidates
    }

    fn area(&self, place: Place, style: Style, width: i64, height: i64) -> Area {
        let margin = style.margin;
        let (right, bottom) = (self.width - width - margin, self.height - height - margin);
        let (across, down) = ((self.width - width) / 2, (self.height - height) / 2);
        // Off the lower border, where a desktop's panel may be, as far as there is room.
        let low = (bottom - 3 * margin).max(margin.min(bottom));
        let (x, y) = match place {
            Place::TopLeft => (margin, margin),
            Place::Top => (across, margin),
            Place::TopRight => (right, margin),
            Place::Middle => (across, down),
            Place::Right => (right, down),
            Place::BottomLeft => (margin, bottom),
            Place::Bottom => (across, low),
            Place::BottomRight => (right, bottom),
        };
        Area { x, y, width, height }
    }
}

fn touch(a: Area, b: Area, apart: i64) -> bool {
    let meet =
        |start: i64, length: i64, other: i64, others: i64| start < other + others + apart && other < start + length + apart;
    meet(a.x, a.width, b.x, b.width) && meet(a.y, a.height, b.y, b.height)
}

fn columns(line: &Line) -> i64 {
    line.iter().map(|(_, text)| text.chars().count() as i64).sum()
}

/// Words of a text; a command in backticks is one, for it is typed as it stands.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.split(move |letter| {
        inside ^= letter == '`';
        letter == ' ' && !inside
    })
}

/// A line of one colour in lines no longer than `columns`, broken between parts (two spaces), else words, else in a command, else
/// anywhere.
fn broken<'a>(line: &Line<'a>, columns: usize) -> Vec<Line<'a>> {
    let [(colour, text)] = line[..] else { return vec![line.clone()] };
    let (mut rest, mut lines) = (text, Vec::new());
    while let Some((limit, _)) = rest.char_indices().nth(columns) {
        let (fits, next) = rest.split_at(limit);
        let parts = || fits.rfind("  ").filter(|at| *at > 0);
        // The last end of a word that fits; all of them lie at a space.
        let ends = words(rest).scan(0, |end, word| {
            let at = *end + word.len();
            *end = at + 1;
            Some(at)
        });
        let word = ends.take_while(|at| *at <= limit).filter(|at| *at > 0).last();
        let space = || if next.starts_with(' ') { Some(limit) } else { fits.rfind(' ').filter(|at| *at > 0) };
        let at = parts().or(word).or_else(space).unwrap_or(limit);
        lines.push(vec![(colour, rest[..at].trim_end())]);
        rest = rest[at..].trim_start();
    }
    lines.push(vec![(colour, rest)]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &[&'static str], places: &'static [Place]) -> Block<'static> {
        Block::new(lines.iter().map(|line| vec![(0, *line)]).collect(), places)
    }

    fn figures() -> Block<'static> {
        let lines = [
            "1280x720  30 pictures/s  12.3 Mbit/s",
            "loss 0 packets/s  0 partial  0 lost",
            "latency p50 12.3 ms  p95 14.5 ms",
            "sound 3.2 ms early",
            "round trip 0.2 ms",
        ];
        block(&lines, &[Place::TopLeft, Place::BottomLeft])
    }

    fn keys() -> Block<'static> {
        let line = "f, F11  full screen (or double click)";
        let short = Some(vec![vec![(0, "f     full screen")]; 8]);
        Block { short, ..block(&[line; 10], &[Place::Middle, Place::Right, Place::Bottom]) }
    }

    fn texts(placed: &Placed) -> Vec<String> {
        placed.lines.iter().map(|line| line.iter().map(|(_, text)| *text).collect()).collect()
    }

    fn inside(area: Area, size: Size) -> bool {
        let (width, height) = (i64::from(size.width), i64::from(size.height));
        area.x >= 0 && area.y >= 0 && area.x + area.width <= width && area.y + area.height <= height
    }

    const SIZES: [(u32, u32); 9] =
        [(160, 120), (1240, 300), (300, 1240), (320, 240), (640, 480), (700, 240), (1280, 720), (1920, 1080), (3840, 2160)];

    #[test]
    fn at_every_size_words_stand_whole_in_the_window_and_beside_each_other() {
        let notice =
            || Block { larger: true, ..block(&["no signal 3.2 s", "dialling robot.local:9688"], &[Place::Middle, Place::Top]) };
        let badges = || block(&["muted", "frozen"], &[Place::TopRight, Place::BottomRight, Place::BottomLeft]);
        for (width, height) in SIZES {
            let size = Size { width, height };
            for wanted in
                [vec![keys()], vec![figures()], vec![notice()], vec![keys(), figures()], vec![keys(), notice(), figures()]]
            {
                let mut layout = Layout::new(size);
                let mut placed = layout.arrange(&wanted);
                assert!(!placed.is_empty(), "{size}");
                placed.extend(layout.add(&badges()));
                placed.extend(layout.add(&block(&["volume 100 %"], &[Place::Bottom, Place::Top])));
                for (at, one) in placed.iter().enumerate() {
                    assert!(inside(one.area, size), "{size}: {one:?}");
                    assert!(!placed[at + 1..].iter().any(|other| touch(one.area, other.area, 0)), "{size}: {placed:?}");
                }
            }
        }
    }

    #[test]
    fn on_a_wide_low_window_the_page_of_keys_stands_beside_the_figures_in_large_letters() {
        for (width, rows) in [(1240, 10), (1000, 8)] {
            let placed = Layout::new(Size { width, height: 300 }).arrange(&[keys(), figures()]);
            assert_eq!(placed.iter().map(|placed| placed.style.scale).collect::<Vec<_>>(), [2, 2]);
            assert_eq!(texts(&placed[0]).len(), rows, "in few words where there is less room");
        }
    }

    #[test]
    fn on_a_tiny_window_figures_are_broken_between_their_parts_and_make_room_for_the_keys() {
        let size = Size { width: 160, height: 120 };
        let alone = Layout::new(size).arrange(&[figures()]);
        assert_eq!(texts(&alone[0])[..4], ["1280x720", "30 pictures/s", "12.3 Mbit/s", "loss 0 packets/s"]);
        let both = Layout::new(size).arrange(&[keys(), figures()]);
        assert_eq!(both.iter().map(|placed| texts(placed).len()).collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn no_page_covers_more_than_half_of_the_picture_where_smaller_letters_do() {
        for (width, height) in [(320, 240), (640, 480), (700, 240), (1280, 720), (1920, 1080)] {
            for block in [keys(), figures()] {
                let Area { width: across, height: down, .. } = Layout::new(Size { width, height }).arrange(&[block])[0].area;
                assert!(2 * across * down <= i64::from(width * height), "{width}x{height}: {across}x{down}");
            }
        }
        let tiny = &Layout::new(Size { width: 160, height: 120 }).arrange(&[keys()])[0];
        assert_eq!((texts(tiny).len(), tiny.style), (8, Style::TIGHT));
    }

    #[test]
    fn a_command_is_rather_made_smaller_than_broken() {
        let waiting = "waiting on port 25001: run `send --host 192.168.1.17:25001`";
        let sentence = || Block { larger: true, ..block(&[waiting], &[Place::Middle]) };
        for (width, height) in [(320, 240), (640, 480), (1280, 720)] {
            let placed = &Layout::new(Size { width, height }).arrange(&[sentence()])[0];
            assert!(texts(placed).iter().any(|line| line.contains("`send --host 192.168.1.17:25001`")), "{:?}", texts(placed));
        }
    }

    #[test]
    fn lines_are_broken_between_parts_then_words_then_anywhere() {
        let rows =
            |text: &'static str, columns| broken(&vec![(7, text)], columns).into_iter().map(|line| line[0].1).collect::<Vec<_>>();
        assert_eq!(rows("a line", 6), ["a line"]);
        assert_eq!(rows("one two  three four", 10), ["one two", "three four"]);
        assert_eq!(rows("waiting for it", 7), ["waiting", "for it"]);
        assert_eq!(rows("überlanges", 4), ["über", "lang", "es"]);
        let waiting = "waiting on port 9688: run `send --host 192.168.1.17`";
        assert_eq!(
            rows(waiting, 30),
            ["waiting on port 9688: run", "`send --host 192.168.1.17`"],
            "a command is typed as it stands"
        );
        assert_eq!(rows(waiting, 19), ["waiting on port", "9688: run", "`send --host", "192.168.1.17`"]);
    }

    #[test]
    fn a_sentence_is_larger_than_the_rest_and_broken_before_it_is_cut() {
        let sentence = || Block { larger: true, ..block(&["dialling robot.local:9688: nobody answers yet"], &[Place::Middle]) };
        let scale = |width, height| Layout::new(Size { width, height }).arrange(&[sentence()])[0].style.scale;
        assert_eq!([scale(1920, 1080), scale(1280, 720), scale(640, 480), scale(160, 120)], [3, 3, 3, 1]);
    }
}
