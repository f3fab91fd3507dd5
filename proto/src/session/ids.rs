//! Names for those we hear from, for events and commands to speak of them.

/// A process on the other side, across all its connections; never used twice in a session. One that is started anew is another,
/// one that lost its connection and came back is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PeerId(pub u64);

/// One camera and microphone of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TrackId {
    /// Whose.
    pub peer: PeerId,
    /// Which of its tracks; a sender has one, 0.
    pub track: u8,
}

impl TrackId {
    /// A sender's only track.
    pub const fn only(peer: PeerId) -> Self {
        TrackId { peer, track: 0 }
    }
}
