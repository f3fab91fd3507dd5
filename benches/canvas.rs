//! What the canvas and the copy to the window cost: `cargo bench --bench canvas`.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use eyeline::present::canvas::Canvas;
use eyeline_proto::picture::Size;

fn main() {
    divan::main();
}

fn size(height: u32) -> Size {
    Size { width: height * 16 / 9, height }
}

/// Ten bands lent and given back, nothing drawn: the table's own cost.
#[divan::bench(args = [720, 1080])]
fn lend_bands(bencher: Bencher, height: u32) {
    let (canvas, size, mut number) = (Canvas::new(), size(height), 0);
    bencher.bench_local(|| {
        number += 1;
        for band in 0..10 {
            drop(black_box(canvas.rows(number, size, height * band / 10..height * (band + 1) / 10)));
        }
    });
}

/// The whole picture copied out of a view, as it goes to the window.
#[divan::bench(args = [720, 1080])]
fn view_and_copy(bencher: Bencher, height: u32) {
    let (canvas, size) = (Canvas::new(), size(height));
    drop(canvas.rows(1, size, 0..height));
    let mut window = vec![0u32; size.width as usize * height as usize];
    bencher.counter(BytesCount::new(4 * window.len())).bench_local(|| window.copy_from_slice(canvas.view().pixels()));
}
