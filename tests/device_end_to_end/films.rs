//! `send --file FILM` → `recv --output out.y4m --audio-output out.wav`, for films of many kinds, with no loss and with 2 %.

use crate::film::{Film, RATE, Recipe, folder};
use crate::measure::{self, Y4m, beeps, correlation, flash_pictures, psnr};
use crate::program::{free_port, recv, send};
use crate::proxy::Proxy;
use std::path::Path;

/// One of so many datagrams is lost: 2 %.
const LOSS: u64 = 50;

/// Picture and sound are this near each other, in seconds.
const LIP: f64 = 0.040;

struct Case {
    recipe: Recipe,
    /// Of the pictures that arrive.
    size: (usize, usize),
    channels: usize,
}

impl Case {
    fn new(recipe: Recipe) -> Case {
        Case { recipe, size: (480, 270), channels: 1 }
    }

    /// Over a network that loses nothing, and over one that does.
    fn holds(&self) {
        let stem = self.recipe.name.split('.').next().unwrap();
        let dir = folder(stem);
        let film = self.recipe.make(&dir);
        let wanted = Wanted::of(&film, self);
        std::thread::scope(|scope| {
            scope.spawn(|| wanted.hold(&Sent::over(&film, &dir, None), &format!("{stem}, no loss")));
            scope.spawn(|| wanted.hold(&Sent::over(&film, &dir, Some(LOSS)), &format!("{stem}, 2 % loss")));
        });
    }
}

/// What arrived.
struct Sent {
    pictures: Y4m,
    sound: Vec<i16>,
    channels: usize,
}

impl Sent {
    fn over(film: &Film, dir: &Path, loss: Option<u64>) -> Sent {
        let name = if loss.is_some() { "lossy" } else { "clean" };
        let (y4m, wav) = (dir.join(format!("{name}.y4m")), dir.join(format!("{name}.wav")));
        let port = free_port();
        let mut send = send(&format!("--file {} -q 90 -p {port}", film.text()));
        send.said("waiting on port");
        let proxy = loss.map(|one_in| {
            let front = free_port();
            (Proxy::start(front, port, one_in, 0x5EED), front)
        });
        let dialled = proxy.as_ref().map_or(port, |(_, front)| *front);
        let files = format!("--output {} --audio-output {}", y4m.display(), wav.display());
        let mut recv = recv(&format!("--host 127.0.0.1:{dialled} {files}"));
        recv.said("the end: everything is here");
        assert_eq!(recv.ended(), 0, "recv, {name}");
        send.said("has seen the whole film");
        assert_eq!(send.ended(), 0, "send, {name}");
        if let Some((proxy, _)) = proxy {
            let (passed, lost) = proxy.counts();
            assert!(lost * LOSS * 2 > passed, "{lost} lost, {passed} passed: too good a network");
        }
        let (sound, channels) = measure::wav(&wav);
        Sent { pictures: Y4m::read(&y4m), sound, channels }
    }
}

/// What ffmpeg itself makes of the film.
struct Wanted {
    pictures: Vec<Vec<u8>>,
    times: Vec<f64>,
    sound: Vec<i16>,
    size: (usize, usize),
    channels: usize,
}

impl Wanted {
    fn of(film: &Film, case: &Case) -> Wanted {
        let &Case { size, channels, .. } = case;
        let (pictures, times) = (film.pictures(size), film.times());
        assert_eq!(pictures.len(), times.len());
        Wanted { pictures, times, sound: film.sound(channels), size, channels }
    }

    fn hold(&self, sent: &Sent, name: &str) {
        self.hold_pictures(&sent.pictures, name);
        self.hold_sound(sent, name);
        self.hold_lips(sent, name);
    }

    fn hold_pictures(&self, sent: &Y4m, name: &str) {
        assert_eq!((sent.size, sent.header.contains("XCOLORRANGE=FULL")), (self.size, true), "{name}: {}", sent.header);
        let shown = self.shown(sent.period);
        assert_eq!(sent.pictures.len(), shown.len(), "{name}: every picture for as long as the film shows it");
        let alike: Vec<f64> = sent.pictures.iter().zip(&shown).map(|(a, &k)| psnr(a, &self.pictures[k])).collect();
        let mean = alike.iter().sum::<f64>() / alike.len() as f64;
        let least = alike.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{name}: {} pictures, luma PSNR {mean:.2} dB in the mean, {least:.2} dB the least", alike.len());
        assert!(mean >= 40.0 && least >= 36.0, "{name}: {mean:.2} dB in the mean, {least:.2} the least: {alike:.1?}");
        for (frame, (alike, &k)) in alike.iter().zip(&shown).enumerate() {
            for other in [k.wrapping_sub(1), k + 1] {
                let other = self.pictures.get(other).map_or(0.0, |other| psnr(&sent.pictures[frame], other));
                assert!(
                    *alike > other,
                    "{name}: frame {frame} is like picture {k}'s neighbour: {other:.1} dB, its own {alike:.1}"
                );
            }
        }
    }

    /// Which of its pictures the film shows in each period.
    fn shown(&self, period: f64) -> Vec<usize> {
        let frames = (self.times[self.times.len() - 1] / period).round() as usize + 1;
        // Stamps in milliseconds are a little off.
        let at = |frame| self.times.partition_point(|time| *time <= (frame as f64 + 0.25) * period) - 1;
        (0..frames).map(at).collect()
    }

    fn hold_sound(&self, sent: &Sent, name: &str) {
        assert_eq!(sent.channels, self.channels, "{name}");
        let lengths = [&sent.sound, &self.sound].map(|sound| sound.len() / self.channels);
        assert!(lengths[0].abs_diff(lengths[1]) <= RATE / 50, "{name}: {lengths:?} frames");
        let first = |sound: &[i16]| -> Vec<i16> { sound.iter().step_by(self.channels).copied().collect() };
        let (arrived, wanted) = (first(&sent.sound), first(&self.sound));
        let apart = ((beeps(&arrived, 1)[0] - beeps(&wanted, 1)[0]) * RATE as f64).round() as isize;
        let (alike, delay) = correlation(&arrived, &wanted, apart - 3..=apart + 3);
        println!("{name}: sound correlates {alike:.5}, {delay} samples later");
        assert!(alike >= 0.99, "{name}: the sound correlates {alike:.4}");
    }

    /// Picture and sound belong to each other as in the film, at its start and at its end.
    fn hold_lips(&self, sent: &Sent, name: &str) {
        let arrived = flash_pictures(&sent.pictures.pictures, self.size);
        let shown = self.shown(sent.pictures.period);
        let meant: Vec<_> = shown.iter().map(|&k| self.pictures[k].clone()).collect();
        assert_eq!(arrived, flash_pictures(&meant, self.size), "{name}");
        let (heard, meant) = (beeps(&sent.sound, self.channels), beeps(&self.sound, self.channels));
        for k in 0..2 {
            let seen = arrived[k] as f64 * sent.pictures.period;
            let late = (heard[k] - seen) - (meant[k] - self.times[shown[arrived[k]]]);
            println!("{name}: at {seen:.3} s the sound is {:.2} ms late", late * 1000.0);
            assert!(late.abs() <= LIP, "{name}: at {seen:.3} s the sound is {:.1} ms late", late * 1000.0);
        }
    }
}

#[test]
fn a_film_of_24_pictures_a_second_arrives_whole() {
    let output = "-c:v libx264 -preset veryfast -crf 16 -c:a aac -b:a 192k";
    Case::new(Recipe { name: "film-24.mp4", rate: "24", output, ..Recipe::default() }).holds();
}

#[test]
fn a_film_of_25_pictures_a_second_arrives_whole() {
    Case::new(Recipe { name: "film-25.mkv", rate: "25", ..Recipe::default() }).holds();
}

#[test]
fn a_film_of_29_97_pictures_a_second_arrives_whole() {
    let output = "-c:v libx264 -preset veryfast -crf 16 -c:a aac -b:a 192k";
    Case::new(Recipe { name: "film-29-97.mp4", rate: "30000/1001", output, ..Recipe::default() }).holds();
}

#[test]
fn a_film_of_60_pictures_a_second_arrives_whole() {
    Case::new(Recipe { name: "film-60.mkv", rate: "60", ..Recipe::default() }).holds();
}

#[test]
fn a_film_of_uneven_pictures_arrives_whole() {
    let filter = "select='not(mod(n,4))+not(mod(n,7))+between(n,40,50)'";
    Case::new(Recipe { name: "film-uneven.mkv", rate: "50", filter, ..Recipe::default() }).holds();
}

#[test]
fn a_film_without_pictures_for_a_while_arrives_in_step() {
    let filter = "select='not(between(t,0.85,1.95))'";
    Case::new(Recipe { name: "film-hole.mp4", filter, output: "-c:v libx264 -crf 16 -c:a aac -b:a 192k", ..Recipe::default() })
        .holds();
}

#[test]
fn a_film_whose_rate_changes_half_way_arrives_in_step() {
    let filter = "select='lt(t,1)+not(mod(n,2))'";
    Case::new(Recipe { name: "film-slower.mkv", rate: "50", filter, ..Recipe::default() }).holds();
}

#[test]
fn a_film_of_an_odd_size_arrives_whole() {
    // Only what is not subsampled can have an odd size.
    let output = "-c:v ffv1 -pix_fmt yuv444p -c:a flac";
    let recipe = Recipe { name: "film-odd.mkv", size: "641x359", output, ..Recipe::default() };
    Case { size: (641, 359), ..Case::new(recipe) }.holds();
}

#[test]
fn a_film_lying_on_its_side_arrives_upright_and_whole() {
    let output = "-c:v libx264 -preset veryfast -crf 16 -c:a aac -b:a 192k";
    let copied = "-metadata:s:v rotate=90";
    let recipe = Recipe { name: "film-turned.mp4", output, copied, ..Recipe::default() };
    Case { size: (270, 480), ..Case::new(recipe) }.holds();
}

#[test]
fn a_film_with_5_1_sound_arrives_whole_and_in_stereo() {
    let sound = "pan=5.1|FL=c0|FR=0.8*c0|FC=0.5*c0|LFE=0*c0|BL=0.3*c0|BR=0.3*c0";
    let output = "-c:v libx264 -preset veryfast -crf 16 -c:a ac3 -b:a 448k";
    let recipe = Recipe { name: "film-5-1.mkv", sound, output, ..Recipe::default() };
    Case { channels: 2, ..Case::new(recipe) }.holds();
}
