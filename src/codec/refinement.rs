//! What stands still is sent once more, at a higher quality, as the mean of many pictures: in it the camera's noise is a quarter.
//!
//! A noisy picture at a higher quality is mostly noise that costs more; without noise the same bytes show the scene. So samples
//! of an MCU that stays still are summed up over [`MEAN_OF`] pictures. It takes its turn: few MCUs may be sent at once, so no
//! more are summed up than can be sent soon after, and none that was refined, which makes rest cheap. What was refined is summed
//! up anew when it has grown old, for its mean would keep for ever what is below the detector's limits.
//!
//! A mean must be of one thing. An MCU that the detector finds changed is dropped. What moves below its limits shows between the
//! mean of the first half of the pictures and that of the second: noise makes a third of it that it makes of two pictures, so the
//! limit is that much nearer. Where light drifts or flickers nothing is summed up: the caller sees to that.
//!
//! Pure. Which MCUs may be sent, and what the sums are taken from, says the caller.

use super::ageing::Turn;
use super::detector::grid::{Grid, Plane};
use super::detector::noise::{MEAN_OF, Noise, part};
use eyeline_proto::picture::mcu_set::McuSet;
use std::ops::Range;

/// Neighbours that come together: one after the other they take fewer bytes.
const RUN: usize = 8;

/// All MCUs are refined in so many pictures at least: 80 a picture in 720p, of which each costs as much as one and a half that
/// changed, so that these take 3 % of a whole picture, and with what is due for age 5 %.
const PICTURES: usize = 45;

/// A cell is of so many samples, as the detector's, and an MCU has at most so many of all planes.
const WIDTH: usize = 8;
const HEIGHT: usize = 4;
const CELLS: usize = 12;

/// By how much the means of a cell in the first and the second half may differ: so many levels, and deviations of what noise
/// makes of it. An MCU in 1500 that is still seems not to be, and has another turn.
const FIXED: f32 = 0.25;
const DEVIATIONS: f32 = 4.0;

const HALF: usize = MEAN_OF / 2;

/// See the module text.
pub struct Refinement {
    grid: Grid,
    /// Of each sample of what is being summed up.
    sums: Vec<u16>,
    /// Of each MCU how many pictures are in its sums.
    counts: Vec<u8>,
    /// Sums of its cells over the first half of the pictures.
    halves: Vec<[u16; CELLS]>,
    /// MCUs that are being summed up, and those whose mean is ready.
    summed: McuSet,
    ready: McuSet,
    turn: Turn,
    /// The MCU behind the one that was taken last.
    taken: usize,
}

impl Refinement {
    /// Of pictures of this size and sampling: nothing is summed up yet.
    pub fn new(of: &McuSet) -> Self {
        let grid = Grid::new(of.sampling(), of.size());
        let none = McuSet::new(of.size(), of.sampling());
        let (sums, counts, halves) = (vec![0; grid.bytes()], vec![0; grid.len()], vec![[0; CELLS]; grid.len()]);
        Refinement { grid, sums, counts, halves, summed: none.clone(), ready: none, turn: Turn::default(), taken: 0 }
    }

    /// Whether it is of pictures as these.
    pub fn is_of(&self, of: &McuSet) -> bool {
        of.is_of(self.grid.size, self.grid.sampling)
    }

    /// Drops all sums.
    pub fn stop(&mut self) {
        self.summed.clear();
        self.ready.clear();
    }

    /// How many may be refined in one picture.
    pub fn most(&self) -> usize {
        self.grid.len().div_ceil(PICTURES)
    }

    /// Adds a picture to what is summed up and has not `changed` in it. Says what is `moving` unseen: of that there is no mean.
    pub fn add(&mut self, planes: &[u8], noise: &Noise, changed: &McuSet, moving: &mut McuSet) {
        self.summed.remove_all(changed);
        self.ready.remove_all(changed);
        let sums = &mut self.sums;
        each_line(&self.grid, &self.summed, |line| {
            sums[line.clone()].iter_mut().zip(&planes[line]).for_each(|(sum, sample)| *sum += u16::from(*sample));
        });
        let mut full = Vec::new();
        for mcu in self.summed.iter() {
            self.counts[mcu] += 1;
            match usize::from(self.counts[mcu]) {
                HALF => self.halves[mcu] = self.cells(mcu).map(|sum| sum as u16),
                MEAN_OF => full.push(mcu),
                _ => {}
            }
        }
        for mcu in full {
            self.summed.remove(mcu);
            let still = self.is_still(mcu, noise);
            if still { &mut self.ready } else { &mut *moving }.insert(mcu);
        }
    }

    /// These were sent as they are now: a mean of before is of no use.
    pub fn leave(&mut self, sent: &McuSet) {
        self.ready.remove_all(sent);
    }

    /// Takes so many whose mean is ready, from where it ended the last time on: where few may be sent all have their turn.
    pub fn take(&mut self, most: usize, refined: &mut McuSet) {
        let (before, behind): (Vec<usize>, Vec<usize>) = self.ready.iter().partition(|mcu| *mcu < self.taken);
        for mcu in behind.into_iter().chain(before).take(most) {
            refined.insert(mcu);
            self.taken = mcu + 1;
        }
        self.ready.remove_all(refined);
    }

    /// Draws the means of what was taken last: their sums are as they were until they are begun anew.
    pub fn draw(&self, planes: &mut [u8], refined: &McuSet) {
        const ROUND: u16 = MEAN_OF as u16 / 2;
        each_line(&self.grid, refined, |line| {
            let sums = self.sums[line.clone()].iter();
            planes[line].iter_mut().zip(sums).for_each(|(sample, sum)| *sample = ((sum + ROUND) / MEAN_OF as u16) as u8);
        });
    }

    /// Begins with all that is old, and with as many others among `these`, in their turn, as may be sent in one picture, less
    /// those that are ready. `planes` are the first of their pictures.
    pub fn begin(&mut self, planes: &[u8], old: &McuSet, these: &McuSet) {
        let (mut begun, mut left) = (old.clone(), self.most().saturating_sub(self.ready.len()));
        let mut runs = if these.is_empty() { 0 } else { self.grid.len().div_ceil(RUN) };
        let all = runs;
        while left > 0 && runs > 0 {
            let first = self.turn.take(all, 1).sum::<usize>() * RUN;
            for mcu in these.runs(first..first + RUN).flatten().take(left) {
                begun.insert(mcu);
                left -= 1;
            }
            runs -= 1;
        }
        begun.remove_all(&self.summed);
        // A mean that waits for room so long is not waited for: the next one is of today.
        self.ready.remove_all(old);
        begun.remove_all(&self.ready);
        let sums = &mut self.sums;
        each_line(&self.grid, &begun, |line| {
            sums[line.clone()].iter_mut().zip(&planes[line]).for_each(|(sum, sample)| *sum = u16::from(*sample));
        });
        begun.iter().for_each(|mcu| self.counts[mcu] = 1);
        self.summed.add(&begun);
    }

    /// Those that are neither being summed up nor ready.
    pub fn leave_idle(&self, mcus: &mut McuSet) {
        mcus.remove_all(&self.summed);
        mcus.remove_all(&self.ready);
    }

    /// Whether both halves of an MCU's pictures show the same.
    fn is_still(&self, mcu: usize, noise: &Noise) -> bool {
        let luma: usize = self.lines(mcu, &self.grid.planes[0]).map(|line| line.len()).sum();
        let luma_cells = self.grid.planes[0].mcu_width() * self.grid.planes[0].mcu_height() / (WIDTH * HEIGHT);
        let cells = self.cells(mcu);
        let level = cells[..luma_cells].iter().sum::<u32>() as f32 / (luma * MEAN_OF) as f32;
        let limit = |deviation: f32| {
            let mean = FIXED + DEVIATIONS * deviation / (HALF as f32).sqrt();
            (mean * (WIDTH * HEIGHT * HALF) as f32) as u32
        };
        let (luma, colour) = (limit(noise.luma()[part(level)].mean), limit(noise.colour().mean));
        let limits = (0..CELLS).map(|cell| if cell < luma_cells { luma } else { colour });
        cells.iter().zip(self.halves[mcu]).zip(limits).all(|((all, half), limit)| all.abs_diff(2 * u32::from(half)) <= limit)
    }

    /// The sums of an MCU's cells, plane by plane. At an edge they are of fewer samples.
    fn cells(&self, mcu: usize) -> [u32; CELLS] {
        let (mut cells, mut first) = ([0; CELLS], 0);
        for plane in &self.grid.planes {
            let across = plane.mcu_width() / WIDTH;
            for (y, line) in self.lines(mcu, plane).enumerate() {
                for (x, sums) in self.sums[line].chunks(WIDTH).enumerate() {
                    cells[first + y / HEIGHT * across + x] += sums.iter().map(|sum| u32::from(*sum)).sum::<u32>();
                }
            }
            first += across * plane.mcu_height() / HEIGHT;
        }
        cells
    }

    /// Where an MCU's samples of a plane lie.
    fn lines(&self, mcu: usize, plane: &Plane) -> impl Iterator<Item = Range<usize>> + use<> {
        let column = mcu % self.grid.columns;
        plane.lines(mcu / self.grid.columns, &(column..column + 1))
    }
}

/// Tells where the samples of these MCUs lie, line by line of neighbours.
fn each_line(grid: &Grid, mcus: &McuSet, mut tell: impl FnMut(Range<usize>)) {
    let columns = grid.columns;
    for row in 0..grid.rows {
        for run in mcus.runs(row * columns..(row + 1) * columns) {
            let run = run.start - row * columns..run.end - row * columns;
            for plane in &grid.planes {
                plane.lines(row, &run).for_each(&mut tell);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::detector::Detector;
    use crate::codec::scenes::{Moment, Noise as Grain, Room};
    use eyeline_proto::picture::{Sampling, Size};

    const SIZE: Size = Size { width: 630, height: 362 };

    /// Sums up all of sixteen pictures. Says how many MCUs are moving unseen, and how many are ready.
    fn sum_up(kind: (Sampling, Option<(usize, usize)>), moment: impl Fn(f32) -> Moment) -> (usize, usize, usize) {
        let room = Room::new(SIZE.width as usize, SIZE.height as usize, kind.1, 5);
        let (mut detector, none) = (Detector::new(), McuSet::new(SIZE, kind.0));
        let mut changed = none.clone();
        for number in 0..6 {
            let planes = room.picture(number, &moment(0.0));
            detector.look(&planes, &mut changed);
            detector.sent(&planes, &changed);
        }
        let (mut refinement, mut moving, mut all) = (Refinement::new(&none), none.clone(), none.clone());
        all.fill();
        for number in 0..MEAN_OF as u64 {
            let planes = room.picture(10 + number, &moment(number as f32));
            match number {
                0 => refinement.begin(&planes, &all, &none),
                _ => refinement.add(&planes, detector.noise(), &none, &mut moving),
            }
        }
        (moving.len(), refinement.ready.len(), none.of())
    }

    #[test]
    fn what_moves_below_the_detectors_limits_has_no_mean_and_what_is_still_has() {
        let noisy = |sigma, smooth| Moment { noise: Grain { sigma, smooth }, ..Moment::default() };
        for kind in [
            (Sampling::Yuv420, Some((2, 2))),
            (Sampling::Yuv422, Some((2, 1))),
            (Sampling::Yuv440, Some((1, 2))),
            (Sampling::Yuv444, Some((1, 1))),
            (Sampling::Grey, None),
        ] {
            for (sigma, smooth) in [(0.0, false), (1.5, false), (2.5, true), (4.0, false)] {
                let (moving, ready, of) = sum_up(kind, |_| noisy(sigma, smooth));
                assert_eq!(moving + ready, of);
                assert!(moving * 50 < of, "{moving} of {of} are not still at σ {sigma} {smooth}, {kind:?}");
            }
            let (moving, _, of) = sum_up(kind, |at| Moment { light: 1.0 + 0.003 * at, ..noisy(1.5, false) });
            assert!(moving * 4 > of * 3, "{moving} of {of} are not still where light rises by half a level a picture, {kind:?}");
            let (moving, _, of) = sum_up(kind, |at| Moment { pan: 0.05 * at, ..noisy(1.5, false) });
            assert!(moving * 16 > of, "{moving} of {of} are not still in a slow pan, {kind:?}");
        }
    }

    #[test]
    fn means_are_of_sixteen_pictures_and_only_of_what_did_not_change() {
        let (size, sampling) = (Size { width: 70, height: 50 }, Sampling::Yuv420);
        let none = McuSet::new(size, sampling);
        let set = |mcus: &[usize]| {
            let mut set = none.clone();
            mcus.iter().for_each(|mcu| set.insert(*mcu));
            set
        };
        let (mut refinement, detector, mut moving) = (Refinement::new(&none), Detector::new(), none.clone());
        // 100 and 101 by turns are 100.5, rounded up.
        let picture = |number: usize| vec![100 + (number % 2) as u8; sampling.bytes(size)];
        refinement.begin(&picture(0), &set(&[0, 7, 13, 19]), &none);
        for number in 1..MEAN_OF {
            let changed = if number == 9 { set(&[7, 8]) } else { none.clone() };
            refinement.add(&picture(number), detector.noise(), &changed, &mut moving);
        }
        assert_eq!((&refinement.ready, moving.len()), (&set(&[0, 13, 19]), 0));
        let mut refined = none.clone();
        refinement.take(2, &mut refined);
        assert_eq!((&refinement.ready, &refined), (&set(&[19]), &set(&[0, 13])));
        let (mut planes, grid) = (vec![0; sampling.bytes(size)], Grid::new(sampling, size));
        refinement.draw(&mut planes, &refined);
        let (mut wanted, all) = (vec![0; planes.len()], vec![101; planes.len()]);
        refined.iter().for_each(|mcu| grid.copy(&all, &mut wanted, mcu..mcu + 1));
        assert_eq!(planes, wanted);
        // One that is ready and old is begun again, and while one waits one less is begun.
        refinement.begin(&picture(0), &set(&[19]), &set(&[1, 2, 3, 19]));
        assert_eq!((refinement.most(), refinement.summed.len(), refinement.ready.len()), (1, 1, 0));
        refinement.take(1, &mut refined);
        refinement.begin(&picture(0), &none, &set(&[1, 2, 3]));
        assert_eq!(refinement.summed.len(), 2);
    }
}
