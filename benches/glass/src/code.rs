//! The barcode: black and white blocks that survive JPEG, 4:2:0 and H.264.
//!
//! Top left, 24 x 5 blocks: a sync row, then four rows of
//! `1 0 <20 data bits> 0 1`. Data: 48-bit emit time in microseconds,
//! 16-bit frame number, CRC-16 of both.
//! Bottom left, 24 x 1 blocks: `1010`, the frame number, 4 check bits. A frame
//! is completely on the screen once top and bottom agree.
//! Where the code itself must be nearly still, the lower code alone stands at the top left, too.
//! Where pictures may have holes, each row of blocks between these carries the low byte of the frame number at its left: a
//! stripe of another picture betrays itself, however alike the pictures are.

/// Side of a block.
pub const BLOCK: usize = 16;
/// Blocks in a row.
pub const COLUMNS: usize = 24;
/// Rows of the upper code.
pub const ROWS: usize = 5;
/// Blocks of the mark of a row.
pub const ROW_COLUMNS: usize = 8;
/// How far ahead a mark is believed: a fifth of a second.
const SOON: u8 = 6;
const SYNC: u32 = 0xFA_F3_20;
/// Luma of a 0.
pub const BLACK: u8 = 16;
/// Luma of a 1.
pub const WHITE: u8 = 235;

/// What a picture says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// When its first byte was written.
    pub emit_us: u64,
    /// Its number.
    pub id: u16,
}

/// Anything with a luma value per pixel.
pub trait Picture {
    /// Width and height.
    fn size(&self) -> (usize, usize);
    /// One pixel's luma.
    fn luma(&self, x: usize, y: usize) -> u8;
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ (byte as u16) << 8, |c, _| if c & 0x8000 != 0 { c << 1 ^ 0x1021 } else { c << 1 })
    })
}

fn crc_of(mark: Mark) -> u16 {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&mark.emit_us.to_be_bytes());
    bytes[8..].copy_from_slice(&mark.id.to_be_bytes());
    crc16(&bytes)
}

fn top_rows(mark: Mark) -> [u32; ROWS] {
    let data = (mark.emit_us as u128 & 0xFFFF_FFFF_FFFF) << 32 | (mark.id as u128) << 16 | crc_of(mark) as u128;
    let row = |i: u32| {
        let bits = (data >> (60 - 20 * i)) as u32 & 0xF_FFFF;
        0b10 << 22 | bits << 2 | 0b01
    };
    [SYNC, row(0), row(1), row(2), row(3)]
}

fn bottom_row(id: u16) -> u32 {
    0b1010 << 20 | (id as u32) << 4 | crc16(&id.to_be_bytes()) as u32 & 0xF
}

/// Draws both codes into a luma plane.
pub fn draw(luma: &mut [u8], width: usize, height: usize, mark: Mark) {
    for (i, bits) in top_rows(mark).into_iter().enumerate() {
        draw_row(luma, width, bits, i * BLOCK);
    }
    draw_row(luma, width, bottom_row(mark.id), height - BLOCK);
}

/// Draws a picture's number alone, as its first and its last row of blocks.
pub fn draw_number(luma: &mut [u8], width: usize, height: usize, id: u16) {
    draw_row(luma, width, bottom_row(id), 0);
    draw_row(luma, width, bottom_row(id), height - BLOCK);
}

fn draw_row(luma: &mut [u8], width: usize, bits: u32, top: usize) {
    for y in top..top + BLOCK {
        for column in 0..COLUMNS {
            let on = bits >> (COLUMNS - 1 - column) & 1 == 1;
            let at = y * width + column * BLOCK;
            luma[at..at + BLOCK].fill(if on { WHITE } else { BLACK });
        }
    }
}

/// The tops of the rows of blocks between the upper and the lower code.
fn rows_between(height: usize) -> impl Iterator<Item = usize> {
    (ROWS..height / BLOCK).map(|row| row * BLOCK).take_while(move |top| top + 2 * BLOCK <= height)
}

/// Draws the marks of the rows.
pub fn draw_rows(luma: &mut [u8], width: usize, height: usize, id: u16) {
    for y in rows_between(height).flat_map(|top| top..top + BLOCK) {
        for column in 0..ROW_COLUMNS {
            let on = id >> (ROW_COLUMNS - 1 - column) & 1 == 1;
            luma[y * width + column * BLOCK..][..BLOCK].fill(if on { WHITE } else { BLACK });
        }
    }
}

/// The low byte of the number on the row of blocks at `top`.
fn read_mark(picture: &impl Picture, x: usize, top: usize) -> u8 {
    (0..ROW_COLUMNS)
        .fold(0, |bits, column| bits << 1 | (picture.luma(x + column * BLOCK + BLOCK / 2, top + BLOCK / 2) >= 128) as u8)
}

/// The newest number above `last` on any row between the codes. Nothing guards a mark from damage, so it has to be on two
/// neighbouring rows and soon after `last`.
pub fn newest_row(picture: &impl Picture, x: usize, y: usize, height: usize, last: u16) -> Option<u16> {
    let mut before = None;
    let mut newest = None;
    for top in rows_between(height) {
        let ahead = read_mark(picture, x, y + top).wrapping_sub(last as u8);
        if (1..=SOON).contains(&ahead) && before == Some(ahead) {
            newest = newest.max(Some(ahead));
        }
        before = Some(ahead);
    }
    newest.map(|ahead| last.wrapping_add(ahead.into()))
}

/// How many rows of a picture `height` high show another number than `id`'s.
pub fn wrong_rows(picture: &impl Picture, x: usize, y: usize, height: usize, id: u16) -> usize {
    let wrong = |top: &usize| read_mark(picture, x, y + top) != id as u8;
    rows_between(height).filter(wrong).count()
}

/// The 24 bits whose block centres lie on the row through `y`.
fn read_row(picture: &impl Picture, x: usize, y: usize) -> u32 {
    (0..COLUMNS).fold(0, |bits, column| {
        let cx = x + column * BLOCK + BLOCK / 2;
        bits << 1 | (picture.luma(cx, y + BLOCK / 2) >= 128) as u32
    })
}

/// The upper code with its corner at `x`, `y`, if it reads well.
pub fn read_top(picture: &impl Picture, x: usize, y: usize) -> Option<Mark> {
    if read_row(picture, x, y) != SYNC {
        return None;
    }
    mark_of(std::array::from_fn(|row| read_row(picture, x, y + row * BLOCK)))
}

/// What these rows of the upper code say.
pub fn mark_of(rows: [u32; ROWS]) -> Option<Mark> {
    let [sync, data_rows @ ..] = rows;
    if sync != SYNC {
        return None;
    }
    let mut data = 0u128;
    for bits in data_rows {
        if bits >> 22 != 0b10 || bits & 0b11 != 0b01 {
            return None;
        }
        data = data << 20 | (bits >> 2 & 0xF_FFFF) as u128;
    }
    let mark = Mark { emit_us: (data >> 32) as u64, id: (data >> 16) as u16 };
    (crc_of(mark) == data as u16).then_some(mark)
}

/// The number in the lower code of a picture `height` high.
pub fn read_bottom(picture: &impl Picture, x: usize, y: usize, height: usize) -> Option<u16> {
    read_number(picture, x, y + height - BLOCK)
}

/// The number on the row of blocks at `y`.
pub fn read_number(picture: &impl Picture, x: usize, y: usize) -> Option<u16> {
    let bits = read_row(picture, x, y);
    let id = (bits >> 4) as u16;
    (bits == bottom_row(id)).then_some(id)
}

/// Looks for the top code anywhere; returns its exact top left corner.
pub fn find(picture: &impl Picture) -> Option<(usize, usize)> {
    find_where(picture, ROWS * BLOCK, |x, y| read_top(picture, x, y).is_some())
}

/// The same for a picture `height` high that has only its number above and below.
pub fn find_number(picture: &impl Picture, height: usize) -> Option<(usize, usize)> {
    let same = |x, y| {
        let above = read_number(picture, x, y);
        above.is_some() && above == read_bottom(picture, x, y, height)
    };
    find_where(picture, height, same)
}

/// Looks where `reads` says yes; as much as `height` lies below it.
fn find_where(picture: &impl Picture, height: usize, reads: impl Fn(usize, usize) -> bool) -> Option<(usize, usize)> {
    let (width, all) = picture.size();
    let right = width.checked_sub(COLUMNS * BLOCK)?;
    let bottom = all.checked_sub(height)?;
    for y in (0..=bottom).step_by(5) {
        for x in (0..=right).step_by(5) {
            if picture.luma(x + BLOCK / 2, y + BLOCK / 2) >= 128 && reads(x, y) {
                return Some(refine((x, y), (right, bottom), &reads));
            }
        }
    }
    None
}

/// The code reads well from a 16 x 16 area of offsets; its middle is the true one.
fn refine((x, y): (usize, usize), (right, bottom): (usize, usize), reads: &impl Fn(usize, usize) -> bool) -> (usize, usize) {
    let span = |at: usize, end: usize, ok: &dyn Fn(usize) -> bool| {
        let low = (at.saturating_sub(BLOCK)..=at).rev().take_while(|&v| ok(v)).last().unwrap_or(at);
        let high = (at..=(at + BLOCK).min(end)).take_while(|&v| ok(v)).last().unwrap_or(at);
        (low, high)
    };
    let middle = |(low, high): (usize, usize)| {
        // Cut off by the edge of the screen: the true corner is at the edge.
        if low == 0 && high < BLOCK { high.saturating_sub(BLOCK / 2 - 1) } else { (low + high).div_ceil(2) }
    };
    let x = middle(span(x, right, &|v| reads(v, y)));
    let y = middle(span(y, bottom, &|v| reads(x, v)));
    (x, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plane(Vec<u8>, usize, usize);
    impl Picture for Plane {
        fn size(&self) -> (usize, usize) {
            (self.1, self.2)
        }
        fn luma(&self, x: usize, y: usize) -> u8 {
            self.0[y * self.1 + x]
        }
    }

    #[test]
    fn a_stripe_of_another_picture_is_noticed() {
        let mut plane = Plane(vec![90; 400 * 300], 400, 300);
        draw_rows(&mut plane.0, 400, 300, 0x1234);
        assert_eq!(wrong_rows(&plane, 0, 0, 300, 0x1234), 0);
        assert_eq!(wrong_rows(&plane, 0, 0, 300, 0x1235), rows_between(300).count());
        let mut other = vec![90; 400 * 300];
        draw_rows(&mut other, 400, 300, 0x1233);
        assert_eq!(newest_row(&plane, 0, 0, 300, 0x1234), None);
        assert_eq!(newest_row(&plane, 0, 0, 300, 0x122f), Some(0x1234));
        assert_eq!(newest_row(&plane, 0, 0, 300, 0x1200), None);
        plane.0[160 * 400..192 * 400].copy_from_slice(&other[160 * 400..192 * 400]);
        assert_eq!(wrong_rows(&plane, 0, 0, 300, 0x1234), 2);
        assert_eq!(newest_row(&plane, 0, 0, 300, 0x1232), Some(0x1234));
    }

    #[test]
    fn found_and_read_at_any_corner() {
        let mark = Mark { emit_us: 123_456_789_012, id: 4711 };
        let mut frame = vec![90; 400 * 300];
        draw(&mut frame, 400, 300, mark);
        for (x0, y0) in [(0, 0), (1, 0), (7, 3), (100, 41), (0, 33), (13, 0)] {
            let mut screen = Plane(vec![0; 640 * 480], 640, 480);
            for y in 0..300 {
                let to = (y + y0) * 640 + x0;
                screen.0[to..to + 400].copy_from_slice(&frame[y * 400..][..400]);
            }
            let (x, y) = find(&screen).unwrap();
            assert_eq!((x, y), (x0, y0));
            assert_eq!(read_top(&screen, x, y), Some(mark));
            assert_eq!(read_bottom(&screen, x, y, 300), Some(4711));
        }
    }

    #[test]
    fn a_number_above_and_below_is_found_and_read_at_any_corner() {
        let mut frame = vec![90; 400 * 300];
        draw_number(&mut frame, 400, 300, 4711);
        for (x0, y0) in [(0, 0), (7, 3), (100, 41), (0, 33)] {
            let mut screen = Plane(vec![0; 640 * 480], 640, 480);
            for y in 0..300 {
                let to = (y + y0) * 640 + x0;
                screen.0[to..to + 400].copy_from_slice(&frame[y * 400..][..400]);
            }
            assert_eq!(find_number(&screen, 300), Some((x0, y0)));
            assert_eq!(read_number(&screen, x0, y0), Some(4711));
            assert_eq!(find_number(&screen, 200), None, "what is below is no code");
        }
    }
}
