//! What goes over a page's WebSocket (RFC 6455): binary messages below, all else JSON (`audience.rs`). Numbers are little endian.
//!
//! To the page: a part of a picture, `1`, whether it is the last (`u8`), track (`u16`), number (`u32`), when it was caught (`f64`, ms
//! by our clock), bytes of a JPEG; a block of sound, `2`, channels (`u8`), track (`u16`), number (`u32`), when (`f64`), samples
//! (`i16`, 48 kHz). From the page: `1`, nothing (`u8`), track (`u16`): a picture of it was shown, or is left out; of its own camera a
//! picture, `2`, seven bytes of nothing, when it was caught (`f64`), a JPEG; of its microphone `3`, likewise, samples of one channel.

/// A picture goes in parts of so many bytes, so that sound goes between them: 26 ms of 10 Mbit/s.
pub const PART: usize = 32 << 10;

const PICTURE: u8 = 1;
const SOUND: u8 = 2;
const SHOWN: u8 = 1;
const OWN_PICTURE: u8 = 2;
const OWN_SOUND: u8 = 3;

const HEAD: usize = 16;

fn head(kind: u8, second: u8, track: u16, number: u32, at: f64, room: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD + room);
    message.extend_from_slice(&[kind, second]);
    message.extend_from_slice(&track.to_le_bytes());
    message.extend_from_slice(&number.to_le_bytes());
    message.extend_from_slice(&at.to_le_bytes());
    message
}

/// A part of a picture.
pub fn picture(track: u16, number: u32, at: f64, bytes: &[u8], is_last: bool) -> Vec<u8> {
    let mut message = head(PICTURE, is_last.into(), track, number, at, bytes.len());
    message.extend_from_slice(bytes);
    message
}

/// A block of sound.
pub fn sound(track: u16, number: u32, at: f64, channels: u8, samples: &[i16]) -> Vec<u8> {
    let mut message = head(SOUND, channels, track, number, at, 2 * samples.len());
    message.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    message
}

/// What a page says in a binary message.
#[derive(Debug, PartialEq)]
pub enum Said<'a> {
    /// A picture of this track was shown.
    Shown(u16),
    /// Its camera caught this then.
    Picture(f64, &'a [u8]),
    /// Its microphone heard these samples then, as bytes.
    Sound(f64, &'a [u8]),
}

/// Reads it, if it is anything.
pub fn read(message: &[u8]) -> Option<Said<'_>> {
    match (message.first()?, message) {
        (&SHOWN, [_, _, low, high]) => Some(Said::Shown(u16::from_le_bytes([*low, *high]))),
        (&OWN_PICTURE | &OWN_SOUND, _) => {
            let (head, rest) = message.split_at_checked(HEAD)?;
            let at = f64::from_le_bytes(head[8..].try_into().ok()?);
            let said = if message[0] == OWN_PICTURE { Said::Picture(at, rest) } else { Said::Sound(at, rest) };
            at.is_finite().then_some(said)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_the_text_says() {
        let part = picture(0x0102, 7, 1.5, b"jpeg", true);
        assert_eq!(part[..8], [1, 1, 2, 1, 7, 0, 0, 0]);
        assert_eq!((&part[8..16], &part[16..]), (&1.5f64.to_le_bytes()[..], &b"jpeg"[..]));
        assert_eq!(sound(1, 2, 0.0, 2, &[-2, 1])[16..], [0xfe, 0xff, 1, 0]);
        assert_eq!(read(&[1, 0, 2, 1]), Some(Said::Shown(0x0102)));
        let own = |kind: u8, at: f64| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &at.to_le_bytes(), b"jpeg"].concat();
        assert_eq!(read(&own(2, 7.5)), Some(Said::Picture(7.5, b"jpeg")));
        assert_eq!(read(&own(3, 7.5)), Some(Said::Sound(7.5, b"jpeg")));
        let nothing = [vec![1, 0, 2], vec![4, 0, 2, 1], vec![2; 15], own(2, f64::NAN), vec![]];
        assert!(nothing.iter().all(|bytes| read(bytes).is_none()));
    }
}
