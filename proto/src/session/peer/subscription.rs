//! How far a peer is with one track: cursors into its logs, and how its slices are cut for this peer's path.
//!
//! The log holds slices whole. A slice is cut anew only where the path takes less than it did when the slice was begun, and then
//! into more fragments than before, by which its receiver knows.

use super::super::outbound::Outbound;
use super::super::sent::SentFragment;
use super::super::sound_copies::SoundCopies;
use super::super::sound_form;
use super::super::sound_log::{Logged, SoundLog};
use super::choice::Choice;
use crate::media::delivery::Delivery;
use crate::media::packetizer::{Cursor, Log};
use crate::media::slice::Slice;
use crate::sound::Form;
use crate::wire::datagram::FragmentHead;
use crate::wire::record::{Want, Whole};
use crate::wire::report::TrackReport;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// A film's viewer gets on while it settles so many pictures in the time of `sender/film.rs`: two a second are a slide show.
const LEAST_SETTLED: u64 = 4;

/// A fragment that is sent for the first time: what it is called, its picture, its head and its bytes.
pub type Fresh<'a> = (SentFragment, u64, (FragmentHead, &'a [u8]));

pub(in super::super) struct Subscription {
    /// The next fragment it has not been sent.
    pub cursor: Cursor,
    /// The next block of sound it has not been sent.
    pub sound: u64,
    /// Blocks before it that were not there when others behind them were sent: of a track that is forwarded they may come yet.
    passed: VecDeque<u64>,
    /// What it is sent of sound beside TCP.
    pub copies: SoundCopies,
    /// In which form it is sent sound.
    pub form: sound_form::Choice,
    /// What it, or one before it, said of the track.
    pub report: TrackReport,
    /// It was told of the end.
    pub end_sent: bool,
    /// What it has use for, if it said so.
    pub want: Option<Want>,
    /// The peer writes what it is sent: until it says what it wants, it is taken to want each picture whole.
    pub writes: bool,
    /// How far it is in virtual time, bytes: see `turns.rs`.
    pub served: u64,
    /// Other tracks' pictures went out amid the picture that was begun last, and the one before.
    interrupted: (bool, bool),
    /// The picture that was begun last.
    begun: Option<u64>,
    /// The picture being sent, how many of its slices were, from the first on, and what they were cut into, 0 for no one length.
    slices: (u64, u8, usize),
    /// The last slice of `begun` was sent.
    ended: bool,
    /// The length of the payloads the slice at the cursor is cut into, and its picture.
    cut: (usize, u64),
    /// Slices of the log that were cut anew, and into what.
    cut_anew: BTreeMap<u64, u16>,
    /// When it had settled everything, or settled enough more than the number given.
    progress: (Instant, u64),
    /// What the peer has of the track's picture.
    pub delivery: Delivery,
    /// Which slices it is sent.
    choice: Choice,
}

impl Subscription {
    /// Of a track from these places on, of which every picture below `settled` is.
    pub fn new(now: Instant, track: u8, (cursor, sound): (Cursor, u64), settled: u64) -> Self {
        Subscription {
            cursor,
            sound,
            passed: VecDeque::new(),
            copies: SoundCopies::default(),
            form: sound_form::Choice::default(),
            report: TrackReport { track, settled, ..TrackReport::default() },
            end_sent: false,
            want: None,
            writes: false,
            served: 0,
            interrupted: (false, false),
            begun: None,
            slices: (u64::MAX, 0, 0),
            ended: true,
            cut: (0, u64::MAX),
            cut_anew: BTreeMap::new(),
            progress: (now, settled),
            delivery: Delivery::default(),
            choice: Choice::default(),
        }
    }

    /// It goes on where the peer was over its former connection, where what comes next is there still: its canvas is the same.
    pub fn resume(&mut self, earlier: Subscription, log: &Log) {
        if log.clamp(earlier.cursor) == earlier.cursor {
            self.cursor = Cursor { fragment: 0, ..earlier.cursor };
            self.delivery = earlier.delivery.resumed();
            self.choice = earlier.choice;
        }
    }

    /// It begins here, where nothing of it was sent yet.
    pub fn begin_at(&mut self, cursor: Cursor) {
        if self.choice.is_new() {
            self.cursor = cursor;
        }
    }

    /// The track's number.
    pub fn track(&self) -> u8 {
        self.report.track
    }

    /// Moves on to the next block from `from` on that is there. What is passed over is remembered as long as the log would keep
    /// it.
    pub fn pass_to(&mut self, from: u64, log: &SoundLog) {
        self.sound = log.held_from(from);
        self.passed.extend(from.max(log.first())..self.sound);
        while self.passed.front().is_some_and(|passed| *passed < log.first()) {
            self.passed.pop_front();
        }
    }

    /// The next block to be sent: one that came late, or the one at the cursor.
    pub fn next_block<'a>(&self, log: &'a SoundLog) -> Option<(u64, &'a Logged)> {
        let late = self.passed.iter().copied().filter(|number| !self.copies.has(*number));
        late.chain([self.sound]).find_map(|number| Some((number, log.block(number)?)))
    }

    /// This block was sent, or is let go.
    pub fn block_done(&mut self, number: u64, log: &SoundLog) {
        if number < self.sound {
            self.passed.retain(|passed| *passed != number);
        } else {
            self.pass_to(number + 1, log);
        }
    }

    /// In which form it is sent what is caught now.
    pub fn form(&self, log: &SoundLog) -> Form {
        self.form.form(log.end(), log.has_packets())
    }

    /// Bytes a second of the track's sound as it is sent, with what records, segments and headers add to it.
    pub fn sound_rate(&self, track: &Outbound) -> f64 {
        match self.form(&track.sound) {
            Form::Pcm => track.sound_rate(),
            Form::Opus => track.packet_rate(),
        }
    }

    /// A film has so many pictures by now. Whether the peer gets on with them is seen here.
    pub fn note_progress(&mut self, now: Instant, pictures: u64) {
        let settled = self.report.settled;
        if settled >= pictures.min(self.progress.1 + LEAST_SETTLED) {
            self.progress = (now, settled);
        }
    }

    /// When it last had settled everything, or enough more than before.
    pub fn progress(&self) -> Instant {
        self.progress.0
    }

    /// It told how far it is with the track, which has so many pictures by now. Whether it settled any since; what it has settled
    /// stays so, whatever it says.
    pub fn handle_report(&mut self, told: TrackReport, pictures: u64) -> bool {
        self.missed(told.settled, told.missed, pictures);
        let settled = told.settled.min(pictures).max(self.report.settled);
        let moved = settled > self.report.settled;
        self.report = TrackReport { settled, ..told };
        moved
    }

    /// It says which pictures it missed, of a track that has so many by now.
    pub fn missed(&mut self, settled: u64, missed: u64, pictures: u64) {
        if settled <= pictures {
            self.delivery.reported(settled, missed);
        }
    }

    /// What it has use for.
    pub fn want(&self) -> Want {
        let whole = if self.writes { Whole::Everybody } else { Whole::Nobody };
        self.want.unwrap_or(Want { whole, ..Want::ALL })
    }

    /// Whether its pictures are of use to the peer, if those of any are.
    pub fn sees(&self) -> bool {
        self.want().pictures
    }

    /// And whether its sound is.
    pub fn hears(&self) -> bool {
        self.want().sound
    }

    /// And whether it, or anybody it passes them on to, wants each of its pictures whole.
    pub fn wants_whole(&self) -> bool {
        self.want().whole != Whole::Nobody
    }

    /// Whether the peer was not sent all there is of its pictures.
    pub fn waits(&self, log: &Log) -> bool {
        self.sees() && log.clamp(self.cursor) < log.end()
    }

    /// Whether no picture of it is under way: of one that is forwarded the rest may never come.
    pub fn is_at_an_end(&self, log: &Log) -> bool {
        self.ended || self.begins(log)
    }

    /// Whether what is next begins a picture.
    pub fn begins(&self, log: &Log) -> bool {
        let next = log.slice(log.clamp(self.cursor).slice).map(|slice| slice.picture);
        next.is_some_and(|picture| self.begun.is_none_or(|begun| picture > begun))
    }

    /// Its picture is not sent to its end yet, and another track's goes first.
    pub fn interrupt(&mut self) {
        self.interrupted.0 = true;
    }

    /// Whether the path's queue has to be as short before what is next as before a picture that begins: others begin amid it.
    pub fn waits_as_a_picture(&self, log: &Log) -> bool {
        self.begins(log) || self.interrupted.0 || self.interrupted.1
    }

    /// Newest wins: of the picture before the newest the rest may still go out, of older ones nothing. On a slow path what was
    /// begun is finished, for nothing else would ever be whole there. Says how many pictures are skipped.
    pub fn catch_up(&mut self, now: Instant, track: &Outbound, paced: bool) -> u64 {
        let log = &track.log;
        if log.clamp(self.cursor) > self.cursor {
            // What it was not sent is there no more.
            self.delivery.lose_all();
            self.choice = Choice::default();
        }
        self.cursor = log.clamp(self.cursor);
        let (newest, mut skipped) = (log.newest_picture(), 0);
        let finish = paced && log.slice(self.cursor.slice).is_some_and(|slice| self.begun == Some(slice.picture));
        if !track.lossless && !finish && self.cursor < newest {
            let pictures = log.slice(self.cursor.slice).zip(log.slice(newest.slice));
            let behind = pictures.map_or(0, |(old, new)| new.picture.saturating_sub(old.picture));
            if behind > u64::from(!paced) {
                let passed = (self.cursor.slice..newest.slice).filter_map(|slice| log.slice(slice));
                // What refreshes somebody else it does not lack.
                let refreshes_all = track.refreshes_all(now);
                for head in passed.map(|slice| (slice.index, slice.head())) {
                    if head.0 < if refreshes_all { head.1.owed } else { head.1.shared } {
                        self.delivery.passed_over(&head.1);
                    }
                }
                (skipped, self.cursor) = (behind - 1, newest);
            }
        }
        skipped
    }

    /// The slice at the cursor, made ready to be cut for a path whose fragments carry so much; `None` where there is none, or it
    /// need not be sent any more.
    pub fn sending(&mut self, now: Instant, track: &Outbound, payload: usize) -> Option<u64> {
        let (at, log) = (self.cursor, &track.log);
        let slice = log.slice(at.slice)?;
        if at.fragment == 0 {
            let whole = self.wants_whole();
            let first = self.choice.begins_with(now, at.slice, whole, track);
            let lacks = track.refreshes_all(now) || self.delivery.is_owed();
            match first {
                Some(first) if first < at.slice => self.cursor.slice = first,
                Some(_) if slice.index < self.choice.takes(slice, lacks, whole) => {}
                _ => self.cursor.slice += 1,
            }
            if self.cursor != at {
                return None;
            }
        }
        // A picture is cut into one length, for its shards' sake, unless the path takes no more of it.
        if at.fragment > 0 && self.cut_anew.get(&at.slice).is_some_and(|cut| usize::from(*cut) != self.cut.0) {
            // It was asked for, and all of it is sent by now, or waits to be.
            self.delivery.sent(slice.picture, &slice.head());
            self.cursor = Cursor { slice: at.slice + 1, fragment: 0 };
            return None;
        }
        if payload < self.cut.0 && at.fragment > 0 {
            self.cut.0 = anew(slice, self.cut.0, payload).0;
            self.cut_anew.insert(at.slice, self.cut.0 as u16);
            self.cursor.fragment = 0;
        } else if at.fragment == 0 && (payload < self.cut.0 || slice.picture != self.cut.1) {
            self.cut = (payload, slice.picture);
        }
        Some(at.slice)
    }

    /// How many slices the picture of this one has for the peer.
    pub fn count_of(&self, slice: &Slice) -> u8 {
        self.choice.count_of(slice)
    }

    /// Of a track that is forwarded a picture did not all come here, as is found out now. What refreshes it may be here already,
    /// for it may overtake; where it was not sent to the peer, the peer lacks it.
    pub fn has_hole(&mut self, picture: u64, log: &Log) {
        let (first, end) = (log.clamp(Cursor { slice: 0, fragment: 0 }).slice, log.end().slice);
        let later = (first..end).filter_map(|slice| log.slice(slice));
        for slice in later.filter(|slice| slice.picture > picture && self.choice.is_made_of(slice.picture)) {
            let (head, takes) = (slice.head(), self.count_of(slice));
            if (takes..head.owed).contains(&slice.index) {
                self.delivery.passed_over(&head);
            }
        }
    }

    /// A fragment of a slice, as the peer is sent it.
    pub fn fragment<'a>(&self, slice: &'a Slice, index: u16, cut: usize) -> (FragmentHead, &'a [u8]) {
        let (head, payload) = slice.fragment(index, cut);
        (FragmentHead { last_slice: self.count_of(slice) - 1, ..head }, payload)
    }

    /// The next fragment, its name and its picture; the cursor is behind it.
    pub fn next_fragment<'a>(&mut self, log: &'a Log) -> Option<Fresh<'a>> {
        let (slice, cut) = (log.slice(self.cursor.slice)?, self.cut.0);
        let fragment = self.fragment(slice, self.cursor.fragment, cut);
        let piece = SentFragment {
            track: self.track(),
            slice: self.cursor.slice,
            fragment: self.cursor.fragment,
            cut: cut as u16,
            again: 0,
        };
        if self.begun.is_none_or(|begun| slice.picture > begun) {
            (self.begun, self.ended) = (Some(slice.picture), false);
            self.interrupted = (false, self.interrupted.0);
        }
        self.cursor.fragment += 1;
        if self.cursor.fragment == slice.fragments(cut) {
            self.cursor = Cursor { slice: self.cursor.slice + 1, fragment: 0 };
        }
        Some((piece, slice.picture, fragment))
    }

    /// Whether all of this slice was sent.
    pub fn is_past(&self, slice: u64) -> bool {
        self.cursor.slice > slice
    }

    /// What the slice that is being sent is cut into.
    pub fn cut_of_slice(&self) -> usize {
        self.cut.0
    }

    /// A slice was sent to its end. Where its picture was, and was cut into one length, says that length.
    pub fn slice_sent(&mut self, slice: u64, log: &Log) -> Option<usize> {
        let slice = log.slice(slice)?;
        self.delivery.sent(slice.picture, &slice.head());
        let (picture, count) = (slice.picture, self.count_of(slice));
        let cut = self.cut.0;
        let (of, slices, one) = self.slices;
        self.slices =
            if of == picture { (of, slices.saturating_add(1), if one == cut { cut } else { 0 }) } else { (picture, 1, cut) };
        self.ended |= self.slices.1 == count;
        (self.slices.1 == count && self.slices.2 == cut).then_some(cut)
    }

    /// Whether this slice has been cut anew, and into other fragments.
    pub fn is_cut_otherwise(&self, slice: u64, cut: u16) -> bool {
        self.cut_anew.get(&slice).is_some_and(|anew| *anew != cut)
    }

    /// A slice is sent again, cut into payloads of this length.
    pub fn cut_anew(&mut self, log: &Log, slice: u64, cut: usize) {
        let oldest = log.clamp(Cursor { slice: 0, fragment: 0 }).slice;
        self.cut_anew.retain(|slice, _| *slice >= oldest);
        self.cut_anew.insert(slice, cut as u16);
    }
}

/// The length of payloads a slice is cut into anew, none longer than `payload`, and how many there are: more than of the `former`
/// ones, so that its receiver can tell them from those.
pub fn anew(slice: &Slice, former: usize, payload: usize) -> (usize, u16) {
    let cut = payload.min(slice.bytes().len().saturating_sub(1) / usize::from(slice.fragments(former).max(1))).max(1);
    (cut, slice.fragments(cut))
}

#[cfg(test)]
mod tests {
    use super::super::choice;
    use super::*;
    use crate::media::slice::testing;
    use crate::picture::mcu_set::Owed;
    use crate::wire::record::{Format, Media, Track};

    /// Sends all there is, and says how many slices that are.
    #[expect(clippy::disallowed_methods)] // any instant will do
    fn send(subscription: &mut Subscription, track: &Outbound) -> usize {
        let mut sent = 0;
        while subscription.waits(&track.log) {
            let Some(sending) = subscription.sending(Instant::now(), track, 1000) else { continue };
            assert!(subscription.next_fragment(&track.log).is_some() && subscription.is_past(sending), "each is one fragment");
            subscription.slice_sent(sending, &track.log);
            sent += 1;
        }
        sent
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // any instant will do
    fn what_refreshed_a_lost_picture_and_overtook_the_news_of_that_is_lacking() {
        let mut track = choice::testing::track();
        let mut subscription = Subscription::new(Instant::now(), 1, (track.log.end(), 0), 0);
        let all = choice::testing::slices(0, &[], 0..240, false);
        let count = all.len();
        all.into_iter().for_each(|slice| track.push_slice(slice));
        assert_eq!(send(&mut subscription, &track), count);
        // Picture 1 did not come here. What its sender knows was in it comes with the next.
        choice::testing::slices(2, &[3], [8].into_iter(), false).into_iter().for_each(|slice| track.push_slice(slice));
        assert_eq!(send(&mut subscription, &track), 1, "nobody knows of it yet");
        subscription.has_hole(2, &track.log);
        assert_eq!(subscription.delivery.owed(), Owed::Nothing, "it came before the hole");
        subscription.has_hole(1, &track.log);
        let Owed::Some(owed) = subscription.delivery.owed() else { panic!("{:?}", subscription.delivery.owed()) };
        assert_eq!(owed.iter().collect::<Vec<_>>(), [8]);
    }

    #[test]
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn a_picture_of_which_a_slice_never_came_is_over_when_the_next_begins() {
        let now = Instant::now();
        let track = Track {
            number: 1,
            media: Media::LIVE,
            muted: false,
            closed: false,
            origin: [0; 16],
            label: String::new(),
            format: Format::default(),
        };
        let mut track = Outbound::new(track, false);
        let slice = |picture, index| testing::slice(picture, index, 2, 100);
        let mut subscription = Subscription::new(now, 1, (track.log.end(), 0), 0);
        track.push_slice(slice(1, 0));
        let sending = subscription.sending(now, &track, 1000).expect("a slice");
        assert!(subscription.next_fragment(&track.log).is_some());
        subscription.slice_sent(sending, &track.log);
        assert!(!subscription.is_at_an_end(&track.log), "its other slice may come");
        track.push_slice(slice(2, 0));
        track.push_slice(slice(2, 1));
        assert!(subscription.is_at_an_end(&track.log), "it did not");
    }
}
