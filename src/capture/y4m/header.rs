//! The header line of a y4m stream (YUV4MPEG2, yuv4mpeg(5) of mjpegtools): `YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL`.

use super::Error;
use eyeline_proto::picture::{MAX_SIDE, Sampling, Size};
use eyeline_proto::rate::Rate;

/// What the stream begins with.
pub const MAGIC: &[u8] = b"YUV4MPEG2";

/// Header and frame lines are some dozens of bytes; longer ones are no y4m.
pub const MAX_LINE: usize = 4096;

/// What every picture of the stream is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub size: Size,
    /// Width to height of a pixel; 0:0 where it is not known.
    pub aspect: (u32, u32),
    /// How the planes are sampled.
    pub sampling: Sampling,
    /// Whether black is 0 and white 255; else 16 and 235.
    pub full_range: bool,
    /// The nominal rate, if it says one.
    pub rate: Option<Rate>,
}

/// Reads a header line, without its newline.
pub fn parse(line: &[u8]) -> Result<Header, Error> {
    let wrong = |what: String| Error::Header(what);
    let text = std::str::from_utf8(line).map_err(|_| wrong("it is not text".into()))?;
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    if words.next().map(str::as_bytes) != Some(MAGIC) {
        return Err(wrong("it does not begin with YUV4MPEG2".into()));
    }
    let (mut width, mut height, mut rate, mut aspect) = (None, None, None, (0, 0));
    let (mut sampling, mut full_range) = (Sampling::Yuv420, false);
    for word in words {
        let (tag, value) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        match tag {
            "W" => width = Some(side(value)?),
            "H" => height = Some(side(value)?),
            "F" => rate = Rate::parse(value),
            "A" => aspect = ratio(value).unwrap_or((0, 0)),
            "C" => sampling = colour(value)?,
            // What is not said is limited, as every writer means it.
            "X" => full_range = if let Some(range) = value.strip_prefix("COLORRANGE=") { range == "FULL" } else { full_range },
            // Interlacing changes no byte of a picture; unknown tags are to be ignored.
            _ => {}
        }
    }
    let (Some(width), Some(height)) = (width, height) else {
        return Err(wrong("it has no width (W) or no height (H)".into()));
    };
    Ok(Header { size: Size { width, height }, aspect, sampling, full_range, rate })
}

fn ratio(value: &str) -> Option<(u32, u32)> {
    let (across, down) = value.split_once(':')?;
    Some((across.parse().ok()?, down.parse().ok()?))
}

fn side(value: &str) -> Result<u32, Error> {
    match value.parse() {
        Ok(side @ 1..=MAX_SIDE) => Ok(side),
        _ => Err(Error::Header(format!("a side of `{}` pixels is not between 1 and {MAX_SIDE}", shown(value)))),
    }
}

fn colour(value: &str) -> Result<Sampling, Error> {
    match value {
        // They differ in where chroma samples lie, by half a pixel at most.
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Sampling::Yuv420),
        "422" => Ok(Sampling::Yuv422),
        "444" => Ok(Sampling::Yuv444),
        "mono" => Ok(Sampling::Grey),
        _ => Err(Error::Colour(shown(value))),
    }
}

/// A stranger's word, short and fit for a terminal.
fn shown(value: &str) -> String {
    value.chars().take(20).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C422 XYSCSS=422 XCOLORRANGE=FULL";

    #[test]
    fn a_header_says_size_sampling_range_and_rate() {
        let header = parse(LINE).unwrap();
        let size = Size { width: 640, height: 480 };
        let rate = Rate::new(30_000, 1001);
        assert_eq!(header, Header { size, aspect: (1, 1), sampling: Sampling::Yuv422, full_range: true, rate });
        for (line, aspect) in [("A64:45", (64, 45)), ("A0:0", (0, 0)), ("A5", (0, 0)), ("A-1:1", (0, 0))] {
            assert_eq!(parse(format!("YUV4MPEG2 W720 H576 {line}").as_bytes()).unwrap().aspect, aspect);
        }
    }

    #[test]
    fn what_is_not_said_is_420_in_limited_range() {
        for line in [&b"YUV4MPEG2 W5 H3"[..], b"YUV4MPEG2 W5 H3 F25:1 It A0:0 C420jpeg XCOLORRANGE=LIMITED Znew"] {
            let header = parse(line).unwrap();
            assert_eq!((header.sampling, header.full_range), (Sampling::Yuv420, false));
        }
    }

    #[test]
    fn every_truncation_is_an_error_or_a_smaller_header_and_never_a_panic() {
        for end in 0..LINE.len() {
            match parse(&LINE[..end]) {
                Ok(header) => assert!(end >= 17 && header.size.width == 640, "{end}"),
                Err(error) => assert!(!error.to_string().contains('\n')),
            }
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        for line in [
            "YUV4MPEG W5 H3",
            "YUV4MPEG2",
            "YUV4MPEG2 W5",
            "YUV4MPEG2 W0 H3",
            "YUV4MPEG2 W-1 H3",
            "YUV4MPEG2 W8193 H3",
            "YUV4MPEG2 W99999999999999999999 H3",
            "YUV4MPEG2 W5 H3 C420p10",
            "YUV4MPEG2 W5 H3 C411",
            "YUV4MPEG2 W5 H3 C\u{1b}[2J",
        ] {
            let error = parse(line.as_bytes()).unwrap_err().to_string();
            assert!(error.chars().all(|c| !c.is_control()), "{error}");
        }
        assert!(parse(b"YUV4MPEG2 W5 H3 \xff").is_err());
        assert!(parse("YUV4MPEG2 W5 H3 äx".as_bytes()).is_ok());
    }
}
