//! Tiles composed in a window of 640x360, each of one colour.

use super::*;
use crate::present::canvas::Canvas;
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
    /// What a window shows that is painted no more than the compositor says.
    display: Vec<u32>,
}

impl Rig {
    fn new(count: usize) -> Self {
        let canvases: Vec<Arc<Canvas>> = (0..count).map(|_| Arc::default()).collect();
        let mut scene = Scene::new();
        (0..).zip(&canvases).for_each(|(id, canvas)| scene.join(id, String::new(), canvas.clone()));
        let (compositor, letters, now) = (Compositor::new(), Letters::new(1.0), Instant::now());
        let display = vec![9; (WINDOW.width * WINDOW.height) as usize];
        Rig { compositor, letters, scene, canvases, now, number: 0, display }
    }

    fn paint(&mut self, id: usize, colour: u32) {
        self.number += 1;
        self.canvases[id].rows(self.number, PICTURE, 0..PICTURE.height).unwrap().pixels().fill(colour);
        self.scene.picture(id);
    }

    fn compose(&mut self) -> Vec<usize> {
        let seen = self.compositor.compose(&mut self.scene, WINDOW, &self.letters, self.now);
        match self.compositor.changed() {
            Some(parts) => self.compositor.copy_parts(parts, &mut self.display),
            None => drop(self.compositor.copy_to(&mut self.display)),
        }
        if self.compositor.own.place.is_none() {
            assert!(self.display == self.pixels(), "what was not said to have changed has not");
        }
        seen
    }

    /// The colour in the upper right of a tile, where nothing is said.
    fn colour(&self, index: usize) -> u32 {
        let place = self.scene.places(WINDOW)[index];
        self.pixels()[((place.y + 4) * WINDOW.width + place.x + place.size.width - 4) as usize]
    }

    /// All that is seen.
    fn pixels(&self) -> Vec<u32> {
        let mut pixels = vec![9; (WINDOW.width * WINDOW.height) as usize];
        self.compositor.copy_to(&mut pixels);
        pixels
    }

    /// Spoils the buffers, so that they show what is composed after it.
    fn spoil(&mut self) {
        self.compositor.drawn.iter_mut().for_each(|drawn| drawn.pixels.fill(7));
        self.compositor.copy_to(&mut self.display);
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
    let place = rig.scene.places(WINDOW)[2];
    assert_eq!(rig.compositor.changed(), Some(&[place][..]), "nothing else is painted anew");
    assert_eq!((0..4).map(|id| rig.colour(id)).collect::<Vec<_>>(), [7, 7, 0xff, 7]);
    rig.spoil();
    let before = rig.pixels();
    assert!(rig.compose().is_empty() && rig.pixels() == before, "nothing changed");
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
    let before = rig.pixels();
    rig.compose();
    assert_eq!(rig.pixels(), before);
    rig.now += Duration::from_millis(100);
    rig.compose();
    assert_ne!(rig.pixels(), before);
}

#[test]
fn a_canvas_that_is_being_written_is_not_waited_for_but_the_others_are_composed() {
    let mut rig = Rig::new(2);
    (0..2).for_each(|id| rig.paint(id, 1));
    rig.compose();
    (0..2).for_each(|id| rig.paint(id, 2));
    let canvas = rig.canvases[0].clone();
    let band = canvas.rows(99, PICTURE, 0..9).unwrap();
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
    let band = canvas.rows(99, PICTURE, 0..9).unwrap();
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
            .map(|(x, y)| rig.pixels()[(y * WINDOW.width + x) as usize])
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
        rig.canvases[0].rows(number, size, 0..size.height).unwrap().pixels().fill(0x00ff_ffff);
        rig.scene.picture(0);
        rig.compose();
        let place = rig.scene.places(WINDOW)[0];
        let picture = crate::present::scale::letterbox(size, place.size);
        let outside = |x: u32, y: u32| {
            !(picture.x..picture.x + picture.size.width).contains(&x)
                || !(picture.y..picture.y + picture.size.height).contains(&y)
        };
        let pixel = |x: u32, y: u32| rig.pixels()[((place.y + y) * WINDOW.width + place.x + x) as usize];
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
    let lit = rig.pixels().iter().filter(|pixel| **pixel == 0x00ff_ffff).count();
    let room: u32 = rig.scene.places(WINDOW).iter().map(|place| place.size.width * place.size.height).sum();
    assert!(lit <= room as usize && lit > room as usize / 2, "{lit} of {room}");
}

/// One's own picture, red on its left, is on a canvas of its own.
fn own(rig: &mut Rig, red: u32) -> Arc<Canvas> {
    let canvas = Arc::new(Canvas::new());
    own_picture(&canvas, 0, red);
    rig.scene.set_own(Some(canvas.clone()));
    rig.scene.own_picture();
    canvas
}

fn own_picture(canvas: &Canvas, number: u64, red: u32) {
    let mut band = canvas.rows(number, PICTURE, 0..PICTURE.height).unwrap();
    for row in band.pixels().chunks_exact_mut(PICTURE.width as usize) {
        row.fill(0x00ff);
        row[..PICTURE.width as usize / 2].fill(red << 16);
    }
}

/// What is seen near the left and the right of a place in the window.
fn sides(rig: &Rig, place: Rect) -> [u32; 2] {
    let row = (place.y + place.size.height / 2) * WINDOW.width;
    [place.x + 3, place.x + place.size.width - 4].map(|x| rig.pixels()[(row + x) as usize])
}

#[test]
fn ones_own_picture_is_mirrored_and_stands_over_tiles_whatever_is_composed_under_it() {
    let mut rig = Rig::new(4);
    (0..4).for_each(|id| rig.paint(id, 1));
    let canvas = own(&mut rig, 0xff);
    assert_eq!(rig.compose(), [0, 1, 2, 3]);
    let place = rig.scene.own_place(WINDOW).unwrap();
    assert_eq!(sides(&rig, place), [0x00ff, 0x00ff_0000], "the left is on the right");
    rig.paint(3, 2);
    assert_eq!((rig.compose(), sides(&rig, place)), (vec![3], [0x00ff, 0x00ff_0000]));
    assert!(!rig.scene.is_own_fresh());
    // A new one, while its canvas is being written and after.
    own_picture(&canvas, 1, 0x80);
    rig.scene.own_picture();
    let band = canvas.rows(2, PICTURE, 0..9).unwrap();
    rig.compose();
    assert_eq!((sides(&rig, place)[1], rig.scene.is_own_fresh()), (0x00ff_0000, true));
    band.abort();
    rig.compose();
    assert_eq!((sides(&rig, place)[1], rig.scene.is_own_fresh()), (0x0080_0000, false));
    rig.scene.toggle_own();
    rig.compose();
    assert_eq!(sides(&rig, place), [2, 2], "hidden, the tile is whole again");
}

#[test]
fn alone_ones_own_picture_fills_the_window_until_somebody_comes() {
    let mut rig = Rig::new(1);
    let canvas = rig.canvases[0].clone();
    rig.scene.leave(0, rig.now);
    own(&mut rig, 0xff);
    assert!(rig.compose().is_empty());
    let whole = Rect { x: 0, y: 0, size: WINDOW };
    assert_eq!(sides(&rig, whole), [0x00ff, 0x00ff_0000]);
    rig.scene.join(0, String::new(), canvas);
    rig.paint(0, 3);
    assert_eq!(rig.compose(), [0]);
    assert_eq!(sides(&rig, whole), [3, 3]);
    assert_eq!(sides(&rig, rig.scene.own_place(WINDOW).unwrap()), [0x00ff, 0x00ff_0000]);
}
