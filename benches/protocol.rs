//! What a picture costs between encoder and decoder: `cargo bench --bench protocol`. Packetized and sealed at one end, opened and put
//! together at the other; no sockets.

#[path = "support/pair.rs"]
mod pair;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
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
