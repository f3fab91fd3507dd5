//! What an encoder sends of a screen that stands still, on a path that has no room for what was seen last.

use super::*;
use eyeline_proto::picture::Sampling;
use std::sync::mpsc::{Receiver, Sender, channel};

const SIZE: Size = Size { width: 640, height: 480 };
const SAMPLING: Sampling = Sampling::Yuv444;
const PERIOD: Duration = Duration::from_micros(33_333);

struct Slices(Sender<Slice>);

impl EncodedSink for Slices {
    fn slice(&mut self, slice: &Slice, _received: Instant) {
        self.0.send(slice.clone()).unwrap();
    }
}

/// A screen full of text, of which a picture comes a second, or soon where one is asked for.
struct Desk {
    encoder: Encoder,
    slices: Receiver<Slice>,
    now: Instant,
    /// How far it is scrolled.
    line: u32,
    asked: bool,
}

impl Desk {
    fn new(kilobits: u64) -> Desk {
        let (sender, slices) = channel();
        let format = Format { rate: Some(Rate::DEFAULT), variable: false, size: Some(SIZE), channels: 0, first: 0 };
        let (epoch, passthrough) = (Epoch::new(Instant::now()), Passthrough::Auto);
        let config = Config {
            quality: 80,
            format,
            film: false,
            width: None,
            epoch,
            replenish: true,
            passthrough,
            own: None,
            published: None,
            turn: Turn::NONE,
        };
        let encoder = Encoder::new(config, Commands::unheard(), Some(Box::new(Slices(sender)))).unwrap();
        encoder.set_target(Some(Bitrate(kilobits * 1000)));
        let mut desk = Desk { encoder, slices, now: Instant::now(), line: 0, asked: false };
        desk.give(None);
        desk
    }

    /// What is sent of a picture: its size.
    fn give(&mut self, changed: Option<McuSet>) -> Option<Size> {
        let letter = |x: u32, y: u32| (x / 3 + (y + self.line) / 4 * 977).wrapping_mul(2_654_435_761) >> 30 == 0;
        let pixel = |at: u32| if letter(at % SIZE.width, at / SIZE.width) { 20 } else { 230 };
        let mut planes: Vec<u8> = (0..SIZE.width * SIZE.height).map(pixel).collect();
        planes.resize(SAMPLING.bytes(SIZE), 128);
        let mut picture = Picture::new(self.now, SIZE, Body::Planes(SAMPLING, planes.into()));
        picture.changed = changed;
        self.asked = self.encoder.encode(picture);
        self.slices.try_iter().map(|slice| slice.head().size).last()
    }

    fn scroll(&mut self) -> Option<Size> {
        self.now += PERIOD;
        self.line += 4;
        let mut all = McuSet::new(SIZE, SAMPLING);
        all.fill();
        self.give(Some(all))
    }

    /// Nothing is drawn until the next picture.
    fn rest(&mut self) -> Option<Size> {
        self.now += if self.asked { PERIOD } else { Duration::from_secs(1) };
        self.give(Some(McuSet::new(SIZE, SAMPLING)))
    }
}

#[test]
fn what_was_drawn_last_is_sent_within_a_second_though_its_own_picture_was_left_out() {
    let mut desk = Desk::new(60);
    for _ in 0..60 {
        desk.scroll();
    }
    while desk.scroll().is_none() {}
    let left_out = desk.scroll();
    let drawn = desk.now;
    assert_eq!(left_out, None, "the path has no room for every picture");
    while desk.rest().is_none() {}
    let passed = desk.now - drawn;
    assert!(passed <= Duration::from_secs(1), "{passed:?}");
}

#[test]
fn after_scrolling_text_is_soon_of_full_size_and_sharp_and_stays_so() {
    let mut desk = Desk::new(1000);
    for _ in 0..60 {
        desk.scroll();
    }
    while desk.scroll().is_none_or(|size| size == SIZE) {}
    let scrolled = desk.now;
    while desk.rest() != Some(SIZE) {}
    let large = desk.now - scrolled;
    assert!(large <= Duration::from_secs(2), "of full size after {large:?}");
    while desk.asked {
        desk.rest();
    }
    let sharp = desk.now - scrolled;
    assert!(sharp <= Duration::from_secs(8), "sharp after {sharp:?}");
    let (sharp, mut pictures) = (desk.now, 0);
    while desk.now < sharp + Duration::from_secs(10) {
        let size = desk.rest();
        assert!(size.is_none_or(|size| size == SIZE), "it stays as it is");
        pictures += 1;
    }
    assert!(pictures < 200, "{pictures} pictures in ten seconds in which nothing changed");
}

#[test]
fn on_a_path_that_takes_hardly_anything_no_pictures_are_asked_for_that_would_be_no_better() {
    let mut desk = Desk::new(60);
    for _ in 0..60 {
        desk.scroll();
    }
    let scrolled = desk.now;
    let mut late = 0;
    while desk.now < scrolled + Duration::from_secs(40) {
        desk.rest();
        late += u32::from(desk.now > scrolled + Duration::from_secs(20));
    }
    assert!(late < 300, "{late} pictures in twenty seconds");
}
