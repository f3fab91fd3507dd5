//! One's own picture: a small mirrored tile in a corner over the others, as large as the window while nobody else is there.

use std::sync::Arc;

use super::super::canvas::Canvas;
use super::super::scale::{Rect, letterbox};
use eyeline_proto::picture::Size;

/// So much of a window's width and height it takes at most, and of a small window's, where less would show nothing.
const PART: u32 = 5;
const PART_OF_SMALL: u32 = 3;
/// A window narrower than this is small.
const SMALL: u32 = 640;

#[derive(Default)]
pub struct Own {
    canvas: Option<Arc<Canvas>>,
    hidden: bool,
    pictured: bool,
    /// There is a picture that was not composed yet.
    pub(in super::super) fresh: bool,
    /// How often in a row it was not composed because it was being written.
    pub(in super::super) missed: u32,
}

impl Own {
    pub(super) fn set(&mut self, canvas: Option<Arc<Canvas>>) {
        let same = match (&canvas, &self.canvas) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        if !same {
            *self = Own { canvas, hidden: self.hidden, ..Own::default() };
        }
    }

    pub(super) fn picture(&mut self) {
        let is_there = self.canvas.is_some();
        (self.pictured, self.fresh) = (is_there, is_there);
    }

    /// Shows or hides it; says which.
    pub(super) fn toggle(&mut self) -> bool {
        self.hidden = !self.hidden;
        !self.hidden
    }

    pub(super) fn is_shown(&self) -> bool {
        self.pictured && !self.hidden
    }

    /// Where its picture is, if it is shown.
    pub(in super::super) fn shown(&self) -> Option<&Arc<Canvas>> {
        self.canvas.as_ref().filter(|_| self.is_shown())
    }

    /// In the lower right, in its own shape.
    pub(super) fn corner(&self, window: Size) -> Option<Rect> {
        let picture = self.shown()?.size();
        if !picture.is_possible() {
            return None;
        }
        let part = if window.width < SMALL { PART_OF_SMALL } else { PART };
        let room = Size { width: (window.width / part).max(1), height: (window.height / part).max(1) };
        let Size { width, height } = letterbox(picture, room).size;
        let margin = (window.width.min(window.height) / 40).min(window.width - width).min(window.height - height);
        Some(Rect { x: window.width - width - margin, y: window.height - height - margin, size: Size { width, height } })
    }
}
