//! `--rtp` and what belongs to it.

use super::{Idle, Wrong, file, units};
use crate::net::rtp::LAST_PORT;
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

fn to(text: &str) -> Result<units::Host, String> {
    let wrong = || format!("write a host and an even port below {LAST_PORT}, like 192.168.1.20:5004");
    let host = units::host(text).map_err(|_| wrong())?;
    let port = host.port.filter(|port| port % 2 == 0 && *port < LAST_PORT).ok_or_else(wrong)?;
    Ok(units::Host { name: host.name, port })
}
