//! What slices carry: a function of their camera and number, so that the receiver can tell any other content.

use super::netem::Dice;

/// Fills the scan of a slice.
pub fn fill_scan(salt: u64, picture: u64, slice: u8, scan: &mut [u8]) {
    Dice::new(salt ^ (picture << 8 | u64::from(slice))).fill(scan);
}
