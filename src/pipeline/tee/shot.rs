//! One picture, to be kept alone.

use super::{Content, Tap, Tee, Unit};
use crate::codec::stitch;
use eyeline_proto::media::assemble::AccessUnit;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::Size;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// A picture as it came.
pub struct Still {
    /// Whose it is.
    pub name: String,
    pub size: Size,
    pub jpeg: Vec<u8>,
}

/// Pictures that wait for who wants one of them whole.
const WAITING: usize = 4;

/// Somebody waits for a picture.
pub struct Shot {
    units: Receiver<Arc<Unit>>,
    _tap: Tap,
}

impl Shot {
    pub(super) fn new(tee: &Tee, of: Option<&str>) -> Self {
        let (to, units) = mpsc::sync_channel(WAITING);
        let of = of.map(str::to_string);
        let tap = tee.tap(move |unit| {
            if !matches!(unit.content, Content::Sound(..)) && of.as_ref().is_none_or(|of| *of == unit.source.name) {
                // It has enough to look at, or just had what it wants.
                let _ = to.try_send(unit.clone());
            }
        });
        Shot { units, _tap: tap }
    }

    /// The next picture of which all is there, within this time. Until its sender knows that we want them whole, pictures are only
    /// what changed.
    pub fn take(self, within: Duration) -> Option<Still> {
        let until = Instant::now() + within;
        loop {
            let unit = self.units.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
            let (size, jpeg) = match &unit.content {
                Content::Jpeg(size, jpeg) => (*size, jpeg.to_vec()),
                Content::Slices(picture) => match whole(picture) {
                    Some(jpeg) => (picture.size, jpeg),
                    None => continue,
                },
                Content::Sound(..) => continue,
            };
            return Some(Still { name: unit.source.name.clone(), size, jpeg });
        }
    }
}

/// One JPEG of all slices that are all of it.
fn whole(picture: &AccessUnit) -> Option<Vec<u8>> {
    let slices: Vec<&Slice> = picture.slices.iter().flatten().collect();
    let owed = usize::from(slices.first()?.head().owed);
    let again = slices.iter().filter(|slice| usize::from(slice.index) >= owed).copied().collect::<Vec<_>>();
    stitch::jpeg(if again.is_empty() { &slices } else { &again }).ok()
}
