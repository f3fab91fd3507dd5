//! What was written, read back: pictures of a y4m file, sound of a WAV file, tables and scans of JPEGs; and how alike two of them are.

use crate::film::{BOX, RATE};
use std::path::Path;

/// A y4m file's luma.
pub struct Y4m {
    pub header: String,
    pub size: (usize, usize),
    /// Seconds a picture lasts.
    pub period: f64,
    pub pictures: Vec<Vec<u8>>,
}

impl Y4m {
    pub fn read(path: &Path) -> Y4m {
        Y4m::parse(&std::fs::read(path).unwrap())
    }

    pub fn parse(bytes: &[u8]) -> Y4m {
        let line = |from: usize| from + bytes[from..].iter().position(|&byte| byte == b'\n').unwrap();
        let mut at = line(0);
        let header = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let word = |letter: char| header.split(' ').find_map(|word| word.strip_prefix(letter)).unwrap();
        let size: (usize, usize) = (word('W').parse().unwrap(), word('H').parse().unwrap());
        let (num, den) = word('F').split_once(':').unwrap();
        let period = den.parse::<f64>().unwrap() / num.parse::<f64>().unwrap();
        let luma = size.0 * size.1;
        let all = luma + 2 * size.0.div_ceil(2) * size.1.div_ceil(2);
        let mut pictures = Vec::new();
        at += 1;
        while at < bytes.len() {
            let end = line(at);
            assert!(bytes[at..end].starts_with(b"FRAME"), "a frame begins with its word");
            pictures.push(bytes[end + 1..end + 1 + luma].to_vec());
            at = end + 1 + all;
        }
        assert_eq!(at, bytes.len(), "the last frame is whole");
        Y4m { header, size, period, pictures }
    }
}

/// Peak signal-to-noise ratio, dB; identical pictures have 99.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let error: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    if error == 0 { 99.0 } else { 10.0 * (255.0 * 255.0 * a.len() as f64 / error as f64).log10() }
}

/// Whether the box in the middle is white.
pub fn flashes(picture: &[u8], (width, height): (usize, usize)) -> bool {
    let (left, top) = ((width - BOX) / 2 + BOX / 4, (height - BOX) / 2 + BOX / 4);
    let rows = (top..top + BOX / 2).map(|y| &picture[y * width + left..y * width + left + BOX / 2]);
    let sum: usize = rows.flatten().map(|&luma| usize::from(luma)).sum();
    sum > 128 * (BOX / 2) * (BOX / 2)
}

/// The numbers of the first pictures of both flashes.
pub fn flash_pictures(pictures: &[Vec<u8>], size: (usize, usize)) -> [usize; 2] {
    let white: Vec<bool> = pictures.iter().map(|picture| flashes(picture, size)).collect();
    let begins: Vec<usize> = (1..white.len()).filter(|&k| white[k] && !white[k - 1]).collect();
    begins.try_into().unwrap_or_else(|begins| panic!("two flashes, not those at {begins:?}"))
}

/// When both beeps begin, in seconds.
pub fn beeps(sound: &[i16], channels: usize) -> [f64; 2] {
    let loudest = sound.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    let mut begins: Vec<usize> = Vec::new();
    let mut last = None;
    for (k, frame) in sound.chunks_exact(channels).enumerate() {
        if frame[0].unsigned_abs() > loudest / 2 {
            // Within a beep the tone is loud twice a millisecond.
            if last.is_none_or(|last| k - last > RATE / 10) {
                begins.push(k);
            }
            last = Some(k);
        }
    }
    let begins: [usize; 2] = begins.try_into().unwrap_or_else(|begins| panic!("two beeps, not those at {begins:?}"));
    begins.map(|frame| frame as f64 / RATE as f64)
}

/// How alike two sounds are (Pearson), `b` delayed by the best of the `delays`, in samples.
pub fn correlation(a: &[i16], b: &[i16], delays: impl Iterator<Item = isize>) -> (f64, isize) {
    delays.map(|delay| (pearson(a, b, delay), delay)).max_by(|x, y| x.0.total_cmp(&y.0)).unwrap()
}

fn pearson(a: &[i16], b: &[i16], delay: isize) -> f64 {
    let (skip_a, skip_b) = (delay.max(0) as usize, (-delay).max(0) as usize);
    let pairs = || a[skip_a..].iter().zip(&b[skip_b..]).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        (aa, bb, ab) = (aa + a * a, bb + b * b, ab + a * b);
    }
    ab / (aa * bb).sqrt()
}

/// The samples of a WAV file and its channels.
pub fn wav(path: &Path) -> (Vec<i16>, usize) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.sample_rate as usize, spec.bits_per_sample), (RATE, 16));
    (reader.samples::<i16>().map(Result::unwrap).collect(), usize::from(spec.channels))
}

/// Of a JPEG what decides how it looks: its tables by kind and number, its frame and scan headers, its scan data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jpeg {
    pub tables: Vec<(u8, Vec<u8>)>,
    pub headers: Vec<(u8, Vec<u8>)>,
    pub scan: Vec<u8>,
}

/// The JPEGs of a file, one after the other.
pub fn jpegs(bytes: &[u8]) -> Vec<Jpeg> {
    let mut pictures = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        assert_eq!(bytes[at..at + 2], [0xFF, 0xD8], "picture {} begins at {at}", pictures.len());
        at += 2;
        let (mut tables, mut headers) = (Vec::new(), Vec::new());
        loop {
            let (marker, length) = (bytes[at + 1], usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])));
            let body = &bytes[at + 4..at + 2 + length];
            at += 2 + length;
            match marker {
                0xDB => split(body, |head| 1 + 64 * (1 + usize::from(head[0] >> 4)), marker, &mut tables),
                0xC4 => split(body, |head| 17 + head[1..17].iter().map(|&n| usize::from(n)).sum::<usize>(), marker, &mut tables),
                0xC0 | 0xDD => headers.push((marker, body.to_vec())),
                0xDA => {
                    headers.push((marker, body.to_vec()));
                    break;
                }
                // Comments and what programs say of themselves.
                _ => {}
            }
        }
        let is_end = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xD0..=0xD7);
        let length = bytes[at..].windows(2).position(is_end).unwrap();
        let scan = bytes[at..at + length].to_vec();
        at += length;
        assert_eq!(bytes[at..at + 2], [0xFF, 0xD9], "picture {} ends at {at}", pictures.len());
        at += 2;
        tables.sort();
        pictures.push(Jpeg { tables, headers, scan });
    }
    pictures
}

/// A segment may hold several tables.
fn split(mut body: &[u8], length: impl Fn(&[u8]) -> usize, marker: u8, tables: &mut Vec<(u8, Vec<u8>)>) {
    while !body.is_empty() {
        let (table, rest) = body.split_at(length(body));
        tables.push((marker, table.to_vec()));
        body = rest;
    }
}
