//! How each picture is to be encoded, one after the other: as the path takes it, and as those who see it have use for.

use eyeline_proto::media::foreign::Fitness;
use eyeline_proto::media::ladder::{Ladder, Step};
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::picture::{Body, Picture, Size, View};
use eyeline_proto::wire::record::Want;
use std::time::Instant;

/// Sides of pictures that are shown smaller than they are, in 24ths: eighths, as the JPEG decoder scales, and what tiles of a
/// grid of two, three or four in a row need.
const USEFUL_SIZES: [u32; 10] = [3, 4, 6, 8, 9, 12, 15, 16, 18, 21];

/// A picture of so many hundredths of the pixels asked for is enough: nobody sees that it is scaled by so little.
const NEAR: u64 = 92;

/// The smallest size that shows all anybody has use for, which is so many `pixels` (0: all there are), in steps of the side: one
/// that follows every turn of a window would be another picture each time.
pub fn useful(size: Size, pixels: u32) -> Size {
    let all = u64::from(size.width) * u64::from(size.height);
    let enough = |parts: &&u32| all * u64::from(**parts * **parts) / 576 * 100 >= u64::from(pixels) * NEAR;
    match USEFUL_SIZES.iter().find(enough) {
        Some(parts) if pixels > 0 => size.at_width(even(size.width * parts / 24)),
        _ => size,
    }
}

/// The next even width, and no picture is without any.
pub fn even(width: u32) -> u32 {
    width.max(1).next_multiple_of(2)
}

/// Why a picture is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// Nobody has use for any.
    NoUse,
    /// The path, as far as it may be used, has no room for it.
    NoRoom,
}

/// How each picture is to be encoded, one after the other.
pub struct Steps {
    pub ladder: Ladder,
    /// What the best receiver's path takes.
    pub target: Option<Bitrate>,
    /// What receivers have use for.
    pub want: Want,
    /// When the last picture was caught.
    last: Option<Instant>,
    turn: u32,
}

impl Steps {
    /// Before the first picture.
    pub fn new(ladder: Ladder) -> Self {
        Steps { ladder, target: None, want: Want::ALL, last: None, turn: 0 }
    }

    /// For the next picture, which is to be of the `wanted` size as anybody may `want` it, and of which what changed goes alone where
    /// it `may_cut`; or why it is to be left out. Who is `seen_here` has use for pictures where nobody else has.
    pub fn next(
        &mut self,
        picture: &Picture,
        (want, wanted): (Want, Size),
        may_cut: bool,
        (film, seen_here): (bool, bool),
    ) -> Result<Step, Unsent> {
        if let Some(last) = self.last.replace(picture.captured) {
            self.ladder.note_period(picture.captured.saturating_duration_since(last));
        }
        if let (Body::Jpeg(jpeg), View::PLAIN) = (&picture.body, picture.view) {
            self.ladder.note_foreign(jpeg.len(), u64::from(picture.size.width) * u64::from(picture.size.height));
        }
        self.ladder.set_pixels(u64::from(wanted.width) * u64::from(wanted.height));
        let rate = Some(want.rate).filter(|rate| *rate > 0 && !film).map(Bitrate);
        self.ladder.set_target(self.target.into_iter().chain(rate).min());
        let fitness = match (&picture.body, picture.view) {
            _ if may_cut => Fitness::Changed,
            (Body::Jpeg(_), View::PLAIN) if wanted == picture.size => Fitness::Whole,
            _ => Fitness::Anew,
        };
        let step = self.ladder.step(fitness);
        self.turn = self.turn.wrapping_add(1);
        let used = want.pictures || seen_here;
        let fits = used && self.turn.is_multiple_of(step.every) && !self.ladder.pays(step);
        match (film || fits, used) {
            (true, _) => Ok(step),
            (_, true) => Err(Unsent::NoRoom),
            (_, false) => Err(Unsent::NoUse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_made_as_small_as_a_grid_shows_it() {
        let whole = Size { width: 1280, height: 720 };
        let made = |width: u32, height: u32| useful(whole, width * height).to_string();
        // Tiles of two, three and four in a row of a window of its size; of five, and of a row in a window a little larger.
        let tiles = [(638, 358), (424, 238), (316, 177), (252, 141), (430, 241)];
        assert_eq!(tiles.map(|(width, height)| made(width, height)), ["640x360", "426x240", "320x180", "320x180", "426x240"]);
        assert_eq!([made(0, 0), made(1280, 720), made(4000, 3000), made(1, 1)], ["1280x720", "1280x720", "1280x720", "160x90"]);
        let tiny = useful(Size { width: 6, height: 600 }, 1);
        assert!(tiny.width == 2 && tiny.is_possible(), "{tiny}");
    }
}
