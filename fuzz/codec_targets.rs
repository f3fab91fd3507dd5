//! As `targets.rs`, for what needs the codec.

use eyeline::codec::decoder::{Decoder, Words};
use eyeline_proto::wire::slice::Head;

/// Head and scan of a slice, whole and in part, through the decoder. The first two bytes say what part of it came.
pub fn jpeg_band(data: &[u8]) {
    let Some((cut, body)) = data.split_first_chunk::<2>() else { return };
    let Ok((head, _)) = Head::decode(body) else { return };
    let (width, rows) = (head.size.width as usize, usize::from(head.rows));
    // A large canvas takes long to clear and teaches nothing.
    if width * rows > 1 << 18 {
        return;
    }
    let mut decoder = Decoder::new().expect("libjpeg-turbo starts");
    let mut pixels = vec![0; width * rows];
    if let Ok(decoded) = decoder.decode_rgb(body, Words::whole(&mut pixels, width)) {
        assert!(decoded.rows <= rows as u32);
    }
    let cut = usize::from(u16::from_be_bytes(*cut)).min(body.len());
    let hole = cut..(cut + 100).min(body.len());
    let present = [0..hole.start, hole.end..body.len()];
    if let Ok(decoded) = decoder.decode_rgb_part(body, &present, true, Words::whole(&mut pixels, width)) {
        assert!(decoded.rows <= rows as u32);
    }
}
