//! Letters of any script, anti-aliased, at any size.
//!
//! **Problem.** Names and sentences come in every script, some of which are written from right to left or join their letters; a window
//! may have 120 rows or 2160. **Choice.** `cosmic-text` shapes, chooses fonts and rasterises. One typeface is always there, for it is
//! part of the program: DejaVu Sans has Latin, Greek, Cyrillic, Arabic and more, and its figures are all of one width, so that
//! numbers that change stand still. What it lacks is looked for in the system's fonts. To read those takes a tenth of a second and
//! more, so it is done when a letter is missing for the first time, on a thread of its own; until then a box stands for the letter,
//! and U+FFFD where no font has it. **Rejected.** The system's fonts from the start: every window would open later, for a letter
//! that few need.
//!
//! Capacity: [`MAX_RUNS`] texts and [`MAX_IMAGES`] letters as they were drawn; beyond it all are forgotten and made anew.

use cosmic_text::fontdb::{Database, Source};
use cosmic_text::skrifa::{FontRef, MetadataProvider};
use cosmic_text::{Attrs, Buffer, CacheKey, Family, FontSystem, Metrics, Shaping, SwashCache, SwashContent};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

const FONT: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
const FAMILY: Family<'static> = Family::Name("DejaVu Sans");

/// Texts whose letters are known: some pages full of words, each at some sizes.
const MAX_RUNS: usize = 1024;

/// Letters that are kept as they were drawn: at 20 pixels 200 bytes each.
const MAX_IMAGES: usize = 2048;

pub(super) struct Letters {
    /// How many pixels of the display are as large as one is meant to be.
    scale: f32,
    inner: RefCell<Inner>,
}

struct Inner {
    fonts: FontSystem,
    images: SwashCache,
    /// By size, then by text.
    runs: HashMap<i64, HashMap<String, Rc<Run>>>,
    system: System,
    /// What fonts have, once all are known.
    known: Option<Known>,
}

/// A bit for each character that some font has.
struct Known(Vec<u64>);

/// The fonts of this system.
enum System {
    Unread,
    Reading(JoinHandle<(Database, Known)>),
    Read,
}

/// A text at one size.
struct Run {
    width: i64,
    /// Each with the place of its origin, from the left end of the baseline.
    glyphs: Vec<(CacheKey, i32, i32)>,
}

/// Where pixels may be written, `0x00RRGGBB` words: all of `pixels` that lies in the rectangle.
pub(super) struct Ground<'a> {
    pub pixels: &'a mut [u32],
    /// Words in a row.
    pub stride: i64,
    pub left: i64,
    pub top: i64,
    pub right: i64,
    pub bottom: i64,
}

impl Letters {
    /// With the typeface that is always there, on a display that needs so many pixels for one.
    pub(super) fn new(scale: f32) -> Letters {
        let mut database = Database::new();
        database.load_font_source(Source::Binary(Arc::new(FONT)));
        let inner = RefCell::new(Inner {
            fonts: FontSystem::new_with_locale_and_db(locale(), database),
            images: SwashCache::new(),
            runs: HashMap::new(),
            system: System::Unread,
            known: None,
        });
        Letters { scale, inner }
    }

    /// So many pixels, where one is as large as it is meant to be, on this display.
    pub(super) fn pixels(&self, usual: i64) -> i64 {
        (usual as f32 * self.scale).round() as i64
    }

    /// Window pixels from the first letter's left to the last one's right, at `em` pixels to a line of letters without a gap.
    pub(super) fn width(&self, text: &str, em: i64) -> i64 {
        self.inner.borrow_mut().run(text, em).width
    }

    /// Whether the system's fonts are known: letters that were missing are of another width then.
    pub(super) fn has_system_fonts(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        inner.take_system_fonts();
        inner.known.is_some()
    }

    /// From one line to the next.
    pub(super) const fn pitch(em: i64) -> i64 {
        em + em / 4
    }

    /// Draws a line of letters into a row of [`Letters::pitch`] pixels that begins at `(x, y)`.
    pub(super) fn draw(&self, text: &str, em: i64, colour: u32, (x, y): (i64, i64), ground: &mut Ground<'_>) {
        let mut inner = self.inner.borrow_mut();
        let run = inner.run(text, em);
        // Capitals, 0.73 em high, stand in the middle of the row.
        let baseline = y + Self::pitch(em) / 2 + em * 3 / 8;
        let Inner { fonts, images, .. } = &mut *inner;
        for (key, left, up) in &run.glyphs {
            let Some(image) = images.get_image(fonts, *key) else { continue };
            let place = image.placement;
            let (left, top) = (x + i64::from(*left) + i64::from(place.left), baseline + i64::from(*up) - i64::from(place.top));
            let is_colour = image.content == SwashContent::Color;
            let bytes = if is_colour { 4 } else { 1 };
            let row = place.width as usize * bytes;
            if row == 0 {
                continue;
            }
            for (y, row) in (top..).zip(image.data.chunks_exact(row)) {
                for (x, dot) in (left..).zip(row.chunks_exact(bytes)) {
                    match *dot {
                        [alpha] => ground.blend(x, y, colour, alpha),
                        [red, green, blue, alpha] => ground.blend(x, y, u32::from_be_bytes([0, red, green, blue]), alpha),
                        _ => {}
                    }
                }
            }
        }
    }
}

impl Inner {
    fn run(&mut self, text: &str, em: i64) -> Rc<Run> {
        self.take_system_fonts();
        if let Some(run) = self.runs.get(&em).and_then(|runs| runs.get(text)) {
            return run.clone();
        }
        // What no font has is not looked for in each of them again and again.
        let lacks = |known: &Known| text.chars().any(|letter| !known.has(letter));
        let shown = match self.known.as_ref().filter(|known| lacks(known)) {
            Some(known) => {
                text.chars().map(|letter| if known.has(letter) { letter } else { char::REPLACEMENT_CHARACTER }).collect()
            }
            None => Cow::Borrowed(text),
        };
        let size = em as f32;
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(size, size));
        buffer.set_size(&mut self.fonts, None, None);
        buffer.set_text(&mut self.fonts, &shown, &Attrs::new().family(FAMILY), Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut self.fonts, false);
        let line = buffer.layout_runs().next();
        let glyphs = line.iter().flat_map(|line| line.glyphs);
        let missing = glyphs.clone().any(|glyph| glyph.glyph_id == 0);
        let glyphs =
            glyphs.map(|glyph| glyph.physical((0.0, 0.0), 1.0)).map(|glyph| (glyph.cache_key, glyph.x, glyph.y)).collect();
        let run = Rc::new(Run { width: line.map_or(0, |line| line.line_w.ceil() as i64), glyphs });
        if missing && matches!(self.system, System::Unread) {
            // Without a thread the letters stay missing: no reason to show no picture.
            let reading = thread::Builder::new().name("fonts".into()).spawn(read_system_fonts);
            self.system = reading.map_or(System::Read, System::Reading);
        }
        if self.runs.values().map(HashMap::len).sum::<usize>() >= MAX_RUNS || self.images.image_cache.len() >= MAX_IMAGES {
            self.forget();
        }
        self.runs.entry(em).or_default().insert(text.to_string(), run.clone());
        run
    }

    fn take_system_fonts(&mut self) {
        if !matches!(&self.system, System::Reading(thread) if thread.is_finished()) {
            return;
        }
        if let System::Reading(thread) = std::mem::replace(&mut self.system, System::Read)
            && let Ok((database, known)) = thread.join()
        {
            self.known = Some(known);
            self.fonts = FontSystem::new_with_locale_and_db(locale(), database);
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.runs.clear();
        self.images = SwashCache::new();
    }
}

fn read_system_fonts() -> (Database, Known) {
    let mut database = Database::new();
    database.load_font_source(Source::Binary(Arc::new(FONT)));
    database.load_system_fonts();
    let mut known = Known(Vec::new());
    for face in database.faces() {
        database.with_face_data(face.id, |data, index| {
            if let Ok(font) = FontRef::from_index(data, index) {
                font.charmap().mappings().for_each(|(letter, _)| known.add(letter));
            }
        });
    }
    (database, known)
}

impl Known {
    fn add(&mut self, letter: u32) {
        let word = letter as usize / 64;
        // A font may claim what is no character.
        if word <= char::MAX as usize / 64 {
            self.0.resize(self.0.len().max(word + 1), 0);
            self.0[word] |= 1 << (letter % 64);
        }
    }

    /// Spaces, joiners and their like need no font.
    fn has(&self, letter: char) -> bool {
        let bit = || self.0.get(letter as usize / 64).is_some_and(|word| word >> (letter as u32 % 64) & 1 == 1);
        letter.is_whitespace()
            || letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}')
            || bit()
    }
}

/// The user's language as BCP 47 has it, for Chinese, Japanese and Korean write some letters differently: `zh-TW` of
/// `zh_TW.UTF-8`. Of Japanese and Korean the language alone, which is what fonts are chosen by.
fn locale() -> String {
    let named =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    bcp47(&named.unwrap_or_default())
}

fn bcp47(posix: &str) -> String {
    let name = posix.split(['.', '@']).next().unwrap_or_default().replace('_', "-");
    match name.split('-').next() {
        Some("" | "C" | "POSIX") | None => "en".into(),
        Some(language @ ("ja" | "ko")) => language.into(),
        Some(_) => name,
    }
}

impl Ground<'_> {
    fn blend(&mut self, x: i64, y: i64, colour: u32, alpha: u8) {
        if alpha == 0 || !(self.left..self.right).contains(&x) || !(self.top..self.bottom).contains(&y) {
            return;
        }
        if let Some(pixel) = self.pixels.get_mut((y * self.stride + x) as usize) {
            *pixel = mixed(*pixel, colour, alpha);
        }
    }
}

/// `alpha` 255ths of `over`, the rest of `under`, each colour by itself.
fn mixed(under: u32, over: u32, alpha: u8) -> u32 {
    let (alpha, rest) = (u32::from(alpha), 255 - u32::from(alpha));
    let one = |shift: u32| (((under >> shift & 0xff) * rest + (over >> shift & 0xff) * alpha + 127) / 255) << shift;
    one(16) | one(8) | one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (i64, i64) = (400, 40);

    /// The words of a ground that were drawn on, in white on black.
    fn drawn(letters: &Letters, text: &str, em: i64) -> Vec<u32> {
        let mut pixels = vec![0; (SIZE.0 * SIZE.1) as usize];
        let mut ground = Ground { pixels: &mut pixels, stride: SIZE.0, left: 0, top: 0, right: SIZE.0, bottom: SIZE.1 };
        letters.draw(text, em, 0x00ff_ffff, (4, 2), &mut ground);
        pixels
    }

    /// The box around what was drawn: left, top, right, bottom.
    fn bounds(pixels: &[u32]) -> [i64; 4] {
        let lit: Vec<(i64, i64)> =
            (0..).zip(pixels).filter(|(_, pixel)| **pixel != 0).map(|(at, _)| (at % SIZE.0, at / SIZE.0)).collect();
        let of = |side: fn(&(i64, i64)) -> i64| (lit.iter().map(side).min().unwrap(), lit.iter().map(side).max().unwrap());
        let ((left, right), (top, bottom)) = (of(|at| at.0), of(|at| at.1));
        [left, top, right, bottom]
    }

    #[test]
    fn letters_are_smooth_as_wide_as_was_said_and_stand_within_their_line() {
        let letters = Letters::new(1.0);
        for em in [9, 12, 20, 27] {
            let pixels = drawn(&letters, "Älg 4.2 Mbit/s", em);
            let [left, top, right, bottom] = bounds(&pixels);
            let width = letters.width("Älg 4.2 Mbit/s", em);
            assert!(left >= 4 && right <= 4 + width && right - left > width - em, "{em}: {left} to {right} of {width}");
            // But for a pixel of an accent, where letters are small.
            assert!(top >= 1 && bottom < 2 + Letters::pitch(em), "{em}: {top} to {bottom}");
            assert!(pixels.iter().any(|pixel| (1..255).contains(&(pixel & 0xff))), "edges are neither black nor white");
        }
    }

    #[test]
    fn figures_are_all_of_one_width() {
        let letters = Letters::new(1.0);
        let width = letters.width("0000.0", 20);
        assert!(["1111.1", "4724.9"].iter().all(|number| letters.width(number, 20) == width));
    }

    #[test]
    fn greek_cyrillic_and_arabic_need_no_font_of_the_system() {
        let letters = Letters::new(1.0);
        for name in ["Ελένη", "Алёна", "محمد", "Łukasz", "Ħ"] {
            assert!(letters.width(name, 20) > 0);
        }
        assert!(matches!(letters.inner.borrow().system, System::Unread));
        // Arabic letters join: together they are narrower than one by one.
        let alone: i64 = "محمد".chars().map(|letter| letters.width(&letter.to_string(), 20)).sum();
        assert!(letters.width("محمد", 20) < alone);
    }

    #[test]
    fn a_letter_that_is_missing_is_a_box_until_the_fonts_of_the_system_are_read() {
        let letters = Letters::new(1.0);
        let boxed = drawn(&letters, "漢", 24);
        assert!(boxed.iter().any(|pixel| *pixel != 0));
        let System::Reading(thread) = std::mem::replace(&mut letters.inner.borrow_mut().system, System::Read) else {
            panic!("they are not read")
        };
        let (database, fonts) = thread.join().unwrap();
        let known = fonts.has('漢');
        assert!(fonts.has('a') && !fonts.has('\u{10fffe}'));
        {
            let inner = &mut *letters.inner.borrow_mut();
            inner.system = System::Reading(thread::spawn(move || (database, fonts)));
            while !matches!(&inner.system, System::Reading(thread) if thread.is_finished()) {
                thread::yield_now();
            }
        }
        // The box of before was of the fonts within; another font may have another.
        let boxed = drawn(&letters, "\u{fffd}", 24);
        assert_eq!(drawn(&letters, "漢", 24) != boxed, known, "it is drawn where a font has it");
        assert_eq!(drawn(&letters, "\u{10fffe}", 24), boxed, "what no font has");
        assert!(matches!(letters.inner.borrow().system, System::Read), "they are read once");
    }

    #[test]
    fn what_sticks_out_is_cut_and_nothing_grows_without_end() {
        let letters = Letters::new(1.0);
        let mut pixels = vec![0; 100];
        let mut ground = Ground { pixels: &mut pixels, stride: 10, left: 2, top: 2, right: 8, bottom: 8 };
        letters.draw(&"W\u{0301}\u{0301}\u{0301}".repeat(50), 30, 0x00ff_ffff, (-20, -20), &mut ground);
        let outside = |at: i64| !(2..8).contains(&(at % 10)) || !(2..8).contains(&(at / 10));
        assert!((0..).zip(&pixels).all(|(at, pixel)| *pixel == 0 || !outside(at)));
        for number in 0..MAX_RUNS * 2 {
            letters.width(&number.to_string(), 9);
        }
        assert!(letters.inner.borrow().runs.values().map(HashMap::len).sum::<usize>() <= MAX_RUNS);
    }

    #[test]
    fn the_language_is_said_as_fonts_are_chosen_by_it() {
        let said = ["zh_TW.UTF-8", "ja_JP.eucJP", "ko_KR", "de_DE@euro", "C.UTF-8", ""].map(bcp47);
        assert_eq!(said, ["zh-TW", "ja", "ko", "de-DE", "en", "en"]);
    }

    #[test]
    fn half_of_a_colour_over_another_is_the_mean_of_both() {
        assert_eq!(mixed(0x0000_00ff, 0x00ff_0000, 255), 0x00ff_0000);
        assert_eq!(mixed(0x0000_00ff, 0x00ff_0000, 0), 0x0000_00ff);
        assert_eq!(mixed(0x0000_00fe, 0x00fe_0000, 128), 0x007f_007f);
    }
}
