//! How `ffmpeg` is told to play: raw pictures, or JPEGs as they are, and PCM in Matroska, into a pipe.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Options, Playback, Sound, Treatment, is_address, probe};
use eyeline_proto::picture::Size;
use eyeline_proto::sound;

/// The one ffmpeg command a pass of a film is played by, from this place on: its stamps count from there.
pub fn play(playback: &Playback, from: Duration) -> Command {
    let mut command = probe::tool("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]);
    if playback.video.as_ref().is_some_and(|video| video.treatment.mirrored.is_some()) {
        command.arg("-noautorotate");
    }
    if !from.is_zero() {
        command.args(["-ss", &format!("{:.6}", from.as_secs_f64())]);
    }
    playback.origin.arguments(&mut command);
    if let Some(video) = &playback.video {
        command.args(["-map", &format!("0:{}", video.index)]);
        if video.jpegs {
            // Those before the place are of no use: they are not needed to decode the others.
            command.args(["-c:v", "copy", "-copypriorss", "0"]);
        } else {
            pictures(&mut command, ["-vf", &filter(Some(video.size), &video.treatment)]);
        }
    }
    if let Some(Sound { index, channels }) = &playback.sound {
        command.args(["-map", &format!("0:{index}")]);
        samples(&mut command, *channels);
    }
    // A stream that has ended must not make the muxer hoard the other for ten seconds, its default.
    matroska(&mut command, ["-max_interleave_delta", "500000"]);
    // Ctrl-C is for us: a child that dies of it would look like a broken film.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// How ffmpeg is told to read a filter from its stdin, once it has opened its input: `-/filter:v` is what newer ones want, from
/// 9 on nothing else.
pub const FILTER_FROM_STDIN: [&str; 2] = ["-filter_script:v", "-/filter:v"];

/// The ffmpeg command that reads what is live at an address, or comes as a session description in a file says (SDP). What its pictures need is known only when it has opened it, so it
/// is told then, on its stdin: `filter` is one of [`FILTER_FROM_STDIN`].
pub fn live(address: &Path, options: &Options, filter: &str) -> Command {
    let mut command = probe::tool("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-nostats", "-v", "level+info"]);
    // A second shows what streams there are; the default of five is long where somebody watches.
    command.args(["-analyzeduration", "1000000", "-fpsprobesize", "0", "-flags", "low_delay"]);
    if address.to_str().is_some_and(|text| text.to_ascii_lowercase().starts_with("rtsp") && text.contains("://")) {
        // Over UDP many a camera's pictures come damaged, and firewalls let none of them through.
        command.args(["-rtsp_transport", "tcp"]);
    }
    if is_address(address.as_os_str()) {
        command.arg("-i").arg(address);
    } else {
        // The description of a session, which says where it comes: nothing else is opened in its name.
        let mut file = OsString::from("file:");
        file.push(address);
        command.args(["-protocol_whitelist", "file,udp,rtp", "-i"]).arg(file);
    }
    command.args(["-sn", "-dn"]);
    if options.want_video {
        pictures(&mut command, [filter, "pipe:0"]);
    } else {
        command.arg("-vn");
    }
    if options.want_audio {
        samples(&mut command, 2);
    } else {
        command.arg("-an");
    }
    command.args(["-flush_packets", "1"]);
    // A stream that is late holds the other for a tenth of a second at most.
    matroska(&mut command, ["-max_interleave_delta", "100000"]);
    command
}

fn pictures(command: &mut Command, filter: [&str; 2]) {
    command.args(["-c:v", "rawvideo"]).args(filter);
    // Without a time base of its own the encoder rounds every stamp to a multiple of the nominal period.
    command.args(["-fps_mode", "passthrough", "-enc_time_base", "1:90000"]);
}

fn samples(command: &mut Command, channels: u8) {
    // `async=1` fills holes in the stamps with silence, so that counting samples and reading stamps come to the same.
    let filter = format!("aresample={}:async=1", sound::RATE);
    command.args(["-c:a", "pcm_s16le", "-af", &filter, "-ac", &channels.to_string()]);
}

fn matroska(command: &mut Command, interleave: [&str; 2]) {
    // Metadata would make the head long.
    command.args(["-map_metadata", "-1", "-map_chapters", "-1"]).args(interleave);
    command.args(["-f", "matroska", "-live", "1", "pipe:1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// The filters every picture goes through: as [`super`] says, into `size`.
///
/// Where the size is not known before the first picture, each is as large as it is with square pixels.
///
/// ffmpeg turns pictures by itself, each by its own matrix, but some versions take a mirrored one for one turned by half.
pub fn filter(size: Option<Size>, treatment: &Treatment) -> String {
    let mut steps = Vec::new();
    if treatment.interlaced {
        steps.push("bwdif=mode=send_frame:deint=interlaced".to_string());
    }
    if let Some(turn) = treatment.mirrored {
        let step = match (turn.transposed, turn.flip_x) {
            (false, true) => "hflip",
            (false, false) => "vflip",
            (true, false) => "transpose=cclock_flip",
            (true, true) => "transpose=clock_flip",
        };
        steps.push(step.to_string());
    }
    if treatment.alpha {
        steps.push("format=gbrap,premultiply=inplace=1".to_string());
    }
    let (sides, pad) = match size {
        Some(size) => fitted(size),
        None => ("w='max(1,round(iw*max(sar,1)))':h='max(1,round(ih*max(1/sar,1)))'".into(), None),
    };
    steps.push(format!("scale={sides}:eval=frame:flags=bicubic+accurate_rnd:out_range=full:out_color_matrix=bt601"));
    steps.extend(pad);
    steps.push("format=yuvj420p".to_string());
    steps.join(",")
}

/// How large pictures of any shape are made to fit into `size`, and what fills the rest.
fn fitted(Size { width, height }: Size) -> (String, Option<String>) {
    // Within a pixel of our shape it is our shape; else the largest of its own, evaluated anew for each picture that differs.
    let same = format!("lt(abs({width}/dar-{height}),1)+lt(abs({height}*dar-{width}),1)");
    let wide = format!("gte(dar,{width}/{height})");
    let sides = format!(
        "w='if({same}+{wide},{width},max(1,round({height}*dar)))':h='if({same}+not({wide}),{height},max(1,round({width}/dar)))'"
    );
    // With halved colours `pad` makes odd sizes smaller.
    let odd = !width.is_multiple_of(2) || !height.is_multiple_of(2);
    let format = if odd { "yuvj444p" } else { "yuvj420p" };
    (sides, Some(format!("format={format},pad={width}:{height}:(ow-iw)/2:(oh-ih)/2:black:eval=frame")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtsp_goes_over_tcp_and_an_address_is_given_as_it_is() {
        let line = |address: &str, options: &Options| {
            let command = live(Path::new(address), options, "-filter_script:v");
            command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let rtsp = line("rtsp://door/stream", &Options::default());
        assert!(rtsp.contains("-rtsp_transport tcp -i rtsp://door/stream"), "{rtsp}");
        let http = line("http://door/", &Options { want_audio: false, ..Options::default() });
        assert!(http.contains("-an") && !http.contains("rtsp"), "{http}");
        let described = line("rtsp.sdp", &Options::default());
        assert!(
            described.contains("-protocol_whitelist file,udp,rtp -i file:rtsp.sdp") && !described.contains("tcp"),
            "{described}"
        );
    }
}
