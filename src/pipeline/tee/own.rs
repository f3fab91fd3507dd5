//! Our own pictures and sound, whole: a camera's JPEGs as it made them, what is raw encoded on a thread of its own
//! at the quality that was asked for, whatever the path takes.

use super::{Content, Source, Tee, Unit};
use crate::codec::still::Stills;
use crate::slot::Slot;
use crate::threads::join;
use eyeline_proto::picture::{Body, Picture};
use eyeline_proto::sound::Block;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// See the module text.
pub struct Own {
    tee: Tee,
    source: Arc<Source>,
    quality: u8,
    pictures: Arc<Slot<Picture>>,
    /// From the first picture on that is taken; `None` where there could be none.
    thread: OnceLock<Option<JoinHandle<()>>>,
}

impl Own {
    /// Of this name. Of a `film` no picture is left out: it waits.
    pub fn new(tee: &Tee, name: &str, quality: u8, film: bool) -> Own {
        let (tee, source) = (tee.clone(), tee.source(name));
        let pictures = if film { Slot::waiting(2) } else { Slot::newest() };
        Own { tee, source, quality, pictures, thread: OnceLock::new() }
    }

    fn start(&self) -> Option<JoinHandle<()>> {
        let (slot, to, whose, quality) = (self.pictures.clone(), self.tee.clone(), self.source.clone(), self.quality);
        let work = move || {
            let mut stills = match Stills::new() {
                Ok(stills) => stills,
                Err(error) => {
                    slot.close();
                    return tracing::error!("our own pictures are neither recorded nor shown in browsers: {error}");
                }
            };
            while let Some(picture) = slot.take() {
                let at = picture.captured;
                match stills.jpeg(picture, quality) {
                    Ok((size, jpeg)) => to.push(Unit { source: whose.clone(), at, content: Content::Jpeg(size, jpeg.into()) }),
                    Err(error) => tracing::debug!("a picture of our own is left out: {error}"),
                }
            }
        };
        let thread = std::thread::Builder::new().name("own-jpegs".into()).spawn(work);
        thread
            .inspect_err(|error| {
                tracing::error!("our own pictures are neither recorded nor shown in browsers: no thread ({error})")
            })
            .ok()
    }

    /// A picture, as its source gave it.
    pub fn picture(&self, picture: &Picture) {
        if !self.tee.is_on() || self.thread.get_or_init(|| self.start()).is_none() {
            return;
        }
        let body = match &picture.body {
            Body::Planes(sampling, planes) => Body::Planes(*sampling, planes.to_vec().into()),
            Body::Jpeg(jpeg) => Body::Jpeg(jpeg.to_vec().into()),
        };
        let Picture { captured, size, view, position, .. } = *picture;
        // Closed where nothing can be encoded, which was said.
        let _ = self.pictures.push(Picture { captured, size, view, position, changed: None, body });
    }

    /// A block of sound.
    pub fn sound(&self, block: &Block<Instant>) {
        if self.tee.is_on() && !block.samples.is_empty() {
            let (source, content) = (self.source.clone(), Content::Sound(block.channels, block.samples.clone()));
            self.tee.push(Unit { source, at: block.capture, content });
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.pictures.close();
        self.source.is_over();
        if let Some(Some(thread)) = self.thread.take() {
            join(thread);
        }
    }
}
