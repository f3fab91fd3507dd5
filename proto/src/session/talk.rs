//! Lines of text between people: how many of them one may say, and to whom they go.
//!
//! Capacity: [`LINES`] at once and as many a second of a peer's own; of all links together [`BURST`] at once and [`ALL`] a
//! second, whatever they forward. Of what is left of those a link leaves as many as it took in the last [`MEMORY`], up to half of
//! them all: so sixty who shout are heard in turn, and who says a word now and then is heard at once. What is more is let go and
//! counted: it costs nobody his connection, for a person who holds a key down is no attacker.

use super::link::LinkId;
use crate::wire::record::{Hello, Text};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Lines a second of one who speaks.
const LINES: f64 = 5.0;

/// Lines a second of all: more than anybody reads.
const ALL: f64 = 8.0;

/// Lines of all at once: everybody at a big meeting greets who comes in.
const BURST: f64 = 40.0;

/// Whoever spoke this long ago is as good as one who has yet to speak.
const MEMORY: Duration = Duration::from_secs(60);

/// Between two times that it is told how many lines were left out.
const TOLD: Duration = Duration::from_secs(10);

/// See the module text.
pub(super) struct Talk {
    heard: BTreeMap<LinkId, Heard>,
    /// What all may still say, and since when.
    left: f64,
    since: Option<Instant>,
    /// Lines left out and not told of, and since when.
    left_out: Option<(u64, Instant)>,
}

/// What may still be said over a link by its peer itself, and what came over it lately.
struct Heard {
    since: Instant,
    own: f64,
    lately: f64,
}

impl Default for Talk {
    fn default() -> Self {
        Talk { heard: BTreeMap::new(), left: BURST, since: None, left_out: None }
    }
}

impl Talk {
    /// Whether a line that came over a link is taken: it is not empty, not too many came before it, and who forwards nothing
    /// speaks for itself.
    pub fn takes(&mut self, now: Instant, link: LinkId, hello: &Hello, text: &Text) -> bool {
        let own = text.origin == hello.id;
        if text.line.trim().is_empty() || !(own || hello.forwards()) {
            return false;
        }
        let passed = self.since.replace(now).map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.left = (self.left + passed.as_secs_f64() * ALL).min(BURST);
        let heard = self.heard.entry(link).or_insert(Heard { since: now, own: LINES, lately: 0.0 });
        let passed = now.saturating_duration_since(heard.since).as_secs_f64();
        heard.own = (heard.own + passed * LINES).min(LINES);
        heard.lately *= (-passed / MEMORY.as_secs_f64()).exp();
        heard.since = now;
        if (own && heard.own < 1.0) || self.left < 1.0 + heard.lately.min(BURST / 2.0) {
            self.left_out.get_or_insert((0, now)).0 += 1;
            return false;
        }
        heard.own -= f64::from(u8::from(own));
        heard.lately += 1.0;
        self.left -= 1.0;
        true
    }

    /// How many lines were left out, every now and then.
    pub fn take_left_out(&mut self, now: Instant) -> Option<u64> {
        self.left_out.take_if(|(_, since)| now >= *since + TOLD).map(|(count, _)| count)
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
        let through = taken(60_000, 61_000, 3, &hello(FORWARDS), &line(9, "through a meeting point"));
        assert!((19..=28).contains(&through), "{through} lines");
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn a_meeting_point_has_five_lines_of_its_own_and_who_comes_back_no_more_than_before() {
        let (mut talk, now, point) = (Talk::default(), Instant::now(), hello(FORWARDS));
        let taken = |talk: &mut Talk, link, origin| {
            (0..200).filter(|_| talk.takes(now, LinkId(link), &point, &line(origin, "hi"))).count()
        };
        assert_eq!([1, 2, 3, 1].map(|origin| taken(&mut talk, 7, origin)), [5, 15, 0, 0]);
        talk.moved(LinkId(7), LinkId(8));
        assert_eq!([1, 2].map(|origin| taken(&mut talk, 8, origin)), [0, 0]);
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn sixty_who_shout_fill_no_log_and_outshout_nobody() {
        let (mut talk, start, point) = (Talk::default(), Instant::now(), hello(FORWARDS));
        let (mut shouted, mut said, mut told) = (0, 0, 0);
        for ms in 0..60_000 {
            let now = start + Duration::from_millis(ms);
            let say = |talk: &mut Talk, link, origin| usize::from(talk.takes(now, LinkId(link), &point, &line(origin, "hi")));
            shouted += say(&mut talk, ms % 60, 7);
            if ms % 10_000 == 9999 {
                said += say(&mut talk, 100, 1);
            }
            told += talk.take_left_out(now).unwrap_or(0);
        }
        assert!(shouted <= 40 + 8 * 60 && said == 6, "{shouted} lines and {said} of 6");
        assert!(told > 40_000, "{told} were told of");
    }
}
