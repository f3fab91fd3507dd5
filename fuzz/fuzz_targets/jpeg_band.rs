//! See `codec_targets::jpeg_band`.
#![no_main]
#[path = "../codec_targets.rs"]
mod codec_targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| codec_targets::jpeg_band(data));
