//! What of a camera's JPEG changed, and what is said to become of such JPEGs.

use crate::codec::coefficients::{Coefficients, Replenisher};
use crate::codec::segments::Refusal;
use eyeline_proto::picture::Picture;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};

/// What becomes of a camera's JPEGs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// They go as they are.
    Whole,
    /// Of their MCUs those go that changed, as they are.
    Changed,
    /// They are decoded, and encoded anew.
    Anew(Why),
}

/// Why they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The user wants it.
    Asked,
    /// They are turned, or made smaller or larger.
    Size,
    /// The path has no room for what changes of them.
    NoRoom,
    /// They are of a kind that slices do not carry.
    Unfit,
}

/// Compares a camera's JPEGs with what was sent of them.
#[derive(Default)]
pub struct Cutter {
    coefficients: Coefficients,
    replenisher: Replenisher,
    /// So many pictures are not read: one before them could not be.
    rest: u32,
}

/// For so many pictures none is read after one could not be.
const REST: u32 = 150;

/// What of a JPEG is to be sent.
pub struct Cut<'a> {
    /// The JPEG.
    pub coefficients: &'a Coefficients,
    /// What changed, and what is owed beside it; `None` where all of it is to be sent.
    pub some: Option<[&'a McuSet; 2]>,
    /// The share of its MCUs that changed, and that of what is owed beside them.
    pub share: f64,
    pub lacking: f64,
}

impl Cutter {
    /// Pictures were sent of which it was not told.
    pub fn forget(&mut self) {
        self.replenisher.forget();
    }

    /// What of the JPEG of this picture is to be sent; it is taken for sent. An error where nothing can be cut out of it.
    pub fn look(&mut self, jpeg: &[u8], picture: &Picture, owed: &Owed) -> Result<Cut<'_>, Refusal> {
        if self.rest > 0 {
            self.rest -= 1;
            return Err(Refusal::Unfit("one before it could not be read"));
        }
        let read = self.coefficients.read(jpeg).and_then(|()| {
            let kind = self.coefficients.kind().filter(|(_, size)| *size == picture.size);
            kind.ok_or(Refusal::Unfit("its size is not what its source says"))
        });
        if read.is_err() {
            self.forget();
            self.rest = REST;
        }
        let kind = read?;
        let coefficients = &self.coefficients;
        Ok(match self.replenisher.look(coefficients, kind, owed, picture.captured) {
            None => Cut { coefficients, some: None, share: 1.0, lacking: 0.0 },
            Some((changed, owed)) => {
                let share = |set: &McuSet| set.len() as f64 / set.of().max(1) as f64;
                let (share, lacking) = (share(changed), share(owed));
                Cut { coefficients, some: Some([changed, owed]), share, lacking }
            }
        })
    }
}
