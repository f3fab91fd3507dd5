//! What a meeting point does: every track that a peer sends of its own goes to all others, slices and blocks as they came, never
//! decoded. Sound that comes as Opus packets goes on so; where one of those it is for decodes none, its sender is asked for
//! samples.
//!
//! A forwarded track has a number of ours ([`Numbers`]) and keeps its origin, its name, its pictures' and its blocks' numbers.
//! Its times are by our clock, for ours is the only one that its receivers ask: the time in each slice's head is written anew.
//! Until we know its sender's clock nobody is told of it; that is a round trip, and it begins with the next whole picture. What
//! is lost on the way here is mended here, and what is lost behind us there; what does not become whole in time is not forwarded
//! at all.
//!
//! Only what comes from its origin itself is forwarded. So nothing goes round in circles, and two meeting points that dial each
//! other are two meetings, in each of which the other is one camera.

use super::events::Event;
use super::sender::Sender;
use super::shared::LinksAndEvents;
use super::sound_log;
use super::{PeerId, TrackId};
use crate::media::clock::{Epoch, Mapping};
use crate::media::slice::Slice;
use crate::picture::mcu_set::Owed;
use crate::sound::Numbered;
use crate::time::MediaTime;
use crate::wire::record::{Format, OWN_TRACK, Track, Want};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two looks at what receivers want of what is forwarded, if nothing happened.
const LOOK: Duration = Duration::from_millis(500);

/// And where something did, but for [`AT_ONCE`] of them; and between two times that others are told what a track is: whoever says
/// something else each moment is not passed on to all each time.
const SOON: Duration = Duration::from_millis(100);

/// So many looks need not wait: who lost a direct way wants what is forwarded at once, of several.
const AT_ONCE: f64 = 8.0;

/// Who lacks something else than was asked for is asked for after so long; the same is asked for again after that.
const ANEW: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_millis(400);

pub(super) struct Forward {
    tracks: BTreeMap<PeerId, Forwarded>,
    /// Of everybody who sends, as far as it is known.
    clocks: BTreeMap<PeerId, Mapping>,
    numbers: Numbers,
    next_look: Option<Instant>,
    looked: Option<Instant>,
    /// Looks that need not wait.
    spare: f64,
}

struct Forwarded {
    /// What our receivers call it, once we know what it is, and its clock.
    number: Option<u8>,
    /// What its sender told of it.
    told: Option<Track>,
    /// When others were told, and whether it is something else since.
    passed: Option<Instant>,
    news: bool,
    /// It begins with this picture: of those before not all was passed on.
    first: u64,
    /// What its sender was told that is wanted of it.
    want: Option<Want>,
    /// What it was asked to refresh, while others lack anything.
    asked: Option<Asked>,
}

/// What one that sends was asked to refresh, since when, and when it was looked at last.
struct Asked {
    first: Instant,
    at: Instant,
    owed: Owed,
    /// Something happened since, too soon to look again.
    news: bool,
}

impl Asked {
    /// When it is to be looked at again.
    fn due(&self) -> Instant {
        let anew = self.at + ANEW;
        if self.news { anew } else { anew.max(self.first + AGAIN) }
    }
}

/// Numbers of tracks, each used again as late as can be.
#[derive(Default)]
struct Numbers {
    last: u8,
}

impl Numbers {
    fn next(&mut self, mut taken: impl FnMut(u8) -> bool) -> Option<u8> {
        let after = |number: u8| if number == u8::MAX { OWN_TRACK + 1 } else { number + 1 };
        let mut number = after(self.last);
        while taken(number) {
            if number == self.last {
                return None;
            }
            number = after(number);
        }
        self.last = number;
        Some(number)
    }
}

impl Forward {
    /// Of nobody yet.
    pub fn new() -> Forward {
        let (tracks, clocks, numbers) = Default::default();
        Forward { tracks, clocks, numbers, next_look: None, looked: None, spare: AT_ONCE }
    }

    /// Looks at what the application is told, and passes on what others are to have.
    pub fn pass(&mut self, now: Instant, event: &Event, sender: &mut Sender, shared: &mut LinksAndEvents<'_>) {
        match event {
            Event::TrackUp { track, .. } if track.is_own() => {
                let (number, told, passed, news, first, want, asked) = (None, None, None, false, 0, None, None);
                self.tracks.insert(track.peer, Forwarded { number, told, passed, news, first, want, asked });
            }
            Event::Track(track, told) if track.is_own() => {
                if let Some(known) = self.tracks.get_mut(&track.peer) {
                    (known.told, known.news) = (Some(told.clone()), true);
                    if known.passed.is_some_and(|passed| now < passed + SOON) {
                        return self.look_soon(now);
                    }
                }
                self.tell(now, track.peer, sender, shared);
            }
            Event::TrackDown { track, .. } if track.is_own() => {
                if let Some(number) = self.tracks.remove(&track.peer).and_then(|known| known.number) {
                    sender.remove(number, shared);
                }
            }
            Event::Clock(peer, mapping) => {
                self.clocks.insert(*peer, *mapping);
                if self.tracks.get(peer).is_some_and(|known| known.number.is_none()) {
                    self.tell(now, *peer, sender, shared);
                }
            }
            Event::SenderDown { peer, .. } => {
                self.clocks.remove(peer);
            }
            Event::Slice(track, slice) => {
                let Some((number, clock)) = self.known(*track) else {
                    if let Some(known) = self.tracks.get_mut(&track.peer).filter(|_| track.is_own()) {
                        known.first = known.first.max(slice.picture + 1);
                    }
                    return;
                };
                if self.tracks.get(&track.peer).is_some_and(|known| slice.picture < known.first) {
                    return;
                }
                let Some(slice) = rebased(slice, now, &clock, &shared.endpoint.epoch()) else { return };
                sender.forward_slice(number, slice);
            }
            Event::Settled(track, settled) if !settled.is_whole() => {
                if let Some((number, _)) = self.known(*track) {
                    sender.has_hole(now, number, settled.picture);
                }
            }
            Event::Sound(track, Numbered { number: block_number, block }) => {
                let Some((number, clock)) = self.known(*track) else { return };
                let Some(capture) = to_ours(block.capture, now, &clock, &shared.endpoint.epoch()) else { return };
                if let Some(outbound) = sender.track(number) {
                    outbound.put_sound(*block_number, sound_log::of_samples(block.clone().at(capture)));
                }
            }
            Event::Packet { track, sound: Numbered { number: block_number, block }, .. } => {
                let Some((number, clock)) = self.known(*track) else { return };
                let Some(capture) = to_ours(block.capture, now, &clock, &shared.endpoint.epoch()) else { return };
                if let Some(outbound) = sender.track(number) {
                    outbound.put_sound(*block_number, sound_log::of_packet(block.clone().at(capture)));
                }
            }
            _ => {}
        }
    }

    fn known(&self, track: TrackId) -> Option<(u8, Mapping)> {
        let known = self.tracks.get(&track.peer).filter(|_| track.is_own())?;
        Some((known.number?, *self.clocks.get(&track.peer)?))
    }

    /// Others are told what a track is, as soon as all that is needed is known.
    fn tell(&mut self, now: Instant, peer: PeerId, sender: &mut Sender, shared: &mut LinksAndEvents<'_>) {
        let Some(known) = self.tracks.get_mut(&peer) else { return };
        let (Some(told), true) = (&known.told, self.clocks.contains_key(&peer)) else { return };
        let is_new = known.number.is_none();
        let number = known.number.or_else(|| self.numbers.next(|number| sender.track(number).is_some()));
        let Some(number) = number else { return };
        (known.number, known.passed, known.news) = (Some(number), Some(now), false);
        let format = Format { first: told.format.first.max(known.first), ..told.format };
        sender.add(now, Track { number, format, ..told.clone() }, shared);
        if is_new {
            // Its sender is told what others want as soon as they can have it.
            self.look_soon(now);
        }
    }

    /// Something happened that is to be looked at.
    pub fn look_soon(&mut self, now: Instant) {
        let soon = match self.looked.map(|looked| looked + SOON) {
            Some(soon) if now < soon && self.spare < 1.0 => soon,
            _ => now,
        };
        self.next_look = Some(self.next_look.map_or(soon, |next| next.min(soon)));
    }

    /// Others are told what tracks have become, and now and then it is looked at what they want. Says of which tracks that is
    /// something else than before.
    pub fn look(&mut self, now: Instant, sender: &mut Sender, shared: &mut LinksAndEvents<'_>) -> Vec<TrackId> {
        if self.next_look.is_some_and(|next| now < next) {
            return Vec::new();
        }
        let passed = self.looked.map_or(LOOK, |looked| now.saturating_duration_since(looked));
        self.spare = (self.spare + passed.as_secs_f64() / SOON.as_secs_f64() - 1.0).clamp(0.0, AT_ONCE);
        (self.next_look, self.looked) = ((!self.tracks.is_empty()).then_some(now + LOOK), Some(now));
        let news: Vec<PeerId> = self.tracks.iter().filter(|(_, known)| known.news).map(|(peer, _)| *peer).collect();
        for peer in news {
            self.tell(now, peer, sender, shared);
        }
        let mut said = Vec::new();
        for (peer, known) in &mut self.tracks {
            let Some(number) = known.number else { continue };
            let want = sender.wanted_of(now, number, shared);
            if known.want.is_none_or(|known| is_news(&known, &want)) {
                known.want = Some(want);
                said.push(TrackId::own(*peer));
            }
        }
        said
    }

    /// What others lack of tracks, where those who send them are to be asked for it.
    pub fn refresh(&mut self, now: Instant, sender: &Sender, shared: &mut LinksAndEvents<'_>) -> Vec<(TrackId, Owed)> {
        let mut asks = Vec::new();
        for (peer, known) in &mut self.tracks {
            let Some(number) = known.number else { continue };
            if let Some(asked) = known.asked.as_mut().filter(|asked| now < asked.at + ANEW) {
                asked.news = true;
                continue;
            }
            let owed = sender.owed_of(now, number, shared);
            if owed == Owed::Nothing {
                known.asked = None;
                continue;
            }
            // What was asked for lately is on its way.
            let (first, before) = match known.asked.take().filter(|asked| now < asked.first + AGAIN) {
                Some(asked) => (asked.first, asked.owed),
                None => (now, Owed::Nothing),
            };
            let news = owed.without(&before);
            if news != Owed::Nothing {
                asks.push((TrackId::own(*peer), news));
            }
            known.asked = Some(Asked { first, at: now, owed: owed.and(before), news: false });
        }
        asks
    }

    /// When [`Forward::look`] or [`Forward::refresh`] has to be asked again.
    pub fn deadline(&self) -> Option<Instant> {
        let asked = self.tracks.values().filter_map(|known| known.asked.as_ref().map(Asked::due));
        asked.chain(self.next_look).min()
    }

    /// What others want of a peer's track, beside what we do.
    pub fn want_of(&self, peer: PeerId) -> Option<Want> {
        self.tracks.get(&peer)?.want
    }
}

/// A rate that is told anew with every report would be a record each time: a fifth is.
fn is_news(known: &Want, want: &Want) -> bool {
    // What a peer says may be as large as the field is.
    let near = known.rate.abs_diff(want.rate) < known.rate.max(want.rate) / 5;
    let rate = if (known.rate == 0) != (want.rate == 0) { false } else { known.rate == want.rate || near };
    !(rate && Want { rate: 0, ..*known } == Want { rate: 0, ..*want })
}

/// A time of a sender's clock, by ours.
fn to_ours(capture: MediaTime, now: Instant, clock: &Mapping, epoch: &Epoch) -> Option<MediaTime> {
    clock.captured(capture, now).map(|captured| epoch.media_time(captured))
}

/// A slice with its time by our clock. Its bytes are copied for that, as long as the application has it, too.
fn rebased(slice: &Slice, now: Instant, clock: &Mapping, epoch: &Epoch) -> Option<Slice> {
    let capture = to_ours(slice.capture(), now, clock, epoch)?;
    let mut ours = slice.clone();
    ours.stamp_capture(capture);
    Some(ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::slice::testing;

    #[test]
    fn a_number_is_used_again_as_late_as_can_be_and_ours_never() {
        let mut numbers = Numbers::default();
        let taken = |number: u8| number == 2;
        let given: Vec<Option<u8>> = (0..256).map(|_| numbers.next(taken)).collect();
        assert_eq!(given[..3], [Some(1), Some(3), Some(4)]);
        assert_eq!(given[253..], [Some(255), Some(1), Some(3)], "round and round");
        assert!(!given.contains(&Some(OWN_TRACK)));
        assert_eq!(numbers.next(|_| true), None, "all are taken");
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn a_slice_is_passed_on_as_it_came_but_for_its_time() {
        let now = Instant::now() + Duration::from_secs(100);
        let epoch = Epoch::new(now - Duration::from_secs(10));
        let clock = Mapping::assumed(now, MediaTime::from_nanos(7_000_000_000));
        let mut slice = testing::slice(3, 1, 2, 60);
        slice.stamp_capture(MediaTime::from_nanos(6_900_000_000));
        let forwarded = rebased(&slice, now, &clock, &epoch).expect("a slice");
        let capture = MediaTime::from_nanos(9_900_000_000);
        assert_eq!(forwarded.capture(), capture, "a tenth of a second ago, by our clock");
        slice.stamp_capture(capture);
        assert_eq!(forwarded, slice, "nothing else is changed");
        slice.stamp_capture(MediaTime::from_nanos(u64::MAX));
        assert!(rebased(&slice, now, &clock, &epoch).is_none(), "a time that cannot be");
    }

    #[test]
    fn a_wish_that_hardly_changes_is_not_told_again() {
        let want = |rate, pixels| Want { rate, pixels, ..Want::ALL };
        assert!(!is_news(&want(1000, 0), &want(1000, 0)) && !is_news(&want(1000, 0), &want(1100, 0)));
        assert!(is_news(&want(1000, 0), &want(1300, 0)) && is_news(&want(0, 0), &want(1000, 0)));
        assert!(is_news(&want(1000, 0), &want(u64::MAX, 0)) && !is_news(&want(u64::MAX, 0), &want(u64::MAX - 9, 0)));
        assert!(is_news(&want(1000, 0), &want(0, 0)) && is_news(&want(1000, 0), &want(1000, 99)));
    }
}
