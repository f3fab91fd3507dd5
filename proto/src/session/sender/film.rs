//! How long a film waits for those who watch it, and how long a sender stays after the end of its source.
//!
//! What is sent of a film is kept until every peer that holds it has settled it, and the film's reader is held back meanwhile
//! ([`Event::Pressure`]). A peer holds it while it is heard and settles pictures; one that does neither is served from what is
//! kept.

use super::super::outbound::{FILM_BYTES, Outbound};
use super::super::peer::Peer;
use super::super::sound_log;
use super::{Event, LinksAndEvents, Sender};
use crate::time::MediaTime;
use crate::wire::record::{End, OWN_TRACK, Record};
use std::time::{Duration, Instant};

/// Pictures a film may be ahead of the slowest peer: reports come every 100 ms, so this is never reached while all is well.
const WINDOW: u64 = 60;

/// A film's peer unheard for this long no longer holds the others back. They ping four times and report ten times a second.
const UNRESPONSIVE: Duration = Duration::from_millis(400);

/// A film's only peer is waited for this long.
const LONE_PATIENCE: Duration = Duration::from_secs(2);

/// A peer that settles fewer than `subscription::LEAST_SETTLED` pictures in this time no longer holds the film for the others: as
/// long as a receiver waits for a picture before it settles it as it is.
const STUCK: Duration = Duration::from_secs(2);

/// So long after anything moved for the last time (a picture or a block sent for the first time, a picture settled) peers have
/// time to ask for what they miss (they wait 2 s) and say goodbye.
const LAST_CALL: Duration = Duration::from_millis(2500);

/// Sound may be this much ahead of the picture that is sent: its blocks take 10 ms each, a picture its period.
const SOUND_AHEAD: Duration = Duration::from_millis(100);

/// And this much ahead of the oldest picture the peer has not settled: a report comes every 100 ms, and takes its way.
const SOUND_AHEAD_OF_SETTLED: Duration = Duration::from_millis(400);

/// A log of sound with less room than this for more waits for no picture: a second.
const SOUND_ROOM: u64 = 100;

/// How far our own source is from its end.
pub(super) enum Ending {
    /// It goes on.
    Open,
    /// It is over, and so much there was in all. Until then peers may ask for what they miss.
    LastCall(End, Instant),
    /// Everybody has everything, or had time enough.
    Over,
}

impl Ending {
    /// Something moved: the last call runs from now.
    pub fn goes_on(&mut self, now: Instant) {
        if let Ending::LastCall(_, deadline) = self {
            *deadline = now + LAST_CALL;
        }
    }

    /// The source goes on.
    pub fn is_open(&self) -> bool {
        matches!(self, Ending::Open)
    }

    /// When peers had time enough.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Ending::LastCall(_, deadline) => Some(*deadline),
            Ending::Open | Ending::Over => None,
        }
    }
}

impl Sender {
    /// A film's log is cut, and its reader held back or let go.
    pub fn update_pressure(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        let Some(own) = self.tracks.first_mut().filter(|own| own.lossless) else { return };
        let alone = self.peers.len() == 1;
        let patience = if alone { LONE_PATIENCE } else { UNRESPONSIVE };
        let mut settled = None;
        for (id, peer) in &mut self.peers {
            let sees = peer.wants.pictures && peer.validated;
            let Some(subscription) = peer.subscription(OWN_TRACK) else { continue };
            subscription.note_progress(now, own.pictures);
            let heard = shared.endpoint.path(*id).and_then(|path| path.heard());
            let holds = heard.is_some_and(|heard| now < heard + patience) && (alone || now < subscription.progress() + STUCK);
            if sees && holds {
                settled = Some(subscription.report.settled.min(settled.unwrap_or(u64::MAX)));
            }
        }
        if let Some(settled) = settled {
            own.log.settle(settled);
        }
        let ahead = settled.map_or(0, |settled| own.pictures.saturating_sub(settled));
        let pressure = settled.is_some() && (ahead >= WINDOW || own.log.bytes() >= FILM_BYTES);
        if pressure != self.pressure {
            self.pressure = pressure;
            shared.events.push_back(Event::Pressure(pressure));
        }
    }

    /// Our own source is over.
    pub fn end(&mut self, now: Instant) {
        let end = self.own().map(|own| End { pictures: own.pictures, blocks: own.sound.end() });
        self.ending = Ending::LastCall(end.unwrap_or(End { pictures: 0, blocks: 0 }), now + LAST_CALL);
    }

    /// After the end: tells each peer once it was given everything, and finishes once all have left or had time enough.
    pub fn update_end(&mut self, now: Instant, shared: &mut LinksAndEvents<'_>) {
        let Ending::LastCall(end, deadline) = self.ending else { return };
        if let Some(own) = self.tracks.first() {
            let (pictures, blocks) = (own.log.end(), own.sound.end());
            for (id, peer) in &mut self.peers {
                let wants = peer.wants;
                let Some(subscription) = peer.subscription(OWN_TRACK) else { continue };
                let pictures_done = subscription.cursor >= pictures || !wants.pictures;
                if !subscription.end_sent && pictures_done && (subscription.sound >= blocks || !wants.sound) {
                    subscription.end_sent = true;
                    shared.endpoint.send(*id, &Record::End(OWN_TRACK, end));
                }
            }
        }
        if self.peers.is_empty() || now >= deadline {
            self.ending = Ending::Over;
            let pictures = self.own().map_or(0, |own| own.pictures);
            let has_all = |peer: &&Peer| {
                let own = peer.subscriptions.iter().find(|subscription| subscription.track() == OWN_TRACK);
                own.is_none_or(|own| own.end_sent && (own.report.settled >= pictures || !peer.wants.pictures))
            };
            let (complete, lacking): (Vec<_>, Vec<_>) = self.peers.values().partition(has_all);
            let lacking = lacking.into_iter().map(|peer| peer.stats.name.clone()).collect();
            shared.events.push_back(Event::Delivered { complete: !complete.is_empty(), lacking });
        }
    }
}

/// Until which capture time a track's sound may go to a peer now, whose subscription it is: that of a film waits for the picture
/// on a path slower than the film.
pub(super) fn sound_until(peer: &Peer, place: usize, track: &Outbound) -> MediaTime {
    let end_of_time = MediaTime::from_nanos(u64::MAX);
    let (subscription, log) = (&peer.subscriptions[place], &track.log);
    let sees = peer.wants.pictures && peer.validated && !peer.too_narrow;
    let room = track.sound.end().saturating_sub(subscription.sound) + SOUND_ROOM < sound_log::LOSSLESS_BLOCKS as u64;
    if !track.lossless || !sees || !room {
        return end_of_time;
    }
    let until = |slice: u64, ahead| log.slice(slice).map_or(end_of_time, |slice| slice.capture().saturating_add(ahead));
    let sent = until(log.clamp(subscription.cursor).slice, SOUND_AHEAD);
    sent.min(until(log.picture(subscription.report.settled).slice, SOUND_AHEAD_OF_SETTLED))
}
