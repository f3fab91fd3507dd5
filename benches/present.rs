//! What it costs to show a picture on the display that `$DISPLAY` names, until it has been read there: `cargo bench --bench present`. As
//! it lies, where the window is as large as the picture and nothing stands over it; copied, where a line does; and over the
//! connection to the display, without shared memory.

use divan::Bencher;
use eyeline::present::canvas::Canvas;
use eyeline::present::overlay::Overlay;
use eyeline::present::window::{Look, Options, Window};
use eyeline_proto::picture::Size;

fn main() {
    divan::main();
}

const HEIGHTS: [u32; 2] = [720, 1080];

fn show(bencher: Bencher, height: u32, plain: bool, words: bool) {
    let size = Size { width: height * 16 / 9, height };
    let options = Options { title: "bench".into(), ..Options::of(size) };
    let opened = if plain { Window::open_plain(&options) } else { Window::open(&options) };
    let mut window = opened.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(window.size(), size, "the display is too small: start one of 2560x1440");
    let canvas = Canvas::new();
    drop(canvas.rows(1, size, 0..height));
    let mut overlay = Overlay::default();
    if words {
        overlay.lines = vec!["words".into()];
    }
    bencher.bench_local(|| {
        let shown = window.show(canvas.view(), &overlay, Look::default()).expect("the display takes pictures");
        assert_eq!(shown.copied, plain || words);
    });
}

#[divan::bench(args = HEIGHTS)]
fn as_it_lies(bencher: Bencher, height: u32) {
    show(bencher, height, false, false);
}

#[divan::bench(args = HEIGHTS)]
fn copied(bencher: Bencher, height: u32) {
    show(bencher, height, false, true);
}

#[divan::bench(args = HEIGHTS)]
fn without_shared_memory(bencher: Bencher, height: u32) {
    show(bencher, height, true, false);
}
