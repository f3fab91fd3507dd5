//! What a picture costs between encoder and decoder, both ends together: `cargo bench --bench protocol`. Packetize, seal, open, put
//! together; no sockets. And sealing and opening alone, a datagram at a time.

#[path = "support/pair.rs"]
mod pair;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use pair::Pair;

fn main() {
    divan::main();
}

/// Pictures of 97 and 189 KB in slices of eight datagrams, as 720p and 1080p are at quality 80.
#[divan::bench(args = [97_000, 189_000])]
fn slice_to_slice(bencher: Bencher, bytes: usize) {
    let mut pair = Pair::new();
    let slices = vec![9600; bytes / 9600];
    bencher.counter(BytesCount::new(bytes)).bench_local(|| pair.picture(black_box(&slices)));
}
