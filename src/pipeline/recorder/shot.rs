//! One picture, to be kept alone.

use super::{Content, Recorder, Unit};
use crate::codec::stitch;
use eyeline_proto::media::assemble::AccessUnit;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::Size;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A picture as it came.
pub struct Still {
    /// Whose it is.
    pub name: String,
    pub size: Size,
    pub jpeg: Vec<u8>,
}

/// Somebody waits for a picture.
pub struct Shot {
    recorder: Recorder,
    key: u64,
    units: Receiver<Arc<Unit>>,
}

impl Shot {
    pub(super) fn new(recorder: Recorder, key: u64, units: Receiver<Arc<Unit>>) -> Self {
        Shot { recorder, key, units }
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

impl Drop for Shot {
    fn drop(&mut self) {
        self.recorder.forget_shot(self.key);
    }
}

/// One JPEG of all slices that are all of it.
fn whole(picture: &AccessUnit) -> Option<Vec<u8>> {
    let slices: Vec<&Slice> = picture.slices.iter().flatten().collect();
    let owed = usize::from(slices.first()?.head().owed);
    let again = slices.iter().filter(|slice| usize::from(slice.index) >= owed).copied().collect::<Vec<_>>();
    stitch::jpeg(if again.is_empty() { &slices } else { &again }).ok()
}
