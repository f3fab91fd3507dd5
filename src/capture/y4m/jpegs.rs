//! Cuts a stream of JPEGs, one after the other, into pictures (ITU-T T.81, annex B).
//!
//! Markers are walked, not searched: an EOI inside a thumbnail or a comment ends nothing. What lies between pictures is skipped and counted. When
//! a picture breaks off, everything walked so far is given up, so no byte is looked at twice. A picture of a kind that is not taken is
//! walked to its end, too: what it is called is its kind, and not bytes that belong to none.

use super::super::jpeg_kind;
use super::jpeg_notes::Notes;
use eyeline_proto::picture::{MAX_SIDE, Size, View};

/// Longest picture taken; an 8192x8192 one at quality 95 has about 30 MB.
pub const MAX_PICTURE: usize = 32 << 20;

/// What the walker found at the beginning of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing whole yet: come again with the same bytes and more.
    More,
    /// So many bytes are of no picture; where they begin like one, of one that breaks off.
    Garbage(usize),
    /// So many bytes are a picture.
    Picture(usize, Jpeg),
    /// So many bytes are a picture that is not taken; why in a few words.
    Refused(usize, &'static str),
}

/// What a picture's head says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jpeg {
    pub size: Size,
    pub grey: bool,
    /// What else it says.
    pub notes: Notes,
}

impl Jpeg {
    /// How it is to be seen.
    pub fn view(&self) -> View {
        self.notes.view
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    /// A marker is next.
    Marker,
    /// Inside entropy-coded data.
    Scan,
}

/// Where in a picture the bytes so far end. After anything but [`Step::More`] it begins anew.
pub struct Walker {
    state: State,
    at: usize,
    /// Size, and whether it is without colours.
    frame: Option<(Size, bool)>,
    /// Why it is not taken.
    refused: Option<&'static str>,
    scanned: bool,
    notes: Notes,
}

impl Default for Walker {
    fn default() -> Self {
        Walker { state: State::Outside, at: 0, frame: None, refused: None, scanned: false, notes: Notes::default() }
    }
}

impl Walker {
    /// Goes on over `bytes`, which begin where the last picture or garbage ended.
    pub fn walk(&mut self, bytes: &[u8]) -> Step {
        let step = self.go(bytes);
        let step = if step == Step::More && bytes.len() >= MAX_PICTURE { Step::Garbage(bytes.len()) } else { step };
        if step != Step::More {
            *self = Walker::default();
        }
        step
    }

    fn go(&mut self, bytes: &[u8]) -> Step {
        loop {
            match self.state {
                State::Outside => match bytes.windows(2).position(|pair| pair == [0xFF, 0xD8]) {
                    Some(0) => (self.state, self.at) = (State::Marker, 2),
                    Some(begin) => return Step::Garbage(begin),
                    None => {
                        // A last FF may be half of what is looked for.
                        let skipped = bytes.len() - usize::from(bytes.last() == Some(&0xFF));
                        return if skipped == 0 { Step::More } else { Step::Garbage(skipped) };
                    }
                },
                State::Marker => {
                    let Some(&[prefix, code]) = bytes.get(self.at..self.at + 2) else { return Step::More };
                    if prefix != 0xFF {
                        return Step::Garbage(self.at);
                    }
                    if code == 0xFF {
                        self.at += 1;
                    } else if let Some(step) = self.marker(code, bytes) {
                        return step;
                    }
                }
                State::Scan => {
                    let Some(found) = bytes[self.at..].iter().position(|&byte| byte == 0xFF) else {
                        self.at = bytes.len();
                        return Step::More;
                    };
                    self.at += found;
                    match bytes.get(self.at + 1) {
                        None => return Step::More,
                        Some(0x00 | 0xD0..=0xD7) => self.at += 2,
                        Some(0xFF) => self.at += 1,
                        Some(_) => self.state = State::Marker,
                    }
                }
            }
        }
    }

    /// The marker `code` at `at`; `None` to go on behind it.
    fn marker(&mut self, code: u8, bytes: &[u8]) -> Option<Step> {
        match code {
            0xD9 => {
                if let Some(why) = self.refused.filter(|_| self.scanned) {
                    return Some(Step::Refused(self.at + 2, why));
                }
                let notes = std::mem::take(&mut self.notes);
                let frame = self.frame.filter(|_| self.scanned);
                let whole = frame.map(|(size, grey)| Step::Picture(self.at + 2, Jpeg { size, grey, notes }));
                return Some(whole.unwrap_or(Step::Garbage(self.at + 2)));
            }
            // What stands alone has no place here; SOI is where the next picture begins.
            0x00 | 0x01 | 0xD0..=0xD8 => return Some(Step::Garbage(self.at)),
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(self.at + 2..self.at + 4) else { return Some(Step::More) };
        let end = self.at + 2 + usize::from(u16::from_be_bytes([high, low]));
        if end < self.at + 4 {
            return Some(Step::Garbage(self.at + 2));
        }
        let Some(segment) = bytes.get(self.at + 4..end) else { return Some(Step::More) };
        match code {
            // Of a hierarchical one there are several.
            0xC0..=0xCF if code != 0xC4 && self.refused.is_some() => {}
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => match frame(code, segment, self.notes.transform) {
                Frame::Taken(size, grey) if self.frame.is_none() => self.frame = Some((size, grey)),
                Frame::Refused(why) if self.frame.is_none() => self.refused = Some(why),
                _ => return Some(Step::Garbage(self.at + 2)),
            },
            0xDA if self.frame.is_none() && self.refused.is_none() => return Some(Step::Garbage(self.at + 2)),
            0xDA => (self.state, self.scanned) = (State::Scan, true),
            0xE0..=0xEF if self.frame.is_none() => self.notes.take(code, segment),
            _ => {}
        }
        self.at = end;
        None
    }
}

/// What a frame header means for us.
enum Frame {
    /// Baseline, of this size; `true` for one without colours.
    Taken(Size, bool),
    /// Another kind of JPEG.
    Refused(&'static str),
    /// No header at all.
    Wrong,
}

/// Reads a frame header (T.81, B.2.2 and table B.1). `transform` is what an Adobe marker said.
fn frame(code: u8, segment: &[u8], transform: Option<u8>) -> Frame {
    let &[precision, h1, h0, w1, w0, components, ref rest @ ..] = segment else { return Frame::Wrong };
    if let Some(why) = jpeg_kind::unfit(code, precision) {
        return Frame::Refused(why);
    }
    let size = Size { width: u16::from_be_bytes([w1, w0]).into(), height: u16::from_be_bytes([h1, h0]).into() };
    if rest.len() != 3 * usize::from(components) || precision != 8 || size.width == 0 || size.height == 0 {
        return Frame::Wrong;
    }
    if size.width.max(size.height) > MAX_SIDE {
        return Frame::Refused("larger than 8192x8192");
    }
    match (components, transform) {
        (1, _) => Frame::Taken(size, true),
        (3, _) => Frame::Taken(size, false),
        (4, Some(2)) => Frame::Refused("YCCK (four inks, for printing)"),
        (4, _) => Frame::Refused("CMYK (four inks, for printing)"),
        _ => Frame::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(code: u8, body: &[u8]) -> Vec<u8> {
        [&[0xFF, code][..], &(body.len() as u16 + 2).to_be_bytes(), body].concat()
    }

    fn header(code: u8, width: u16, height: u16) -> Vec<u8> {
        let (h, w) = (height.to_be_bytes(), width.to_be_bytes());
        segment(code, &[8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0])
    }

    /// A picture as far as a walker looks: a comment, then a scan of `scan` with every FF stuffed and a restart marker before it.
    fn picture(comment: &[u8], scan: &[u8], width: u16) -> Vec<u8> {
        let stuffed: Vec<u8> = scan.iter().flat_map(|&byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] }).collect();
        let head =
            [vec![0xFF, 0xD8], segment(0xFE, comment), header(0xC0, width, 16), segment(0xDA, &[1, 1, 0, 0, 63, 0])].concat();
        [head, vec![0xFF, 0xD0], stuffed, vec![0xFF, 0xD9]].concat()
    }

    /// Walks a stream that arrives in pieces; gives the pictures and how many bytes were skipped.
    fn split(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut walker, mut pictures, mut skipped) = (Walker::default(), Vec::new(), 0);
        let (mut start, mut end) = (0, 0);
        loop {
            match walker.walk(&stream[start..end]) {
                Step::More if end == stream.len() => return (pictures, skipped),
                Step::More => end = (end + piece).min(stream.len()),
                Step::Garbage(n) => {
                    assert!(n > 0);
                    skipped += n;
                    start += n;
                }
                Step::Picture(n, _) => {
                    pictures.push(stream[start..start + n].to_vec());
                    start += n;
                }
                Step::Refused(_, why) => panic!("{why}"),
            }
        }
    }

    proptest! {
        #[test]
        fn pictures_come_out_as_they_went_in_however_they_arrive(
            parts in proptest::collection::vec((
                proptest::collection::vec(any::<u8>(), 0..300),
                proptest::collection::vec(any::<u8>(), 0..300),
                proptest::collection::vec(0u8..0xFF, 0..20),
            ), 0..6),
            piece in 1usize..400,
        ) {
            let pictures: Vec<Vec<u8>> = parts.iter().map(|(comment, scan, _)| picture(comment, scan, 640)).collect();
            let stream: Vec<u8> = pictures.iter().zip(&parts).flat_map(|(picture, part)| [part.2.clone(), picture.clone()].concat()).collect();
            let garbage: usize = parts.iter().map(|part| part.2.len()).sum();
            prop_assert_eq!(split(&stream, piece), (pictures, garbage));
        }

        #[test]
        fn any_bytes_are_walked_without_a_panic_and_without_standing_still(
            bytes in proptest::collection::vec(prop_oneof![Just(0xFFu8), Just(0xD8), Just(0xC0), Just(0xDA), Just(0), any::<u8>()], 0..500),
            piece in 1usize..100,
        ) {
            let (mut walker, mut start, mut end) = (Walker::default(), 0, 0);
            loop {
                match walker.walk(&bytes[start..end]) {
                    Step::More if end == bytes.len() => break,
                    Step::More => end = (end + piece).min(bytes.len()),
                    Step::Garbage(n) | Step::Picture(n, _) | Step::Refused(n, _) => {
                        prop_assert!(n > 0 && start + n <= end);
                        start += n;
                    }
                }
            }
        }
    }

    #[test]
    fn a_thumbnail_in_a_comment_ends_nothing() {
        let thumbnail = picture(b"", b"small", 16);
        let whole = picture(&thumbnail, b"large", 640);
        let jpeg = Jpeg { size: Size { width: 640, height: 16 }, grey: true, notes: Notes::default() };
        assert_eq!(Walker::default().walk(&whole), Step::Picture(whole.len(), jpeg));
    }

    #[test]
    fn a_picture_that_breaks_off_costs_itself_and_not_the_next() {
        let (broken, whole) = (picture(b"x", b"broken off", 640), picture(b"y", b"whole", 640));
        let cut = &broken[..broken.len() - 4];
        let (pictures, skipped) = split(&[cut, &whole].concat(), 7);
        assert_eq!((pictures, skipped), (vec![whole], cut.len()));
    }

    #[test]
    fn what_is_not_baseline_is_refused_and_what_is_too_large_is_skipped() {
        let of = |code, precision, components: u8, adobe: Option<u8>| {
            let head = [precision, 1, 0xE0, 2, 0x80, components];
            let header = segment(code, &[&head[..], &[1, 0x11, 0].repeat(components.into())].concat());
            let adobe = adobe.map_or(vec![], |transform| segment(0xEE, &[b"Adobe\0d\0\0\0\0", &[transform][..]].concat()));
            let scan = [segment(0xDA, &[1, 1, 0, 0, 63, 0]), vec![1, 2, 3]].concat();
            let whole = [vec![0xFF, 0xD8], adobe, header, scan.clone(), scan, vec![0xFF, 0xD9]].concat();
            match Walker::default().walk(&[&whole[..], b"the next"].concat()) {
                Step::Refused(n, why) if n == whole.len() => why,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([of(0xC2, 8, 3, None), of(0xC1, 8, 3, None), of(0xC3, 8, 3, None)], ["progressive", "extended", "lossless"]);
        assert_eq!(
            [of(0xC1, 12, 3, None), of(0xC0, 12, 1, None), of(0xC9, 8, 3, None)],
            ["of 12 bit", "of 12 bit", "arithmetic coded"]
        );
        let inks = [of(0xC0, 8, 4, Some(2)), of(0xC0, 8, 4, Some(0)), of(0xC0, 8, 4, None)];
        assert_eq!(inks.map(|why| &why[..4]), ["YCCK", "CMYK", "CMYK"]);
        let huge = picture(b"", b"scan", 8193);
        assert_eq!(Walker::default().walk(&huge), Step::Refused(huge.len(), "larger than 8192x8192"));
        let endless = [picture(b"", b"", 640).split_last_chunk::<2>().unwrap().0, &vec![0; MAX_PICTURE][..]].concat();
        assert_eq!(Walker::default().walk(&endless), Step::Garbage(endless.len()));
    }

    #[test]
    fn every_truncation_of_a_picture_waits_for_more() {
        let whole = picture(b"comment", b"scan", 640);
        for end in 0..whole.len() {
            assert_eq!(Walker::default().walk(&whole[..end]), Step::More, "{end}");
        }
    }
}
