//! What `ffmpeg` says of an input on opening it, and what it is told in return: how to filter the pictures.
//!
//! It describes its input on stderr before it looks at its output. Nothing marks the end of that; but then it reads the filter,
//! from a pipe of ours, and by that shows that it has said all ([`Question`]).

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::ChildStderr;
use std::sync::mpsc::Sender;

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::stderr::part;
use super::{Treatment, command, probe};
use eyeline_proto::picture::{Size, View};
use eyeline_proto::rate::Rate;

/// Longer lines are nothing that is waited for.
const MAX_LINE: usize = 64 << 10;

/// A pipe no larger than it must be: one page, on whatever machine.
const SMALLEST: i32 = 4096;

/// Formats that have no stamps: ffmpeg counts their pictures, at 25 a second or at a rate that they name.
const COUNTED: [&str; 11] =
    ["mpjpeg", "mjpeg", "h264", "hevc", "vvc", "m4v", "mpegvideo", "obu", "rawvideo", "yuv4mpegpipe", "image2pipe"];

/// What was opened, as far as it has been said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Opening {
    /// Whether it says how long it is.
    pub has_length: bool,
    /// Whether its pictures' stamps are counted, for its format has none.
    pub counted: bool,
    /// The pictures that will be given, if it has some; known when ffmpeg asks how to filter them.
    pub pictures: Option<Described>,
}

/// Pictures as ffmpeg describes them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Described {
    /// Upright and with square pixels; not known where no picture has come that says it.
    pub size: Option<Size>,
    /// What is to be done to them.
    pub treatment: Treatment,
    /// Pictures a second, where they say so.
    pub rate: Option<f64>,
}

/// The pipe that a child reads its filter from. Until it does so the pipe is full, of spaces.
pub struct Question(PipeWriter);

impl Question {
    /// And what is to be the child's stdin.
    pub fn new() -> io::Result<(Question, PipeReader)> {
        let (reader, mut writer) = io::pipe()?;
        // A pipe may not become smaller than a page.
        let size = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(SMALLEST)).or_else(|_| fcntl(&writer, FcntlArg::F_GETPIPE_SZ))?;
        writer.write_all(&vec![b' '; usize::try_from(size).unwrap_or(0)])?;
        Ok((Question(writer), reader))
    }

    fn answer(mut self, filter: &str) {
        // Where the child is gone its words say why.
        let _ = self.0.write_all(filter.as_bytes());
    }
}

/// Listens to a child that names the level of each line, and answers its question: tells `opened` when it has opened its input
/// and when it asks, and gives its first error.
pub fn listen(mut said: ChildStderr, question: Question, opened: &Sender<Opening>) -> Option<String> {
    let (mut question, mut asked) = (Some(question), false);
    let (mut listener, mut chunk) = (Listener::default(), [0; 4096]);
    loop {
        if let Some(pipe) = &question {
            let wait = if asked { PollTimeout::ZERO } else { PollTimeout::NONE };
            let Some([words, room]) = ready(&said, pipe, wait) else { return listener.error };
            asked |= room.contains(PollFlags::POLLOUT);
            if room.contains(PollFlags::POLLERR) {
                // Nobody is there to ask any more.
                question = None;
            } else if words.is_empty() && asked && wait == PollTimeout::ZERO {
                // It asked before this look, and nothing of what it had said until then is left.
                let filter = listener.opening.pictures.unwrap_or_default();
                let _ = opened.send(listener.opening.clone());
                if let Some(pipe) = question.take() {
                    pipe.answer(&command::filter(filter.size, &filter.treatment));
                }
            }
            if words.is_empty() {
                continue;
            }
        }
        match said.read(&mut chunk) {
            Ok(n @ 1..) => listener.hear(&chunk[..n], opened),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return listener.error,
        }
    }
}

/// What is ready of both.
fn ready(said: &ChildStderr, question: &Question, wait: PollTimeout) -> Option<[PollFlags; 2]> {
    let mut fds = [PollFd::new(said.as_fd(), PollFlags::POLLIN), PollFd::new(question.0.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut fds, wait) {
        Ok(_) => Some(fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()))),
        Err(nix::errno::Errno::EINTR) => Some([PollFlags::empty(); 2]),
        Err(_) => None,
    }
}

/// What was heard so far.
#[derive(Default)]
struct Listener {
    line: Vec<u8>,
    opening: Opening,
    /// How much ffmpeg prefers the pictures in `opening` to others.
    score: u64,
    /// Whether the stream described last is the one in `opening`.
    theirs: bool,
    error: Option<String>,
}

impl Listener {
    fn hear(&mut self, bytes: &[u8], opened: &Sender<Opening>) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take(&String::from_utf8_lossy(&line), opened);
            }
        }
    }

    fn take(&mut self, line: &str, opened: &Sender<Opening>) {
        if let Some((_, rest)) = line.split_once("[info] Input #0, ") {
            let format = rest.split_once(", from ").map_or(rest, |(format, _)| format);
            self.opening.counted = COUNTED.contains(&format) || format.ends_with("_pipe");
        } else if let Some((_, length)) = line.split_once("Duration: ") {
            self.opening.has_length = !length.starts_with("N/A");
            let _ = opened.send(self.opening.clone());
        } else if let Some((_, pictures)) = line.split_once("Stream #0:").and_then(|(_, rest)| rest.split_once(": Video: ")) {
            let (described, score) = describe(pictures);
            self.theirs = score > self.score;
            if self.theirs {
                (self.opening.pictures, self.score) = (Some(described), score);
            }
        } else if let Some((_, degrees)) = line.split_once("displaymatrix: rotation of ") {
            self.turn(degrees);
        }
        if let Some((speaker, said)) = line.split_once("[error] ").or(line.split_once("[fatal] ")) {
            let whole = format!("{speaker}{said}");
            let said = part(&whole).unwrap_or(said).trim();
            let clean: String = said.chars().filter(|c| !c.is_control()).collect();
            self.error.get_or_insert(clean);
        }
    }

    /// The pictures described last lie on their side, or upside down.
    fn turn(&mut self, degrees: &str) {
        let degrees = degrees.split(' ').next().and_then(|degrees| degrees.parse().ok());
        if let (Some(degrees), Some(pictures), true) = (degrees, &mut self.opening.pictures, self.theirs) {
            let view = View { turn: probe::turn_by(degrees), ..View::PLAIN };
            pictures.size = pictures.size.map(|size| view.seen(size));
        }
    }
}

/// Reads `h264 (High), yuv420p(tv, top first), 320x240 [SAR 1:1 DAR 4:3], 25 fps, 25 tbr, 90k tbn (default)`; says too how much
/// ffmpeg prefers such pictures: the default ones, then the largest, and cover art last.
fn describe(text: &str) -> (Described, u64) {
    let parts = split(text);
    let size_at = parts.iter().position(|part| parse_size(part).is_some());
    let size = size_at.and_then(|at| parse_size(parts[at]));
    // What the container says of the pixels' shape stands in a part of its own, and counts.
    let aspects = parts.iter().filter_map(|part| part.split_once("SAR ").and_then(|(_, sar)| sar.split(' ').next()));
    let aspect = aspects.filter_map(probe::parse_aspect).next_back().unwrap_or((1, 1));
    let format = parts.get(size_at.map_or(1, |at| at.saturating_sub(1))).copied().unwrap_or_default();
    let rate = parts.iter().find_map(|part| part.strip_suffix(" fps")?.parse().ok());
    let treatment = Treatment {
        interlaced: ["top first", "bottom first", "top coded first", "bottom coded first"]
            .iter()
            .any(|order| format.contains(order)),
        alpha: probe::has_alpha(format),
        mirrored: None,
    };
    let area = size.map_or(0, |size| u64::from(size.width) * u64::from(size.height));
    let score = match text {
        _ if text.contains("(attached pic)") => 1,
        _ if text.contains("(default)") => 2 + area + (1 << 32),
        _ => 2 + area,
    };
    let size = size.map(|size| View::PLAIN.with_aspect(aspect).seen(size));
    let rate = rate.filter(|&rate: &f64| rate > 0.0 && rate <= Rate::MOST.per_second());
    (Described { size, treatment, rate }, score)
}

/// The parts between commas, of which some have commas in brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0i32);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts
}

/// `320x240`, whatever follows behind a space.
fn parse_size(text: &str) -> Option<Size> {
    let (width, height) = text.split(' ').next()?.split_once('x')?;
    Some(Size { width: width.parse().ok()?, height: height.parse().ok()? }).filter(|size| size.is_possible())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// What is understood of these lines, and what is told.
    fn heard(text: &str) -> (Listener, Option<Opening>) {
        let (opened, open) = mpsc::channel();
        let mut listener = Listener::default();
        // Pipes cut where they like.
        for bytes in text.as_bytes().chunks(7) {
            listener.hear(bytes, &opened);
        }
        (listener, open.try_recv().ok())
    }

    fn input(format: &str, rest: &str) -> Listener {
        heard(&format!("[info] Input #0, {format}, from 'http://a/':\n[info]   Duration: N/A, bitrate: N/A\n{rest}\n")).0
    }

    #[test]
    fn what_a_child_says_tells_live_from_film_and_why_it_failed() {
        let info = "[info] Input #0, mpegts, from 'http://a/':\n[info]   Duration: ";
        let told = |text: &str| heard(text).1.map(|opening| opening.has_length);
        assert_eq!(told(&format!("{info}N/A, start: 1.4\n")), Some(false));
        assert_eq!(told(&format!("{info}00:00:03.00, start: 0\n")), Some(true));
        let refused =
            "[tcp @ 0x55] [error] Connection to tcp://a:1 failed: Connection refused\n[error] tcp://a:1: Connection refused\n";
        let (listener, told) = heard(refused);
        assert_eq!((listener.error.as_deref(), told), (Some("Connection to tcp://a:1 failed: Connection refused"), None));
    }

    #[test]
    fn formats_without_stamps_are_known_by_their_names() {
        let counted = |format: &str| input(format, "").opening.counted;
        assert!(["mpjpeg", "h264", "jpeg_pipe"].into_iter().all(counted));
        assert!(!["mpegts", "rtsp", "hls", "mov,mp4,m4a,3gp,3g2,mj2", "flv", "matroska,webm"].into_iter().any(counted));
    }

    #[test]
    fn pictures_are_described_as_they_will_be_seen() {
        let seen =
            |stream: &str| input("mpegts", &format!("[info]   Stream #0:0[0x100]: Video: {stream}")).opening.pictures.unwrap();
        let size = |width, height| Some(Size { width, height });
        let woven = seen(
            "mpeg2video (Main) ([2][0][0][0] / 0x0002), yuv420p(tv, bt470bg/unknown/unknown, top first), 720x576 [SAR 16:15 DAR 4:3], \
             25 fps, 25 tbr, 90k tbn",
        );
        assert_eq!((woven.size, woven.rate), (size(768, 576), Some(25.0)));
        assert!(woven.treatment.interlaced && !woven.treatment.alpha);
        let plain = seen("h264 (High), yuv420p(progressive), 320x240, SAR 1:2 DAR 2:3, 29.97 fps, 29.97 tbr, 1k tbn (default)");
        assert_eq!((plain.size, plain.rate), (size(320, 480), Some(29.97)));
        assert!(!plain.treatment.interlaced);
        assert!(seen("ffv1 (FFV1 / 0x31564646), yuva420p(progressive), 64x48, 10 fps").treatment.alpha);
        assert!(seen("vp8, bgra, 64x48, 1k fps").rate.is_none());
        assert_eq!(seen("h264, none, 90k tbr, 90k tbn"), Described::default());
        let lies =
            "hevc, yuv420p(tv), 320x240, 25 fps\n[info]     Side data:\n[info]       displaymatrix: rotation of -90.00 degrees";
        assert_eq!(seen(lies).size, size(240, 320));
    }

    #[test]
    fn of_several_pictures_those_are_meant_that_ffmpeg_takes() {
        let several = |kinds: [&str; 3]| {
            let lines = kinds.map(|kind| format!("[info]   Stream #0:0: Video: h264, yuv420p, {kind}"));
            input("hls", &lines.join("\n")).opening.pictures.unwrap().size.unwrap().width
        };
        assert_eq!(several(["320x240, 25 fps", "640x480, 25 fps", "160x120, 25 fps"]), 640);
        assert_eq!(several(["320x240, 25 fps", "640x480, 25 fps", "160x120, 25 fps (default)"]), 160);
        assert_eq!(several(["320x240, 25 fps", "640x480 (attached pic)", "320x200, 25 fps"]), 320);
    }

    #[test]
    fn a_child_that_asks_has_said_all_and_is_answered() {
        let (question, stdin) = Question::new().unwrap();
        let script = "echo '[info] Input #0, rtsp, from a:' >&2; echo '[info]   Duration: N/A' >&2
            echo '[info]   Stream #0:0: Video: h264, yuv420p(top first), 64x48, 25 fps' >&2; read -r filter; echo $filter";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(stdin)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (opened, open) = mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        assert_eq!(listen(stderr, question, &opened), None);
        let told: Vec<Opening> = open.try_iter().collect();
        assert_eq!(told.iter().map(|opening| opening.pictures.is_some()).collect::<Vec<_>>(), [false, true]);
        let answer = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(answer.starts_with("bwdif") && answer.contains("pad=64:48"), "{answer}");
    }

    #[test]
    fn a_child_that_goes_without_asking_is_heard_to_its_end() {
        let (question, stdin) = Question::new().unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "exec <&-; echo '[error] gone' >&2"])
            .stdin(stdin)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        assert_eq!(listen(stderr, question, &mpsc::channel().0).as_deref(), Some("gone"));
        child.wait().unwrap();
    }
}
