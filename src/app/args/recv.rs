//! The command line of `recv`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use super::pattern::{self, Pattern};
use super::showing::{ShowFlags, Showing};
use super::{Command, Common, CommonFlags, Env, Idle, Wrong, file, units};
use crate::pipeline::record::Format;
use crate::present::writers::Overwrite;

/// Where pictures or sound are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Of one sender.
    Stdout,
    /// Of one sender.
    File(PathBuf),
    /// A file for each sender.
    Each(Pattern),
    /// Of all senders together: sound alone.
    Mix(Pattern),
}

/// Where pictures are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Which file, or files.
    pub place: Place,
    /// Decided by the file's name.
    pub format: Format,
}

/// What `recv` is told.
#[derive(Debug, Clone)]
pub struct Recv {
    /// What both programs are told.
    pub common: Common,
    /// How it is shown and heard.
    pub showing: Showing,
    /// Where pictures are written, if anywhere.
    pub output: Option<Output>,
    /// Where sound is written as WAV, if anywhere.
    pub audio_output: Option<Place>,
    /// What files may be written over.
    pub overwrite: Overwrite,
}

const EXAMPLES: &str = "\
Examples:
  recv                                        list who sends on this network, show who dials
  recv --host kitchen                         dial the `send` that is called kitchen
  recv --host 192.168.1.7 -f --speaker usb    fill the screen, sound on another speaker
  recv --host lab --host attic                two cameras side by side
  recv --record talk.mkv                      and record all of it, pictures and sound
  recv --no-window --output a.y4m --audio-output a.wav
  recv --output {name}.y4m --audio-output {name}.wav
  recv --output {name}.y4m --audio-output {mix}.wav
  recv --no-window --no-audio --output - | ffmpeg -i - talk.mp4

Keys in the window: q quit, f or F11 full screen, Esc leaves it, Space pauses a
film or freezes, Left/Right 5 s in a film, m mutes, x silences one, Up/Down or
+/- volume, 1-9 or Tab one large, 0 all alike, s keeps the picture, r records,
R keeps the last seconds, i figures, w code of --web, ? help.
Who is given a host dials, who is not waits, and is found by its name on its own
network; elsewhere dial its address. All is encrypted; without a key, who waits
admits anybody of its local network.
Exit code: 0 ended normally, 1 failed, 2 wrong usage, 3 device, 4 peer lost.";

/// What the ends of names promise: pictures alone, pictures and sound, sound alone. Of each there is more than is written here.
const PICTURES: [&str; 7] = ["y4m", "mjpeg", "mjpg", "gif", "png", "jpg", "jpeg"];
const FILMS: [&str; 8] = ["mp4", "mkv", "webm", "mov", "avi", "ts", "mpg", "flv"];
const SOUNDS: [&str; 9] = ["wav", "wave", "mp3", "m4a", "aac", "ogg", "opus", "flac", "wma"];

/// Show and play what `send` sends from another machine, with the least latency
#[derive(Parser, Debug)]
#[command(name = "recv", version, after_help = EXAMPLES, max_term_width = 110, disable_help_flag = true, disable_version_flag = true)]
struct Flags {
    /// Dial sends that wait: names or addresses[:port]; the same as --host [default: wait]
    #[arg(value_name = "HOST", value_parser = super::dial)]
    dial: Vec<units::HostText>,

    /// Dial a send that waits: name or address[:port]; repeat it for more [default: wait]
    #[arg(long, value_name = "HOST", value_parser = units::host, help_heading = "Connection")]
    host: Vec<units::HostText>,

    #[command(flatten)]
    show: ShowFlags,

    /// Play no sound
    #[arg(long, help_heading = "What to do with it")]
    no_audio: bool,

    /// Write pictures as y4m, or, when its name ends in .mjpeg or .mjpg, as the JPEGs that came; `-` is y4m on stdout. Of one
    /// sender, or, where its name has `{name}` in it, a file for each, called by the sender's name
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = "What to do with it")]
    output: Option<PathBuf>,

    /// Write sound as WAV, in step with --output; of one sender, with `{name}` a file for each, with `{mix}` in its name
    /// (which becomes "mix") one of all senders together
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = "What to do with it")]
    audio_output: Option<PathBuf>,

    /// Write over whatever is there by these names: on a terminal they must be new, elsewhere new or files of yours; with
    /// `{name}` or `{mix}` files that are there are left, and a number makes the name new
    #[arg(long, help_heading = "What to do with it")]
    overwrite: bool,

    #[command(flatten)]
    common: CommonFlags,
}

/// What clap knows of it.
pub(super) fn command() -> clap::Command {
    <Flags as clap::CommandFactory>::command()
}

/// Reads the command line of `recv`, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>, env: &Env) -> Result<Command<Recv>, clap::Error> {
    super::parse(args, env, resolve)
}

fn resolve(flags: Flags, env: &Env) -> Result<Command<Recv>, Wrong> {
    if let Some(aside) = flags.common.aside(env) {
        return Ok(aside);
    }
    let output = flags.output.map(output).transpose()?;
    let records_to_stdout = flags.common.records_to_stdout();
    if output.as_ref().is_some_and(|output| output.place == Place::Stdout) {
        if flags.common.prints_statistics() {
            return Err(Wrong::conflict("--output - and --stats json both want stdout: give --output a file"));
        }
        if records_to_stdout {
            return Err(Wrong::conflict("--output - and --record - both want stdout: give one of them a file"));
        }
        if env.stdout_is_terminal {
            let sentence = "--output - would print pictures on the terminal: pipe stdout somewhere, or name a file";
            return Err(Wrong(ErrorKind::ValueValidation, sentence.into()));
        }
    }
    let audio_output = flags.audio_output.map(audio_output).transpose()?;
    if let (Some(output), Some(sound)) = (&output, &audio_output) {
        fit(&output.place, sound)?;
    }
    let is_idle = flags.overwrite && output.is_none() && audio_output.is_none();
    let overwrites = is_idle.then_some(Idle("overwrite", "nothing is written without --output or --audio-output"));
    let idle = flags.common.idle(flags.show.has_window()).chain(flags.show.idle()).chain(overwrites);
    let warnings = env.warnings(idle).collect();
    let showing = flags.show.resolve(flags.no_audio);
    let mut common = flags.common.resolve([flags.dial, flags.host].concat(), env, warnings)?;
    if output.as_ref().is_some_and(|output| output.place == Place::Stdout) {
        common.shares_terminal();
    }
    let overwrite = match (flags.overwrite, env.on_terminal) {
        (true, _) => Overwrite::Anything,
        (false, true) => Overwrite::Nothing,
        (false, false) => Overwrite::Own,
    };
    super::rtp::fit(&showing.rtp_in, &common)?;
    let recv = Recv { common, showing, output, audio_output, overwrite };
    if recv.takes_one() && recv.common.rendezvous.dial.len() + recv.showing.rtp_in.len() > 1 {
        let sentence = "without {name} a file takes one sender, and several are given: name it like '{name}.y4m', or '{name}.wav' for sound, \
                        and each sender has its own";
        return Err(Wrong::conflict(sentence));
    }
    Ok(Command::Run(Box::new(recv)))
}

impl Recv {
    /// Whether something is written that has room for one sender alone.
    pub fn takes_one(&self) -> bool {
        let places = self.output.iter().map(|output| &output.place).chain(&self.audio_output);
        places.into_iter().any(|place| matches!(place, Place::Stdout | Place::File(_)))
    }
}

fn output(path: PathBuf) -> Result<Output, Wrong> {
    if path.as_os_str() == "-" {
        return Ok(Output { place: Place::Stdout, format: Format::Y4m });
    }
    let (kind, name) = (extension(&path), path.display());
    let kind = kind.as_str();
    let cure = match kind {
        "y4m" | "mjpeg" | "mjpg" => None,
        _ if SOUNDS.contains(&kind) => Some("sound is written by --audio-output".to_string()),
        // What goes through a pipe is of one sender.
        _ if (PICTURES.contains(&kind) || FILMS.contains(&kind)) && Pattern::of(&path).is_some() => {
            let y4m = path.with_extension("y4m");
            Some(format!("write {} and convert each file when it is finished: ffmpeg -i a.y4m a.{kind}", y4m.display()))
        }
        _ if PICTURES.contains(&kind) || FILMS.contains(&kind) => Some(format!("pipe it: recv --output - | ffmpeg -i - {name}")),
        _ => None,
    };
    if let Some(cure) = cure {
        return Err(Wrong::conflict(format!("--output writes y4m or .mjpeg, and {name} promises .{kind}; {cure}")));
    }
    let format = if matches!(kind, "mjpeg" | "mjpg") { Format::Mjpeg } else { Format::Y4m };
    if path.to_string_lossy().contains(pattern::MIX) {
        return Err(Wrong::conflict("{mix} is for sound: --audio-output {mix}.wav; --output takes {name}"));
    }
    if let Some(braces) = pattern::meaningless(&path) {
        let sentence = format!("--output {}: {braces} stands for nothing; {{name}} does, for each sender's name", path.display());
        return Err(Wrong::conflict(sentence));
    }
    Ok(Output { place: place("--output", path)?, format })
}

fn audio_output(path: PathBuf) -> Result<Place, Wrong> {
    if path.as_os_str() == "-" {
        return Err(Wrong::conflict("--audio-output needs a file: only pictures can go to stdout"));
    }
    let (kind, name) = (extension(&path), path.display());
    let kind = kind.as_str();
    let cure = match kind {
        "wav" | "wave" => None,
        _ if PICTURES.contains(&kind) => Some("; pictures are written by --output".to_string()),
        _ if FILMS.contains(&kind) || SOUNDS.contains(&kind) => Some(format!(", and convert that: ffmpeg -i sound.wav {name}")),
        _ => None,
    };
    if let Some(cure) = cure {
        let sentence = format!("--audio-output writes WAV, and {name} promises .{kind}: give it a .wav name{cure}");
        return Err(Wrong::conflict(sentence));
    }
    if pattern::in_folder(&path, pattern::MIX) {
        return Err(Wrong::conflict(format!(
            "--audio-output {}: {{mix}} can be in the name of a file, not of a folder",
            path.display()
        )));
    }
    if let Some(braces) = pattern::meaningless(&path) {
        return Err(Wrong::conflict(format!(
            "--audio-output {}: {braces} stands for nothing; {{name}} does, for each sender's name, and {{mix}}, for the sound \
             of all",
            path.display()
        )));
    }
    match (place("--audio-output", path.clone())?, Pattern::of_mix(&path)) {
        (Place::Each(_), Some(_)) => {
            Err(Wrong::conflict("--audio-output takes {name}, a file for each sender, or {mix}, one of all"))
        }
        (place, mix) => Ok(mix.map_or(place, Place::Mix)),
    }
}

fn place(flag: &str, path: PathBuf) -> Result<Place, Wrong> {
    if pattern::in_folder(&path, pattern::NAME) {
        let path = path.display();
        return Err(Wrong::conflict(format!("{flag} {path}: {{name}} can be in the name of a file, not of a folder")));
    }
    Ok(Pattern::of(&path).map_or(Place::File(path), Place::Each))
}

/// Whether pictures and sound can be written to these two.
fn fit(output: &Place, sound: &Place) -> Result<(), Wrong> {
    let sentence = match (output, sound) {
        (Place::File(one), Place::Mix(other)) if *one == other.mix(1) => {
            "--output and --audio-output name the same file: give each its own"
        }
        (one, other) if one == other => "--output and --audio-output name the same file: give each its own",
        (Place::Each(_), Place::File(_)) => {
            "--output has {name}, a file for each sender, and --audio-output takes one sender: put {name} into both, or into none"
        }
        (Place::Stdout | Place::File(_), Place::Each(_)) => {
            "--audio-output has {name}, a file for each sender, and --output takes one sender: put {name} into both, or into none"
        }
        _ => return Ok(()),
    };
    Err(Wrong::conflict(sentence))
}

/// How its name ends, in lower case.
fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::showing::Speaker;
    use super::*;
    use clap::CommandFactory;
    use eyeline_proto::media::hold::Latency;
    use std::time::Duration;

    fn config(line: &str) -> Recv {
        match parse(line.split_whitespace().map(OsString::from), &Env::default()) {
            Ok(Command::Run(config)) => *config,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal_in(line: &str, env: &Env) -> String {
        let error = parse(line.split_whitespace().map(OsString::from), env).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        error.to_string()
    }

    fn refusal(line: &str) -> String {
        refusal_in(line, &Env::default())
    }

    #[test]
    fn clap_finds_no_fault_in_the_flags() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_window_and_the_default_speaker_are_the_default() {
        let recv = config("recv");
        assert_eq!((recv.showing.window, recv.showing.fullscreen, recv.showing.speaker), (true, false, Speaker::Default));
        assert_eq!((recv.output, recv.audio_output), (None, None));
    }

    #[test]
    fn hosts_are_dialled_and_with_wait_others_may_come_too() {
        let rendezvous = |flags: &str| config(flags).common.rendezvous;
        assert_eq!(rendezvous("recv a --host b").dial.len(), 2);
        assert_eq!(rendezvous("recv camera.local"), rendezvous("recv --host camera.local"));
        assert!(rendezvous("recv a").wait.is_none() && rendezvous("recv a --wait").wait.is_some());
    }

    #[test]
    fn without_a_window_nothing_can_fill_the_screen() {
        assert!(refusal("recv --no-window -f").contains("cannot be used with"));
        assert!(config("recv -f").showing.fullscreen);
    }

    #[test]
    fn without_window_and_output_it_only_measures() {
        let recv = config("recv --no-window --stats json");
        assert!(!recv.showing.window && recv.output.is_none() && recv.common.stats_json);
    }

    #[test]
    fn sound_is_played_where_the_user_says() {
        assert_eq!(config("recv --speaker 1").showing.speaker, Speaker::Named("1".into()));
        let silent = config("recv --no-audio --audio-output a.wav");
        assert_eq!((silent.showing.speaker, silent.audio_output), (Speaker::Off, Some(Place::File("a.wav".into()))));
        assert!(refusal("recv --no-audio --speaker 1").contains("cannot be used with"));
    }

    #[test]
    fn the_name_of_the_output_decides_its_format() {
        let output = |line| config(line).output.unwrap();
        let file = |name: &str, format| Output { place: Place::File(name.into()), format };
        assert_eq!(output("recv --output a.mjpeg"), file("a.mjpeg", Format::Mjpeg));
        assert_eq!(output("recv --output a.MJPG"), file("a.MJPG", Format::Mjpeg));
        assert_eq!(output("recv --output a.y4m"), file("a.y4m", Format::Y4m));
        assert_eq!(output("recv --output plain"), file("plain", Format::Y4m));
        assert_eq!(output("recv --output -"), Output { place: Place::Stdout, format: Format::Y4m });
        let each = |name: &str, format| Output { place: Place::Each(Pattern::of(Path::new(name)).unwrap()), format };
        assert_eq!(output("recv --output to/{name}.y4m"), each("to/{name}.y4m", Format::Y4m));
        assert_eq!(output("recv --output of-{name}.MJPEG"), each("of-{name}.MJPEG", Format::Mjpeg));
    }

    #[test]
    fn a_file_takes_one_sender_unless_each_has_its_own() {
        for one in ["--output x.y4m", "--output -", "--audio-output x.wav"] {
            assert!(config(&format!("recv {one}")).takes_one() && config(&format!("recv a --wait {one}")).takes_one(), "{one}");
            let sentence = refusal(&format!("recv a b {one}"));
            assert!(sentence.contains("without {name} a file takes one sender, and several are given"), "{sentence}");
        }
        for each in ["--output {name}.y4m", "--audio-output {name}.wav", "--output {name}.mjpg --audio-output {name}.wav"] {
            assert!(!config(&format!("recv a b --wait {each}")).takes_one(), "{each}");
        }
        for both in ["--output {name}.y4m --audio-output a.wav", "--output - --audio-output {name}.wav"] {
            assert!(refusal(&format!("recv {both}")).contains("put {name} into both, or into none"), "{both}");
        }
        assert!(refusal("recv --output {name} --audio-output {name}").contains("the same file"));
        let mix = config("recv a b --output {name}.y4m --audio-output to/{mix}.wav");
        assert!(!mix.takes_one() && mix.audio_output == Pattern::of_mix(Path::new("to/{mix}.wav")).map(Place::Mix));
        assert!(config("recv a --output a.y4m --audio-output {mix}.wav").takes_one());
        assert!(refusal("recv --output {mix}.y4m").contains("{mix} is for sound"));
        assert!(refusal("recv --audio-output {mix}-{name}.wav").contains("or {mix}, one of all"));
        assert!(refusal("recv --audio-output {mix}/a.wav").contains("not of a folder"));
        assert!(refusal("recv --output mix --audio-output {mix}").contains("the same file"));
        assert!(refusal("recv --output {name}/a.y4m").contains("{name} can be in the name of a file, not of a folder"));
    }

    #[test]
    fn a_name_that_promises_another_format_is_refused_with_the_cure() {
        assert!(refusal("recv --output talk.mp4").contains("recv --output - | ffmpeg -i - talk.mp4"));
        let each = refusal("recv --output to/{name}.mp4");
        assert!(each.contains("write to/{name}.y4m and convert each file") && each.contains("ffmpeg -i a.y4m a.mp4"), "{each}");
        assert!(refusal("recv --output talk.WAV").contains("promises .wav; sound is written by --audio-output"));
        for pictures in ["y4m", "mjpeg", "MJPG", "png"] {
            let sentence = refusal(&format!("recv --audio-output x.{pictures}"));
            assert!(sentence.contains("give it a .wav name; pictures are written by --output"), "{sentence}");
        }
        let sentence = refusal("recv --audio-output talk.mp3");
        assert!(
            sentence.contains("writes WAV, and talk.mp3 promises .mp3") && sentence.contains("ffmpeg -i sound.wav talk.mp3"),
            "{sentence}"
        );
        assert!(config("recv --output talk.y4m --audio-output talk.wav").common.warnings.is_empty());
        assert!(config("recv --output plain --audio-output plain.pcm").common.warnings.is_empty());
    }

    #[test]
    fn cameras_that_are_not_ours_come_to_who_waits() {
        assert_eq!(config("recv --rtp-in 5004 --rtp-in a.sdp").showing.rtp_in.len(), 2);
        assert!(refusal("recv a --rtp-in 5004").contains("add --wait"));
        assert_eq!(config("recv a --wait --rtp-in 5004").showing.rtp_in.len(), 1);
        assert!(refusal("recv --rtp-in 5004 --rtp-in 5008 --output a.y4m").contains("a file takes one sender"));
        assert!(refusal(&format!("recv{}", " --rtp-in a.sdp".repeat(5))).contains("4 cameras are taken in at most"));
        assert!(refusal("recv --rtp-in 5004 --only-paired").contains("give a key as well"));
    }

    #[test]
    fn braces_that_stand_for_nothing_are_refused_with_what_there_is() {
        for (line, braces) in [("--output {NAME}.y4m", "{NAME}"), ("--output {name}-{n}", "{n}"), ("--output a{.y4m", "{")] {
            let sentence = refusal(&format!("recv {line}"));
            assert!(sentence.contains(&format!(": {braces} stands for nothing; {{name}} does, for each")), "{sentence}");
        }
        let sentence = refusal("recv --audio-output {nmae}.wav");
        assert!(
            sentence.contains("{nmae} stands for nothing; {name} does") && sentence.contains("and {mix}, for the"),
            "{sentence}"
        );
    }

    #[test]
    fn a_person_is_asked_before_a_file_is_written_over_and_a_script_is_not() {
        let terminal = Env { on_terminal: true, ..Env::default() };
        let overwrite = |line: &str, env: &Env| match parse(line.split_whitespace().map(OsString::from), env) {
            Ok(Command::Run(config)) => config.overwrite,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(overwrite("recv --output a", &Env::default()), Overwrite::Own);
        assert_eq!(overwrite("recv --output a", &terminal), Overwrite::Nothing);
        assert_eq!(overwrite("recv --output a --overwrite", &terminal), Overwrite::Anything);
    }

    #[test]
    fn latency_is_a_time_with_its_unit_or_auto() {
        assert_eq!(config("recv").showing.latency, Latency::Auto);
        assert_eq!(config("recv --latency auto").showing.latency, Latency::Auto);
        assert_eq!(config("recv --latency 80ms").showing.latency, Latency::Fixed(Duration::from_millis(80)));
        assert_eq!(config("recv --latency 1.5s").showing.latency, Latency::Fixed(Duration::from_millis(1500)));
        assert!(refusal("recv --latency 80").contains("its unit: 80ms, or auto"));
        assert!(refusal("recv --latency 1.5").contains("its unit: 1.5s or 1.5ms, or auto"));
        assert!(refusal("recv --latency 5000").contains("its unit: 80ms, or auto"));
        assert!(refusal("recv --latency soon").contains("write a time like 80ms or 1.5s, or auto"));
        assert!(refusal("recv --latency 0s").contains("`auto` is as little"));
        assert!(refusal("recv --latency 3s").contains("at most 2s"));
    }

    #[test]
    fn stdout_carries_one_kind_of_data_and_not_to_a_terminal() {
        assert!(refusal("recv --output - --stats json").contains("both want stdout"));
        let terminal = Env { stdout_is_terminal: true, ..Env::default() };
        assert!(refusal_in("recv --output -", &terminal).contains("on the terminal"));
        assert!(refusal("recv --audio-output -").contains("--audio-output needs a file"));
        assert!(refusal("recv --output a --audio-output a").contains("the same file"));
    }
}
