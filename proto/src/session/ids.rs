//! Names for those we hear from, for events and commands to speak of them.

use crate::wire::record::OWN_TRACK;

/// A process on the other side, across all its connections; never used twice in a session. One that is started anew is another,
/// one that lost its connection and came back is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PeerId(pub u64);

/// One camera and microphone of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TrackId {
    pub peer: PeerId,
    /// Which of its tracks; its own is 0, others it forwards.
    pub track: u8,
}

impl TrackId {
    /// What a process sends of its own.
    pub const fn own(peer: PeerId) -> Self {
        TrackId { peer, track: OWN_TRACK }
    }

    /// Whether it is its sender's own; else its sender forwards it.
    pub fn is_own(self) -> bool {
        self.track == OWN_TRACK
    }
}
