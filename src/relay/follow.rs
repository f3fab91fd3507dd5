//! What others publish: each broadcast's streams, as far as they are wished for.
//!
//! Whatever a relay sends, what is kept of it is bounded: so many groups of a stream at once, of so many frames and bytes.

use super::{MAX_AGE, Stream};
use bytes::Bytes;
use eyeline_proto::wire::slice::{MAX_LEN, MAX_SLICES};
use moq_net::track::Subscription;
use moq_net::{broadcast, group, origin, track};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::{AbortHandle, JoinSet};

use crate::threads::lock;

/// Groups of a stream that come at once.
const AT_ONCE: usize = 16;

/// Bytes of a group.
const MOST_BYTES: usize = 4 * MAX_LEN;

/// Bytes of all groups that come, of all who publish.
const ALL_BYTES: usize = 64 << 20;

/// So often it is asked what is wished for.
const TURN: Duration = Duration::from_millis(50);

/// The most that are followed at once.
const MOST: usize = 64;

/// Takes in what others publish. All are called on the relay's thread.
pub trait Company: Send {
    /// Somebody publishes under this path. `None`: that is of no use.
    fn comes(&mut self, path: &str) -> Option<Box<dyn Follow>>;
}

/// Takes what one of them publishes. Dropped: that one is gone.
pub trait Follow: Send {
    /// All frames of a group, in the order in which they were written.
    fn group(&mut self, stream: Stream, number: u64, frames: Vec<Bytes>);
    /// A group did not come, or was cut short.
    fn cut(&mut self, stream: Stream);
    /// What is to come of its streams from now on.
    fn wishes(&mut self, now: Instant) -> Wishes;
}

/// What is of use of what somebody publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// So many layers of pictures, from the lowest, and so many of whole ones.
    pub layers: usize,
    pub whole: usize,
    pub sound: bool,
}

impl Wishes {
    fn have(&self, stream: Stream) -> bool {
        match stream {
            Stream::Layer(layer) => layer < self.layers,
            Stream::Whole(layer) => layer < self.whole,
            Stream::Sound => self.sound,
        }
    }
}

type Shared = Arc<Mutex<Box<dyn Follow>>>;

/// What all groups that come hold.
#[derive(Clone, Default)]
struct Budget(Arc<AtomicUsize>);

/// A group's part of it. Dropped, it is free again.
struct Share {
    of: Budget,
    bytes: usize,
}

impl Share {
    /// So many more bytes; whether there is room for them.
    fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let before = self.of.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes <= MOST_BYTES && before.saturating_add(bytes) <= ALL_BYTES
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Follows all that is announced, until the origin ends.
pub(super) async fn follow(origin: &origin::Consumer, mut company: Box<dyn Company>) {
    let mut announced = origin.announced();
    let mut followed: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let (mut tasks, budget) = (JoinSet::new(), Budget::default());
    while let Some(update) = announced.next().await {
        while tasks.try_join_next().is_some() {}
        let path = update.prefix.to_string();
        if let Some(before) = followed.remove(&path) {
            if update.kind.is_active() && !before.is_finished() {
                // It comes by another way; its streams go on.
                followed.insert(path, before);
                continue;
            }
            before.abort();
        }
        followed.retain(|_, task| !task.is_finished());
        if update.kind.is_active()
            && followed.len() < MOST
            && let Some(one) = company.comes(&path)
        {
            let (origin, asked, budget) = (origin.clone(), path.clone(), budget.clone());
            followed.insert(
                path,
                tasks.spawn(async move {
                    if let Ok(broadcast) = origin.request_broadcast(&asked).await {
                        take(broadcast, one, budget).await;
                    }
                }),
            );
        }
    }
}

/// Takes the streams of one that are wished for, until it is over.
async fn take(broadcast: broadcast::Consumer, one: Box<dyn Follow>, budget: Budget) {
    let one: Shared = Arc::new(Mutex::new(one));
    let mut taken: BTreeMap<Stream, AbortHandle> = BTreeMap::new();
    let (mut tasks, mut turn) = (JoinSet::new(), tokio::time::interval(TURN));
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turn.tick() => {}
            _ = broadcast.closed() => return,
        }
        let wishes = lock(&one).wishes(Instant::now());
        while tasks.try_join_next().is_some() {}
        for stream in Stream::all() {
            let is_taken = taken.get(&stream).is_some_and(|task| !task.is_finished());
            if wishes.have(stream) && !is_taken {
                if let Ok(track) = broadcast.track(&stream.name()) {
                    taken.insert(stream, tasks.spawn(receive(track, stream, (one.clone(), budget.clone()))));
                }
            } else if !wishes.have(stream)
                && let Some(task) = taken.remove(&stream)
            {
                // The relay drops what it has not sent of it.
                task.abort();
            }
        }
    }
}

/// Takes one stream's groups as they come.
async fn receive(track: track::Consumer, stream: Stream, (one, budget): (Shared, Budget)) -> Result<(), moq_net::Error> {
    let wish = Subscription::default().with_priority(stream.priority()).with_max_age(MAX_AGE);
    let mut groups = track.subscribe(wish).await?;
    let mut coming = JoinSet::new();
    while let Some(group) = groups.recv_group().await? {
        while coming.try_join_next().is_some() {}
        if coming.len() >= AT_ONCE {
            lock(&one).cut(stream);
            continue;
        }
        coming.spawn(collect(group, stream, one.clone(), Share { of: budget.clone(), bytes: 0 }));
    }
    while coming.join_next().await.is_some() {}
    Ok(())
}

/// Collects one group's frames and hands them on.
async fn collect(group: group::Consumer, stream: Stream, one: Shared, mut share: Share) {
    let number = group.sequence;
    let frames = frames(group, &mut share).await;
    let mut one = lock(&one);
    match frames {
        Some(frames) => one.group(stream, number, frames),
        None => one.cut(stream),
    }
}

/// All frames of a group; `None` where it was cut short, or is longer than any can be.
async fn frames(mut group: group::Consumer, share: &mut Share) -> Option<Vec<Bytes>> {
    let mut frames = Vec::new();
    while let Some(mut frame) = group.next_frame().await.ok()? {
        let bytes = usize::try_from(frame.size).ok().filter(|bytes| *bytes <= MOST_BYTES)?;
        if frames.len() >= MAX_SLICES || !share.grow(bytes) {
            return None;
        }
        frames.push(frame.read_all().await.ok()?);
    }
    Some(frames)
}
