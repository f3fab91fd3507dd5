//! What others wrote, over the picture for ten seconds, the newest at the bottom; below it the line that is being typed.
//!
//! Capacity: the newest [`MOST`] words; older ones are not shown any more.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::letters::Letters;
use super::super::typing::Line;
use super::label::shortened;
use super::layout::{Area, Placed, Style, broken_text};
use super::page::Page;
use super::{AMBER, Beside, GREY, RED, WHITE};
use eyeline_proto::picture::Size;

/// More have no room in any window that is read.
const MOST: usize = 8;

/// Said in a line that has no letter yet.
const PROMPT: &str = "Enter sends, Esc closes";

/// Where the next letter comes.
const CARET: &str = "▏";

#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// The newest last.
    words: VecDeque<Remark>,
}

#[derive(Debug, Clone)]
struct Remark {
    name: String,
    text: String,
    until: Instant,
    /// Where its lines are broken: to find it takes far longer than to draw them.
    broken: RefCell<Option<Broken>>,
}

#[derive(Debug, Clone)]
struct Broken {
    /// The size of letters, the pixels of a line, and whether the fonts of the system were known.
    by: (i64, i64, bool),
    lines: Vec<Range<usize>>,
}

impl Remark {
    fn lines(&self, letters: &Letters, style: Style, room: i64) -> Vec<Range<usize>> {
        let mut known = self.broken.borrow_mut();
        let by = (style.em, room, letters.has_system_fonts());
        match &*known {
            Some(broken) if broken.by == by => broken.lines.clone(),
            _ => {
                let width = |text: &str| letters.width(text, style.em);
                let begin = self.text.as_ptr() as usize;
                let place = |line: &str| (line.as_ptr() as usize - begin)..(line.as_ptr() as usize - begin + line.len());
                let lines: Vec<_> = broken_text(&self.text, room, &width).into_iter().map(place).collect();
                *known = Some(Broken { by, lines: lines.clone() });
                lines
            }
        }
    }
}

impl Said {
    /// How long words are shown.
    pub(super) const SHOWN: Duration = Duration::from_secs(10);

    pub(super) fn push(&mut self, name: &str, text: &str, now: Instant) {
        self.words.retain(|words| now < words.until);
        if self.words.len() == MOST {
            self.words.pop_front();
        }
        let (name, text, until) = (name.to_string(), text.to_string(), now + Self::SHOWN);
        self.words.push_back(Remark { name, text, until, broken: RefCell::default() });
    }

    /// Whether nothing of it is to be seen any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.words.iter().all(|words| now >= words.until)
    }

    /// Draws all that is to be seen, in the lower left; says where.
    pub(super) fn draw(&self, letters: &Letters, now: Instant, beside: Beside<'_>, page: &mut Page<'_>, size: Size) -> Vec<Area> {
        let (width, height) = (i64::from(size.width), i64::from(size.height));
        let style = Style::comfortable(letters, height);
        let covered = beside.covered.map_or(width, |covered| i64::from(covered.x));
        let room = (covered - 2 * style.margin - 2 * style.side).max(1);
        let (mut bottom, mut areas) = (height - style.margin, Vec::new());
        if let Some(line) = beside.line {
            let placed = typed(letters, style, room, bottom, line, page);
            bottom = placed.y - style.top;
            areas.push(placed);
        }
        // Lines longer than this are read badly.
        let room = room.min(style.em * 32).max(1);
        // Half of the picture is always seen.
        let top = height / 2;
        for words in self.words.iter().rev().filter(|words| now < words.until) {
            let most = (bottom - top - 2 * style.top) / style.pitch();
            if most < 1 && !areas.is_empty() {
                break;
            }
            let area = one(letters, style, room, bottom, most.max(1) as usize, words, page);
            bottom = area.y - style.top;
            areas.push(area);
        }
        areas
    }
}

/// One's words: the name, and beside it the text in lines; below it where the name is long. Of too many lines the first.
fn one(letters: &Letters, style: Style, room: i64, bottom: i64, most: usize, words: &Remark, page: &mut Page<'_>) -> Area {
    let gap = style.em / 2;
    let name = shortened(letters, &words.name, style.em, room);
    let wide = letters.width(&name, style.em);
    let (indent, below) = if wide * 3 > room { (0, true) } else { (wide + gap, false) };
    let places = words.lines(letters, style, (room - indent).max(1));
    let most = if below { most.saturating_sub(1).max(1) } else { most };
    let cut = places.len() > most;
    let mut texts: Vec<String> = places.into_iter().take(most).map(|place| words.text[place].to_string()).collect();
    if let Some(last) = texts.last_mut().filter(|_| cut) {
        *last = shortened(letters, &format!("{last} …"), style.em, room - indent);
    }
    let mut lines: Vec<Vec<(u32, &str)>> = Vec::new();
    if below {
        lines.push(vec![(AMBER, &name)]);
        lines.extend(texts.iter().map(|text| vec![(WHITE, text.as_str())]));
    } else {
        lines.extend(
            texts.iter().enumerate().map(|(at, text)| vec![(AMBER, if at == 0 { &name } else { "" }), (WHITE, text.as_str())]),
        );
    }
    let text = texts.iter().map(|text| letters.width(text, style.em)).max().unwrap_or(0);
    let width = if below { text.max(wide) } else { indent + text }.min(room) + 2 * style.side;
    let height = lines.len() as i64 * style.pitch() + 2 * style.top;
    let area = Area { x: style.margin, y: bottom - height, width, height };
    page.boxed(&Placed { area, style, lines, columns: vec![0, indent], bar: None });
    area
}

/// The line that is being typed, as wide as there is room, and of its text as much of the end.
fn typed(letters: &Letters, style: Style, room: i64, bottom: i64, line: &Line, page: &mut Page<'_>) -> Area {
    let text = line.text();
    let caret = letters.width(CARET, style.em);
    let begins: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let fits = |at: &usize| letters.width(&text[*at..], style.em) + caret <= room;
    let seen = begins.get(begins.partition_point(|at| !fits(at))).map_or("", |at| &text[*at..]);
    let colour = if line.is_full() { RED } else { WHITE };
    let shown = format!("{seen}{CARET}");
    let mut pieces = vec![(colour, shown.as_str())];
    if text.is_empty() && caret + style.em / 2 + letters.width(PROMPT, style.em) <= room {
        pieces.push((GREY, PROMPT));
    }
    let height = style.pitch() + 2 * style.top;
    let area = Area { x: style.margin, y: bottom - height, width: room + 2 * style.side, height };
    page.boxed(&Placed { area, style, lines: vec![pieces], columns: vec![0, caret + style.em / 2], bar: None });
    area
}

#[cfg(test)]
mod tests {
    use super::super::super::scale::Rect;
    use super::*;

    fn drawn(said: &Said, beside: Beside<'_>, now: Instant, (width, height): (u32, u32)) -> (Vec<u32>, Vec<Area>) {
        let (letters, size) = (Letters::new(1.0), Size { width, height });
        let mut pixels = vec![0x00ff_ffff; (width * height) as usize];
        let areas = said.draw(&letters, now, beside, &mut Page::new(&letters, &mut pixels, size), size);
        (pixels, areas)
    }

    #[test]
    fn words_are_shown_for_ten_seconds_the_newest_at_the_bottom() {
        let (mut said, now) = (Said::default(), Instant::now());
        assert!(said.is_over(now));
        said.push("one", "hello", now);
        let later = now + Duration::from_secs(4);
        said.push("two", "yes", later);
        let (_, areas) = drawn(&said, Beside::default(), later, (640, 480));
        assert_eq!(areas.len(), 2);
        assert!(areas[0].y > areas[1].y + areas[1].height - 1 && areas[0].y + areas[0].height < 480, "{areas:?}");
        let (_, left) = drawn(&said, Beside::default(), now + Said::SHOWN, (640, 480));
        assert_eq!(left, [areas[0]], "the older one is gone");
        let (pixels, none) = drawn(&said, Beside::default(), later + Said::SHOWN, (640, 480));
        assert!(none.is_empty() && pixels.iter().all(|pixel| *pixel == 0x00ff_ffff) && said.is_over(later + Said::SHOWN));
    }

    #[test]
    fn many_and_long_words_leave_half_of_the_picture_and_stand_whole_in_the_window() {
        let (letters, now) = (Letters::new(1.0), Instant::now());
        let long = "the quick brown fox jumps over the lazy dog, again and again; ".repeat(8);
        let texts = [long.as_str(), "a", &"x".repeat(500), &"漢字".repeat(83), "مرحبا بالعالم", long.as_str()];
        for (name, text) in texts.iter().enumerate() {
            for size in [(320, 240), (640, 480), (1280, 720), (160, 120)] {
                let mut said = Said::default();
                (0..12).for_each(|_| said.push(&"name".repeat(1 + 8 * (name % 3)), text, now));
                let covered =
                    Some(Rect { x: size.0 * 4 / 5, y: size.1 * 4 / 5, size: Size { width: size.0 / 5, height: size.1 / 5 } });
                let (_, areas) = drawn(&said, Beside { covered, ..Beside::default() }, now, size);
                assert!(!areas.is_empty());
                for area in &areas {
                    assert!(
                        area.y >= i64::from(size.1) / 2 - 2 * Style::comfortable(&letters, size.1.into()).pitch(),
                        "{size:?}: {areas:?}"
                    );
                    assert!(area.x >= 0 && area.x + area.width <= i64::from(size.0) * 4 / 5, "{size:?}: {areas:?}");
                    assert!(area.y + area.height <= i64::from(size.1), "{size:?}: {areas:?}");
                }
                assert!(areas.windows(2).all(|pair| pair[1].y + pair[1].height <= pair[0].y), "{areas:?}");
            }
        }
    }

    #[test]
    fn the_line_that_is_typed_stands_below_all_words_and_shows_its_end() {
        let (mut said, now) = (Said::default(), Instant::now());
        said.push("one", "hello", now);
        let mut line = Line::default();
        let mut seen = Vec::new();
        for letters in [0, 10, 400] {
            (0..letters).for_each(|_| line.type_for_test('n'));
            let (pixels, areas) = drawn(&said, Beside { line: Some(&line), ..Beside::default() }, now, (640, 480));
            assert_eq!(areas.len(), 2);
            assert!(areas[1].y + areas[1].height <= areas[0].y && areas[0].width > 600, "{areas:?}");
            seen.push(pixels);
        }
        assert!(seen[0] != seen[1] && seen[1] != seen[2]);
    }
}
