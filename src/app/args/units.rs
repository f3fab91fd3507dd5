//! Quantities as people type them: `20ms`, `1m30s`, `1280x720`, `720p`, `29.97`, `camera.local:9688`.
//!
//! Pure functions from text to a value or to the sentence the user reads; what flags mean together is checked elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::capture::screen::Which;
use crate::present::writers::mkv::Split;
use eyeline_proto::media::foreign::Passthrough;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::picture::{MAX_SIDE, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::session::sound_form::Wish;
use eyeline_proto::wire::text;

/// Below this a picture has less than one JPEG block row of colour.
const MIN_SIDE: u32 = 16;

/// Below this not even the smallest picture comes once a second.
const LEAST_BITRATE: u64 = 100_000;

/// Longer than anybody leaves a program running by a flag; keeps deadlines far from overflow.
const MAX_DURATION: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Shorter and smaller files are a folder full of nothing.
const LEAST_SPLIT: (Duration, u64) = (Duration::from_secs(10), 10_000_000);

/// What a recorder has room for (`pipeline/recorder.rs`), at usual rates.
const MOST_KEPT: Duration = Duration::from_secs(300);

/// Slower than one in ten seconds nothing moves.
const LEAST_RATE: Rate = Rate::new(1, 10).unwrap();

/// Where to dial: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A DNS name, an IPv4 or an IPv6 address (without brackets, its zone kept), ready for the resolver.
    pub name: String,
    /// One number for UDP and TCP.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// A host as typed: its port may be left to `--port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostText {
    pub name: String,
    pub port: Option<u16>,
}

/// `20ms`, `1.5s`, `2m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time like 500ms, 10s, 1.5s, 2m or 1h30m".to_string();
    let (mut rest, mut total) = (text.trim(), Duration::ZERO);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number = decimal(&rest[..unit_at]).ok_or_else(wrong)?;
        let unit_end = rest[unit_at..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| unit_at + at);
        let seconds = match rest[unit_at..unit_end].trim() {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).filter(|&total| total <= MAX_DURATION).ok_or("that is longer than ten years")?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

/// How long to run: like [`duration`], and a bare number means seconds, as with `timeout` and `sleep`.
pub(super) fn running_time(text: &str) -> Result<Duration, String> {
    let time = match decimal(text) {
        Some(seconds) if seconds <= MAX_DURATION.as_secs_f64() => Duration::from_secs_f64(seconds),
        Some(_) => return Err("that is longer than ten years".into()),
        None => duration(text)?,
    };
    if time.is_zero() { Err("it must be longer than nothing, for example 10s".into()) } else { Ok(time) }
}

/// Where a recording goes on in another file: after so long, like `10min`, or so many bytes, like `500M`. A lone `m` is a minute.
pub(super) fn split(text: &str) -> Result<Split, String> {
    let wrong = || "write a time like 10min or 1h, or a size like 500M or 2G".to_string();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let scale = match &text[unit_at..] {
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "T" | "TB" => 1e12,
        _ => {
            let after = duration(text).map_err(|_| wrong())?;
            let long = after >= LEAST_SPLIT.0;
            return if long { Ok(Split { after: Some(after), bytes: None }) } else { Err("10s is the least".into()) };
        }
    };
    let bytes = (decimal(&text[..unit_at]).ok_or_else(wrong)? * scale) as u64;
    if bytes < LEAST_SPLIT.1 { Err("10M is the least".into()) } else { Ok(Split { after: None, bytes: Some(bytes) }) }
}

/// What is kept in memory of what went by.
pub(super) fn kept_time(text: &str) -> Result<Duration, String> {
    let time = running_time(text)?;
    if time > MOST_KEPT { Err("5min at most are kept: --record writes all of it".into()) } else { Ok(time) }
}

/// Bits a second: `8M`, `800k`, `2.5Mbit/s`. A bare number is refused: nobody means 8 bits a second.
pub(super) fn bitrate(text: &str) -> Result<Bitrate, String> {
    let wrong = || "write bits a second like 8M, 2.5M or 800k".to_string();
    if decimal(text).is_some_and(|number| number > 0.0) {
        return Err(format!("a rate needs its unit: {text}M or {text}k (bits a second)"));
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let number = decimal(&text[..unit_at]).ok_or_else(wrong)?;
    let factor = match text[unit_at..].trim().to_ascii_lowercase().as_str() {
        "k" | "kbit" | "kbit/s" | "kbps" => 1e3,
        "m" | "mbit" | "mbit/s" | "mbps" => 1e6,
        "g" | "gbit" | "gbit/s" | "gbps" => 1e9,
        _ => return Err(wrong()),
    };
    let bits = number * factor;
    if bits < LEAST_BITRATE as f64 {
        return Err(format!("{} is the least: sound and control need as much", Bitrate(LEAST_BITRATE)));
    }
    if bits > 1e12 {
        return Err("that is more than any network carries".into());
    }
    Ok(Bitrate(bits as u64))
}

/// Digits with at most one point: no sign, exponent, `inf` or `nan`.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|&byte| byte == b'.').count();
    (digits > 0 && points <= 1 && digits + points == text.len()).then(|| text.parse().ok()).flatten()
}

/// Where something is served: `9100` and `:9100` on this machine alone, `192.168.1.20:9100`, `[::1]:9100`.
pub(super) fn served_at(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "write a port like 9100, or an address of this machine and a port, like 192.168.1.20:9100".to_string();
    let text = text.trim();
    let (address, number) = text.rsplit_once(':').unwrap_or(("", text));
    let address = match address.trim_matches(['[', ']']) {
        "" => Ipv4Addr::LOCALHOST.into(),
        named => named.parse::<IpAddr>().map_err(|_| wrong())?,
    };
    // Two of them without brackets are an address without a port.
    if address.is_ipv6() && !text.starts_with('[') {
        return Err(wrong());
    }
    Ok(SocketAddr::new(address, port(number).map_err(|_| wrong())?))
}

/// `1280x720`, or the name of a size cameras have: `720p`.
pub(super) fn size(text: &str) -> Result<Size, String> {
    let named = match text.to_ascii_lowercase().as_str() {
        "240p" => Some((320, 240)),
        "360p" => Some((640, 360)),
        "480p" | "vga" => Some((640, 480)),
        "540p" => Some((960, 540)),
        "720p" => Some((1280, 720)),
        "1080p" => Some((1920, 1080)),
        "1440p" => Some((2560, 1440)),
        "2160p" | "4k" => Some((3840, 2160)),
        _ => None,
    };
    let (width, height) = match named {
        Some(size) => size,
        None => text
            .split_once(['x', 'X', '×'])
            .and_then(|(width, height)| Some((whole(width)?, whole(height)?)))
            .ok_or("write a size like 1280x720, or 480p, 720p, 1080p, 2160p")?,
    };
    for side in [width, height] {
        if !(MIN_SIDE..=MAX_SIDE).contains(&side) {
            return Err(format!("each side must be between {MIN_SIDE} and {MAX_SIDE} pixels"));
        }
    }
    Ok(Size { width, height })
}

/// A width in pixels.
pub(super) fn width(text: &str) -> Result<u32, String> {
    whole(text)
        .filter(|width| (MIN_SIDE..=MAX_SIDE).contains(width))
        .ok_or_else(|| format!("write a width between {MIN_SIDE} and {MAX_SIDE} pixels, like 640"))
}

/// What of the screen is meant.
pub(super) fn screen(text: &str) -> Result<Which, String> {
    Which::parse(text)
}

/// Whether only what changed is sent where that is less.
pub(super) fn replenish(text: &str) -> Result<bool, String> {
    match text {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err("write auto, to send only what changed where that is less, or off, to send all of every picture".into()),
    }
}

/// In which form live sound is sent.
pub(super) fn sound_form(text: &str) -> Result<Wish, String> {
    match text {
        "auto" => Ok(Wish::Auto),
        "pcm" => Ok(Wish::Pcm),
        "opus" => Ok(Wish::Opus),
        _ => {
            Err("write pcm, to send sound as it is, opus, to send it compressed, or auto, for what the path has room for".into())
        }
    }
}

/// What may become of a camera's own JPEGs.
pub(super) fn passthrough(text: &str) -> Result<Passthrough, String> {
    match text {
        "on" => Ok(Passthrough::On),
        "off" => Ok(Passthrough::Off),
        "auto" => Ok(Passthrough::Auto),
        _ => Err("write on, to send a camera's JPEGs as it made them, off, to encode them anew, or auto, for what fits the path"
            .into()),
    }
}

/// How good JPEGs are: 1 to 100.
pub(super) fn quality(text: &str) -> Result<u8, String> {
    let quality = whole(text).and_then(|quality| u8::try_from(quality).ok());
    quality.filter(|quality| (1..=100).contains(quality)).ok_or_else(|| "write a quality from 1 to 100, like 80".into())
}

fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `30`, `29.97`, `12.5` or `30000/1001`.
pub(super) fn fps(text: &str) -> Result<Rate, String> {
    let rate = if text.contains('/') {
        Rate::parse(text)
    } else {
        // The rates of NTSC television are written rounded but are exact fractions.
        match decimal(text).filter(|&value| value <= 1000.0).map(|value| (value * 1000.0).round() as u32) {
            Some(23_976 | 23_980) => Rate::new(24_000, 1001),
            Some(29_970) => Rate::new(30_000, 1001),
            Some(59_940) => Rate::new(60_000, 1001),
            thousandths => thousandths.and_then(|thousandths| Rate::new(thousandths, 1000)),
        }
    };
    rate.filter(|rate| (LEAST_RATE..=Rate::MOST).contains(rate))
        .ok_or_else(|| "write pictures a second like 30, 29.97 or 30000/1001, from 0.1 to 1000".into())
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT`, bare `IPV6`.
pub(super) fn host(text: &str) -> Result<HostText, String> {
    if text.contains("://") || text.contains('/') {
        return Err("write a name or an address alone, like camera.local or 192.168.1.20:9688".into());
    }
    if let Some(inside) = text.strip_prefix('[') {
        let (address, after) = inside.split_once(']').ok_or("the `[` has no `]`: write [::1]:9688")?;
        if !is_ipv6(address) {
            return Err(format!("`{address}` is not an IPv6 address: write [::1]:9688"));
        }
        let port = match after.strip_prefix(':') {
            Some(text) => Some(port(text)?),
            None if after.is_empty() => None,
            None => return Err("after `]` only :PORT may come: write [::1]:9688".into()),
        };
        return Ok(HostText { name: address.into(), port });
    }
    if is_ipv6(text) {
        return Ok(HostText { name: text.into(), port: None });
    }
    let (name, port) = match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => {
            return Err("that is no IPv6 address; with a port write it in brackets: [::1]:9688".into());
        }
        Some((name, text)) => (name, Some(port(text)?)),
        None => (text, None),
    };
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("{name} is a number: write HOST:{name} where it is a port, or give it as --port {name}"));
    }
    // The others are what people call a machine on their network, like "Living room", or what the second of a name is called:
    // "lab (2)".
    let plausible = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ' ' | '(' | ')' | '\'' | '&' | '+');
    let name = name.trim();
    if !name.chars().any(char::is_alphanumeric) || name.starts_with('-') || name.len() > 253 || !name.chars().all(plausible) {
        return Err("write a name or an address, like camera.local, 192.168.1.20 or [::1]:9688".into());
    }
    Ok(HostText { name: name.into(), port })
}

fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').map_or((text, "-"), |(address, zone)| (address, zone));
    !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok()
}

/// 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, String> {
    whole(text)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|&port| port > 0)
        .ok_or_else(|| "a port is a number from 1 to 65535".into())
}

/// An address of this machine, with or without the brackets of an IPv6 address.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| "write an address of this machine, like 192.168.1.20, 0.0.0.0 or ::".into())
}

/// What somebody is called: not empty, without what hides or steers, of at most 255 bytes.
pub fn name(given: &str) -> Result<String, String> {
    let name = given.trim();
    let refused = text::characters(name).find(|(_, may)| !may).map(|(c, _)| u32::from(c));
    match (name, refused) {
        ("", _) => Err("a name has at least one letter; without the flag it is this machine's name".into()),
        (name, _) if name.len() > 255 => Err("a name has at most 255 bytes".into()),
        (_, Some(c)) => Err(format!("a name has no control characters, and none that are not seen: U+{c:04X} is one")),
        (name, None) => Ok(name.to_string()),
    }
}

/// A name by which browsers look for a machine (RFC 1123), or its address.
#[cfg(feature = "web")]
pub fn host_name(given: &str) -> Result<String, String> {
    let fits = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && letters && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_one = given.len() <= 253 && given.split('.').all(fits);
    let wrong = "write a name as browsers look for it, like camera.example.org: letters of A-Z, digits, - and points";
    if is_one { Ok(given.to_string()) } else { Err(wrong.into()) }
}

/// A machine that is to be forgotten: what it is called, or was dialled as.
pub fn forgotten(given: &str) -> Result<String, String> {
    match given.trim() {
        "" => Err("name a machine that was paired with; without the flag none is forgotten".into()),
        name => Ok(name.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_served_to_this_machine_alone_unless_an_address_is_given() {
        let at = |text: &str| served_at(text).map(|at| at.to_string());
        assert_eq!(["9100", ":9100", "127.0.0.1:9100"].map(at), ["127.0.0.1:9100"; 3].map(|at| Ok(at.to_string())));
        assert_eq!((at("0.0.0.0:1"), at("[::1]:9100")), (Ok("0.0.0.0:1".into()), Ok("[::1]:9100".into())));
        for wrong in ["", "::1", "::1:9100", "localhost:9100", "127.0.0.1", "0", "70000", "127.0.0.1:", "9100/metrics"] {
            assert!(served_at(wrong).is_err_and(|sentence| sentence.starts_with("write a port like 9100")), "{wrong}");
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn a_name_for_browsers_is_one_that_they_can_look_for() {
        for name in ["kitchen", "camera.example.org", "Kitchen-2.local", "192.168.1.20"] {
            assert_eq!(host_name(name).as_deref(), Ok(name));
        }
        for name in
            ["", "bad name!", "a..b", "-a.org", "a-.org", "kitchen:9690", "http://kitchen", "küche.local", &"a".repeat(64)]
        {
            assert!(host_name(name).is_err_and(|sentence| sentence.starts_with("write a name as browsers")), "{name}");
        }
    }

    #[test]
    fn a_name_keeps_what_its_script_needs_and_is_told_which_character_is_refused() {
        for honest in ["علی\u{200c}رضا", "👨\u{200d}👩\u{200d}👧", "Käthe 2"] {
            assert_eq!(name(honest).as_deref(), Ok(honest));
        }
        for (hidden, which) in [("ad\u{200d}a", "U+200D"), ("a\u{202e}b", "U+202E"), ("a\tb", "U+0009")] {
            assert!(name(hidden).is_err_and(|sentence| sentence.contains(which)), "{which}");
        }
    }

    #[test]
    fn times_are_read_as_people_type_them() {
        let ms = Duration::from_millis;
        for (text, time) in [("20ms", ms(20)), ("1.5s", ms(1500)), ("2m", ms(120_000)), ("1h30m", ms(5_400_000)), ("0s", ms(0))] {
            assert_eq!(duration(text), Ok(time), "{text}");
        }
        for text in ["", "ms", "1.5.0s", "-1s", "1e3s", "5parsecs", "infs", "s5", "20", "4 s s", "999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_without_unit_is_told_which_and_none_at_all_is_told_how_it_is_written() {
        assert_eq!(bitrate("8M"), Ok(Bitrate(8_000_000)));
        assert_eq!(bitrate("8"), Err("a rate needs its unit: 8M or 8k (bits a second)".into()));
        for text in ["0", "0.0", "M", "8x"] {
            assert_eq!(bitrate(text), Err("write bits a second like 8M, 2.5M or 800k".into()), "{text}");
        }
        assert!(bitrate("0M").is_err_and(|error| error.contains("is the least")));
    }

    #[test]
    fn a_running_time_without_unit_is_seconds_and_never_zero() {
        assert_eq!(running_time("2.5"), Ok(Duration::from_millis(2500)));
        assert_eq!(running_time("90s"), Ok(Duration::from_secs(90)));
        for text in ["0", "0ms", "-3", "99999999999999999999"] {
            assert!(running_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_by_name_and_by_number_within_limits() {
        let of = |width, height| Ok(Size { width, height });
        for (text, wanted) in
            [("1280x720", of(1280, 720)), ("720p", of(1280, 720)), ("1080P", of(1920, 1080)), ("640X480", of(640, 480))]
        {
            assert_eq!(size(text), wanted, "{text}");
        }
        for text in ["1280", "x720", "8193x16", "15x400", "+640x480", "640x480x2", "0x0", "99999999999x9"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!((width("640"), width("8192")), (Ok(640), Ok(8192)));
        assert!(width("8").is_err() && width("640px").is_err());
    }

    #[test]
    fn rates_are_fractions_and_television_rates_exact() {
        let texts = ["30", "12.5", "29.97", "30000/1001", "7.5", "0.1"];
        let read: Vec<_> = texts.iter().map(|text| fps(text).map(|rate| (rate.num(), rate.den())).unwrap()).collect();
        assert_eq!(read, [(30, 1), (25, 2), (30_000, 1001), (30_000, 1001), (15, 2), (1, 10)]);
        for text in ["0", "0.04", "1001", "30/0", "1/0", "30:1", "+30/1", "30/1/1", "-1", "thirty", "4294967295/1"] {
            assert!(fps(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        let of = |name: &str, port| Ok(HostText { name: name.into(), port });
        for (text, wanted) in [
            ("camera.local", of("camera.local", None)),
            ("192.168.1.20:5000", of("192.168.1.20", Some(5000))),
            ("::1", of("::1", None)),
            ("[::1]:9688", of("::1", Some(9688))),
            ("[fe80::1%eth0]:7", of("fe80::1%eth0", Some(7))),
            ("[2001:db8::7]", of("2001:db8::7", None)),
            ("Living room", of("Living room", None)),
            ("kitchen (2):7", of("kitchen (2)", Some(7))),
        ] {
            assert_eq!(host(text), wanted, "{text}");
        }
        for text in [
            "",
            ":9688",
            "a:b:c",
            "[::1",
            "[::1]9688",
            "[camera]:1",
            "name:0",
            "name:65536",
            "udp://x",
            "( )",
            "a,b",
            "-x",
            "9688",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
        assert_eq!(Host { name: "::1".into(), port: 7 }.to_string(), "[::1]:7");
        assert_eq!(Host { name: "lab".into(), port: 7 }.to_string(), "lab:7");
    }

    #[test]
    fn an_address_to_wait_on_is_an_address() {
        assert_eq!((address("::"), address("[::1]")), (Ok("::".parse().unwrap()), Ok("::1".parse().unwrap())));
        assert!(address("camera.local").is_err() && address("1.2.3.4:5").is_err());
    }
}
