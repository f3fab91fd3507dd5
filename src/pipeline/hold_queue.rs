//! The thread around [`HoldQueue`]s, one a track: slices that are due already, and all while nothing is held, pass on the net
//! thread's call; the others when their time has come.
//!
//! Capacity: [`MOST_BYTES`] of all tracks, an equal share each; what is over goes on before its time.

use super::decode::{self, Job};
use crate::threads::{join, lock, wait, wait_for};
use eyeline_proto::media::hold_queue::{HoldQueue, MOST_BYTES};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[expect(clippy::large_enum_variant, reason = "nearly all are slices, and most pass without waiting")]
enum Item {
    Slice(Job),
    SettledInPart(u64),
}

/// What is held of one track.
struct Held {
    queue: HoldQueue<Item>,
    /// The thread is handing on what it took: nothing may overtake it.
    passing: bool,
    inlet: Arc<decode::Inlet>,
}

#[derive(Default)]
struct State {
    tracks: BTreeMap<u64, Held>,
    /// Names of tracks are never used twice.
    next: u64,
    closed: bool,
}

#[derive(Default)]
struct HeldTracks {
    state: Mutex<State>,
    changed: Condvar,
}

/// Puts slices of one track in. Dropping it drops what waits.
pub struct Inlet {
    shared: Arc<HeldTracks>,
    track: u64,
}

/// Dropping it drops what waits, and joins.
pub struct Thread {
    shared: Arc<HeldTracks>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    /// Holds nothing yet.
    pub fn start() -> std::io::Result<Thread> {
        let shared = Arc::<HeldTracks>::default();
        let ours = shared.clone();
        let thread = thread::Builder::new().name("hold".into()).spawn(move || ours.keep())?;
        Ok(Thread { shared, thread: Some(thread) })
    }

    /// A track more: what passes goes to `inlet`.
    pub fn inlet(&self, inlet: decode::Inlet) -> Inlet {
        let mut state = lock(&self.shared.state);
        let track = state.next;
        state.next += 1;
        state.tracks.insert(track, Held { queue: HoldQueue::default(), passing: false, inlet: Arc::new(inlet) });
        Inlet { shared: self.shared.clone(), track }
    }
}

impl Inlet {
    /// A slice of a picture that is to be seen at `due`, or at once.
    pub fn push(&self, job: Job, due: Option<Instant>) {
        self.shared.pass(self.track, Item::Slice(job), due);
    }

    /// Nothing more will come of this picture; what came of it may wait here.
    pub fn settled_in_part(&self, picture: u64) {
        self.shared.pass(self.track, Item::SettledInPart(picture), None);
    }

    /// What waits of pictures before this one is not to be seen any more. A film's are all whole: nobody need be told.
    pub fn goes_on_at(&self, first: u64) {
        if let Some(held) = lock(&self.shared.state).tracks.get_mut(&self.track) {
            held.queue.retain(|item| item.picture() >= first);
        }
    }

    /// A whole picture was shown so long after its last slice was let go.
    pub fn took(&self, lead: Duration) {
        if let Some(held) = lock(&self.shared.state).tracks.get_mut(&self.track) {
            held.queue.took(lead);
        }
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let ended = lock(&self.shared.state).tracks.remove(&self.track);
        drop(ended);
    }
}

impl HeldTracks {
    fn pass(&self, track: u64, item: Item, due: Option<Instant>) {
        let mut state = lock(&self.state);
        let Some(held) = state.tracks.get_mut(&track) else { return };
        let now = Instant::now();
        if !held.passing && held.queue.passes(now, due) {
            // Still under the lock: the thread finds nothing meanwhile. What is not held was released as it came. Whoever is told
            // of what makes room for it does not keep the net thread waiting, and what others bring is told to nobody.
            return item.hand_on(&held.inlet);
        }
        held.queue.push(now, due, item.len(), item);
        drop(state);
        self.changed.notify_one();
    }

    fn keep(&self) {
        let mut state = lock(&self.state);
        while !state.closed {
            let now = Instant::now();
            let share = MOST_BYTES / state.tracks.len().max(1);
            let due = state.tracks.iter_mut().find_map(|(track, held)| Some((*track, held.queue.pop(now, share)?)));
            if let Some((track, mut item)) = due {
                let Some(held) = state.tracks.get_mut(&track) else { continue };
                held.passing = true;
                let inlet = held.inlet.clone();
                drop(state);
                if let Item::Slice(job) = &mut item {
                    job.released = Instant::now();
                }
                item.hand_on(&inlet);
                state = lock(&self.state);
                if let Some(held) = state.tracks.get_mut(&track) {
                    held.passing = false;
                }
                continue;
            }
            state = match state.tracks.values().filter_map(|held| held.queue.deadline()).min() {
                None => wait(&self.changed, state),
                Some(due) => wait_for(&self.changed, state, due - now),
            };
        }
    }
}

impl Item {
    fn hand_on(self, inlet: &decode::Inlet) {
        match self {
            Item::Slice(job) => inlet.push(job),
            Item::SettledInPart(picture) => inlet.settled_in_part(picture),
        }
    }

    fn picture(&self) -> u64 {
        match self {
            Item::Slice(job) => job.slice.picture,
            Item::SettledInPart(picture) => *picture,
        }
    }

    fn len(&self) -> usize {
        match self {
            Item::Slice(job) => job.slice.bytes().len(),
            Item::SettledInPart(_) => 0,
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::back::Back;
    use super::super::decode::{DecoderThreads, SharedReel};
    use super::super::fair_queue::FairQueue;
    use super::*;
    use crate::codec::testing;
    use crate::slot::Taken;
    use eyeline_proto::picture::{Sampling, Size};
    use eyeline_proto::session::{PeerId, TrackId};

    fn track(peer: u64) -> TrackId {
        TrackId::own(PeerId(peer))
    }

    /// A picture of one slice.
    fn job(picture: u64) -> Job {
        let size = Size { width: 16, height: 16 };
        let planes = testing::planes(size, Sampling::Grey, picture);
        let mut slice = testing::slice(&planes, &testing::head(size, Sampling::Grey, 80, 0, 16));
        slice.picture = picture;
        let received = Instant::now();
        Job { slice, present: None, received, released: received }
    }

    #[test]
    fn what_is_due_passes_at_once_and_what_is_not_waits_for_its_time_in_order_and_holds_up_no_other_track() {
        let announced = FairQueue::newest();
        let (pool, thread) = (DecoderThreads::new(1).unwrap(), Thread::start().unwrap());
        let [held, other, ordered] =
            [0, 1, 2].map(|peer| thread.inlet(pool.inlet(SharedReel::new(track(peer), &announced, &Back::default()))));
        let next = || match announced.take_until(Instant::now() + Duration::from_secs(20), Instant::now) {
            Taken::Value(ready) => (ready.track.peer.0, ready.picture.picture),
            nothing => panic!("nothing more gets ready: {nothing:?}"),
        };
        held.push(job(0), None);
        assert_eq!(next(), (0, 0));
        held.push(job(1), Some(Instant::now() + Duration::from_secs(3600)));
        other.push(job(0), None);
        assert_eq!(next(), (1, 0), "nothing holds the other track up");
        let start = Instant::now();
        let due = [300, 600, 600].map(|ms| start + Duration::from_millis(ms));
        ordered.push(job(0), Some(due[0]));
        ordered.push(job(1), Some(due[1]));
        ordered.push(job(2), None);
        // Of two that get ready at once the newer may be all that is announced.
        let mut wanted = 0;
        while wanted < 3 {
            let (track, picture) = next();
            assert!(track == 2 && (wanted..3).contains(&picture), "{picture} of {track} after {wanted} of 2");
            assert!(Instant::now() >= due[picture as usize], "{picture} before its time");
            wanted = picture + 1;
        }
    }

    #[test]
    fn what_is_held_of_a_track_goes_with_it() {
        let announced = FairQueue::newest();
        let (pool, thread) = (DecoderThreads::new(1).unwrap(), Thread::start().unwrap());
        let inlet = thread.inlet(pool.inlet(SharedReel::new(track(0), &announced, &Back::default())));
        let slice = job(0).slice;
        inlet.push(Job { slice: slice.clone(), ..job(0) }, Some(Instant::now() + Duration::from_secs(3600)));
        assert_eq!(Arc::strong_count(slice.bytes()), 2);
        drop(inlet);
        assert_eq!(Arc::strong_count(slice.bytes()), 1);
    }
}
