//! Films made for the tests, and what `ffmpeg` itself makes of them: the reference everything that arrives is held against.
//!
//! A film lasts three seconds. At 0.5 s and at 2.4 s a box in the middle of the black-and-coloured picture is white and a loud tone
//! sounds, for a tenth of a second each.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Samples a second, everywhere.
pub const RATE: usize = 48_000;

/// Side of the box that flashes.
pub const BOX: usize = 64;

const VIDEO: &str = "noise=alls=3:allf=t,drawbox=x=(iw-64)/2:y=(ih-64)/2:w=64:h=64:c=black:t=fill,\
    drawbox=x=(iw-64)/2:y=(ih-64)/2:w=64:h=64:c=white:t=fill:enable='between(t,0.4995,0.5995)+between(t,2.3995,2.4995)'";

const SOUND: &str = "aevalsrc='0.08*sin(2*PI*(300+150*t)*t)+0.05*(random(0)-0.5)\
    +0.7*sin(2*PI*1000*t)*(between(t,0.5,0.6)+between(t,2.4,2.5))':s=48000:d=3";

/// Where a test's files are.
pub fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("end-to-end").join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

pub fn ffmpeg(arguments: &[&str]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments).stdin(Stdio::null());
    command
}

/// What ffmpeg writes to its stdout.
pub fn ffmpeg_output(arguments: &[&str]) -> Vec<u8> {
    let output = ffmpeg(arguments).stderr(Stdio::inherit()).output().expect("ffmpeg is needed: apt install ffmpeg");
    assert!(output.status.success(), "ffmpeg {arguments:?}");
    output.stdout
}

/// A film's making.
pub struct Recipe {
    /// Of the file; its ending is the container.
    pub name: &'static str,
    /// `641x359`.
    pub size: &'static str,
    /// Pictures a second.
    pub rate: &'static str,
    /// A filter after the others.
    pub filter: &'static str,
    /// A filter of the sound.
    pub sound: &'static str,
    /// Codecs and what else is said about the output.
    pub output: &'static str,
    /// A second pass that copies the streams, for what stands in the metadata.
    pub copied: &'static str,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            name: "film.mkv",
            size: "480x270",
            rate: "25",
            filter: "null",
            sound: "anull",
            output: "-c:v libx264 -preset veryfast -crf 16 -c:a flac",
            copied: "",
        }
    }
}

impl Recipe {
    pub fn make(&self, dir: &Path) -> Film {
        let (path, first) = (dir.join(self.name), dir.join(format!("first-{}", self.name)));
        let source = format!("mandelbrot=s={}:r={}", self.size, self.rate);
        let video = format!("{VIDEO},{}", self.filter);
        let made = if self.copied.is_empty() { &path } else { &first };
        let mut command = ffmpeg(&["-f", "lavfi", "-i", &source, "-f", "lavfi", "-i", SOUND, "-t", "3", "-pix_fmt", "yuv420p"]);
        command.args(["-vf", &video, "-af", self.sound, "-fps_mode", "passthrough"]).args(self.output.split_whitespace());
        assert!(command.arg(made).status().expect("ffmpeg is needed: apt install ffmpeg").success(), "{}", self.name);
        if !self.copied.is_empty() {
            let mut command = ffmpeg(&["-i", first.to_str().unwrap(), "-c", "copy"]);
            assert!(command.args(self.copied.split_whitespace()).arg(&path).status().unwrap().success());
        }
        Film { path }
    }
}

pub struct Film {
    pub path: PathBuf,
}

impl Film {
    pub fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Its luma as ffmpeg decodes it: full range, upright, each picture once. The size is that of the pictures.
    pub fn pictures(&self, (width, height): (usize, usize)) -> Vec<Vec<u8>> {
        let filter = format!("scale={width}:{height}:out_range=full:out_color_matrix=bt601,format=yuvj420p,extractplanes=y");
        let args = ["-i", self.text(), "-map", "0:v", "-vf", &filter, "-fps_mode", "passthrough", "-f", "rawvideo", "-"];
        let bytes = ffmpeg_output(&args);
        assert_eq!(bytes.len() % (width * height), 0);
        bytes.chunks_exact(width * height).map(<[u8]>::to_vec).collect()
    }

    /// When each picture is shown, in seconds after the first.
    pub fn times(&self) -> Vec<f64> {
        let mut command = Command::new("ffprobe");
        command.args(["-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "default=nk=1:nw=1"]);
        let output = command.arg(&self.path).output().expect("ffprobe is needed: apt install ffmpeg");
        let text = String::from_utf8(output.stdout).unwrap();
        let times: Vec<f64> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
        times.iter().map(|time| time - times[0]).collect()
    }

    /// Its sound as ffmpeg decodes it, interleaved.
    pub fn sound(&self, channels: usize) -> Vec<i16> {
        let count = channels.to_string();
        let args = ["-i", self.text(), "-vn", "-af", "aresample=48000:async=1", "-ac", &count, "-f", "s16le", "-"];
        ffmpeg_output(&args).as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect()
    }
}
