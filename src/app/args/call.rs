//! The command line of `call`.

use std::ffi::OsString;

use clap::Parser;

use super::send::{Send, Sound, SourceFlags};
use super::showing::{ShowFlags, Showing, Speaker};
use super::voice::{Voice, VoiceFlags};
use super::{Command, CommonFlags, Env, Idle, Wrong, units};
use crate::sound_card::PLAYED;

/// What `call` is told.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is sent, and to whom; neither pictures nor sound where nobody sits here.
    pub send: Send,
    /// How the others are shown and heard.
    pub showing: Showing,
    /// What becomes of what the microphone hears.
    pub voice: Voice,
    /// Lines on stdin are said to all.
    pub chat: bool,
    /// Whoever dials is let in once somebody says so.
    pub ask: bool,
}

impl Call {
    /// Whether what the others say is played where our sound comes from, and goes back to them.
    pub fn echoes(&self) -> bool {
        let played = matches!(&self.send.sound, Some(Sound::Microphone(Some(which))) if which == PLAYED);
        played && self.showing.speaker == Speaker::Default
    }
}

const EXAMPLES: &str = "\
Examples:
  call                       wait for others to dial, and see and hear them all;
                             lists who else waits on this network
  call --host lab            join the `call` that is called lab
  call --ask                 wait, and be asked before anybody is let in
  call --no-video            take part without a camera
  call --no-video --no-audio --no-window
                             a meeting point without a person
  recv --host lab.local      watch a meeting; send --host lab.local adds a camera

Who waits is the meeting point: what each one sends there goes to all others.
Echo is cancelled. Over loud speakers who interrupts somebody is muted: for
talk at once wear headphones.
Keys in the window: q quit, m mutes yourself, M mutes the others, c closes the
camera, v hides your own picture, Enter writes to all, y lets in who calls,
n does not, f or F11 full screen, Esc leaves it, Space pauses a film or freezes,
Left/Right 5 s in a film, x silences one, Up/Down or +/- volume, 1-9 or Tab one
large, 0 all alike, s keeps the picture, r records, R keeps the last seconds,
i figures, w code of --web, ? help.
All is encrypted; without a key, who waits admits anybody of its local network.
Exit code: 0 ended normally, 1 failed, 2 wrong usage, 3 device, 4 peer lost.";

/// See and hear others, and be seen and heard: `call` on one machine, `call --host THERE` on the others
#[derive(Parser, Debug)]
#[command(name = "call", version, after_help = EXAMPLES, max_term_width = 110, disable_help_flag = true, disable_version_flag = true)]
struct Flags {
    /// Dial calls that wait: names or addresses[:port]; the same as --host [default: wait]
    #[arg(value_name = "HOST", value_parser = super::dial)]
    dial: Vec<units::HostText>,

    /// Dial a call that waits: name or address[:port]; may be repeated [default: wait]
    #[arg(long, value_name = "HOST", value_parser = units::host, help_heading = "Connection")]
    host: Vec<units::HostText>,

    #[command(flatten)]
    source: SourceFlags,

    #[command(flatten)]
    voice: VoiceFlags,

    #[command(flatten)]
    show: ShowFlags,

    /// Say to all what is typed on stdin, line by line
    #[arg(long, help_heading = "What to do with it")]
    chat: bool,

    /// Ask before anybody who dials is let in: y lets in, n does not
    #[arg(long, help_heading = "Connection")]
    ask: bool,

    #[command(flatten)]
    common: CommonFlags,
}

/// What clap knows of it.
pub(super) fn command() -> clap::Command {
    <Flags as clap::CommandFactory>::command()
}

/// Reads the command line of `call`, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>, env: &Env) -> Result<Command<Call>, clap::Error> {
    super::parse(args, env, resolve)
}

fn resolve(flags: Flags, env: &Env) -> Result<Command<Call>, Wrong> {
    if let Some(aside) = flags.common.aside(env) {
        return Ok(aside);
    }
    let idle = flags.common.idle(flags.show.has_window()).chain(flags.show.idle());
    let showing = flags.show.resolve(flags.source.is_silent());
    let hosts = [flags.dial, flags.host].concat();
    let mut send = flags.source.resolve(flags.common, hosts, env)?;
    let idle = idle.chain(flags.voice.idle(send.sound.as_ref()));
    send.common.warnings.extend(env.warnings(idle));
    super::rtp::fit(&showing.rtp_in, &send.common)?;
    if flags.chat || flags.ask && !showing.window {
        send.common.shares_terminal();
    }
    if flags.chat && matches!(send.source, super::send::Source::Stdin) {
        return Err(Wrong::conflict("--chat and --file - both want stdin: leave one of them out"));
    }
    if flags.ask && !showing.window && !flags.chat && !env.stdin_is_terminal {
        return Err(Wrong::conflict("--ask has nobody to ask: give it a window, a terminal, or --chat and answers on stdin"));
    }
    if flags.ask && send.common.rendezvous.wait.is_none() {
        send.common.warnings.extend(env.warnings([Idle("ask", "nobody dials where only --host dials; --wait waits as well")]));
    }
    Ok(Command::Run(Box::new(Call { send, showing, voice: flags.voice.resolve(), chat: flags.chat, ask: flags.ask })))
}

#[cfg(test)]
mod tests {
    use super::super::send::Source;
    use super::*;
    use clap::CommandFactory;

    fn config(line: &str) -> Call {
        match parse(line.split_whitespace().map(OsString::from), &Env::default()) {
            Ok(Command::Run(config)) => *config,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn clap_finds_no_fault_in_the_flags() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_call_sends_and_shows_unless_it_is_told_otherwise() {
        let call = config("call --host lab --name Ada");
        assert_eq!((&call.send.source, &call.send.sound), (&Source::Camera(None), &Some(Sound::Microphone(None))));
        assert_eq!(
            (call.showing.window, call.showing.speaker, call.send.common.name.as_deref()),
            (true, Speaker::Default, Some("Ada"))
        );
        let point = config("call --no-video --no-audio --no-window");
        assert_eq!(
            (point.send.video, point.send.sound, point.showing.window, point.showing.speaker),
            (false, None, false, Speaker::Off)
        );
    }

    #[test]
    fn who_sends_what_this_machine_plays_sends_the_others_back_unless_they_are_played_elsewhere() {
        let lines =
            ["call --mic speakers", "call --screen --mic speakers --speaker headset", "call --mic usb", "call --no-audio"];
        assert_eq!(lines.map(|line| config(line).echoes()), [true, false, false, false]);
    }

    #[test]
    fn two_readers_of_stdin_are_refused() {
        let line = "call --file - --chat";
        let error = parse(line.split_whitespace().map(OsString::from), &Env::default()).unwrap_err();
        assert!(error.to_string().contains("both want stdin"), "{error}");
    }
}
