//! Pictures ↔ JPEG slices, in parallel, both ways.
//!
//! A picture is cut into horizontal bands ([`bands`]); each band becomes one baseline JPEG with a restart marker after each MCU
//! row, of which only a [`eyeline_proto::wire::slice::Head`] and the scan data travel; or some MCUs of it do ([`packed`], in
//! [`eyeline_proto::media::parts`]). Which, says the [`replenisher`]: what changed ([`detector`]), what is due anyway
//! ([`ageing`]), and what stands still and is sent once more, better ([`refinement`]). [`encoder`] makes slices, [`decoder`]
//! draws them, [`passthrough`] cuts a camera's own JPEG without decoding it, [`coefficients`] cuts out of it what changed,
//! [`stitch`] joins the slices of a picture to one JPEG again, [`still`] makes one of a source's picture.
//! [`eyeline_proto::media::jpeg`] and [`scan`] know the format (ITU-T T.81); [`raw`] alone calls libjpeg-turbo. Beside that, live sound to Opus packets and back: [`opus`].

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

pub mod ageing;
pub mod band_encoder;
pub mod bands;
pub mod coefficients;
pub mod decoder;
pub mod detector;
pub mod encoder;
pub mod opus;
pub mod packed;
pub mod passthrough;
pub mod raw;
mod refinement;
pub mod replenisher;
pub mod scale;
pub mod scan;
pub mod settings;
pub mod shrink;
pub mod still;
pub mod stitch;
pub mod turn;

#[cfg(test)]
mod damage;
#[cfg(test)]
#[path = "../../benches/support/scenes.rs"]
pub(crate) mod scenes;
#[cfg(test)]
pub(crate) mod testing;
