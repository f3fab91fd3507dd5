//! On `write-mkv`: slices are joined to the JPEG that they are of, and handed to the file.

use super::{Content, Unit};
use crate::codec::raw;
use crate::codec::stitch::Stitcher;
use crate::present::writers::mkv::{self, Block, Source};
use crate::present::writers::{Error, Progress, Writer, Written};
use eyeline_proto::media::slice::Slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

/// See the module text.
pub(super) struct Writing {
    writer: mkv::Writer,
    /// What fills the holes of the next picture, of each source.
    stitchers: Vec<(Weak<Source>, Stitcher)>,
    /// Pictures that were not whole.
    refused: Arc<AtomicU64>,
    /// Dropped at the end, by which that is heard of.
    _end: Sender<()>,
}

impl Writing {
    pub fn new(writer: mkv::Writer, end: Sender<()>) -> Result<Self, raw::Error> {
        Ok(Writing { writer, stitchers: Vec::new(), refused: Arc::default(), _end: end })
    }

    /// Counts pictures that were not whole.
    pub fn refused(&self) -> Arc<AtomicU64> {
        self.refused.clone()
    }

    fn stitcher(&mut self, source: &Arc<Source>) -> Result<&mut Stitcher, raw::Error> {
        self.stitchers.retain(|(of, _)| of.strong_count() > 0);
        let is_of = |(of, _): &(Weak<Source>, Stitcher)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(source));
        let at = match self.stitchers.iter().position(is_of) {
            Some(at) => at,
            None => {
                self.stitchers.push((Arc::downgrade(source), Stitcher::new()?));
                self.stitchers.len() - 1
            }
        };
        Ok(&mut self.stitchers[at].1)
    }
}

impl Writer for Writing {
    type Unit = Arc<Unit>;

    fn write(&mut self, unit: Arc<Unit>) -> Result<(), Error> {
        let content = match &unit.content {
            Content::Slices(picture) => {
                let slices: Vec<&Slice> = picture.slices.iter().flatten().collect();
                let joined = self.stitcher(&unit.source).map_err(Into::into).and_then(|stitcher| stitcher.push(&slices));
                match joined {
                    Ok(jpeg) => mkv::Content::Jpeg(picture.size, jpeg),
                    // Until its sender knows that we want them whole, pictures are only what changed.
                    Err(error) => {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!("picture {} is not recorded: {error}", picture.number);
                        return Ok(());
                    }
                }
            }
            Content::Jpeg(size, jpeg) => mkv::Content::Jpeg(*size, jpeg.to_vec()),
            Content::Sound(channels, samples) => mkv::Content::Sound(*channels, samples.clone()),
        };
        self.writer.write(Block { source: unit.source.clone(), at: unit.at, content })
    }

    fn finish(self) -> Result<Written, Error> {
        self.writer.finish()
    }

    fn progress(&self) -> Progress {
        self.writer.progress()
    }
}
