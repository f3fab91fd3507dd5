//! `--rtp-in`: cameras that are not ours, and the words about them.

use super::args::rtp::RtpIn;
use super::doorman::Doorman;
use super::failure::{Code, Failure};
use super::status::ExitCode;
use crate::capture::file::{address, is_address};
use crate::capture::rtp::Ports;
use crate::pipeline::incoming::{Incoming, Note, Visitor};
use eyeline_proto::media::rtp::receiver::{Medium, Unfit};
use eyeline_proto::media::rtp::sdp;
use eyeline_proto::session::link::Identity;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Of a session description more is not read: they are some lines.
const LONGEST: u64 = 64 << 10;

/// Those that are to be taken in. Their ports are open.
pub struct Cameras(Vec<(String, From)>);

enum From {
    Ports(SocketAddr, Ports),
    Stream(PathBuf),
}

impl Cameras {
    /// Opens their ports, reads their descriptions.
    pub fn open(wished: &[RtpIn]) -> Result<Cameras, Failure> {
        let open = |wish: &RtpIn| match wish {
            RtpIn::Ports(at) => {
                let ports = Ports::open(*at);
                let ports = ports.map_err(|error| Failure::new(ExitCode::Failed, format!("--rtp-in: {error}")))?;
                Ok((format!("rtp {}", at.port()), From::Ports(*at, ports)))
            }
            RtpIn::Stream(from) => Ok((stream_name(from)?, From::Stream(from.clone()))),
        };
        wished.iter().map(open).collect::<Result<_, _>>().map(Cameras)
    }

    /// Takes them in, each as a sender that comes to `to`; `me`: who we are, but for the name.
    pub fn begin(self, me: &Identity, to: SocketAddr) -> Result<Vec<Incoming>, Failure> {
        let begin = |(name, from): (String, From)| {
            let me = Identity { name: name.clone(), id: eyeline_proto::crypto::random(), direct: false, ..me.clone() };
            let visitor = Visitor { me, to };
            match from {
                From::Ports(at, ports) => {
                    tracing::info!(
                        "RTP is taken in at {at} (JPEG; sound, L16, at {}), in the clear, of whoever sends first",
                        at.port() + 2
                    );
                    if at.ip().is_loopback() {
                        tracing::info!("(from this machine alone; --rtp-in 0.0.0.0:{} takes it from others, too)", at.port());
                    }
                    let mut doorman = Doorman::default();
                    Incoming::rtp(ports, visitor, move |note| say_of_ports(&name, at, &note, &mut doorman))
                }
                From::Stream(from) => {
                    tracing::info!("{name} is taken in from {}", address::shown(&from));
                    let mut said = None;
                    Incoming::stream(from.clone(), visitor, move |note| say_of_stream(&name, &from, &note, &mut said))
                }
            }
        };
        self.0.into_iter().map(|camera| begin(camera).code(ExitCode::Failed)).collect()
    }
}

/// What is read from there is called so.
fn stream_name(from: &Path) -> Result<String, Failure> {
    let shown = address::shown(from);
    if is_address(from.as_os_str()) {
        let host = shown.split_once("://").map_or(&*shown, |(_, rest)| rest);
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        return Ok(if host.is_empty() { shown } else { host.to_string() });
    }
    let failed = |why: String| Failure::new(ExitCode::Failed, format!("--rtp-in: {shown} {why}"));
    let cure = "a port is written like 5004 or 192.168.1.20:5004, an address like rtsp://door/";
    let read = std::fs::File::open(from).and_then(|file| std::io::read_to_string(std::io::Read::take(file, LONGEST)));
    let text = read.map_err(|error| failed(format!("cannot be read: {error}; {cure}")))?;
    let name = sdp::session_name(&text).ok_or_else(|| failed(format!("is no session description (SDP); {cure}")))?;
    let stem = || from.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(if name.is_empty() { stem() } else { name })
}

/// Who comes, and who is turned away: as many lines as there are of others.
fn say_of_ports(name: &str, at: SocketAddr, note: &Note, doorman: &mut Doorman) {
    let what = |medium: &Medium| if *medium == Medium::Pictures { "pictures" } else { "sound" };
    let port = at.port();
    match note {
        Note::Came(medium, from) => {
            doorman.peer(&format!("{name}: {} from {from}", what(medium)));
        }
        Note::Other(medium, from) => {
            let what = what(medium);
            doorman.turned_away(*from, &format!("{name} takes {what} from another, until that is silent for 2 s"));
        }
        Note::Unfit(_, from, why) => doorman.turned_away(
            *from,
            &match why {
                Unfit::NotJpeg(kind) => format!(
                    "what it sends to port {port} is no JPEG (RTP type {kind}; JPEG has 26): have it sent as JPEG, or give what describes \
                     it, --rtp-in FILE.sdp"
                ),
                Unfit::Rate => "its sound has 44.1 kHz, and 48 kHz is taken: have it sent so (ffmpeg: -ar 48000), or give what describes it, \
                                --rtp-in FILE.sdp"
                    .to_string(),
                Unfit::NotL16(kind) => format!(
                    "its sound is no L16 of one or two channels (RTP type {kind}): have it sent so (ffmpeg: -c:a pcm_s16be), or give what \
                     describes it, --rtp-in FILE.sdp"
                ),
            },
        ),
        Note::NotShown(error) => tracing::error!("{name} cannot be shown: {error}"),
        Note::Failed(_) | Note::Film => {}
    }
}

/// `said`: the last sentence, which is said again only behind another.
fn say_of_stream(name: &str, from: &Path, note: &Note, said: &mut Option<String>) {
    let sentence = match note {
        Note::Film => return tracing::error!("{name} is a film, and nothing live: send --file {}", address::shown(from)),
        Note::Failed(error) => format!("{error} (it is tried again)"),
        Note::NotShown(error) => format!("{name} cannot be shown: {error}"),
        _ => return,
    };
    if said.as_ref() != Some(&sentence) {
        tracing::warn!("{sentence}");
        *said = Some(sentence);
    }
}
