//! What a picture costs between encoder and decoder: `cargo bench --bench protocol`. Packetized and sealed at one end, opened and put
//! together at the other; no sockets.

#[path = "support/pair.rs"]
mod pair;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use eyeline_proto::media::fec;
use pair::Pair;
use std::cell::RefCell;

fn main() {
    divan::main();
}

/// Pictures of 97 and 189 KB in slices of eight datagrams, as 720p and 1080p are at quality 80.
const BYTES: [usize; 2] = [97_000, 189_000];

fn slices(bytes: usize) -> Vec<usize> {
    vec![9600; bytes / 9600]
}

#[divan::bench(args = BYTES)]
fn packetize_and_seal(bencher: Bencher, bytes: usize) {
    let (pair, slices) = (RefCell::new(Pair::new()), slices(bytes));
    let ready = || {
        let mut pair = pair.borrow_mut();
        pair.receive();
        pair.step();
    };
    bencher
        .counter(BytesCount::new(bytes))
        .with_inputs(ready)
        .bench_local_values(|()| pair.borrow_mut().send(black_box(&slices)));
}

#[divan::bench(args = BYTES)]
fn open_and_depacketize(bencher: Bencher, bytes: usize) {
    let (pair, slices) = (RefCell::new(Pair::new()), slices(bytes));
    let ready = || {
        let mut pair = pair.borrow_mut();
        pair.step();
        pair.send(&slices);
    };
    bencher.counter(BytesCount::new(bytes)).with_inputs(ready).bench_local_values(|()| pair.borrow_mut().receive());
    assert!(pair.borrow().slices > slices.len() as u64, "slices were lost");
}

/// The shards of a picture on a path that loses 5 %, and what brings as many lost fragments back.
#[divan::bench(args = BYTES)]
fn fec_encode(bencher: Bencher, bytes: usize) {
    let (mut encoder, payloads) = (fec::Encoder::default(), payloads(bytes));
    let shards = fec::recovery_count(payloads.len(), 0.05, fec::FAILING);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        encoder.encode(payloads.iter().map(Vec::as_slice), shards, |_, shard| {
            black_box(shard);
        });
    });
}

#[divan::bench(args = BYTES)]
fn fec_decode(bencher: Bencher, bytes: usize) {
    let payloads = payloads(bytes);
    let recovery = fec::recovery_count(payloads.len(), 0.05, fec::FAILING);
    let (mut shards, mut decoder) = (Vec::new(), fec::Decoder::default());
    fec::Encoder::default().encode(payloads.iter().map(Vec::as_slice), recovery, |_, shard| shards.push(shard.to_vec()));
    let code = (payloads.len(), recovery, shards[0].len());
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let came = payloads.iter().map(Vec::as_slice).enumerate().skip(recovery);
        let shards = shards.iter().map(Vec::as_slice).enumerate();
        assert!(
            decoder.decode(code, came, shards, |_, payload| {
                black_box(payload);
            }),
            "enough came"
        );
    });
}

fn payloads(bytes: usize) -> Vec<Vec<u8>> {
    (0..bytes.div_ceil(1165)).map(|at| vec![at as u8; 1165]).collect()
}
