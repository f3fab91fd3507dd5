//! placeholder until the sound branch lands
#![allow(missing_docs)]
use crate::time::MediaTime;
use std::time::{Duration, Instant};
#[derive(Debug, Clone, Copy)]
pub struct Epoch(Instant);
impl Epoch {
    pub fn new(at: Instant) -> Self {
        Epoch(at)
    }
    pub fn media_time(&self, at: Instant) -> MediaTime {
        MediaTime::from_nanos(at.saturating_duration_since(self.0).as_nanos() as u64)
    }
    pub fn instant(&self, at: MediaTime) -> Instant {
        self.0 + Duration::from_nanos(at.as_nanos())
    }
}
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    pub local: Instant,
    pub media: MediaTime,
}
#[derive(Default)]
pub struct Estimate(Option<(Mapping, Duration)>);
impl Estimate {
    pub fn new() -> Self {
        Self(None)
    }
    pub fn sample(&mut self, now: Instant, sent: Instant, received: MediaTime, replied: MediaTime) {
        let rtt = now.saturating_duration_since(sent).saturating_sub(replied.saturating_since(received));
        if self.0.is_none_or(|(_, best)| rtt <= best) {
            self.0 = Some((Mapping { local: sent + rtt / 2, media: received }, rtt));
        }
    }
    pub fn mapping(&self) -> Option<Mapping> {
        self.0.map(|x| x.0)
    }
    pub fn to_local(&self, at: MediaTime) -> Option<Instant> {
        self.0.and_then(|(m, _)| {
            if at >= m.media {
                m.local.checked_add(at.saturating_since(m.media))
            } else {
                m.local.checked_sub(m.media.saturating_since(at))
            }
        })
    }
    pub fn rtt(&self) -> Option<Duration> {
        self.0.map(|x| x.1)
    }
}
