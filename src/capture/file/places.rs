//! Where in the film the time is that its clock counts, which never goes back: the film may begin again, or go elsewhere.

use std::collections::VecDeque;
use std::time::Duration;

/// From a time on the film is at a place. In order; capacity: those of passes that were read and not asked for yet, each of
/// which has something in the feed.
#[derive(Default)]
pub struct Places(VecDeque<(Duration, Duration)>);

impl Places {
    /// From this time on it is there.
    pub fn note(&mut self, time: Duration, place: Duration) {
        if self.0.back() != Some(&(time, place)) {
            self.0.push_back((time, place));
        }
    }

    /// It goes elsewhere: what was to come does not.
    pub fn jump(&mut self, time: Duration, place: Duration) {
        self.0 = VecDeque::from([(time, place)]);
    }

    /// The last time up to this one from which on the film was where it is, and where that was. Times asked for never go back.
    pub fn at(&mut self, time: Duration) -> (Duration, Duration) {
        while self.0.get(1).is_some_and(|(next, _)| *next <= time) {
            self.0.pop_front();
        }
        self.0.front().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_begins_at_its_own_time_and_a_jump_makes_what_was_to_come_void() {
        let seconds = Duration::from_secs;
        let mut places = Places::default();
        assert_eq!(places.at(seconds(3)), (seconds(0), seconds(0)));
        for pass in [0, 10, 20, 30] {
            places.note(seconds(pass), seconds(0));
        }
        assert_eq!([9, 10, 25].map(|time| places.at(seconds(time)).0.as_secs()), [0, 10, 20]);
        places.jump(seconds(26), seconds(7));
        places.note(seconds(26), seconds(7));
        places.note(seconds(29), seconds(0));
        assert_eq!(
            [26, 28, 31].map(|time| places.at(seconds(time))),
            [(26, 7), (26, 7), (29, 0)].map(|(a, b)| (seconds(a), seconds(b)))
        );
    }
}
