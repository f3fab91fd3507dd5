//! JPEGs of a stream that are left out, and the words about them: the first is told of at once, those that follow once in ten
//! seconds with how many there were, and the rest at the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::warn;

/// From one line to the next.
const PAUSE: Duration = Duration::from_secs(10);

/// Why one is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has no end, or bytes in it that no JPEG has there.
    Broken,
    /// It is of a kind that is not taken: this one.
    Kind(&'static str),
}

/// Those of one stream.
pub struct LeftOut<'a> {
    /// How many there were, for others to read.
    count: &'a AtomicU64,
    /// Why the last one was.
    last: Option<Why>,
    /// How many were told of, and when.
    told: Option<(u64, Instant)>,
}

impl<'a> LeftOut<'a> {
    /// Of a stream that begins now; each is added to `count`.
    pub fn new(count: &'a AtomicU64) -> Self {
        LeftOut { count, last: None, told: None }
    }

    /// One more, `now`.
    pub fn note(&mut self, why: Why, now: Instant) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        self.last = Some(why);
        if self.told.is_none_or(|(_, at)| now.saturating_duration_since(at) >= PAUSE) {
            self.told = Some((count, now));
            warn!("{}", line(count, why));
        }
    }

    /// The stream is over.
    pub fn end(&self) {
        let count = self.count.load(Ordering::Relaxed);
        if let Some(why) = self.last.filter(|_| self.told.is_some_and(|(told, _)| told < count)) {
            warn!("{}", line(count, why));
        }
    }
}

/// What is said of so many, of which the last is left out for this reason.
fn line(count: u64, why: Why) -> String {
    let (is, cure) = match why {
        Why::Broken => ("damaged, or breaks off", ""),
        Why::Kind(kind) => {
            (kind, "; baseline ones of at most 8192x8192 are taken: let ffmpeg convert them, `-f mjpeg -pix_fmt yuvj420p`")
        }
    };
    match count {
        1 => format!("a JPEG on stdin is left out, for it is {is}{cure}"),
        _ => format!("{count} JPEGs on stdin were left out so far; the last one is {is}{cure}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_of_at_once_and_the_others_together() {
        let (count, start) = (AtomicU64::new(0), Instant::now());
        let mut left_out = LeftOut::new(&count);
        let mut told = |seconds| {
            left_out.note(Why::Kind("progressive"), start + Duration::from_secs(seconds));
            left_out.told.map(|(told, _)| told)
        };
        assert_eq!([0, 1, 9, 10, 11].map(&mut told), [1, 1, 1, 4, 4].map(Some));
        assert_eq!(count.load(Ordering::Relaxed), 5);
        assert!(line(1, Why::Broken).ends_with("for it is damaged, or breaks off"));
        assert!(
            line(4, Why::Kind("progressive")).starts_with("4 JPEGs on stdin were left out so far; the last one is progressive;")
        );
    }
}
