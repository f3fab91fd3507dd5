//! The sender's side of `media/fec.rs`: the recovery shards of a picture in the log, as messages ready to be sealed.
//!
//! Shards are made when a peer that needs them was sent the whole picture. The last picture's are kept, for the next peer is
//! likely to need the same.

use crate::media::fec::{self, MAX_ORIGINALS, MAX_RUN};
use crate::media::packetizer::Log;
use crate::media::slice::Slice;
use crate::wire::datagram::{Message, Shard};

pub(super) struct Parity {
    track: u8,
    encoder: fec::Encoder,
    /// Its pictures are only what changed.
    pub partial: bool,
    made: Option<Made>,
}

struct Made {
    picture: u64,
    count: u8,
    payload: usize,
    loss_bits: u64,
    messages: Vec<Vec<u8>>,
}

impl Parity {
    /// Of this track, as its peers call it.
    pub fn new(track: u8) -> Self {
        Parity { track, encoder: fec::Encoder::default(), partial: false, made: None }
    }

    /// The shards of the first `count` slices of the picture the slice at `any` belongs to, for a path that loses `loss` of its
    /// packets, its fragments having `payload` bytes. None where the picture is not whole in the log.
    pub fn messages(&mut self, log: &Log, (any, count): (u64, u8), payload: usize, loss: f64) -> &[Vec<u8>] {
        // Losses that hardly differ need the same.
        let loss = (loss * 200.0).ceil() / 200.0;
        let Some(picture) = log.slice(any).map(|slice| slice.picture) else { return &[] };
        let same =
            |made: &Made| (made.picture, made.count, made.payload, made.loss_bits) == (picture, count, payload, loss.to_bits());
        if !self.made.as_ref().is_some_and(same) {
            let messages = self.make(log, (any, count), payload, loss);
            self.made = Some(Made { picture, count, payload, loss_bits: loss.to_bits(), messages });
        }
        self.made.as_ref().map_or(&[], |made| &made.messages)
    }

    fn make(&mut self, log: &Log, (any, last): (u64, u8), payload: usize, loss: f64) -> Vec<Vec<u8>> {
        let mut slices = log.slices_of(any);
        slices.retain(|slice| slice.index < last);
        let count = usize::from(last);
        if slices.len() != count || slices.is_empty() {
            return Vec::new();
        }
        let fragments: usize = slices.iter().map(|slice| usize::from(slice.fragments(payload))).sum();
        let runs = count.div_ceil(MAX_RUN).max(fragments.div_ceil(MAX_ORIGINALS)).min(count);
        let mut messages = Vec::new();
        // Runs of nearly one length: a short one would be the weakest.
        for run in slices.chunks(count.div_ceil(runs)) {
            self.make_run((run, last), payload, loss, &mut messages);
        }
        messages
    }

    fn make_run(&mut self, (run, count): (&[&Slice], u8), payload: usize, loss: f64, messages: &mut Vec<Vec<u8>>) {
        let Some(first) = run.first() else { return };
        let originals = run.iter().flat_map(|slice| (0..slice.fragments(payload)).map(|index| slice.fragment(index, payload).1));
        let last_indices: Vec<u8> = run.iter().flat_map(|slice| (slice.fragments(payload) - 1).to_be_bytes()).collect();
        let failing = if self.partial { fec::FAILING_PARTIAL } else { fec::FAILING };
        let recovery = fec::recovery_count(originals.clone().count(), loss, failing);
        let head = Shard {
            picture: first.picture as u32,
            last_slice: count - 1,
            first_slice: first.index,
            index: 0,
            recovery: recovery as u8,
            last_indices: &last_indices,
            payload: &[],
        };
        let track = self.track;
        self.encoder.encode(originals, recovery, |index, shard| {
            let mut message = Vec::with_capacity(shard.len() + 64);
            Message::Shard(track, Shard { index: index as u8, payload: shard, ..head }).encode(&mut message);
            messages.push(message);
        });
    }
}
