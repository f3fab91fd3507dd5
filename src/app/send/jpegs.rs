//! One line when something else becomes of a camera's JPEGs than before, and why. A path that swings gives a line every ten
//! seconds at most; what is so when those are over is said then.

use crate::pipeline::cutter::{Treatment, Why};
use eyeline_proto::media::foreign::Passthrough;
use std::time::{Duration, Instant};

/// From one line to the next.
const PAUSE: Duration = Duration::from_secs(10);

/// See the module text.
pub struct Jpegs {
    passthrough: Passthrough,
    /// What was said last, and when.
    said: Option<(Treatment, Instant)>,
}

impl Jpegs {
    /// Where this may become of them.
    pub fn new(passthrough: Passthrough) -> Self {
        Jpegs { passthrough, said: None }
    }

    /// What is to be said, where this becomes of them `now`.
    pub fn line(&mut self, treated: Option<Treatment>, now: Instant) -> Option<&'static str> {
        let treated = treated?;
        if let Some((said, at)) = self.said
            && (said == treated || now.saturating_duration_since(at) < PAUSE)
        {
            return None;
        }
        self.said = Some((treated, now));
        Some(match treated {
            Treatment::Whole if self.passthrough == Passthrough::On => "JPEGs go as they were made: --passthrough on",
            Treatment::Whole => "JPEGs go as they were made: the path has room for them",
            Treatment::Changed => "of JPEGs what changes goes as it was made: the path has no room for all of them",
            Treatment::Anew(Why::Asked) => "JPEGs are encoded anew: --passthrough off",
            Treatment::Anew(Why::Size) => "JPEGs are encoded anew: they are turned, or sent at another size",
            Treatment::Anew(Why::NoRoom) => "JPEGs are encoded anew: the path has no room for them, or for what changes in them",
            Treatment::Anew(Why::Unfit) => "JPEGs are encoded anew: they are of a kind that is not passed on",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_and_again_when_it_changes_but_not_with_every_swing() {
        let (mut jpegs, start) = (Jpegs::new(Passthrough::Auto), Instant::now());
        let mut line = |treated, seconds| jpegs.line(treated, start + Duration::from_secs(seconds)).map(str::len).is_some();
        let (whole, changed) = (Some(Treatment::Whole), Some(Treatment::Changed));
        assert!(!line(None, 0) && line(whole, 1) && !line(whole, 2) && !line(whole, 100));
        assert!(line(changed, 101) && !line(whole, 102) && !line(changed, 103) && !line(whole, 105));
        assert!(line(whole, 112) && !line(None, 130) && line(Some(Treatment::Anew(Why::NoRoom)), 131));
    }
}
