//! On `write-mkv`: slices are joined to the JPEG that they are of, and handed to the file.

use super::super::tee::BySource;
use super::{Content, Unit};
use crate::codec::raw;
use crate::codec::stitch::Stitcher;
use crate::present::writers::mkv::{self, Block};
use crate::present::writers::{Error, Progress, Writer, Written};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

/// See the module text.
pub(super) struct Writing {
    writer: mkv::Writer,
    /// What fills the holes of the next picture, of each source.
    stitchers: BySource<Stitcher>,
    /// Pictures that were not whole.
    refused: Arc<AtomicU64>,
    /// Dropped at the end, by which that is heard of.
    _end: Sender<()>,
}

impl Writing {
    pub fn new(writer: mkv::Writer, end: Sender<()>) -> Result<Self, raw::Error> {
        Ok(Writing { writer, stitchers: BySource::default(), refused: Arc::default(), _end: end })
    }

    /// Counts pictures that were not whole.
    pub fn refused(&self) -> Arc<AtomicU64> {
        self.refused.clone()
    }
}

impl Writer for Writing {
    type Unit = Arc<Unit>;

    fn write(&mut self, unit: Arc<Unit>) -> Result<(), Error> {
        let content = if let Content::Sound(channels, samples) = &unit.content {
            mkv::Content::Sound(*channels, samples.clone())
        } else {
            let joined = match self.stitchers.get(&unit.source, Stitcher::new) {
                Ok(stitcher) => unit.jpeg(stitcher),
                Err(error) => Some(Err(error.into())),
            };
            match joined {
                Some(Ok((size, jpeg))) => mkv::Content::Jpeg(size, jpeg.into_owned()),
                Some(Err(error)) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!("a picture is not recorded: {error}");
                    return Ok(());
                }
                None => return Ok(()),
            }
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
