//! Live sound as Opus packets (RFC 6716), and back: each block of 10 ms by itself, through libopus.
//!
//! **Choice.** libopus' low-delay mode (CELT alone), 64 kbit/s of mono and 96 of stereo: it hears 2.5 ms ahead, where the others
//! need 6.5, and costs 0.4 % of a core. Its in-band recovery and its discontinuous transmission are of the other modes; a lost
//! packet comes again with the next one (`session/sound_copies.rs`), which no prediction equals.
//!
//! **Packets know little of each other.** libopus may predict a packet from those before it; then a decoder that begins, or
//! missed one, is wrong for ten more (20 dB instead of 35 on a chord, 5 instead of 12 on a voice). Here it may not
//! (`set_prediction_disabled`): that costs 6 dB of a chord, half a dB of a voice, and the second packet is whole again.
//!
//! **A packet and its block are the same moments.** What a decoder makes of a packet is the encoder's block [`LOOKAHEAD`] later.
//! So who encodes gives out samples that are as late, with the capture time they have ([`delay`]): then block by block either
//! form may be played behind the other. What comes back to samples, and in which order, is [`decoder`]'s.

pub mod decoder;
mod delay;

use self::delay::{Delay, Delayed};
use ::opus::{Application, Bitrate, Channels};
use eyeline_proto::sound::{Block, Packet, RATE};
use std::time::Instant;

/// Frames by which what is decoded is behind what was encoded: 2.5 ms, all that the low-delay mode hears ahead.
const LOOKAHEAD: usize = 120;

/// Bits a second of mono, and of stereo: speech and music without a fault that is heard, at blocks of 10 ms.
const BITRATES: [i32; 2] = [64_000, 96_000];

/// 0 to 10: 5 costs half of what 10 does.
const COMPLEXITY: i32 = 5;

/// The longest packet that is made: two of them pass everywhere in one datagram. At these rates they have a third of that.
const LONGEST: usize = 440;

fn channels(channels: u8) -> Channels {
    if channels == 2 { Channels::Stereo } else { Channels::Mono }
}

/// An encoder of so many channels.
fn encoder(of: u8) -> ::opus::Result<::opus::Encoder> {
    let mut encoder = ::opus::Encoder::new(RATE, channels(of), Application::LowDelay)?;
    encoder.set_bitrate(Bitrate::Bits(BITRATES[usize::from(of == 2)]))?;
    encoder.set_complexity(COMPLEXITY)?;
    encoder.set_prediction_disabled(true)?;
    debug_assert!(encoder.get_lookahead().is_ok_and(|frames| frames == LOOKAHEAD as i32));
    Ok(encoder)
}

/// What encodes the sound of a live source while somebody wants packets, and makes its samples as late as those are from then on.
#[derive(Default)]
pub struct Encoder {
    delay: Delay,
    /// Its channels, and libopus'.
    opus: Option<(u8, ::opus::Encoder)>,
    /// It failed, which was said.
    failed: bool,
}

impl Encoder {
    /// A block was caught; packets are `wanted`, or not. The block that is sent, and its packet.
    pub fn push(&mut self, block: Block<Instant>, wanted: bool) -> (Block<Instant>, Option<Packet>) {
        let Delayed { block: late, is_late, joins } = self.delay.push(block.clone(), wanted);
        if !wanted || !is_late || !joins {
            self.opus = None;
        }
        if !wanted || !is_late {
            return (late, None);
        }
        let packet = self.encode(&block);
        if let Err(error) = &packet
            && !std::mem::replace(&mut self.failed, true)
        {
            tracing::warn!("sound cannot be compressed, and is sent as it is: {error}");
        }
        (late, packet.ok())
    }

    fn encode(&mut self, block: &Block<Instant>) -> ::opus::Result<Packet> {
        let (_, opus) = match self.opus.take().filter(|(channels, _)| *channels == block.channels) {
            Some(opus) => self.opus.insert(opus),
            None => self.opus.insert((block.channels, encoder(block.channels)?)),
        };
        let mut packet = [0; LONGEST];
        let len = opus.encode(&block.samples, &mut packet)?;
        Ok(packet[..len].into())
    }
}

#[cfg(test)]
mod tests;
