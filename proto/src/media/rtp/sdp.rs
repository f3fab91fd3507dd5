//! The session description (RFC 8866) that tells a player what comes to which port: a file of a few lines.

use super::{jpeg, pcm};
use crate::sound::RATE;
use crate::wire::text::{REPLACEMENT, printable};
use std::fmt::Write;
use std::net::IpAddr;

/// A session to one host.
#[derive(Debug, Clone)]
pub struct Session {
    /// For people; any text.
    pub name: String,
    /// A number that no other session of this machine has.
    pub id: u64,
    /// Who sends.
    pub from: IpAddr,
    /// Where it is to be played.
    pub to: IpAddr,
    /// The port of pictures, where there are any. Reports go to the next one.
    pub pictures: Option<u16>,
    /// The port of sound, and its channels.
    pub sound: Option<(u16, u8)>,
}

/// How many routers multicast goes through: none, as the system has it where nobody says otherwise.
const MULTICAST_TTL: u8 = 1;

impl Session {
    pub fn describe(&self) -> String {
        let mut out = String::from("v=0\r\n");
        let id = self.id;
        line(&mut out, format_args!("o=- {id} {id} IN {}", address(self.from)));
        line(&mut out, format_args!("s={}", named(&self.name)));
        match self.to {
            IpAddr::V4(v4) if v4.is_multicast() => line(&mut out, format_args!("c=IN IP4 {v4}/{MULTICAST_TTL}")),
            to => line(&mut out, format_args!("c=IN {}", address(to))),
        }
        line(&mut out, format_args!("t=0 0"));
        if let Some(port) = self.pictures {
            let (kind, rate) = (jpeg::PAYLOAD_TYPE, jpeg::RATE);
            line(&mut out, format_args!("m=video {port} RTP/AVP {kind}"));
            line(&mut out, format_args!("a=rtpmap:{kind} JPEG/{rate}"));
        }
        if let Some((port, channels)) = self.sound {
            let kind = pcm::PAYLOAD_TYPE;
            line(&mut out, format_args!("m=audio {port} RTP/AVP {kind}"));
            line(&mut out, format_args!("a=rtpmap:{kind} L16/{RATE}/{channels}"));
            line(&mut out, format_args!("a=ptime:{}", pcm::millis(channels)));
        }
        out
    }
}

/// What a description of anybody calls its session; `None` where it is no description, `Some("")` where it has no name.
pub fn session_name(description: &str) -> Option<String> {
    let mut lines = description.lines();
    lines.next().filter(|first| first.trim_end() == "v=0")?;
    let name = lines.find_map(|line| line.strip_prefix("s=")).unwrap_or_default();
    let name: String = printable(name).chars().filter(|c| *c != REPLACEMENT).collect();
    // What stands there by custom where there is no name (RFC 8866 §5.3).
    let name = name.trim();
    Some(if matches!(name, "-" | "No Name") { "" } else { name }.to_string())
}

fn line(out: &mut String, words: std::fmt::Arguments<'_>) {
    // A string takes whatever is written into it.
    let _ = write!(out, "{words}\r\n");
}

fn address(ip: IpAddr) -> String {
    let version = if ip.is_ipv4() { 4 } else { 6 };
    format!("IP{version} {ip}")
}

/// A name in one line; one that would be empty is a space (§5.3).
fn named(name: &str) -> String {
    let name: String = printable(name).chars().filter(|c| *c != REPLACEMENT).collect();
    if name.trim().is_empty() { " ".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let [from, to] = ["192.0.2.1", "192.0.2.7"].map(|ip| ip.parse().unwrap());
        Session { name: "kitchen".into(), id: 42, from, to, pictures: Some(5004), sound: Some((5006, 2)) }
    }

    #[test]
    fn a_session_is_described_line_by_line() {
        let expected = [
            "v=0",
            "o=- 42 42 IN IP4 192.0.2.1",
            "s=kitchen",
            "c=IN IP4 192.0.2.7",
            "t=0 0",
            "m=video 5004 RTP/AVP 26",
            "a=rtpmap:26 JPEG/90000",
            "m=audio 5006 RTP/AVP 97",
            "a=rtpmap:97 L16/48000/2",
            "a=ptime:5",
            "",
        ];
        assert_eq!(session().describe(), expected.join("\r\n"));
        let silent = Session { sound: None, to: "2001:db8::7".parse().unwrap(), ..session() }.describe();
        assert!(silent.contains("c=IN IP6 2001:db8::7\r\n") && !silent.contains("audio"), "{silent}");
        let group = Session { to: "239.1.2.3".parse().unwrap(), ..session() }.describe();
        assert!(group.contains("c=IN IP4 239.1.2.3/1\r\n"), "{group}");
    }

    #[test]
    fn the_name_of_a_session_is_read_again() {
        let read = |text: &str| session_name(text);
        assert_eq!(read(&session().describe()).as_deref(), Some("kitchen"));
        for unnamed in ["v=0\ns=-\n", "v=0\r\ns=No Name\r\n", "v=0\ns= \n", "v=0\n"] {
            assert_eq!(read(unnamed).as_deref(), Some(""), "{unnamed:?}");
        }
        assert_eq!((read("a film"), read(""), read("s=a\nv=0")), (None, None, None));
        assert_eq!(read("v=0\ns=a\u{202e}\u{1b}[2Jb").as_deref(), Some("a[2Jb"));
    }

    #[test]
    fn a_name_stays_in_its_line_and_is_never_empty() {
        let with = |name: &str| {
            let name = name.to_string();
            let text = Session { name, ..session() }.describe();
            assert_eq!(text.lines().count(), 10, "{text:?}");
            text.lines().nth(2).unwrap().to_string()
        };
        assert_eq!(with("a\r\nm=video 9 RTP/AVP 0\u{0}\u{202e}"), "s=am=video 9 RTP/AVP 0");
        assert_eq!((with(""), with("\n")), ("s= ".into(), "s= ".into()));
    }
}
