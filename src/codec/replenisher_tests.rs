//! A camera, a replenisher, and a receiver that is given all that is encoded: what it shows against the scene without noise.

use super::*;
use crate::codec::decoder::Decoder;
use crate::codec::encoder::{At, Coded, EncoderThreads};
use crate::codec::scenes::{Flicker, Moment, Noise, Room, psnr};
use crate::codec::testing::{SETTINGS, planes_from};
use eyeline_proto::media::layers::{self, LAYERS};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::{Body, Picture};
use eyeline_proto::time::MediaTime;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const SIZE: Size = Size { width: 640, height: 368 };
const LUMA: usize = (SIZE.width * SIZE.height) as usize;
const PERIOD: Duration = Duration::from_micros(33_333);
const FINE: u8 = 92;

fn noisy(sigma: f32) -> Moment {
    Moment { noise: Noise { sigma, smooth: false }, ..Moment::default() }
}

struct Camera {
    room: Room,
    replenisher: Replenisher,
    pool: EncoderThreads,
    slices: Receiver<Slice>,
    canvas: Vec<u8>,
    captured: Instant,
    number: u64,
    /// The share that may be refined.
    room_for: f64,
    owed: Owed,
    /// What is shown where so many layers are taken, one and more, where pictures are of any.
    layers: Option<[Vec<u8>; LAYERS]>,
}

/// What was sent of one picture.
struct Sent {
    due: Option<Due>,
    bytes: usize,
}

impl Sent {
    fn counts(&self) -> [usize; 3] {
        self.due.as_ref().map_or([usize::MAX, 0, 0], |due| [&due.changed, &due.refined, &due.owed].map(McuSet::len))
    }
}

impl Camera {
    fn new() -> Self {
        let (sender, slices) = channel();
        Camera {
            room: Room::new(SIZE.width as usize, SIZE.height as usize, Some((2, 2)), 5),
            replenisher: Replenisher::default(),
            pool: EncoderThreads::new(1, move |slice| sender.send(slice).expect("the test receives")).unwrap(),
            slices,
            canvas: vec![0; Sampling::Yuv420.bytes(SIZE)],
            captured: Instant::now(),
            number: 0,
            room_for: 1.0,
            owed: Owed::Nothing,
            layers: None,
        }
    }

    fn take(&mut self, moment: &Moment) -> Sent {
        let planes = self.room.picture(self.number, moment);
        self.give(planes)
    }

    fn give(&mut self, mut planes: Vec<u8>) -> Sent {
        let number = self.number;
        self.captured += PERIOD;
        self.number += 1;
        self.replenisher.layered(self.layers.is_some().then_some(number));
        let (kind, room) = ((Sampling::Yuv420, SIZE), self.room_for);
        let due = self.replenisher.look(&mut planes, kind, &self.owed, self.captured, |_| room).cloned();
        let coded = due.as_ref().map_or(Coded::All, |due| Coded::Some {
            changed: &due.changed,
            refined: At { mcus: &due.refined, quality: FINE },
            owed: At { mcus: &due.owed, quality: SETTINGS.quality },
            whole: None,
        });
        let bytes = encode(&self.pool, planes, coded);
        // In layers nobody is sent what somebody else lacks.
        let is_published = |slice: &Slice| self.layers.is_none() || slice.index < slice.head().shared;
        let slices: Vec<Slice> = self.slices.try_iter().filter(is_published).collect();
        for canvas in self.layers.iter_mut().flat_map(|canvases| &mut canvases[layers::of(number)..]) {
            draw(canvas, slices.iter().cloned());
        }
        draw(&mut self.canvas, slices.into_iter());
        Sent { due, bytes }
    }

    fn run(&mut self, pictures: usize, moment: impl Fn(u64) -> Moment) -> Vec<Sent> {
        (0..pictures).map(|_| self.take(&moment(self.number))).collect()
    }

    fn clean(&self, moment: &Moment) -> Vec<u8> {
        self.room.picture(0, &Moment { noise: Noise::default(), ..*moment })
    }

    /// Of luma against what the camera sees.
    fn quality(&self, moment: &Moment) -> f64 {
        psnr(&self.canvas[..LUMA], &self.clean(moment)[..LUMA])
    }

    /// That of a picture that is sent whole, and its bytes.
    fn whole(&self, moment: &Moment) -> (f64, usize) {
        let mut canvas = vec![0; self.canvas.len()];
        let bytes = encode(&self.pool, self.room.picture(self.number, moment), Coded::All);
        draw(&mut canvas, self.slices.try_iter());
        (psnr(&canvas[..LUMA], &self.clean(moment)[..LUMA]), bytes)
    }
}

fn encode(pool: &EncoderThreads, planes: Vec<u8>, coded: Coded<'_>) -> usize {
    let picture = Picture::new(Instant::now(), SIZE, Body::Planes(Sampling::Yuv420, planes.into()));
    pool.encode(0, picture, MediaTime::ZERO, SETTINGS, coded).unwrap().bytes
}

fn draw(canvas: &mut [u8], slices: impl Iterator<Item = Slice>) {
    let mut decoder = Decoder::new().unwrap();
    for slice in slices {
        let top = u32::from(slice.head().top);
        decoder.decode_planes(&slice, planes_from(canvas, SIZE, Sampling::Yuv420, top)).unwrap();
    }
}

#[test]
fn a_still_room_is_much_better_than_sent_whole_after_two_seconds_and_no_picture_costs_much() {
    for (sigma, gain) in [(0.0, 2.0), (1.5, 2.5), (2.5, 2.5), (4.0, 2.5)] {
        let (mut camera, moment) = (Camera::new(), noisy(sigma));
        let (whole, full) = camera.whole(&moment);
        let sent = camera.run(60, |_| moment);
        let after = camera.quality(&moment);
        let most = sent[1..].iter().map(|sent| sent.bytes).max().unwrap() as f64 / full as f64;
        let mean = sent[1..].iter().map(|sent| sent.bytes).sum::<usize>() as f64 / (59 * full) as f64;
        println!("σ {sigma}: {after:.2} dB, whole {whole:.2}; {mean:.3} of a picture's bytes, at most {most:.3}");
        assert!(after > whole + gain, "{after} dB, sent whole {whole}");
        assert!(most < 0.15 && mean < 0.06, "{most} at most, {mean} on average");
    }
}

#[test]
fn at_rest_only_what_is_old_is_sent_as_well_as_it_was_refined() {
    let (mut camera, moment) = (Camera::new(), noisy(2.0));
    let (_, full) = camera.whole(&moment);
    camera.run(75, |_| moment);
    let refined = camera.quality(&moment);
    let (mut bytes, mut changed, mut again) = (0, 0, McuSet::new(SIZE, Sampling::Yuv420));
    for _ in 0..120 {
        let sent = camera.take(&moment);
        (bytes, changed) = (bytes + sent.bytes, changed + sent.counts()[0]);
        again.add(&sent.due.unwrap().refined);
        assert!(camera.quality(&moment) > refined - 0.2, "{} dB, and it was {refined}", camera.quality(&moment));
    }
    let share = bytes as f64 / (120 * full) as f64;
    println!("at rest: {share:.4} of a picture's bytes, {changed} MCUs changed in 120 pictures");
    assert!(share < 0.03 && changed < 10, "{share} of the bytes, {changed} changed");
    assert!(again.len() > again.of() - 10, "all of it grows old");
}

#[test]
fn a_caret_on_what_was_refined_is_shown_at_once_and_leaves_nothing() {
    for sigma in [0.0, 1.5, 2.5] {
        let (mut camera, still) = (Camera::new(), noisy(sigma));
        camera.run(75, |_| still);
        let (clean, line) = (camera.clean(&Moment { caret: true, ..still }), SIZE.width as usize);
        let caret = line / 3 + line * SIZE.height as usize / 2;
        for shown in [true, false, true] {
            let moment = Moment { caret: shown, ..still };
            camera.take(&moment);
            let dark = i32::from(camera.canvas[caret]) - i32::from(clean[caret]);
            assert_eq!(dark.abs() < 15, shown, "{dark} levels brighter than the caret at σ {sigma}");
        }
    }
}

#[test]
fn what_moves_or_changes_slowly_is_no_worse_for_being_refined() {
    let lamp = Some(Flicker { hertz: 100.0, rate: 30.0, depth: 0.03 });
    let scenes: [(&str, &dyn Fn(f32) -> Moment); 5] = [
        ("slow pan", &|at| Moment { pan: 0.03 * at, ..noisy(1.5) }),
        ("slower pan", &|at| Moment { pan: 0.01 * at, ..noisy(2.5) }),
        ("drift", &|at| Moment { light: 1.0 + 0.06 * (at / 19.0).sin(), ..noisy(1.5) }),
        ("slow drift", &|at| Moment { light: 1.0 + 0.03 * (at / 140.0).sin(), ..noisy(1.5) }),
        ("flicker", &|_| Moment { flicker: lamp, ..noisy(1.5) }),
    ];
    for (name, scene) in scenes {
        let (mut with, mut without) = (Camera::new(), Camera::new());
        without.room_for = 0.0;
        for number in 0..90 {
            let moment = scene(number as f32);
            let planes = with.room.picture(number, &moment);
            with.give(planes.clone());
            without.give(planes);
            if number % 15 == 14 {
                let (with, without) = (with.quality(&moment), without.quality(&moment));
                println!("{name} {number}: {with:.2} dB, not refined {without:.2}");
                assert!(with > without - 0.1, "{name}: {with} dB, not refined {without}");
            }
        }
    }
}

#[test]
fn before_a_head_that_moves_the_room_is_refined_and_again_where_it_was() {
    let mut camera = Camera::new();
    let (empty, left) = (noisy(2.5), |number: u64| if number < 40 { number as f32 / 40.0 } else { 1.0 });
    let head = |number: u64| Moment { head: Some((0.3 + 0.04 * (number as f32 / 9.0).sin(), 0.6)), ..empty };
    let (whole, _) = camera.whole(&head(0));
    for sent in camera.run(90, head) {
        if let Some(due) = sent.due {
            let mut both = due.changed.clone();
            both.keep_all(&due.refined);
            assert!(both.is_empty());
        }
    }
    let before = camera.quality(&head(89));
    assert!(before > whole + 2.5, "{before} dB, sent whole {whole}");
    let from = camera.number;
    camera.run(110, |number| Moment { head: Some((0.3 + 1.2 * left(number - from), 0.6)), ..empty });
    let after = camera.quality(&empty);
    println!("a head before it: {before:.2} dB, gone {after:.2}, sent whole {whole:.2}");
    assert!(after > whole + 6.0, "{after} dB, sent whole {whole}");
}

/// Below the limits of what has changed, but a mean of it would never be sent again.
#[test]
fn what_was_refined_follows_a_change_too_small_to_be_seen_in_one_picture() {
    let (mut camera, dark) = (Camera::new(), noisy(2.0));
    camera.run(80, |_| dark);
    let light = Moment { light: 1.006, ..dark };
    camera.run(20, |_| light);
    let behind = camera.quality(&light);
    camera.run(4 * 95, |_| light);
    let followed = camera.quality(&light);
    println!("{behind:.2} dB, followed {followed:.2}");
    assert!(followed > behind + 2.0, "{behind} dB, then {followed}");
}

/// A lens that breathes too little to be seen, and has no mean: what was refined is not kept for that.
#[test]
fn what_was_refined_and_never_is_still_again_is_sent_as_it_is_when_it_is_old() {
    let (mut camera, still) = (Camera::new(), noisy(0.6));
    camera.run(75, |_| still);
    let breathes = |number: u64| Moment { zoom: 1.0 + 0.0002 * (number as f32 / 2.5).sin(), ..still };
    let at_once: usize = camera.run(10, breathes).iter().map(|sent| sent.counts()[0]).sum();
    let when_old: usize = camera.run(4 * 95, breathes).iter().map(|sent| sent.counts()[0]).sum();
    println!("{at_once} changed at once, {when_old} when it was old");
    assert!(at_once < 3 && when_old >= 10, "{at_once} changed at once, {when_old} when it was old");
}

#[test]
fn without_room_nothing_is_refined_and_what_was_is_sent_as_it_was_at_the_pictures_quality() {
    let (mut camera, moment) = (Camera::new(), noisy(2.0));
    camera.room_for = 0.0;
    assert!(camera.run(40, |_| moment).iter().all(|sent| sent.counts()[1] == 0));
    let (whole, _) = camera.whole(&moment);
    camera.room_for = 1.0;
    camera.run(75, |_| moment);
    camera.room_for = 0.0;
    let sent = camera.run(120, |_| moment);
    let all: usize = sent.iter().map(|sent| sent.counts()[0]).sum();
    assert!(sent.iter().all(|sent| sent.counts()[1] == 0) && all > 920, "{all} of 920 were sent again in four seconds");
    let kept = camera.quality(&moment);
    println!("kept: {kept:.2} dB, sent whole {whole:.2}");
    assert!(kept > whole + 1.0, "{kept} dB, sent whole {whole}");
}

#[test]
fn where_little_may_be_refined_every_part_of_the_picture_has_its_turn() {
    let (mut camera, moment) = (Camera::new(), noisy(2.0));
    camera.room_for = 3.0 / 920.0;
    let sent = camera.run(400, |_| moment);
    assert!(sent.iter().all(|sent| sent.counts()[1] <= 3));
    let mut quarters = [0; 4];
    for mcu in sent.iter().filter_map(|sent| sent.due.as_ref()).flat_map(|due| due.refined.iter()) {
        quarters[mcu * 4 / 920] += 1;
    }
    println!("{quarters:?}");
    assert!(quarters.iter().all(|quarter| *quarter > 150), "{quarters:?}");
}

/// Somebody moved for long, and the daylight with it, slower than anything that is told from noise.
#[test]
fn a_mean_that_waited_for_room_is_of_what_is_there_now() {
    let mut camera = Camera::new();
    let at = |number: u64| Moment { light: 1.0 + 0.00006 * number as f32, ..noisy(2.0) };
    camera.room_for = 0.0;
    camera.run(500, at);
    let before = camera.quality(&at(500));
    camera.room_for = 1.0;
    let first = camera.number;
    camera.run(2, at);
    let after = camera.quality(&at(first + 1));
    println!("{before:.2} dB, then {after:.2}");
    assert!(after > before - 0.1, "{before} dB, then {after}");
}

/// One who comes late is shown what all others are, not today's noise in its place.
#[test]
fn what_is_owed_is_the_mean_where_that_was_sent() {
    let (mut camera, moment) = (Camera::new(), noisy(2.5));
    let (whole, _) = camera.whole(&moment);
    camera.run(75, |_| moment);
    camera.owed = Owed::All;
    let sent = camera.take(&moment);
    let [changed, refined, owed] = sent.counts();
    assert_eq!(changed + refined + owed, 920);
    let after = camera.quality(&moment);
    println!("owed: {after:.2} dB, sent whole {whole:.2}");
    assert!(after > whole + 2.0, "{after} dB, sent whole {whole}");
    camera.owed = Owed::Nothing;
    let sent = camera.run(5, |_| moment);
    assert!(sent.iter().all(|sent| sent.counts()[0] < 3), "nothing has changed for that");
}

#[test]
fn a_picture_that_is_too_short_is_left_to_the_encoder_to_refuse() {
    let mut short = vec![0; Sampling::Yuv420.bytes(SIZE) - 1];
    let kind = (Sampling::Yuv420, SIZE);
    assert!(Replenisher::default().look(&mut short, kind, &Owed::Nothing, Instant::now(), |_| 1.0).is_none());
}

/// Who takes an eighth of the pictures sees of each what others see of it, to the last bit: nothing is left of those between.
#[test]
fn whoever_takes_fewer_layers_sees_of_each_picture_what_all_see() {
    let mut camera = Camera::new();
    camera.layers = Some(std::array::from_fn(|_| camera.canvas.clone()));
    let still_scene = noisy(2.0);
    for number in 0..240u64 {
        // Somebody comes and moves about, and goes; the light drifts at the end.
        let head = (number / 60 % 2 == 1).then_some((0.3 + 0.002 * (number % 60) as f32, 0.5));
        let light = 1.0 + 0.0005 * number.saturating_sub(200) as f32;
        let moment = Moment { head, light, ..still_scene };
        camera.owed = if number % 50 == 7 { Owed::All } else { Owed::Nothing };
        camera.take(&moment);
        let canvases = camera.layers.as_ref().unwrap();
        for (layer, canvas) in canvases.iter().enumerate().skip(layers::of(number)) {
            let other = canvas.iter().zip(&camera.canvas).filter(|(one, all)| one != all).count();
            assert_eq!(other, 0, "picture {number}, {} layers", layer + 1);
        }
    }
    camera.run(150, |_| still_scene);
    let (after, (whole, _)) = (camera.quality(&still_scene), camera.whole(&still_scene));
    println!("in layers: {after:.2} dB, sent whole {whole:.2}");
    assert!(after > whole + 2.0, "what stands still is refined in layers, too: {after} dB, sent whole {whole}");
}
