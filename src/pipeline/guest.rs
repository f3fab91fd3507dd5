//! What comes in by another way than Eyeline's (the camera of a browser, RTP), sent to this very program like any other sender's
//! ([`Visit`]).

use super::encode::{self, Encoder};
use super::visit::Visit;
use crate::codec::settings;
use crate::net;
use crate::slot::Slot;
use crate::threads::join;
#[cfg(feature = "web")]
use crate::web::camera::Feed;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::foreign::Passthrough;
use eyeline_proto::media::jpeg::segments;
use eyeline_proto::picture::{Body, Picture, Size, Turn};
use eyeline_proto::session::Event;
use eyeline_proto::session::link::Identity;
use eyeline_proto::sound::Block;
use eyeline_proto::wire::record::{Format, Media};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// Blocks of sound that wait.
const SOUND_AHEAD: usize = 20;

/// The longest side of a picture, and its pixels: 4K, however it is turned.
const LONGEST: u32 = 4096;
const MOST_PIXELS: u32 = 4096 * 2160;

/// JPEG quality of what has to be encoded anew.
const QUALITY: u8 = 85;

/// See the module text. Dropped: it has left.
pub struct Guest {
    // The order in which they end: nothing comes, nothing is encoded, then it says goodbye.
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block<Instant>>>,
    carriers: Vec<JoinHandle<()>>,
    encoder: Arc<Encoder>,
    _visit: Visit,
}

/// Why it cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Net(#[from] net::Error),
    #[error(transparent)]
    Encode(#[from] settings::Error),
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

impl Guest {
    /// Comes, as `me`, to the program that waits there, with pictures or without, and sound of so many channels.
    pub fn come(me: Identity, to: SocketAddr, (pictures, channels): (bool, u8)) -> Result<Guest, Error> {
        let me = Identity { offers: Media { pictures, sound: channels > 0, lossless: false }, ..me };
        let epoch = Epoch::new(Instant::now());
        let format = Format { rate: None, variable: true, size: None, channels, first: 0 };
        let told: Arc<OnceLock<Arc<Encoder>>> = Arc::default();
        let heeds = told.clone();
        let on_event = move |event: Event| {
            heeds.get().iter().for_each(|encoder| encoder.heed(&event));
        };
        let visit = Visit::begin(me, epoch, format, on_event)?;
        let encoding = encode::Config {
            quality: QUALITY,
            format,
            film: false,
            turn: Turn::NONE,
            width: None,
            epoch,
            replenish: true,
            passthrough: Passthrough::Auto,
            own: None,
            published: None,
        };
        let encoder = Arc::new(Encoder::new(encoding, visit.commands(), None)?);
        // Nothing is told before somebody is dialled.
        let _ = told.set(encoder.clone());
        visit.dial(to);
        let (pictures, sound) = (Slot::newest(), Slot::dropping(SOUND_AHEAD));
        let mut guest = Guest { pictures, sound, carriers: Vec::new(), encoder, _visit: visit };
        guest.carry()?;
        Ok(guest)
    }

    fn carry(&mut self) -> std::io::Result<()> {
        let (slot, to) = (self.pictures.clone(), self.encoder.clone());
        let pictures = move || {
            while let Some(picture) = slot.take() {
                to.encode(picture);
            }
        };
        self.carriers.push(std::thread::Builder::new().name("guest-pictures".into()).spawn(pictures)?);
        let (slot, to) = (self.sound.clone(), self.encoder.clone());
        let sound = move || {
            while let Some(block) = slot.take() {
                to.send_sound(block);
            }
        };
        self.carriers.push(std::thread::Builder::new().name("guest-sound".into()).spawn(sound)?);
        Ok(())
    }

    /// Where its pictures and its sound go. Once one of them is closed, no more of it comes.
    pub fn inlets(&self) -> (Arc<Slot<Picture>>, Arc<Slot<Block<Instant>>>) {
        (self.pictures.clone(), self.sound.clone())
    }

    /// A picture that was caught then; whether it is one.
    pub fn give_jpeg(&self, at: Instant, jpeg: Vec<u8>) -> bool {
        let Some(size) = segments::size(&jpeg).filter(|size| is_a_cameras(*size)) else { return false };
        // Open for as long as we are.
        let _ = self.pictures.push(Picture::new(at, size, Body::Jpeg(jpeg.into())));
        true
    }

    pub fn give_sound(&self, block: Block<Instant>) {
        // Anything may be said; what cannot travel would end the session.
        if block.is_possible() && !block.samples.is_empty() {
            let _ = self.sound.push(block);
        }
    }
}

#[cfg(feature = "web")]
impl Feed for Guest {
    fn picture(&mut self, at: Instant, jpeg: &[u8]) -> bool {
        self.give_jpeg(at, jpeg.to_vec())
    }

    fn sound(&mut self, at: Instant, samples: Arc<[i16]>) {
        self.give_sound(Block { capture: at, channels: 1, samples });
    }
}

/// Whether a camera may have this size: what a header says costs as much, whatever is behind it.
fn is_a_cameras(size: Size) -> bool {
    let Size { width, height } = size;
    (16..=LONGEST).contains(&width) && (16..=LONGEST).contains(&height) && width * height <= MOST_PIXELS
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.pictures.close();
        self.sound.close();
        self.encoder.stop();
        self.carriers.drain(..).for_each(join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_no_camera_has_is_none() {
        let is = |width, height| is_a_cameras(Size { width, height });
        assert!(is(1280, 720) && is(2160, 3840) && is(4096, 2160) && is(16, 16));
        assert!(!(is(0, 0) || is(8, 480) || is(65_535, 65_535) || is(4096, 4096) || is(8192, 64)));
    }
}
