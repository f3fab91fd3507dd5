//! What a film is made of, asked of `ffprobe` before anything is played.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::{Error, Options, Origin};
use eyeline_proto::picture::{Size, Turn, View};
use eyeline_proto::rate::Rate;

/// A few kilobytes a stream; films have at most some dozens.
const MAX_ANSWER: u64 = 4 << 20;

/// How many packets' stamps decide whether the rate is constant: ten seconds of most films, found without decoding.
const STAMPS: usize = 300;

/// How many packets are decoded to see what pictures are like: the first picture, and whether it is woven of two fields.
const LOOK: &str = "%+#4";

/// What ffprobe calls a file of which JPEGs can be given as they are.
const MATROSKA: &str = "matroska,webm";

/// What it calls full-range JPEGs that any receiver decodes.
const JPEGS: [&str; 4] = ["yuvj420p", "yuvj422p", "yuvj444p", "gray"];

/// How often a still is given again. Whoever joins is given it at once; this is for what was lost on the way and for files, and
/// costs next to nothing at any size up to 4K.
const STILL: Rate = Rate::new(2, 1).unwrap();

/// How a film will be played.
#[derive(Debug, Clone)]
pub struct Playback {
    pub origin: Origin,
    /// Its pictures, if it has some and they are wanted.
    pub video: Option<Video>,
    /// Its sound, if it has some and it is wanted.
    pub sound: Option<Sound>,
    /// Whether it starts again at its end.
    pub looped: bool,
    /// How long it plays, where it says so.
    pub length: Option<Duration>,
    /// How long a still is shown; without, until it is stopped.
    pub still: Option<Duration>,
}

/// A film's pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// The stream's number in the film.
    pub index: u32,
    /// As they will be given: upright, with square pixels, scaled as asked.
    pub size: Size,
    /// Pictures a second; where `variable`, on average.
    pub rate: Rate,
    /// Whether pictures come at uneven times.
    pub variable: bool,
    /// A rate at which each picture has a place of its own, or nearly: `rate`, unless they come at uneven times.
    pub grid: Rate,
    /// Whether it is one picture alone.
    pub still: bool,
    /// Whether they are JPEGs that are given as they are.
    pub jpegs: bool,
    /// What else is to be done to pictures.
    pub treatment: Treatment,
}

/// What is done to pictures before they are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Treatment {
    /// They are woven of two fields.
    pub interlaced: bool,
    /// They have transparent parts.
    pub alpha: bool,
    /// They are mirrored, which not every ffmpeg undoes.
    pub mirrored: Option<Turn>,
}

/// A film's sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// The stream's number in the film.
    pub index: u32,
    /// As it will be given: 1 or 2.
    pub channels: u8,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    format_name: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    tags: Tags,
}

#[derive(Deserialize, Default)]
struct Tags {
    /// What wrote the file.
    encoder: Option<String>,
}

#[derive(Deserialize)]
struct Look {
    #[serde(default)]
    frames: Vec<Frame>,
}

/// A decoded picture as ffprobe tells of it.
#[derive(Deserialize)]
struct Frame {
    width: Option<u32>,
    height: Option<u32>,
    pix_fmt: Option<String>,
    sample_aspect_ratio: Option<String>,
    #[serde(default)]
    interlaced_frame: u8,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Deserialize)]
struct Stream {
    index: u32,
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    pix_fmt: Option<String>,
    field_order: Option<String>,
    sample_aspect_ratio: Option<String>,
    r_frame_rate: Option<String>,
    avg_frame_rate: Option<String>,
    channels: Option<u32>,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Deserialize, Default)]
struct Disposition {
    #[serde(default)]
    default: u8,
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
    displaymatrix: Option<String>,
}

/// See [`super::Film::probe`].
pub fn probe(origin: Origin, options: &Options) -> Result<Playback, Error> {
    let path = origin.name.clone();
    let answer = ask(&origin, &["-print_format", "json", "-show_streams", "-show_format"])?;
    let answer: Answer = serde_json::from_slice(&answer)
        .map_err(|error| Error::NotFilm { path: path.clone(), why: format!("ffprobe's answer is not understood: {error}") })?;
    // ffmpeg plays any text file as a terminal's screen; nobody means that.
    if answer.format.as_ref().and_then(|format| format.format_name.as_deref()) == Some("tty") {
        return Err(Error::NotFilm { path, why: "it is text".into() });
    }
    let sound = if options.want_audio { best(&answer.streams, "audio") } else { None };
    let sound = sound.map(|stream| Sound { index: stream.index, channels: if stream.channels == Some(1) { 1 } else { 2 } });
    let video = if options.want_video { best(&answer.streams, "video") } else { None };
    let is_ours = answer.format.as_ref().is_some_and(|format| {
        let encoder = format.tags.encoder.as_deref().unwrap_or_default();
        format.format_name.as_deref() == Some(MATROSKA) && encoder.starts_with("Eyeline")
    });
    let video = video.map(|stream| plan_video(&origin, stream, sound.is_none(), options)).transpose()?;
    // In others' files JPEGs lack their tables, or are of kinds that not every receiver decodes.
    let video = video.map(|video| Video { jpegs: video.jpegs && is_ours, ..video });
    if video.is_none() && sound.is_none() {
        let wanted = match (options.want_video, options.want_audio) {
            (true, false) => "pictures",
            (false, true) => "sound",
            _ => "pictures or sound",
        };
        return Err(Error::Nothing { path, wanted });
    }
    let length = answer.format.and_then(|format| length(&format));
    Ok(Playback { origin, video, sound, looped: options.looped, length, still: options.still })
}

/// How long a film plays. Not known of MPEG's streams: there the length is the distance of the last stamp from the first, and
/// stamps start again where streams were joined.
fn length(format: &Format) -> Option<Duration> {
    if matches!(format.format_name.as_deref(), Some("mpegts" | "mpeg")) {
        return None;
    }
    Duration::try_from_secs_f64(format.duration.as_ref()?.parse().ok()?).ok()
}

/// A child that cannot be started, as an error: nearly always it is not installed.
pub fn not_started(program: &'static str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NoProgram { program },
        _ => Error::NotStarted { program, why: error.to_string() },
    }
}

/// One of ffmpeg's programs, to be run on a file from anywhere. It is no business of it, or of what it may start, which key we
/// have.
pub fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("EYELINE_KEY");
    command
}

fn ask(origin: &Origin, questions: &[&str]) -> Result<Vec<u8>, Error> {
    let mut command = tool("ffprobe");
    command.args(["-v", "error"]).args(questions);
    origin.arguments(&mut command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started("ffprobe", &error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Its words are few; taken on a thread all the same, so that a full pipe can never stop it.
    let words = std::thread::Builder::new()
        .name("ffprobe words".into())
        .spawn(move || stderr.map(super::stderr::listen).unwrap_or_default())
        .map_err(|error| not_started("ffprobe", &error));
    let mut answer = Vec::new();
    let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX_ANSWER).read_to_end(&mut answer));
    let ended = child.wait();
    let words = words?.join().unwrap_or_default();
    match (read, ended) {
        (Ok(_), Ok(status)) if status.success() => Ok(answer),
        (Ok(_), Ok(status)) => {
            let last = words.last.unwrap_or_else(|| format!("ffprobe ended with {status}"));
            // "file:NAME: Invalid data found ..." says the name once more.
            let last = last.rsplit(": ").next().unwrap_or(&last).to_owned();
            Err(Error::NotFilm { path: origin.name.clone(), why: words.telling.unwrap_or(last) })
        }
        (Err(error), _) | (_, Err(error)) => Err(Error::NotStarted { program: "ffprobe", why: error.to_string() }),
    }
}

/// The stream a player would choose: no cover art, the default one before others, the first before the rest.
fn best<'a>(streams: &'a [Stream], kind: &str) -> Option<&'a Stream> {
    let fits = |stream: &&Stream| {
        stream.codec_type.as_deref() == Some(kind)
            && stream.disposition.attached_pic == 0
            && stream.codec_name.as_deref().is_some_and(|name| name != "unknown")
    };
    let mut fitting = streams.iter().filter(fits);
    let first = fitting.next()?;
    if first.disposition.default == 1 {
        return Some(first);
    }
    fitting.find(|stream| stream.disposition.default == 1).or(Some(first))
}

fn plan_video(origin: &Origin, stream: &Stream, alone: bool, options: &Options) -> Result<Video, Error> {
    // A film that cannot be decoded at its beginning is still played from where it can.
    let index = stream.index.to_string();
    let look = ["-select_streams", &index, "-read_intervals", LOOK, "-show_frames", "-print_format", "json"];
    let look: Option<Look> = ask(origin, &look).ok().and_then(|answer| serde_json::from_slice(&answer).ok());
    let frames = look.map(|look| look.frames).unwrap_or_default();
    let first = frames.first();
    let width = first.and_then(|frame| frame.width).or(stream.width);
    let height = first.and_then(|frame| frame.height).or(stream.height);
    let (Some(width @ 1..), Some(height @ 1..)) = (width, height) else {
        return Err(Error::NotFilm { path: origin.name.clone(), why: "its pictures have no size; it may be damaged".into() });
    };
    let aspect = [first.and_then(|frame| frame.sample_aspect_ratio.as_deref()), stream.sample_aspect_ratio.as_deref()];
    let aspect = aspect.into_iter().flatten().find_map(parse_aspect).unwrap_or((1, 1));
    let side_data = first.map_or(&[][..], |frame| &frame.side_data_list[..]);
    let turn = side_data.iter().chain(&stream.side_data_list).find_map(turn_of).unwrap_or_default();
    let size = scaled(View { turn, ..View::PLAIN.with_aspect(aspect) }.seen(Size { width, height }), options);
    if !size.is_possible() {
        return Err(Error::TooLarge { path: origin.name.clone(), size });
    }
    let fields = stream.field_order.as_deref().is_some_and(|order| matches!(order, "tt" | "bb" | "tb" | "bt"));
    let format = first.and_then(|frame| frame.pix_fmt.as_deref()).or(stream.pix_fmt.as_deref());
    let treatment = Treatment {
        interlaced: fields || frames.iter().any(|frame| frame.interlaced_frame == 1),
        alpha: format.is_some_and(has_alpha),
        mirrored: Some(turn).filter(|turn| turn.is_mirrored()),
    };
    let parse = |rate: &Option<String>| rate.as_deref().and_then(Rate::parse);
    let finest = parse(&stream.r_frame_rate);
    let average = parse(&stream.avg_frame_rate).or(finest).unwrap_or(Rate::PAL);
    let (packets, stamps) = stamps(origin, stream.index).unwrap_or_default();
    let still = packets == 1 && alone;
    if still {
        return Ok(Video {
            index: stream.index,
            size,
            rate: STILL,
            variable: false,
            grid: STILL,
            still,
            jpegs: false,
            treatment,
        });
    }
    let constant = finest.filter(|_| packets > 0).and_then(|rate| constant_rate(&stamps, rate));
    let rate = constant.unwrap_or(average);
    let grid = constant.unwrap_or_else(|| grid(&stamps, finest.unwrap_or(average), average));
    let plain = aspect == (1, 1) && turn == Turn::default() && treatment == Treatment::default();
    let baseline = stream.codec_name.as_deref() == Some("mjpeg") && format.is_some_and(|format| JPEGS.contains(&format));
    let jpegs = baseline && plain && size == Size { width, height };
    Ok(Video { index: stream.index, size, rate, variable: constant.is_none(), grid, still, jpegs, treatment })
}

/// ffmpeg's names of pixel formats with transparent parts.
pub fn has_alpha(format: &str) -> bool {
    ["rgba", "bgra", "argb", "abgr", "gbrap", "yuva", "ya8", "ya16", "pal8", "ayuv", "vuya"]
        .iter()
        .any(|name| format.starts_with(name))
}

/// The turn a display matrix makes (ISO 14496-12, 6.2.2), to the nearest quarter.
fn turn_of(data: &SideData) -> Option<Turn> {
    if let Some(matrix) = &data.displaymatrix {
        // Three rows, each with its number and a colon in front.
        let words = matrix.split_whitespace().filter(|word| !word.ends_with(':'));
        let numbers: Vec<i64> = words.map_while(|word| word.parse().ok()).collect();
        if let &[a, b, _, c, d, ..] = &numbers[..] {
            let transposed = b.unsigned_abs() > a.unsigned_abs();
            let (x, y) = if transposed { (c, b) } else { (a, d) };
            return Some(Turn { transposed, flip_x: x < 0, flip_y: y < 0 });
        }
    }
    Some(turn_by(data.rotation?))
}

/// The turn by so many degrees against the clock, to the nearest quarter.
pub fn turn_by(degrees: f64) -> Turn {
    let quarters = (degrees / 90.0).round() as i64;
    Turn::from_exif([1, 8, 3, 6][quarters.rem_euclid(4) as usize])
}

/// `a:b`; `None` for the many ways to say "unknown".
pub fn parse_aspect(text: &str) -> Option<(u32, u32)> {
    let (across, down) = text.split_once(':')?;
    let (across, down) = (across.parse().ok()?, down.parse().ok()?);
    (across > 0 && down > 0).then_some((across, down))
}

/// `from` scaled to the width asked for, else to fit into the size asked for; the aspect is kept.
fn scaled(from: Size, options: &Options) -> Size {
    let by = |length: u32, to: u32, of: u32| {
        let scaled = (u64::from(length) * u64::from(to) + u64::from(of) / 2) / u64::from(of);
        u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
    };
    let to_width = |width: u32| Size { width, height: by(from.height, width, from.width) };
    match (options.width, options.size) {
        (Some(width), _) => to_width(width),
        (None, Some(within)) => {
            let wide = to_width(within.width);
            if wide.height <= within.height {
                wide
            } else {
                Size { width: by(from.width, within.height, from.height), height: within.height }
            }
        }
        (None, None) => from,
    }
}

/// How many of the first packets there are, and when those that say so are shown, in order.
fn stamps(origin: &Origin, index: u32) -> Result<(usize, Vec<Duration>), Error> {
    let (index, interval) = (index.to_string(), format!("%+#{STAMPS}"));
    let questions =
        ["-select_streams", &index, "-read_intervals", &interval, "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
    let answer = ask(origin, &questions)?;
    // Decoders reorder: packets come in the order of decoding. Times before zero are moved up; only distances matter here.
    let text = String::from_utf8_lossy(&answer);
    let packets = text.lines().filter(|line| !line.trim().is_empty()).count();
    let seconds = text.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok()).filter(|s| s.abs() < 1e9);
    let mut nanos: Vec<i64> = seconds.map(|seconds| (seconds * 1e9) as i64).collect();
    nanos.sort_unstable();
    let first = nanos.first().copied().unwrap_or(0);
    Ok((packets, nanos.into_iter().map(|at| Duration::from_nanos(at.abs_diff(first))).collect()))
}

/// The constant rate these stamps have, if they have one. `finest` is a rate all of them are multiples of.
///
/// A picture missing here and there does not make a film variable, nor do stamps rounded to milliseconds.
fn constant_rate(stamps: &[Duration], finest: Rate) -> Option<Rate> {
    if stamps.len() < 2 {
        // One picture, or a container without stamps (AVI with reordering): its own word has to do.
        return Some(finest);
    }
    let first = stamps[0];
    let places: Vec<u64> = stamps.iter().map(|&at| finest.nearest(at - first)).collect();
    let on_grid = stamps.iter().zip(&places).all(|(&at, &k)| finest.at(k).abs_diff(at - first) <= super::STAMP_ERROR);
    if !on_grid {
        return None;
    }
    let mut steps: Vec<u64> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let total = steps.len();
    steps.sort_unstable();
    let usual = steps[total / 2];
    let fitting = steps.iter().filter(|&&step| step == usual).count();
    let den = u64::from(finest.den()).checked_mul(usual).and_then(|den| u32::try_from(den).ok())?;
    let even = usual > 0 && fitting * 20 >= total * 19 && steps.iter().all(|step| step % usual == 0);
    Rate::new(finest.num(), den).filter(|rate| even && *rate >= Rate::LEAST)
}

/// The rate of a recording that is to show each of these uneven pictures at its time. `finest` is what all of them are multiples
/// of, and for many a container that is 1000 or 90,000: then the shortest usual distance decides. More than 60 nobody records
/// such a film with.
fn grid(stamps: &[Duration], finest: Rate, average: Rate) -> Rate {
    const MOST: u32 = 60;
    if finest.per_second() <= f64::from(MOST) {
        return finest;
    }
    let mut distances: Vec<Duration> = stamps.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    distances.sort_unstable();
    let short =
        distances.get(distances.len() / 10).map_or(average.period(), |distance| distance.min(&average.period()).to_owned());
    let rate = (1.0 / short.as_secs_f64()).round().clamp(1.0, f64::from(MOST)) as u32;
    Rate::new(rate, 1).unwrap_or(average)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uneven_pictures_are_recorded_at_a_rate_that_has_a_place_for_each() {
        let rate = |num| Rate::new(num, 1).unwrap();
        assert_eq!(grid(&[], rate(50), rate(13)), rate(50));
        let stamps: Vec<Duration> = [0, 33, 67, 133, 167, 300, 333, 366, 400, 700].map(Duration::from_millis).into();
        assert_eq!(grid(&stamps, rate(1000), rate(13)), rate(30));
        assert_eq!(grid(&[], rate(1000), rate(13)), rate(13));
        assert_eq!(grid(&[Duration::ZERO; 4], rate(1000), rate(13)), rate(60));
    }

    fn rounded(rate: Rate, count: u64) -> Vec<Duration> {
        (0..count).map(|k| Duration::from_millis((rate.at(k).as_nanos() as u64 + 500_000) / 1_000_000)).collect()
    }

    #[test]
    fn a_rate_in_rounded_stamps_is_found_and_an_uneven_one_is_not() {
        for text in ["24000/1001", "24/1", "25/1", "30000/1001", "60/1"] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!(constant_rate(&rounded(rate, 300), rate), Some(rate), "{text}");
            let mut gap = rounded(rate, 300);
            gap.remove(100);
            assert_eq!(constant_rate(&gap, rate), Some(rate), "{text} with a picture missing");
        }
        let uneven: Vec<Duration> = [0, 33, 67, 133, 167, 300, 333].map(Duration::from_millis).into();
        assert_eq!(constant_rate(&uneven, Rate::new(30, 1).unwrap()), None);
    }

    #[test]
    fn a_finest_rate_of_two_fields_gives_the_rate_of_pictures() {
        let pictures = Rate::parse("30000/1001").unwrap();
        let fields = Rate::parse("60000/1001").unwrap();
        let found = constant_rate(&rounded(pictures, 100), fields).unwrap();
        assert_eq!(found.at(30), pictures.at(30));
    }

    #[test]
    fn a_display_matrix_turns_and_mirrors_as_exif_does() {
        let turn = |a: i64, b: i64, c: i64, d: i64| {
            let matrix = format!("\n00000000: {a} {b} 0\n00000001: {c} {d} 0\n00000002: 20971520 0 1073741824\n");
            turn_of(&SideData { rotation: Some(45.0), displaymatrix: Some(matrix) }).unwrap()
        };
        let one = 65536;
        let matrices = [
            (one, 0, 0, one),
            (-one, 0, 0, one),
            (-one, 0, 0, -one),
            (one, 0, 0, -one),
            (0, one, one, 0),
            (0, one, -one, 0),
            (0, -one, -one, 0),
            (0, -one, one, 0),
        ];
        for (orientation, (a, b, c, d)) in (1..).zip(matrices) {
            assert_eq!(turn(a, b, c, d), Turn::from_exif(orientation), "{orientation}");
        }
        let rotation = |degrees| turn_of(&SideData { rotation: Some(degrees), displaymatrix: None }).unwrap();
        assert_eq!([rotation(-90.0), rotation(90.0), rotation(180.0)], [6, 8, 3].map(Turn::from_exif));
    }

    #[test]
    fn a_width_keeps_the_aspect_and_a_size_is_fitted_into() {
        let from = Size { width: 1920, height: 1080 };
        let options = Options { width: Some(640), ..Options::default() };
        assert_eq!(scaled(from, &options), Size { width: 640, height: 360 });
        let options = Options { size: Some(Size { width: 640, height: 640 }), ..Options::default() };
        assert_eq!(scaled(from, &options), Size { width: 640, height: 360 });
        let options = Options { size: Some(Size { width: 640, height: 180 }), ..Options::default() };
        assert_eq!(scaled(from, &options), Size { width: 320, height: 180 });
        assert_eq!(scaled(from, &Options::default()), from);
    }

    #[test]
    fn a_length_is_believed_where_stamps_do_not_start_again() {
        let said = |format: &str| {
            let json = format!(r#"{{"format_name":"{format}","duration":"2.023222"}}"#);
            length(&serde_json::from_str(&json).unwrap())
        };
        assert_eq!(said("mov,mp4,m4a,3gp,3g2,mj2"), Some(Duration::from_micros(2_023_222)));
        assert_eq!([said("mpegts"), said("mpeg")], [None, None], "joined streams are as long as the last of them, or as nothing");
    }

    #[test]
    fn cover_art_is_no_film_and_the_default_stream_comes_first() {
        let json = r#"[{"index":0,"codec_type":"video","codec_name":"mjpeg","disposition":{"default":1,"attached_pic":1}},
            {"index":1,"codec_type":"audio","codec_name":"aac","disposition":{"default":0}},
            {"index":2,"codec_type":"audio","codec_name":"aac","disposition":{"default":1}},
            {"index":3,"codec_type":"audio"}]"#;
        let streams: Vec<Stream> = serde_json::from_str(json).unwrap();
        assert!(best(&streams, "video").is_none());
        assert_eq!(best(&streams, "audio").map(|stream| stream.index), Some(2));
    }
}
