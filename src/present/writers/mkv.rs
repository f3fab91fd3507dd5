//! Matroska files: JPEGs and sound as they came, each at its own time, of as many sources as there are (`media/matroska.rs`).
//!
//! A file begins with what came first: a third of a second is waited for, and a pipe waits until pictures and sound are there, or
//! three seconds, for its tracks cannot be told later. At each moment after that it is a file that plays. Where it is split, the
//! next one begins with a picture, if any come, and for six seconds what is older still goes into the one before.

use super::sink::Sink;
use super::{Error, Progress, Target, Written};
use eyeline_proto::media::matroska::{Media, Muxer, Step, Track};
use eyeline_proto::picture::Size;
use eyeline_proto::sound::RATE;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

/// How long a file waits for its first units.
const OPENING: Duration = Duration::from_millis(300);

/// How long a pipe waits for pictures and sound; from then on, until both are there.
const OPENING_PIPE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Bytes that wait for a file to begin.
const MOST_OPENING: usize = 32 << 20;

/// What is older than the beginning of a file comes so much later than that at most: pictures of a film are waited for so long.
const LATE: Duration = Duration::from_secs(6);

/// Where no picture has come for so long, a file is split without one.
const NO_PICTURE: Duration = Duration::from_secs(2);

/// What names itself in the file.
const PROGRAM: &str = concat!("Eyeline ", env!("CARGO_PKG_VERSION"));

/// Whose pictures and sound have a track each. Two of one name are two; one that is over leaves its tracks to the next of its
/// name.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    over: AtomicBool,
}

impl Source {
    pub fn new(name: &str) -> Arc<Source> {
        Arc::new(Source { name: name.to_string(), over: AtomicBool::new(false) })
    }

    /// Nothing more comes of it than what waits.
    pub fn is_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A picture or a block of sound.
pub struct Block {
    pub source: Arc<Source>,
    /// When it was caught, by our clock.
    pub at: Instant,
    pub content: Content,
}

pub enum Content {
    Jpeg(Size, Vec<u8>),
    /// Its channels, and samples for each in turn.
    Sound(u8, Arc<[i16]>),
}

impl Block {
    fn is_picture(&self) -> bool {
        matches!(self.content, Content::Jpeg(..))
    }

    fn bytes(&self) -> usize {
        match &self.content {
            Content::Jpeg(_, jpeg) => jpeg.len(),
            Content::Sound(_, samples) => 2 * samples.len(),
        }
    }
}

/// When another file is begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Split {
    pub after: Option<Duration>,
    pub bytes: Option<u64>,
}

/// Where the next of files that follow each other goes.
pub type Next = Box<dyn FnMut() -> Result<Target, Error> + Send>;

pub struct Writer {
    split: Split,
    next: Next,
    progress: Progress,
    /// What is to be written once the first file begins, its bytes, and since when it waits.
    opening: (Vec<Block>, usize, Option<Instant>),
    /// Where nothing has been written yet.
    claimed: Option<Sink>,
    /// The file that is written, and behind it those before.
    files: Vec<File>,
    total: Total,
}

/// Of all files.
#[derive(Default)]
struct Total {
    names: Vec<String>,
    pictures: u64,
    /// Of each source's: frames.
    sound: u64,
    bytes: u64,
    lasts: Duration,
    /// Blocks for whose tracks there was no place.
    left_out: u64,
}

struct File {
    sink: Sink,
    muxer: Muxer,
    /// The time of its beginning.
    zero: Instant,
    /// Of its last picture.
    pictured: Option<Instant>,
    tracks: Vec<Known>,
}

/// Whose a track is.
struct Known {
    source: Weak<Source>,
    track: Track,
}

impl Writer {
    /// Writes to `first`, and where it is split to whatever `next` gives.
    pub fn new(first: Target, split: Split, next: Next) -> Self {
        let sink = Sink::new(first);
        let progress = sink.progress();
        let (opening, claimed, files) = ((Vec::new(), 0, None), Some(sink), Vec::new());
        Writer { split, next, progress, opening, claimed, files, total: Total::default() }
    }

    /// Whether what has come is enough to begin with.
    fn is_open(&mut self, can_go_back: bool) -> bool {
        let (blocks, bytes, since) = &mut self.opening;
        let waited = since.get_or_insert_with(Instant::now).elapsed();
        let both = blocks.iter().any(Block::is_picture) && blocks.iter().any(|block| !block.is_picture());
        let long = match can_go_back {
            true => waited >= OPENING,
            false => waited >= OPENING_PIPE[usize::from(!both)],
        };
        long || *bytes >= MOST_OPENING
    }

    /// Begins a file with all that waits.
    fn begin(&mut self) -> Result<(), Error> {
        let Some(sink) = self.claimed.take() else { return Ok(()) };
        let mut waiting = std::mem::take(&mut self.opening.0);
        waiting.sort_by_key(|block| block.at);
        let Some(zero) = waiting.first().map(|block| block.at) else { return Ok(()) };
        self.open(sink, zero, &waiting)?;
        waiting.into_iter().try_for_each(|block| self.put(&block))
    }

    /// Begins a file at this time; `first` are those of whose tracks it is known that they come.
    fn open(&mut self, mut sink: Sink, zero: Instant, first: &[Block]) -> Result<(), Error> {
        let can_go_back = sink.can_go_back().map_err(|error| sink.error(error, self.total.kept()))?;
        let mut tracks: Vec<Known> = Vec::new();
        for block in first {
            if !tracks.iter().any(|known| known.is_of(block)) {
                tracks.push(Known::of(block));
            }
        }
        // Players take the first. Of all the first source's are named to be taken.
        tracks.sort_by_key(|known| !matches!(known.track.media, Media::Jpegs(_)));
        let chosen = tracks.first().map(|known| known.source.clone());
        for known in &mut tracks {
            known.track.default = chosen.as_ref().is_some_and(|chosen| chosen.ptr_eq(&known.source));
        }
        let began = SystemTime::now() - zero.elapsed();
        let began = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let listed = tracks.iter().map(|known| known.track.clone()).collect();
        let (muxer, head) = Muxer::new(can_go_back, began, PROGRAM, listed);
        tracks.truncate(muxer.tracks().len());
        sink.unit(&[&head]).map_err(|error| sink.error(error, self.total.kept()))?;
        self.total.names.push(sink.name().to_string());
        self.files.insert(0, File { sink, muxer, zero, pictured: None, tracks });
        Ok(())
    }

    /// Goes on in the next file, where this one is long or large enough.
    fn split(&mut self, block: &Block) -> Result<(), Error> {
        if self.files.first().is_some_and(|file| file.is_over(self.split, block)) {
            let sink = Sink::behind((self.next)()?, &self.progress);
            self.open(sink, block.at, std::slice::from_ref(block))?;
        }
        Ok(())
    }

    fn put(&mut self, block: &Block) -> Result<(), Error> {
        self.split(block)?;
        while self.files.len() > 1 && block.at > self.files[self.files.len() - 2].zero + LATE {
            self.close();
        }
        // What is older than the file belongs to the one before, or to the first.
        let at = self.files.iter().position(|file| block.at >= file.zero).unwrap_or(self.files.len().saturating_sub(1));
        let Some(file) = self.files.get_mut(at) else { return Ok(()) };
        match file.put(block) {
            Ok(true) => self.total.add(block),
            Ok(false) => self.total.left_out += 1,
            Err(error) => return Err(file.sink.error(error, self.total.kept())),
        }
        Ok(())
    }

    /// Brings the oldest file to its end.
    fn close(&mut self) {
        if let Some(mut file) = self.files.pop() {
            let over = file.muxer.end(file.sink.len(), Duration::ZERO);
            // It plays without, too.
            let _ = over.iter().try_for_each(|(at, bytes)| file.sink.rewrite(*at, bytes));
            self.total.bytes += file.sink.len();
            self.total.lasts += file.muxer.duration();
        }
    }

    fn close_all(&mut self) {
        while !self.files.is_empty() {
            self.close();
        }
    }
}

impl super::Writer for Writer {
    type Unit = Block;

    fn write(&mut self, block: Block) -> Result<(), Error> {
        let written = match &mut self.claimed {
            None => self.put(&block),
            Some(sink) => {
                let can_go_back = sink.can_go_back().map_err(|error| sink.error(error, Total::default().kept()))?;
                self.opening.1 += block.bytes();
                self.opening.0.push(block);
                if self.is_open(can_go_back) { self.begin() } else { Ok(()) }
            }
        };
        // What is in them plays to its end.
        written.inspect_err(|_| self.close_all())
    }

    fn finish(mut self) -> Result<Written, Error> {
        let begun = self.begin();
        self.close_all();
        begun?;
        let name = self.progress.name().to_string();
        let (units, left_out) = (self.total.pictures + u64::from(self.total.sound > 0), self.total.left_out);
        Ok(Written { name, units, filled: 0, left_out, sentence: self.total.sentence() })
    }

    fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl File {
    /// Whether the next one begins with this block.
    fn is_over(&self, split: Split, block: &Block) -> bool {
        let lasts = block.at.saturating_duration_since(self.zero);
        let long = split.after.is_some_and(|after| lasts >= after);
        let large = split.bytes.is_some_and(|bytes| self.sink.len() >= bytes) && !lasts.is_zero();
        let pictured = self.pictured.is_some_and(|pictured| block.at.saturating_duration_since(pictured) < NO_PICTURE);
        (long || large) && (block.is_picture() || !pictured)
    }

    /// Whether there was a place for it.
    fn put(&mut self, block: &Block) -> std::io::Result<bool> {
        let Some(track) = self.track(block)? else { return Ok(false) };
        let samples: Vec<u8>;
        let content = match &block.content {
            Content::Jpeg(_, jpeg) => jpeg.as_slice(),
            Content::Sound(_, sound) => {
                samples = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                samples.as_slice()
            }
        };
        let at = block.at.saturating_duration_since(self.zero);
        let Step { head, over } = self.muxer.block(track, at, content.len());
        self.sink.unit(&[&head, content])?;
        over.iter().try_for_each(|(at, bytes)| self.sink.rewrite(*at, bytes))?;
        if block.is_picture() {
            self.pictured = self.pictured.max(Some(block.at));
        }
        Ok(true)
    }

    /// The track of a block: one there is, one of a source of its name that is gone, or a new one; `None` where there is no place.
    fn track(&mut self, block: &Block) -> std::io::Result<Option<usize>> {
        if let Some(known) = self.tracks.iter().position(|known| known.is_of(block)) {
            return Ok(Some(known));
        }
        let new = Known::of(block);
        let is_over = |source: &Weak<Source>| source.upgrade().is_none_or(|source| source.over.load(Ordering::Relaxed));
        let left = |known: &Known| is_over(&known.source) && known.is_like(&new);
        if let Some(index) = self.tracks.iter().position(left) {
            self.tracks[index].source = new.source;
            return Ok(Some(index));
        }
        let Some((index, (at, bytes))) = self.muxer.add_track(new.track.clone()) else { return Ok(None) };
        self.sink.rewrite(at, &bytes)?;
        self.tracks.push(new);
        Ok(Some(index))
    }
}

impl Known {
    fn of(block: &Block) -> Known {
        let media = match block.content {
            Content::Jpeg(size, _) => Media::Jpegs(size),
            Content::Sound(channels, _) => Media::Pcm { channels },
        };
        let track = Track { name: block.source.name.clone(), media, default: false };
        Known { source: Arc::downgrade(&block.source), track }
    }

    /// Pictures may change their size.
    fn is_of(&self, block: &Block) -> bool {
        std::ptr::eq(self.source.as_ptr(), Arc::as_ptr(&block.source)) && self.takes(&Known::of(block).track.media)
    }

    fn is_like(&self, other: &Known) -> bool {
        self.track.name == other.track.name && self.takes(&other.track.media)
    }

    fn takes(&self, media: &Media) -> bool {
        match (&self.track.media, media) {
            (Media::Jpegs(_), Media::Jpegs(_)) => true,
            (mine, other) => mine == other,
        }
    }
}

impl Total {
    fn add(&mut self, block: &Block) {
        match &block.content {
            Content::Jpeg(..) => self.pictures += 1,
            Content::Sound(channels, samples) => self.sound += samples.len() as u64 / u64::from((*channels).max(1)),
        }
    }

    /// What was written so far.
    fn kept(&self) -> String {
        let pictures = super::y4m::count(self.pictures);
        let sound = self.sound as f64 / f64::from(RATE);
        if self.sound > 0 { format!("{pictures} and {sound:.2} s of sound") } else { pictures }
    }

    fn sentence(&self) -> String {
        let seconds = self.lasts.as_secs_f64().round() as u64;
        let lasts = format!("{}:{:02}", seconds / 60, seconds % 60);
        let names = match &self.names[..] {
            [first, .., last] => format!("{first} to {last}"),
            [one] => one.clone(),
            [] => String::new(),
        };
        let mut sentence = format!("{names}: {lasts}, {}, {:.1} MB", self.kept(), self.bytes as f64 / 1e6);
        if self.left_out > 0 {
            sentence += &format!("; {} more came of whom there was no place for", self.left_out);
        }
        sentence
    }
}

#[cfg(test)]
mod tests {
    use super::super::sink::tests::{SmallDisk, Temporary, target};
    use super::super::{Writer as _, arrival};
    use super::*;

    const SIZE: Size = Size { width: 64, height: 48 };

    fn picture(source: &Arc<Source>, ms: u64) -> Block {
        let content = Content::Jpeg(SIZE, vec![0xD8; 1000]);
        Block { source: source.clone(), at: arrival(ms * 1_000_000), content }
    }

    fn writer(target: Target) -> Writer {
        Writer::new(target, Split::default(), Box::new(|| Err(Error::ReaderGone)))
    }

    #[test]
    fn one_who_comes_back_goes_on_in_the_track_of_its_name_and_two_of_one_name_have_two() {
        let path = Temporary::new("back.mkv");
        let mut writer = writer(target(&path.0));
        let (other, mut held) = (Source::new("lab"), Vec::new());
        writer.write(picture(&other, 0)).unwrap();
        writer.begin().unwrap();
        for turn in 0..100 {
            let lab = Source::new("lab");
            (0..10).for_each(|k| writer.write(picture(&lab, turn * 1000 + k * 90)).unwrap());
            writer.write(picture(&other, turn * 1000 + 950)).unwrap();
            // Somebody may hold it still.
            lab.is_over();
            held.push(lab);
        }
        assert_eq!(writer.files[0].tracks.len(), 2);
        assert_eq!(writer.finish().unwrap().units, 1101);
    }

    #[test]
    fn a_full_disk_leaves_a_file_that_ends_with_a_whole_picture() {
        let disk = SmallDisk::of(100_000);
        let mut writer = writer(target(&Temporary::new("unused.mkv").0));
        writer.claimed = Some(Sink::to(disk.clone()));
        let lab = Source::new("lab");
        writer.write(picture(&lab, 0)).unwrap();
        writer.begin().unwrap();
        let error = (1..100).find_map(|k| writer.write(picture(&lab, k * 40)).err()).expect("it is full");
        assert!(error.to_string().contains("it keeps 2"), "{error}");
        let content = disk.content();
        assert!(content.len() <= 100_000 && content.ends_with(&[0xD8; 1000]));
        let segment = content.windows(4).position(|id| id == [0x18, 0x53, 0x80, 0x67]).unwrap() + 12;
        let size = u64::from_be_bytes(content[segment - 8..segment].try_into().unwrap()) & !(0xFF << 56);
        assert_eq!(size, (content.len() - segment) as u64, "the segment says where it ends");
    }

    #[test]
    fn nothing_that_came_is_no_file() {
        let path = Temporary::new("nothing.mkv");
        assert_eq!(writer(target(&path.0)).finish().unwrap().units, 0);
        assert!(!path.0.exists());
    }
}
