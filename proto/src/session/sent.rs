//! What one peer was sent under which packet number, so that a NACK finds it again.
//!
//! Capacity: the last [`LEN`] packet numbers; older ones cannot be asked for (they are older than any picture of use).

use crate::wire::datagram::Nack;
use std::time::{Duration, Instant};

/// Packet numbers remembered: a second of 80 Mbit/s.
const LEN: usize = 8192;

/// How often a fragment is sent again at most: a path that loses half of everything loses one in 60,000 of them for good, and a
/// peer that asks for every packet it was ever sent cannot keep the sender busy with one picture.
pub const MAX_AGAIN: u8 = 16;

/// A fragment in the log of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentFragment {
    /// The track's number.
    pub track: u8,
    /// Its slice, counted from the start of the session.
    pub slice: u64,
    /// Which fragment of it.
    pub fragment: u16,
    /// The length of the payloads it was cut into.
    pub cut: u16,
    /// How often it was sent before.
    pub again: u8,
}

/// A packet that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    /// Its whole number.
    pub number: u64,
    /// When it left.
    pub left: Instant,
    /// The picture it has a fragment of, and of which track.
    pub picture: (u8, u64),
    /// Its bytes with every header of ours.
    pub len: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    number: u64,
    piece: SentFragment,
    /// Its picture, and its length with every header.
    picture: u64,
    len: u16,
    at: Instant,
    asked: bool,
}

pub struct Sent {
    entries: Vec<Option<Entry>>,
    next: u64,
}

impl Sent {
    pub fn new() -> Self {
        Sent { entries: Vec::new(), next: 0 }
    }

    /// Gives its memory back: nobody will ask, or it is asked in vain.
    pub fn forget(&mut self) {
        self.entries = Vec::new();
    }

    /// Remembers a packet of a picture, `len` bytes long.
    pub fn record(&mut self, at: Instant, number: u64, piece: SentFragment, picture: u64, len: usize) {
        if self.entries.is_empty() {
            self.entries = vec![None; LEN];
        }
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        self.entries[number as usize % LEN] = Some(Entry { number, piece, picture, len, at, asked: false });
        self.next = number + 1;
    }

    /// The packet whose number has this low half and lies nearest to the last one's.
    pub fn packet(&self, low: u32) -> Option<Packet> {
        let number = crate::seq::widen(low, self.next);
        let entry = self.entry(number)?;
        let picture = (entry.piece.track, entry.picture);
        Some(Packet { number, left: entry.at, picture, len: entry.len.into() })
    }

    /// Bytes of a picture's packets from this one on that were sent for the first time.
    pub fn bytes_from(&self, packet: &Packet) -> u32 {
        let end = self.next.min(packet.number.saturating_add(LEN as u64));
        let entries = (packet.number..end).filter_map(|number| self.entry(number)).filter(|entry| entry.piece.again == 0);
        // Another picture's packet ends it: a picture is sent in one go.
        entries.take_while(|entry| (entry.piece.track, entry.picture) == packet.picture).map(|entry| u32::from(entry.len)).sum()
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(number as usize % LEN)?.as_ref().filter(|entry| entry.number == number)
    }

    /// Hands out what a NACK misses, each packet once; ends where `lost` says that nothing more can be sent again now, and what
    /// was not may be asked for anew.
    pub fn take_lost(&mut self, now: Instant, nack: &Nack, rtt: Duration, mut lost: impl FnMut(SentFragment) -> bool) {
        let oldest = self.next.saturating_sub(LEN as u64);
        let mut from = oldest;
        for range in nack.missing.as_slice() {
            let end = range.first.saturating_add(u64::from(range.count)).min(self.next);
            // They are in order; what names one packet many times costs no more than once.
            for number in range.first.max(from)..end {
                if !self.take(number, &mut lost) {
                    return;
                }
            }
            from = from.max(end);
        }
        if nack.tail {
            // What was sent less than a round trip ago may simply not have arrived when the question was asked.
            let sure = |entry: &Entry| entry.at + rtt <= now;
            for number in nack.highest.saturating_add(1).max(oldest)..self.next {
                let entry = self.entries.get(number as usize % LEN);
                if entry.is_some_and(|entry| entry.as_ref().is_some_and(sure)) && !self.take(number, &mut lost) {
                    return;
                }
            }
        }
    }

    /// What is cut into longer payloads is sent by nobody any more: it may be asked for anew.
    pub fn ask_anew(&mut self, payload: usize) {
        for entry in self.entries.iter_mut().flatten().filter(|entry| usize::from(entry.piece.cut) > payload) {
            entry.asked = false;
        }
    }

    /// Whether more may be taken.
    fn take(&mut self, number: u64, lost: &mut impl FnMut(SentFragment) -> bool) -> bool {
        if let Some(Some(entry)) = self.entries.get_mut(number as usize % LEN)
            && entry.number == number
            && !entry.asked
            && entry.piece.again < MAX_AGAIN
        {
            entry.asked = lost(SentFragment { again: entry.piece.again + 1, ..entry.piece });
            return entry.asked;
        }
        true
    }
}

impl Default for Sent {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::datagram::Ranges;

    #[test]
    fn a_packet_is_handed_out_once_and_only_if_it_was_sent() {
        let (mut sent, now) = (Sent::new(), Instant::now());
        for number in 0..10_000 {
            sent.record(now, number, SentFragment { track: 0, slice: number, fragment: 0, cut: 1165, again: 0 }, 0, 1200);
        }
        let mut missing = Ranges::new();
        for number in [5, 9_998, 9_999, 10_000, 77_777] {
            missing.push(number);
        }
        let nack = Nack { highest: 9_999, tail: false, patience_ms: 50, missing };
        let mut lost = Vec::new();
        for _ in 0..2 {
            sent.take_lost(now, &nack, Duration::ZERO, |piece| {
                lost.push(piece.slice);
                true
            });
        }
        assert_eq!(lost, [9_998, 9_999], "5 is forgotten, the others were never sent");
    }

    #[test]
    fn what_was_sent_often_enough_is_not_sent_again() {
        let (mut sent, now) = (Sent::new(), Instant::now());
        sent.record(now, 0, SentFragment { track: 0, slice: 1, fragment: 0, cut: 1165, again: MAX_AGAIN }, 0, 1200);
        sent.record(now, 1, SentFragment { track: 0, slice: 2, fragment: 0, cut: 1165, again: MAX_AGAIN - 1 }, 0, 1200);
        let mut missing = Ranges::new();
        assert!(missing.push(0) && missing.push(1));
        let mut lost = Vec::new();
        sent.take_lost(now, &Nack { highest: 1, tail: false, patience_ms: 50, missing }, Duration::ZERO, |piece| {
            lost.push((piece.slice, piece.again));
            true
        });
        assert_eq!(lost, [(2, MAX_AGAIN)]);
    }

    #[test]
    fn the_tail_is_what_should_have_arrived_by_now() {
        let (mut sent, start) = (Sent::new(), Instant::now());
        let ms = Duration::from_millis;
        for number in 0..5 {
            sent.record(
                start + ms(number),
                number,
                SentFragment { track: 0, slice: number, fragment: 0, cut: 1165, again: 0 },
                0,
                1200,
            );
        }
        let nack = Nack { highest: 1, tail: true, patience_ms: 50, missing: Ranges::new() };
        let mut lost = Vec::new();
        for taken in [false, true, true] {
            sent.take_lost(start + ms(7), &nack, ms(4), |piece| {
                lost.push(piece.slice);
                taken
            });
        }
        assert_eq!(lost, [2, 2, 3], "what was not taken may be asked for again");
    }
}
