//! What the helps say of the keys, held against what the keys do.

use super::{call, recv};
use crate::present::keys::tests::asked_by;
use crate::present::keys::{Action, Bindings};

/// Of the sentence about the keys each part: keys that do the same, and the words for it.
fn parts(help: &str) -> Vec<(Vec<String>, String)> {
    let (_, keys) = help.split_once("Keys in the window: ").expect("they are told of");
    let sentence = keys.split_once(".\n").expect("it has an end").0.replace('\n', " ");
    let part = |part: &str| {
        let mut words = part.split(' ').peekable();
        let mut keys = Vec::new();
        loop {
            let names = words.next().expect("a key");
            for name in names.split('/') {
                match name.split_once('-') {
                    Some((first, last)) if !first.is_empty() => keys.extend([first, last].map(str::to_string)),
                    _ => keys.push(name.to_string()),
                }
            }
            if words.next_if_eq(&"or").is_none() {
                return (keys, words.collect::<Vec<_>>().join(" "));
            }
        }
    };
    sentence.split(", ").map(part).collect()
}

/// The words for it.
fn words(bindings: Bindings, action: &Action) -> &'static str {
    match (action, bindings) {
        (Action::Quit, _) => "quit",
        (Action::ToggleFullscreen, _) => "full screen",
        (Action::LeaveFullscreen, _) => "leaves it",
        (Action::Freeze, _) => "pauses a film or freezes",
        (Action::StepBack | Action::StepOn, _) => "5 s in a film",
        (Action::Mute, Bindings::Watch | Bindings::Preview) => "mutes",
        (Action::Mute, Bindings::Call) => "mutes the others",
        (Action::Silence, _) => "silences one",
        (Action::Record, _) => "records",
        (Action::SaveLast, _) => "keeps the last seconds",
        (Action::Snapshot, _) => "keeps the picture",
        (Action::Microphone, _) => "mutes yourself",
        (Action::Camera, _) => "closes the camera",
        (Action::Answer(true), _) => "lets in who calls",
        (Action::Answer(false), _) => "does not",
        (Action::OwnPicture, _) => "hides your own picture",
        (Action::Typed, _) => "writes to all",
        (Action::VolumeUp | Action::VolumeDown, _) => "volume",
        (Action::Pick(_) | Action::Next, _) => "one large",
        (Action::All, _) => "all alike",
        (Action::Stats, _) => "figures",
        (Action::Code, _) => "code of --web",
        (Action::Help, _) => "help",
        (Action::Say(_) | Action::Previous | Action::Click { .. } | Action::Dropped(_), _) => "nothing a help has room for",
    }
}

#[test]
fn every_key_that_a_help_names_does_what_it_says_there() {
    let of = |command: clap::Command| command.get_after_help().expect("examples and keys").to_string();
    let helps = [(Bindings::Watch, of(recv::command()), 10), (Bindings::Call, of(call::command()), 16)];
    for (bindings, help, least) in helps {
        let parts = parts(&help);
        assert!(parts.len() >= least, "keys are left out: {parts:?}");
        for (keys, said) in &parts {
            for key in keys {
                let does: Vec<_> = asked_by(bindings, key).iter().map(|action| words(bindings, action)).collect();
                assert_eq!(does, [said.as_str()], "{bindings:?}: {key}");
            }
        }
    }
}
