//! Lines of text between people: how many of them one may say, and to whom they go.
//!
//! Capacity: [`LINES`] at once and as many a second of a peer's own, and [`THROUGH`] times that of others' which it passes on.
//! What is more is let go and counted: it costs nobody his connection, for a person who holds a key down is no attacker.

use super::link::LinkId;
use crate::wire::record::{Hello, Text};
use std::collections::BTreeMap;
use std::time::Instant;

/// Lines a second of one who speaks.
const LINES: f64 = 5.0;

/// As many speak through one meeting point.
const THROUGH: f64 = super::events::MOST_SENDERS as f64;

/// See the module text.
#[derive(Default)]
pub(super) struct Talk {
    heard: BTreeMap<LinkId, Heard>,
}

/// What may still be said over a link: by its peer itself, and by those it forwards.
struct Heard {
    since: Instant,
    own: f64,
    through: f64,
}

impl Talk {
    /// Whether a line that came over a link is taken: it is not empty, not too many came before it, and who forwards nothing
    /// speaks for itself.
    pub fn takes(&mut self, now: Instant, link: LinkId, hello: &Hello, text: &Text) -> bool {
        let own = text.origin == hello.id;
        if text.line.trim().is_empty() || !(own || hello.forwards()) {
            return false;
        }
        let most = (LINES, LINES * THROUGH);
        let heard = self.heard.entry(link).or_insert(Heard { since: now, own: most.0, through: most.1 });
        let passed = now.saturating_duration_since(heard.since).as_secs_f64();
        (heard.own, heard.through) = ((heard.own + passed * most.0).min(most.0), (heard.through + passed * most.1).min(most.1));
        heard.since = now;
        let left = if own { &mut heard.own } else { &mut heard.through };
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }

    /// A link took another's place.
    pub fn moved(&mut self, former: LinkId, link: LinkId) {
        if let Some(heard) = self.heard.remove(&former) {
            self.heard.insert(link, heard);
        }
    }

    /// A link is gone.
    pub fn forget(&mut self, link: LinkId) {
        self.heard.remove(&link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::{FORWARDS, Media};
    use std::time::Duration;

    fn hello(capabilities: u32) -> Hello {
        let (offers, wants, zeros) = (Media::LIVE, Media::LIVE, [0; 16]);
        let (id, resume, token) = ([1; 16], zeros, zeros);
        Hello { offers, wants, capabilities, id, resume, token, connection: 0, key: [0; 32], name: String::new() }
    }

    fn line(origin: u8, line: &str) -> Text {
        Text { origin: [origin; 16], name: String::new(), line: line.to_string() }
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn five_lines_a_second_are_taken_and_only_of_who_says_them() {
        let (mut talk, start) = (Talk::default(), Instant::now());
        let mut taken = |from: u64, until: u64, link, hello: &Hello, text: &Text| {
            let at = |ms| start + Duration::from_millis(ms);
            (from..until).filter(|ms| talk.takes(at(*ms), LinkId(link), hello, text)).count()
        };
        assert_eq!(taken(0, 1000, 1, &hello(0), &line(1, "hi")), 5 + 4, "a thousand are said in this second");
        assert_eq!(taken(1000, 2000, 1, &hello(0), &line(1, "hi")), 5);
        assert_eq!(taken(1000, 2000, 2, &hello(0), &line(9, "I am somebody else")), 0);
        assert_eq!(taken(3000, 4000, 1, &hello(0), &line(1, " \u{fffd}")), 5 + 4, "what is not seen was replaced");
        assert_eq!(taken(5000, 6000, 1, &hello(0), &line(1, "  ")), 0, "nothing is said");
        assert!(taken(1000, 2000, 3, &hello(FORWARDS), &line(9, "through a meeting point")) > 80);
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn a_meeting_point_has_five_lines_of_its_own_and_who_comes_back_no_more_than_before() {
        let (mut talk, now, point) = (Talk::default(), Instant::now(), hello(FORWARDS));
        let taken = |talk: &mut Talk, link, origin| {
            (0..200).filter(|_| talk.takes(now, LinkId(link), &point, &line(origin, "hi"))).count()
        };
        assert_eq!([1, 2, 3, 1].map(|origin| taken(&mut talk, 7, origin)), [5, 80, 0, 0]);
        talk.moved(LinkId(7), LinkId(8));
        assert_eq!([1, 2].map(|origin| taken(&mut talk, 8, origin)), [0, 0]);
    }
}
