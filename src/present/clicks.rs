//! Single and double clicks of the mouse's left button.

use std::time::{Duration, Instant};

/// What a press of the button is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clicked {
    Once,
    /// A double click's second.
    Twice,
}

/// Tells a double click from two.
#[derive(Default)]
pub(super) struct Clicks {
    last: Option<(Instant, (f32, f32))>,
}

impl Clicks {
    /// What most desktops use.
    const APART: Duration = Duration::from_millis(400);
    /// Pixels a hand may move between two clicks that are meant as one.
    const MOVED: f32 = 8.0;

    /// The button was pressed.
    pub(super) fn press(&mut self, at: (f32, f32), now: Instant) -> Clicked {
        let near = |(x, y): (f32, f32)| (x - at.0).abs() <= Self::MOVED && (y - at.1).abs() <= Self::MOVED;
        let second = self.last.is_some_and(|(when, place)| now.duration_since(when) <= Self::APART && near(place));
        self.last = if second { None } else { Some((now, at)) };
        if second { Clicked::Twice } else { Clicked::Once }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clicks_make_a_double_click_when_close_in_time_and_place() {
        const APART: Duration = Duration::from_millis(40);
        let (mut clicks, now) = (Clicks::default(), Instant::now());
        assert_eq!(clicks.press((5.0, 5.0), now), Clicked::Once);
        assert_eq!(clicks.press((9.0, 5.0), now + APART), Clicked::Twice);
        assert_eq!(clicks.press((9.0, 5.0), now + APART * 2), Clicked::Once, "a third click starts anew");
        assert_eq!(clicks.press((90.0, 5.0), now + APART * 3), Clicked::Once, "too far");
        assert_eq!(clicks.press((90.0, 5.0), now + APART * 4 + Clicks::APART), Clicked::Once, "too late");
    }
}
