//! Pictures turned: by quarters, upside down, left for right.
//!
//! Planes are turned in one pass, to the sample. A JPEG is turned as its coefficients: nothing is decoded and nothing lost, but where
//! a side that comes to lie on the left or on top is no whole number of MCUs, for which there is no lossless way: what is beyond
//! them, up to 15 pixels, is left out of a JPEG that goes on as one. What cannot be turned so (a kind of sampling that slices do not
//! carry, a side of less than an MCU) is left to whoever decodes it, as is what has pixels that are not square, and what would lose
//! its edges though it is decoded in any case: its [`View`] says how it is turned.

use super::raw::Outcome;
use super::raw::transformer::{Loss, Transformer};
use super::settings::Error;
use eyeline_proto::picture::{Body, Buffer, BufferPool, Picture, Sampling, Size, Turn, View};

/// Turns the pictures of one source.
pub struct Turner {
    turn: Turn,
    /// From the first JPEG on.
    transformer: Option<Transformer>,
    buffers: BufferPool,
}

impl Turner {
    /// Turns them so, after what they say themselves.
    pub fn new(turn: Turn) -> Self {
        Turner { turn, transformer: None, buffers: BufferPool::new() }
    }

    /// The size at which the picture will be seen, with all of its edges.
    pub fn seen(&self, picture: &Picture) -> Size {
        View { turn: picture.view.turn.then(self.turn), ..picture.view }.seen(picture.size)
    }

    /// The picture turned, and whether something was found wrong with it. A JPEG that will be decoded in any case loses nothing.
    pub fn picture(&mut self, mut picture: Picture, loss: Loss) -> Result<(Picture, Outcome), Error> {
        let turn = picture.view.turn.then(self.turn);
        picture.view.turn = turn;
        picture.changed = picture.changed.map(|changed| changed.turned(turn));
        if picture.view.aspect != (1, 1) || turn == Turn::NONE {
            return Ok((picture, Outcome::Clean));
        }
        let from = picture.size;
        let (size, body, outcome) = match &picture.body {
            Body::Planes(sampling, source) => {
                let needed = sampling.bytes(from);
                if source.len() < needed {
                    return Err(Error::Short { size: from, len: source.len(), needed });
                }
                let turned = planes(from, *sampling, source, turn, &self.buffers);
                (turn.turned(from), Body::Planes(sampling.turned(turn), turned), Outcome::Clean)
            }
            Body::Jpeg(jpeg) => match self.jpeg(jpeg, turn, loss) {
                Ok((size, jpeg, outcome)) => (size, Body::Jpeg(jpeg), outcome),
                Err(error) => {
                    tracing::debug!("a JPEG is not turned as it is: {error}");
                    return Ok((picture, Outcome::Clean));
                }
            },
        };
        Ok((Picture { size, view: View::PLAIN, body, ..picture }, outcome))
    }

    fn jpeg(&mut self, jpeg: &[u8], turn: Turn, loss: Loss) -> Result<(Size, Buffer, Outcome), super::raw::Error> {
        let transformer = match &mut self.transformer {
            Some(transformer) => transformer,
            none => none.insert(Transformer::new()?),
        };
        transformer.turn(jpeg, turn, loss, &self.buffers)
    }
}

/// The planes of a picture of this size and sampling, turned: they are of [`Turn::turned`] and [`Sampling::turned`] then. There are
/// as many as [`Sampling::bytes`] says, or more.
pub fn planes(size: Size, sampling: Sampling, planes: &[u8], turn: Turn, pool: &BufferPool) -> Buffer {
    let mut turned = pool.take(sampling.bytes(size));
    let chroma = sampling.chroma(size).unwrap_or(Size { width: 0, height: 0 });
    let mut at = 0;
    for size in [size, chroma, chroma] {
        let end = at + size.width as usize * size.height as usize;
        plane(size, &planes[at..end], turn, &mut turned[at..end]);
        at = end;
    }
    turned
}

/// So many columns at a time keep what a transposition reads in the first cache.
const TILE: usize = 16;

fn plane(size: Size, plane: &[u8], turn: Turn, out: &mut [u8]) {
    let (width, height) = (size.width as usize, size.height as usize);
    if plane.is_empty() {
        return;
    }
    if !turn.transposed {
        let rows = out.chunks_exact_mut(width);
        for (y, to) in rows.enumerate() {
            let from = &plane[if turn.flip_y { height - 1 - y } else { y } * width..][..width];
            to.copy_from_slice(from);
            if turn.flip_x {
                to.reverse();
            }
        }
        return;
    }
    for left in (0..width).step_by(TILE) {
        for (y, row) in plane.chunks_exact(width).enumerate() {
            let to_x = if turn.flip_x { height - 1 - y } else { y };
            for (x, &sample) in row.iter().enumerate().skip(left).take(TILE) {
                let to_y = if turn.flip_y { width - 1 - x } else { x };
                out[to_y * height + to_x] = sample;
            }
        }
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
