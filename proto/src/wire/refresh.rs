//! What somebody lacks of a picture: the body of record 9 (PROTOCOL.md §4.10).
//!
//! ```text
//!  0     1          2       4        6
//!  all   sampling   width   height   MCUs of the picture, as in a slice's head (`mcus.rs`)
//!  u8    u8         u16     u16
//! ```

use super::mcus::{Mcus, Selection};
use super::slice::MOST_MCUS;
use super::{Error, Reader};
use crate::picture::mcu_set::{McuSet, Owed};
use crate::picture::{Sampling, Size};

/// What there are so many of that they have no number is all.
pub fn encode(owed: &Owed, out: &mut Vec<u8>) {
    let set = match owed {
        Owed::Nothing => None,
        Owed::Some(set) => Selection::new(set.of(), set.iter()).map(|selection| (set, selection)),
        Owed::All => None,
    };
    match set {
        Some((set, selection)) => {
            let (width, height) = (set.size().width as u16, set.size().height as u16);
            out.extend_from_slice(&[0, set.sampling().code()]);
            out.extend_from_slice(&width.to_be_bytes());
            out.extend_from_slice(&height.to_be_bytes());
            let (front, places) = selection.mcus().fields();
            out.extend_from_slice(&front);
            out.extend_from_slice(places);
        }
        None => out.push(1),
    }
}

/// The rest of a record.
pub fn decode(reader: &mut Reader<'_>) -> Result<Owed, Error> {
    match reader.u8("all")? {
        0 => {}
        1 => return Ok(Owed::All),
        other => return Err(reader.invalid("all", other.into(), 1)),
    }
    let code = reader.u8("sampling")?;
    let Some(sampling) = Sampling::of_code(code) else { return Err(reader.invalid("sampling", code.into(), 1)) };
    let size = Size { width: reader.u16("picture width")?.into(), height: reader.u16("picture height")?.into() };
    let grid = sampling.mcus(size);
    if !size.is_possible() || grid.width * grid.height > MOST_MCUS {
        return Err(reader.invalid("picture size", size.width.max(size.height).into(), 4));
    }
    let mut set = McuSet::new(size, sampling);
    set.insert_runs(Mcus::decode(reader, set.of())?.runs());
    Ok(Owed::Some(set))
}
