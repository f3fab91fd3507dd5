//! How a track's pictures are made smaller while they are decoded: as far as they are seen no larger.
//!
//! What is on the canvas stays there until it is sent again. Where it is to be seen larger than it was drawn, it is not sharp
//! until then; [`Sharpness::seen_on`] says when that is so.

use crate::codec::shrink::Shrink;
use eyeline_proto::picture::Size;

#[derive(Default)]
pub struct Sharpness {
    /// On how many pixels the track is seen; `None`: on as many as it has.
    pixels: Option<u32>,
    /// The newest picture that was begun.
    begun: Option<(u64, Size)>,
    /// How that is made smaller: all slices of a picture must be alike.
    shrink: Shrink,
    /// How the next one of its size will be.
    next: Shrink,
}

impl Sharpness {
    /// It is seen on so many pixels from its next picture on; `None`: on as many as it has. Whether what was drawn until now is
    /// not sharp enough for that: once for each time that it becomes so. A picture of another size is sent whole in any case.
    #[must_use]
    pub fn seen_on(&mut self, pixels: Option<u32>) -> bool {
        self.pixels = pixels;
        let Some((_, size)) = self.begun else { return false };
        let before = std::mem::replace(&mut self.next, shrunk(size, pixels));
        self.next.divisor() < before.divisor()
    }

    /// How this picture of `size` is made smaller. One older than the newest is drawn as that: on the canvas as it is now.
    pub fn of(&mut self, picture: u64, size: Size) -> Shrink {
        if self.begun.is_none_or(|(newest, _)| picture > newest) {
            self.begun = Some((picture, size));
            self.next = shrunk(size, self.pixels);
            self.shrink = self.next;
        }
        self.shrink
    }
}

fn shrunk(size: Size, pixels: Option<u32>) -> Shrink {
    pixels.map_or(Shrink::Whole, |pixels| Shrink::to(size, pixels))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 64, height: 64 };

    #[test]
    fn what_is_to_be_seen_larger_than_it_was_drawn_is_told_once_and_drawn_so_from_the_next_picture_on() {
        let mut sharpness = Sharpness::default();
        assert!(!sharpness.seen_on(Some(16 * 16)), "nothing is drawn");
        assert_eq!((sharpness.of(5, SIZE), sharpness.of(4, SIZE)), (Shrink::Quarter, Shrink::Quarter));
        assert_eq!(
            [16 * 16, 16 * 15, 32 * 32, 32 * 32, 30 * 30].map(|pixels| sharpness.seen_on(Some(pixels))),
            [false, false, true, false, false]
        );
        assert_eq!(sharpness.of(5, SIZE), Shrink::Quarter, "as its other slices");
        assert_eq!((sharpness.of(6, SIZE), sharpness.of(5, SIZE)), (Shrink::Half, Shrink::Half));
        assert!(sharpness.seen_on(None) && !sharpness.seen_on(None));
        assert_eq!((sharpness.of(7, SIZE), sharpness.of(6, SIZE)), (Shrink::Whole, Shrink::Whole));
        assert!(!sharpness.seen_on(Some(1)), "it is sharper than it need be");
    }

    #[test]
    fn a_picture_of_another_size_that_is_made_less_small_is_sharp() {
        let mut sharpness = Sharpness::default();
        assert!(!sharpness.seen_on(Some(16 * 16)));
        sharpness.of(5, SIZE);
        assert_eq!(sharpness.of(6, Size { width: 16, height: 16 }), Shrink::Whole);
        assert!(!sharpness.seen_on(Some(16 * 16)) && !sharpness.seen_on(None));
    }
}
