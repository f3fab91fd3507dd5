//! Sound that came over TCP, as blocks or as Opus packets.

use super::Receiver;
use super::inbound::{AcrossSenders, Inbound};
use crate::session::endpoint::Endpoint;
use crate::session::link::LinkId;
use crate::sound::{Numbered, Packet};
use crate::time::MediaTime;
use std::time::Instant;

impl Receiver {
    /// A block of sound came over TCP. Whether its track is received, or no sound is wanted.
    pub fn take_block(
        &mut self,
        now: Instant,
        (link, track): (LinkId, u8),
        sound: Numbered<MediaTime>,
        endpoint: &mut Endpoint,
    ) -> bool {
        self.take_sound(now, (link, track), endpoint, |inbound, across| inbound.block_came(now, track, sound, across))
    }

    /// The same as an Opus packet. Whether it may be one, too.
    pub fn take_packet(
        &mut self,
        now: Instant,
        (link, track): (LinkId, u8),
        sound: Numbered<MediaTime, Packet>,
        endpoint: &mut Endpoint,
    ) -> bool {
        let may = |inbound: &mut Inbound| inbound.reception(track).is_none_or(|reception| reception.takes_packets());
        if self.wants.sound && self.place(link).is_some_and(|place| !may(&mut self.inbound[place])) {
            return false;
        }
        self.take_sound(now, (link, track), endpoint, |inbound, across| inbound.packet_came(now, track, sound, across))
    }

    /// Sound `came` to its sender's half, which says whether it proves that it sends.
    fn take_sound(
        &mut self,
        now: Instant,
        (link, track): (LinkId, u8),
        endpoint: &mut Endpoint,
        came: impl FnOnce(&mut Inbound, &mut AcrossSenders) -> bool,
    ) -> bool {
        if !self.wants.sound {
            return true;
        }
        self.media_came(now, link, endpoint);
        let Some(place) = self.place(link) else { return true };
        let inbound = &mut self.inbound[place];
        let known = inbound.reception(track).is_some();
        if came(inbound, &mut self.across) {
            self.proved(now, endpoint);
        }
        known
    }
}
