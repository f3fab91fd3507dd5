//! What is due of a film is given out: each picture and block of sound at its time, a still again and again.

use super::super::feed::Timed;
use super::super::matroska::Stream;
use super::{Player, STILL_LEAST};
use crate::capture::y4m::jpegs::{Step, Walker};
use crate::threads::{lock, wait_for};
use eyeline_proto::picture::{Body, Buffer, BufferPool, Picture, Sampling, Size};
use eyeline_proto::sound::Block;
use std::time::{Duration, Instant};
use tracing::warn;

impl Player {
    /// Gives each picture out when its time has come.
    pub fn give_pictures(&self) {
        let Some((size, still)) = self.playback.video.as_ref().map(|video| (video.size, video.still)) else { return };
        while let Some(Timed { era, time, stray, data }) = self.feed.pop_picture() {
            let captured = self.clock.look(era, time).or_else(|| self.clock.wait(Stream::Pictures, era, time, !stray));
            let Some(captured) = captured else { continue };
            if still {
                return self.show_still(&data, size);
            }
            let Some(picture) = self.picture(captured, size, data) else { continue };
            let picture = Picture { position: Some(time), ..picture };
            if self.clock.pushing(Stream::Pictures, || self.pictures.push(picture)).is_err() {
                return self.stop();
            }
        }
    }

    pub(super) fn are_jpegs(&self) -> bool {
        self.playback.video.as_ref().is_some_and(|video| video.jpegs)
    }

    /// What came of a picture; `None` where it is a JPEG that cannot be one. JPEGs may change their size.
    fn picture(&self, captured: Instant, size: Size, data: Buffer) -> Option<Picture> {
        if !self.are_jpegs() {
            return Some(Picture::new(captured, size, Body::Planes(Sampling::Yuv420, data)));
        }
        match Walker::default().walk(&data) {
            Step::Picture(_, jpeg) => {
                let picture = Picture::new(captured, jpeg.size, Body::Jpeg(data));
                Some(Picture { view: jpeg.view(), ..picture })
            }
            _ => {
                warn!("a picture of {} is damaged and is left out", self.playback.origin.name.display());
                None
            }
        }
    }

    /// Gives the only picture again and again, each time as caught now.
    fn show_still(&self, planes: &[u8], size: Size) {
        let period = self.playback.video.as_ref().map_or(Duration::ZERO, |video| video.rate.period());
        let until = self.playback.still.filter(|_| !self.playback.looped).map(|shown| Instant::now() + shown);
        let pool = BufferPool::new();
        loop {
            let mut copy = pool.take(planes.len());
            copy.copy_from_slice(planes);
            let shown = Instant::now();
            if self.pictures.push(Picture::new(shown, size, Body::Planes(Sampling::Yuv420, copy))).is_err() {
                return self.stop();
            }
            let mut still = lock(&self.still);
            loop {
                let now = Instant::now();
                if still.stopped || until.is_some_and(|until| now >= until) {
                    return;
                }
                let next = shown + if still.again { STILL_LEAST } else { period };
                if now >= next {
                    still.again = false;
                    break;
                }
                let wake = until.map_or(next, |until| until.min(next));
                still = wait_for(&self.still_changed, still, wake - now);
            }
        }
    }

    /// Gives each block out when its time has come.
    pub fn give_sound(&self) {
        let channels = self.playback.sound.as_ref().map_or(1, |sound| sound.channels);
        while let Some(Timed { era, time, stray, data }) = self.feed.pop_sound() {
            let Some(capture) = self.clock.wait(Stream::Sound, era, time, !stray) else { continue };
            let block = Block { capture, channels, samples: data };
            if self.clock.pushing(Stream::Sound, || self.sound.push(block)).is_err() {
                return self.stop();
            }
        }
    }
}
