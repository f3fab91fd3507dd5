//! What 10 ms of sound cost in the audio callback, by the number of voices that sound: `cargo bench --bench mixer`. With 0 all sixteen
//! are taken and none says anything; with 17 the sum of sixteen is too loud, and limited.

use divan::Bencher;
use eyeline::present::mixer::{Mixer, VOICES};
use eyeline_proto::media::playout::Config;
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() {
    divan::main();
}

#[divan::bench(args = [0, 1, 4, 16, 17])]
#[expect(clippy::disallowed_methods)] // one real instant to count from
fn callback(bencher: Bencher, speaking: usize) {
    let (mixer, mut renderer) = Mixer::detached(2, Config::default(), None);
    let mut feeds: Vec<_> = (0..VOICES).filter_map(|_| mixer.voice()).collect();
    let (start, mut n, mut out) = (Instant::now(), 0, vec![0.0f32; 960]);
    let height = if speaking > VOICES { 30_000.0 } else { 1_000.0 };
    let sound: Arc<[i16]> = (0..960).map(|i| (f64::from(i / 2) * 0.05236).sin() * height).map(|s| s as i16).collect();
    let now = |n: u64| start + Duration::from_millis(10 * n);
    bencher
        .with_inputs(|| {
            n += 1;
            let block = Block { capture: MediaTime::from_nanos(n * 10_000_000), channels: 2, samples: sound.clone() };
            for feed in feeds.iter_mut().take(speaking) {
                feed.block(now(n), &Numbered { number: n, block: block.clone() });
            }
            now(n)
        })
        .bench_local_values(|now| renderer.render(now, Duration::from_millis(20), &mut out));
}
