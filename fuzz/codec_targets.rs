//! As `targets.rs`, for what needs the codec.

use eyeline::codec::decoder::{Decoder, RgbMut};
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};

/// Head and scan of a slice, whole and in part, through the decoder. The first two bytes say what part of it came.
pub fn jpeg_band(data: &[u8]) {
    let Some((cut, body)) = data.split_first_chunk::<2>() else { return };
    let Ok(slice) = Slice::read(0, 0, 1, [&[0; LENGTH_PREFIX], body].concat().into()) else { return };
    let (width, rows) = (slice.head().size.width as usize, usize::from(slice.head().rows));
    // A large canvas takes long to clear and teaches nothing.
    if width * rows > 1 << 18 {
        return;
    }
    let mut decoder = Decoder::new().expect("libjpeg-turbo starts");
    let mut pixels = vec![0; width * rows];
    if let Ok(decoded) = decoder.decode_rgb(&slice, RgbMut::whole(&mut pixels, width)) {
        assert!(decoded.rows <= rows as u32);
    }
    let len = slice.scan().len();
    let cut = usize::from(u16::from_be_bytes(*cut)).min(len);
    let hole = cut..(cut + 100).min(len);
    let present = [0..hole.start, hole.end..len];
    if let Ok(decoded) = decoder.decode_rgb_part(&slice, &present, true, RgbMut::whole(&mut pixels, width)) {
        assert!(decoded.rows <= rows as u32);
    }
}
