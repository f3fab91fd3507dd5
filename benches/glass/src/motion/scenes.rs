//! What the motion bench plays: four seconds of each scene, over and over, as a camera sees it and without its noise.

use crate::code::{BLACK, BLOCK, COLUMNS, WHITE};
use crate::options::Case;
use crate::room::{Dice, Moment, Noise, Room};
use std::f32::consts::TAU;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// A loop's length. What happens once in it happens again.
pub const SECONDS: usize = 4;

/// How much of it moves, which decides what is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A person before a still room.
    Webcam,
    /// Nothing moves.
    Still,
    /// All of it moves.
    All,
    /// Changes that come and go; looked at, and for figures' sake.
    Other,
}

/// One scene.
pub struct Scene {
    /// For `--scene`.
    pub name: &'static str,
    /// In the table.
    pub title: &'static str,
    /// See there.
    pub class: Class,
    /// Played at every size, not only at the first.
    pub always: bool,
    painted: Painted,
}

/// A picture, and its luma without noise.
type Pair = (Vec<u8>, Vec<u8>);

enum Painted {
    /// A room, at a share of the loop.
    Room(fn(f32) -> Moment),
    /// Text on white that is another from half of the loop on, a caret that blinks, a pointer.
    Slides,
}

/// All there are.
pub const ALL: &[Scene] = &[
    room("webcam", "moving head, noise 2", Class::Webcam, true, |at| Moment { head: head(at), ..noisy(2.0) }),
    room("grainy", "moving head, smoothed noise 3", Class::Webcam, false, |at| Moment {
        head: head(at),
        noise: Noise { sigma: 3.0, smooth: true },
        ..Moment::default()
    }),
    room("still", "empty room, noise 2", Class::Still, true, |_| noisy(2.0)),
    room("drift", "moving head, light ±6 % in 4 s", Class::Other, false, |at| Moment {
        head: head(at),
        light: 1.0 + 0.06 * (TAU * at).sin(),
        ..noisy(1.5)
    }),
    room("lamp", "a lamp, on and off", Class::Other, false, |at| Moment {
        light: if at < 0.5 { 1.0 } else { 0.7 },
        ..noisy(1.5)
    }),
    room("fade", "30 to 100 % in 3 s", Class::Other, false, |at| Moment {
        light: 0.3 + 0.7 * (at * 4.0 / 3.0).min(1.0),
        ..noisy(1.5)
    }),
    Scene { name: "slides", title: "slides, caret, pointer", class: Class::Other, always: false, painted: Painted::Slides },
    room("pan", "a pan, there and back", Class::All, true, |at| Moment {
        pan: 480.0 * (1.0 - (2.0 * at - 1.0).abs()),
        ..noisy(1.5)
    }),
    room("zoom", "a zoom, in and out", Class::All, false, |at| Moment {
        zoom: 1.6 - 0.6 * (2.0 * at - 1.0).abs(),
        head: head(at),
        ..noisy(1.5)
    }),
];

const fn room(name: &'static str, title: &'static str, class: Class, always: bool, painted: fn(f32) -> Moment) -> Scene {
    Scene { name, title, class, always, painted: Painted::Room(painted) }
}

fn noisy(sigma: f32) -> Moment {
    Moment { noise: Noise { sigma, smooth: false }, ..Moment::default() }
}

fn head(at: f32) -> Option<(f32, f32)> {
    Some((0.5 + 0.06 * (TAU * at).sin(), 0.47 + 0.02 * (2.0 * TAU * at).sin()))
}

/// A scene's pictures.
pub struct Loop {
    /// I420, as the camera sees them, within the limited range of luma: programs that take it for that cut nothing off.
    pub frames: Vec<Vec<u8>>,
    /// Their luma without noise.
    pub clean: Vec<Vec<u8>>,
}

impl Scene {
    /// Paints it, on all processors.
    pub fn paint(&self, case: Case) -> Loop {
        let number = SECONDS * case.fps as usize;
        let paint: Box<dyn Fn(usize) -> Pair + Sync> = match self.painted {
            Painted::Slides => Box::new(move |index| {
                let picture = slide(case, index as f32 / number as f32);
                let luma = picture[..case.width * case.height].to_vec();
                (picture, luma)
            }),
            Painted::Room(moment) => {
                let room = Room::new(case.width, case.height, Some((2, 2)), 7);
                Box::new(move |index| {
                    let moment = moment(index as f32 / number as f32);
                    let clean = Moment { noise: Noise::default(), ..moment };
                    let mut luma = room.picture(index as u64, &clean);
                    luma.truncate(case.width * case.height);
                    (room.picture(index as u64, &moment), luma)
                })
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut painted: Vec<Option<Pair>> = (0..number).map(|_| None).collect();
        thread::scope(|scope| {
            for (part, chunk) in painted.chunks_mut(number.div_ceil(threads)).enumerate() {
                let (paint, first) = (&paint, part * number.div_ceil(threads));
                scope.spawn(move || chunk.iter_mut().enumerate().for_each(|(at, one)| *one = Some(paint(first + at))));
            }
        });
        Loop::of(case, painted.into_iter().flatten())
    }
}

impl Loop {
    /// The first pictures of a film, in this size. What ffmpeg makes of them is the clean scene.
    pub fn film(path: &Path, case: Case) -> Result<Loop, String> {
        let Case { width, height, fps } = case;
        let fit = format!("scale={width}:{height}:out_range=full,fps={fps},format=yuv420p");
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-i"]).arg(path);
        command.args(["-vf", &fit, "-frames:v", &(SECONDS as u64 * fps).to_string(), "-f", "rawvideo", "-"]);
        let out = command.stderr(Stdio::inherit()).output().map_err(|e| format!("ffmpeg: {e}"))?;
        let pictures = out.stdout.chunks_exact(width * height * 3 / 2);
        if pictures.len() == 0 {
            return Err(format!("ffmpeg made no picture of {}", path.display()));
        }
        Ok(Loop::of(case, pictures.map(|picture| (picture.to_vec(), picture[..width * height].to_vec()))))
    }

    /// Keeps luma in its limited range, and greys the places where the number goes.
    fn of(case: Case, pictures: impl Iterator<Item = Pair>) -> Loop {
        let Case { width, height, .. } = case;
        let (mut frames, mut clean) = (Vec::new(), Vec::new());
        for (mut frame, mut wanted) in pictures {
            let (luma, colour) = frame.split_at_mut(width * height);
            luma.iter_mut().chain(&mut wanted).for_each(|value| *value = (*value).clamp(BLACK, WHITE));
            let (cb, cr) = colour.split_at_mut(width * height / 4);
            for plane in [cb, cr] {
                for y in (0..BLOCK / 2).chain((height - BLOCK) / 2..height / 2) {
                    plane[y * width / 2..][..COLUMNS * BLOCK / 2].fill(128);
                }
            }
            frames.push(frame);
            clean.push(wanted);
        }
        Loop { frames, clean }
    }
}

/// One picture of the slides.
fn slide(case: Case, at: f32) -> Vec<u8> {
    let Case { width, height, .. } = case;
    let (mut luma, number) = (vec![240; width * height], if at < 0.5 { 1 } else { 2 });
    let mut fill = |left: usize, top: usize, wide: usize, high: usize, value: u8| {
        for y in top.min(height)..(top + high).min(height) {
            luma[y * width + left.min(width)..y * width + (left + wide).min(width)].fill(value);
        }
    };
    let unit = height / 90;
    fill(0, 6 * unit, width, 9 * unit, 60);
    let mut dice = Dice::new(number);
    // A chart, and lines of letters of 5x7 dots each.
    for bar in 0..6 {
        let high = (8.0 + 30.0 * dice.share()) as usize * unit;
        fill((100 + 9 * bar) * unit, 80 * unit - high, 6 * unit, high, 90 + 20 * bar as u8);
    }
    let dot = (unit / 4).max(1);
    for line in 0..14 {
        for letter in 0..(40.0 * dice.share()) as usize + 10 {
            let dots = dice.roll();
            for spot in (0..35).filter(|spot| dots >> spot & 1 == 1 && dots >> 60 != 0) {
                let (x, y) = (spot % 5, spot / 5);
                fill(8 * unit + (7 * letter + x) * dot, (20 + 5 * line) * unit + y * dot, dot, dot, 30);
            }
        }
    }
    if (at * 8.0).fract() < 0.5 {
        fill(8 * unit, 86 * unit, 1, 2 * unit, 20);
    }
    let along = (TAU * at).sin() * 0.5 + 0.5;
    fill((60.0 + 60.0 * along) as usize * unit, (30.0 + 20.0 * along) as usize * unit, 12, 18, 10);
    luma.resize(width * height * 3 / 2, 128);
    luma
}
