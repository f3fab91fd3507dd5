//! What qualities and sizes cost in bytes: the table of `media/ladder.rs`.
//!
//! `cargo bench --bench quality -- PICTURE…` for JPEGs of any size (a photograph, a frame of a film); prints the bytes of each
//! quality relative to quality 80, and the power of the side that bytes grow with.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "a program for developers")]

use eyeline::codec::encoder::{Coded, EncoderThreads};
use eyeline::codec::settings::Settings;
use eyeline::codec::{passthrough, scale};
use eyeline_proto::picture::{self, Body, Picture, Size};
use eyeline_proto::time::MediaTime;
use std::time::Instant;

const QUALITIES: [u8; 14] = [5, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 100];

fn bytes(pool: &EncoderThreads, picture: &Picture, quality: u8) -> f64 {
    let settings = Settings { quality, position: None };
    let Body::Planes(sampling, planes) = &picture.body else { unreachable!("it was decoded") };
    let copy = Picture::new(picture.captured, picture.size, Body::Planes(*sampling, planes.to_vec().into()));
    pool.encode(0, copy, MediaTime::ZERO, settings, Coded::All).expect("it encodes").bytes as f64
}

fn main() {
    let pool = EncoderThreads::new(1, |_| ()).expect("an encoder");
    let buffers = picture::BufferPool::new();
    for path in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        let jpeg = std::fs::read(&path).expect("a JPEG");
        let (size, sampling, planes, _) = passthrough::decode(&jpeg, &buffers).expect("a JPEG");
        let picture = Picture::new(Instant::now(), size, Body::Planes(sampling, planes));
        let at_80 = bytes(&pool, &picture, 80);
        let costs: Vec<_> = QUALITIES.iter().map(|quality| format!("{:.2}", bytes(&pool, &picture, *quality) / at_80)).collect();
        let half = Size { width: size.width / 2, height: size.height / 2 };
        let small = scale::to_size(picture, half, &buffers).expect("it scales");
        let power = (at_80 / bytes(&pool, &small, 80)).log2();
        println!("{:>9} {:>8} bytes {} side^{power:.2}", size.to_string(), at_80, costs.join(" "));
    }
}
