//! How `ffmpeg` is told to play a film: raw pictures and PCM in Matroska, into a pipe.

use std::process::{Command, Stdio};

use super::{Plan, Sound, Video, probe};
use eyeline_proto::picture::Size;
use eyeline_proto::sound;

/// The one ffmpeg command a pass is played by.
pub fn play(plan: &Plan) -> Command {
    let mut command = probe::tool("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]);
    if plan.video.as_ref().is_some_and(|video| video.treatment.mirrored.is_some()) {
        command.arg("-noautorotate");
    }
    plan.origin.arguments(&mut command);
    if let Some(video) = &plan.video {
        command.args(["-map", &format!("0:{}", video.index), "-c:v", "rawvideo", "-vf", &filter(video)]);
        // Without a time base of its own the encoder rounds every stamp to a multiple of the nominal period.
        command.args(["-fps_mode", "passthrough", "-enc_time_base", "1:90000"]);
    }
    if let Some(Sound { index, channels }) = &plan.sound {
        // `async=1` fills holes in the stamps with silence, so that counting samples and reading stamps come to the same.
        let filter = format!("aresample={}:async=1", sound::RATE);
        command.args(["-map", &format!("0:{index}"), "-c:a", "pcm_s16le", "-af", &filter, "-ac", &channels.to_string()]);
    }
    // Metadata would make the head long. A stream that has ended must not make the muxer hoard the other for ten seconds, its
    // default.
    command.args(["-map_metadata", "-1", "-map_chapters", "-1", "-max_interleave_delta", "500000"]);
    command.args(["-f", "matroska", "-live", "1", "pipe:1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C is for us: a child that dies of it would look like a broken film.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// The filters every picture goes through: as [`super`] says, into `video.size`.
///
/// ffmpeg turns pictures by itself, each by its own matrix, but some versions take a mirrored one for one turned by half.
fn filter(video: &Video) -> String {
    let Size { width, height } = video.size;
    let mut steps = Vec::new();
    if video.treatment.interlaced {
        steps.push("bwdif=mode=send_frame:deint=interlaced".to_string());
    }
    if let Some(turn) = video.treatment.mirrored {
        let step = match (turn.transposed, turn.flip_x) {
            (false, true) => "hflip",
            (false, false) => "vflip",
            (true, false) => "transpose=cclock_flip",
            (true, true) => "transpose=clock_flip",
        };
        steps.push(step.to_string());
    }
    if video.treatment.alpha {
        steps.push("format=gbrap,premultiply=inplace=1".to_string());
    }
    // Within a pixel of our shape it is our shape; else the largest of its own, evaluated anew for each picture that differs.
    let same = format!("lt(abs({width}/dar-{height}),1)+lt(abs({height}*dar-{width}),1)");
    let wide = format!("gte(dar,{width}/{height})");
    steps.push(format!(
        "scale=w='if({same}+{wide},{width},max(1,round({height}*dar)))':h='if({same}+not({wide}),{height},max(1,round({width}/dar)))'\
         :eval=frame:flags=bicubic+accurate_rnd:out_range=full:out_color_matrix=bt601"
    ));
    // With halved colours `pad` makes odd sizes smaller.
    let odd = !width.is_multiple_of(2) || !height.is_multiple_of(2);
    steps.push(format!("format={}", if odd { "yuvj444p" } else { "yuvj420p" }));
    steps.push(format!("pad={width}:{height}:(ow-iw)/2:(oh-ih)/2:black:eval=frame"));
    steps.push("format=yuvj420p".to_string());
    steps.join(",")
}
