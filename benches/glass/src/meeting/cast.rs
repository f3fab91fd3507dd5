//! Who takes part, and as which program.

use crate::meeting::lan::Lan;
use crate::meeting::room::{EAR, NOWHERE, Room, TALKER};
use crate::options::{Case, Options};
use crate::play::free_port;
use crate::rig::{Launch, Running};
use crate::said::Said;
use std::path::Path;
use std::process::{Command, Stdio};

/// What programs take part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// So many `call`s. The first waits, all others dial it; or a `call` more waits, without camera, microphone or window.
    Calls { members: usize, point: bool, voice: Voice },
    /// Two of GStreamer's webrtcbin: the codec, how long its jitter buffers wait.
    WebRtc { codec: Codec, latency_ms: u32, voice: Voice },
}

/// What becomes of a microphone's sound before it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Echo and noise are taken out and who is too low is raised: what a `call` does unless told otherwise, or webrtcdsp.
    Cleaned,
    /// Nothing.
    AsHeard,
}

/// Of webrtcbin's pictures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Vp8,
    H264,
}

/// Where they are started.
pub struct Set<'a> {
    pub options: &'a Options,
    pub case: Case,
    pub scratch: &'a Path,
    pub room: &'a Room,
    pub lan: &'a Lan,
    /// The X servers of who is looked at, and of all others.
    pub displays: [&'a str; 2],
}

/// One program.
pub struct Player {
    pub running: Running,
    pub said: Said,
    /// Whether it takes pictures from stdin.
    pub has_camera: bool,
}

/// What somebody does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Passes on what others send.
    Point,
    /// Speaks.
    Talks,
    /// Its window is read, its speaker recorded.
    Looks,
    /// Is there.
    Sits,
}

impl Part {
    /// What a `call` is called.
    pub fn name(self) -> &'static str {
        match self {
            Part::Point => "point",
            Part::Talks => "talks",
            Part::Looks => "looks",
            Part::Sits => "sits",
        }
    }

    fn microphone_and_speaker(self) -> [&'static str; 2] {
        let [microphone, speaker] = NOWHERE;
        match self {
            Part::Talks => [TALKER, speaker],
            Part::Looks => [microphone, EAR],
            Part::Point | Part::Sits => NOWHERE,
        }
    }
}

impl Voice {
    /// What to say of it where it is not as it comes.
    fn unusual(self, usual: Voice) -> &'static str {
        match self {
            _ if self == usual => "",
            Voice::Cleaned => ", cleaned",
            Voice::AsHeard => ", as heard",
        }
    }
}

impl Who {
    /// In the table.
    pub fn title(self) -> String {
        match self {
            Who::Calls { members, point, voice } => {
                format!("{members} `call`s{}{}", if point { " and a point" } else { "" }, voice.unusual(Voice::Cleaned))
            }
            Who::WebRtc { codec, latency_ms, voice } => {
                let codec = ["VP8", "H.264"][codec as usize];
                format!("2 webrtcbin, {codec}, {latency_ms} ms{}", voice.unusual(Voice::AsHeard))
            }
        }
    }

    /// Who sends pictures and sound.
    pub fn members(self) -> usize {
        match self {
            Who::Calls { members, .. } => members,
            Who::WebRtc { .. } => 2,
        }
    }

    /// What each one does; the first waits.
    pub fn parts(self) -> Vec<Part> {
        let mut parts = match self {
            Who::Calls { point: true, .. } => vec![Part::Point],
            Who::Calls { members: 3.., .. } => vec![Part::Sits],
            Who::Calls { .. } | Who::WebRtc { .. } => Vec::new(),
        };
        parts.extend([Part::Talks, Part::Looks]);
        let seated = parts.iter().filter(|part| **part != Part::Point).count();
        parts.extend((seated..self.members()).map(|_| Part::Sits));
        parts
    }

    /// The window of each member: all others side by side, each as large as it is. The gaps are those of `present/grid.rs`.
    pub fn window(self, Case { width, height, .. }: Case) -> Result<(usize, usize), String> {
        let tiles = self.members() - 1;
        if tiles > 1 && width * 9 != height * 16 {
            return Err(format!("{width}x{height}: the tiles of a window are 16:9"));
        }
        let columns = (1..).find(|side| side * side >= tiles).unwrap_or(1);
        let rows = tiles.div_ceil(columns);
        let window = |gap: usize| (columns * width + (columns - 1) * gap, rows * height + (rows - 1) * gap);
        let gap = (1..=8).find(|gap| (window(*gap).1 / 180).clamp(1, 8) == *gap).unwrap_or(1);
        Ok(window(gap))
    }

    /// Starts everybody, in the order of [`Who::parts`].
    pub fn start(self, set: &Set<'_>) -> Result<Vec<Player>, String> {
        let port = free_port()?;
        let (parts, window) = (self.parts(), self.window(set.case)?);
        let start = |(machine, part): (usize, &Part)| {
            let command = match self {
                Who::Calls { voice, .. } => call(set, *part, voice, machine, port, window),
                Who::WebRtc { codec, latency_ms, voice } => webrtc(set, *part, codec, latency_ms, voice),
            };
            set.launch(command, *part, machine)
        };
        parts.iter().enumerate().map(start).collect()
    }
}

impl Set<'_> {
    fn launch(&self, mut command: Command, part: Part, machine: usize) -> Result<Player, String> {
        let [looked_at, others] = self.displays;
        command.env("DISPLAY", if part == Part::Looks { looked_at } else { others });
        self.room.furnish(&mut command);
        let has_camera = part != Part::Point;
        command.stdin(if has_camera { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped());
        let name = format!("{}-{machine}", part.name());
        let network = Some(self.lan.network(machine));
        let mut running = Launch { command, name: &name, cores: None, network }.start(self.scratch)?;
        let said = Said::of(&mut running)?;
        Ok(Player { running, said, has_camera })
    }
}

fn call(set: &Set<'_>, part: Part, voice: Voice, machine: usize, port: u16, (width, height): (usize, usize)) -> Command {
    let mut command = Command::new(set.options.programs.join("call"));
    let mut words = |words: String| {
        command.args(words.split_whitespace());
    };
    words(format!("--name {} --quiet --stats json", part.name()));
    words(match machine {
        0 => format!("--bind {} --port {port}", Lan::address(0)),
        _ => format!("--host {}:{port}", Lan::address(0)),
    });
    if part == Part::Point {
        words("--no-video --no-audio --no-window".into());
        return command;
    }
    let [microphone, speaker] = part.microphone_and_speaker();
    if voice == Voice::AsHeard {
        words("--echo off --noise-suppression off --gain off".into());
    }
    words(format!("--file - --mic {microphone} --speaker {speaker} --geometry {width}x{height}+0+0"));
    command
}

fn webrtc(set: &Set<'_>, part: Part, codec: Codec, latency_ms: u32, voice: Voice) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    let side = if part == Part::Talks { "offer" } else { "answer" };
    command.arg(set.options.scripts.join("webrtc.py")).arg(side).arg(set.scratch.join("webrtc"));
    let codec = ["vp8", "h264"][codec as usize];
    let voice = if voice == Voice::Cleaned { "cleaned" } else { "as-heard" };
    command.args([codec, &latency_ms.to_string(), voice]).args(part.microphone_and_speaker());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(members: usize, point: bool) -> Who {
        Who::Calls { members, point, voice: Voice::Cleaned }
    }

    #[test]
    fn two_who_call_each_other_are_a_talker_that_waits_and_one_that_looks() {
        let parts = |members, point| calls(members, point).parts().iter().map(|part| part.name()).collect::<Vec<_>>();
        assert_eq!(parts(2, false), ["talks", "looks"]);
        assert_eq!(parts(2, true), ["point", "talks", "looks"]);
        assert_eq!(parts(4, false), ["sits", "talks", "looks", "sits"]);
    }

    #[test]
    fn a_window_has_room_for_all_others() {
        let case = Case { width: 640, height: 360, fps: 30 };
        let window = |members| calls(members, false).window(case);
        assert_eq!(window(2), Ok((640, 360)));
        assert_eq!(window(4), Ok((1284, 724)));
        assert_eq!(window(8), Ok((1932, 1092)));
        assert!(calls(3, false).window(Case { width: 640, height: 480, fps: 30 }).is_err());
    }
}
