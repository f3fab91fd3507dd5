//! Sound between an audio callback and a thread, with the moments it belongs to: samples in one ring, a stamp for each piece in
//! another.
//!
//! The callback has the [`Writer`], which allocates, locks and frees nothing, and wakes nobody, for that would be a system call.
//! What nobody takes in time is lost, the newest first, and the next stamp says how much that was: time goes on by it, and a gap
//! is a gap, never a shift.
//!
//! Capacity: [`FRAMES`], [`STAMPS`].

use std::time::Instant;

use eyeline_proto::sound::RATE;

/// A second of sound: far longer than the thread is ever away.
const FRAMES: usize = RATE as usize;
/// Pieces: some servers bring, or ask for, half a millisecond at a time.
const STAMPS: usize = 4096;

/// One piece of sound.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// The moment of its first frame, as the device says.
    pub at: Instant,
    pub frames: usize,
    /// Frames lost before it.
    pub lost: u64,
}

/// The callback's half. See the module text.
pub struct Writer<T> {
    samples: rtrb::Producer<T>,
    stamps: rtrb::Producer<Stamp>,
    channels: usize,
    lost: u64,
}

/// The thread's half.
pub struct Reader<T> {
    samples: rtrb::Consumer<T>,
    stamps: rtrb::Consumer<Stamp>,
    channels: usize,
}

/// Both halves, for sound of so many channels.
pub fn ring<T>(channels: usize) -> (Writer<T>, Reader<T>) {
    let (samples, taken) = rtrb::RingBuffer::new(FRAMES * channels);
    let (stamps, read) = rtrb::RingBuffer::new(STAMPS);
    (Writer { samples, stamps, channels, lost: 0 }, Reader { samples: taken, stamps: read, channels })
}

impl<T> Writer<T> {
    /// So many frames, the first of which has this moment.
    pub fn put(&mut self, at: Instant, frames: usize, samples: impl Iterator<Item = T>) {
        if frames == 0 {
            return;
        }
        let room = self.samples.write_chunk_uninit(frames * self.channels);
        let (Ok(room), true) = (room, self.stamps.slots() > 0) else {
            self.lost += frames as u64;
            return;
        };
        room.fill_from_iter(samples);
        if self.stamps.push(Stamp { at, frames, lost: self.lost }).is_ok() {
            self.lost = 0;
        }
    }
}

impl<T> Reader<T> {
    /// Hands over all that was written since, piece by piece, the samples of each in two parts of whole frames; ends with an
    /// error of `take`'s.
    pub fn each<E>(&mut self, mut take: impl FnMut(Stamp, [&[T]; 2]) -> Result<(), E>) -> Result<(), E> {
        while let Ok(stamp) = self.stamps.pop() {
            let Ok(chunk) = self.samples.read_chunk(stamp.frames * self.channels) else { return Ok(()) };
            let (a, b) = chunk.as_slices();
            let taken = take(stamp, [a, b]);
            chunk.commit_all();
            taken?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::time::Duration;

    /// What is taken, and how much was lost before each piece.
    fn taken(reader: &mut Reader<usize>) -> (Vec<usize>, Vec<u64>) {
        let (mut samples, mut lost) = (Vec::new(), Vec::new());
        let take = |stamp: Stamp, parts: [&[usize]; 2]| {
            assert!(parts.iter().all(|part| part.len().is_multiple_of(2)), "whole frames");
            samples.extend(parts.concat());
            lost.push(stamp.lost);
            Ok::<(), Infallible>(())
        };
        reader.each(take).unwrap();
        (samples, lost)
    }

    #[test]
    fn pieces_come_out_as_they_went_in_however_the_ring_turns_and_what_has_no_room_is_said_to_be_lost() {
        let ((mut writer, mut reader), start) = (ring(2), Instant::now());
        let mut put = |number: usize| {
            let at = start + Duration::from_millis(number as u64);
            writer.put(at, 7000, (0..14_000).map(|sample| number * 14_000 + sample));
        };
        for round in 0..20 {
            (3 * round..3 * round + 3).for_each(&mut put);
            let (samples, lost) = taken(&mut reader);
            assert!(samples.iter().copied().eq(3 * round * 14_000..(3 * round + 3) * 14_000) && lost == [0; 3]);
        }
        // Six fit.
        (0..9).for_each(&mut put);
        assert_eq!(taken(&mut reader), ((0..6 * 14_000).collect(), vec![0; 6]));
        put(9);
        assert_eq!(taken(&mut reader).1, [3 * 7000]);
    }

    #[test]
    fn a_taker_that_has_enough_ends_it() {
        let (mut writer, mut reader) = ring(1);
        (0..2).for_each(|_| writer.put(Instant::now(), 480, std::iter::repeat_n(0.0, 480)));
        assert_eq!(reader.each(|_, _| Err(())), Err(()));
        assert_eq!(reader.each(|_, parts| if parts[0].len() == 480 { Ok(()) } else { Err(()) }), Ok(()));
    }
}
