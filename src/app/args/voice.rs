//! What becomes of what the microphone hears in `call`: echo, noise, gain.

use super::Idle;
use super::send::Sound;
use crate::sound_card::PLAYED;
use crate::voice_processing::Config;

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    /// Where it is of use.
    Auto,
    On,
    Off,
}

#[derive(clap::Args, Debug)]
pub(super) struct VoiceFlags {
    /// Take what your speaker plays out of what your microphone hears, so that the others do not hear themselves: `on`, `off`, or
    /// `auto`, which is on unless --mic speakers is sent
    #[arg(long, value_name = "WAY", value_parser = echo, default_value = "auto", help_heading = "Sound")]
    echo: Switch,

    /// Make noise that goes on evenly, like a fan or a street, quieter than your voice: `on`, `off`, or `auto`, which is on
    /// unless --mic speakers is sent
    #[arg(long, value_name = "WAY", value_parser = noise, default_value = "auto", help_heading = "Sound")]
    noise_suppression: Switch,

    /// Make your voice louder where your microphone takes it in too low: `auto`, or `off` to send it as loud as it is
    #[arg(long, value_name = "auto|off", value_parser = gain, default_value = "auto", help_heading = "Sound")]
    gain: Switch,
}

fn echo(text: &str) -> Result<Switch, String> {
    let cure = "write auto, on, or off, to send what the microphone hears as it is, echo and all";
    switch(text).ok_or_else(|| cure.into())
}

fn noise(text: &str) -> Result<Switch, String> {
    switch(text).ok_or_else(|| "write auto, on, or off, to send fan and street as they are".into())
}

fn gain(text: &str) -> Result<Switch, String> {
    let switch = switch(text).filter(|switch| *switch != Switch::On);
    switch.ok_or_else(|| "write auto, or off, to send voices as loud as they are".into())
}

fn switch(text: &str) -> Option<Switch> {
    match text {
        "auto" => Some(Switch::Auto),
        "on" => Some(Switch::On),
        "off" => Some(Switch::Off),
        _ => None,
    }
}

/// What becomes of what the microphone hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voice {
    echo: Switch,
    noise: Switch,
    gain: Switch,
}

impl VoiceFlags {
    /// Those that have no use where this is the sound that is sent.
    pub fn idle(&self, sound: Option<&Sound>) -> impl Iterator<Item = Idle> + use<> {
        let deaf = !matches!(sound, Some(Sound::Microphone(_)));
        let asked = [("echo", self.echo), ("noise-suppression", self.noise_suppression)];
        let idle = asked.into_iter().filter(move |(_, switch)| deaf && *switch == Switch::On);
        idle.map(|(flag, _)| Idle(flag, "no microphone is sent"))
    }

    pub fn resolve(self) -> Voice {
        Voice { echo: self.echo, noise: self.noise_suppression, gain: self.gain }
    }
}

impl Voice {
    /// What is done with this sound; `speaker`: others are heard.
    pub fn config(self, sound: Option<&Sound>, speaker: bool) -> Option<Config> {
        let Some(Sound::Microphone(which)) = sound else { return None };
        let person = which.as_deref() != Some(PLAYED);
        let does = |switch| match switch {
            Switch::Auto => person,
            Switch::On => true,
            Switch::Off => false,
        };
        let (echo, noise) = (speaker && does(self.echo), does(self.noise));
        let config = Config { echo, noise, gain: does(self.gain) };
        (config != Config { echo: false, noise: false, gain: false }).then_some(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(ways: [&str; 3], sound: Option<Sound>, speaker: bool) -> Option<Config> {
        let [echo, noise, gain] = ways.map(|way| switch(way).unwrap());
        Voice { echo, noise, gain }.config(sound.as_ref(), speaker)
    }

    fn microphone(which: Option<&str>) -> Option<Sound> {
        Some(Sound::Microphone(which.map(str::to_owned)))
    }

    #[test]
    fn all_is_done_for_who_speaks_into_a_microphone_and_hears_others() {
        let all = Config { echo: true, noise: true, gain: true };
        assert_eq!(config(["auto"; 3], microphone(None), true), Some(all));
        assert_eq!(config(["auto"; 3], microphone(Some("usb")), true), Some(all));
        assert_eq!(config(["auto"; 3], microphone(None), false), Some(Config { echo: false, ..all }), "there is none");
        assert_eq!(
            config(["off", "auto", "off"], microphone(None), true),
            Some(Config { noise: true, echo: false, gain: false })
        );
    }

    #[test]
    fn films_the_test_tone_and_what_the_machine_plays_stay_as_they_are() {
        for sound in [None, Some(Sound::Source), microphone(Some(PLAYED))] {
            assert_eq!(config(["auto"; 3], sound, true), None);
        }
        assert_eq!(config(["off"; 3], microphone(None), true), None);
        let asked = Config { echo: true, noise: true, gain: false };
        assert_eq!(config(["on", "on", "auto"], microphone(Some(PLAYED)), true), Some(asked));
        assert_eq!(config(["on", "on", "auto"], Some(Sound::Source), true), None);
    }

    #[test]
    fn what_is_asked_for_and_cannot_be_done_is_said() {
        let flags = |echo, noise_suppression| VoiceFlags { echo, noise_suppression, gain: Switch::Auto };
        let idle = |flags: VoiceFlags, sound| flags.idle(Option::<Sound>::as_ref(&sound)).map(|idle| idle.0).collect::<Vec<_>>();
        assert_eq!(idle(flags(Switch::On, Switch::On), Some(Sound::Source)), ["echo", "noise-suppression"]);
        assert!(
            idle(flags(Switch::Auto, Switch::Off), None).is_empty()
                && idle(flags(Switch::On, Switch::On), microphone(None)).is_empty()
        );
    }
}
