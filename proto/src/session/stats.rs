//! What the session counts, once a second, for `--stats json` and the overlay. The README explains the fields.

use super::TrackId;
use super::endpoint::Discarded;
use super::gauge::Measured;
use crate::media::depacketizer::Settled;
use crate::media::rate_control::Bitrate;
use crate::sound::Form;
use crate::wire::report::{Report, TrackReport};
use std::time::Duration;

/// What a session counted since its start.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// What was sent.
    pub sending: SenderStats,
    /// What was received.
    pub receiving: ReceiverStats,
    /// What was turned away.
    pub counters: Discarded,
}

/// A sender's counters since its start.
#[derive(Debug, Clone, Default)]
pub struct SenderStats {
    pub pictures: u64,
    pub slices: u64,
    /// Blocks of sound caught.
    pub blocks: u64,
    /// Peers that ever said hello.
    pub peers_seen: u64,
    /// Bytes of slices kept for retransmission now.
    pub log_bytes: u64,
    /// The peers of now.
    pub peers: Vec<PeerStats>,
}

/// What a sender knows of one peer.
#[derive(Debug, Clone, Default)]
pub struct PeerStats {
    pub name: String,
    /// Where it is.
    pub address: String,
    /// Datagrams of media sent.
    pub datagrams: u64,
    pub bytes: u64,
    /// Fragments sent again.
    pub resent: u64,
    /// Shards of forward error correction sent.
    pub parity: u64,
    /// NACKs that came.
    pub nacks: u64,
    /// Pictures skipped because it was behind.
    pub skipped: u64,
    /// Blocks of sound sent.
    pub blocks: u64,
    /// Of those, blocks sent as Opus packets; beside TCP, too, they are counted where TCP is given them.
    pub packets: u64,
    /// In which form our sound is sent to it now; `None` where none is.
    pub form: Option<Form>,
    /// Pieces of blocks sent beside TCP.
    pub copies: u64,
    /// Blocks dropped because they had grown old.
    pub stale_blocks: u64,
    /// Round-trip time.
    pub rtt: Duration,
    /// Unheard for three seconds.
    pub quiet: bool,
    /// Its last report.
    pub report: Report,
    /// What it said last of our track.
    pub track: TrackReport,
    /// What its path takes, where that is less than it could be sent.
    pub capacity: Option<Bitrate>,
    /// The queue that stands on its path.
    pub queue: Duration,
    /// The longest datagram its path is known to take, in bytes without IP and UDP headers; 0 where nothing large passes.
    pub path_mtu: u64,
    /// What rate its path takes, where that was asked for.
    pub measured: Option<Measured>,
}

/// A receiver's counters since its start.
#[derive(Debug, Clone, Default)]
pub struct ReceiverStats {
    /// What came of all senders there were, added up.
    pub total: Received,
    /// The tracks of now, in the order in which their senders came.
    pub tracks: Vec<TrackStats>,
}

/// What a receiver knows of one track.
#[derive(Debug, Clone)]
pub struct TrackStats {
    pub track: TrackId,
    /// What came of it since it came; with the first of a sender what belongs to none.
    pub received: Received,
    /// Round-trip time to its sender.
    pub rtt: Duration,
    /// Its sender is unheard for three seconds.
    pub quiet: bool,
    /// In which form the newest block of sound came.
    pub form: Option<Form>,
}

/// What came of a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Pictures that came whole.
    pub whole: u64,
    /// Pictures that came in part.
    pub partial: u64,
    /// Pictures of which nothing came in time.
    pub lost: u64,
    /// Pictures that their sender left out: nothing of them came, and no packet is missing.
    pub left_out: u64,
    pub slices: u64,
    pub datagrams: u64,
    pub bytes: u64,
    /// Packet numbers that never came.
    pub lost_packets: u64,
    pub nacks: u64,
    /// Fragments that forward error correction brought back.
    pub recovered: u64,
    /// Fragments that were not needed: came twice or too late.
    pub late: u64,
    /// Fragments that contradicted themselves, and blocks of sound beyond what can have been spoken in that time.
    pub bad: u64,
    /// Blocks of sound that came.
    pub blocks: u64,
    /// Of those, blocks that came as Opus packets.
    pub packets: u64,
    /// Of all, blocks that came first beside TCP.
    pub copied_blocks: u64,
    /// Blocks that came again.
    pub duplicate_blocks: u64,
    /// Bytes of unfinished slices held now; none of a sender that is gone.
    pub assembly_bytes: u64,
}

impl Received {
    /// One picture more.
    pub(super) fn count(&mut self, settled: &Settled) {
        let counter = match settled {
            whole if whole.is_whole() => &mut self.whole,
            Settled { unsent: true, .. } => &mut self.left_out,
            Settled { count: 0, .. } => &mut self.lost,
            _ => &mut self.partial,
        };
        *counter += 1;
    }
}

impl std::ops::AddAssign<&Received> for Received {
    fn add_assign(&mut self, more: &Received) {
        let Received { whole, partial, lost, left_out, slices, datagrams, bytes, lost_packets, nacks, .. } = more;
        let Received { recovered, late, bad, blocks, copied_blocks, duplicate_blocks, assembly_bytes, packets, .. } = more;
        let pairs = [
            (&mut self.whole, whole),
            (&mut self.partial, partial),
            (&mut self.lost, lost),
            (&mut self.left_out, left_out),
            (&mut self.slices, slices),
            (&mut self.datagrams, datagrams),
            (&mut self.bytes, bytes),
            (&mut self.lost_packets, lost_packets),
            (&mut self.nacks, nacks),
            (&mut self.recovered, recovered),
            (&mut self.late, late),
            (&mut self.bad, bad),
            (&mut self.blocks, blocks),
            (&mut self.packets, packets),
            (&mut self.copied_blocks, copied_blocks),
            (&mut self.duplicate_blocks, duplicate_blocks),
            (&mut self.assembly_bytes, assembly_bytes),
        ];
        for (sum, more) in pairs {
            *sum += more;
        }
    }
}
