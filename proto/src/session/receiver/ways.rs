//! Another guest's track comes by way of the meeting point or directly, and the application is told of one track.
//!
//! It is called as the meeting point forwards it, and is by that one's clock. Pictures and blocks have the same numbers either way
//! (PROTOCOL §7.10), so what comes directly goes on where what was forwarded ends, and the other way round: each picture is settled
//! once, in order, and each block heard once.
//!
//! ```text
//!              datagrams go both ways,        its first picture is settled,
//!              and its clock is known         or sound alone came
//!   Forwarded ───────────────────────▶ Beginning ───────────────────────▶ Direct
//!       ▲   ▲                              │ nothing for 1.5 s,               │ nothing for 120 ms, no ping
//!       │   └──────────────────────────────┘ or broken                        │ answered for 400, or the link is gone
//!       └──────────────────────────────── Returning ◀─────────────────────────┘
//!          a picture that was forwarded is settled
//! ```
//!
//! Both are wanted while one begins, so nothing is missing between; a way that begins does so with a picture that has everything,
//! for its sender knows that nothing was sent before. A way that broke rests before it is tried again: [`RESTS`], after each time
//! that it did not last twice as long. What is made of what comes by either is `telling`'s.

mod telling;

use crate::crypto::ReplayWindow;
use crate::media::clock::Mapping;
use crate::session::events::Event;
use crate::session::path::Path;
use crate::session::{PeerId, TrackId};
use crate::wire::record::Want;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Without a datagram for so long a way is broken: both sides ping every 50 ms, whatever else they send.
const BROKEN: Duration = Duration::from_millis(120);

/// Without an answer to a ping for so long, and a round trip, it is broken one way.
const UNANSWERED: Duration = Duration::from_millis(400);

/// So long a way may take to begin.
const BEGINS: Duration = Duration::from_millis(1500);

/// Sound alone came so long after it was asked for: no picture does.
const NO_PICTURE: Duration = Duration::from_millis(500);

/// What is settled directly waits so long for what was forwarded before it.
const WAITS: Duration = Duration::from_millis(100);

/// A way that broke is not tried again for so long, at first and at last.
const RESTS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(64));

/// A way that lasted so long begins afresh.
const LASTS: Duration = Duration::from_secs(10);

/// When a way ended for good what was sent twice has come after so long.
const OVER: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Forwarded,
    Beginning,
    Direct,
    Returning,
}

struct Way {
    /// What the application knows.
    told: TrackId,
    /// Who sends it directly, while he is there.
    direct: Option<PeerId>,
    state: State,
    since: Instant,
    /// The application's.
    want: Want,
    /// What was said last of it to the meeting point, and to who sends it directly; `None`: it may not have come there.
    said: (Option<Want>, Option<Want>),
    /// How the clocks of both map to ours.
    clocks: (Option<Mapping>, Option<Mapping>),
    /// Number after the last picture that was settled.
    settled: u64,
    /// Blocks that came, as samples and as packets.
    blocks: (ReplayWindow, ReplayWindow),
    /// The way that begins does so with this picture.
    from: Option<u64>,
    /// Something came of the way that begins.
    came: bool,
    /// What was settled directly before what comes by the meeting point, and since when.
    held: VecDeque<Event>,
    held_since: Option<Instant>,
    rests_until: Instant,
    rest: Duration,
    /// It is not to be called broken before.
    excused: Instant,
    /// When it was looked at last.
    tended: Instant,
}

/// What is to be said of a track to its sender.
pub(super) struct Said {
    pub track: TrackId,
    pub want: Want,
}

#[derive(Default)]
pub(super) struct Ways {
    ways: Vec<Way>,
    /// Peers of whom the application is told nothing.
    silent: BTreeSet<PeerId>,
    /// What there is use for of each track of which something else was said than that all is.
    wants: BTreeMap<TrackId, Want>,
    /// What is to be said of tracks that come directly no more.
    parting: Vec<Said>,
    out: VecDeque<Event>,
}

impl Ways {
    /// A guest sends directly from now on, if that is wanted.
    pub fn add(&mut self, peer: PeerId) {
        self.silent.insert(peer);
    }

    /// Whether the application is told nothing of this peer.
    pub fn hides(&self, peer: PeerId) -> bool {
        self.silent.contains(&peer)
    }

    /// A guest sends directly no longer.
    pub fn left(&mut self, now: Instant, peer: PeerId) {
        for way in self.ways.iter_mut().filter(|way| way.direct == Some(peer)) {
            way.direct = None;
            way.breaks(now, &mut self.out);
        }
    }

    /// A peer came back: what was said to it while it was away may not have reached it.
    pub fn came_back(&mut self, peer: PeerId) {
        self.ways.iter_mut().filter(|way| way.told.peer == peer).for_each(|way| way.said.0 = None);
        self.ways.iter_mut().filter(|way| way.direct == Some(peer)).for_each(|way| way.said.1 = None);
    }

    /// Whether this track comes directly.
    pub fn is_direct(&self, track: TrackId) -> bool {
        self.ways.iter().any(|way| way.told == track && way.state == State::Direct)
    }

    /// What a guest sends is forwarded as this track, or as none.
    pub fn is_forwarded_as(&mut self, now: Instant, peer: PeerId, told: Option<TrackId>) {
        let other = |way: &Way| way.direct == Some(peer) && told != Some(way.told);
        for way in self.ways.iter().filter(|way| other(way)) {
            // As if it had never come by two ways.
            self.parting.push(Said { track: TrackId::own(peer), want: Want::NOTHING });
            self.parting.push(Said { track: way.told, want: way.want });
        }
        self.ways.retain(|way| !other(way));
        let Some(told) = told else { return };
        match self.ways.iter_mut().find(|way| way.told == told) {
            Some(way) if way.direct == Some(peer) => {}
            Some(way) => (way.direct, way.said.1, way.clocks.1) = (Some(peer), Some(Want::NOTHING), None),
            None => {
                let want = self.wants.get(&told).copied().unwrap_or(Want::ALL);
                self.ways.push(Way::new(now, told, peer, want));
            }
        }
    }

    /// What is wanted of a track by the application. Whether it may come by two ways, each of whose senders is told its part
    /// ([`Ways::take_said`]).
    pub fn want(&mut self, track: TrackId, want: Want) -> bool {
        self.wants.insert(track, want);
        let way = self.ways.iter_mut().find(|way| way.told == track);
        way.map(|way| way.want = want).is_some()
    }

    /// What of a track, or of a picture of it, comes from there now.
    pub fn source(&self, track: TrackId, picture: Option<u64>) -> TrackId {
        let Some(way) = self.ways.iter().find(|way| way.told == track) else { return track };
        let begun = picture.zip(way.from).is_some_and(|(picture, from)| picture >= from);
        match (way.state, way.direct) {
            (State::Direct, Some(direct)) => TrackId::own(direct),
            (State::Beginning, Some(direct)) if begun => TrackId::own(direct),
            _ => track,
        }
    }

    /// As what the application knows a track that comes directly.
    pub fn told(&self, peer: PeerId) -> Option<(TrackId, bool)> {
        let way = self.ways.iter().find(|way| way.direct == Some(peer))?;
        Some((way.told, way.state == State::Direct))
    }

    /// This process stood still until now: what did not come is no evidence.
    pub fn stood_still(&mut self, now: Instant) {
        self.ways.iter_mut().for_each(|way| way.excused = now + BROKEN);
    }

    /// What time alone brings. `path`: of a peer, and whether it can be told anything.
    pub fn tend<'a>(&mut self, now: Instant, path: impl Fn(PeerId) -> Option<(&'a Path, bool)>) {
        for way in &mut self.ways {
            way.tend(now, way.direct.and_then(&path), &mut self.out);
        }
        self.ways.retain(|way| way.direct.is_some() || way.state != State::Forwarded || now < way.since + OVER);
    }

    /// When [`Ways::tend`] has something to do.
    pub fn deadline<'a>(&self, path: impl Fn(PeerId) -> Option<&'a Path>) -> Option<Instant> {
        self.ways.iter().filter_map(|way| way.deadline(way.direct.and_then(&path))).min()
    }

    /// What is to be said to those who send.
    pub fn take_said(&mut self) -> Vec<Said> {
        let said = std::mem::take(&mut self.parting);
        said.into_iter().chain(self.ways.iter_mut().flat_map(Way::take_said)).collect()
    }

    /// What is to be told to the application, in order, of what happened.
    pub fn pass(&mut self, now: Instant, event: Event) {
        let of_direct = peer_of(&event).filter(|peer| self.silent.contains(peer));
        if let Event::Clock(peer, mapping) = &event {
            self.ways.iter_mut().filter(|way| way.told.peer == *peer).for_each(|way| way.clocks.0 = Some(*mapping));
            self.ways.iter_mut().filter(|way| way.direct == Some(*peer)).for_each(|way| way.clocks.1 = Some(*mapping));
        }
        if let Some(peer) = of_direct {
            if let Event::SenderDown { .. } = event {
                self.silent.remove(&peer);
            } else if let Some(way) = self.ways.iter_mut().find(|way| way.direct == Some(peer)) {
                way.directly(now, event, &mut self.out);
            }
            return;
        }
        if let Event::TrackDown { track, .. } = &event {
            self.wants.remove(track);
        }
        match track_of(&event).and_then(|track| self.ways.iter_mut().find(|way| way.told == track)) {
            Some(way) => way.forwarded(now, event, &mut self.out),
            None => self.out.push_back(event),
        }
    }

    /// The next of it.
    pub fn poll(&mut self) -> Option<Event> {
        self.out.pop_front()
    }
}

impl Way {
    fn new(now: Instant, told: TrackId, direct: PeerId, want: Want) -> Way {
        Way {
            told,
            direct: Some(direct),
            state: State::Forwarded,
            since: now,
            want,
            said: (Some(want), Some(Want::NOTHING)),
            clocks: (None, None),
            settled: 0,
            blocks: (ReplayWindow::new(), ReplayWindow::new()),
            from: None,
            came: false,
            held: VecDeque::new(),
            held_since: None,
            rests_until: now,
            rest: RESTS.0,
            excused: now,
            tended: now,
        }
    }

    fn becomes(&mut self, now: Instant, state: State) {
        (self.state, self.since, self.from, self.came) = (state, now, None, false);
    }

    /// It comes directly no more.
    fn breaks(&mut self, now: Instant, out: &mut VecDeque<Event>) {
        let state = match self.state {
            State::Direct if now >= self.since + LASTS => {
                self.rest = RESTS.0;
                State::Returning
            }
            State::Direct => State::Returning,
            // What was shown of it goes on where the other way is.
            State::Beginning if self.from.is_some() => State::Returning,
            State::Beginning => State::Forwarded,
            State::Forwarded | State::Returning => return,
        };
        if self.state == State::Direct {
            out.push_back(Event::Direct(self.told, false));
        }
        self.becomes(now, state);
        self.rests_until = now + self.rest;
        self.rest = (self.rest * 2).min(RESTS.1);
        (self.held, self.held_since) = (VecDeque::new(), None);
    }

    fn tend(&mut self, now: Instant, path: Option<(&Path, bool)>, out: &mut VecDeque<Event>) {
        self.tended = now;
        let lives = path.is_some_and(|(path, _)| broken_at(path).is_some_and(|at| now < at.max(self.excused)));
        match self.state {
            State::Forwarded => {
                let known = self.clocks.0.is_some() && self.clocks.1.is_some();
                if known && lives && now >= self.rests_until && (self.want.pictures || self.want.sound) {
                    self.becomes(now, State::Beginning);
                }
            }
            State::Beginning if !lives || now >= self.since + BEGINS => self.breaks(now, out),
            State::Beginning if self.came && self.from.is_none() && now >= self.since + NO_PICTURE => self.is_direct(now, out),
            State::Beginning if self.held_since.is_some_and(|since| now >= since + WAITS) => self.is_direct(now, out),
            State::Direct if !lives => self.breaks(now, out),
            // It cannot be told that something else is wanted, and the meeting point can.
            State::Direct if path.is_some_and(|(_, told)| !told) && self.said.1 != Some(self.want) => self.breaks(now, out),
            // Nothing comes, for there is nothing: the other way is as good.
            State::Returning if now >= self.since + BEGINS => self.becomes(now, State::Forwarded),
            _ => {}
        }
    }

    fn deadline(&self, path: Option<&Path>) -> Option<Instant> {
        let broken = path.and_then(broken_at).map(|at| at.max(self.excused));
        match self.state {
            // What else it needs comes as an input.
            State::Forwarded if self.direct.is_some() => Some(self.rests_until).filter(|until| *until > self.tended),
            State::Forwarded => Some(self.since + OVER),
            State::Beginning => {
                let waits = self.held_since.map(|since| since + WAITS);
                let alone = (self.came && self.from.is_none()).then_some(self.since + NO_PICTURE);
                waits.into_iter().chain(alone).chain(broken).chain([self.since + BEGINS]).min()
            }
            State::Direct => broken,
            State::Returning => Some(self.since + BEGINS),
        }
    }

    /// From now on it comes directly.
    fn is_direct(&mut self, now: Instant, out: &mut VecDeque<Event>) {
        self.becomes(now, State::Direct);
        self.held_since = None;
        out.push_back(Event::Direct(self.told, true));
        for event in std::mem::take(&mut self.held) {
            self.directly(now, event, out);
        }
    }

    fn take_said(&mut self) -> Vec<Said> {
        let (forwarded, direct) = match self.state {
            State::Forwarded => (self.want, Want::NOTHING),
            State::Direct => (Want::NOTHING, self.want),
            State::Beginning | State::Returning => (self.want, self.want),
        };
        let before = std::mem::replace(&mut self.said, (Some(forwarded), Some(direct)));
        let to_point = (before.0 != Some(forwarded)).then_some(Said { track: self.told, want: forwarded });
        let directly = self.direct.filter(|_| before.1 != Some(direct));
        to_point.into_iter().chain(directly.map(|peer| Said { track: TrackId::own(peer), want: direct })).collect()
    }
}

/// When a way is broken, if nothing more comes; `None`: no datagram has gone both ways yet.
fn broken_at(path: &Path) -> Option<Instant> {
    path.address()?;
    let (heard, answered) = (path.heard()?, path.answered()?);
    Some((heard + BROKEN).min(answered + UNANSWERED + path.rtt().smoothed))
}

/// Whose an event is.
fn peer_of(event: &Event) -> Option<PeerId> {
    match event {
        Event::SenderUp { peer, .. } | Event::SenderDown { peer, .. } | Event::Quiet(peer, _) | Event::Clock(peer, _) => {
            Some(*peer)
        }
        Event::NoRoom(peer, _) => Some(*peer),
        event => track_of(event).map(|track| track.peer),
    }
}

/// Of which track it is.
fn track_of(event: &Event) -> Option<TrackId> {
    match event {
        Event::TrackUp { track, .. } | Event::TrackDown { track, .. } | Event::Packet { track, .. } => Some(*track),
        Event::Track(track, _) | Event::Film(track, _) | Event::Slice(track, _) | Event::Part(track, _) => Some(*track),
        Event::Settled(track, _) | Event::Sound(track, _) | Event::Ended(track) => Some(*track),
        _ => None,
    }
}
