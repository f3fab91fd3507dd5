//! What is counted of what comes. Of a track that comes by two ways (`ways`) both are counted together, and each picture and block
//! once: when the application is told of it.

use super::Receiver;
use crate::session::endpoint::Endpoint;
use crate::session::events::Event;
use crate::session::stats::{ReceiverStats, TrackStats};
use std::time::Duration;

impl Receiver {
    /// What the application is told of counts. Not before: of two ways by which it may have come, only one is told of.
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Settled(track, settled) => match self.reception(*track) {
                Some(reception) => reception.told(settled),
                None => self.gone.count(settled),
            },
            Event::Sound(track, _) => self.reception(*track).into_iter().for_each(|reception| reception.told_sound(false)),
            Event::Packet { track, first: true, .. } => {
                self.reception(*track).into_iter().for_each(|reception| reception.told_sound(true));
            }
            _ => {}
        }
    }

    /// What was counted so far.
    pub fn stats(&self, endpoint: &mut Endpoint) -> ReceiverStats {
        let mut stats = ReceiverStats { total: self.gone, ..ReceiverStats::default() };
        // What comes directly is counted with what is forwarded of the same track.
        for inbound in self.inbound.iter().filter(|inbound| !inbound.direct).chain(self.inbound.iter().filter(|of| of.direct)) {
            let rtt = endpoint.path(inbound.link()).map_or(Duration::ZERO, |path| path.rtt().smoothed);
            stats.total += &inbound.received_in_all();
            let quiet = inbound.is_quiet();
            for (track, received, form) in inbound.received() {
                let Some((told, direct)) = self.ways.told(inbound.peer) else {
                    if !inbound.direct {
                        stats.tracks.push(TrackStats { track, received, rtt, quiet, form });
                    }
                    continue;
                };
                let Some(of) = stats.tracks.iter_mut().find(|of| of.track == told) else { continue };
                of.received += &received;
                if direct {
                    (of.rtt, of.quiet, of.form) = (rtt, quiet, form);
                }
            }
        }
        stats
    }
}
