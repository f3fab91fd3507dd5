//! What there is to be shown: of each track its newest picture and its last blocks of sound, one copy for all viewers.
//!
//! Capacity: one picture a track, and [`BLOCKS`] blocks. Who is slow misses the pictures between, and finds the newest blocks only.

use super::server::Bell;
use crate::threads::lock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// 200 ms of sound.
const BLOCKS: usize = 20;

/// Lines of chat, for pages that are slow.
const LINES: usize = 64;

/// Tracks at once: what `recv` and `call` receive, and oneself.
pub const TRACKS: usize = 17;

/// A picture, whole.
#[derive(Debug)]
pub struct Picture {
    /// Of its track, in order.
    pub number: u32,
    /// When it was caught.
    pub at: Instant,
    pub jpeg: Vec<u8>,
}

/// A block of sound.
#[derive(Debug)]
pub struct Block {
    pub number: u32,
    pub at: Instant,
    pub channels: u8,
    /// At 48 kHz, for each channel in turn.
    pub samples: Arc<[i16]>,
}

struct Shown {
    name: String,
    pictures: u32,
    picture: Option<Arc<Picture>>,
    /// The next block's number.
    blocks: u32,
    sound: VecDeque<Arc<Block>>,
}

#[derive(Default)]
struct State {
    next: u16,
    tracks: BTreeMap<u16, Shown>,
    /// What was said last, by whom, and how much was said in all.
    lines: VecDeque<(String, String)>,
    said: u64,
    /// Counts changes of which tracks there are.
    changes: u64,
    bell: Option<Bell>,
}

/// See the module text. Clones are the same.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<State>>);

/// One track's place on it. Dropped: it is gone.
pub struct Place {
    board: Board,
    id: u16,
}

impl Board {
    /// Who is rung where anything is new.
    pub fn rings(&self, bell: Bell) {
        lock(&self.0).bell = Some(bell);
    }

    /// A track of this name more; `None` where there are [`TRACKS`].
    pub fn place(&self, name: &str) -> Option<Place> {
        let mut state = lock(&self.0);
        if state.tracks.len() >= TRACKS {
            return None;
        }
        let id = state.next;
        state.next = id.wrapping_add(1);
        let shown = Shown { name: name.into(), pictures: 0, picture: None, blocks: 0, sound: VecDeque::with_capacity(BLOCKS) };
        state.tracks.insert(id, shown);
        state.changes += 1;
        state.rings();
        Some(Place { board: self.clone(), id })
    }

    /// The tracks there are, by name, where that is news since `changes`, which then says so.
    pub fn tracks(&self, changes: &mut u64) -> Option<Vec<(u16, String)>> {
        let state = lock(&self.0);
        let is_news = std::mem::replace(changes, state.changes) != state.changes;
        is_news.then(|| state.tracks.iter().map(|(id, shown)| (*id, shown.name.clone())).collect())
    }

    /// Somebody says something to all.
    pub fn says(&self, name: &str, line: &str) {
        let mut state = lock(&self.0);
        if state.lines.len() == LINES {
            state.lines.pop_front();
        }
        state.lines.push_back((name.into(), line.into()));
        state.said += 1;
        state.rings();
    }

    /// How much was said.
    pub fn said(&self) -> u64 {
        lock(&self.0).said
    }

    /// The next line behind so many, which are one more then, and who said it.
    pub fn line(&self, heard: &mut u64) -> Option<(String, String)> {
        let state = lock(&self.0);
        let oldest = state.said - state.lines.len() as u64;
        let at = (*heard).max(oldest);
        let line = state.lines.get(usize::try_from(at - oldest).ok()?)?.clone();
        *heard = at + 1;
        Some(line)
    }

    /// The newest picture of a track, where it is none that was seen.
    pub fn picture(&self, track: u16, seen: Option<u32>) -> Option<Arc<Picture>> {
        lock(&self.0).tracks.get(&track)?.picture.clone().filter(|picture| seen != Some(picture.number))
    }

    /// The track of this name, or the first there is, that has had a picture.
    pub fn find(&self, name: Option<&str>) -> Option<u16> {
        let state = lock(&self.0);
        let is_it = |shown: &Shown| shown.picture.is_some() && name.is_none_or(|name| shown.name == name);
        state.tracks.iter().find(|(_, shown)| is_it(shown)).map(|(id, _)| *id)
    }

    /// The oldest block of a track that was not heard; of one of which none was (`None`), the newest.
    pub fn block(&self, track: u16, heard: Option<u32>) -> Option<Arc<Block>> {
        let state = lock(&self.0);
        let sound = &state.tracks.get(&track)?.sound;
        let Some(heard) = heard else { return sound.back().cloned() };
        let news = sound.iter().find(|block| block.number.wrapping_sub(heard).cast_signed() > 0);
        news.cloned()
    }
}

impl State {
    fn rings(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

impl Place {
    fn change(&self, change: impl FnOnce(&mut Shown)) {
        let mut state = lock(&self.board.0);
        if let Some(shown) = state.tracks.get_mut(&self.id) {
            change(shown);
        }
        state.rings();
    }

    /// This is its newest picture.
    pub fn picture(&self, at: Instant, jpeg: Vec<u8>) {
        self.change(|shown| {
            shown.pictures = shown.pictures.wrapping_add(1);
            shown.picture = Some(Arc::new(Picture { number: shown.pictures, at, jpeg }));
        });
    }

    /// This is its newest block of sound.
    pub fn sound(&self, at: Instant, channels: u8, samples: Arc<[i16]>) {
        self.change(|shown| {
            shown.blocks = shown.blocks.wrapping_add(1);
            if shown.sound.len() == BLOCKS {
                shown.sound.pop_front();
            }
            shown.sound.push_back(Arc::new(Block { number: shown.blocks, at, channels, samples }));
        });
    }

    /// Its last picture is no longer what is to be seen: nobody was there to take what came since.
    pub fn forget(&self) {
        self.change(|shown| {
            shown.picture = None;
            shown.sound.clear();
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.board.0);
        state.tracks.remove(&self.id);
        state.changes += 1;
        state.rings();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_picture_is_seen_once_and_blocks_one_after_the_other_from_the_newest_on() {
        let (board, now) = (Board::default(), Instant::now());
        let place = board.place("lab").unwrap();
        assert!(board.find(None).is_none(), "it has had no picture");
        place.picture(now, vec![1]);
        place.picture(now, vec![2]);
        let track = board.find(Some("lab")).unwrap();
        let picture = board.picture(track, None).unwrap();
        assert_eq!((&picture.jpeg[..], board.picture(track, Some(picture.number)).is_none()), (&[2][..], true));
        (0..30).for_each(|_| place.sound(now, 1, [0; 480].into()));
        let newest = board.block(track, None).unwrap().number;
        assert_eq!((newest, board.block(track, Some(newest)).is_none()), (30, true));
        assert_eq!(board.block(track, Some(5)).unwrap().number, 11, "the oldest there is");
    }

    #[test]
    fn who_comes_and_goes_is_news_once() {
        let (board, mut changes) = (Board::default(), 0);
        assert!(board.tracks(&mut changes).is_none());
        let places: Vec<Place> = (0..TRACKS).map(|_| board.place("lab").unwrap()).collect();
        assert!(board.place("more").is_none());
        assert_eq!(board.tracks(&mut changes).unwrap().len(), TRACKS);
        assert!(board.tracks(&mut changes).is_none());
        drop(places);
        assert_eq!(board.tracks(&mut changes), Some(vec![]));
    }
}
