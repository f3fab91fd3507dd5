//! How large a window is, and where: as users write it, as it follows from a picture, and whether it can be seen there.
//!
//! Written as X11 programs take it (`XParseGeometry(3)`): `1280x720+100+50`. `+` counts from the left or the upper edge of all
//! monitors together, `-` from the right or the lower one. Pure arithmetic, in pixels of the display.

use super::scale::Rect;
use eyeline_proto::picture::{MAX_SIDE, Size};
use std::fmt;
use std::str::FromStr;

/// A window of which less is on a monitor cannot be taken hold of.
const HOLD: i64 = 48;

/// Pixels of a side; of less there is nothing to take hold of.
const LEAST: u32 = 16;

/// How far from an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    /// From the left, or from above.
    Begin(i16),
    /// From the right, or from below.
    End(i16),
}

/// What is asked of a window; `None`: as it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Without its frame.
    pub size: Option<Size>,
    /// Of its frame.
    pub place: Option<(Offset, Offset)>,
}

impl FromStr for Geometry {
    type Err = String;

    fn from_str(text: &str) -> Result<Geometry, String> {
        let wrong = || "write it like 1280x720, 1280x720+100+50 or +100+50; -0-0 is the lower right corner".to_string();
        let text = text.trim();
        let (size, place) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
        let whole = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
        let size = match size.split_once(['x', 'X']) {
            Some((width, height)) => {
                let size = Size { width: whole(width).ok_or_else(wrong)?, height: whole(height).ok_or_else(wrong)? };
                if !size.is_possible() || size.width.min(size.height) < LEAST {
                    return Err(format!(
                        "a window of {size} cannot be: each side has {LEAST} to {MAX_SIDE} pixels; write one like 1280x720"
                    ));
                }
                Some(size)
            }
            None if size.is_empty() => None,
            None => return Err(wrong()),
        };
        let place = if place.is_empty() { None } else { Some(offsets(place).ok_or_else(wrong)?) };
        if size.is_none() && place.is_none() { Err(wrong()) } else { Ok(Geometry { size, place }) }
    }
}

/// `+100-0`; a number may have a sign of its own: `+-5` begins left of the edge.
fn offsets(text: &str) -> Option<(Offset, Offset)> {
    let (x, rest) = offset(text)?;
    let (y, rest) = offset(rest)?;
    rest.is_empty().then_some((x, y))
}

fn offset(text: &str) -> Option<(Offset, &str)> {
    let edge = text.chars().next().filter(|edge| matches!(edge, '+' | '-'))?;
    let digits = text[1..].trim_start_matches('-');
    let end = text.len() - digits.len() + digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    let far = text[1..end].parse().ok()?;
    Some((if edge == '-' { Offset::End(far) } else { Offset::Begin(far) }, &text[end..]))
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Size { width, height }) = self.size {
            write!(f, "{width}x{height}")?;
        }
        if let Some((x, y)) = self.place {
            for offset in [x, y] {
                match offset {
                    Offset::Begin(far) => write!(f, "+{far}")?,
                    Offset::End(far) => write!(f, "-{far}")?,
                }
            }
        }
        Ok(())
    }
}

impl Geometry {
    /// Where the upper left corner of a window of this size is on a display that is `whole`, without a frame; `None` where it is
    /// anywhere, or would not be seen on any of the monitors: one may be gone since.
    pub(super) fn corner(&self, size: Size, whole: Size, monitors: &[Rect]) -> Option<(i32, i32)> {
        let at = |offset, length: u32, whole: u32| match offset {
            Offset::Begin(far) => i64::from(far),
            Offset::End(far) => i64::from(whole) - i64::from(length) - i64::from(far),
        };
        let (x, y) = self.place?;
        let (x, y) = (at(x, size.width, whole.width), at(y, size.height, whole.height));
        let seen = |begin: i64, length: u32, on: u32, long: u32| {
            let (first, last) = (begin.max(i64::from(on)), (begin + i64::from(length)).min(i64::from(on) + i64::from(long)));
            last - first >= HOLD.min(i64::from(length))
        };
        let is_seen = monitors.iter().any(|monitor| {
            seen(x, size.width, monitor.x, monitor.size.width) && seen(y, size.height, monitor.y, monitor.size.height)
        });
        is_seen.then_some((i32::try_from(x).ok()?, i32::try_from(y).ok()?))
    }
}

/// The picture's size, in the same shape no more than 90 % of the screen.
pub(super) fn initial_size(picture: Size, screen: Option<Size>) -> Size {
    // What any screen of today holds, for a server that does not say.
    let screen = screen.unwrap_or(Size { width: 1280, height: 720 });
    let share = |screen: u32, picture: u32| f64::from(screen) * 0.9 / f64::from(picture.max(1));
    let factor = share(screen.width, picture.width).min(share(screen.height, picture.height)).min(1.0);
    let side = |length: u32| ((f64::from(length) * factor).round() as u32).clamp(1, MAX_SIDE);
    Size { width: side(picture.width), height: side(picture.height) }
}

/// A window of one size with room for another.
pub(super) fn grown(window: Size, picture: Size) -> Size {
    Size { width: window.width.max(picture.width), height: window.height.max(picture.height) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn a_geometry_is_read_as_x11_programs_take_it_and_written_the_same() {
        for text in ["1280x720", "+100+50", "640x480-0-0", "640x480+0-20", "+-5+-7", "320x200--5+3"] {
            let geometry: Geometry = text.parse().unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            assert_eq!(geometry.to_string(), text);
        }
        let wanted = Geometry { size: Some(size(640, 480)), place: Some((Offset::Begin(10), Offset::End(0))) };
        assert_eq!(" 640X480+10-0 ".parse(), Ok(wanted));
        let wrong = [
            "",
            "640",
            "x480",
            "640x",
            "640x480+1",
            "640x480+1+",
            "+1+2+3",
            "15x16",
            "9000x1",
            "+1+99999",
            "640x480 +1+1",
            "ä+1+1",
        ];
        for text in wrong {
            assert!(text.parse::<Geometry>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_stands_where_it_is_asked_to_as_long_as_it_can_be_seen_there() {
        let monitors = [Rect { x: 0, y: 0, size: size(1920, 1080) }, Rect { x: 1920, y: 0, size: size(1280, 1024) }];
        let corner = |text: &str| text.parse::<Geometry>().unwrap().corner(size(640, 480), size(3200, 1080), &monitors);
        assert_eq!(corner("+100+50"), Some((100, 50)));
        assert_eq!(corner("-0+0"), Some((2560, 0)));
        assert_eq!(corner("-0-0"), Some((2560, 600)), "a part is below the smaller monitor");
        assert_eq!(corner("+-592+0"), Some((-592, 0)));
        assert_eq!(corner("+-593+0"), None, "too little is left to take hold of");
        assert_eq!(corner("+3300+0"), None, "there was a monitor once");
        assert_eq!(corner("1280x720"), None, "anywhere");
    }

    #[test]
    fn a_window_begins_as_large_as_its_picture_but_leaves_room_on_the_screen() {
        assert_eq!(initial_size(size(640, 480), Some(size(1920, 1080))), size(640, 480));
        assert_eq!(initial_size(size(3840, 2160), Some(size(1920, 1080))), size(1728, 972));
        assert_eq!(initial_size(size(480, 1920), Some(size(1920, 1080))), size(243, 972));
        assert_eq!(initial_size(size(1920, 1080), None), size(1152, 648));
        assert_eq!(initial_size(size(0, 9000), Some(size(100, 100))), size(1, 90));
    }

    #[test]
    fn a_window_that_grows_gives_up_neither_its_width_nor_its_height() {
        assert_eq!(grown(size(1280, 720), size(320, 240)), size(1280, 720));
        assert_eq!(grown(size(1280, 720), size(960, 960)), size(1280, 960));
        assert_eq!(grown(size(320, 240), size(1280, 720)), size(1280, 720));
    }
}
