//! Temporal layers: pictures that may be left out without harm to the others.
//!
//! A relay sends to each what it asks for, and knows nothing of pictures. So they are published in [`LAYERS`] layers, by the
//! trailing zeros of their numbers: of eight pictures one is of layer 0, one of layer 1, two of layer 2 and four of layer 3. Who
//! takes the lowest ones has an eighth, a quarter or half of the pictures, evenly spaced, as in the temporal scalability of SVC
//! (RFC 6190).
//!
//! Where only what changed is coded, a picture says what became another since one before it. Of layers that one is its [`base`]:
//! the last picture of its own layer or a lower one. So no picture needs one that somebody may have left out
//! ([`Changes`]), and a receiver whose canvas is as its base was, or as any picture since, is up to date with it ([`Follower`]).
//! Who has none of these takes a whole picture first.

use crate::picture::mcu_set::McuSet;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many there are.
pub const LAYERS: usize = 4;

/// One picture of so many is of layer 0.
pub const PERIOD: u64 = 1 << (LAYERS - 1);

/// The layer of the picture of this number.
pub fn of(number: u64) -> usize {
    LAYERS - 1 - (number.trailing_zeros() as usize).min(LAYERS - 1)
}

/// The last picture before this one that is of its layer or a lower one. The first has none.
pub fn base(number: u64) -> Option<u64> {
    number.checked_sub(PERIOD >> of(number))
}

/// At the sender: what a picture has to bring beside what changed since the one before it.
#[derive(Debug, Default)]
pub struct Changes {
    /// For each layer what was sent since its last picture, or one of a lower layer; `None`: perhaps all.
    since: [Option<McuSet>; LAYERS],
}

impl Changes {
    /// These are coded of a picture of this number: what is to be sent beside them, as it was sent last.
    pub fn due(&mut self, number: u64, coded: &McuSet) -> McuSet {
        let (layer, like) = (of(number), (coded.size(), coded.sampling()));
        let none = || McuSet::new(like.0, like.1);
        let mut due = match &self.since[layer] {
            Some(since) if since.is_of(like.0, like.1) => since.clone(),
            _ => {
                let mut all = none();
                all.fill();
                all
            }
        };
        for (at, since) in self.since.iter_mut().enumerate() {
            match since {
                _ if at >= layer => *since = Some(none()),
                Some(set) if set.is_of(like.0, like.1) => set.add(coded),
                // All, and that stays so.
                _ => *since = None,
            }
        }
        due.remove_all(coded);
        due
    }

    /// All of a picture of this number is coded, and this is how its MCUs lie.
    pub fn all(&mut self, number: u64, like: &McuSet) {
        let layer = of(number);
        for (at, since) in self.since.iter_mut().enumerate() {
            *since = (at >= layer).then(|| McuSet::new(like.size(), like.sampling()));
        }
    }

    /// Something was sent that it was not told of.
    pub fn forget(&mut self) {
        *self = Changes::default();
    }
}

/// The most pictures that wait for one before them.
const WAITING: usize = PERIOD as usize;

/// At a receiver: which of the pictures that came whole may be shown, and in which order.
pub struct Follower<P> {
    /// What is shown is as this picture was.
    shown: Option<u64>,
    /// Those that need one which did not come yet.
    waiting: BTreeMap<u64, P>,
}

impl<P> Default for Follower<P> {
    fn default() -> Self {
        Follower { shown: None, waiting: BTreeMap::new() }
    }
}

impl<P> Follower<P> {
    /// A picture came; `all` of it is coded. What is to be shown now, in order.
    pub fn comes(&mut self, number: u64, all: bool, picture: P) -> Vec<P> {
        let mut due = Vec::new();
        if self.shown.is_some_and(|shown| number <= shown) {
            return due;
        }
        if all || self.is_ready(number) {
            self.shown = Some(number);
            due.push(picture);
        } else {
            self.waiting.insert(number, picture);
        }
        while let Some(first) = self.waiting.first_entry() {
            let (number, shown) = (*first.key(), self.shown);
            if shown.is_some_and(|shown| number <= shown) {
                first.remove();
            } else if base(number).is_some_and(|base| shown.is_some_and(|shown| shown >= base)) {
                self.shown = Some(number);
                due.push(first.remove());
            } else {
                // A later one may stand on what is shown all the same.
                let next = self.waiting.keys().copied().find(|number| self.is_ready(*number));
                let Some(picture) = next.and_then(|next| self.waiting.remove(&next)) else { break };
                self.shown = next;
                due.push(picture);
            }
        }
        while self.waiting.len() > WAITING {
            self.waiting.pop_first();
        }
        due
    }

    /// What is shown is of no use any more.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// Whether what is shown is as the base of this picture was, or as one since.
    fn is_ready(&self, number: u64) -> bool {
        base(number).is_some_and(|base| self.shown.is_some_and(|shown| shown >= base))
    }

    /// Whether a whole picture is needed: none is shown yet, or one of layer 0 is here and stands on one that is not.
    pub fn lacks(&self) -> bool {
        self.shown.is_none() || self.waiting.keys().any(|number| of(*number) == 0)
    }
}

/// So long is looked before a layer is given up.
const LOOK: Duration = Duration::from_millis(400);

/// A layer that was given up is tried again after so long, and after twice as long each time, up to the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(64));

/// One that fits is followed by the next so soon.
const NEXT: Duration = Duration::from_millis(1200);

/// At a receiver: how many layers its path takes. A layer of which more pictures were cut short than came is given up, and tried
/// again after a while.
pub struct Choice {
    layers: usize,
    came: [u32; LAYERS],
    cut: [u32; LAYERS],
    looks: Instant,
    /// When one more is tried; `None`: all are taken.
    retry: Option<Instant>,
    /// How long was waited for the last try, and when that was.
    tried: (Duration, Option<Instant>),
}

impl Choice {
    /// All of them.
    pub fn new(now: Instant) -> Self {
        let (came, cut) = ([0; LAYERS], [0; LAYERS]);
        Choice { layers: LAYERS, came, cut, looks: now + LOOK, retry: None, tried: (RETRY.0, None) }
    }

    /// A picture of this layer came whole, and in time.
    pub fn came(&mut self, layer: usize) {
        self.came[layer] += 1;
    }

    /// A picture of this layer was cut short, or came late.
    pub fn cut(&mut self, layer: usize) {
        self.cut[layer] += 1;
    }

    /// How many to take, at least one.
    pub fn layers(&mut self, now: Instant) -> usize {
        if now < self.looks {
            return self.layers;
        }
        self.looks = now + LOOK;
        let (came, cut) = (std::mem::take(&mut self.came), std::mem::take(&mut self.cut));
        let top = self.layers - 1;
        let below = |counts: &[u32; LAYERS]| counts[..top].iter().sum::<u32>();
        let is_too_much = cut[top] > came[top] || below(&cut) > below(&came);
        if is_too_much && top > 0 {
            self.layers = top;
            let in_vain = self.tried.1.is_some_and(|tried| now.saturating_duration_since(tried) < RETRY.0);
            self.tried.0 = if in_vain { (2 * self.tried.0).min(RETRY.1) } else { RETRY.0 };
            self.retry = Some(now + self.tried.0);
        } else if self.retry.is_some_and(|retry| now >= retry) {
            self.layers += 1;
            self.tried.1 = Some(now);
            self.retry = (self.layers < LAYERS).then_some(now + NEXT);
        }
        self.layers
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
