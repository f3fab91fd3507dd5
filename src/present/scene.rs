//! What the window shows: a tile for each sender, in the order they joined, and which of them is large.
//!
//! When one leaves, the last takes its place: one tile moves, and all others keep their place and their digit. The last of all stays when
//! it leaves, grey, until another joins. Which sender is which is the caller's affair: `K` names it. Nothing here draws
//! (`compositor.rs`), waits or asks the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::canvas::Canvas;
use super::grid;
use super::scale::Rect;
use eyeline_proto::picture::Size;

/// See the module text.
pub struct Scene<K> {
    tiles: Vec<Tile<K>>,
    large: Option<K>,
    pub(super) speaks: Option<K>,
    /// Of the tile that joined last.
    serial: u64,
}

/// One sender.
pub struct Tile<K> {
    pub(super) id: K,
    /// No other tile ever has it.
    pub(super) serial: u64,
    canvas: Arc<Canvas>,
    /// A copy of the picture the user froze.
    frozen: Option<Arc<Canvas>>,
    name: String,
    quiet_since: Option<Instant>,
    left: bool,
    /// What is said while there is no picture.
    words: String,
    /// There has been a picture.
    pictured: bool,
    /// There is one that was not composed yet.
    pub(super) fresh: bool,
    /// How often in a row it was not composed because it was being written.
    pub(super) missed: u32,
}

/// Everything seen of a tile but the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Face {
    /// The digit that makes it large.
    pub(super) digit: Option<usize>,
    pub(super) name: String,
    /// In its middle.
    pub(super) notice: Option<String>,
    pub(super) pictured: bool,
    pub(super) greyed: bool,
    /// A ring around it says so.
    pub(super) speaks: bool,
}

impl<K> Tile<K> {
    /// What is shown of it.
    pub fn canvas(&self) -> &Arc<Canvas> {
        self.frozen.as_ref().unwrap_or(&self.canvas)
    }

    /// Whether it has a picture to show.
    pub fn is_pictured(&self) -> bool {
        self.pictured
    }

    /// What is said while it has none.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// How long nothing has been heard of its sender.
    pub fn silent(&self, now: Instant) -> Option<Duration> {
        self.quiet_since.map(|since| now.saturating_duration_since(since))
    }

    /// Whether its sender is gone.
    pub fn has_left(&self) -> bool {
        self.left
    }

    pub(super) fn face(&self, index: usize, speaks: bool, now: Instant) -> Face {
        let silent = self.silent(now).map(|silent| format!("no signal {}", spoken(silent)));
        let words = (!self.pictured).then(|| self.words.clone()).filter(|words| !words.is_empty());
        Face {
            digit: Some(index + 1).filter(|digit| *digit < 10),
            name: self.name.clone(),
            notice: silent.or(words),
            pictured: self.pictured,
            greyed: self.quiet_since.is_some(),
            speaks: speaks && self.quiet_since.is_none(),
        }
    }
}

/// A silence as people say it.
pub(super) fn spoken(silent: Duration) -> String {
    match silent.as_secs() {
        ..10 => format!("{:.1} s", silent.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

impl<K: Copy + Eq> Scene<K> {
    /// Of nobody.
    pub fn new() -> Self {
        Scene { tiles: Vec::new(), large: None, speaks: None, serial: 0 }
    }

    /// A sender is there; what it shows will be on `canvas`. `name` is printable. One that is back on the canvas it had goes on in its
    /// place.
    pub fn join(&mut self, id: K, name: String, canvas: Arc<Canvas>) {
        if let Some(tile) = self.tile(id).filter(|tile| Arc::ptr_eq(&tile.canvas, &canvas)) {
            (tile.name, tile.left, tile.quiet_since) = (name, false, None);
            return;
        }
        self.tiles.retain(|tile| tile.id != id && !tile.left);
        self.serial += 1;
        self.tiles.push(Tile {
            id,
            serial: self.serial,
            canvas,
            frozen: None,
            name,
            quiet_since: None,
            left: false,
            words: String::new(),
            pictured: false,
            fresh: false,
            missed: 0,
        });
    }

    /// A sender is gone. Its last picture stays where there is nothing else to see, which is grey since `now`.
    pub fn leave(&mut self, id: K, now: Instant) {
        self.large = self.large.filter(|large| *large != id);
        match self.tiles.iter_mut().position(|tile| tile.id == id) {
            Some(0) if self.tiles.len() == 1 && self.tiles[0].pictured => {
                let tile = &mut self.tiles[0];
                tile.left = true;
                tile.quiet_since.get_or_insert(now);
            }
            Some(at) => drop(self.tiles.swap_remove(at)),
            None => {}
        }
    }

    fn tile(&mut self, id: K) -> Option<&mut Tile<K>> {
        self.tiles.iter_mut().find(|tile| tile.id == id)
    }

    /// Since when nothing is heard of a sender.
    pub fn quiet(&mut self, id: K, since: Option<Instant>) {
        if let Some(tile) = self.tile(id) {
            tile.quiet_since = since;
        }
    }

    /// Who speaks, for all to see where several are seen.
    pub fn speaks(&mut self, id: Option<K>) {
        self.speaks = id;
    }

    /// What is said of a sender that shows no picture.
    pub fn say(&mut self, id: K, words: String) {
        if let Some(tile) = self.tile(id) {
            tile.words = words;
        }
    }

    /// A new picture is on a sender's canvas. False where it will not be seen: the sender is none of the scene's, or its picture is
    /// frozen.
    pub fn picture(&mut self, id: K) -> bool {
        let Some(tile) = self.tile(id) else { return false };
        tile.quiet_since = None;
        if tile.frozen.is_some() {
            return false;
        }
        (tile.pictured, tile.fresh) = (true, true);
        true
    }

    /// Whether a picture waits to be composed.
    pub fn is_fresh(&self) -> bool {
        self.tiles.iter().any(|tile| tile.fresh)
    }

    /// All tiles, in their places.
    pub fn tiles(&self) -> &[Tile<K>] {
        &self.tiles
    }

    pub(super) fn tiles_mut(&mut self) -> &mut [Tile<K>] {
        &mut self.tiles
    }

    /// The picture of the tile that is alone is with the display. Names it where it was a new one.
    pub fn take_fresh(&mut self) -> Option<K> {
        let tile = self.tiles.iter_mut().find(|tile| tile.fresh)?;
        tile.fresh = false;
        Some(tile.id)
    }

    /// Holds all pictures as they are, or lets them go on; says which.
    pub fn toggle_frozen(&mut self) -> bool {
        let thaw = self.tiles.iter().any(|tile| tile.frozen.is_some());
        for tile in &mut self.tiles {
            tile.frozen = if thaw || !tile.pictured { None } else { copy(&tile.canvas).map(Arc::new) };
            tile.fresh |= thaw && tile.pictured;
        }
        self.tiles.iter().any(|tile| tile.frozen.is_some())
    }

    /// Makes that tile large, from 0. One alone is as large as can be.
    pub fn pick(&mut self, index: usize) {
        if let Some(tile) = self.tiles.get(index) {
            self.large = Some(tile.id);
        }
    }

    /// Makes the next one large, or the one before, round and round.
    pub fn step(&mut self, back: bool) {
        let count = self.tiles.len();
        let next = match self.large_index() {
            Some(large) if back => (large + count - 1) % count,
            Some(large) => (large + 1) % count,
            None if back => count.saturating_sub(1),
            None => 0,
        };
        self.pick(next);
    }

    /// All are of one size again.
    pub fn all(&mut self) {
        self.large = None;
    }

    /// Makes the tile large that is seen there.
    pub fn click(&mut self, x: u32, y: u32, window: Size) {
        let within = |place: &Rect| {
            (place.x..place.x + place.size.width).contains(&x) && (place.y..place.y + place.size.height).contains(&y)
        };
        if let Some(index) = self.places(window).iter().position(within) {
            self.pick(index);
        }
    }

    fn large_index(&self) -> Option<usize> {
        self.large.and_then(|large| self.tiles.iter().position(|tile| tile.id == large))
    }

    /// Where each tile stands in a window.
    pub(super) fn places(&self, window: Size) -> Vec<Rect> {
        match self.large_index() {
            Some(large) => grid::spotlight(self.tiles.len(), large, window),
            None => grid::grid(self.tiles.len(), window),
        }
    }
}

impl<K: Copy + Eq> Default for Scene<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// The picture as it is now, on a canvas of its own.
fn copy(canvas: &Canvas) -> Option<Canvas> {
    let view = canvas.view();
    let size = view.size();
    let copy = Canvas::new();
    let mut band = copy.band(0, size, 0..size.height)?;
    band.pixels().copy_from_slice(view.pixels());
    drop(band);
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Size = Size { width: 1280, height: 720 };

    fn scene(count: u8) -> Scene<u8> {
        let mut scene = Scene::new();
        (0..count).for_each(|id| scene.join(id, format!("camera {id}"), Arc::default()));
        scene
    }

    fn order(scene: &Scene<u8>) -> Vec<u8> {
        scene.tiles().iter().map(|tile| tile.id).collect()
    }

    #[test]
    fn tiles_stand_in_the_order_of_joining_and_one_alone_moves_when_another_leaves() {
        let mut scene = scene(6);
        assert_eq!(order(&scene), [0, 1, 2, 3, 4, 5]);
        let before = scene.places(WINDOW);
        scene.leave(1, Instant::now());
        assert_eq!(order(&scene), [0, 5, 2, 3, 4]);
        assert_eq!(scene.places(WINDOW)[..3], before[..3]);
        scene.join(7, String::new(), Arc::default());
        assert_eq!((order(&scene), scene.places(WINDOW)), (vec![0, 5, 2, 3, 4, 7], before));
        scene.join(2, String::new(), Arc::default());
        assert_eq!(order(&scene), [0, 5, 3, 4, 7, 2], "who joins again is the last to have joined");
    }

    #[test]
    fn digits_tab_and_clicks_make_one_large_and_it_is_let_go_when_it_leaves() {
        let mut scene = scene(4);
        let large = |scene: &Scene<u8>| scene.large;
        scene.pick(9);
        assert_eq!(large(&scene), None);
        scene.pick(2);
        assert_eq!(large(&scene), Some(2));
        let places = scene.places(WINDOW);
        assert!(places.iter().all(|place| place.size.width <= places[2].size.width));
        scene.step(false);
        scene.step(false);
        assert_eq!(large(&scene), Some(0), "round and round");
        scene.step(true);
        assert_eq!(large(&scene), Some(3));
        scene.all();
        scene.step(true);
        assert_eq!(large(&scene), Some(3));
        scene.all();
        scene.click(1200, 700, WINDOW);
        assert_eq!(large(&scene), Some(3));
        scene.leave(3, Instant::now());
        assert_eq!(large(&scene), None);
        scene.all();
        scene.click(5000, 1, WINDOW);
        assert_eq!(large(&scene), None, "there is no tile");
        Scene::<u8>::new().step(true);
    }

    #[test]
    fn the_last_picture_stays_grey_until_another_sender_joins() {
        let (mut scene, now) = (scene(1), Instant::now());
        scene.leave(0, now);
        assert!(scene.tiles().is_empty(), "there was no picture");
        scene.join(1, String::new(), Arc::default());
        assert!(scene.picture(1) && !scene.picture(0));
        scene.quiet(1, Some(now));
        scene.leave(1, now + Duration::from_secs(3));
        let tile = &scene.tiles()[0];
        assert!(tile.has_left());
        assert_eq!(tile.silent(now + Duration::from_secs(5)), Some(Duration::from_secs(5)), "it counts from its last word");
        let canvas = tile.canvas().clone();
        scene.join(1, "again".into(), canvas);
        let tile = &scene.tiles()[0];
        assert!(!tile.has_left() && tile.silent(now).is_none() && tile.is_pictured(), "it is back");
        scene.leave(1, now);
        scene.join(2, String::new(), Arc::default());
        assert_eq!(order(&scene), [2]);
    }

    #[test]
    fn frozen_pictures_are_copies_and_new_ones_are_not_seen_until_they_go_on() {
        let mut scene = scene(2);
        let canvas = Arc::new(Canvas::new());
        let size = Size { width: 2, height: 1 };
        scene.join(5, String::new(), canvas.clone());
        let paint = |number, colour| canvas.band(number, size, 0..1).unwrap().pixels().fill(colour);
        paint(0, 1);
        assert!(scene.picture(5) && scene.take_fresh() == Some(5) && !scene.is_fresh());
        assert!(scene.toggle_frozen());
        paint(1, 2);
        assert!(!scene.picture(5) && !scene.is_fresh());
        assert_eq!(scene.tiles()[2].canvas().view().pixels(), [1, 1]);
        assert!(!scene.toggle_frozen() && scene.is_fresh());
        assert_eq!(scene.tiles()[2].canvas().view().pixels(), [2, 2]);
    }

    #[test]
    fn a_tile_says_how_long_it_is_quiet_and_what_is_waited_for_and_a_picture_ends_both() {
        let (mut scene, now) = (scene(11), Instant::now());
        scene.say(0, "sound only".into());
        let face = |scene: &Scene<u8>, index: usize| scene.tiles()[index].face(index, true, now + Duration::from_millis(3240));
        assert_eq!((face(&scene, 0).notice.as_deref(), face(&scene, 0).speaks), (Some("sound only"), true));
        scene.quiet(0, Some(now));
        assert_eq!((face(&scene, 0).notice.as_deref(), face(&scene, 0).greyed), (Some("no signal 3.2 s"), true));
        assert!(!face(&scene, 0).speaks, "nothing is heard of who is quiet");
        scene.picture(0);
        assert_eq!((face(&scene, 0).notice, face(&scene, 0).greyed), (None, false));
        assert_eq!((face(&scene, 8).digit, face(&scene, 9).digit), (Some(9), None));
    }

    #[test]
    fn a_silence_is_said_in_fitting_units() {
        let said: Vec<_> = [3240, 59_900, 61_000, 7_260_000].map(Duration::from_millis).map(spoken).into();
        assert_eq!(said, ["3.2 s", "59 s", "1 min 1 s", "2 h 1 min"]);
    }
}
