//! What the speaker is given, on its way from the speaker's callback to the microphone's thread.
//!
//! The callback has a [`Writer`] and writes what the card gets, the mean of left and right, with the moment its first frame
//! leaves the speaker, into a ring (`sound_card/ring.rs`): nothing is allocated, locked or freed. Each time a speaker is opened
//! it is given a new one, and what reads goes on with that by itself; so does a microphone that is opened anew with what the
//! speaker writes.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::sound_card::ring;
use crate::threads::lock;
use eyeline_proto::media::echo_aligner::Aligner;
use eyeline_proto::media::resampler::CHANNELS;

/// The callback's half. See the module text.
pub struct Writer(ring::Writer<f32>);

struct Reader {
    ring: ring::Reader<f32>,
    /// Nothing was read of it yet.
    fresh: bool,
}

/// What one speaker is given, however often it is opened. Clones are the same.
#[derive(Clone, Default)]
pub struct Reference(Arc<Mutex<Option<Reader>>>);

impl Reference {
    /// For a speaker that is opened now, in place of the one before.
    pub fn writer(&self) -> Writer {
        let (writer, ring) = ring::ring(1);
        *lock(&self.0) = Some(Reader { ring, fresh: true });
        Writer(writer)
    }

    /// Hands over all that was written since.
    pub fn read(&self, aligner: &mut Aligner) {
        let mut reader = lock(&self.0);
        let Some(reader) = reader.as_mut() else { return };
        if std::mem::take(&mut reader.fresh) {
            aligner.restart();
        }
        let Ok(()) = reader.ring.each(|stamp, [a, b]| {
            aligner.push(stamp.at, stamp.lost, a);
            aligner.append(b);
            Ok::<(), Infallible>(())
        });
    }

    /// Forgets what was written while nobody listened.
    pub fn skip(&self) {
        if let Some(reader) = lock(&self.0).as_mut() {
            reader.fresh = true;
            let Ok(()) = reader.ring.each(|_, _| Ok::<(), Infallible>(()));
        }
    }
}

impl Writer {
    /// What the card is given, interleaved stereo; it leaves the speaker from `at` on.
    pub fn write(&mut self, at: Instant, samples: &[f32]) {
        let means = samples.chunks_exact(CHANNELS).map(|frame| frame.iter().sum::<f32>() / CHANNELS as f32);
        self.0.put(at, samples.len() / CHANNELS, means);
    }

    /// So many frames of silence.
    pub fn write_silence(&mut self, at: Instant, frames: usize) {
        self.0.put(at, frames, std::iter::repeat_n(0.0, frames));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::media::echo_aligner::LEAD;
    use std::time::Duration;

    /// What is known of the moment that many milliseconds after `start`.
    fn known(aligner: &mut Aligner, start: Instant, ms: u64) -> f32 {
        let mut out = [0.0; 480];
        // The resampler's own length is behind it after the first.
        for n in [10, 0] {
            aligner.take(start + Duration::from_millis(ms) - LEAD - Duration::from_millis(n), &mut out);
        }
        out[240]
    }

    fn piece(writer: &mut Writer, start: Instant, n: u64, sample: f32) {
        writer.write(start + Duration::from_millis(10 * n), &[sample; 960]);
    }

    #[test]
    fn what_nobody_takes_is_lost_and_what_comes_later_is_in_its_place() {
        let (reference, mut aligner, start) = (Reference::default(), Aligner::new(), Instant::now() + Duration::from_secs(1));
        let mut writer = reference.writer();
        (0..150).for_each(|n| piece(&mut writer, start, n, 0.1)); // a second fits
        reference.read(&mut aligner);
        (150..160).for_each(|n| piece(&mut writer, start, n, 0.2));
        reference.read(&mut aligner);
        let seen = [500, 1200, 1550].map(|ms| known(&mut aligner, start, ms));
        assert!(seen.iter().zip([0.1, 0.0, 0.2]).all(|(seen, said)| (seen - said).abs() < 1e-3), "{seen:?}");
    }

    #[test]
    fn a_speaker_that_is_opened_anew_begins_anew() {
        let (reference, mut aligner, start) = (Reference::default(), Aligner::new(), Instant::now() + Duration::from_secs(1));
        let mut writer = reference.writer();
        (0..50).for_each(|n| piece(&mut writer, start, n, 0.1));
        reference.read(&mut aligner);
        let mut writer = reference.writer();
        (100..150).for_each(|n| piece(&mut writer, start, n, 0.3));
        reference.read(&mut aligner);
        let seen = [300, 1200].map(|ms| known(&mut aligner, start, ms));
        assert!(seen[0] == 0.0 && (seen[1] - 0.3).abs() < 1e-3, "{seen:?}");
    }

    #[test]
    fn of_what_was_played_while_nobody_listened_nothing_is_kept() {
        let (reference, mut aligner, start) = (Reference::default(), Aligner::new(), Instant::now() + Duration::from_secs(1));
        let mut writer = reference.writer();
        (0..50).for_each(|n| piece(&mut writer, start, n, 0.1));
        reference.skip();
        (50..100).for_each(|n| piece(&mut writer, start, n, 0.2));
        reference.read(&mut aligner);
        let seen = [300, 700].map(|ms| known(&mut aligner, start, ms));
        assert!(seen[0] == 0.0 && (seen[1] - 0.2).abs() < 1e-3, "{seen:?}");
    }
}
