//! Who is measured: Eyeline, the floors, and the programs people put together for the same purpose, each with every flag for low
//! latency it has.

use crate::source::{Format, QUALITY};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// What a peer's commands are made from.
pub struct Context<'a> {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Pictures a second.
    pub fps: u64,
    /// The sender's address.
    pub sender: &'a str,
    /// The receiver's.
    pub receiver: &'a str,
    /// A free port.
    pub port: u16,
    /// For files between the two sides.
    pub directory: &'a Path,
    /// Where `send` and `recv` are.
    pub programs: &'a Path,
    /// Where the peers' scripts are.
    pub scripts: &'a Path,
}

/// What a peer stands for in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The least work there could be; no peer to be compared with.
    Floor,
    /// Somebody else's.
    Peer,
    /// Eyeline, as it is and in special settings.
    Eyeline,
}

/// One row of the table.
pub struct Peer {
    /// For `--only`.
    pub key: &'static str,
    /// In the table.
    pub title: &'static str,
    /// See there.
    pub kind: Kind,
    /// What it is fed with.
    pub format: Format,
    /// The processors it may use; all without.
    pub cores: Option<&'static [usize]>,
    /// The side that reads the source.
    pub send: fn(&Context<'_>) -> Command,
    /// The side with the window; `None` where that is the same program.
    pub recv: Option<fn(&Context<'_>) -> Command>,
    /// A file of the sender's that the receiver needs.
    pub awaits: Option<&'static str>,
    /// What red, green and blue are of luma in its conversion of a picture so high, in 256ths.
    pub luma: fn(usize) -> [u32; 3],
}

/// BT.601's, which JPEG has.
const BT601: [u32; 3] = [77, 150, 29];

/// BT.709's, which decoders of H.264 take where a picture is larger than television's was.
const BT709: [u32; 3] = [54, 183, 19];

/// Everybody, in the order of the table.
pub const ALL: &[Peer] = &[
    Peer { key: "show", title: "floor: no codec, no network", kind: Kind::Floor, send: |_| own("show"), recv: None, ..BASE },
    Peer {
        key: "jpeg",
        title: "floor: JPEG + UDP, one thread",
        kind: Kind::Floor,
        send: floor_send,
        recv: Some(floor_recv),
        ..BASE
    },
    Peer { key: "gst-jpeg", title: "GStreamer RTP/JPEG", send: gst_jpeg_send, recv: Some(gst_jpeg_recv), ..BASE },
    Peer { key: "gst-h264", title: "GStreamer H.264 zerolatency", send: gst_h264_send, recv: Some(gst_h264_recv), ..BASE },
    Peer {
        key: "ffplay",
        title: "ffmpeg, ffplay RTP/JPEG",
        send: ffmpeg_send,
        recv: Some(ffplay_recv),
        awaits: Some("stream.sdp"),
        ..BASE
    },
    Peer { key: "python", title: "Python tutorial over TCP", send: python_send, recv: Some(python_recv), ..BASE },
    EYELINE,
    Peer { key: "eyeline-2", title: "Eyeline on two cores", cores: Some(&[0, 1]), ..EYELINE },
    Peer { key: "eyeline-jpegs", title: "Eyeline, JPEGs passed through", format: Format::Jpegs, ..EYELINE },
];

/// Whom the motion bench measures: Eyeline as it is and sending everything, and others; H.264 at three
/// quantizers, of which the middle one is played in every scene.
pub const MOTION: &[Peer] = &[
    EYELINE,
    Peer { key: "eyeline-whole", title: "Eyeline, `--replenish off`", send: eyeline_whole_send, ..EYELINE },
    Peer { key: "gst-jpeg", title: "GStreamer RTP/JPEG", send: gst_jpeg_send, recv: Some(gst_jpeg_recv), ..BASE },
    Peer { key: "h264-22", title: "GStreamer H.264, quantizer 22", send: gst_h264_at::<22>, ..X264 },
    Peer { key: "h264-26", title: "GStreamer H.264, quantizer 26", send: gst_h264_at::<26>, ..X264 },
    Peer { key: "h264-30", title: "GStreamer H.264, quantizer 30", send: gst_h264_at::<30>, ..X264 },
];

/// Beside these, whom the network bench alone measures: on a clean link it is no better than the one above.
pub const FFPLAY_TS: Peer =
    Peer { key: "ffplay-ts", title: "ffmpeg, ffplay MPEG-TS/H.264", send: ffmpeg_ts_send, recv: Some(ffplay_ts_recv), ..BASE };

const BASE: Peer = Peer {
    key: "",
    title: "",
    kind: Kind::Peer,
    format: Format::Y4m,
    cores: None,
    send: |_| own("show"),
    recv: None,
    awaits: None,
    luma: |_| BT601,
};

const X264: Peer = Peer { recv: Some(gst_h264_recv), luma: |height| if height > 576 { BT709 } else { BT601 }, ..BASE };

const EYELINE: Peer =
    Peer { key: "eyeline", title: "**Eyeline**", kind: Kind::Eyeline, send: eyeline_send, recv: Some(eyeline_recv), ..BASE };

fn command(program: impl AsRef<OsStr>, words: &str) -> Command {
    let mut command = Command::new(program);
    command.args(words.split_whitespace());
    command
}

/// This program again, as a floor.
fn own(word: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(word);
    command
}

fn floor_send(context: &Context<'_>) -> Command {
    let mut command = own("floor-send");
    command.arg(format!("{}:{}", context.receiver, context.port));
    command
}

fn floor_recv(context: &Context<'_>) -> Command {
    let mut command = own("floor-recv");
    command.arg(format!("{}:{}", context.receiver, context.port));
    command
}

fn eyeline_send(context: &Context<'_>) -> Command {
    let words = format!("--file - --no-audio --quiet --bind {} --port {}", context.sender, context.port);
    command(context.programs.join("send"), &words)
}

fn eyeline_whole_send(context: &Context<'_>) -> Command {
    let mut command = eyeline_send(context);
    command.args(["--replenish", "off"]);
    command
}

fn eyeline_recv(context: &Context<'_>) -> Command {
    let words = format!("--host {} --port {} --no-audio --quiet --stats json", context.sender, context.port);
    command(context.programs.join("recv"), &words)
}

fn gst_jpeg_send(context: &Context<'_>) -> Command {
    let Context { port, receiver, .. } = context;
    let words = format!(
        "-q fdsrc fd=0 blocksize=262144 ! y4mdec ! jpegenc quality={QUALITY} ! rtpjpegpay ! udpsink host={receiver} port={port} \
         sync=false async=false buffer-size=4194304"
    );
    command("gst-launch-1.0", &words)
}

fn gst_jpeg_recv(context: &Context<'_>) -> Command {
    let port = context.port;
    let words = format!(
        "-q udpsrc port={port} buffer-size=4194304 caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=JPEG,payload=26 \
         ! rtpjitterbuffer latency=0 ! rtpjpegdepay ! jpegdec ! videoconvert n-threads=4 ! ximagesink sync=false"
    );
    command("gst-launch-1.0", &words)
}

fn gst_h264_send(context: &Context<'_>) -> Command {
    let Context { fps, width, height, .. } = context;
    // About what JPEG needs is more than enough for H.264; a quarter of a bit a pixel leaves no visible loss at this speed.
    let kbit = *width as u64 * *height as u64 * fps / 4000;
    x264_send(context, &format!("bitrate={kbit}"))
}

fn gst_h264_at<const QUANTIZER: u8>(context: &Context<'_>) -> Command {
    x264_send(context, &format!("pass=quant quantizer={QUANTIZER}"))
}

fn x264_send(context: &Context<'_>, rate: &str) -> Command {
    let Context { port, fps, receiver, .. } = context;
    let words = format!(
        "-q fdsrc fd=0 blocksize=262144 ! y4mdec ! x264enc tune=zerolatency speed-preset=ultrafast threads=4 {rate} \
         key-int-max={fps} ! rtph264pay config-interval=-1 aggregate-mode=zero-latency ! udpsink host={receiver} port={port} sync=false \
         async=false buffer-size=4194304"
    );
    command("gst-launch-1.0", &words)
}

fn gst_h264_recv(context: &Context<'_>) -> Command {
    let port = context.port;
    let words = format!(
        "-q udpsrc port={port} buffer-size=4194304 caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96 \
         ! rtpjitterbuffer latency=0 ! rtph264depay ! h264parse ! avdec_h264 max-threads=4 thread-type=2 ! videoconvert n-threads=4 \
         ! ximagesink sync=false"
    );
    command("gst-launch-1.0", &words)
}

fn ffmpeg_send(context: &Context<'_>) -> Command {
    let words = "-hide_banner -loglevel error -fflags nobuffer -probesize 32 -analyzeduration 0 -f yuv4mpegpipe -i - -c:v mjpeg \
         -huffman default -force_duplicated_matrix 1 -q:v 3 -threads 1 -flush_packets 1 -f rtp";
    let mut command = command("ffmpeg", words);
    command.arg("-sdp_file").arg(context.directory.join("stream.sdp"));
    command.arg(format!("rtp://{}:{}?pkt_size=1400", context.receiver, context.port));
    command
}

fn ffplay_recv(context: &Context<'_>) -> Command {
    let mut command = command(
        "ffplay",
        "-hide_banner -loglevel error -fflags nobuffer -flags low_delay -framedrop -sync ext -probesize 32 -analyzeduration 0 \
         -max_delay 0 -reorder_queue_size 0 -avioflags direct -threads 1 -an -noborder -vf setpts=0 -protocol_whitelist file,udp,rtp",
    );
    command.arg(context.directory.join("stream.sdp")).env("SDL_AUDIODRIVER", "dummy");
    command
}

fn ffmpeg_ts_send(context: &Context<'_>) -> Command {
    let Context { port, fps, width, height, receiver, .. } = context;
    let kbit = *width as u64 * *height as u64 * fps / 4000;
    let words = format!(
        "-hide_banner -loglevel error -fflags nobuffer -probesize 32 -analyzeduration 0 -f yuv4mpegpipe -i - -c:v libx264 \
         -preset ultrafast -tune zerolatency -g {fps} -b:v {kbit}k -pix_fmt yuv420p -flush_packets 1 -muxdelay 0 -muxpreload 0 -f mpegts \
         udp://{receiver}:{port}?pkt_size=1316"
    );
    command("ffmpeg", &words)
}

fn ffplay_ts_recv(context: &Context<'_>) -> Command {
    let port = context.port;
    let words = format!(
        "-hide_banner -loglevel error -fflags nobuffer -flags low_delay -framedrop -sync ext -probesize 65536 -analyzeduration 0 \
         -max_delay 0 -threads 1 -an -noborder -vf setpts=0 -f mpegts \
         udp://0.0.0.0:{port}?overrun_nonfatal=1&buffer_size=4194304"
    );
    let mut command = command("ffplay", &words);
    command.env("SDL_AUDIODRIVER", "dummy");
    command
}

fn python_send(context: &Context<'_>) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(context.scripts.join("tutorial_send.py")).arg(context.port.to_string()).arg(QUALITY.to_string());
    command
}

fn python_recv(context: &Context<'_>) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(context.scripts.join("tutorial_recv.py")).arg(context.port.to_string());
    command
}
