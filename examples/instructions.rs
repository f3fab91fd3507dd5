//! Drives a sender's and a receiver's core in memory, for `scripts/instructions` to count what a datagram costs: prints how many datagrams
//! a number of pictures took. Counting two numbers of pictures and dividing the difference leaves the handshake out.

#[path = "../benches/support/pair.rs"]
mod pair;

fn main() {
    let pictures: usize = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(100);
    let mut pair = pair::Pair::new();
    let before = pair.datagrams;
    for _ in 0..pictures {
        pair.picture(&[9600; 10]);
    }
    println!("{}", pair.datagrams - before);
    assert!(pair.slices >= 10 * pictures as u64, "slices were lost");
}
