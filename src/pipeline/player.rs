//! What goes through the tee, to a player over RTP: of one track, the first that there is, and of the next when that is over.
//! Slices are joined to JPEGs; what RTP does not carry of those is encoded anew.

use super::tee::{Content, Source, Tap, Tee, Unit};
use crate::codec::settings::Error;
use crate::codec::still::Stills;
use crate::codec::stitch::Stitcher;
use crate::codec::{passthrough, raw};
use crate::fit::Fit;
use crate::net::rtp::{Picture, Rtp};
use crate::slot::Slot;
use crate::threads::join;
use eyeline_proto::media::rtp::jpeg::{self, Unfit};
use eyeline_proto::picture::{self, Body, BufferPool, Sampling, Size};
use eyeline_proto::sound::Block;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

/// Units that wait, and their bytes: half a second.
const WAITING: (usize, usize) = (96, 16 << 20);

/// The longest side that RTP has a number for, in whole blocks of 4:2:0.
const LONGEST: u32 = 2032;

/// JPEG quality of what is encoded anew.
const QUALITY: u8 = 85;

/// See the module text. Dropped: it is over.
pub struct Player {
    _tap: Tap,
    units: Arc<Slot<Arc<Unit>>>,
    thread: Option<JoinHandle<()>>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Codec(#[from] raw::Error),
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

impl Player {
    /// Sends what goes through the tee. `anew` is told once why pictures are encoded anew.
    pub fn start(rtp: Rtp, tee: &Tee, anew: impl FnOnce(Unfit) + Send + 'static) -> Result<Player, StartError> {
        let (most, bytes) = WAITING;
        let units = Slot::dropping_bytes(most, bytes, |unit: &Arc<Unit>| unit.bytes());
        let (stitcher, fitting) = (Stitcher::new()?, Fitting::new(anew)?);
        let mut work = Work { rtp, of: Weak::new(), stitcher, fitting };
        let slot = units.clone();
        let run = move || {
            while let Some(unit) = slot.take() {
                work.send(&unit);
            }
        };
        let thread = std::thread::Builder::new().name("rtp-pictures".into()).spawn(run)?;
        let to = units.clone();
        let tap = tee.tap(move |unit| {
            // It is closed when all is over.
            let _ = to.push(unit.clone());
        });
        Ok(Player { _tap: tap, units, thread: Some(thread) })
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.units.close();
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

struct Work {
    rtp: Rtp,
    /// Whose pictures and sound are sent.
    of: Weak<Source>,
    stitcher: Stitcher,
    fitting: Fitting,
}

impl Work {
    fn send(&mut self, unit: &Unit) {
        if self.of.strong_count() == 0 {
            self.of = Arc::downgrade(&unit.source);
        }
        if !std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(&unit.source)) {
            return;
        }
        if let Content::Sound(channels, samples) = &unit.content {
            return self.rtp.sound(Block { capture: unit.at, channels: *channels, samples: samples.clone() });
        }
        let jpeg = match unit.jpeg(&mut self.stitcher) {
            Some(Ok((_, jpeg))) => jpeg.into_owned(),
            Some(Err(error)) => return tracing::debug!("a picture does not go to the player: {error}"),
            None => return,
        };
        match self.fitting.fit(jpeg, unit.at) {
            Ok(jpeg) => self.rtp.picture(Picture { captured: unit.at, jpeg }),
            Err(error) => tracing::debug!("a picture does not go to the player: {error}"),
        }
    }
}

/// Makes of JPEGs such as RTP carries.
struct Fitting {
    stills: Stills,
    buffers: BufferPool,
    tell: Option<Box<dyn FnOnce(Unfit) + Send>>,
}

impl Fitting {
    fn new(tell: impl FnOnce(Unfit) + Send + 'static) -> Result<Fitting, raw::Error> {
        Ok(Fitting { stills: Stills::new()?, buffers: BufferPool::new(), tell: Some(Box::new(tell)) })
    }

    fn fit(&mut self, jpeg: Vec<u8>, at: Instant) -> Result<Vec<u8>, Error> {
        let Err(unfit) = jpeg::Picture::new(&jpeg).map(drop) else { return Ok(jpeg) };
        if let Some(tell) = self.tell.take() {
            tell(unfit);
        }
        let (size, sampling, planes, _) = passthrough::decode(&jpeg, &self.buffers)?;
        let fitting = fitting_size(size);
        let planes = Fit::into(fitting, Sampling::Yuv420).fill(size, sampling, &planes);
        let picture = picture::Picture::new(at, fitting, Body::Planes(Sampling::Yuv420, planes.into()));
        self.stills.jpeg(picture, QUALITY).map(|(_, jpeg)| jpeg)
    }
}

/// The size nearest to this one that RTP carries.
fn fitting_size(size: Size) -> Size {
    let longest = size.width.max(size.height);
    let side = |side: u32| {
        let side = if longest > LONGEST { side * LONGEST / longest } else { side };
        // Whole blocks: less is scaled than with fewer.
        (side + 4) / 8 * 8
    };
    Size { width: side(size.width).max(8), height: side(size.height).max(8) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{camera_jpeg, planes};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn what_rtp_carries_goes_as_it_is_and_all_else_is_encoded_anew_which_is_told_once() {
        let jpeg = |width, height, sampling| {
            let size = Size { width, height };
            camera_jpeg(&planes(size, sampling, 3), size, sampling, 80, 0)
        };
        let (now, told) = (Instant::now(), Arc::new(AtomicU32::new(0)));
        let counts = told.clone();
        let mut fitting = Fitting::new(move |_| {
            counts.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        let fits = jpeg(320, 240, Sampling::Yuv422);
        assert_eq!(fitting.fit(fits.clone(), now).unwrap(), fits);
        for (sampling, size, wanted) in [
            (Sampling::Yuv444, (320, 240), (320, 240)),
            (Sampling::Grey, (64, 48), (64, 48)),
            (Sampling::Yuv420, (321, 243), (320, 240)),
            (Sampling::Yuv420, (2560, 1440), (2032, 1144)),
        ] {
            let made = fitting.fit(jpeg(size.0, size.1, sampling), now).unwrap();
            let kind = jpeg::Picture::new(&made).unwrap().kind();
            assert_eq!((kind.size.width, kind.size.height), wanted);
        }
        assert_eq!(told.load(Ordering::Relaxed), 1);
        assert!(fitting.fit(b"no jpeg".to_vec(), now).is_err());
    }
}
