//! What is asked of the benches that have a size: the glass, the grid, the meeting, the load.

use crate::peers::{ALL, Peer};
use std::path::PathBuf;

/// A size and rate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Pictures a second.
    pub fps: u64,
}

impl std::str::FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Case, String> {
        let parse = || {
            let (size, fps) = text.split_once('@').unwrap_or((text, "30"));
            let (width, height) = size.split_once('x')?;
            Some(Case { width: width.parse().ok()?, height: height.parse().ok()?, fps: fps.parse().ok()? })
        };
        parse().ok_or(format!("{text:?} is no size: write 1280x720@30"))
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}@{}", self.width, self.height, self.fps)
    }
}

/// What is asked for.
pub struct Options {
    /// Sizes, in order.
    pub cases: Vec<Case>,
    /// How long each peer is measured.
    pub seconds: f64,
    /// How often everything is done; figures are medians.
    pub runs: usize,
    /// Whom; `None` is everybody, but at sizes above 1080p, which no peer keeps up with, Eyeline and the floor alone.
    pub peers: Option<Vec<&'static Peer>>,
    /// How many senders or members, one after the other; the usual ones where none are named.
    pub counts: Vec<usize>,
    /// The only processors anything may use, the meter too; empty is all.
    pub cores: Vec<usize>,
    /// Where `send` and `recv` are.
    pub programs: PathBuf,
    /// Where the peers' scripts are.
    pub scripts: PathBuf,
}

impl Options {
    /// The size and rate of a measurement that has one: what was asked for, where that is one.
    pub fn one(&self, usual: Case) -> Case {
        if let [case] = self.cases[..] { case } else { usual }
    }

    /// Whom to measure at this size, in order.
    pub fn peers(&self, case: Case) -> impl Iterator<Item = &'static Peer> {
        let small = case.height <= 1080;
        let usual = ALL.iter().filter(move |peer| small || matches!(peer.key, "show" | "eyeline"));
        self.peers.clone().unwrap_or_else(|| usual.collect()).into_iter()
    }
}
