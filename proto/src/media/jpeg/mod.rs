//! What a baseline JPEG is made of (ITU-T T.81): its tables, the segments in front of its scan, its bits. Nothing here decodes
//! one.

pub mod bits;
pub mod segments;
pub mod tables;
