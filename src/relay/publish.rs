//! What we publish: frames from any thread, in groups, to the broadcast.

use super::{MAX_AGE, Stream};
use bytes::Bytes;
use eyeline_proto::media::layers::LAYERS;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::time::MediaTime;
use moq_net::{Timescale, Timestamp, broadcast, group, origin, track};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Frames that wait for the thread; what is beyond that is lost, as on the way.
const WAITING: usize = 1024;

/// Groups that are begun and lack frames: of each stream a few are coded at once.
const OPEN: usize = 64;

/// One frame of a group.
struct Frame {
    stream: Stream,
    group: u64,
    /// Frames in the group.
    count: u8,
    at: MediaTime,
    bytes: Bytes,
}

/// Which streams anybody takes.
#[derive(Debug, Default)]
pub struct Used {
    layers: [AtomicBool; LAYERS],
    whole: [AtomicBool; LAYERS],
    sound: AtomicBool,
}

impl Used {
    fn of(&self, stream: Stream) -> &AtomicBool {
        match stream {
            Stream::Layer(layer) => &self.layers[layer],
            Stream::Whole(layer) => &self.whole[layer],
            Stream::Sound => &self.sound,
        }
    }

    /// Whether anybody takes this one.
    pub fn is(&self, stream: Stream) -> bool {
        self.of(stream).load(Ordering::Relaxed)
    }

    /// Whether anybody takes pictures.
    pub fn pictures(&self) -> bool {
        (0..LAYERS).any(|layer| self.is(Stream::Layer(layer)) || self.is(Stream::Whole(layer)))
    }

    /// Of so many layers somebody takes pictures whole.
    pub fn whole(&self) -> usize {
        (0..LAYERS).rev().find(|layer| self.is(Stream::Whole(*layer))).map_or(0, |layer| layer + 1)
    }

    /// Whether anybody takes anything.
    pub fn any(&self) -> bool {
        self.pictures() || self.is(Stream::Sound)
    }
}

/// Where frames are put in, from any thread.
#[derive(Clone)]
pub struct Outlet {
    frames: mpsc::Sender<Frame>,
    used: Arc<Used>,
    way: Arc<Way>,
}

/// The way to the relay.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Bits a second that it takes; 0 where that is not known.
    takes: AtomicU64,
    /// Bytes that were put in so far.
    put_in: AtomicU64,
}

impl Way {
    /// It takes so much; `None`: all.
    pub fn takes(&self, takes: Option<Bitrate>) {
        self.takes.store(takes.map_or(0, |takes| takes.0), Ordering::Relaxed);
    }

    /// Bytes that were put in so far.
    pub fn put_in(&self) -> u64 {
        self.put_in.load(Ordering::Relaxed)
    }
}

/// The other end of an [`Outlet`].
pub(super) struct Inlet {
    frames: mpsc::Receiver<Frame>,
    used: Arc<Used>,
    pub way: Arc<Way>,
}

/// Both ends.
pub(super) fn pipe() -> (Outlet, Inlet) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (used, way) = (Arc::<Used>::default(), Arc::<Way>::default());
    let outlet = Outlet { frames: sender, used: used.clone(), way: way.clone() };
    (outlet, Inlet { frames: receiver, used, way })
}

impl Outlet {
    /// Which streams are taken.
    pub fn used(&self) -> &Used {
        &self.used
    }

    /// What the way to the relay takes, where that is known.
    pub fn takes(&self) -> Option<Bitrate> {
        Some(self.way.takes.load(Ordering::Relaxed)).filter(|takes| *takes > 0).map(Bitrate)
    }

    /// One frame of a group that has so `many`, caught then. Frames of a group come in any order, groups of a stream begin in order.
    pub fn frame(&self, stream: Stream, (group, many): (u64, u8), at: MediaTime, bytes: Vec<u8>) {
        self.way.put_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        // Where the thread is behind, or gone, the group stays in parts and is given up.
        let _ = self.frames.try_send(Frame { stream, group, count: many, at, bytes: bytes.into() });
    }
}

/// Publishes as `path` what comes through the inlet, until that is closed. `watched`: whether anybody takes anything, whenever that
/// changes.
pub(super) async fn publish(
    origin: &origin::Producer,
    path: &str,
    inlet: Inlet,
    watched: impl Fn(bool) + Send + Sync + 'static,
) -> Result<(), moq_net::Error> {
    let Inlet { mut frames, used, .. } = inlet;
    let broadcast: broadcast::Producer = origin.create_broadcast(path)?;
    let watched: Arc<dyn Fn(bool) + Send + Sync> = Arc::new(watched);
    let (mut tracks, mut demands) = (BTreeMap::new(), tokio::task::JoinSet::new());
    for stream in Stream::all() {
        let info = track::Info::default().with_timescale(Timescale::MICRO).with_max_age(MAX_AGE).with_priority(stream.priority());
        let track = broadcast.create_track(stream.name(), info)?;
        demands.spawn(follow_demand(track.demand(), stream, used.clone(), watched.clone()));
        tracks.insert(stream, track);
    }
    // Who is told of it finds its tracks.
    broadcast.announce(Default::default())?;
    let mut open = BTreeMap::new();
    while let Some(frame) = frames.recv().await {
        // Of a group that is not taken any more nothing is to be said.
        let _ = put(&tracks[&frame.stream], &mut open, frame);
    }
    broadcast.close();
    Ok(())
}

/// Keeps `used` as it is.
async fn follow_demand(demand: track::Demand, stream: Stream, used: Arc<Used>, watched: Arc<dyn Fn(bool) + Send + Sync>) {
    let say = |now| {
        let before = used.any();
        used.of(stream).store(now, Ordering::Relaxed);
        let after = used.any();
        if before != after {
            watched(after);
        }
    };
    while demand.used().await.is_ok() {
        say(true);
        if demand.unused().await.is_err() {
            break;
        }
        say(false);
    }
    say(false);
}

type Open = BTreeMap<(Stream, u64), (group::Producer, u8)>;

fn put(track: &track::Producer, open: &mut Open, frame: Frame) -> Result<(), moq_net::Error> {
    let Frame { stream, group, count, at, bytes } = frame;
    let key = (stream, group);
    let (mut producer, written) = match open.remove(&key) {
        Some(begun) => begun,
        None => (track.create_group(group.into())?, 0),
    };
    let at = Timestamp::new(at.as_nanos() / 1000, Timescale::MICRO).map_err(|_| moq_net::Error::Cancel)?;
    producer.write_frame(at, bytes)?;
    if written + 1 >= count {
        return producer.finish();
    }
    open.insert(key, (producer, written + 1));
    if open.len() > OPEN {
        // The oldest of those that lack something.
        let oldest = *open.keys().min_by_key(|(_, group)| *group).unwrap_or(&key);
        if let Some((producer, _)) = open.remove(&oldest) {
            producer.abort(moq_net::Error::Cancel)?;
        }
    }
    Ok(())
}
