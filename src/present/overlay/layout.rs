//! Where words stand in a window: whole, in its border, and no box over another.
//!
//! Letters are as large as the window's height makes them comfortable, and become smaller, words fewer, lines broken, before
//! anything is cut or hidden. Only a window smaller than the least of all this cuts words off. The pieces of a line stand in
//! columns, one below the other. Pure arithmetic, in window pixels, but for the widths of words, which `letters.rs` knows.

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

/// Words that stand in one box.
#[derive(Debug, Clone)]
pub(super) struct Paragraph<'a> {
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

impl<'a> Paragraph<'a> {
    pub(super) fn new(lines: Vec<Line<'a>>, places: &'static [Place]) -> Self {
        Paragraph { lines, short: None, larger: false, bar: None, places }
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
    pub margin: i64,
}

/// Letters are not made smaller than this to keep lines and gaps.
const SMALL: i64 = 12;

impl Style {
    pub(super) fn roomy(em: i64) -> Style {
        Style { em, side: em / 2, top: em / 4, margin: em / 2 }
    }

    /// For a window so high: letters of a little more than a fiftieth of a large one's height, and what can be read on a small
    /// one, on a display of this kind.
    pub(super) fn comfortable(letters: &Letters, height: i64) -> Style {
        let [more, least, most] = [5, Style::TIGHT.em, 96].map(|usual| letters.pixels(usual));
        Style::roomy((height / 45 + more).clamp(least, most))
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

/// Where the pieces of each line begin, from the left of the first, and how wide all of it is: a piece stands right of the widest
/// one that any line has in the column before, but for those that end a line.
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

    /// From now on nothing is placed here.
    pub(super) fn take(&mut self, area: Area) {
        self.taken.push(area);
    }

    /// From the most comfortable to the least that can be read.
    fn styles(&self) -> impl Iterator<Item = Style> + use<> {
        let comfortable = Style::comfortable(self.letters, self.height).em;
        let smaller = |em: &i64| Some(em * 7 / 8).filter(|em| *em > Style::TIGHT.em);
        std::iter::successors(Some(comfortable), smaller).map(Style::roomy).chain([Style::TIGHT])
    }

    /// Whether it stands whole beside what stands already, in whatever style.
    pub(super) fn has_room(&self, paragraph: &Paragraph<'_>) -> bool {
        self.styles().any(|style| !self.candidates(style, paragraph).is_empty())
    }

    /// Places as many of the paragraphs as have room together, the first rather than the last, all in one style; the first of
    /// them stands even where it is cut.
    pub(super) fn arrange<'a>(&mut self, paragraphs: &[Paragraph<'a>]) -> Vec<Placed<'a>> {
        // Made when first asked for, and once.
        let mut styles: Vec<(Style, Vec<Vec<Placed<'a>>>)> = self.styles().map(|style| (style, Vec::new())).collect();
        for count in (1..=paragraphs.len()).rev() {
            for (style, ways) in &mut styles {
                ways.extend(paragraphs[ways.len()..].iter().map(|paragraph| self.candidates(*style, paragraph)));
                let mut placed = Vec::new();
                if arrange_in(*style, &ways[..count], &mut placed) {
                    self.taken.extend(placed.iter().map(|placed| placed.area));
                    return placed;
                }
            }
        }
        paragraphs.first().map(|paragraph| self.force(paragraph)).into_iter().collect()
    }

    /// One more where there is room beside what stands already.
    pub(super) fn add<'a>(&mut self, paragraph: &Paragraph<'a>) -> Option<Placed<'a>> {
        let placed = self.styles().find_map(|style| self.candidates(style, paragraph).into_iter().next())?;
        self.taken.push(placed.area);
        Some(placed)
    }

    /// Where it would like to stand, whatever stands there or sticks out of the window.
    pub(super) fn force<'a>(&self, paragraph: &Paragraph<'a>) -> Placed<'a> {
        let style = Style::TIGHT;
        let lines = paragraph.short.as_ref().unwrap_or(&paragraph.lines).clone();
        let (columns, width, height) = self.size(style, &lines, paragraph.bar.is_some());
        let area = self.area(paragraph.places[0], style, width.min(self.width), height.min(self.height));
        Placed { area: Area { width, height, ..area }, style, lines, columns, bar: paragraph.bar }
    }

    /// Where columns begin, and how wide and high the box is.
    fn size(&self, style: Style, lines: &[Line], bar: bool) -> (Vec<i64>, i64, i64) {
        let (begins, width) = columns(self.letters, style.em, lines);
        let more = if bar { style.bar() } else { 0 };
        (begins, width + 2 * style.side, lines.len() as i64 * style.pitch() + 2 * style.top + more)
    }

    /// All the ways a paragraph stands whole in the window in this style, free of what stands already, from the most wanted on.
    fn candidates<'a>(&self, style: Style, paragraph: &Paragraph<'a>) -> Vec<Placed<'a>> {
        let larger = (paragraph.larger && style.margin > 0).then(|| Style::roomy(style.em * 3 / 2));
        let mut candidates = Vec::new();
        for style in larger.into_iter().chain([style]) {
            let room = (self.width - 2 * (style.margin + style.side)).max(1);
            let wide = |text: &str| self.letters.width(text, style.em);
            let broken = || paragraph.lines.iter().flat_map(|line| broken(line, room, &wide)).collect();
            // Figures and pages are rather made smaller than broken, a sentence is not, and a word or a command only as a last
            // resort.
            let words = || paragraph.lines.iter().flatten().flat_map(|(_, text)| words(text));
            let breaks = style.em <= SMALL || (paragraph.larger && words().all(|word| wide(word) <= room));
            for lines in [Some(paragraph.lines.clone()), paragraph.short.clone(), breaks.then(broken)].into_iter().flatten() {
                let (columns, width, height) = self.size(style, &lines, paragraph.bar.is_some());
                if width + 2 * style.margin > self.width || height + 2 * style.margin > self.height {
                    continue;
                }
                // The picture is still to be seen: smaller letters, or fewer words, before more than half of it is covered.
                if !paragraph.larger && style.margin > 0 && 2 * width * height > self.width * self.height {
                    continue;
                }
                let areas = paragraph.places.iter().map(|place| self.area(*place, style, width, height));
                let free = areas.filter(|area| !self.taken.iter().any(|taken| touch(*taken, *area, style.margin)));
                let (bar, placed) = (paragraph.bar, |area| (area, lines.clone(), columns.clone()));
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

/// One of the ways of each paragraph, so that none touches another.
fn arrange_in<'a>(style: Style, ways: &[Vec<Placed<'a>>], placed: &mut Vec<Placed<'a>>) -> bool {
    let Some((paragraph, others)) = ways.split_first() else { return true };
    for candidate in paragraph {
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

/// A line in lines no wider than `room`, as `width` says: each piece by itself, and that broken between words, else in a command,
/// else anywhere. Pieces of several colours belong together.
fn broken<'a>(line: &Line<'a>, room: i64, width: &impl Fn(&str) -> i64) -> Vec<Line<'a>> {
    let Some((colour, _)) = line.first().copied() else { return vec![line.clone()] };
    if line.iter().any(|piece| piece.0 != colour) {
        return vec![line.clone()];
    }
    let pieces = line.iter().flat_map(|(_, text)| broken_text(text, room, width));
    pieces.map(|text| vec![(colour, text)]).collect()
}

pub(super) fn broken_text<'a>(text: &'a str, room: i64, width: &impl Fn(&str) -> i64) -> Vec<&'a str> {
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
#[path = "layout_tests.rs"]
mod tests;
