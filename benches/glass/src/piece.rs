//! What is played on a stage.

use crate::code::Mark;
use crate::framebuffer::Framebuffer;
use crate::scene::Shape;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Pictures that say of themselves which they are, and who reads that off the screen.
pub trait Piece: Sync {
    /// What was seen.
    type Seen: Send;

    /// The size of the pictures and the length of their loop.
    fn shape(&self) -> Shape;

    /// Draws what a picture says of itself into its luma.
    fn mark(&self, luma: &mut [u8], mark: Mark);

    /// Watches until `over` says so. `seen_us` is set when the first picture of the loop shows up.
    fn watch(&self, screen: &Framebuffer, seen_us: &AtomicU64, over: &AtomicBool) -> Self::Seen;
}
