//! By how much a picture is made smaller while it is decoded. libjpeg then computes 4, 2 or 1 pixel of 8 (T.81's blocks are
//! scaled in the frequency domain), so that what is seen in a small tile costs less to decode, and less to scale afterwards.

use eyeline_proto::picture::Size;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shrink {
    /// Not at all.
    #[default]
    Whole,
    /// To a half.
    Half,
    /// To a quarter.
    Quarter,
    /// To an eighth.
    Eighth,
}

impl Shrink {
    /// The most that leaves a picture of `size` at least so many pixels.
    pub fn to(size: Size, pixels: u32) -> Shrink {
        let leaves = |shrink: &Shrink| {
            let Size { width, height } = shrink.size(size);
            u64::from(width) * u64::from(height) >= u64::from(pixels)
        };
        [Shrink::Eighth, Shrink::Quarter, Shrink::Half].into_iter().find(leaves).unwrap_or_default()
    }

    /// What a side is divided by.
    pub fn divisor(self) -> u32 {
        match self {
            Shrink::Whole => 1,
            Shrink::Half => 2,
            Shrink::Quarter => 4,
            Shrink::Eighth => 8,
        }
    }

    /// What becomes of a side.
    pub fn side(self, side: u32) -> u32 {
        side.div_ceil(self.divisor())
    }

    /// What becomes of a picture's size.
    pub fn size(self, size: Size) -> Size {
        Size { width: self.side(size.width), height: self.side(size.height) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_never_made_smaller_than_it_is_seen() {
        let hd = Size { width: 1280, height: 720 };
        for (pixels, shrink) in [
            (1280 * 720 + 1, Shrink::Whole),
            (640 * 360 + 1, Shrink::Whole),
            (640 * 360, Shrink::Half),
            (426 * 240, Shrink::Half),
            (320 * 180, Shrink::Quarter),
            (160 * 90, Shrink::Eighth),
            (1, Shrink::Eighth),
        ] {
            assert_eq!(Shrink::to(hd, pixels), shrink, "{pixels}");
        }
        assert_eq!(Shrink::Eighth.size(Size { width: 17, height: 1 }), Size { width: 3, height: 1 });
    }
}
