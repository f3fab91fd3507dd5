//! Another size before encoding, for `--width`: planes are scaled, a camera's JPEG is decoded for it.

use super::encoder::Error;
use super::passthrough;
use crate::fit::Fit;
use crate::picture::{Body, Picture, Pool, Size};

/// The picture at another size of (nearly) the same aspect.
pub fn to_size(picture: Picture, size: Size, pool: &Pool) -> Result<Picture, Error> {
    let (from, sampling, planes) = match picture.body {
        Body::Planes(sampling, planes) => (picture.size, sampling, planes),
        Body::Jpeg(jpeg) => passthrough::decode(&jpeg, pool)?,
    };
    let scaled = Fit::into(size, sampling).convert(from, sampling, &planes);
    Ok(Picture { captured: picture.captured, size, body: Body::Planes(sampling, scaled.into()) })
}
