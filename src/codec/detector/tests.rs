//! The detector before a webcam: a room, a head, noise, and light that changes. What a receiver that loses nothing shows is what
//! was sent, so what is left of a change is seen by comparing the two.

use super::*;
use crate::codec::scenes::{Flicker as Lamp, Moment, Noise as Grain, Room, psnr};
use eyeline_proto::picture::mcu_set::McuSet;

const SIZE: Size = Size { width: 640, height: 368 };
const SAMPLINGS: [(Sampling, Option<(usize, usize)>); 5] = [
    (Sampling::Yuv420, Some((2, 2))),
    (Sampling::Yuv422, Some((2, 1))),
    (Sampling::Yuv444, Some((1, 1))),
    (Sampling::Yuv440, Some((1, 2))),
    (Sampling::Grey, None),
];

fn grain(sigma: f32) -> Grain {
    Grain { sigma, smooth: false }
}

/// A detector, what it looks at, and a receiver that gets all it says.
struct Camera {
    room: Room,
    detector: Detector,
    sampling: Sampling,
    size: Size,
    shown: Vec<u8>,
    changed: McuSet,
    number: u64,
}

impl Camera {
    fn new(size: Size, (sampling, colour): (Sampling, Option<(usize, usize)>)) -> Self {
        let room = Room::new(size.width as usize, size.height as usize, colour, 5);
        let shown = vec![0; sampling.bytes(size)];
        Camera { room, detector: Detector::new(), sampling, size, shown, changed: McuSet::new(size, sampling), number: 0 }
    }

    /// Of 640x368 in 4:2:0.
    fn hall() -> Self {
        Camera::new(SIZE, SAMPLINGS[0])
    }

    /// One picture; what was found in it is sent.
    fn take(&mut self, moment: &Moment) -> Scene {
        let planes = self.room.picture(self.number, moment);
        self.number += 1;
        self.show(&planes)
    }

    fn show(&mut self, planes: &[u8]) -> Scene {
        let scene = self.detector.look(planes, &mut self.changed);
        self.detector.sent(planes, &self.changed);
        let grid = Grid::new(self.sampling, self.size);
        self.changed.runs(0..grid.len()).for_each(|run| grid.copy(planes, &mut self.shown, run));
        scene
    }

    /// Many pictures; what share of all MCUs was sent of them, and what the last was like.
    fn run(&mut self, pictures: u64, moment: impl Fn(f32) -> Moment) -> (f32, Scene) {
        let (mut sent, mut scene) = (0, Scene::default());
        for _ in 0..pictures {
            scene = self.take(&moment(self.number as f32));
            sent += self.changed.len();
        }
        (sent as f32 / (pictures as usize * self.changed.of()) as f32, scene)
    }

    /// By how much the mean of an 8x8 block of luma is off what the camera sees: the worst, and the worst but one in a hundred.
    fn residue(&self, moment: &Moment) -> (f32, f32) {
        let clean = self.room.picture(self.number - 1, &Moment { noise: Grain::default(), ..*moment });
        let width = self.size.width as usize;
        let mut off = Vec::new();
        for (top, left) in
            (0..self.size.height as usize / 8).flat_map(|row| (0..width / 8).map(move |column| (8 * row, 8 * column)))
        {
            let pixels = (0..64).map(|at| (top + at / 8) * width + left + at % 8);
            let difference: i32 = pixels.map(|at| i32::from(self.shown[at]) - i32::from(clean[at])).sum();
            off.push(difference.abs() as f32 / 64.0);
        }
        off.sort_by(f32::total_cmp);
        (off[off.len() - 1], off[off.len() * 99 / 100])
    }
}

#[test]
fn sigma_is_found_and_a_still_room_costs_nothing() {
    for smooth in [false, true] {
        for sigma in [0.0, 1.5, 2.5, 4.0] {
            let mut camera = Camera::hall();
            let moment = Moment { noise: Grain { sigma, smooth }, ..Moment::default() };
            camera.run(4, |_| moment);
            let (share, scene) = camera.run(16, |_| moment);
            // Most of the room is near mid-grey; that part's σ is meant.
            let found = camera.detector.noise.luma()[part(128.0)].sigma;
            println!("σ {sigma} smooth {smooth}: found {found:.2}, quiet part {:.2}, false {:.3} %", scene.sigma, 100.0 * share);
            assert!((found - sigma).abs() <= 0.15 * sigma + 0.02, "{found} for {sigma}");
            assert!((scene.sigma - sigma).abs() <= 0.15 * sigma + 0.02, "{} for {sigma}", scene.sigma);
            assert!(share < 0.005, "{share}");
        }
    }
}

/// What was sent before is still compared with, so until all is sent again, for age if for nothing else, the σ that counts is
/// between the two.
#[test]
fn sigma_follows_a_camera_that_becomes_noisier_and_quiet_again() {
    let mut camera = Camera::hall();
    let with = |sigma| move |_| Moment { noise: grain(sigma), ..Moment::default() };
    camera.run(10, with(1.5));
    for (sigma, between) in [(3.0, 2.1..3.1), (1.5, 1.4..2.5)] {
        camera.run(10, with(sigma));
        let (share, scene) = camera.run(10, with(sigma));
        println!("now σ {sigma}: {:.2} % sent, {scene:?}", 100.0 * share);
        assert!(between.contains(&scene.sigma) && share < 0.02, "{share} {scene:?}");
        let planes = camera.room.picture(camera.number, &with(sigma)(0.0));
        camera.number += 1;
        camera.changed.fill();
        camera.detector.sent(&planes, &camera.changed);
        camera.run(10, with(sigma));
        let (share, scene) = camera.run(10, with(sigma));
        assert!((scene.sigma - sigma).abs() < 0.15 * sigma && share < 0.005, "{share} {scene:?}");
    }
}

#[test]
fn a_caret_is_found_in_the_picture_it_appears_in_and_in_the_one_it_leaves() {
    for sampling in SAMPLINGS {
        let mut camera = Camera::new(SIZE, sampling);
        camera.run(5, |_| Moment::default());
        for caret in [true, false, true, true, false] {
            let moment = Moment { caret, ..Moment::default() };
            camera.take(&moment);
            assert_eq!(camera.shown, camera.room.picture(0, &moment), "{sampling:?}");
            let most = if sampling.0.mcu().height == 16 { 2 } else { 3 };
            assert!(camera.changed.len() <= most, "{} MCUs", camera.changed.len());
        }
    }
}

#[test]
fn what_moves_is_found_and_nothing_of_it_stays_behind() {
    for (sigma, limit) in [(0.0, 2.0), (1.5, 3.0), (2.5, 4.0)] {
        let mut camera = Camera::hall();
        let empty = Moment { noise: grain(sigma), ..Moment::default() };
        camera.run(5, |_| empty);
        let mut worst = 0.0_f32;
        for step in 0..60 {
            let moment = Moment { head: Some((-0.4 + 0.03 * step as f32, 0.55)), ..empty };
            camera.take(&moment);
            worst = worst.max(camera.residue(&moment).0);
        }
        let (after, most) = camera.residue(&empty);
        println!("σ {sigma}: worst residue {worst:.2} while it moves, {after:.2} (99 %: {most:.2}) after it left");
        assert!(worst < limit && after < limit, "{worst} and {after} at σ {sigma}");
        let (share, _) = camera.run(10, |_| empty);
        assert!(share < 0.01, "{share} after it left");
    }
}

#[test]
fn a_talking_head_costs_what_it_covers() {
    let mut camera = Camera::hall();
    let talks =
        |number: f32| Moment { head: Some((0.5 + 0.02 * (number / 7.0).sin(), 0.5)), noise: grain(2.5), ..Moment::default() };
    camera.run(5, talks);
    let (share, scene) = camera.run(40, talks);
    let (mut parts, mut whole) = (0.0, 0.0);
    for number in 45..55 {
        camera.run(1, talks);
        let moment = talks(number as f32);
        let clean = camera.room.picture(0, &Moment { noise: grain(0.0), ..moment });
        parts += psnr(&camera.shown, &clean) / 10.0;
        whole += psnr(&camera.room.picture(number, &moment), &clean) / 10.0;
    }
    println!("head: {:.1} % of the MCUs, {parts:.2} dB against the clean scene, whole {whole:.2}, {scene:?}", 100.0 * share);
    assert!(parts > whole - 0.6, "{parts} dB, sent whole {whole}");
    assert!((0.03..0.2).contains(&share) && !scene.drifting && !scene.flickering, "{share} {scene:?}");
}

#[test]
fn light_that_drifts_is_followed_in_fine_steps() {
    let exposure = |number: f32| 1.0 + 0.06 * (number / 120.0 * std::f32::consts::TAU).sin();
    let fade = |number: f32| (0.3 + 0.7 * number / 90.0).min(1.0);
    for (name, light, pictures, limit) in
        [("exposure", &exposure as &dyn Fn(f32) -> f32, 120, 3.5), ("fade", &fade as &dyn Fn(f32) -> f32, 95, 3.5)]
    {
        let mut camera = Camera::hall();
        let (mut worst, mut most, mut sent, mut drifting) = (0.0_f32, 0.0_f32, 0.0, 0);
        camera.run(5, |_| Moment { light: light(0.0), noise: grain(1.5), ..Moment::default() });
        for number in 0..pictures {
            let moment = Moment { light: light(number as f32), noise: grain(1.5), ..Moment::default() };
            let (share, scene) = camera.run(1, |_| moment);
            let (residue, nearly) = camera.residue(&moment);
            (worst, most, sent) = (worst.max(residue), most.max(nearly), sent + share);
            drifting += u32::from(scene.drifting);
        }
        let share = sent / pictures as f32;
        let sigma = camera.detector.noise.sigma();
        println!(
            "{name}: worst residue {worst:.2}, 99 % {most:.2}, {:.1} % sent, {drifting} of {pictures} drifting, σ {sigma:.2}",
            100.0 * share
        );
        assert!(worst < limit && drifting > pictures / 2, "{name}: {worst}, {drifting}");
        assert!((1.2..1.9).contains(&sigma), "drift is not noise: {sigma}");
        assert!(share < 0.7, "{share}");
    }
}

#[test]
fn lamps_that_flicker_do_not_make_everything_change_for_ever() {
    for (hertz, rate) in [(100.0, 30.0), (120.0, 30.0), (120.0, 29.97), (100.0, 25.0), (120.0, 25.0), (100.0, 24.0)] {
        for depth in [0.02, 0.06] {
            let mut camera = Camera::hall();
            let lamp = Some(Lamp { hertz, rate, depth });
            let still = Moment { flicker: lamp, noise: grain(1.5), ..Moment::default() };
            camera.run(40, |_| still);
            let (share, scene) = camera.run(60, |_| still);
            // The middle of the swing is the room without flicker.
            let stands = [(100.0, 25.0), (120.0, 30.0)].contains(&(hertz, rate));
            let (worst, most) = camera.residue(&Moment { flicker: lamp.filter(|_| stands || rate == 29.97), ..still });
            println!("{hertz} Hz at {rate}, {depth}: {:.2} % sent, residue {worst:.2}, 99 % {most:.2}, {scene:?}", 100.0 * share);
            assert!(share < 0.07, "{share} at {hertz} Hz and {rate} pictures a second");
            // No block is as far off as the lamp makes it in a picture that is sent whole, and few are beyond half of that.
            let swing = 255.0 * depth;
            assert!(most < 3.0 + 0.6 * swing && worst < 1.5 + swing, "{worst}, {most} at {hertz} Hz and {rate} a second");
        }
    }
}

#[test]
fn someone_who_moves_under_a_lamp_that_flickers_is_still_seen() {
    let mut camera = Camera::hall();
    let lamp = Some(Lamp { hertz: 100.0, rate: 30.0, depth: 0.04 });
    let empty = Moment { flicker: lamp, noise: grain(1.5), ..Moment::default() };
    camera.run(40, |_| empty);
    let moves = |number: f32| Moment { head: Some((0.5 + 0.1 * (number / 6.0).sin(), 0.5)), ..empty };
    let (share, scene) = camera.run(40, moves);
    let (worst, most) = camera.residue(&Moment { flicker: None, ..moves(79.0) });
    println!("head under a lamp: {:.1} % sent, residue {worst:.2}, 99 % {most:.2}", 100.0 * share);
    assert!(scene.flickering && share < 0.25 && most < 10.0, "{share} {scene:?} {worst} {most}");
    camera.run(20, |_| empty);
    let (worst, most) = camera.residue(&Moment { flicker: None, ..empty });
    println!("after it left: residue {worst:.2}, 99 % {most:.2}");
    assert!(most < 7.5 && worst < 11.0, "{worst} {most}");
}

#[test]
fn a_lamp_switched_on_is_shown_at_once_flicker_or_not() {
    for flicker in [None, Some(Lamp { hertz: 100.0, rate: 30.0, depth: 0.03 })] {
        let mut camera = Camera::hall();
        let dark = Moment { light: 0.6, flicker, noise: grain(1.5), ..Moment::default() };
        camera.run(30, |_| dark);
        let lit = Moment { light: 1.0, ..dark };
        let scene = camera.take(&lit);
        assert!(scene.share > 0.9, "{scene:?}");
        camera.run(20, |_| lit);
        let (worst, most) = camera.residue(&Moment { flicker: None, ..lit });
        let (share, scene) = camera.run(20, |_| lit);
        println!("lamp: residue {worst:.2}, 99 % {most:.2}, then {:.2} % sent {scene:?}", 100.0 * share);
        assert!(share < 0.05 && most < 6.0, "{share} {most}");
    }
}

#[test]
fn a_lens_that_breathes_is_followed_and_leaves_nothing() {
    let mut camera = Camera::hall();
    let still = Moment { noise: grain(1.5), ..Moment::default() };
    camera.run(10, |_| still);
    let breathes = |number: f32| Moment { zoom: 1.0 + 0.01 * (number / 15.0).sin().abs(), ..still };
    let mut worst = 0.0_f32;
    for number in 0..60 {
        let moment = breathes(number as f32);
        camera.take(&moment);
        worst = worst.max(camera.residue(&moment).0);
    }
    camera.run(15, |_| still);
    let (after, most) = camera.residue(&still);
    let (share, scene) = camera.run(15, |_| still);
    println!("breathing: worst residue {worst:.2}; after it {after:.2}, 99 % {most:.2}, {:.2} % sent, {scene:?}", 100.0 * share);
    assert!(worst < 8.0 && after < 5.0 && share < 0.01 && !scene.sampled, "{worst} {after} {share} {scene:?}");
}

#[test]
fn where_everything_moves_it_only_samples_until_it_is_calm() {
    let mut camera = Camera::hall();
    let at = |pan: f32| Moment { pan, noise: grain(2.0), ..Moment::default() };
    camera.run(5, |_| at(0.0));
    let (_, scene) = camera.run(20, |number| at(20.0 * number));
    assert!(scene.sampled && scene.share > CALM, "{scene:?}");
    assert_eq!(camera.changed.len(), camera.changed.of(), "all is sent");
    let (_, scene) = camera.run(25, |_| at(480.0));
    assert!(!scene.sampled, "{scene:?}");
    assert!(scene.share < 0.01, "{scene:?}");
    assert!(camera.residue(&at(480.0)).0 < 5.0);
}

#[test]
fn what_never_was_sent_has_changed_until_it_is() {
    let mut camera = Camera::hall();
    // All black, which is what an unwritten reference is.
    let black = vec![0; SIZE.width as usize * SIZE.height as usize * 3 / 2];
    camera.detector.look(&black, &mut camera.changed);
    let all = camera.changed.of();
    assert_eq!(camera.changed.len(), all);
    let mut some = McuSet::new(SIZE, Sampling::Yuv420);
    (3..40).for_each(|mcu| some.insert(mcu));
    camera.detector.sent(&black, &some);
    camera.detector.look(&black, &mut camera.changed);
    assert_eq!((camera.changed.len(), camera.changed.runs(3..40).count()), (all - 37, 0));
}

#[test]
fn another_size_or_sampling_changes_everything() {
    let mut camera = Camera::hall();
    camera.run(5, |_| Moment::default());
    assert!(camera.changed.is_empty());
    let planes = vec![90; Sampling::Yuv444.bytes(SIZE)];
    for (sampling, size) in
        [(Sampling::Yuv422, SIZE), (Sampling::Yuv444, SIZE), (Sampling::Yuv444, Size { width: 64, height: 64 })]
    {
        camera.changed = McuSet::new(size, sampling);
        camera.detector.look(&planes, &mut camera.changed);
        let mcus = sampling.mcus(size);
        assert_eq!(camera.changed.len(), (mcus.width * mcus.height) as usize);
        camera.detector.sent(&planes, &camera.changed);
        camera.detector.look(&planes, &mut camera.changed);
        assert!(camera.changed.is_empty());
    }
}

/// A spot in each corner and in the middle, and nothing else, is found, in every plane and at every size.
#[test]
fn every_mcu_of_every_plane_is_watched_at_odd_sizes_too() {
    for (sampling, _) in SAMPLINGS {
        for (width, height) in [(1, 1), (3, 70), (17, 15), (33, 47), (130, 66), (64, 32)] {
            let size = Size { width, height };
            let grid = Grid::new(sampling, size);
            let mut camera = Camera::new(size, (sampling, None));
            camera.shown = vec![0; grid.bytes()];
            let mut planes = vec![100; grid.bytes()];
            camera.show(&planes);
            camera.show(&planes);
            assert!(camera.changed.is_empty(), "{sampling:?} {size}");
            for mcu in 0..grid.len() {
                for plane in &grid.planes {
                    // The last pixel of the MCU in this plane.
                    let Some(line) = plane.lines(mcu / grid.columns, &(mcu % grid.columns..mcu % grid.columns + 1)).last() else {
                        continue;
                    };
                    planes[line.end - 1] = if planes[line.end - 1] < 128 { 200 } else { 40 };
                    camera.show(&planes);
                    assert!(camera.changed.contains(mcu) && camera.changed.len() == 1, "MCU {mcu}, {sampling:?} {size}");
                    assert_eq!(camera.shown, planes);
                }
            }
        }
    }
}

/// Against a mean only the new picture is noisy.
#[test]
fn sigma_is_found_against_means_and_a_mixture_of_both_and_what_changes_is_found() {
    for smooth in [false, true] {
        for (sigma, every) in [(1.5, 1), (2.5, 1), (2.5, 2), (4.0, 1)] {
            let mut camera = Camera::hall();
            let moment = Moment { noise: Grain { sigma, smooth }, ..Moment::default() };
            camera.run(4, |_| moment);
            let clean = camera.room.picture(0, &Moment::default());
            let mut means = camera.changed.clone();
            (0..means.of()).filter(|mcu| mcu % every == 0).for_each(|mcu| means.insert(mcu));
            camera.detector.sent_mean(&clean, &means);
            assert_eq!(camera.detector.means(), &means);
            let (share, scene) = camera.run(30, |_| moment);
            println!("means, σ {sigma} smooth {smooth}: {scene:?}, false {:.3} %", 100.0 * share);
            assert!((scene.sigma - sigma).abs() <= 0.15 * sigma + 0.02, "{} for {sigma}", scene.sigma);
            assert!(share < 0.005, "{share}");
            let mut recalled = vec![0; clean.len()];
            camera.detector.recall(&mut recalled, &means);
            assert!(every > 1 || psnr(&recalled, &clean) > 50.0, "what was sent is kept");
            if sigma < 4.0 {
                camera.take(&Moment { caret: true, ..moment });
                assert!((1..5).contains(&camera.changed.len()), "{} MCUs", camera.changed.len());
            }
        }
    }
}

/// A player, and a camera that gives more pictures than it takes, repeat some: no less noisy is it for that.
#[test]
fn a_picture_that_comes_again_is_not_taken_for_one_without_noise() {
    let mut camera = Camera::hall();
    let moment = Moment { noise: grain(2.5), ..Moment::default() };
    let again: Vec<Vec<u8>> = (0..3).map(|number| camera.room.picture(number, &moment)).collect();
    camera.show(&again[0]);
    camera.run(10, |_| moment);
    for number in 0..60 {
        let scene = match number % 6 {
            0 => camera.show(&again[0]),
            // Twice the same, just after all of it was sent.
            3 => {
                camera.show(&again[1]);
                camera.changed.fill();
                camera.detector.sent(&again[1], &camera.changed);
                camera.show(&again[1])
            }
            _ => camera.take(&moment),
        };
        assert!((2.1..2.9).contains(&scene.sigma), "{scene:?} in picture {number}");
        assert!(camera.changed.len() < 10, "{} of picture {number}", camera.changed.len());
    }
    // A screen has none.
    let (_, scene) = camera.run(30, |_| Moment::default());
    let planes = camera.room.picture(0, &Moment::default());
    camera.changed.fill();
    camera.detector.sent(&planes, &camera.changed);
    let (_, still) = camera.run(30, |_| Moment::default());
    assert!(still.sigma < 0.05, "{still:?} after {scene:?}");
}

#[test]
fn a_film_in_a_window_on_a_screen_is_not_taken_for_noise() {
    let mut camera = Camera::hall();
    for number in 0..20 {
        let mut planes = camera.room.picture(0, &Moment::default());
        let film = camera.room.picture(number, &Moment { noise: grain(5.0), ..Moment::default() });
        planes[..80 * 640].copy_from_slice(&film[..80 * 640]);
        camera.number += 1;
        let scene = camera.show(&planes);
        assert!(scene.sigma < 0.1, "{scene:?} in picture {number}");
    }
}
