//! Where words stand in a window: whole, in its border, and no box over another.
//!
//! Letters are as large as the window's height makes them comfortable, and become smaller, words fewer, lines broken, before
//! anything is cut or hidden. Only a window smaller than the least of all this cuts words off. The pieces of a line stand in columns, one
//! below the other. Pure arithmetic, in window pixels, but for the widths of words, which `letters.rs` knows.

use super::super::letters::Letters;
use eyeline_proto::picture::Size;

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
    /// Pixels of a line of letters without a gap to the next.
    pub em: i64,
    /// From the box's left edge to its letters; as much to the right of them.
    pub side: i64,
    /// From the box's upper edge to its letters; as much below them.
    pub top: i64,
    /// Between boxes, and to the border.
    margin: i64,
}

/// Letters are not made smaller than this to keep lines and gaps.
const SMALL: i64 = 12;

impl Style {
    pub(super) fn roomy(em: i64) -> Style {
        Style { em, side: em / 2, top: em / 4, margin: em / 2 }
    }

    /// The least that can be read.
    const TIGHT: Style = Style { em: 9, side: 2, top: 1, margin: 0 };

    /// From one line to the next.
    pub(super) fn pitch(self) -> i64 {
        Letters::pitch(self.em)
    }

    /// Pixels that a bar takes below the words, the gap before it with it.
    fn bar(self) -> i64 {
        self.em / 2
    }
}

/// Where the pieces of each line begin, from the left of the first, and how wide all of it is: a piece stands right of the widest one
/// that any line has in the column before, but for those that end a line.
fn columns(letters: &Letters, em: i64, lines: &[Line]) -> (Vec<i64>, i64) {
    let mut begins = vec![0];
    let gap = em * 3 / 4;
    for column in 1..lines.iter().map(Vec::len).max().unwrap_or(0) {
        let before = lines.iter().filter(|line| line.len() > column).map(|line| letters.width(line[column - 1].1, em));
        begins.push(begins[column - 1] + before.max().unwrap_or(0) + gap);
    }
    let ends = lines.iter().filter_map(|line| line.last().map(|(_, text)| begins[line.len() - 1] + letters.width(text, em)));
    let width = ends.max().unwrap_or(0);
    (begins, width)
}

/// A box with its words.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a> {
    pub area: Area,
    pub style: Style,
    pub lines: Vec<Line<'a>>,
    /// Where each piece of a line begins, from the first.
    pub columns: Vec<i64>,
    pub bar: Option<u8>,
}

/// See the module text.
pub(super) struct Layout<'l> {
    letters: &'l Letters,
    width: i64,
    height: i64,
    taken: Vec<Area>,
}

impl<'l> Layout<'l> {
    pub(super) fn new(letters: &'l Letters, size: Size) -> Layout<'l> {
        Layout { letters, width: i64::from(size.width), height: i64::from(size.height), taken: Vec::new() }
    }

    /// From the most comfortable to the least that can be read.
    fn styles(&self) -> impl Iterator<Item = Style> + use<> {
        // A little more than a fiftieth of a large window's height, and what can be read on a small one.
        let comfortable = (self.height / 45 + 5).clamp(Style::TIGHT.em, 96);
        let smaller = |em: &i64| Some(em * 7 / 8).filter(|em| *em > Style::TIGHT.em);
        std::iter::successors(Some(comfortable), smaller).map(Style::roomy).chain([Style::TIGHT])
    }

    /// Places as many of the blocks as have room together, the first rather than the last, all in one style; the first of them
    /// stands even where it is cut.
    pub(super) fn arrange<'a>(&mut self, blocks: &[Block<'a>]) -> Vec<Placed<'a>> {
        // Made when first asked for, and once.
        let mut styles: Vec<(Style, Vec<Vec<Placed<'a>>>)> = self.styles().map(|style| (style, Vec::new())).collect();
        for count in (1..=blocks.len()).rev() {
            for (style, ways) in &mut styles {
                ways.extend(blocks[ways.len()..].iter().map(|block| self.candidates(*style, block)));
                let mut placed = Vec::new();
                if arrange_in(*style, &ways[..count], &mut placed) {
                    self.taken.extend(placed.iter().map(|placed| placed.area));
                    return placed;
                }
            }
        }
        blocks.first().map(|block| self.force(block)).into_iter().collect()
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
        let (columns, width, height) = self.size(style, &lines, block.bar.is_some());
        let area = self.area(block.places[0], style, width.min(self.width), height.min(self.height));
        Placed { area: Area { width, height, ..area }, style, lines, columns, bar: block.bar }
    }

    /// Where columns begin, and how wide and high the box is.
    fn size(&self, style: Style, lines: &[Line], bar: bool) -> (Vec<i64>, i64, i64) {
        let (begins, width) = columns(self.letters, style.em, lines);
        let more = if bar { style.bar() } else { 0 };
        (begins, width + 2 * style.side, lines.len() as i64 * style.pitch() + 2 * style.top + more)
    }

    /// All the ways a block stands whole in the window in this style, free of what stands already, from the most wanted on.
    fn candidates<'a>(&self, style: Style, block: &Block<'a>) -> Vec<Placed<'a>> {
        let larger = (block.larger && style.margin > 0).then(|| Style::roomy(style.em * 3 / 2));
        let mut candidates = Vec::new();
        for style in larger.into_iter().chain([style]) {
            let room = (self.width - 2 * (style.margin + style.side)).max(1);
            let wide = |text: &str| self.letters.width(text, style.em);
            let broken = || block.lines.iter().flat_map(|line| broken(line, room, &wide)).collect();
            // Figures and pages are rather made smaller than broken, a sentence is not, and a word or a command only as a last resort.
            let words = || block.lines.iter().flatten().flat_map(|(_, text)| words(text));
            let breaks = style.em <= SMALL || (block.larger && words().all(|word| wide(word) <= room));
            for lines in [Some(block.lines.clone()), block.short.clone(), breaks.then(broken)].into_iter().flatten() {
                let (columns, width, height) = self.size(style, &lines, block.bar.is_some());
                if width + 2 * style.margin > self.width || height + 2 * style.margin > self.height {
                    continue;
                }
                // The picture is still to be seen: smaller letters, or fewer words, before more than half of it is covered.
                if !block.larger && style.margin > 0 && 2 * width * height > self.width * self.height {
                    continue;
                }
                let areas = block.places.iter().map(|place| self.area(*place, style, width, height));
                let free = areas.filter(|area| !self.taken.iter().any(|taken| touch(*taken, *area, style.margin)));
                let (bar, placed) = (block.bar, |area| (area, lines.clone(), columns.clone()));
                candidates.extend(free.map(placed).map(|(area, lines, columns)| Placed { area, style, lines, columns, bar }));
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

/// One of the ways of each block, so that none touches another.
fn arrange_in<'a>(style: Style, ways: &[Vec<Placed<'a>>], placed: &mut Vec<Placed<'a>>) -> bool {
    let Some((block, others)) = ways.split_first() else { return true };
    for candidate in block {
        if placed.iter().any(|placed| touch(placed.area, candidate.area, style.margin)) {
            continue;
        }
        placed.push(candidate.clone());
        if arrange_in(style, others, placed) {
            return true;
        }
        placed.pop();
    }
    false
}

fn touch(a: Area, b: Area, apart: i64) -> bool {
    let meet =
        |start: i64, length: i64, other: i64, others: i64| start < other + others + apart && other < start + length + apart;
    meet(a.x, a.width, b.x, b.width) && meet(a.y, a.height, b.y, b.height)
}

/// Words of a text; a command in backticks is one, for it is typed as it stands.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.split(move |letter| {
        inside ^= letter == '`';
        letter == ' ' && !inside
    })
}

/// A line in lines no wider than `room`, as `width` says: each piece by itself, and that broken between words, else in a command, else
/// anywhere. Pieces of several colours belong together.
fn broken<'a>(line: &Line<'a>, room: i64, width: &impl Fn(&str) -> i64) -> Vec<Line<'a>> {
    let Some((colour, _)) = line.first().copied() else { return vec![line.clone()] };
    if line.iter().any(|piece| piece.0 != colour) {
        return vec![line.clone()];
    }
    let pieces = line.iter().flat_map(|(_, text)| broken_text(text, room, width));
    pieces.map(|text| vec![(colour, text)]).collect()
}

fn broken_text<'a>(text: &'a str, room: i64, width: &impl Fn(&str) -> i64) -> Vec<&'a str> {
    let (mut rest, mut lines) = (text, Vec::new());
    while width(rest) > room {
        let ends: Vec<usize> = rest.char_indices().map(|(at, letter)| at + letter.len_utf8()).collect();
        // A letter at least, or it would never end.
        let limit = ends[ends.partition_point(|end| width(&rest[..*end]) <= room).saturating_sub(1)];
        let (fits, next) = rest.split_at(limit);
        // The last end of a word that fits; all of them lie at a space.
        let ends = words(rest).scan(0, |end, word| {
            let at = *end + word.len();
            *end = at + 1;
            Some(at)
        });
        let word = ends.take_while(|at| *at <= limit).filter(|at| *at > 0).last();
        let space = || if next.starts_with(' ') { Some(limit) } else { fits.rfind(' ').filter(|at| *at > 0) };
        let at = word.or_else(space).unwrap_or(limit);
        lines.push(rest[..at].trim_end());
        rest = rest[at..].trim_start();
        if rest.is_empty() {
            return lines;
        }
    }
    lines.push(rest);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &[&'static str], places: &'static [Place]) -> Block<'static> {
        Block::new(lines.iter().map(|line| line.split("  ").map(|piece| (0, piece)).collect()).collect(), places)
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
        let line = || vec![(1, "f, F11"), (0, "full screen (or double click)")];
        let short = Some(vec![vec![(1, "f"), (0, "full screen")]; 8]);
        Block { short, ..Block::new(vec![line(); 10], &[Place::Middle, Place::Right, Place::Bottom]) }
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
        let letters = Letters::new();
        let notice =
            || Block { larger: true, ..block(&["no signal 3.2 s", "dialling robot.local:9688"], &[Place::Middle, Place::Top]) };
        let badges = || block(&["muted", "frozen"], &[Place::TopRight, Place::BottomRight, Place::BottomLeft]);
        for (width, height) in SIZES {
            let size = Size { width, height };
            for wanted in
                [vec![keys()], vec![figures()], vec![notice()], vec![keys(), figures()], vec![keys(), notice(), figures()]]
            {
                let mut layout = Layout::new(&letters, size);
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
    fn letters_grow_with_the_window() {
        let letters = Letters::new();
        let em = |width, height| Layout::new(&letters, Size { width, height }).arrange(&[figures()])[0].style.em;
        let sizes = [em(320, 240), em(640, 480), em(1280, 720), em(1920, 1080), em(3840, 2160)];
        assert!(sizes.is_sorted_by(|a, b| a < b) && sizes[4] > 3 * sizes[1], "{sizes:?}");
    }

    #[test]
    fn pieces_stand_in_columns_and_what_ends_a_line_pushes_nothing() {
        let letters = Letters::new();
        let lines =
            block(&["loss  0 packets/s  0 partial", "latency  p50 12.3 ms", "a sentence of its own that is long"], &[]).lines;
        let (begins, width) = columns(&letters, 20, &lines);
        assert_eq!(begins.len(), 3);
        assert_eq!(begins[1], letters.width("latency", 20) + 15);
        assert_eq!(begins[2], begins[1] + letters.width("0 packets/s", 20) + 15, "the longer piece ends its line");
        assert_eq!(
            width,
            letters.width("a sentence of its own that is long", 20).max(begins[2] + letters.width("0 partial", 20))
        );
    }

    #[test]
    fn on_a_wide_low_window_the_page_of_keys_stands_beside_the_figures_in_full() {
        let letters = Letters::new();
        let placed = Layout::new(&letters, Size { width: 1240, height: 300 }).arrange(&[keys(), figures()]);
        assert_eq!(placed.iter().map(|placed| placed.style.em).collect::<Vec<_>>(), [11, 11]);
        assert_eq!(texts(&placed[0]).len(), 10);
        assert!(placed[0].area.x > placed[1].area.x + placed[1].area.width);
    }

    #[test]
    fn on_a_tiny_window_figures_are_broken_between_their_parts_and_the_keys_stand_beside_them() {
        let letters = Letters::new();
        let size = Size { width: 160, height: 120 };
        let alone = Layout::new(&letters, size).arrange(&[figures()]);
        assert_eq!(texts(&alone[0])[..4], ["1280x720", "30 pictures/s", "12.3 Mbit/s", "loss 0 packets/s"]);
        let both = Layout::new(&letters, size).arrange(&[keys(), figures()]);
        assert_eq!(both.iter().map(|placed| texts(placed).len()).collect::<Vec<_>>(), [8, 10]);
    }

    #[test]
    fn no_page_covers_more_than_half_of_the_picture_where_smaller_letters_do() {
        let letters = Letters::new();
        for (width, height) in [(320, 240), (640, 480), (700, 240), (1280, 720), (1920, 1080)] {
            for block in [keys(), figures()] {
                let size = Size { width, height };
                let Area { width: across, height: down, .. } = Layout::new(&letters, size).arrange(&[block])[0].area;
                assert!(2 * across * down <= i64::from(width * height), "{width}x{height}: {across}x{down}");
            }
        }
    }

    #[test]
    fn a_command_is_rather_made_smaller_than_broken() {
        let letters = Letters::new();
        let waiting = "waiting on port 25001: run `send --host 192.168.1.17:25001`";
        let sentence = || Block { larger: true, ..block(&[waiting], &[Place::Middle]) };
        for (width, height) in [(320, 240), (640, 480), (1280, 720)] {
            let placed = &Layout::new(&letters, Size { width, height }).arrange(&[sentence()])[0];
            assert!(texts(placed).iter().any(|line| line.contains("`send --host 192.168.1.17:25001`")), "{:?}", texts(placed));
        }
    }

    #[test]
    fn lines_are_broken_between_pieces_then_words_then_anywhere() {
        let width = |text: &str| text.chars().count() as i64;
        let rows = |text: &'static str, room| broken_text(text, room, &width);
        assert_eq!(rows("a line", 6), ["a line"]);
        assert_eq!(rows("waiting for it", 7), ["waiting", "for it"]);
        assert_eq!(rows("überlanges", 4), ["über", "lang", "es"]);
        assert_eq!(rows("ab", 0), ["a", "b"], "where there is no room at all it still ends");
        let waiting = "waiting on port 9688: run `send --host 192.168.1.17`";
        assert_eq!(
            rows(waiting, 30),
            ["waiting on port 9688: run", "`send --host 192.168.1.17`"],
            "a command is typed as it stands"
        );
        assert_eq!(rows(waiting, 19), ["waiting on port", "9688: run", "`send --host", "192.168.1.17`"]);
        let pieces = broken(&vec![(7, "one two"), (7, "three four")], 7, &width);
        assert_eq!(pieces, [vec![(7, "one two")], vec![(7, "three")], vec![(7, "four")]]);
        let keys = vec![(1, "f"), (0, "full screen")];
        assert_eq!(broken(&keys, 3, &width), [keys]);
    }

    #[test]
    fn a_sentence_is_larger_than_the_rest_and_broken_before_it_is_cut() {
        let letters = Letters::new();
        let sentence = || Block { larger: true, ..block(&["dialling robot.local:9688: nobody answers yet"], &[Place::Middle]) };
        for (width, height) in [(1920, 1080), (1280, 720), (640, 480), (160, 120)] {
            let size = Size { width, height };
            let placed = &Layout::new(&letters, size).arrange(&[sentence()])[0];
            let plain = Layout::new(&letters, size).styles().next().unwrap();
            assert!(inside(placed.area, size) && (width < 640 || placed.style.em > plain.em), "{size}: {placed:?}");
            assert!(width > 160 || placed.lines.len() > 1);
        }
    }
}
