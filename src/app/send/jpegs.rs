//! One line when something else becomes of a camera's JPEGs than before, and why; and one where some are left out because they
//! are never encoded anew. A path that swings gives a line every ten seconds at most; what is so when those are over is said then.

use crate::pipeline::cutter::{Treatment, Why};
use eyeline_proto::media::foreign::Passthrough;
use eyeline_proto::media::rate_control::{Bitrate, SHARE};
use eyeline_proto::session::stats::PeerStats;
use std::time::{Duration, Instant};

/// From one line to the next.
const PAUSE: Duration = Duration::from_secs(10);

/// From one line about those that are left out to the next.
const REMINDS: Duration = Duration::from_secs(60);

/// What there is no more room in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Path,
    /// `--bitrate`.
    Cap,
    /// What whoever watches asks for.
    Wish,
}

impl Limit {
    /// What limits pictures to the `target`, of which receivers have use for `wish` bits a second (0: for all).
    pub fn of(cap: Option<Bitrate>, target: Option<Bitrate>, wish: u64, peers: &[PeerStats]) -> Limit {
        if wish > 0 && target.is_none_or(|target| wish < target.0) {
            return Limit::Wish;
        }
        let takes = |peer: &PeerStats, cap: Bitrate| peer.capacity.is_none_or(|path| path.bytes() * SHARE >= cap.bytes());
        let caps = |cap| peers.iter().any(|peer| !peer.quiet && takes(peer, cap));
        if cap.is_some_and(caps) { Limit::Cap } else { Limit::Path }
    }

    /// Why there is no more.
    fn words(self) -> &'static str {
        match self {
            Limit::Path => "the path has no room for all of them",
            Limit::Cap => "--bitrate allows no more",
            Limit::Wish => "whoever watches asks for no more",
        }
    }
}

/// See the module text.
pub struct Jpegs {
    passthrough: Passthrough,
    /// What was said last, and when.
    said: Option<(String, Instant)>,
    /// When it was said that some are left out.
    reminded: Option<Instant>,
    /// JPEGs that were left out, and pictures that were sent, up to a second ago.
    before: (u64, u64),
}

impl Jpegs {
    /// Where this may become of them.
    pub fn new(passthrough: Passthrough) -> Self {
        Jpegs { passthrough, said: None, reminded: None, before: (0, 0) }
    }

    /// What is to be said, where this becomes of them `now`.
    pub fn line(&mut self, treated: Option<Treatment>, limit: Limit, now: Instant) -> Option<String> {
        let words = self.words(treated?, limit);
        if let Some((said, at)) = &self.said
            && (*said == words || now.saturating_duration_since(*at) < PAUSE)
        {
            return None;
        }
        self.said = Some((words.clone(), now));
        Some(words)
    }

    fn words(&self, treated: Treatment, limit: Limit) -> String {
        let words = match (treated, limit) {
            (Treatment::Whole, _) if self.passthrough == Passthrough::On => "JPEGs go as they were made: --passthrough on",
            (Treatment::Whole, _) => "JPEGs go as they were made: the path has room for them",
            (Treatment::Changed, limit) => return format!("of JPEGs what changes goes as it was made: {}", limit.words()),
            (Treatment::Anew(Why::Asked), _) => "JPEGs are encoded anew: --passthrough off",
            (Treatment::Anew(Why::Size), _) => "JPEGs are encoded anew: they are turned, or sent at another size",
            (Treatment::Anew(Why::NoRoom), Limit::Path) => {
                "JPEGs are encoded anew: the path has no room for them, or for what changes in them"
            }
            (Treatment::Anew(Why::NoRoom), limit) => return format!("JPEGs are encoded anew: {}", limit.words()),
            (Treatment::Anew(Why::Unfit), _) => "JPEGs are encoded anew: they are of a kind that is not passed on",
        };
        words.to_string()
    }

    /// What is to be said, where so many JPEGs were left out since the start because they are not encoded anew, and so many
    /// pictures were sent. Asked once a second.
    pub fn left_out(&mut self, left_out: u64, sent: u64, limit: Limit, now: Instant) -> Option<String> {
        let (left_out_before, sent_before) = std::mem::replace(&mut self.before, (left_out, sent));
        let (left_out, sent) = (left_out.saturating_sub(left_out_before), sent.saturating_sub(sent_before));
        if left_out == 0 || self.reminded.is_some_and(|at| now.saturating_duration_since(at) < REMINDS) {
            return None;
        }
        self.reminded = Some(now);
        Some(format!(
            "of the last {} JPEGs {left_out} were left out: {}, and --passthrough on never encodes them anew; with --passthrough \
             auto they are made to fit",
            left_out + sent,
            limit.words()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_and_again_when_it_changes_but_not_with_every_swing() {
        let (mut jpegs, start) = (Jpegs::new(Passthrough::Auto), Instant::now());
        let mut line = |treated, seconds| jpegs.line(treated, Limit::Path, start + Duration::from_secs(seconds)).is_some();
        let (whole, changed) = (Some(Treatment::Whole), Some(Treatment::Changed));
        assert!(!line(None, 0) && line(whole, 1) && !line(whole, 2) && !line(whole, 100));
        assert!(line(changed, 101) && !line(whole, 102) && !line(changed, 103) && !line(whole, 105));
        assert!(line(whole, 112) && !line(None, 130) && line(Some(Treatment::Anew(Why::NoRoom)), 131));
    }

    #[test]
    fn what_limits_them_is_said_and_it_is_the_path_only_where_that_takes_less_than_the_user_and_those_who_watch_want() {
        let peer = |mbit: Option<u64>, quiet| PeerStats {
            capacity: mbit.map(|mbit| Bitrate(mbit * 1_000_000)),
            quiet,
            ..PeerStats::default()
        };
        let cap = Some(Bitrate(4_000_000));
        let limit = |peers: &[PeerStats]| Limit::of(cap, cap, 0, peers);
        assert_eq!(limit(&[peer(None, false)]), Limit::Cap);
        assert_eq!(limit(&[peer(Some(2), false)]), Limit::Path);
        assert_eq!(limit(&[peer(Some(2), false), peer(Some(8), false)]), Limit::Cap, "the best one counts");
        assert_eq!(limit(&[peer(Some(2), false), peer(None, true)]), Limit::Path, "of one that is silent nothing is known");
        assert_eq!(Limit::of(None, Some(Bitrate(1)), 0, &[peer(None, false)]), Limit::Path);
        assert_eq!(Limit::of(cap, cap, 1_000_000, &[peer(None, false)]), Limit::Wish);
        let (jpegs, no_room) = (Jpegs::new(Passthrough::Auto), Treatment::Anew(Why::NoRoom));
        let said = |treated, limit| jpegs.words(treated, limit);
        assert!(said(Treatment::Changed, Limit::Cap).ends_with("as it was made: --bitrate allows no more"));
        assert!(said(no_room, Limit::Cap).ends_with("anew: --bitrate allows no more"));
        assert!(
            said(no_room, Limit::Path).contains("the path has no room") && said(no_room, Limit::Wish).contains("watches asks")
        );
    }

    #[test]
    fn of_jpegs_that_are_left_out_it_is_said_how_many_and_what_helps_once_a_minute() {
        let (mut jpegs, start) = (Jpegs::new(Passthrough::On), Instant::now());
        let mut line =
            |left_out, sent, seconds| jpegs.left_out(left_out, sent, Limit::Path, start + Duration::from_secs(seconds));
        assert_eq!(line(0, 30, 0), None);
        let said = line(20, 40, 1).expect("some were left out");
        assert!(said.starts_with("of the last 30 JPEGs 20 were left out: the path has no room"), "{said}");
        assert!(said.ends_with("with --passthrough auto they are made to fit"), "{said}");
        assert_eq!((line(40, 50, 2), line(60, 60, 60)), (None, None));
        assert!(line(80, 70, 61).is_some_and(|said| said.starts_with("of the last 30 JPEGs 20")));
    }
}
