//! What config files do, by the command lines of all three programs.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::send::{Sound, Source};
use super::super::{Command, Env, Recv, Send, Verbosity, call, recv, send};
use eyeline_proto::crypto::Psk;
use eyeline_proto::picture::{Size, Turn};

/// A file with this in it, which its owner alone can read.
struct File(PathBuf);

impl File {
    fn new(text: impl AsRef<[u8]>) -> File {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("eyeline-config-{}-{}.toml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        File(path)
    }

    fn env(&self) -> Env {
        Env { config: Some(self.0.clone()), ..Env::default() }
    }

    /// Of a sentence what stands after the file's name and this line.
    fn at<'a>(&self, line: usize, sentence: &'a str) -> &'a str {
        let place = format!("{}:{line}: ", self.0.display());
        sentence.split_once(&place).unwrap_or_else(|| panic!("not of line {line}: {sentence}")).1
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn words(line: &str) -> impl Iterator<Item = OsString> {
    line.split_whitespace().map(OsString::from)
}

fn sends_in(line: &str, env: &Env) -> Send {
    match send::parse(words(line), env) {
        Ok(Command::Run(send)) => *send,
        other => panic!("{line}: {other:?}"),
    }
}

/// What `send` does with this file and this command line.
fn sends(text: &str, line: &str) -> Send {
    sends_in(line, &File::new(text).env())
}

fn receives(text: &str, line: &str) -> Recv {
    match recv::parse(words(line), &File::new(text).env()) {
        Ok(Command::Run(recv)) => *recv,
        other => panic!("{line}: {other:?}"),
    }
}

fn refusal_in(line: &str, env: &Env) -> String {
    let error = match line.split(' ').next() {
        Some("send") => send::parse(words(line), env).err(),
        Some("recv") => recv::parse(words(line), env).err(),
        _ => call::parse(words(line), env).err(),
    };
    let error = error.unwrap_or_else(|| panic!("{line} is taken"));
    assert_eq!(error.exit_code(), 2, "{line}");
    error.to_string()
}

/// What plain `send` says of a file whose wrong line is the last.
fn wrong(text: &str) -> String {
    let file = File::new(text);
    file.at(text.lines().count(), &refusal_in("send", &file.env())).to_string()
}

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
    let text = "port = 5000\n[send]\nquality = 90\nsize = '720p'\nno-audio = true\nhost = ['lab', 'attic:7']\n";
    let (asked, typed) = (sends(text, "send"), sends(text, "send -q 50 -p 7 --host here -s 640x480"));
    assert_eq!((asked.quality, asked.size), (90, Some(Size { width: 1280, height: 720 })));
    assert_eq!((asked.sound, asked.width), (None, None));
    let hosts: Vec<String> = asked.common.rendezvous.dial.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["lab:5000", "attic:7"]);
    assert_eq!((typed.quality, typed.size), (50, Some(Size { width: 640, height: 480 })));
    assert_eq!(typed.common.rendezvous.dial[0].to_string(), "here:7");
    assert_eq!((typed.common.rendezvous.dial.len(), typed.sound), (1, None));
    assert_eq!(sends(text, "send --no-config").quality, 80);
    assert_eq!(sends("", "send").quality, 80);
}

#[test]
fn a_host_without_its_flag_goes_before_those_of_the_file_too() {
    let dial = sends("[send]\nhost = 'lab'", "send attic").common.rendezvous.dial;
    assert_eq!(dial.iter().map(ToString::to_string).collect::<Vec<_>>(), ["attic:9688"]);
}

#[test]
fn the_table_of_a_program_goes_before_what_stands_above_it() {
    let text = "no-audio = true\nstats = 'json'\nport = 5000\n[send]\nno-audio = false\nport = 9688\n";
    let asked = sends(text, "send");
    assert_eq!((asked.sound, asked.common.stats_json), (Some(Sound::Microphone(None)), true));
    assert_eq!(asked.common.rendezvous.wait.map(|address| address.port()), Some(9688));
    let other = receives(text, "recv");
    assert_eq!(other.showing.speaker, super::super::showing::Speaker::Off);
    assert_eq!(other.common.rendezvous.wait.map(|address| address.port()), Some(5000));
}

#[test]
fn numbers_texts_and_lists_are_taken_as_they_are_written() {
    let asked = sends("[send]\nframerate = 29.97\nbitrate = '8M'\nwidth = 640\nverbose = 2\ncamera = 1\n", "send");
    let fps = asked.fps.map(|rate| (rate.num(), rate.den()));
    assert_eq!((fps, asked.width, asked.source), (Some((30_000, 1001)), Some(640), Source::Camera(Some("1".into()))));
    assert_eq!(asked.common.log.verbosity, Verbosity::Debug);
    assert_eq!(sends("verbose = true\n", "send").common.log.verbosity, Verbosity::Verbose);
    assert_eq!(sends("[send]\nfile = 'a film.mp4'\n", "send").source, Source::Film { path: "a film.mp4".into(), looped: false });
    assert_eq!(sends("[send]\nhost = 'lab'\n", "send").common.rendezvous.dial.len(), 1);
}

#[test]
fn what_cannot_stand_beside_what_was_typed_yields_to_it() {
    // clap says so of the first four, and what the flags mean together of the others.
    for (text, line) in [
        ("camera = 'usb'\nmic = 'usb'", "send --test --no-audio"),
        ("file = 'a.mp4'\nloop = true", "send --camera 1"),
        ("preview = true", "send --no-video"),
        ("quiet = true", "send -v"),
        ("file = 'a.mp4'\nloop = true", "send --test"),
        ("bind = '::1'", "send lab"),
        ("host = 'lab'", "send --bind ::1"),
        ("wait = true\nhost = 'lab'\nbind = '::1'\nno-audio = true", "send --no-video --mic 1"),
    ] {
        let table = format!("[send]\n{text}\n");
        let (with, without) = (sends(&table, line), sends("", line));
        assert_eq!((with.source, with.preview), (without.source, without.preview), "{text}: {line}");
        assert_eq!((with.sound, with.video), (without.sound, without.video), "{text}: {line}");
        assert_eq!(with.common.log.verbosity, without.common.log.verbosity, "{text}: {line}");
    }
    assert_eq!(sends("[send]\nbind = '::1'", "send lab").common.rendezvous.wait, None);
    // The rest of the file counts all the same.
    assert_eq!(sends("[send]\npreview = true\nquality = 7", "send --no-video").quality, 7);
}

#[test]
fn what_cannot_stand_together_in_a_file_is_refused_with_its_lines() {
    for (text, lines) in [
        ("[send]\ncamera = 'usb'\ntest = true\n", &[2, 3][..]),
        ("[send]\nno-video = true\npreview = true\n", &[2, 3]),
        ("no-audio = true\n[send]\nmic = 'usb'\n", &[1, 3]),
        ("[send]\n\nloop = true\n", &[3]),
        ("host = 'lab'\n\nbind = '::1'\n", &[1, 3]),
    ] {
        let file = File::new(text);
        for line in ["send", "send --quality 5"] {
            let told = refusal_in(line, &file.env());
            for line in lines {
                assert!(told.contains(&format!(" is said in {}:{line}", file.0.display())), "{line}: {told}");
            }
            assert!(told.contains("--no-config leaves that file out"), "{told}");
        }
    }
}

#[test]
fn what_is_wrong_on_the_command_line_is_not_said_of_the_file() {
    let file = File::new("[send]\nquality = 50\n");
    for line in ["send --size huge", "send --loop", "send --test --camera 0", "send lab --host lab"] {
        let told = refusal_in(line, &file.env());
        assert!(!told.contains("toml"), "{told}");
        assert_eq!(told, refusal_in(line, &Env::default()));
    }
    // What is wrong on both sides is first told of what was typed.
    assert!(refusal_in("send --size huge", &File::new("frobnicate = 1").env()).contains("'huge'"));
}

#[test]
fn a_wrong_value_is_refused_in_the_words_of_its_flag() {
    for (line, said) in [
        ("size = 'huge'", "invalid value 'huge' for '--size <WxH>': write a size like 1280x720"),
        ("quality = 101", "write a quality from 1 to 100"),
        ("quality = 0x50", "invalid value '0x50' for '--quality <N>': write a quality"),
        ("host = ['lab', '[::1']", "write [::1]:9688"),
        ("stats = 'xml'", "[possible values: json]"),
        ("camera = ''", "name a device"),
        ("replenish = true", "write auto"),
        ("size = ['720p', '1080p']", "size takes one value: write it in quotes"),
        ("size = 1979-05-27", "size takes one value: write it in quotes"),
        ("host = [['lab']]", "host takes a list of texts in quotes"),
        ("wait = 'yes'", "wait takes no value: write wait = true or wait = false"),
        ("verbose = 'much'", "verbose takes no value: write verbose = true"),
        ("verbose = -1", "verbose is counted"),
    ] {
        let told = wrong(&format!("# a comment\n\n[send]\n{line}\n"));
        assert!(told.contains(said) && !told.contains("tip:"), "{line}: {told}");
    }
}

#[test]
fn a_name_that_is_unknown_is_told_the_nearest() {
    for (text, said) in [
        ("[send]\nsise = '720p'", "there is no flag sise; the nearest is size"),
        ("[recv]\nfulscreen = true", "there is no flag fulscreen; the nearest is fullscreen"),
        ("no_audio = true", "there is no flag no_audio; the nearest is no-audio"),
        ("[send]\n'a b' = 1", "there is no flag a b; --help tells all there are"),
        ("quality = 50", "quality is a flag of send and call alone: write it below [send] or [call]"),
        ("[recv]\nquality = 50", "quality is a flag of send and call, and this is [recv]"),
        ("[recieve]", "there is no table [recieve]: there are [send], [recv], [call]"),
        ("send = 5", "send is a table: write [send]"),
        ("[send]\nlist = true", "list is for the command line alone"),
        ("print-config = true", "print-config is for the command line alone"),
        ("[send]\nsize = '720p'\nresolution = '1080p'", "resolution is size, which line 2 says already"),
        ("[send]\nquality = 50\nquality = 60", "duplicate key"),
        ("[send]\nquality = ", ""),
    ] {
        let told = wrong(text);
        assert!(told.starts_with(said), "{text}: {told}");
    }
}

#[test]
fn a_file_that_is_none_is_no_file_and_one_that_cannot_be_read_is_refused() {
    let at = |path: &str| Env { config: Some(path.into()), ..Env::default() };
    assert_eq!(sends_in("send", &at("/nonexistent/config.toml")).quality, 80);
    assert!(refusal_in("send", &at("/")).contains("cannot read the config file /: "));
    assert!(refusal_in("send", &File::new([0xff, 0xfe]).env()).contains("is not UTF-8 text"));
    assert!(refusal_in("send", &File::new("#".repeat(70_000)).env()).contains("is it the right file?"));
    assert_eq!(sends_in("send --no-config", &at("/")).quality, 80);
}

#[test]
fn a_key_stands_in_a_file_that_nobody_else_can_read() {
    let file = File::new("key = 'correct horse battery'\n");
    let key = |line, env: &Env| sends_in(line, env).common.key;
    let of = |passphrase| Some(Psk::derive(passphrase).unwrap());
    assert_eq!(key("send", &file.env()), of("correct horse battery"));
    assert_eq!(key("send --key from-the-flag", &file.env()), of("from-the-flag"));
    let env = Env { key: Some("from the environment".into()), ..file.env() };
    assert_eq!(key("send", &env), of("from the environment"));
    assert_eq!(key("send --no-config", &file.env()), None);
    std::fs::set_permissions(&file.0, Permissions::from_mode(0o640)).unwrap();
    let told = refusal_in("send", &file.env());
    assert!(file.at(1, &told).contains(&format!("chmod 600 {}", file.0.display())) && !told.contains("horse"), "{told}");
    assert!(wrong("key = 'new'").contains("holds the word `new`") && wrong("key = ''").contains("is empty"));
    assert!(wrong("key = 'a'\nkey-file = 'b'").contains("leave one of them out"));
    assert!(!wrong("key = 'correct horse\n").contains("horse"));
}

#[test]
fn a_key_file_that_the_config_file_names_yields_to_the_key_of_the_environment() {
    let file = File::new("key-file = '/nonexistent/key'\n");
    let told = refusal_in("send", &file.env());
    assert!(told.contains("cannot read key file") && told.contains(&format!("what {} says counts", file.0.display())), "{told}");
    let env = Env { key: Some("from the environment".into()), ..file.env() };
    assert!(sends_in("send", &env).common.key.is_some());
    assert!(sends_in("send --key from-the-flag", &file.env()).common.key.is_some());
}

/// What is printed with this file, beside this command line.
fn printed(text: &str, line: &str, env: Env) -> String {
    let file = File::new(text);
    let env = Env { config: Some(file.0.clone()), ..env };
    let asked = match line.split(' ').next() {
        Some("send") => send::parse(words(line), &env).map(shown),
        Some("recv") => recv::parse(words(line), &env).map(shown),
        _ => call::parse(words(line), &env).map(shown),
    };
    asked.unwrap_or_else(|error| panic!("{error}")).replace(&file.0.display().to_string(), "FILE")
}

fn shown<Config>(asked: Command<Config>) -> String {
    match asked {
        Command::PrintConfig(text) => text,
        _ => panic!("not printed"),
    }
}

#[test]
fn what_counts_is_printed_with_where_it_was_said() {
    let text = "port = 7\n[send]\nquality = 90\nno-audio = true\nname = \"a \\\"b\\\" \\\\ c\"\npreview = true\n";
    let told = printed(text, "send lab --host attic -s 720p --no-video --mic 1 --print-config", Env::default());
    for line in [
        "[send]",
        "host = [\"lab\", \"attic\"]  # the command line",
        "size = \"720p\"  # the command line",
        "quality = 90  # FILE:3",
        "port = 7  # FILE:1",
        "name = \"a \\\"b\\\" \\\\ c\"  # FILE:5",
        "no-video = true  # the command line",
        "no-audio = false",
        "preview = false",
        "passthrough = \"auto\"",
        "verbose = 0",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}:\n{told}");
    }
    for left_out in ["list", "print-config", "no-config", "help", "version", "key", "camera", "bitrate"] {
        assert!(!told.lines().any(|line| line.starts_with(left_out)), "{left_out}:\n{told}");
    }
}

#[test]
fn what_is_printed_says_the_same_when_it_is_read() {
    for (text, line) in [
        ("", "send --print-config"),
        ("", "recv --print-config"),
        ("", "call --print-config"),
        ("port = 7\n[send]\nfps = 29.97\nhost = ['a', 'b']\n", "send --test -vv --stats json --print-config"),
        ("[recv]\nlatency = '80ms'\n", "recv -f --output {name}.y4m --no-reconnect --duration 5s --print-config"),
        ("[call]\nwait = true\n", "call --chat --no-video --host x --name Käthe's\"x\\ --print-config"),
    ] {
        let once = printed(text, line, Env::default());
        let name = line.split(' ').next().unwrap();
        let again = printed(&once, &format!("{name} --print-config"), Env::default());
        let bare = |text: &str| text.lines().map(|line| line.split("  # ").next().unwrap().to_string()).collect::<Vec<_>>();
        assert_eq!(bare(&again), bare(&once), "{line}");
    }
}

#[test]
fn no_key_and_no_password_is_printed() {
    let variable = Env { key: Some("correct horse battery".into()), ..Env::default() };
    for (text, line, env, said) in [
        ("key = 'correct horse battery'", "send --print-config", Env::default(), "# key is not shown: FILE:1"),
        ("", "recv --key correct-horse --print-config", Env::default(), "# key is not shown: the command line"),
        ("key = 'another horse'", "call --print-config", variable, "# key is not shown: $EYELINE_KEY"),
        (
            "",
            "send --file rtsp://me:horse@door/ --print-config",
            Env::default(),
            "# file is not shown, as there is a password in it",
        ),
    ] {
        let told = printed(text, line, env);
        assert!(told.contains(said) && !told.contains("horse"), "{told}");
    }
}

#[test]
fn a_flag_that_may_stand_alone_does_not_take_what_was_typed_for_its_value() {
    let screen = |line: &str| {
        let sent = sends("[send]\nscreen = true\n", line);
        let hosts: Vec<_> = sent.common.rendezvous.dial.iter().map(|host| host.name.clone()).collect();
        (matches!(sent.source, Source::Screen(which) if which == Default::default()), hosts)
    };
    assert_eq!(screen("send"), (true, vec![]));
    assert_eq!(screen("send lab"), (true, vec!["lab".to_string()]));
    assert_eq!(screen("send -q 60 lab door"), (true, vec!["lab".to_string(), "door".to_string()]));
    assert_eq!(screen("send -- lab"), (true, vec!["lab".to_string()]));
}

#[test]
fn a_password_in_an_address_is_for_its_owner_alone() {
    let file = File::new("[send]\nfile = \"rtsp://me:pw@door/\"\n");
    assert!(matches!(sends_in("send", &file.env()).source, Source::Film { .. }));
    std::fs::set_permissions(&file.0, Permissions::from_mode(0o644)).unwrap();
    let said = send::parse(words("send"), &file.env()).unwrap_err().to_string();
    assert!(file.at(2, &said).contains("chmod 600") && !said.contains("pw"), "{said}");
    std::fs::write(&file.0, "[send]\nfile = \"rtsp://door/\"\n").unwrap();
    assert!(matches!(sends_in("send", &file.env()).source, Source::Film { .. }));
}

#[test]
fn the_environment_goes_before_the_file_in_colours_too() {
    let file = File::new("color = \"always\"\n");
    let colours = |no_color, line: &str| sends_in(line, &Env { no_color, ..file.env() }).common.log.color;
    assert_eq!([colours(false, "send"), colours(true, "send"), colours(true, "send --color always")], [true, false, true]);
}

#[test]
fn a_flag_without_a_value_is_undone_by_false_and_the_last_word_counts() {
    let text = "no-audio = true\nverbose = 2\n[send]\nmirror = true\ntest = true\n";
    let sends = |line: &str| sends(text, line);
    let undone = sends("send --no-audio=false --mirror=false --test=false --verbose=false");
    assert_eq!((undone.source, undone.sound), (Source::Camera(None), Some(Sound::Microphone(None))));
    assert_eq!((undone.turn, undone.common.log.verbosity), (Turn::NONE, Verbosity::Normal));
    assert_eq!(sends("send --mirror=true --no-audio=false").turn, sends("send").turn);
    for (line, mirrors) in [("send --mirror --mirror=false", false), ("send --mirror=false --mirror", true)] {
        let turn = sends_in(line, &Env::default()).turn;
        assert_eq!(turn != Turn::NONE, mirrors, "{line}");
    }
    // Where they stand alone they change nothing, and others than true and false are refused.
    assert_eq!(sends_in("send --quiet=false -v", &Env::default()).common.log.verbosity, Verbosity::Verbose);
    assert!(refusal_in("send --mirror=maybe", &Env::default()).contains("unexpected value 'maybe' for '--mirror'"));
    assert!(refusal_in("send --list no", &Env::default()).contains("leave --list out, or name a host"));
    for line in ["send --list=false", "send --no-config=false", "send --host=false --camera=false --mirror=false=false"] {
        refusal_in(line, &Env::default());
    }
}

#[test]
fn the_word_behind_a_flag_that_is_undone_is_not_taken_for_the_value_of_the_one_before() {
    let env = Env::default();
    for line in ["send --screen --no-audio=false lab", "send --screen --mirror lab --mirror=false"] {
        let sent = sends_in(line, &env);
        assert!(matches!(sent.source, Source::Screen(which) if which == Default::default()), "{line}");
        assert_eq!(sent.common.rendezvous.dial.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["lab"], "{line}");
    }
    for line in ["send --name --mirror=false lab", "send --name --mirror lab --mirror=false"] {
        assert!(refusal_in(line, &env).contains("a value is required for '--name <NAME>'"), "{line}");
    }
    // What is the value of a flag is left alone.
    for (line, film) in [("send --file --mirror=false", "--mirror=false"), ("send --file --mirror --mirror=false", "--mirror")] {
        let told = refusal_in(line, &env);
        assert!(told.contains(&format!("a name that begins with a dash is written ./{film}\n")), "{told}");
    }
}

#[test]
fn what_was_typed_by_its_letter_is_undone_too() {
    let verbosity = |line| sends_in(line, &Env::default()).common.log.verbosity;
    assert_eq!(["send -v --verbose=false", "send -vv --verbose=false"].map(verbosity), [Verbosity::Normal; 2]);
    assert_eq!(verbosity("send -vv --verbose=false -v"), Verbosity::Verbose);
    assert_eq!(receives("", "recv -vf --verbose=false").common.log.verbosity, Verbosity::Normal);
    for line in ["recv -f --fullscreen=false --print-config", "recv -vf --fullscreen=false --print-config"] {
        assert!(printed("", line, Env::default()).contains("\nfullscreen = false\n"), "{line}");
    }
}

#[test]
fn each_flag_without_a_value_that_a_file_can_say_can_be_undone() {
    let printed = |line: String, env: &Env| {
        let asked = match line.split(' ').next() {
            Some("send") => send::parse(words(&line), env).map(|asked| format!("{asked:?}")),
            Some("recv") => recv::parse(words(&line), env).map(|asked| format!("{asked:?}")),
            _ => call::parse(words(&line), env).map(|asked| format!("{asked:?}")),
        };
        asked.unwrap_or_else(|error| panic!("{line}: {error}"))
    };
    let mut count = 0;
    for program in super::commands() {
        let name = program.get_name();
        let plain = printed(format!("{name} --print-config"), &Env::default());
        for arg in program.get_arguments().filter(|arg| !arg.get_action().takes_values()) {
            let Some(flag) = arg.get_long().filter(|flag| !super::TYPED_ALONE.contains(flag)) else { continue };
            let file = File::new(format!("[{name}]\n{flag} = true\n"));
            let undone = printed(format!("{name} --{flag}=false --print-config"), &file.env());
            assert_eq!(undone, plain, "{name} --{flag}");
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn what_a_file_says_of_windows_is_no_reason_to_warn_where_there_is_none() {
    let text = "borderless = true\nrecord-split = '1h'\n";
    assert_eq!(sends(text, "send").common.warnings, [""; 0]);
    assert_eq!(sends(text, "send --borderless").common.warnings.len(), 1);
}
