//! Tests: slices from a hostile or broken peer, tens of thousands of them, through one decoder.

use super::decoder::Decoder;
use super::testing::{self, Random, drawn, planes_from};
use crate::picture::{Sampling, Size};

const SIZE: Size = Size { width: 160, height: 96 };

fn one_slice(sampling: Sampling) -> Vec<u8> {
    testing::slice(&testing::planes(SIZE, sampling, 3), &testing::head(SIZE, sampling, 80, 0, SIZE.height))
}

#[test]
fn no_mutation_panics_or_spoils_the_next_slice() {
    let mut random = Random(99);
    let planes = testing::planes(SIZE, Sampling::Yuv420, 3);
    let bodies = [
        one_slice(Sampling::Yuv420),
        one_slice(Sampling::Grey),
        testing::foreign_slice(&planes, SIZE, 10),
        testing::foreign_slice(&planes, SIZE, 0),
    ];
    let good: Vec<_> = bodies.iter().map(|body| drawn(body, SIZE)).collect();
    let mut decoder = Decoder::new().unwrap();
    let mut out = vec![0; 160 * 96];
    let mut scratch = vec![0; Sampling::Yuv444.bytes(SIZE)];
    let (mut refused, mut suspect) = (0, 0);
    for round in 0..20_000 {
        let which = random.below(bodies.len());
        let mut bad = bodies[which].clone();
        for _ in 0..=random.below(4) {
            let end = if round % 2 == 0 { bad.len().min(700) } else { bad.len() };
            let at = random.below(end);
            bad[at] = if random.below(2) == 0 { random.next() as u8 } else { bad[at] ^ 1 << random.below(8) };
        }
        if random.below(3) == 0 {
            bad.truncate(random.below(bad.len()));
        }
        let cut = random.below(bad.len() + 1);
        let present = [0..cut, cut + random.below(300)..bad.len()];
        let result = match random.below(4) {
            0 => decoder.decode_rgb_part(&bad, &present, true, &mut out, 160),
            1 => decoder.decode_planes(&bad, planes_from(&mut scratch, SIZE, Sampling::Yuv444, 0)),
            _ => decoder.decode_rgb(&bad, &mut out, 160),
        };
        refused += usize::from(result.is_err());
        suspect += usize::from(result.is_ok_and(|decoded| decoded.suspect || decoded.partial));
        if round % 10 == 0 {
            decoder.decode_rgb(&bodies[which], &mut out, 160).unwrap();
            assert_eq!(out, good[which], "after round {round}");
        }
    }
    assert!(refused > 1000 && suspect > 1000, "{refused} refused, {suspect} suspect");
}
