//! Sender reports (RFC 3550 §6.4.1): which moment of the world's clock a timestamp is of, so that a player brings picture and sound
//! together; and the farewell.
//!
//! Each report is a compound packet of its own: SR, SDES with the name that joins the streams of one sender, and BYE where it is
//! the last. There is one listener, so nothing is spread by chance (§6.2 lets the first of a session to one listener go at once).
//!
//! Of those of others ([`read`]) the reports and farewells count; bytes are anybody's.

use super::packet::Sent;
use std::time::Duration;

/// From one report to the next (§6.2: the least there should be).
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Packet types, and the item of SDES.
const SR: u8 = 200;
const SDES: u8 = 202;
const BYE: u8 = 203;
const CNAME: u8 = 1;

/// From 1900, where NTP counts from, to 1970.
const TO_1970: u64 = 2_208_988_800;

/// Appends a report of a moment, given as time since 1970. `cname` is cut to 255 bytes.
pub fn report(out: &mut Vec<u8>, since_1970: Duration, sent: &Sent, cname: &str, last: bool) {
    let ssrc = sent.ssrc.to_be_bytes();
    head(out, SR, 0, 6);
    out.extend_from_slice(&ssrc);
    out.extend_from_slice(&ntp(since_1970).to_be_bytes());
    for word in [sent.timestamp, sent.packets, sent.octets] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // The list of items ends with a zero, and the chunk at a word's end: one to four zeros.
    let chunk = 4 + 2 + name.len() + 1;
    head(out, SDES, 1, chunk.div_ceil(4) as u16);
    out.extend_from_slice(&ssrc);
    out.extend_from_slice(&[CNAME, name.len() as u8]);
    out.extend_from_slice(name);
    out.resize(out.len() + 1 + chunk.next_multiple_of(4) - chunk, 0);
    if last {
        head(out, BYE, 1, 1);
        out.extend_from_slice(&ssrc);
    }
}

/// What a packet of somebody's tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Of this stream: which timestamp belongs to a moment of the world's clock, in seconds since 1900 as 32 and 32 bits.
    Report { ssrc: u32, ntp: u64, timestamp: u32 },
    /// This stream is over.
    Bye { ssrc: u32 },
}

/// Tells what is in a compound packet, up to where it is none.
pub fn read(compound: &[u8], mut tell: impl FnMut(Told)) {
    let mut rest = compound;
    while let Some((&[first, packet_type, l1, l0], behind)) = rest.split_first_chunk() {
        let Some((body, next)) = behind.split_at_checked(4 * usize::from(u16::from_be_bytes([l1, l0]))) else { return };
        if first >> 6 != 2 {
            return;
        }
        let mut words = body.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
        match packet_type {
            SR => {
                let [ssrc, seconds, fraction, timestamp] = std::array::from_fn(|_| words.next());
                if let (Some(ssrc), Some(seconds), Some(fraction), Some(timestamp)) = (ssrc, seconds, fraction, timestamp) {
                    tell(Told::Report { ssrc, ntp: u64::from(seconds) << 32 | u64::from(fraction), timestamp });
                }
            }
            BYE => words.take(usize::from(first & 0x1F)).for_each(|ssrc| tell(Told::Bye { ssrc })),
            _ => {}
        }
        rest = next;
    }
}

/// What every packet begins with: how many of what it lists, its type, and how many words follow.
fn head(out: &mut Vec<u8>, packet_type: u8, count: u8, words: u16) {
    out.extend_from_slice(&[2 << 6 | count, packet_type]);
    out.extend_from_slice(&words.to_be_bytes());
}

/// Seconds since 1900, and their fraction as 32 bits.
fn ntp(since_1970: Duration) -> u64 {
    let seconds = since_1970.as_secs().wrapping_add(TO_1970);
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32) | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Sent = Sent { ssrc: 0x0102_0304, timestamp: 0x0506_0708, packets: 9, octets: 10 };

    fn written(cname: &str, last: bool) -> Vec<u8> {
        let mut out = Vec::new();
        report(&mut out, Duration::from_millis(1500), &SENT, cname, last);
        out
    }

    #[test]
    fn a_report_is_sr_sdes_and_at_last_bye() {
        let sr = [
            &[0x80, 200, 0, 6, 1, 2, 3, 4][..],
            // 2208988801.5 s.
            &[0x83, 0xAA, 0x7E, 0x81, 0x80, 0, 0, 0],
            &[5, 6, 7, 8, 0, 0, 0, 9, 0, 0, 0, 10],
        ];
        let sdes: &[u8] = &[0x81, 202, 0, 3, 1, 2, 3, 4, 1, 3, b'e', b'y', b'e', 0, 0, 0];
        let bye: &[u8] = &[0x81, 203, 0, 1, 1, 2, 3, 4];
        assert_eq!(written("eye", false), [&sr.concat()[..], sdes].concat());
        assert_eq!(written("eye", true), [&sr.concat()[..], sdes, bye].concat());
    }

    fn told(bytes: &[u8]) -> Vec<Told> {
        let mut told = Vec::new();
        read(bytes, |one| told.push(one));
        told
    }

    #[test]
    fn ours_are_read_again_and_what_is_cut_off_tells_nothing() {
        let report = Told::Report { ssrc: 0x0102_0304, ntp: 0x83AA_7E81_8000_0000, timestamp: 0x0506_0708 };
        let bytes = written("eye", true);
        assert_eq!(told(&bytes), [report, Told::Bye { ssrc: 0x0102_0304 }]);
        for len in 0..28 {
            assert_eq!(told(&bytes[..len]), [], "{len}");
        }
        assert_eq!(told(&bytes[..bytes.len() - 1]), [report]);
        assert_eq!(told(&[0x41, 203, 0, 1, 1, 2, 3, 4]), [], "another version");
        assert_eq!(told(&[0x9F, 203, 0, 1, 1, 2, 3, 4]).len(), 1, "it says 31, and has one");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = told(&bytes);
        }
    }

    #[test]
    fn every_packet_says_its_true_length_whatever_the_name() {
        for len in 0..300 {
            let bytes = written(&"n".repeat(len), true);
            let (mut at, mut kinds) = (0, Vec::new());
            while at < bytes.len() {
                kinds.push(bytes[at + 1]);
                if bytes[at + 1] == SDES {
                    let words = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
                    let item = &bytes[at + 8..at + 4 + 4 * words];
                    assert!(item[2 + usize::from(item[1])] == 0, "the list ends");
                }
                at += 4 + 4 * usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            }
            assert_eq!((at, kinds), (bytes.len(), vec![SR, SDES, BYE]), "{len}");
        }
    }
}
