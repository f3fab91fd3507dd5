//! What went missing before it came to be encoded.

/// What sources lost before it came to be encoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Pictures replaced by a newer one before they were encoded.
    pub replaced: u64,
    /// Pictures of a camera or of stdin that are damaged, or of a kind that is not taken.
    pub damaged: u64,
    /// Pictures a camera's driver lost for want of a buffer; `None` where no driver says.
    pub missed: Option<u64>,
    /// Frames of sound lost on the way out of the microphone's callback.
    pub lost_frames: u64,
    /// Blocks of sound dropped because nobody took them in time.
    pub dropped_blocks: u64,
}

impl std::ops::Add for Counts {
    type Output = Counts;

    fn add(self, more: Counts) -> Counts {
        Counts {
            replaced: self.replaced + more.replaced,
            damaged: self.damaged + more.damaged,
            missed: self.missed.into_iter().chain(more.missed).reduce(|a, b| a + b),
            lost_frames: self.lost_frames + more.lost_frames,
            dropped_blocks: self.dropped_blocks + more.dropped_blocks,
        }
    }
}
