//! One receiver, as the sender sees it: how far it was sent the log, what it asked for again, what it reported.
//!
//! Each peer has cursors of its own into what all share, so none slows another. Capacity: [`MAX_RESEND`] fragments to be sent
//! again; what is asked for beyond that is not.

use super::path::Path;
use super::sent::{Piece, Sent};
use super::sound_copies::SoundCopies;
use super::stats::PeerStats;
use crate::media::packetizer::{Cursor, Log};
use crate::time::MediaTime;
use crate::wire::datagram::{FRAGMENT_LEN, Message, Nack, Report};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of a datagram: fits every path (RFC 9000 §14 asks for 1200 as well), tunnels included.
pub const DATAGRAM: usize = 1200;

/// Payload bytes of a fragment in a datagram of `DATAGRAM` bytes.
const PAYLOAD: usize = DATAGRAM - Path::OVERHEAD - FRAGMENT_LEN;

/// Datagrams in one run: what a GSO send takes at most (64), and below 64 KiB.
const MAX_RUN: usize = 48;

/// Fragments waiting to be sent again to one peer: a burst of the log's size; more is a peer that asks for everything.
const MAX_RESEND: usize = 8192;

/// See the module text.
pub(super) struct Peer {
    /// The next fragment it has not been sent.
    pub cursor: Cursor,
    /// The next block of sound it has not been sent.
    pub sound: u64,
    /// What it is sent of sound beside TCP.
    pub copies: SoundCopies,
    /// It wants pictures.
    pub pictures: bool,
    /// It wants sound.
    pub wants_sound: bool,
    /// Its address proved itself.
    pub validated: bool,
    /// Its last report.
    pub report: Report,
    /// It was told of the end.
    pub end_sent: bool,
    /// What is counted of it.
    pub stats: PeerStats,
    sent: Sent,
    resend: VecDeque<Piece>,
}

impl Peer {
    /// One that was sent nothing yet.
    pub fn new(cursor: Cursor, sound: u64, wants: (bool, bool), report: Report, stats: PeerStats) -> Self {
        let (pictures, wants_sound) = wants;
        let (sent, resend) = (Sent::new(), VecDeque::new());
        Peer {
            cursor,
            sound,
            copies: SoundCopies::default(),
            pictures,
            wants_sound,
            validated: false,
            report,
            end_sent: false,
            stats,
            sent,
            resend,
        }
    }

    /// Whether anything is there to be sent to it.
    pub fn wants_pictures(&self, log: &Log) -> bool {
        self.validated && self.pictures && (log.clamp(self.cursor) < log.end() || !self.resend.is_empty())
    }

    /// It misses packets: what was in them is queued again, unless it was caught before `horizon` and is of no use any more.
    pub fn handle_nack(&mut self, now: Instant, nack: &Nack, rtt: Duration, horizon: MediaTime, log: &Log) {
        self.stats.nacks += 1;
        let resend = &mut self.resend;
        self.sent.take_lost(now, nack, rtt, |piece| {
            let wanted = log.slice(piece.slice).is_some_and(|slice| slice.capture >= horizon);
            if wanted && resend.len() < MAX_RESEND {
                resend.push_back(piece);
            }
        });
    }

    /// Appends a run of datagrams and says the length of each but the last; 0 if there is nothing to send.
    pub fn fill(&mut self, now: Instant, log: &Log, path: &mut Path, patient: bool, buffer: &mut Vec<u8>) -> usize {
        let segment = match self.fill_resends(now, log, path, buffer) {
            0 => self.fill_fresh(now, log, path, patient, buffer),
            segment => segment,
        };
        if segment > 0 {
            self.stats.bytes += buffer.len() as u64;
            self.stats.datagrams += buffer.len().div_ceil(segment) as u64;
        }
        segment
    }

    fn fill_resends(&mut self, now: Instant, log: &Log, path: &mut Path, buffer: &mut Vec<u8>) -> usize {
        let mut segment = 0;
        for _ in 0..MAX_RUN {
            let Some(piece) = self.resend.front().copied() else { break };
            let Some(slice) = log.slice(piece.slice) else {
                self.resend.pop_front();
                continue;
            };
            let (head, payload) = slice.fragment(piece.fragment, PAYLOAD);
            let len = payload.len() + Path::OVERHEAD + FRAGMENT_LEN;
            if segment != 0 && len > segment {
                break;
            }
            let number = path.seal(buffer, |out| Message::Fragment(head, payload).encode(out));
            self.sent.record(now, number, piece);
            self.resend.pop_front();
            self.stats.resent += 1;
            segment = segment.max(len);
            if len < segment {
                break;
            }
        }
        segment
    }

    fn fill_fresh(&mut self, now: Instant, log: &Log, path: &mut Path, patient: bool, buffer: &mut Vec<u8>) -> usize {
        let newest = log.newest_picture();
        let mut cursor = log.clamp(self.cursor);
        if !patient && cursor < newest {
            // Newest wins: of the picture before the newest the rest may still go out, of older ones nothing.
            let behind = log.slice(cursor.slice).zip(log.slice(newest.slice)).map_or(0, |(old, new)| new.picture - old.picture);
            if behind > 1 {
                self.stats.skipped += behind - 1;
                cursor = newest;
            }
        }
        let Some(slice) = log.slice(cursor.slice) else {
            self.cursor = cursor;
            return 0;
        };
        let last = slice.fragments(PAYLOAD);
        for _ in 0..MAX_RUN {
            let (head, payload) = slice.fragment(cursor.fragment, PAYLOAD);
            let number = path.seal(buffer, |out| Message::Fragment(head, payload).encode(out));
            self.sent.record(now, number, Piece { slice: cursor.slice, fragment: cursor.fragment, again: 0 });
            cursor.fragment += 1;
            if cursor.fragment == last {
                cursor = Cursor { slice: cursor.slice + 1, fragment: 0 };
                break;
            }
        }
        self.cursor = cursor;
        buffer.len().min(DATAGRAM)
    }
}
