//! What a sender has shown of itself, by which it holds its place (`contest`).

use std::time::{Duration, Instant};

/// Longer than any pause of a sender that sends: a camera that is plugged in again, a decoder that looks for its next picture.
pub(in crate::session::receiver) const MUTE: Duration = Duration::from_secs(5);

/// From the first piece of a picture to a whole slice: as long as a picture may take to come.
const PROVE: Duration = Duration::from_secs(2);

/// Evidence this fresh is not looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// What a sender has shown of itself.
pub(in crate::session::receiver) struct Proof {
    /// When the first piece of a picture, or of a block that took the place, came.
    tried: Option<Instant>,
    /// When a slice or a block came last.
    sent: Option<Instant>,
}

impl Proof {
    /// It has yet to send anything.
    pub fn new() -> Self {
        Proof { tried: None, sent: None }
    }

    /// A piece of something came.
    pub fn tries(&mut self, now: Instant) {
        self.tried.get_or_insert(now);
    }

    /// A slice or a block of sound came; whether it is the first.
    pub fn sent(&mut self, now: Instant) -> bool {
        self.sent.replace(now).is_none()
    }

    /// It has sent something.
    pub fn is_proven(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether it is worth looking at what came.
    pub fn wants_evidence(&self, now: Instant) -> bool {
        self.sent.is_none_or(|sent| now >= sent + FRESH)
    }

    /// Whether another sender may have its place.
    pub fn gives_way(&self, now: Instant) -> bool {
        match self.sent {
            Some(sent) => now >= sent + MUTE,
            None => self.tried.is_none_or(|tried| now >= tried + PROVE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn who_sends_nothing_gives_way_at_once_and_who_sends_only_when_it_has_long_stopped() {
        let (mut proof, start) = (Proof::new(), start());
        assert!(proof.gives_way(start));
        proof.tries(start);
        proof.tries(start + ms(1500));
        assert!(!proof.gives_way(start + ms(1999)), "its first picture may be on its way");
        assert!(proof.gives_way(start + PROVE), "pieces that never make a slice are no picture");
        assert!(proof.sent(start + PROVE) && !proof.sent(start + PROVE + ms(40)));
        assert!(!proof.gives_way(start + PROVE + ms(39) + MUTE));
        assert!(proof.gives_way(start + PROVE + ms(40) + MUTE));
    }
}
