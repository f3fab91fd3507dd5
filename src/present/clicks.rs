//! Clicks, found in the state of the mouse's left button.

use std::time::{Duration, Instant};

/// What a button that goes down is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clicked {
    Once,
    /// A double click's second.
    Twice,
}

/// Finds clicks in the button's state as it is polled.
#[derive(Default)]
pub(super) struct Clicks {
    was_down: bool,
    last: Option<(Instant, (f32, f32))>,
}

impl Clicks {
    /// What most desktops use.
    const APART: Duration = Duration::from_millis(400);
    /// Pixels a hand may move between two clicks that are meant as one.
    const MOVED: f32 = 8.0;

    /// Whether a click just began.
    pub(super) fn poll(&mut self, is_down: bool, at: (f32, f32), now: Instant) -> Option<Clicked> {
        let pressed = is_down && !self.was_down;
        self.was_down = is_down;
        if !pressed {
            return None;
        }
        let near = |(x, y): (f32, f32)| (x - at.0).abs() <= Self::MOVED && (y - at.1).abs() <= Self::MOVED;
        let second = self.last.is_some_and(|(when, place)| now.duration_since(when) <= Self::APART && near(place));
        self.last = if second { None } else { Some((now, at)) };
        Some(if second { Clicked::Twice } else { Clicked::Once })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESS: Duration = Duration::from_millis(40);

    #[test]
    fn two_clicks_make_a_double_click_when_close_in_time_and_place() {
        let now = Instant::now();
        let click = |clicks: &mut Clicks, at: (f32, f32), now| (clicks.poll(true, at, now), clicks.poll(false, at, now)).0;
        let mut clicks = Clicks::default();
        let (once, twice) = (Some(Clicked::Once), Some(Clicked::Twice));
        assert_eq!(click(&mut clicks, (5.0, 5.0), now), once);
        assert_eq!(click(&mut clicks, (9.0, 5.0), now + PRESS), twice);
        assert_eq!(click(&mut clicks, (9.0, 5.0), now + PRESS * 2), once, "a third click starts anew");
        assert_eq!(click(&mut clicks, (90.0, 5.0), now + PRESS * 3), once, "too far");
        assert_eq!(click(&mut clicks, (90.0, 5.0), now + PRESS * 3 + Clicks::APART + PRESS), once, "too late");
    }

    #[test]
    fn a_button_held_down_is_one_click() {
        let (mut clicks, now) = (Clicks::default(), Instant::now());
        assert_eq!(clicks.poll(true, (1.0, 1.0), now), Some(Clicked::Once));
        assert!((1..5).all(|step| clicks.poll(true, (1.0, 1.0), now + PRESS * step).is_none()));
    }
}
