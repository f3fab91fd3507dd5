//! `--rtp` and what belongs to it; `--rtp-in`.

use super::{Common, Idle, Wrong, file, units};
use crate::capture::rtp::LAST_PORT as LAST_PORT_IN;
use crate::net::rtp::LAST_PORT;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What goes to a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtp {
    /// To whom; its port is that of pictures.
    pub to: units::Host,
    /// Where it is described.
    pub sdp: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub(super) struct RtpFlags {
    /// Send it on to a player, as RTP (JPEG and L16), in the clear: pictures to UDP port PORT of HOST, sound to PORT+2
    #[arg(long, value_name = "HOST:PORT", value_parser = to, help_heading = "To players")]
    rtp: Option<units::Host>,

    /// Write the session description of --rtp, which players open, to FILE
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = "To players")]
    sdp: Option<PathBuf>,
}

impl RtpFlags {
    /// Those that have no use.
    pub fn idle(&self) -> Option<Idle> {
        let is_idle = self.sdp.is_some() && self.rtp.is_none();
        is_idle.then_some(Idle("sdp", "nothing goes to a player without --rtp HOST:PORT"))
    }

    /// What they say.
    pub fn resolve(self) -> Result<Option<Rtp>, Wrong> {
        Ok(self.rtp.map(|to| Rtp { to, sdp: self.sdp }))
    }
}

/// Cameras that are taken in at once.
const MOST_IN: usize = 4;

/// Where a camera that is not ours is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RtpIn {
    /// At ports of this machine: pictures at this one, sound at the second after it.
    Ports(SocketAddr),
    /// From an address that ffmpeg reads, or as a session description in a file says.
    Stream(PathBuf),
}

#[derive(clap::Args, Debug)]
pub(super) struct RtpInFlags {
    /// Take in a camera that sends RTP (JPEG, L16), in the clear, to UDP port PORT of ADDR, sound to PORT+2; without ADDR from this
    /// machine alone; or what ffmpeg reads: a session description (FILE.sdp), rtsp://…; may be repeated
    #[arg(long, value_name = "PORT|FILE|URL", value_parser = from, help_heading = "What to do with it")]
    rtp_in: Vec<RtpIn>,
}

impl RtpInFlags {
    pub fn resolve(self) -> Vec<RtpIn> {
        self.rtp_in
    }
}

/// Whether cameras can be taken in so.
pub(super) fn fit(rtp_in: &[RtpIn], common: &Common) -> Result<(), Wrong> {
    if rtp_in.len() > MOST_IN {
        return Err(Wrong::conflict(format!(
            "--rtp-in is given {} times, and {MOST_IN} cameras are taken in at most",
            rtp_in.len()
        )));
    }
    // They come to us as any sender does.
    match (rtp_in.is_empty(), common.rendezvous.wait) {
        (false, None) => Err(Wrong::conflict("--rtp-in needs a program that waits, and --host only dials: add --wait")),
        (false, _) if common.only_paired && common.key.is_none() => Err(Wrong::conflict(
            "--only-paired lets nobody in that --rtp-in takes in: give a key as well, or leave one of them out",
        )),
        _ => Ok(()),
    }
}

fn from(text: &str) -> Result<RtpIn, String> {
    if text.is_empty() {
        return Err("write a port like 5004, or name a session description or an address like rtsp://door/".into());
    }
    let Ok(at) = units::served_at(text) else { return Ok(RtpIn::Stream(text.into())) };
    if at.port() % 2 != 0 || at.port() >= LAST_PORT_IN {
        return Err(format!("write an even port below {LAST_PORT_IN}, like 5004: sound comes to the second one after it"));
    }
    if at.ip().is_multicast() {
        return Err("a group is joined by its session description: --rtp-in FILE.sdp".into());
    }
    Ok(RtpIn::Ports(at))
}

fn to(text: &str) -> Result<units::Host, String> {
    let wrong = || format!("write a host and an even port below {LAST_PORT}, like 192.168.1.20:5004");
    let host = units::host(text).map_err(|_| wrong())?;
    let port = host.port.filter(|port| port % 2 == 0 && *port < LAST_PORT).ok_or_else(wrong)?;
    Ok(units::Host { name: host.name, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_one_of_this_machine_and_all_else_ffmpeg_reads() {
        let ports = |text: &str| from(text).map(|from| from == RtpIn::Ports("127.0.0.1:5004".parse().unwrap()));
        assert_eq!(["5004", ":5004", "127.0.0.1:5004"].map(ports), [Ok(true), Ok(true), Ok(true)]);
        assert_eq!(from("[::]:5004"), Ok(RtpIn::Ports("[::]:5004".parse().unwrap())));
        for stream in ["rtsp://door:554/1", "a.sdp", "5004.sdp", "/x/5004", "localhost:5004"] {
            assert_eq!(from(stream), Ok(RtpIn::Stream(stream.into())));
        }
        for (wrong, why) in
            [("5005", "even port"), ("65534", "even port"), ("239.1.1.1:5004", "session description"), ("", "5004")]
        {
            assert!(from(wrong).is_err_and(|sentence| sentence.contains(why)), "{wrong}");
        }
    }
}
