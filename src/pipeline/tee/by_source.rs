//! What a taker keeps of each source, for as long as there is that source.

use super::{Content, Source, Unit};
use crate::codec::stitch::{self, Stitcher};
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::Size;
use std::borrow::Cow;
use std::sync::{Arc, Weak};

/// See the module text.
pub struct BySource<T>(Vec<(Weak<Source>, T)>);

impl<T> Default for BySource<T> {
    fn default() -> Self {
        BySource(Vec::new())
    }
}

impl<T> BySource<T> {
    /// What is kept of this one; it is made where there is nothing yet.
    pub fn get<E>(&mut self, source: &Arc<Source>, make: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
        let at = match self.0.iter().position(|(of, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(source))) {
            Some(at) => at,
            None => {
                self.forget_gone();
                self.0.push((Arc::downgrade(source), make()?));
                self.0.len() - 1
            }
        };
        Ok(&mut self.0[at].1)
    }

    /// Drops what is kept of those that are gone.
    pub fn forget_gone(&mut self) {
        self.0.retain(|(of, _)| of.strong_count() > 0);
    }

    /// All that is kept.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, kept)| kept)
    }
}

/// A JPEG and its size, or why its slices make none.
pub type Joined<'a> = Result<(Size, Cow<'a, [u8]>), stitch::Error>;

impl Unit {
    /// The JPEG that it is, and its size, joined by its source's stitcher where it came in slices; `None`: it is sound. An error where it is not
    /// whole: until its sender knows that we want them so, pictures are only what changed.
    pub fn jpeg(&self, stitcher: &mut Stitcher) -> Option<Joined<'_>> {
        match &self.content {
            Content::Slices(picture) => {
                let slices: Vec<&Slice> = picture.slices.iter().flatten().collect();
                Some(stitcher.push(&slices).map(|jpeg| (picture.size, Cow::Owned(jpeg))))
            }
            Content::Jpeg(size, jpeg) => Some(Ok((*size, Cow::Borrowed(jpeg)))),
            Content::Sound(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_and_what_is_gone_is_forgotten() {
        let (lab, attic) = (Source::new("lab"), Source::new("lab"));
        let mut kept = BySource::default();
        for (count, source) in (1..).zip([&lab, &attic, &lab]) {
            let made: Result<&mut i32, ()> = kept.get(source, || Ok(count));
            *made.unwrap() *= 10;
        }
        assert_eq!(kept.all().copied().collect::<Vec<_>>(), [100, 20]);
        assert_eq!(kept.get(&Source::new("new"), || Err("no")), Err("no"));
        drop(lab);
        kept.forget_gone();
        assert_eq!(kept.all().copied().collect::<Vec<_>>(), [20]);
    }
}
