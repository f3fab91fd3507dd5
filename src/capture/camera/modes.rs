//! Which of a camera's modes to use: pure, so that every odd camera can be a test.
//!
//! Without wishes it is the largest size up to [`BOUND`] that reaches [`ENOUGH_FPS`], then the higher rate: rate buys more
//! latency than any code can, and a mode that is large and slow is what most programs wrongly start with. At one size and
//! rate MJPEG comes first (passed through, and a tenth of the bytes on the bus), then NV12 (half the chroma), then YUYV. A
//! wish is met by the nearest thing there is. Asking the driver what there is belongs to `devices`.

use std::cmp::Reverse;
use std::fmt;

use eyeline_proto::picture::{MAX_SIDE, Size};
use eyeline_proto::rate::Rate;

/// The largest picture taken without being asked: beyond it a picture costs more time than it shows detail in a window.
pub const BOUND: Size = Size { width: 1280, height: 720 };
/// The least rate at which movement looks like movement (the cinema's).
pub const ENOUGH_FPS: u32 = 24;

/// What the camera delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JPEG a picture.
    Mjpeg,
    /// Packed 4:2:2, Y0 Cb Y1 Cr.
    Yuyv,
    /// 4:2:0, a luma plane and a plane of interleaved chroma.
    Nv12,
}

impl Format {
    /// V4L2's four-character code.
    pub const fn fourcc(self) -> &'static [u8; 4] {
        match self {
            Format::Mjpeg => b"MJPG",
            Format::Yuyv => b"YUYV",
            Format::Nv12 => b"NV12",
        }
    }

    /// The format of a four-character code, where it is one we use.
    pub fn of_fourcc(code: &[u8; 4]) -> Option<Format> {
        [Format::Mjpeg, Format::Yuyv, Format::Nv12].into_iter().find(|format| format.fourcc() == code)
    }

    /// Which is better where size and rate are the same.
    const fn preference(self) -> i64 {
        match self {
            Format::Mjpeg => 2,
            Format::Nv12 => 1,
            Format::Yuyv => 0,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Mjpeg => "MJPEG",
            Format::Yuyv => "YUYV",
            Format::Nv12 => "NV12",
        })
    }
}

/// In thousandths of a picture a second, rounded down.
fn millihertz(rate: Rate) -> u64 {
    u64::from(rate.num()) * 1000 / u64::from(rate.den())
}

/// Whether it is at least `fps`, or its NTSC variant (29.97 is taken as 30).
fn reaches(rate: Rate, fps: u32) -> bool {
    u64::from(rate.num()) * 1001 >= u64::from(fps) * u64::from(rate.den()) * 1000
}

/// How far it is from `fps`, in thousandths of a picture a second.
fn distance(rate: Rate, fps: u32) -> i64 {
    i64::try_from(millihertz(rate).abs_diff(u64::from(fps) * 1000)).unwrap_or(i64::MAX)
}

/// One thing the camera can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode {
    pub format: Format,
    pub size: Size,
    pub rate: Rate,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {} fps", self.format, self.size, self.rate)
    }
}

/// What the user asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// `--size`.
    pub size: Option<Size>,
    /// `--fps`.
    pub fps: Option<u32>,
}

/// Every mode, the best for `wish` first; what follows is what to fall back to when a driver refuses what it offered.
pub fn ranked(modes: &[Mode], wish: Wish) -> Vec<Mode> {
    let mut ranked = modes.to_vec();
    ranked.sort_by_key(|mode| Reverse(rank(mode, wish)));
    ranked.dedup();
    ranked
}

/// Why `mode`, which [`ranked`] put first among `modes`, was chosen: half a sentence for the user.
pub fn reason(mode: &Mode, modes: &[Mode], wish: Wish) -> String {
    let need = wish.fps.unwrap_or(ENOUGH_FPS);
    let mut why = match wish.size {
        Some(size) if size == mode.size => "the size asked for".to_string(),
        Some(size) => format!("the nearest to the {size} asked for"),
        None => match (within_bound(mode.size), reaches(mode.rate, need)) {
            (true, true) => format!("the largest size up to {BOUND} that reaches {need} fps"),
            (false, true) => format!("no size up to {BOUND} reaches {need} fps; this is the smallest that does"),
            _ => format!("nothing it offers reaches {need} fps; this is the fastest"),
        },
    };
    match wish.fps {
        Some(fps) if mode.rate.whole() != Some(fps) => {
            why.push_str(&format!("; {} fps is the nearest to the {fps} asked for", mode.rate));
        }
        None if wish.size.is_some() && !reaches(mode.rate, need) => why.push_str("; it is no faster at this size"),
        _ => {}
    }
    let raw = modes.iter().filter(|other| other.size == mode.size && other.format != Format::Mjpeg);
    if mode.format == Format::Mjpeg
        && let Some(raw) = raw.max_by_key(|other| other.rate).filter(|raw| raw.rate < mode.rate)
    {
        why.push_str(&format!("; {} reaches only {} fps", raw.format, raw.rate));
    }
    why
}

fn within_bound(size: Size) -> bool {
    size.width <= BOUND.width && size.height <= BOUND.height
}

/// Greater is better. The parts are compared in turn: how near to a wished size, the kind of mode, then what matters in it.
fn rank(mode: &Mode, wish: Wish) -> (Reverse<u32>, u8, [i64; 3]) {
    let area = i64::from(mode.size.width) * i64::from(mode.size.height);
    let format = mode.format.preference();
    let rate = i64::try_from(millihertz(mode.rate)).unwrap_or(i64::MAX);
    let wished_rate = wish.fps.map_or(rate, |fps| -distance(mode.rate, fps));
    let fast = reaches(mode.rate, wish.fps.unwrap_or(ENOUGH_FPS));
    if let Some(size) = wish.size {
        let distance = mode.size.width.abs_diff(size.width).saturating_add(mode.size.height.abs_diff(size.height));
        return (Reverse(distance), 0, [area, wished_rate, format]);
    }
    match (within_bound(mode.size), fast) {
        (true, true) => (Reverse(0), 3, [area, wished_rate, format]),
        (false, true) => (Reverse(0), 2, [-area, wished_rate, format]),
        (true, false) => (Reverse(0), 1, [rate, area, format]),
        (false, false) => (Reverse(0), 0, [rate, -area, format]),
    }
}

/// Sizes or rates a driver offers in steps. A step of zero is taken as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    pub min: u32,
    pub max: u32,
    /// From one to the next.
    pub step: u32,
}

impl Steps {
    /// The nearest offered value.
    fn snap(self, value: u32) -> u32 {
        let (step, max) = (self.step.max(1), self.max.max(self.min));
        let above = value.clamp(self.min, max) - self.min;
        let down = above - above % step;
        let up = down.saturating_add(step);
        let near = if above - down > up - above && up <= max - self.min { up } else { down };
        self.min + near
    }

    fn holds(self, value: u32) -> bool {
        self.snap(value) == value
    }
}

/// Sizes people use, of which a driver with stepwise sizes is asked.
const COMMON_SIZES: [(u32, u32); 14] = [
    (320, 180),
    (320, 240),
    (640, 360),
    (640, 480),
    (800, 600),
    (848, 480),
    (960, 540),
    (1024, 576),
    (1280, 720),
    (1280, 960),
    (1920, 1080),
    (2560, 1440),
    (2592, 1944),
    (3840, 2160),
];

/// Of a driver that offers sizes in steps: the common ones among them, the smallest, the largest up to [`MAX_SIDE`], and the
/// nearest to the one wished for.
pub fn stepwise_sizes(width: Steps, height: Steps, wish: Option<Size>) -> Vec<Size> {
    let near = |size: Size| Size { width: width.snap(size.width), height: height.snap(size.height) };
    let common = COMMON_SIZES.iter().filter(|(w, h)| width.holds(*w) && height.holds(*h));
    let mut sizes: Vec<Size> = common.map(|&(width, height)| Size { width, height }).collect();
    sizes.push(Size { width: width.min, height: height.min });
    sizes.push(near(Size { width: width.max.min(MAX_SIDE), height: height.max.min(MAX_SIDE) }));
    sizes.extend(wish.map(near));
    sizes.sort_by_key(|size| (size.width, size.height));
    sizes.dedup();
    sizes.retain(|size| size.is_possible());
    sizes
}

/// Of a driver that offers every rate between two: the ones people use, and the fastest.
pub fn stepwise_rates(slowest: Rate, fastest: Rate, wish: Option<u32>) -> Vec<Rate> {
    let usual = [5, 10, 15, 20, 24, 25, 30, 50, 60, 90, 120];
    let mut rates: Vec<Rate> = usual.into_iter().chain(wish).filter_map(|fps| Rate::new(fps, 1)).collect();
    rates.retain(|rate| (slowest..=fastest).contains(rate));
    rates.push(millihertz(fastest).checked_div(1000).and_then(|fps| Rate::new(u32::try_from(fps).ok()?, 1)).unwrap_or(fastest));
    rates.sort();
    rates.dedup();
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mode(format: Format, width: u32, height: u32, pictures: u32, seconds: u32) -> Mode {
        Mode { format, size: Size { width, height }, rate: Rate::new(pictures, seconds).unwrap() }
    }

    fn best(modes: &[Mode], wish: Wish) -> Mode {
        ranked(modes, wish)[0]
    }

    fn webcam() -> Vec<Mode> {
        let mut modes = Vec::new();
        for (width, height, yuyv) in [(640, 480, 30), (1280, 720, 10), (1920, 1080, 5)] {
            modes.push(mode(Format::Yuyv, width, height, yuyv, 1));
            modes.extend([(30, 1), (30000, 1001), (15, 2)].map(|(n, d)| mode(Format::Mjpeg, width, height, n, d)));
        }
        modes
    }

    fn vivid() -> Vec<Mode> {
        let sizes = [(320, 180, 60, 1), (640, 360, 40, 1), (640, 480, 25, 1), (1280, 720, 25, 2), (1920, 1080, 5, 1)];
        sizes.into_iter().flat_map(|(w, h, n, d)| [Format::Yuyv, Format::Nv12].map(|f| mode(f, w, h, n, d))).collect()
    }

    #[test]
    fn a_webcam_gives_mjpeg_720p_and_says_that_raw_would_be_slower() {
        let best = best(&webcam(), Wish::default());
        assert_eq!(best, mode(Format::Mjpeg, 1280, 720, 30, 1));
        let why = reason(&best, &webcam(), Wish::default());
        assert_eq!(why, "the largest size up to 1280x720 that reaches 24 fps; YUYV reaches only 10 fps");
    }

    #[test]
    fn a_size_that_is_too_slow_gives_way_to_a_smaller_one() {
        assert_eq!(best(&vivid(), Wish::default()), mode(Format::Nv12, 640, 480, 25, 1));
    }

    #[test]
    fn wishes_are_met_by_the_nearest_mode_and_the_reason_says_so() {
        let wish = Wish { size: Some(Size { width: 1300, height: 700 }), fps: Some(25) };
        let near = best(&webcam(), wish);
        assert_eq!(near.size, BOUND);
        assert_eq!(near.rate, Rate::new(30000, 1001).unwrap());
        let why = reason(&near, &webcam(), wish);
        assert!(why.contains("nearest to the 1300x700 asked for"), "{why}");
        assert!(why.contains("29.97 fps is the nearest to the 25 asked for"), "{why}");
        let fast = best(&vivid(), Wish { size: None, fps: Some(60) });
        assert_eq!((fast.size.width, fast.rate.whole()), (320, Some(60)));
        let slow = Wish { size: Some(Size { width: 1280, height: 720 }), fps: None };
        assert!(reason(&best(&vivid(), slow), &vivid(), slow).ends_with("no faster at this size"));
    }

    #[test]
    fn slow_and_oversized_cameras_still_give_something() {
        let slow = [mode(Format::Yuyv, 1280, 720, 10, 1), mode(Format::Yuyv, 640, 480, 15, 1)];
        assert_eq!(best(&slow, Wish::default()).rate.whole(), Some(15));
        let large = [mode(Format::Nv12, 3840, 2160, 30, 1), mode(Format::Nv12, 1920, 1080, 60000, 1001)];
        assert_eq!(best(&large, Wish::default()).size.width, 1920);
        assert_eq!(ranked(&[], Wish::default()), []);
    }

    #[test]
    fn a_television_rate_reaches_what_it_is_called_and_one_below_does_not() {
        let rate = |num, den| Rate::new(num, den).unwrap();
        assert!(reaches(rate(30_000, 1001), 30) && reaches(rate(60, 2), 30) && !reaches(rate(29, 1), 30));
    }

    #[test]
    fn stepwise_sizes_hold_the_common_ones_and_the_nearest_to_the_wish() {
        let (width, height) = (Steps { min: 32, max: 1920, step: 16 }, Steps { min: 32, max: 1080, step: 8 });
        let sizes = stepwise_sizes(width, height, Some(Size { width: 701, height: 501 }));
        for (width, height) in [(32, 32), (640, 480), (1280, 720), (1920, 1080), (704, 504)] {
            assert!(sizes.contains(&Size { width, height }), "{width}x{height} in {sizes:?}");
        }
        assert!(!sizes.iter().any(|size| size.width > 1920 || size.width % 16 != 0));
        let all = Steps { min: 1, max: u32::MAX, step: 0 };
        assert!(stepwise_sizes(all, all, None).contains(&Size { width: MAX_SIDE, height: MAX_SIDE }));
    }

    #[test]
    fn a_range_of_rates_holds_the_usual_ones_within_it() {
        let rates = stepwise_rates(Rate::new(1, 1).unwrap(), Rate::new(45, 1).unwrap(), Some(33));
        let whole: Vec<u32> = rates.iter().filter_map(|rate| rate.whole()).collect();
        assert_eq!(whole, [5, 10, 15, 20, 24, 25, 30, 33, 45]);
    }

    fn any_mode() -> impl Strategy<Value = Mode> {
        let format = prop_oneof![Just(Format::Mjpeg), Just(Format::Yuyv), Just(Format::Nv12)];
        (format, 1..5000u32, 1..5000u32, 1..200u32, prop_oneof![Just(1u32), Just(2), Just(1001)])
            .prop_map(|(f, w, h, n, d)| mode(f, w, h, if d == 1001 { n * 1000 } else { n }, d))
    }

    proptest! {
        #[test]
        fn no_mode_is_plainly_better_than_the_chosen_one(modes in prop::collection::vec(any_mode(), 1..40)) {
            let best = best(&modes, Wish::default());
            prop_assert!(modes.contains(&best));
            let good = |mode: &&Mode| within_bound(mode.size) && reaches(mode.rate, ENOUGH_FPS);
            let area = |mode: &Mode| u64::from(mode.size.width) * u64::from(mode.size.height);
            if let Some(largest) = modes.iter().filter(good).map(area).max() {
                prop_assert!(good(&&best));
                prop_assert_eq!(area(&best), largest);
                prop_assert!(!modes.iter().any(|mode| mode.size == best.size && mode.rate > best.rate && area(mode) == largest));
            }
            prop_assert!(!reason(&best, &modes, Wish::default()).is_empty());
        }

        #[test]
        fn a_wish_that_is_offered_is_met_exactly(modes in prop::collection::vec(any_mode(), 1..40), pick in any::<prop::sample::Index>()) {
            let wanted = modes[pick.index(modes.len())];
            let best = best(&modes, Wish { size: Some(wanted.size), fps: wanted.rate.whole() });
            prop_assert_eq!(best.size, wanted.size);
            if let Some(fps) = wanted.rate.whole() {
                prop_assert_eq!(best.rate.whole(), Some(fps));
            }
        }

        #[test]
        fn steps_never_leave_their_range(min in any::<u32>(), max in any::<u32>(), step in any::<u32>(), value in any::<u32>()) {
            let snapped = Steps { min, max, step }.snap(value);
            prop_assert!(snapped >= min && snapped <= max.max(min));
            prop_assert_eq!((snapped - min) % step.max(1), 0);
        }
    }
}
