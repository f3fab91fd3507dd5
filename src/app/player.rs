//! `--rtp`: what goes to a player, and the lines with which players are started.

use super::args::Common;
use super::args::rtp::Rtp as Wish;
use super::failure::{Code, Failure};
use super::rendezvous;
use super::status::ExitCode;
use crate::net::discovery::Directory;
use crate::net::rtp::{Config, Event, Ports, Rtp};
use crate::net::{By, Host};
use crate::pipeline::player::Player;
use crate::pipeline::tee::Tee;
use eyeline_proto::media::rtp::sdp::Session;
use eyeline_proto::wire::record::Media;
use nix::libc;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sends what goes through the tee to the player of `--rtp`, where one is wished; `channels`: of its sound.
pub fn open(common: &Common, tee: &Tee, channels: Option<u8>) -> Result<Option<Player>, Failure> {
    let Some(wish) = common.rtp.clone() else { return Ok(None) };
    if let Some(path) = &wish.sdp {
        // Found out now rather than when the player's host is known.
        let unwritten = |error| Failure::new(ExitCode::Failed, format!("--sdp: {} cannot be written: {error}", path.display()));
        write(path, "").map_err(unwritten)?;
    }
    let to = Host { name: wish.to.name.clone(), port: wish.to.port, by: By::Name };
    let config = Config { to, directory: Directory::new(Media::NONE, Media::NONE), channels };
    let name = rendezvous::name(common);
    let mut said = Said::default();
    let rtp = Rtp::start(config, move |event| said.say(&wish, &name, channels, &event)).code(ExitCode::Failed)?;
    let player = Player::start(rtp, tee, |unfit| {
        tracing::info!("pictures for the player are encoded anew: {unfit}");
    });
    player.map(Some).code(ExitCode::Failed)
}

/// What was said last of what is missing: it is said again where it is another.
#[derive(Default)]
struct Said(Option<String>);

impl Said {
    fn say(&mut self, wish: &Wish, name: &str, channels: Option<u8>, event: &Event) {
        let missing = match event {
            Event::Found { to, from } => {
                self.0 = None;
                return describe(wish, name, channels, (*to, *from));
            }
            Event::NotFound(error) => format!("nothing goes to the player yet: {error}"),
            Event::NoSocket(error) => format!("nothing goes to the player yet: the system gives no socket ({error})"),
        };
        if self.0.as_ref() != Some(&missing) {
            tracing::warn!("{missing}");
            self.0 = Some(missing);
        }
    }
}

/// A pipe that nobody reads is no place for it: that is found out, not waited for.
fn write(path: &Path, description: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK);
    options.open(path)?.write_all(description.as_bytes())
}

/// Says where it goes, and how a player is started there.
fn describe(wish: &Wish, name: &str, channels: Option<u8>, (to, from): (SocketAddr, IpAddr)) {
    let ports = Ports::at(to.port());
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let sound = channels.map(|channels| (ports.sound, channels));
    let id = since_1970.as_secs();
    let session = Session { name: name.into(), id, from, to: to.ip(), pictures: Some(ports.pictures), sound };
    tracing::info!("sending to the player at {to}, in the clear");
    let without = gstreamer(to, channels);
    let Some(path) = &wish.sdp else {
        tracing::info!("there: {without}");
        tracing::info!("(--sdp FILE writes what ffplay and VLC want to open there)");
        return;
    };
    if let Err(error) = write(path, &session.describe()) {
        tracing::error!("{} cannot be written: {error}", path.display());
        tracing::info!("there: {without}");
        return;
    }
    let file = path.display();
    tracing::info!(
        "there, with that file: ffplay -protocol_whitelist file,udp,rtp -fflags nobuffer -flags low_delay -framedrop {file}"
    );
    tracing::info!("or: vlc {file}");
    tracing::info!("or: {without}");
}

/// How GStreamer plays it, without a file.
fn gstreamer(to: SocketAddr, channels: Option<u8>) -> String {
    let ports = Ports::at(to.port());
    let address = match to.ip() {
        IpAddr::V4(_) => "",
        IpAddr::V6(_) => " address=::",
    };
    let pictures = format!(
        "gst-launch-1.0 udpsrc{address} port={} caps=application/x-rtp,media=video,payload=26,clock-rate=90000,encoding-name=JPEG ! \
         rtpjpegdepay ! jpegdec ! videoconvert ! autovideosink sync=false",
        ports.pictures
    );
    let sound = channels.map(|channels| {
        format!(
            " udpsrc{address} port={} caps=application/x-rtp,media=audio,payload=97,clock-rate=48000,encoding-name=L16,channels={channels} ! \
             rtpL16depay ! audioconvert ! autoaudiosink sync=false",
            ports.sound
        )
    });
    pictures + &sound.unwrap_or_default()
}
