//! The command line of `send`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::lens::LensFlags;
use super::window::{Frame, WindowFlags};
use super::{Command, Common, CommonFlags, Env, Pairing, Wrong, device, units};
use crate::capture::camera::Controls;
use crate::capture::screen::Which;
use eyeline_proto::media::foreign::Passthrough;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::picture::{Size, Turn};
use eyeline_proto::rate::Rate;
use eyeline_proto::session::sound_form::Wish;

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A camera: index, name or path as typed; the first one without.
    Camera(Option<String>),
    /// A film at its own pace.
    Film {
        /// Any container and codec the `ffmpeg` program reads.
        path: PathBuf,
        /// Start again at its end.
        looped: bool,
    },
    /// Live y4m or JPEGs on stdin.
    Stdin,
    /// What is seen on this machine's screen.
    Screen(Which),
    /// The test picture.
    Test,
}

/// Where sound comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sound {
    /// A microphone: index or name as typed; the system's default without.
    Microphone(Option<String>),
    /// From the picture's source: the film's own sound, the test tone.
    Source,
}

/// What `send` is told.
#[derive(Debug, Clone)]
pub struct Send {
    /// What both programs are told.
    pub common: Common,
    /// The source; of its pictures and sound only what the next two say is sent.
    pub source: Source,
    /// Whether pictures are sent.
    pub video: bool,
    /// The sound to send, if any.
    pub sound: Option<Sound>,
    /// In which form it is sent, where it is live.
    pub sound_form: Wish,
    /// Stop when there is no sound, instead of going on with pictures alone.
    pub require_audio: bool,
    /// Size to ask the camera for, or of the test picture.
    pub size: Option<Size>,
    /// Rate to ask the camera for, or of the test picture, or of JPEGs on stdin.
    pub fps: Option<Rate>,
    /// What is set of the camera beside these.
    pub controls: Controls,
    /// How pictures are turned before they are sent.
    pub turn: Turn,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Only what changed is sent, where that is less.
    pub replenish: bool,
    /// What may become of a camera's own JPEGs.
    pub passthrough: Passthrough,
    /// Scale pictures to this width before encoding.
    pub width: Option<u32>,
    /// No receiver is ever sent more than this.
    pub bitrate: Option<Bitrate>,
    /// Show a window of what is sent, and what is asked of that.
    pub preview: Option<Frame>,
}

const EXAMPLES: &str = "\
Examples:
  send                            the first camera and microphone, to whoever dials this machine
  send --host lab.local           the same, to a `recv` that waits on lab.local
  send --list                     which cameras, modes and microphones there are
  send --camera 1 -s 720p -r 60   another camera, in a mode of your choice
  send --file talk.mp4 --loop     a film, over and over
  send --file rtsp://door/        a network camera, or whatever else ffmpeg reads
  send --screen                   what is on the screen; --mic speakers sends what it plays
  send --test                     no devices needed: a test picture and a tone
  ffmpeg -i clip.mp4 -f yuv4mpegpipe - | send --file -

Who is given a host dials, who is not waits: plain `recv` on the other machine
lists this one and dials it by a digit, `recv THIS-MACHINE` at once. All is
encrypted; without a key, who waits admits anybody of its local network.
Exit code: 0 ended normally, 1 failed, 2 wrong usage, 3 device, 4 peer lost.";

/// Send a live camera and microphone to `recv` on another machine, with the least latency
#[derive(Parser, Debug)]
#[command(name = "send", version, after_help = EXAMPLES, max_term_width = 110, disable_help_flag = true, disable_version_flag = true)]
struct Flags {
    /// Dial recvs that wait: names or addresses[:port]; the same as --host [default: wait]
    #[arg(value_name = "HOST", value_parser = super::dial)]
    dial: Vec<units::HostText>,

    /// Dial a recv that waits: name or address[:port]; may be repeated [default: wait]
    #[arg(long, value_name = "HOST", value_parser = units::host, help_heading = "Connection")]
    host: Vec<units::HostText>,

    #[command(flatten)]
    source: SourceFlags,

    /// Show a window of what is sent; its picture comes as soon as somebody watches
    #[arg(long, conflicts_with = "no_video", help_heading = "Picture")]
    preview: bool,

    #[command(flatten)]
    window: WindowFlags,

    #[command(flatten)]
    common: CommonFlags,
}

/// What is sent, and how.
#[derive(clap::Args, Debug)]
pub(super) struct SourceFlags {
    /// Camera: index, part of its name, or path [default: the first]
    #[arg(long, value_name = "WHICH", value_parser = device, group = "source", help_heading = "What to send")]
    camera: Option<String>,

    /// A film with its sound, at its own pace, a still, or an address like rtsp://DOOR/; `-` takes live y4m or JPEGs from stdin
    #[arg(long, value_name = "PATH", value_parser = film_name(), allow_hyphen_values = true, group = "source", help_heading = "What to send")]
    file: Option<PathBuf>,

    /// The screen: a monitor by name or number, a part like 800x600+0+0, all, window, or a window's 0x number [default: the
    /// primary monitor]; on a Wayland desktop what its dialog asks, ask: once more
    #[arg(
        long,
        value_name = "SCREEN",
        value_parser = units::screen,
        num_args = 0..=1,
        default_missing_value = "primary",
        group = "source",
        help_heading = "What to send"
    )]
    screen: Option<Which>,

    /// A test picture and a tone: no device needed
    #[arg(long, group = "source", help_heading = "What to send")]
    test: bool,

    /// Start the film again at its end
    #[arg(long, help_heading = "What to send")]
    r#loop: bool,

    /// Microphone: index or part of its name, or speakers: what this machine plays [default: the system's]
    #[arg(long, value_name = "WHICH", value_parser = device, conflicts_with = "no_audio", help_heading = "What to send")]
    mic: Option<String>,

    /// Send no pictures
    #[arg(long, conflicts_with_all = ["camera", "screen"], help_heading = "What to send")]
    no_video: bool,

    /// Send no sound; a `call` plays none, either
    #[arg(long, help_heading = "What to send")]
    no_audio: bool,

    /// How live sound is sent: pcm, as it is; opus, compressed, to who decodes that; auto, compressed where the path is narrow
    /// [default: auto]
    #[arg(
        long,
        value_name = "auto|pcm|opus",
        value_parser = units::sound_form,
        default_value = "auto",
        hide_default_value = true,
        conflicts_with = "no_audio",
        help_heading = "What to send"
    )]
    sound: Wish,

    /// Stop if there is no microphone, instead of going on with pictures alone
    #[arg(long, conflicts_with = "no_audio", help_heading = "What to send")]
    require_audio: bool,

    /// Size of the camera's picture, like 1280x720 or 720p [default: the best for little delay]
    #[arg(short, long, visible_alias = "resolution", value_name = "WxH", value_parser = units::size, help_heading = "Picture")]
    size: Option<Size>,

    /// Pictures a second of the camera, like 30 or 29.97
    #[arg(short = 'r', long, visible_alias = "framerate", value_name = "N", value_parser = units::fps, help_heading = "Picture")]
    fps: Option<Rate>,

    #[command(flatten)]
    lens: LensFlags,

    /// JPEG quality, 1 to 100; JPEGs that a camera makes go as they are
    #[arg(short, long, value_name = "N", default_value_t = 80, value_parser = units::quality, help_heading = "Picture")]
    quality: u8,

    /// Send only what changed of a live raw picture, where that is less, or all of each [default: auto]
    #[arg(
        long,
        value_name = "auto|off",
        value_parser = units::replenish,
        action = clap::ArgAction::Set,
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Picture"
    )]
    replenish: bool,

    /// What becomes of JPEGs of a camera: `on`, they, or what changed in them, go as they are; `off`, they are encoded anew;
    /// `auto`, what the path has room for [default: auto]
    #[arg(
        long,
        value_name = "WAY",
        value_parser = units::passthrough,
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Picture"
    )]
    passthrough: Passthrough,

    /// Scale pictures to this width; the height follows
    #[arg(long, value_name = "N", value_parser = units::width, help_heading = "Picture")]
    width: Option<u32>,

    /// Never send a receiver more than this, like 8M or 800k bits a second [default: what the path takes]
    #[arg(short, long, value_name = "R", value_parser = units::bitrate, help_heading = "Picture")]
    bitrate: Option<Bitrate>,
}

/// Names of films are taken as they are; what begins with a dash is nearly always a flag whose neighbour lost its value.
fn film_name() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|name| match name.as_encoded_bytes() {
        [] => Err("name a film, a still or an address, `-` for stdin, or leave the flag out for the camera".to_string()),
        [b'-', _, ..] => Err(format!("a name that begins with a dash is written ./{}", name.to_string_lossy())),
        _ => Ok(PathBuf::from(name)),
    })
}

/// What clap knows of it.
pub(super) fn command() -> clap::Command {
    <Flags as clap::CommandFactory>::command()
}

/// Reads the command line of `send`, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>, env: &Env) -> Result<Command<Send>, clap::Error> {
    super::parse(args, env, resolve)
}

fn resolve(flags: Flags, env: &Env) -> Result<Command<Send>, Wrong> {
    if let Some(aside) = flags.common.aside(env) {
        return Ok(aside);
    }
    if flags.source.no_video && flags.source.no_audio {
        return Err(Wrong::conflict("--no-video cannot be used with --no-audio: nothing would be left to send"));
    }
    let idle_window = (!flags.preview).then(|| flags.window.idle("without --preview there is no window"));
    let idle = flags.common.idle(flags.preview).chain(idle_window.into_iter().flatten());
    let preview = flags.preview.then(|| flags.window.resolve());
    let hosts = [flags.dial, flags.host].concat();
    let mut send = flags.source.resolve(flags.common, hosts, env)?;
    send.common.warnings.extend(env.warnings(idle));
    Ok(Command::Run(Box::new(Send { preview, ..send })))
}

impl SourceFlags {
    /// What they ask for, sent to those whom the other flags name.
    pub fn resolve(self, common: CommonFlags, hosts: Vec<units::HostText>, env: &Env) -> Result<Send, Wrong> {
        let source = source(&self)?;
        let sound = sound(&self, &source)?;
        let mut warnings = Vec::new();
        let has_size = match source {
            Source::Camera(_) | Source::Test => None,
            Source::Screen(_) => Some("a screen has its own size; --width scales it, and --screen WxH+X+Y sends a part of it"),
            _ => Some("a film or a stream has its own size; --width scales it"),
        };
        if let Some(why) = has_size.filter(|_| self.size.is_some()) {
            warnings.push(format!("--size has no effect: {why}"));
        }
        if self.fps.is_some() && matches!(source, Source::Film { .. }) {
            warnings.push("--fps has no effect: a film goes at its own pace".into());
        }
        let common = common.resolve(hosts, env, warnings)?;
        if common.pairing == Some(Pairing::Ask) && source == Source::Stdin {
            return Err(Wrong::conflict("--pair and --file - both want stdin: give the code as --pair=CODE"));
        }
        Ok(Send {
            common,
            source,
            video: !self.no_video,
            sound,
            sound_form: self.sound,
            require_audio: self.require_audio,
            size: self.size,
            fps: self.fps,
            controls: self.lens.controls(),
            turn: self.lens.turn(),
            quality: self.quality,
            replenish: self.replenish,
            passthrough: self.passthrough,
            width: self.width,
            bitrate: self.bitrate,
            preview: None,
        })
    }

    /// No sound is wanted.
    pub fn is_silent(&self) -> bool {
        self.no_audio
    }
}

fn source(flags: &SourceFlags) -> Result<Source, Wrong> {
    let source = match &flags.file {
        _ if flags.test => Source::Test,
        _ if flags.screen.is_some() => Source::Screen(flags.screen.clone().unwrap_or_default()),
        Some(path) if path.as_os_str() == "-" => Source::Stdin,
        Some(path) => Source::Film { path: path.clone(), looped: flags.r#loop },
        None => Source::Camera(flags.camera.clone()),
    };
    if flags.r#loop && !matches!(source, Source::Film { .. }) {
        return Err(Wrong::conflict("--loop needs a film that can start again: --file FILM --loop"));
    }
    if flags.no_video && source == Source::Stdin {
        return Err(Wrong::conflict("--no-video leaves nothing of `--file -`, which has pictures alone; leave one of them out"));
    }
    Ok(source)
}

fn sound(flags: &SourceFlags, source: &Source) -> Result<Option<Sound>, Wrong> {
    if flags.no_audio {
        return Ok(None);
    }
    match source {
        Source::Film { .. } if flags.mic.is_some() => {
            Err(Wrong::conflict("--file has its own sound, or none: leave out --mic or --file"))
        }
        Source::Film { .. } => Ok(Some(Sound::Source)),
        Source::Test if flags.mic.is_none() => Ok(Some(Sound::Source)),
        Source::Stdin if flags.mic.is_none() && flags.require_audio => {
            Err(Wrong::conflict("--require-audio: there is no sound on stdin; add --mic WHICH"))
        }
        // A film on stdin has its own. Whoever pipes pictures in has not asked to be listened to.
        Source::Stdin if flags.mic.is_none() => Ok(Some(Sound::Source)),
        Source::Camera(_) | Source::Screen(_) | Source::Stdin | Source::Test => Ok(Some(Sound::Microphone(flags.mic.clone()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn config(line: &str) -> Send {
        match parse(line.split_whitespace().map(OsString::from), &Env::default()) {
            Ok(Command::Run(config)) => *config,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(line: &str) -> String {
        let error = parse(line.split_whitespace().map(OsString::from), &Env::default()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        error.to_string()
    }

    #[test]
    fn clap_finds_no_fault_in_the_flags() {
        Flags::command().debug_assert();
    }

    #[test]
    fn the_camera_and_the_microphone_are_the_default() {
        let send = config("send");
        assert_eq!((send.source, send.sound), (Source::Camera(None), Some(Sound::Microphone(None))));
        assert_eq!((send.video, send.quality, send.require_audio, send.preview), (true, 80, false, None));
    }

    #[test]
    fn a_source_is_a_camera_or_a_film_or_stdin_or_the_test_picture() {
        assert_eq!(config("send --camera /dev/video2").source, Source::Camera(Some("/dev/video2".into())));
        assert_eq!(config("send --file a.mp4 --loop").source, Source::Film { path: "a.mp4".into(), looped: true });
        assert_eq!(config("send --file -").source, Source::Stdin);
        assert_eq!(config("send --test").source, Source::Test);
        for line in ["send --test --camera 0", "send --file a --camera 0", "send --file - --test", "send --screen --test"] {
            assert!(refusal(line).contains("cannot be used with"), "{line}");
        }
    }

    #[test]
    fn a_screen_is_the_primary_monitor_unless_another_a_part_or_a_window_is_named() {
        let screen = |line| match config(line).source {
            Source::Screen(which) => which.to_string(),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(screen("send --screen"), "the primary monitor");
        assert_eq!(screen("send --screen --host lab"), "the primary monitor");
        assert_eq!(screen("send --screen HDMI-1 --mic speakers"), "monitor HDMI-1");
        assert_eq!(screen("send lab --screen 800x600+10+20"), "800x600+10+20");
        assert_eq!(screen("send --screen 0x1c00007"), "window 0x1c00007");
        assert!(refusal("send --screen 0xwindow").contains("write a window's number like 0x1c00007"));
        assert!(config("send --screen -s 720p").common.warnings[0].contains("--screen WxH+X+Y sends a part"));
        assert_eq!(config("send --screen").sound, Some(Sound::Microphone(None)));
    }

    #[test]
    fn a_name_that_begins_with_a_dash_is_told_how_to_be_written() {
        for line in ["send --file -dash.mp4", "send --file=-dash.mp4"] {
            assert!(refusal(line).contains("a name that begins with a dash is written ./-dash.mp4"), "{}", refusal(line));
        }
        assert_eq!(config("send --file ./-dash.mp4").source, Source::Film { path: "./-dash.mp4".into(), looped: false });
    }

    #[test]
    fn only_a_film_can_start_again() {
        for line in ["send --loop", "send --test --loop", "send --file - --loop"] {
            assert!(refusal(line).contains("--loop needs a film"), "{line}");
        }
    }

    #[test]
    fn a_film_without_its_flag_is_not_taken_for_a_host() {
        assert!(refusal("send films/talk.mp4").contains("files are named by a flag, like --file"));
        assert!(refusal("send Cargo.toml").contains("files are named by a flag"), "it is here");
    }

    #[test]
    fn sound_comes_with_the_source_unless_a_microphone_is_named() {
        let sound = |line| config(line).sound;
        let microphone = |which: &str| Some(Sound::Microphone(Some(which.into())));
        assert_eq!([sound("send --test"), sound("send --file a.mp4")], [Some(Sound::Source), Some(Sound::Source)]);
        assert_eq!([sound("send --test --mic 1"), sound("send --file - --mic usb")], [microphone("1"), microphone("usb")]);
        assert_eq!([sound("send --file -"), sound("send --no-audio")], [Some(Sound::Source), None]);
        assert!(refusal("send --file a.mp4 --mic 1").contains("leave out --mic or --file"));
        assert!(refusal("send --file - --require-audio").contains("add --mic WHICH"));
    }

    #[test]
    fn something_must_be_left_to_send() {
        for line in
            ["send --no-video --no-audio", "send --no-video --camera 0", "send --no-video --screen", "send --no-video --preview"]
        {
            assert!(refusal(line).contains("cannot be used with"), "{line}");
        }
        for line in ["send --require-audio --no-audio", "send --mic 1 --no-audio"] {
            assert!(refusal(line).contains("cannot be used with"), "{line}");
        }
        assert!(refusal("send --no-video --file -").contains("--no-video leaves nothing"));
        assert!(!config("send --no-video").video);
    }

    #[test]
    fn what_a_camera_is_asked_for_is_read() {
        let send = config("send -s 720p --framerate 12.5 -q 55 --width 640 --preview");
        assert_eq!(send.size, Some(Size { width: 1280, height: 720 }));
        assert_eq!((send.fps, send.quality), (Rate::new(25, 2), 55));
        assert_eq!((send.width, send.preview), (Some(640), Some(Frame::default())));
        assert_eq!(config("send --resolution=640x480").size, Some(Size { width: 640, height: 480 }));
        for line in ["send -q 0", "send -q 101", "send --width 0", "send -r 0", "send --camera="] {
            assert!(refusal(line).contains("invalid value") || refusal(line).contains("a value is required"), "{line}");
        }
    }

    #[test]
    fn flags_without_effect_are_named_in_a_warning() {
        let warnings = config("send --file a.mp4 -s 720p -r 30").common.warnings;
        assert!(warnings.len() == 2 && warnings[0].starts_with("--size has no effect") && warnings[1].starts_with("--fps has"));
        assert_eq!(config("send --test -s 720p -r 30").common.warnings, Vec::<String>::new());
    }
}
