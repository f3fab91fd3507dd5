//! What other programs make of the files Eyeline writes: ffmpeg reads them with the size, the colours and the length meant.

#![allow(clippy::disallowed_methods, reason = "when something came, for what writes it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use eyeline::present::writers::{Moment, Overwrite, Target, Timeline, Writer, wav, y4m};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("eyeline-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn target(path: &Path) -> Target {
    Target::claim(Some(path), Overwrite::Own).unwrap()
}

/// The values ffprobe finds, in its own order.
fn probe(path: &Path, entries: &str) -> String {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-count_frames", "-show_entries", entries, "-of", "csv=p=0"]).arg(path);
    let output = ffprobe.output().expect("ffprobe is needed: install ffmpeg");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// The first pixel as ffmpeg shows it on a screen.
fn first_pixel(path: &Path) -> [u8; 3] {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(path).args(["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
    let output = ffmpeg.output().expect("ffmpeg is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout[..3].try_into().unwrap()
}

#[test]
fn ffmpeg_reads_every_sampling_with_full_range_and_the_right_colours() {
    let folder = Folder::new("samplings");
    let size = Size { width: 35, height: 21 };
    for (sampling, name) in
        [(Sampling::Grey, "gray"), (Sampling::Yuv420, "yuv420p"), (Sampling::Yuv422, "yuv422p"), (Sampling::Yuv444, "yuv444p")]
    {
        let path = folder.0.join(format!("{name}.y4m"));
        let rate = Rate::new(30_000, 1001);
        let mut writer = y4m::Writer::new(target(&path), Timeline::new());
        // Full-range BT.601: (76, 85, 255) is red; without its colours it is grey 76.
        let luma = (size.width * size.height) as usize;
        let chroma = (sampling.bytes(size) - luma) / 2;
        for number in 0..3 {
            let planes = [vec![76; luma], vec![85; chroma], vec![255; chroma]].concat().into();
            let captured = MediaTime::from_nanos(number * 33_366_667);
            let moment = Moment { session: 1, captured, position: None, received: Instant::now() };
            writer.write(y4m::Picture { moment, number, rate, size, sampling, planes }).unwrap();
        }
        writer.finish().unwrap();
        let found = probe(&path, "stream=width,height,pix_fmt,color_range,r_frame_rate,nb_read_frames");
        assert_eq!(found, format!("35,21,{name},pc,30000/1001,3"));
        let wanted = if sampling == Sampling::Grey { [76, 76, 76] } else { [254, 0, 0] };
        let near = first_pixel(&path).iter().zip(wanted).all(|(&got, wanted)| got.abs_diff(wanted) <= 3);
        assert!(near, "{name}: {:?} instead of {wanted:?}", first_pixel(&path));
    }
}

#[test]
fn ffmpeg_reads_the_sound_with_its_length() {
    let folder = Folder::new("sound");
    let path = folder.0.join("a.wav");
    let mut writer = wav::Writer::new(target(&path), wav::Lead::Sound, Timeline::new());
    for number in [0, 1, 4] {
        let samples = [100, -100].repeat(480).into();
        let block = Block { capture: MediaTime::from_nanos(number * 10_000_000), channels: 2, samples };
        let (sound, received) = (Numbered { number, block }, Instant::now());
        writer.write(wav::Unit { session: 1, sound, received, film: false }).unwrap();
    }
    writer.finish().unwrap();
    let found = probe(&path, "stream=codec_name,sample_rate,channels,duration_ts");
    assert_eq!(found, "pcm_s16le,48000,2,2400");
}
