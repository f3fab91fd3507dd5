//! Many tiles in one window: each is composed in a buffer that is kept, and only what changed is made anew.
//!
//! A tile changed when it has a new picture, or says something else. A canvas that is being written is not waited for: its tile
//! stays as it is until the next time, but not for ever. When tiles move, or the window has another size, all is made anew. One's
//! own picture stands over the tiles: it is kept beside them, and laid over them wherever they go.

use std::time::Instant;

use super::letters::Letters;
use super::overlay;
use super::scale::{Rect, Scaler};
use super::scene::{Face, Own, Scene, Tile};
use eyeline_proto::picture::Size;

/// A tile whose canvas was being written so often in a row is waited for: 50 ms at 60 times a second.
const PATIENCE: u32 = 3;

/// Around who speaks: so wide a part of the tile's shorter side, in so many pixels at least and at most.
const RING: (u32, u32, u32) = (60, 2, 8);
const RING_COLOUR: u32 = 0x0046_d369;

/// What is behind and between tiles, and in one without a picture.
const BEHIND: u32 = 0;
const EMPTY: u32 = 0x0020_2020;
/// Around one's own picture.
const OUTLINE: u32 = 0x0060_6060;

pub(super) struct Compositor {
    window: Size,
    /// As they were composed last.
    drawn: Vec<Drawn>,
    /// What the last composing made anew; `None`: all.
    changed: Option<Vec<Rect>>,
    scaler: Scaler,
    own: Inset,
}

/// One's own picture as it is shown: mirrored, for so people know themselves.
struct Inset {
    /// `None` while it is not seen.
    place: Option<Rect>,
    pixels: Vec<u32>,
}

struct Drawn {
    serial: u64,
    place: Rect,
    /// `None` until it is composed.
    face: Option<Face>,
    /// As many as its place has.
    pixels: Vec<u32>,
}

impl Compositor {
    pub(super) fn new() -> Self {
        let window = Size { width: 0, height: 0 };
        Compositor { window, drawn: Vec::new(), changed: None, scaler: Scaler::new(), own: Inset::new() }
    }

    /// Copies all that was composed to `pixels`, `width * height` words of the window it was composed for; says which part of it
    /// one's own picture covers.
    pub(super) fn copy_to(&self, pixels: &mut [u32]) -> Option<Rect> {
        pixels.fill(BEHIND);
        self.drawn.iter().for_each(|drawn| drawn.lay_over(pixels, self.window));
        self.own.lay_over(pixels, self.window);
        self.own.place
    }

    /// The parts that the last composing made anew, without one's own picture; `None`: all.
    pub(super) fn changed(&self) -> Option<&[Rect]> {
        self.changed.as_deref()
    }

    /// As [`Compositor::copy_to`] these parts alone.
    pub(super) fn copy_parts(&self, parts: &[Rect], pixels: &mut [u32]) {
        self.drawn.iter().filter(|drawn| parts.contains(&drawn.place)).for_each(|drawn| drawn.lay_over(pixels, self.window));
    }

    /// Brings all up to date; says of which tiles new pictures are in it.
    pub(super) fn compose<K: Copy + Eq>(
        &mut self,
        scene: &mut Scene<K>,
        window: Size,
        letters: &Letters,
        now: Instant,
    ) -> Vec<K> {
        let own_place = scene.own_place(window);
        self.changed = Some(Vec::new());
        self.own.draw(scene.own_mut(), own_place, &mut self.scaler);
        if scene.own_fills() {
            self.arrange(Vec::new(), window);
            return Vec::new();
        }
        let places = scene.places(window);
        self.arrange(scene.tiles().iter().map(|tile| tile.serial).zip(places).collect(), window);
        let (mut seen, speaks) = (Vec::new(), scene.speaks);
        let several = scene.tiles().len() > 1;
        for (index, tile) in scene.tiles_mut().iter_mut().enumerate() {
            let face = tile.face(several.then_some(index + 1), several && speaks == Some(tile.id), now);
            if (tile.fresh || self.drawn[index].face.as_ref() != Some(&face)) && self.draw(index, tile, &face, letters) {
                self.drawn[index].face = Some(face);
                if let Some(changed) = &mut self.changed {
                    changed.push(self.drawn[index].place);
                }
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
        (self.window, self.changed) = (window, None);
        let undrawn = |(serial, place): (u64, Rect)| {
            let pixels = vec![EMPTY; place.size.width as usize * place.size.height as usize];
            Drawn { serial, place, face: None, pixels }
        };
        self.drawn = places.into_iter().map(undrawn).collect();
    }

    /// False where its canvas is being written, and the tile stays as it is.
    fn draw<K>(&mut self, index: usize, tile: &mut Tile<K>, face: &Face, letters: &Letters) -> bool {
        let Drawn { place, face: before, pixels, .. } = &mut self.drawn[index];
        let (size, wait) = (place.size, before.is_none() || tile.missed >= PATIENCE);
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
            Some(view) => self.scaler.draw_near(view.pixels(), view.size(), pixels, size),
            None => {
                pixels.fill(EMPTY);
                Rect { x: 0, y: 0, size }
            }
        };
        if face.greyed {
            overlay::grey(pixels);
        }
        let Face { digit, ref name, muted, volume, ref notice, .. } = *face;
        let label = overlay::Label { digit, name, muted, volume, picture, notice: notice.as_deref() };
        overlay::label(letters, label, pixels, size);
        if face.speaks {
            ring(pixels, size);
        }
        true
    }
}

impl Drawn {
    fn lay_over(&self, pixels: &mut [u32], window: Size) {
        lay_over(pixels, window, self.place, &self.pixels);
    }
}

impl Inset {
    fn new() -> Self {
        Inset { place: None, pixels: Vec::new() }
    }

    /// Brings it up to date, as far as its canvas is not being written.
    fn draw(&mut self, own: &mut Own, place: Option<Rect>, scaler: &mut Scaler) {
        let moved = place != self.place;
        self.place = place;
        let Some((place, canvas)) = place.zip(own.shown().cloned()) else { return };
        if !moved && !own.fresh {
            return;
        }
        let view = if moved || own.missed >= PATIENCE { Some(canvas.view()) } else { canvas.try_view() };
        let Some(view) = view else {
            own.missed += 1;
            return;
        };
        (own.fresh, own.missed) = (false, 0);
        self.pixels.resize(place.size.width as usize * place.size.height as usize, 0);
        if view.size().is_possible() {
            scaler.draw(view.pixels(), view.size(), &mut self.pixels, place.size);
        }
        drop(view);
        self.pixels.chunks_exact_mut(place.size.width as usize).for_each(<[u32]>::reverse);
    }

    fn lay_over(&self, pixels: &mut [u32], window: Size) {
        let Some(place) = self.place else { return };
        lay_over(pixels, window, place, &self.pixels);
        // A line around it where it stands over others.
        if place.size != window {
            outline(pixels, window, place);
        }
    }
}

/// Copies what has a place in a window there.
fn lay_over(pixels: &mut [u32], window: Size, place: Rect, part: &[u32]) {
    let (width, first) = (place.size.width as usize, place.x as usize);
    let rows = pixels.chunks_exact_mut(window.width as usize).skip(place.y as usize);
    for (row, part) in rows.zip(part.chunks_exact(width)) {
        row[first..first + width].copy_from_slice(part);
    }
}

/// A line of one pixel around a place within a window.
fn outline(pixels: &mut [u32], window: Size, place: Rect) {
    let at = |x: u32, y: u32| (y * window.width + x) as usize;
    let Rect { x, y, size } = place;
    let (right, bottom) = (x + size.width - 1, y + size.height - 1);
    for y in [y, bottom] {
        pixels[at(x, y)..=at(right, y)].fill(OUTLINE);
    }
    for y in y..=bottom {
        pixels[at(x, y)] = OUTLINE;
        pixels[at(right, y)] = OUTLINE;
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
#[path = "compositor_tests.rs"]
mod tests;
