//! What a tile says of itself: its digit, its name and what there is to know of it, within its picture; a notice in its middle.

use super::super::letters::Letters;
use super::super::scale::Rect;
use super::layout::{Area, Layout, Paragraph, Place, Placed, Style};
use super::page::Page;
use super::{GREY, RED, WHITE};
use eyeline_proto::picture::Size;

/// What a tile says of itself.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Label<'a> {
    /// The key that makes it large.
    pub digit: Option<usize>,
    /// Whose it is, in the lower edge of the picture; cut where there is no room for all.
    pub name: &'a str,
    /// Its sender muted its microphone.
    pub muted: bool,
    /// How loud it is played, in percent, where the listener changed that.
    pub volume: Option<u8>,
    /// Where the picture is in the tile.
    pub picture: Rect,
    /// In the middle.
    pub notice: Option<&'a str>,
}

/// A picture lower than this has no room for a name.
const LEAST_LABELLED: i64 = 32;

/// Writes on a tile of `size`; `pixels` holds `size.width * size.height` words.
pub(in super::super) fn label(letters: &Letters, label: Label<'_>, pixels: &mut [u32], size: Size) {
    let Rect { x, y, size: Size { width, height } } = label.picture;
    let [left, top, width, height] = [x, y, width, height].map(i64::from);
    let mut page = Page::new(letters, pixels, size);
    if let Some(notice) = label.notice {
        let paragraph = Paragraph {
            larger: true,
            ..Paragraph::new(notice.lines().map(|line| vec![(WHITE, line)]).collect(), &[Place::Middle])
        };
        for placed in Layout::new(letters, size).arrange(&[paragraph]) {
            page.boxed(&placed);
        }
    }
    if height < LEAST_LABELLED {
        return;
    }
    // A twentieth of the tile's height, and what can be read.
    let style = Style::roomy((i64::from(size.height) / 20).clamp(letters.pixels(10), letters.pixels(28)));
    let digit = label.digit.map(|digit| (GREY, digit.to_string()));
    let muted = label.muted.then(|| (RED, "muted".to_string()));
    let volume = label.volume.map(|volume| (GREY, format!("{volume} %")));
    let gap = style.em / 2;
    let long = |pieces: &[(u32, String)]| pieces.iter().map(|(_, text)| letters.width(text, style.em) + gap).sum::<i64>();
    let mut pieces: Vec<(u32, String)> = digit.into_iter().chain(muted).chain(volume).collect();
    let name = shortened(letters, label.name, style.em, width - long(&pieces) - 2 * style.side);
    if !name.is_empty() {
        pieces.insert(usize::from(label.digit.is_some()), (WHITE, name));
    }
    if pieces.is_empty() {
        return;
    }
    let columns = (0..pieces.len()).map(|piece| long(&pieces[..piece])).collect();
    let (wide, high) = (long(&pieces) - gap + 2 * style.side, style.pitch() + 2 * style.top);
    let line = pieces.iter().map(|(colour, text)| (*colour, text.as_str())).collect();
    let area = Area { x: left, y: top + height - high, width: wide.min(width), height: high };
    page.boxed(&Placed { area, style, lines: vec![line], columns, bar: None });
}

/// As much of a name as has room, with an ellipsis where that is not all.
pub(super) fn shortened(letters: &Letters, name: &str, em: i64, room: i64) -> String {
    if letters.width(name, em) <= room {
        return name.to_string();
    }
    let ends: Vec<usize> = name.char_indices().map(|(at, _)| at).collect();
    let cut = |end: usize| format!("{}…", name[..end].trim_end());
    let fits = ends.partition_point(|end| letters.width(&cut(*end), em) <= room);
    fits.checked_sub(1).map_or_else(String::new, |last| cut(ends[last]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 320, height: 200 };

    fn said(name: &str) -> Label<'_> {
        Label { digit: None, name, muted: false, volume: None, picture: Rect { x: 0, y: 0, size: SIZE }, notice: None }
    }

    #[test]
    fn a_name_stands_in_the_lower_left_of_its_tile_and_is_cut_where_there_is_no_room() {
        let letters = Letters::new(1.0);
        let tile = |name: &str| {
            let mut pixels = vec![0x00ff_ffff; (SIZE.width * SIZE.height) as usize];
            let picture = Rect { x: 0, y: 0, size: SIZE };
            label(&letters, Label { digit: Some(3), picture, ..said(name) }, &mut pixels, SIZE);
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
        let letters = Letters::new(1.0);
        for (width, height) in [(1, 1), (1, 90), (90, 1), (33, 33), (160, 90)] {
            let size = Size { width, height };
            let mut pixels = vec![0x00ff_ffff; (width * height) as usize];
            let picture = Rect { x: width / 3, y: 0, size: Size { width: width - width / 3, height } };
            let label = Label { notice: Some("no signal 3.2 s"), muted: true, volume: Some(50), picture, ..said("name") };
            super::label(&letters, label, &mut pixels, size);
            assert!(pixels.iter().any(|pixel| *pixel != 0x00ff_ffff), "{size}");
        }
    }

    #[test]
    fn a_muted_sender_is_said_to_be_in_red_beside_its_name_and_a_volume_that_was_changed() {
        let letters = Letters::new(1.0);
        let drawn = |what: Label<'_>| {
            let mut pixels = vec![0; (SIZE.width * SIZE.height) as usize];
            label(&letters, what, &mut pixels, SIZE);
            let red = pixels.iter().filter(|pixel| **pixel >> 16 > 0xa0 && (**pixel & 0xff) < 0x80).count();
            (red, pixels.iter().filter(|pixel| **pixel != 0).count())
        };
        let (plain, muted) = (drawn(said("name")), drawn(Label { muted: true, ..said("name") }));
        assert!(plain.0 == 0 && muted.0 > 20 && muted.1 > plain.1, "{plain:?} {muted:?}");
        let quiet = drawn(Label { volume: Some(40), ..said("name") });
        assert!(quiet.0 == 0 && quiet.1 > plain.1);
        let long = "a very long name ".repeat(20);
        assert!(drawn(Label { muted: true, ..said(&long) }).0 > 20, "the name is cut rather");
    }
}
