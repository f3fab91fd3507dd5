//! How long a film waits for those who watch it, and how long a sender stays after the end of its source.
//!
//! What is sent of a film is kept until every peer that holds it has settled it, and the film's reader is held back meanwhile
//! ([`Event::Pressure`]). A peer holds it while it is heard and settles pictures; one that does neither is served from what is
//! kept.

use super::super::sound_log::{self, SoundLog};
use super::{Event, Peer, Session};
use crate::media::packetizer::Log;
use crate::time::MediaTime;
use crate::wire::record::{OWN_TRACK, Record};
use std::time::{Duration, Instant};

/// Pictures a film may be ahead of the slowest peer: reports come every 100 ms, so this is never reached while all is well.
const WINDOW: u64 = 60;

/// Bytes of slices a film may have under way.
pub(super) const WINDOW_BYTES: usize = 24 << 20;

/// A film's peer unheard for this long no longer holds the others back. They ping four times and report ten times a second.
const UNRESPONSIVE: Duration = Duration::from_millis(400);

/// A film's only peer is waited for this long.
const LONE_PATIENCE: Duration = Duration::from_secs(2);

/// A peer that settles fewer than `peer::LEAST_SETTLED` pictures in this time no longer holds the film for the others: as long as
/// a receiver waits for a picture before it settles it as it is.
const STUCK: Duration = Duration::from_secs(2);

/// So long after anything moved for the last time (a picture or a block sent for the first time, a picture settled) peers have
/// time to ask for what they miss (they wait 2 s) and say goodbye.
pub(super) const LAST_CALL: Duration = Duration::from_millis(2500);

/// Sound may be this much ahead of the picture that is sent: its blocks take 10 ms each, a picture its period.
const SOUND_AHEAD: Duration = Duration::from_millis(100);

/// And this much ahead of the oldest picture the peer has not settled: a report comes every 100 ms, and takes its way.
const SOUND_AHEAD_OF_SETTLED: Duration = Duration::from_millis(400);

/// A log of sound with less room than this for more waits for no picture: a second.
const SOUND_ROOM: u64 = 100;

impl Session {
    /// A film's log is cut, and its reader held back or let go.
    pub(super) fn update_pressure(&mut self, now: Instant) {
        if !self.patient {
            return;
        }
        let alone = self.peers.len() == 1;
        let patience = if alone { LONE_PATIENCE } else { UNRESPONSIVE };
        let mut settled = None;
        for (id, peer) in &mut self.peers {
            peer.note_progress(now, self.pictures);
            let heard = self.endpoint.path(*id).and_then(|path| path.heard());
            let holds = heard.is_some_and(|heard| now < heard + patience) && (alone || now < peer.progress() + STUCK);
            if peer.pictures && peer.validated && holds {
                settled = Some(peer.track.settled.min(settled.unwrap_or(u64::MAX)));
            }
        }
        if let Some(settled) = settled {
            self.log.settle(settled);
        }
        let ahead = settled.map_or(0, |settled| self.pictures.saturating_sub(settled));
        let pressure = settled.is_some() && (ahead >= WINDOW || self.log.bytes() >= WINDOW_BYTES);
        if pressure != self.pressure {
            self.pressure = pressure;
            self.events.push_back(Event::Pressure(pressure));
        }
    }

    /// Something moved: the last call runs from now.
    pub(super) fn wait_on(&mut self, now: Instant) {
        if let Some((_, deadline)) = &mut self.end {
            *deadline = now + LAST_CALL;
        }
    }

    /// After the end: tells each peer once it was given everything, and finishes once all have left or had time enough.
    pub(super) fn update_end(&mut self, now: Instant) {
        let Some((end, deadline)) = self.end else { return };
        let blocks = self.sound.end();
        for (id, peer) in &mut self.peers {
            let pictures_done = peer.cursor >= self.log.end() || !peer.pictures;
            if !peer.end_sent && pictures_done && (peer.sound >= blocks || !peer.wants_sound) {
                peer.end_sent = true;
                self.endpoint.send(*id, &Record::End(OWN_TRACK, end));
            }
        }
        if !self.finished && (self.peers.is_empty() || now >= deadline) {
            self.finished = true;
            self.events.push_back(Event::Finished);
        }
    }
}

/// Until which capture time a film's sound may go to a peer now: on a path slower than the film it waits for the picture.
pub(super) fn sound_until(patient: bool, peer: &Peer, log: &Log, sound: &SoundLog) -> MediaTime {
    let end_of_time = MediaTime::from_nanos(u64::MAX);
    let sees = peer.pictures && peer.validated && !peer.too_narrow;
    let room = sound.end().saturating_sub(peer.sound) + SOUND_ROOM < sound_log::PATIENT_BLOCKS as u64;
    if !patient || !sees || !room {
        return end_of_time;
    }
    let until = |slice: u64, ahead| log.slice(slice).map_or(end_of_time, |slice| slice.capture.saturating_add(ahead));
    let sent = until(log.clamp(peer.cursor).slice, SOUND_AHEAD);
    sent.min(until(log.picture(peer.track.settled).slice, SOUND_AHEAD_OF_SETTLED))
}
