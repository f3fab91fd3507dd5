//! Many tiles in one window: composed in a buffer that is kept, of which only what changed is made anew.
//!
//! A tile changed when it has a new picture, or says something else. A canvas that is being written is not waited for: its tile stays as
//! it is until the next time, but not for ever. When tiles move, or the window has another size, all is made anew.

use std::time::Instant;

use super::letters::Letters;
use super::overlay;
use super::scale::{Rect, Scaler};
use super::scene::{Face, Scene, Tile};
use eyeline_proto::picture::Size;

/// A tile whose canvas was being written so often in a row is waited for: 50 ms at 60 times a second.
const PATIENCE: u32 = 3;

/// Around who speaks: so wide a part of the tile's shorter side, in so many pixels at least and at most.
const RING: (u32, u32, u32) = (60, 2, 8);
const RING_COLOUR: u32 = 0x0046_d369;

/// What is behind and between tiles, and in one without a picture.
const BEHIND: u32 = 0;
const EMPTY: u32 = 0x0020_2020;

/// See the module text.
pub(super) struct Compositor {
    window: Size,
    pixels: Vec<u32>,
    /// As they were composed last.
    drawn: Vec<Drawn>,
    /// One tile.
    scratch: Vec<u32>,
    scaler: Scaler,
}

struct Drawn {
    serial: u64,
    place: Rect,
    /// `None` until it is composed.
    face: Option<Face>,
}

impl Compositor {
    pub(super) fn new() -> Self {
        let window = Size { width: 0, height: 0 };
        Compositor { window, pixels: Vec::new(), drawn: Vec::new(), scratch: Vec::new(), scaler: Scaler::new() }
    }

    /// All that was composed, `width * height` words of the window it was composed for.
    pub(super) fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// Brings the buffer up to date; says of which tiles new pictures are in it.
    pub(super) fn compose<K: Copy + Eq>(
        &mut self,
        scene: &mut Scene<K>,
        window: Size,
        letters: &Letters,
        now: Instant,
    ) -> Vec<K> {
        let places = scene.places(window);
        self.arrange(scene.tiles().iter().map(|tile| tile.serial).zip(places).collect(), window);
        let (mut seen, speaks) = (Vec::new(), scene.speaks);
        for (index, tile) in scene.tiles_mut().iter_mut().enumerate() {
            let face = tile.face(index, speaks == Some(tile.id), now);
            if (tile.fresh || self.drawn[index].face.as_ref() != Some(&face)) && self.draw(index, tile, &face, letters) {
                self.drawn[index].face = Some(face);
                tile.missed = 0;
                if std::mem::take(&mut tile.fresh) {
                    seen.push(tile.id);
                }
            }
        }
        seen
    }

    /// Where tiles are others, or elsewhere, nothing that was composed is of use.
    fn arrange(&mut self, places: Vec<(u64, Rect)>, window: Size) {
        if window == self.window && places.iter().copied().eq(self.drawn.iter().map(|drawn| (drawn.serial, drawn.place))) {
            return;
        }
        self.window = window;
        self.pixels.clear();
        self.pixels.resize(window.width as usize * window.height as usize, BEHIND);
        self.drawn = places.into_iter().map(|(serial, place)| Drawn { serial, place, face: None }).collect();
    }

    /// False where its canvas is being written, and the tile stays as it is.
    fn draw<K>(&mut self, index: usize, tile: &mut Tile<K>, face: &Face, letters: &Letters) -> bool {
        let Drawn { place, face: before, .. } = &self.drawn[index];
        let (place, wait) = (*place, before.is_none() || tile.missed >= PATIENCE);
        self.scratch.resize(place.size.width as usize * place.size.height as usize, 0);
        let view = if !face.pictured {
            None
        } else if wait {
            Some(tile.canvas().view())
        } else if let Some(view) = tile.canvas().try_view() {
            Some(view)
        } else {
            tile.missed += 1;
            return false;
        };
        let picture = match view.filter(|view| view.size().is_possible()) {
            Some(view) => self.scaler.draw(view.pixels(), view.size(), &mut self.scratch, place.size),
            None => {
                self.scratch.fill(EMPTY);
                Rect { x: 0, y: 0, size: place.size }
            }
        };
        if face.greyed {
            overlay::grey(&mut self.scratch);
        }
        let label = overlay::Label { digit: face.digit, name: &face.name, picture, notice: face.notice.as_deref() };
        overlay::label(letters, label, &mut self.scratch, place.size);
        if face.speaks {
            ring(&mut self.scratch, place.size);
        }
        let (width, first) = (place.size.width as usize, place.x as usize);
        let rows = self.pixels.chunks_exact_mut(self.window.width as usize).skip(place.y as usize);
        for (row, tile) in rows.zip(self.scratch.chunks_exact(width)) {
            row[first..first + width].copy_from_slice(tile);
        }
        true
    }
}

/// Along the edge of a tile of `size`; `pixels` holds `size.width * size.height` words.
fn ring(pixels: &mut [u32], size: Size) {
    let (part, least, most) = RING;
    let (width, thick) = (size.width as usize, (size.width.min(size.height) / part).clamp(least, most) as usize);
    let (edge, middle) = (thick * width, pixels.len().saturating_sub(2 * thick * width));
    if middle == 0 || width <= 2 * thick {
        return pixels.fill(RING_COLOUR);
    }
    pixels[..edge].fill(RING_COLOUR);
    pixels[edge + middle..].fill(RING_COLOUR);
    for row in pixels[edge..edge + middle].chunks_exact_mut(width) {
        row[..thick].fill(RING_COLOUR);
        row[width - thick..].fill(RING_COLOUR);
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::Canvas;
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    const WINDOW: Size = Size { width: 640, height: 360 };
    const PICTURE: Size = Size { width: 32, height: 18 };

    struct Rig {
        compositor: Compositor,
        letters: Letters,
        scene: Scene<usize>,
        canvases: Vec<Arc<Canvas>>,
        now: Instant,
        number: u64,
    }

    impl Rig {
        fn new(count: usize) -> Self {
            let canvases: Vec<Arc<Canvas>> = (0..count).map(|_| Arc::default()).collect();
            let mut scene = Scene::new();
            (0..).zip(&canvases).for_each(|(id, canvas)| scene.join(id, String::new(), canvas.clone()));
            Rig { compositor: Compositor::new(), letters: Letters::new(), scene, canvases, now: Instant::now(), number: 0 }
        }

        fn paint(&mut self, id: usize, colour: u32) {
            self.number += 1;
            self.canvases[id].band(self.number, PICTURE, 0..PICTURE.height).unwrap().pixels().fill(colour);
            self.scene.picture(id);
        }

        fn compose(&mut self) -> Vec<usize> {
            self.compositor.compose(&mut self.scene, WINDOW, &self.letters, self.now)
        }

        /// The colour in the upper right of a tile, where nothing is said.
        fn colour(&self, index: usize) -> u32 {
            let place = self.scene.places(WINDOW)[index];
            self.compositor.pixels()[((place.y + 4) * WINDOW.width + place.x + place.size.width - 4) as usize]
        }

        /// Spoils the buffer, so that it shows what is composed after it.
        fn spoil(&mut self) {
            self.compositor.pixels.fill(7);
        }
    }

    #[test]
    fn only_the_tile_with_a_new_picture_is_composed_again() {
        let mut rig = Rig::new(4);
        for id in 0..4 {
            rig.paint(id, 0x1_0000 * (id as u32 + 1));
        }
        assert_eq!(rig.compose(), [0, 1, 2, 3]);
        assert_eq!((0..4).map(|id| rig.colour(id)).collect::<Vec<_>>(), [0x1_0000, 0x2_0000, 0x3_0000, 0x4_0000]);
        rig.spoil();
        rig.paint(2, 0xff);
        assert_eq!(rig.compose(), [2]);
        assert_eq!((0..4).map(|id| rig.colour(id)).collect::<Vec<_>>(), [7, 7, 0xff, 7]);
        rig.spoil();
        assert!(rig.compose().is_empty() && rig.compositor.pixels().iter().all(|pixel| *pixel == 7), "nothing changed");
    }

    #[test]
    fn a_quiet_tile_greys_alone_and_its_time_goes_on() {
        let mut rig = Rig::new(2);
        (0..2).for_each(|id| rig.paint(id, 0x00ff_0000));
        rig.compose();
        rig.spoil();
        rig.scene.quiet(1, Some(rig.now));
        assert!(rig.compose().is_empty(), "it is no new picture");
        assert_eq!((rig.colour(0), rig.colour(1)), (7, 0x0026_2626));
        let before = rig.compositor.pixels().to_vec();
        rig.compose();
        assert_eq!(rig.compositor.pixels(), before);
        rig.now += Duration::from_millis(100);
        rig.compose();
        assert_ne!(rig.compositor.pixels(), before);
    }

    #[test]
    fn a_canvas_that_is_being_written_is_not_waited_for_but_the_others_are_composed() {
        let mut rig = Rig::new(2);
        (0..2).for_each(|id| rig.paint(id, 1));
        rig.compose();
        (0..2).for_each(|id| rig.paint(id, 2));
        let canvas = rig.canvases[0].clone();
        let band = canvas.band(99, PICTURE, 0..9).unwrap();
        assert_eq!(rig.compose(), [1]);
        assert_eq!((rig.colour(0), rig.colour(1), rig.scene.is_fresh()), (1, 2, true));
        band.abort();
        assert_eq!(rig.compose(), [0]);
        assert_eq!((rig.colour(0), rig.scene.is_fresh()), (2, false));
    }

    #[test]
    fn a_canvas_that_is_always_being_written_is_waited_for_in_the_end() {
        let mut rig = Rig::new(2);
        (0..2).for_each(|id| rig.paint(id, 1));
        rig.compose();
        rig.paint(0, 2);
        let canvas = rig.canvases[0].clone();
        let band = canvas.band(99, PICTURE, 0..9).unwrap();
        for _ in 0..PATIENCE {
            assert!(rig.compose().is_empty());
        }
        std::thread::scope(|scope| {
            scope.spawn(move || band.abort());
            assert_eq!(rig.compose(), [0]);
        });
    }

    #[test]
    fn a_ring_stands_around_who_speaks_and_only_tiles_of_which_that_changed_are_composed_again() {
        let mut rig = Rig::new(3);
        (0..3).for_each(|id| rig.paint(id, 1));
        rig.compose();
        rig.scene.speaks(Some(1));
        rig.spoil();
        assert!(rig.compose().is_empty(), "it is no new picture");
        assert_eq!((0..3).map(|id| rig.colour(id)).collect::<Vec<_>>(), [7, 1, 7], "within the ring is the picture");
        let edges = |rig: &Rig, index: usize| {
            let Rect { x, y, size } = rig.scene.places(WINDOW)[index];
            let (right, bottom) = (x + size.width - 1, y + size.height - 1);
            [(x, y), (right, y), (x, bottom), (right, bottom), (x, y + size.height / 2), (right, y + size.height / 2)]
                .map(|(x, y)| rig.compositor.pixels()[(y * WINDOW.width + x) as usize])
        };
        assert_eq!((edges(&rig, 1), edges(&rig, 0)), ([RING_COLOUR; 6], [7; 6]));
        rig.scene.speaks(Some(2));
        rig.compose();
        assert_eq!((edges(&rig, 1).contains(&RING_COLOUR), edges(&rig, 2)), (false, [RING_COLOUR; 6]));
        for (width, height) in [(1, 1), (3, 90), (90, 3), (5, 5)] {
            let mut pixels = vec![0; width * height];
            ring(&mut pixels, Size { width: width as u32, height: height as u32 });
            assert_eq!(pixels[0], RING_COLOUR);
        }
    }

    #[test]
    fn a_name_stands_within_a_picture_that_does_not_fill_its_tile() {
        let mut rig = Rig::new(2);
        rig.scene.join(0, "name".into(), rig.canvases[0].clone());
        let (wide, tall) = (Size { width: 64, height: 8 }, Size { width: 8, height: 64 });
        for (number, size) in [(100, wide), (101, tall)] {
            rig.canvases[0].band(number, size, 0..size.height).unwrap().pixels().fill(0x00ff_ffff);
            rig.scene.picture(0);
            rig.compose();
            let place = rig.scene.places(WINDOW)[0];
            let picture = super::super::scale::letterbox(size, place.size);
            let outside = |x: u32, y: u32| {
                !(picture.x..picture.x + picture.size.width).contains(&x)
                    || !(picture.y..picture.y + picture.size.height).contains(&y)
            };
            let pixel = |x: u32, y: u32| rig.compositor.pixels()[((place.y + y) * WINDOW.width + place.x + x) as usize];
            let places = || (0..place.size.height).flat_map(|y| (0..place.size.width).map(move |x| (x, y)));
            assert!(places().all(|(x, y)| !outside(x, y) || pixel(x, y) == 0), "{size}: bars stay black");
            assert!(places().any(|(x, y)| !outside(x, y) && pixel(x, y) != 0x00ff_ffff), "{size}: the name is there");
        }
    }

    #[test]
    fn when_one_leaves_nothing_is_left_of_it() {
        let mut rig = Rig::new(3);
        (0..3).for_each(|id| rig.paint(id, 0x00ff_ffff));
        rig.compose();
        rig.scene.leave(0, rig.now);
        rig.compose();
        let lit = rig.compositor.pixels().iter().filter(|pixel| **pixel == 0x00ff_ffff).count();
        let room: u32 = rig.scene.places(WINDOW).iter().map(|place| place.size.width * place.size.height).sum();
        assert!(lit <= room as usize && lit > room as usize / 2, "{lit} of {room}");
    }
}
