//! Films and addresses as sources: found out about, and said what will be sent of them.

use super::super::args;
use super::super::args::send::Source;
use super::super::failure::{Code, Failure};
use super::super::status::ExitCode;
use super::super::ticker::clock;
use crate::capture::file::address::{self, Leash, Opened};
use crate::capture::file::{self, Film};
use crate::pipeline::pictures::Pictures;
use eyeline_proto::rate::Rate;
use std::path::Path;
use std::sync::Mutex;

/// How the user wants a film played.
pub fn options(config: &args::Send) -> file::Options {
    let looped = matches!(config.source, Source::Film { looped: true, .. });
    file::Options {
        // Of one whose rows become columns it is another side.
        width: config.width.filter(|_| !config.turn.transposed),
        size: None,
        looped,
        want_video: config.video,
        want_audio: config.sound.is_some(),
        // Who says how long it is to go on means the picture too.
        still: (!looped && config.common.duration.is_none()).then_some(file::Options::STILL),
    }
}

/// A film by its name, or what is at an address.
pub fn at(config: &args::Send, path: &Path) -> Result<Pictures, Failure> {
    let options = options(config);
    let film = || Ok(planned(Film::probe(path, &options).code(ExitCode::Failed)?));
    if !file::is_address(path.as_os_str()) {
        return film();
    }
    tracing::info!("connecting to {}", address::shown(path));
    let Opened::Live(connection) = address::connect(path, &options, &Leash::default()).code(ExitCode::Failed)? else {
        return film();
    };
    if options.looped {
        return Err(Failure::new(ExitCode::Usage, format!("{} is live: leave out --loop", address::shown(path))));
    }
    let (size, channels) = (connection.size, connection.channels);
    let rate = connection.rate.map_or(String::new(), |rate| format!(", {rate} pictures a second"));
    let pictures = size.map_or("no picture".into(), |size| format!("live, {size}{rate}"));
    tracing::info!("{}: {pictures}, {}", address::shown(path), if channels > 0 { "with sound" } else { "without sound" });
    Ok(Pictures::Address { connection: Mutex::new(Some(connection)), size, channels })
}

/// Says what will be sent of a film.
pub fn planned(playback: file::Playback) -> Pictures {
    let mut parts = Vec::new();
    if let Some(video) = &playback.video {
        parts.push(video.size.to_string());
        if !video.still {
            let about = if video.variable { "about " } else { "" };
            parts.push(format!("{about}{}", a_second(video.rate)));
        }
    }
    let length = match &playback.video {
        Some(video) if video.still => playback
            .still
            .filter(|_| !playback.looped)
            .map_or("a still".into(), |still| format!("a still for {} s", still.as_secs())),
        _ => playback.length.map_or("of unknown length".into(), clock),
    };
    parts.push(if playback.looped { format!("{length}, over and over") } else { length });
    parts.push(match (&playback.sound, &playback.video) {
        (Some(_), Some(_)) => "with sound".into(),
        (Some(_), None) => "sound alone".into(),
        (None, _) => "without sound".into(),
    });
    tracing::info!("{}: {}", address::shown(&playback.origin.name), parts.join(", "));
    Pictures::Film(playback)
}

/// `29.97 pictures a second`.
pub fn a_second(rate: Rate) -> String {
    format!("{rate} pictures a second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_said_in_pictures_a_second() {
        assert_eq!(a_second(Rate::new(30_000, 1001).unwrap()), "29.97 pictures a second");
    }
}
