//! Pictures and sound for RTP, and ports for it. Each test program uses its part.

#![allow(dead_code, reason = "each test program uses its part")]

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use eyeline::codec::raw::{Compressor, Planes};
use eyeline::net::discovery::Directory;
use eyeline::net::rtp::{Config, Picture, Rtp};
use eyeline::net::{By, Host};
use eyeline_proto::media::jpeg::segments;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::sound::{BLOCK_FRAMES, Block};
use eyeline_proto::wire::record::Media;

pub const SIZE: Size = Size { width: 320, height: 240 };
pub const PICTURES: u32 = 50;
pub const PERIOD: Duration = Duration::from_millis(40);
pub const BLOCKS_A_PICTURE: u32 = 4;
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Longer than anything here takes to begin or to end.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How pictures are encoded.
#[derive(Clone, Copy)]
pub struct Form {
    pub sampling: Sampling,
    pub quality: u8,
    /// MCUs between restart markers.
    pub restart: u16,
}

/// As ours are.
pub const OURS: Form = Form { sampling: Sampling::Yuv420, quality: 80, restart: 20 };

/// Picture after picture of hatching that moves.
pub fn pictures(form: Form) -> Vec<Vec<u8>> {
    let mut compressor = Compressor::new().unwrap();
    let (width, height) = (SIZE.width as usize, SIZE.height as usize);
    let chroma = form.sampling.chroma(SIZE).unwrap();
    let one = |number: usize| {
        let luma: Vec<u8> = (0..width * height).map(|at| (((at % width) * 3 + number * 5) ^ (at / width * 2)) as u8).collect();
        let colour = vec![100 + number as u8; (chroma.width * chroma.height) as usize];
        let planes = Planes { planes: [&luma, &colour, &colour], strides: [width, chroma.width as usize, chroma.width as usize] };
        let mut jpeg = vec![0; Compressor::bound(SIZE, form.sampling)];
        let len = compressor.compress(planes, form.sampling, SIZE, form.quality, form.restart, &mut jpeg).unwrap();
        jpeg.truncate(len);
        jpeg
    };
    (0..PICTURES as usize).map(one).collect()
}

/// Stereo, no two blocks alike.
pub fn block(number: u32) -> Vec<i16> {
    (0..2 * BLOCK_FRAMES as u32).map(|at| (number * 7919 + at * 31) as i16).collect()
}

/// The first of four ports that nobody has.
pub fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 20_000 + 4 * ((std::process::id() * 8) as u16 % 2500 + NEXT.fetch_add(1, Ordering::Relaxed));
        let free = |port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
        if (port..port + 4).all(free) {
            return port;
        }
    }
}

/// Sends all as it comes. The sound is of `ahead` before the pictures it comes with.
pub fn play(port: u16, jpegs: &[Vec<u8>], ahead: Duration) {
    let to = Host { name: HERE.to_string(), port, by: By::Name };
    let directory = Directory::new(Media::NONE, Media::NONE);
    let rtp = Rtp::start(Config { to, directory, channels: Some(2) }, |_| {}).unwrap();
    let began = Instant::now() + ahead;
    for (number, jpeg) in (0..).zip(jpegs) {
        let captured = began + PERIOD * number;
        rtp.picture(Picture { captured, jpeg: jpeg.clone() });
        for sub in 0..BLOCKS_A_PICTURE {
            let capture = captured + PERIOD / BLOCKS_A_PICTURE * sub - ahead;
            rtp.sound(Block { capture, channels: 2, samples: block(number * BLOCKS_A_PICTURE + sub).into() });
        }
        // A source would go on without it; here none is to be replaced.
        while rtp.counts().pictures <= u64::from(number) {
            assert!(began.elapsed() < PATIENCE, "{:?}", rtp.counts());
            std::thread::yield_now();
        }
        std::thread::sleep(captured.saturating_duration_since(Instant::now() + ahead));
    }
    let counts = rtp.counts();
    assert!((counts.unfit, counts.failed, counts.dropped_blocks) == (0, 0, 0), "{counts:?}");
}

/// Quantisation tables and scan: all that a JPEG's look hangs on, for Huffman tables are Annex K's.
pub fn look(jpeg: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (kept, begin) = segments::of(jpeg).unwrap();
    let (mut tables, mut at) = (Vec::new(), 0);
    while at < kept.len() {
        let segment = segments::next(&kept, at).unwrap();
        at += segment.bytes.len();
        if segment.marker == 0xDB {
            tables.extend(segment.payload().chunks_exact(65).flat_map(|table| &table[1..]));
        }
    }
    let end = jpeg.windows(2).rposition(|pair| pair == [0xFF, 0xD9]).unwrap();
    (tables, jpeg[begin..end].to_vec())
}
