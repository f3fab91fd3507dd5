//! Whether small datagrams of the sender come and those of pictures do not: its path takes none so long.

use std::time::{Duration, Instant};

/// No piece of a picture as long as they are came for so long …
const NOTHING_LARGE: Duration = Duration::from_millis(1500);

/// … but so many other packets did, a second of pings, …
const HEARD: u64 = 5;

/// … and so many are missing: a sender that takes the losses for a policer soon sends few.
const MISSING: u64 = 10;

/// See the module text. Of one connection.
#[derive(Default)]
pub(super) struct Narrow {
    /// When the last piece came, and how many packets had come and were missing then.
    last: Option<(Instant, u64, u64)>,
    on: bool,
}

impl Narrow {
    /// A piece of full length came; so many packets have come by now, and so many are missing of those whose numbers are known.
    pub fn piece_came(&mut self, now: Instant, came: u64, missing: u64) {
        self.last = Some((now, came, missing));
    }

    /// By now so many packets came and are missing. Says it when it begins, and when it is over.
    pub fn poll(&mut self, now: Instant, came: u64, missing: u64) -> Option<bool> {
        let (since, came_then, missing_then) = *self.last.get_or_insert((now, came, missing));
        let silent = now >= since + NOTHING_LARGE;
        let others = came.saturating_sub(came_then) >= HEARD && missing.saturating_sub(missing_then) >= MISSING;
        let narrow = silent && (self.on || others);
        (std::mem::replace(&mut self.on, narrow) != narrow).then_some(narrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn it_is_said_once_and_only_where_something_is_missing_and_something_else_comes() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut narrow = Narrow::default();
        narrow.piece_came(at(0), 100, 3);
        assert_eq!(narrow.poll(at(1000), 110, 90), None, "too soon");
        assert_eq!(narrow.poll(at(2000), 110, 4), None, "the camera rests");
        assert_eq!(narrow.poll(at(2000), 102, 90), None, "nothing comes: an outage");
        assert_eq!(narrow.poll(at(2000), 110, 90), Some(true));
        assert_eq!(narrow.poll(at(9000), 200, 90), None, "the sender has stopped trying");
        narrow.piece_came(at(9100), 201, 90);
        assert_eq!([narrow.poll(at(9200), 202, 90), narrow.poll(at(9300), 203, 90)], [Some(false), None]);
    }
}
