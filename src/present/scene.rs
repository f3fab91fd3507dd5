//! What the window shows: a tile for each sender, in the order they joined, which of them is large, and one's own picture.
//!
//! Those who come at the beginning may be arranged otherwise. When one leaves, the last takes its place: one tile moves, and all
//! others keep their place and their digit. The last of all stays when it leaves, grey, until another joins. Which sender is
//! which is the caller's affair: `K` names it. Nothing here draws (`compositor.rs`), waits or asks the time.

mod own;
mod tile;

use std::sync::Arc;
use std::time::Instant;

use super::canvas::Canvas;
use super::grid;
use super::scale::Rect;
use eyeline_proto::picture::Size;
pub use own::Own;
pub use tile::{FULL_VOLUME, Marks, Tile};
pub(super) use tile::{Face, spoken};

pub struct Scene<K> {
    tiles: Vec<Tile<K>>,
    own: Own,
    large: Option<K>,
    pub(super) speaks: Option<K>,
    /// Of the tile that joined last.
    serial: u64,
}

impl<K: Copy + Eq> Scene<K> {
    pub fn new() -> Self {
        Scene { tiles: Vec::new(), own: Own::default(), large: None, speaks: None, serial: 0 }
    }

    /// A sender is there; what it shows will be on `canvas`. `name` is printable. One that is back on the canvas it had goes on
    /// in its place.
    pub fn join(&mut self, id: K, name: String, canvas: Arc<Canvas>) {
        if let Some(tile) = self.tile_mut(id).filter(|tile| Arc::ptr_eq(&tile.canvas, &canvas)) {
            (tile.name, tile.left, tile.quiet_since) = (name, false, None);
            return;
        }
        self.tiles.retain(|tile| tile.id != id && !tile.left);
        self.serial += 1;
        self.tiles.push(Tile::new(id, self.serial, name, canvas));
    }

    /// A sender is gone. Its last picture stays where there is nothing else to see, which is grey since `now`.
    pub fn leave(&mut self, id: K, now: Instant) {
        self.large = self.large.filter(|large| *large != id);
        match self.tiles.iter_mut().position(|tile| tile.id == id) {
            Some(0) if self.tiles.len() == 1 && self.tiles[0].is_pictured() => {
                let tile = &mut self.tiles[0];
                (tile.left, tile.fresh, tile.marks) = (true, false, Marks::default());
                (tile.volume, tile.silenced) = (FULL_VOLUME, false);
                tile.quiet_since.get_or_insert(now);
            }
            Some(at) => drop(self.tiles.swap_remove(at)),
            None => {}
        }
    }

    /// Puts the tiles in this order; of the same rank they stay as they are.
    pub fn arrange(&mut self, rank: impl Fn(K) -> usize) {
        self.tiles.sort_by_key(|tile| rank(tile.id));
    }

    /// The tile of a sender.
    pub fn tile(&self, id: K) -> Option<&Tile<K>> {
        self.tiles.iter().find(|tile| tile.id == id)
    }

    fn tile_mut(&mut self, id: K) -> Option<&mut Tile<K>> {
        self.tiles.iter_mut().find(|tile| tile.id == id)
    }

    /// Since when nothing is heard of a sender.
    pub fn quiet(&mut self, id: K, since: Option<Instant>) {
        if let Some(tile) = self.tile_mut(id) {
            tile.quiet_since = since;
        }
    }

    /// Who speaks, for all to see where several are seen.
    pub fn speaks(&mut self, id: Option<K>) {
        self.speaks = id;
    }

    /// What is said of a sender that shows no picture.
    pub fn say(&mut self, id: K, words: String) {
        if let Some(tile) = self.tile_mut(id) {
            tile.words = words;
        }
    }

    /// A new picture is on a sender's canvas. False where it will not be seen: the sender is none of the scene's, or its picture
    /// is frozen.
    pub fn picture(&mut self, id: K) -> bool {
        self.tile_mut(id).is_some_and(Tile::picture)
    }

    /// What a sender says of its devices.
    pub fn mark(&mut self, id: K, marks: Marks) {
        if let Some(tile) = self.tile_mut(id) {
            tile.marks = marks;
        }
    }

    /// The tile that keys are meant for which may be of one or of all: the one under the pointer, else the large one, where there
    /// are several.
    pub fn meant(&self, pointer: Option<(u32, u32)>, window: Size) -> Option<K> {
        let several = self.tiles.len() > 1;
        let under = pointer.and_then(|(x, y)| self.at(x, y, window));
        under.or_else(|| self.large_index()).map(|index| self.tiles[index].id).filter(|_| several)
    }

    /// How loud a sender is played, in percent.
    pub fn set_volume(&mut self, id: K, percent: u8) {
        if let Some(tile) = self.tile_mut(id) {
            tile.volume = percent;
        }
    }

    /// Whether the listener wants to hear nothing of a sender.
    pub fn set_silenced(&mut self, id: K, silenced: bool) {
        if let Some(tile) = self.tile_mut(id) {
            tile.silenced = silenced;
        }
    }

    /// One's own picture will be on `canvas`; `None` where there is no camera, or it is closed.
    pub fn set_own(&mut self, canvas: Option<Arc<Canvas>>) {
        self.own.set(canvas);
    }

    /// A new one is on one's own canvas.
    pub fn own_picture(&mut self) {
        self.own.picture();
    }

    /// Shows or hides one's own picture; says which.
    pub fn toggle_own(&mut self) -> bool {
        self.own.toggle()
    }

    /// Whether one's own picture is seen, in its corner or all over the window.
    pub fn shows_own(&self) -> bool {
        self.own.is_shown()
    }

    /// Whether nobody is there but oneself.
    pub fn is_deserted(&self) -> bool {
        self.tiles.iter().all(Tile::has_left)
    }

    /// Whether one's own picture has all of the window, for nobody else is there.
    pub(super) fn own_fills(&self) -> bool {
        self.own.is_shown() && self.is_deserted()
    }

    pub(super) fn own_mut(&mut self) -> &mut Own {
        &mut self.own
    }

    /// Where one's own picture stands in a window, if it is seen there.
    pub(super) fn own_place(&self, window: Size) -> Option<Rect> {
        let whole = self.own_fills().then_some(Rect { x: 0, y: 0, size: window });
        whole.or_else(|| self.own.corner(window))
    }

    /// The tile that is all there is to show, with nothing over its picture.
    pub fn alone(&self) -> Option<&Tile<K>> {
        match &self.tiles[..] {
            [tile] if tile.is_plain() && !self.shows_own() => Some(tile),
            _ => None,
        }
    }

    /// Whether a picture of a sender waits to be composed.
    pub fn is_fresh(&self) -> bool {
        self.tiles.iter().any(|tile| tile.fresh)
    }

    /// Whether one's own does.
    pub fn is_own_fresh(&self) -> bool {
        self.own.is_shown() && self.own.fresh
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
        let on = !self.tiles.iter().any(Tile::is_frozen);
        self.tiles.iter_mut().for_each(|tile| tile.freeze(on));
        self.tiles.iter().any(Tile::is_frozen)
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

    /// The sender whose tile is large, if one is.
    pub fn large(&self) -> Option<K> {
        self.large
    }

    /// Makes this one large, where none is.
    pub fn enlarge(&mut self, id: K) {
        self.large = self.large.or_else(|| self.tile(id).map(|tile| tile.id));
    }

    /// Makes the tile large that is seen there; nothing where one's own picture stands over it.
    pub fn click(&mut self, x: u32, y: u32, window: Size) {
        if let Some(index) = self.at(x, y, window) {
            self.pick(index);
        }
    }

    /// The tile that is seen there.
    fn at(&self, x: u32, y: u32, window: Size) -> Option<usize> {
        let within = |place: &Rect| {
            (place.x..place.x + place.size.width).contains(&x) && (place.y..place.y + place.size.height).contains(&y)
        };
        let covered = self.own_place(window).is_some_and(|place| within(&place));
        if covered { None } else { self.places(window).iter().position(within) }
    }

    fn large_index(&self) -> Option<usize> {
        self.large.and_then(|large| self.tiles.iter().position(|tile| tile.id == large))
    }

    /// How many pixels of a window each tile has; of one that is alone `None`, for it has them all.
    pub fn pixels(&self, window: Size) -> Vec<(K, Option<u32>)> {
        let alone = self.tiles.len() < 2;
        let places = self.tiles.iter().zip(self.places(window));
        places.map(|(tile, place)| (tile.id, (!alone).then_some(place.size.width * place.size.height))).collect()
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

#[cfg(test)]
mod tests;
