//! What an encoder sends of a camera's JPEGs on a path that has no room for all of them.

use crate::codec::scenes::{Moment, Noise, Room};
use crate::codec::testing::camera_jpeg;
use crate::net::Commands;
use crate::pipeline::cutter::{Treatment, Why};
use crate::pipeline::encode::{Config, Encoder};
use crate::pipeline::sink::EncodedSink;
use crate::threads::lock;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::foreign::Passthrough;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Body, Picture, Sampling, Size, Turn};
use eyeline_proto::rate::Rate;
use eyeline_proto::wire::record::{Format, Want};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What was sent of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    size: Size,
    sampling: Sampling,
    bytes: usize,
}

struct Slices(Sender<Slice>);

impl EncodedSink for Slices {
    fn slice(&mut self, slice: &Slice, _received: Instant) {
        self.0.send(slice.clone()).unwrap();
    }
}

/// An encoder and its camera, 30 pictures a second.
struct Camera {
    encoder: Encoder,
    slices: Receiver<Slice>,
    size: Size,
    next: Instant,
}

impl Camera {
    fn new(size: Size, passthrough: Passthrough, kilobits: u64) -> Camera {
        Camera::turned(size, passthrough, kilobits, Turn::NONE)
    }

    fn turned(size: Size, passthrough: Passthrough, kilobits: u64, turn: Turn) -> Camera {
        let (sender, slices) = channel();
        let format = Format { rate: Some(Rate::DEFAULT), variable: false, size: Some(size), channels: 0, first: 0 };
        let epoch = Epoch::new(Instant::now());
        let config = Config {
            quality: 80,
            format,
            film: false,
            turn,
            width: None,
            epoch,
            replenish: true,
            passthrough,
            own: None,
            published: None,
        };
        let encoder = Encoder::new(config, Commands::unheard(), Some(Box::new(Slices(sender)))).unwrap();
        encoder.set_target(Some(Bitrate(kilobits * 1000)));
        Camera { encoder, slices, size, next: Instant::now() }
    }

    /// What is sent of its next picture; `None` where nothing is.
    fn picture(&mut self, jpeg: &[u8]) -> Option<Sent> {
        self.next += Rate::DEFAULT.period();
        let body = Body::Jpeg(jpeg.to_vec().into());
        self.encoder.encode(Picture::new(self.next, self.size, body));
        let slices: Vec<Slice> = self.slices.try_iter().collect();
        let head = slices.first()?.head();
        let bytes = slices.iter().map(|slice| slice.bytes().len()).sum();
        Some(Sent { size: head.size, sampling: head.sampling, bytes })
    }
}

/// A room in which a head moves.
fn jpegs(size: Size, count: u64) -> Vec<Vec<u8>> {
    let room = Room::new(size.width as usize, size.height as usize, Some((2, 2)), 5);
    let jpeg = |number: u64| {
        let noise = Noise { sigma: 1.0, smooth: false };
        let head = Some((0.5 + 0.1 * (number as f32 / 9.0).sin(), 0.55));
        let planes = room.picture(number, &Moment { noise, head, ..Moment::default() });
        camera_jpeg(&planes, size, Sampling::Yuv420, 85, 0)
    };
    (0..count).map(jpeg).collect()
}

/// Kilobits a second that this part of each such JPEG takes.
fn part_of(jpeg: &[u8], part: f64) -> u64 {
    (jpeg.len() as f64 * part * 8.0 * 30.0 / 1000.0) as u64
}

const SIZE: Size = Size { width: 320, height: 192 };

#[test]
fn a_damaged_jpeg_is_left_out_and_what_was_sent_before_it_still_stands() {
    let jpegs = jpegs(SIZE, 40);
    for passthrough in [Passthrough::Auto, Passthrough::On] {
        let mut camera = Camera::new(SIZE, passthrough, part_of(&jpegs[0], 0.6));
        let sent: Vec<_> = jpegs[..30].iter().map(|jpeg| camera.picture(jpeg)).collect();
        assert!(sent[20..].iter().all(|sent| sent.is_some_and(|sent| sent.bytes < jpegs[0].len() / 2)), "{sent:?}");
        assert_eq!(camera.picture(&jpegs[30][..jpegs[30].len() / 2]), None);
        for jpeg in &jpegs[31..] {
            let sent = camera.picture(jpeg).unwrap();
            assert!(sent.bytes < jpeg.len() / 2 && camera.encoder.treated() == Some(Treatment::Changed), "{sent:?}");
        }
        assert_eq!(camera.encoder.counters().failed, 1);
    }
}

/// Tried at once, and after 5, 10 and 20 seconds; for the next 40 it is not.
#[test]
fn a_camera_whose_jpegs_cannot_be_cut_is_said_to_be_so_and_tried_ever_more_seldom() {
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_progressive(true).unwrap();
    let (width, height) = (SIZE.width as usize, SIZE.height as usize);
    let noise: Vec<u8> = (0..4 * width * height).map(|at| ((at as u32).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let image = turbojpeg::Image { pixels: &noise[..], width, pitch: 4 * width, height, format: turbojpeg::PixelFormat::BGRX };
    let progressive = compressor.compress_to_vec(image).unwrap();
    let mut camera = Camera::new(SIZE, Passthrough::Auto, part_of(&progressive, 0.3));
    for _ in 0..1200 {
        camera.picture(&progressive);
    }
    assert_eq!(camera.encoder.treated(), Some(Treatment::Anew(Why::Unfit)));
    let cutter = lock(camera.encoder.cutter.as_ref().unwrap());
    assert!(!cutter.reads(camera.next + Duration::from_secs(30)) && cutter.reads(camera.next + Duration::from_secs(40)));
}

#[test]
fn pictures_with_odd_sides_keep_their_sampling() {
    let size = Size { width: 321, height: 193 };
    let jpegs = jpegs(size, 60);
    for passthrough in [Passthrough::Auto, Passthrough::On] {
        let mut camera = Camera::new(size, passthrough, part_of(&jpegs[0], 0.5));
        let mut samplings: Vec<_> = jpegs.iter().filter_map(|jpeg| camera.picture(jpeg)).map(|sent| sent.sampling).collect();
        assert!(samplings.len() > 20);
        samplings.dedup();
        assert_eq!(samplings.len(), 1, "{passthrough:?}: {samplings:?}");
        let treated = if passthrough == Passthrough::On { Treatment::Changed } else { Treatment::Anew(Why::NoRoom) };
        assert_eq!(camera.encoder.treated(), Some(treated), "none is read for nothing");
    }
}

#[test]
fn jpegs_that_are_turned_go_as_they_are_and_so_does_what_changes_of_them() {
    let (jpegs, seen) = (jpegs(SIZE, 30), Size { width: SIZE.height, height: SIZE.width });
    for (part, treated) in [(10.0, Treatment::Whole), (0.6, Treatment::Changed)] {
        let mut camera = Camera::turned(SIZE, Passthrough::Auto, part_of(&jpegs[0], part), Turn::from_exif(6));
        let sent: Vec<_> = jpegs.iter().filter_map(|jpeg| camera.picture(jpeg)).collect();
        assert!(sent.len() > 20 && sent.iter().all(|sent| (sent.size, sent.sampling) == (seen, Sampling::Yuv420)), "{sent:?}");
        assert_eq!((camera.encoder.treated(), camera.encoder.counters().failed), (Some(treated), 0));
    }
}

/// There is no lossless way for the pixels beyond whole MCUs; what is encoded anew needs none.
#[test]
fn jpegs_that_are_turned_lose_their_edges_only_where_they_go_as_they_are() {
    let (size, whole) = (Size { width: 328, height: 200 }, Size { width: 320, height: 192 });
    let jpegs = jpegs(size, 3);
    let sizes = |passthrough, pixels| {
        let mut camera = Camera::turned(size, passthrough, 50_000, Turn::from_exif(3));
        camera.encoder.set_wanted(Want { pixels, ..Want::ALL });
        jpegs.iter().filter_map(|jpeg| camera.picture(jpeg)).map(|sent| sent.size).collect::<Vec<_>>()
    };
    assert_eq!(sizes(Passthrough::Auto, 0), [whole; 3]);
    assert_eq!(sizes(Passthrough::Off, 0), [size; 3]);
    // Shown at half its size; a picture of the rest would be 160x96.
    assert_eq!(sizes(Passthrough::Auto, 164 * 100), [Size { width: 164, height: 100 }; 3]);
}

/// What a source says changed is turned with the picture: nothing else is looked at.
#[test]
fn of_what_is_turned_and_says_what_changed_that_alone_is_sent() {
    let mut camera = Camera::turned(SIZE, Passthrough::Auto, 50_000, Turn::from_exif(3));
    let mut planes = vec![90; Sampling::Yuv444.bytes(SIZE)];
    let mut picture = |changed: Option<usize>| {
        camera.next += Rate::DEFAULT.period();
        let mut set = McuSet::new(SIZE, Sampling::Yuv444);
        changed.iter().for_each(|mcu| set.insert(*mcu));
        planes[..8].iter_mut().for_each(|sample| *sample ^= 0x7F);
        let body = Body::Planes(Sampling::Yuv444, planes.clone().into());
        let changed = changed.is_some().then_some(set);
        camera.encoder.encode(Picture { changed, ..Picture::new(camera.next, SIZE, body) });
        let slices: Vec<Slice> = camera.slices.try_iter().collect();
        slices.iter().flat_map(|slice| slice.head().runs().flatten().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    picture(None);
    let (last, sent) = (Sampling::Yuv444.mcus(SIZE), picture(Some(0)));
    // Beside it a few that are old.
    assert!(sent.contains(&((last.width * last.height - 1) as usize)) && sent.len() < 20, "{sent:?}");
}

/// A pause of this camera is not multiplied by another.
#[test]
fn what_could_not_be_read_once_is_cut_again_after_five_seconds() {
    let jpegs = jpegs(SIZE, 30);
    for passthrough in [Passthrough::Auto, Passthrough::On] {
        let mut camera = Camera::new(SIZE, passthrough, part_of(&jpegs[0], 0.6));
        jpegs.iter().for_each(|jpeg| _ = camera.picture(jpeg));
        let other = camera_jpeg(&vec![90; 160 * 96 * 3 / 2], Size { width: 160, height: 96 }, Sampling::Yuv420, 85, 0);
        camera.picture(&other);
        let (begun, mut number) = (camera.next, 0);
        while camera.encoder.treated() != Some(Treatment::Changed) || number < 20 {
            camera.picture(&jpegs[number % 30]);
            number += 1;
            assert!(camera.next - begun < Duration::from_secs(7), "{passthrough:?}: not for seven seconds");
        }
        assert!(camera.next - begun > Duration::from_secs(4), "{passthrough:?}");
    }
}
