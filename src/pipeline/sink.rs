//! What takes a track's encoded pictures and its sound, as they come: the screen, a file, the preview.
//!
//! Each track has its own sinks; another track gets others, and the end of one is a drop. Nothing is decoded for a sink that does not want
//! it, and bytes are shared, not copied. Called on the thread on which it comes, the net thread or the encoder's: nothing here may wait.

use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::media::slice::{Part, Slice};
use eyeline_proto::sound::Numbered;
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::Format;
use std::time::Instant;

/// See the module text. A sink implements what it wants.
pub trait EncodedSink: Send {
    /// What the stream is, whenever that changes.
    fn format(&mut self, _format: Format) {}
    /// How the sender's clock maps to ours, whenever it is known better.
    fn clock(&mut self, _mapping: Mapping) {}
    /// A slice is whole.
    fn slice(&mut self, _slice: &Slice, _received: Instant) {}
    /// What came of a slice that will not become whole; before its picture is settled.
    fn part(&mut self, _part: &Part, _received: Instant) {}
    /// A picture is complete or will not become so. In order, each number once.
    fn settled(&mut self, _settled: Settled) {}
    /// Pictures and blocks of sound below these numbers are of a place that the film has left.
    fn goes_on_at(&mut self, _picture: u64, _block: u64) {}
    /// A block of sound came, by the sender's clock.
    fn sound(&mut self, _sound: &Numbered<MediaTime>, _received: Instant) {}
}
