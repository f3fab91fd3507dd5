//! What decodes a viewer's slices: one after the other, in the order in which they were let go, for so long each.
//!
//! Which of them are worth it says the shipped reel, when a slice's turn comes. As `pipeline::decode` it keeps what waits until
//! then, and what is under way is finished.

use super::harness::Moment;
use eyeline_proto::media::slice::Slice;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is decoded.
pub enum What {
    Slice(Slice),
    /// What came of an unfinished slice of this picture: it is drawn, and counts for nothing.
    Part(u64),
}

/// One of them, with the moments at which it came and was let go to be decoded.
pub struct Job {
    pub what: What,
    pub came: Moment,
    pub released: Moment,
}

/// See the module text. The default decodes whatever it is given in no time.
#[derive(Default)]
pub struct Decoder {
    waiting: VecDeque<Job>,
    /// What is under way, and when it is done.
    hand: Option<(Instant, Job)>,
}

impl Job {
    pub fn picture(&self) -> u64 {
        match &self.what {
            What::Slice(slice) => slice.picture,
            What::Part(picture) => *picture,
        }
    }
}

impl Decoder {
    /// It is decoded when its turn comes.
    pub fn push(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// What is done at `now`.
    pub fn done(&mut self, now: Instant) -> Option<Job> {
        self.hand.take_if(|(done, _)| *done <= now).map(|(_, job)| job)
    }

    /// Whose turn it is; `None` while another is under way.
    pub fn next(&mut self) -> Option<Job> {
        if self.hand.is_some() { None } else { self.waiting.pop_front() }
    }

    /// This one takes so long from `now` on.
    pub fn begin(&mut self, now: Instant, job: Job, takes: Duration) {
        self.hand = Some((now + takes, job));
    }

    /// When what is under way is done.
    pub fn deadline(&self) -> Option<Instant> {
        self.hand.as_ref().map(|(done, _)| *done)
    }
}
