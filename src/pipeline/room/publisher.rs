//! What we publish: each slice and block sealed, on the thread on which it was encoded.

use super::{PACKET, PICTURES, SAMPLES, SOUND, WHOLE};
use crate::pipeline::encode::{Published, Uses};
use crate::relay::{Outlet, Stream};
use eyeline_proto::crypto::TAG;
use eyeline_proto::crypto::room::{self, Place};
use eyeline_proto::media::layers;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::sound::{Block, Numbered, Packet};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::sound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes beside a slice's: which it is, of how many, and the tag.
const BESIDE: usize = 2 + TAG;

/// See the module text.
pub(super) struct Publisher {
    sealer: room::Publisher,
    outlet: Outlet,
    /// All of the picture that is encoded now is coded, once.
    all: AtomicBool,
    /// Blocks of sound so far.
    blocks: AtomicU64,
}

impl Publisher {
    pub(super) fn new(sealer: room::Publisher, outlet: Outlet) -> Self {
        Publisher { sealer, outlet, all: AtomicBool::new(false), blocks: AtomicU64::new(0) }
    }

    fn put(&self, (stream, sealed_as): (Stream, u8), (number, index, count): (u64, u8, u8), slice: &Slice) {
        let mut frame = Vec::with_capacity(BESIDE + slice.bytes().len());
        frame.extend_from_slice(&[index, count]);
        frame.extend_from_slice(slice.bytes());
        self.sealer.seal(Place { stream: sealed_as, group: number, frame: index }, 1, &mut frame);
        self.outlet.frame(stream, (number, count), slice.capture(), frame);
    }
}

impl Published for Publisher {
    fn uses(&self) -> Uses {
        let used = self.outlet.used();
        Uses { pictures: used.pictures(), sound: used.is(Stream::Sound), whole: used.whole(), takes: self.outlet.takes() }
    }

    fn picture(&self, _number: u64, whole: bool) {
        self.all.store(whole, Ordering::Relaxed);
    }

    fn slice(&self, slice: &Slice) {
        let used = self.outlet.used();
        if !used.pictures() {
            return;
        }
        let (number, shared, owed) = (slice.picture, slice.head().shared, slice.head().owed);
        let layer = layers::of(number);
        if slice.index < shared {
            if used.is(Stream::Layer(layer)) {
                self.put((Stream::Layer(layer), PICTURES), (number, slice.index, shared), slice);
            }
            if self.all.load(Ordering::Relaxed) && used.is(Stream::Whole(layer)) {
                self.put((Stream::Whole(layer), WHOLE), (number, slice.index, shared), slice);
            }
        } else if slice.index >= owed && used.is(Stream::Whole(layer)) {
            self.put((Stream::Whole(layer), WHOLE), (number, slice.index - owed, slice.count - owed), slice);
        }
    }

    fn sound(&self, block: &Block<MediaTime>, packet: Option<&Packet>) {
        let number = self.blocks.fetch_add(1, Ordering::Relaxed);
        let Block { capture, channels, .. } = *block;
        let mut body = Vec::new();
        match packet {
            Some(packet) => {
                body.push(PACKET);
                sound::encode_packet(
                    &Numbered { number, block: Block { capture, channels, samples: packet.clone() } },
                    &mut body,
                );
            }
            None => {
                body.push(SAMPLES);
                sound::encode(&Numbered { number, block: block.clone() }, &mut body);
            }
        }
        self.sealer.seal(Place { stream: SOUND, group: number, frame: 0 }, 0, &mut body);
        self.outlet.frame(Stream::Sound, (number, 1), capture, body);
    }
}
