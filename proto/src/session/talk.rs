//! Lines of text between people: how many of them one may say, and to whom they go.
//!
//! Capacity: [`LINES`] at once and as many a second, of each link; a link to a meeting point brings what all who are there say. What is more is
//! let go and counted: it costs nobody his connection, for a person who holds a key down is no attacker.

use super::link::LinkId;
use crate::wire::record::Hello;
use crate::wire::record::Text;
use std::collections::BTreeMap;
use std::time::Instant;

/// Lines a second of one who speaks.
const LINES: f64 = 5.0;

/// As many speak through one meeting point.
const THROUGH: f64 = super::events::MOST_SENDERS as f64;

/// See the module text.
#[derive(Default)]
pub(super) struct Talk {
    heard: BTreeMap<LinkId, (Instant, f64)>,
}

impl Talk {
    /// Whether a line that came over a link is taken: it is not empty, not too many came before it, and who forwards nothing speaks for
    /// itself.
    pub fn takes(&mut self, now: Instant, link: LinkId, hello: &Hello, text: &Text) -> bool {
        let most = if hello.forwards() { LINES * THROUGH } else { LINES };
        let (since, left) = self.heard.entry(link).or_insert((now, most));
        *left = (*left + now.saturating_duration_since(*since).as_secs_f64() * most).min(most);
        *since = now;
        if *left < 1.0 || text.line.trim().is_empty() || (text.origin != hello.id && !hello.forwards()) {
            return false;
        }
        *left -= 1.0;
        true
    }

    /// A link is gone.
    pub fn forget(&mut self, link: LinkId) {
        self.heard.remove(&link);
    }
}
