//! Which of its tracks a peer is sent next.
//!
//! **Problem.** On a narrow path each track is to have its share of the bytes, and whoever sends more is to lose what is too
//! much, not the others: turns by pictures give the path to the largest ones. Yet a picture that is torn by others' is late, and
//! measures the path badly. **Choice.** Start-time fair queueing (Goyal, Vin, Cheng 1996): each track has a virtual time, the
//! bytes it was sent, and the one that is least far is next; one that had nothing to send starts from the virtual time of the one
//! being sent. A picture that is begun goes on to its end, unless it is far larger than those of a track that waits
//! ([`PATIENCE`]). What waits meanwhile is replaced by newer pictures of its own track ([`Subscription::catch_up`]).
//! **Rejected.** Deficit round robin (Shreedhar, Varghese 1996): who sends little waits for all others' quanta each time.

use super::subscription::Subscription;
use super::{PACED_RUN, Peer};
use crate::session::outbound::Outbound;
use crate::wire::record::OWN_TRACK;

/// A track waits until the one being sent is ahead of it by this many of its usual pictures.
const PATIENCE: u64 = 2;

/// One that had nothing to send starts this part of a usual picture behind.
const LEAD: u64 = 2;

/// And by no more than two runs of datagrams: whoever shows a huge picture now and then would hold up all others until it has
/// caught up, and how large its pictures are is its own say.
const MOST_LEAD: u64 = 2 * PACED_RUN as u64;

/// Whose turn it is.
pub(super) struct Turns {
    /// The track that was sent last.
    track: u8,
    /// Where it was when its turn or its picture began: the virtual time, bytes.
    began: u64,
}

impl Turns {
    /// Nothing was sent.
    pub fn new() -> Self {
        Turns { track: OWN_TRACK, began: 0 }
    }

    /// Where a track is that waits.
    fn start(&self, subscription: &Subscription, track: &Outbound) -> u64 {
        subscription.served.max(self.began.saturating_sub((usual(track) / LEAD).min(MOST_LEAD)))
    }
}

/// What a picture of a track takes, and no less than a run of datagrams.
fn usual(track: &Outbound) -> u64 {
    track.usual().max(PACED_RUN) as u64
}

impl Peer {
    /// The place of the subscription of which something is to be sent for the first time, and the place of its track.
    pub(super) fn next_fresh(&self, tracks: &[Outbound]) -> Option<(usize, usize)> {
        let last = self.place_in_turn();
        let current = self.waits_at(last, tracks).filter(|(place, of)| {
            let current = &self.subscriptions[*place];
            !current.is_at_an_end(&tracks[*of].log) && !self.is_ahead(current, tracks)
        });
        // Of those that are equally far the next after the last.
        let start = |(place, of): &(usize, usize)| self.turns.start(&self.subscriptions[*place], &tracks[*of]);
        current.or_else(|| self.waiting(last, tracks).min_by_key(start))
    }

    /// The tracks that have to wait for others, also with what is to be sent again of them and with their shards.
    pub(super) fn ahead(&self, tracks: &[Outbound]) -> Vec<u8> {
        self.subscriptions.iter().filter(|of| self.is_ahead(of, tracks)).map(Subscription::track).collect()
    }

    /// Whether a piece is to be sent again, or a shard is to be sent, of a track that has not to wait.
    pub(super) fn repeats(&self, tracks: &[Outbound]) -> bool {
        if self.resend.is_empty() && self.parity.is_empty() {
            return false;
        }
        let ahead = self.ahead(tracks);
        let mut of = self.resend.iter().map(|piece| piece.track).chain(self.parity.iter().map(|(track, _)| *track));
        of.any(|track| !ahead.contains(&track))
    }

    /// Whether a track is so far ahead of another that waits that it is that one's turn.
    fn is_ahead(&self, current: &Subscription, tracks: &[Outbound]) -> bool {
        self.waiting(0, tracks).any(|(place, of)| {
            let (other, track) = (&self.subscriptions[place], &tracks[of]);
            other.track() != current.track() && current.served > self.turns.start(other, track) + PATIENCE * usual(track)
        })
    }

    /// The places of subscriptions of which something is to be sent for the first time, from the next after this one on, and of
    /// their tracks.
    fn waiting(&self, after: usize, tracks: &[Outbound]) -> impl Iterator<Item = (usize, usize)> {
        let count = self.subscriptions.len();
        (after + 1..=after + count).filter_map(move |place| self.waits_at(place % count, tracks))
    }

    /// This place, and that of its track, if something is to be sent of it.
    fn waits_at(&self, place: usize, tracks: &[Outbound]) -> Option<(usize, usize)> {
        let subscription = self.subscriptions.get(place)?;
        let of = tracks.iter().position(|track| track.number() == subscription.track())?;
        subscription.waits(&tracks[of].log).then_some((place, of))
    }

    fn place_in_turn(&self) -> usize {
        self.subscriptions.iter().position(|subscription| subscription.track() == self.turns.track).unwrap_or(0)
    }

    /// It is the turn of what [`Peer::next_fresh`] found.
    pub(super) fn take_turn(&mut self, (place, of): (usize, usize), tracks: &[Outbound]) {
        let track = &tracks[of];
        let start = self.turns.start(&self.subscriptions[place], track);
        if track.number() != self.turns.track {
            let last = self.place_in_turn();
            if let Some(last) = self.subscriptions.get_mut(last) {
                let log = tracks.iter().find(|track| track.number() == last.track()).map(|track| &track.log);
                if log.is_some_and(|log| last.waits(log) && !last.is_at_an_end(log)) {
                    last.interrupt();
                }
            }
        } else if !self.subscriptions[place].begins(&track.log) {
            return;
        }
        self.subscriptions[place].served = start;
        self.turns = Turns { track: track.number(), began: self.turns.began.max(start) };
    }

    /// Bytes of a track left.
    pub(super) fn charge(&mut self, track: u8, bytes: usize) {
        if let Some(subscription) = self.subscription(track) {
            subscription.served += bytes as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::slice::testing;
    use crate::session::PeerId;
    use crate::session::flow::Flow;
    use crate::session::repairs::Repairs;
    use crate::session::sent::SentFragment;
    use crate::session::stats::PeerStats;
    use crate::wire::record::{Format, Media, Track};
    use std::time::Instant;

    /// Tracks 1 and on with a picture of so many bytes each, and a peer that was sent nothing of them.
    fn beginning(bytes: &[usize]) -> (Peer, Vec<Outbound>) {
        #[expect(clippy::disallowed_methods)] // one real instant to count from
        let now = Instant::now();
        let flow = (Flow::new(now, None), Repairs::new(now, false));
        let mut peer = Peer::new(PeerId(1), ([1; 16], Media::LIVE, false), PeerStats::default(), flow);
        let mut tracks = Vec::new();
        for number in 1..=bytes.len() as u8 {
            let (origin, label, format) = ([9; 16], String::new(), Format::default());
            let track = Track { number, media: Media::LIVE, muted: false, closed: false, origin, label, format };
            tracks.push(Outbound::new(track, false));
            peer.subscriptions.push(Subscription::new(now, number, tracks[tracks.len() - 1].newest(), 0));
        }
        for picture in 0..2 {
            tracks.iter_mut().zip(bytes).for_each(|(track, bytes)| push(track, picture, *bytes));
        }
        (peer, tracks)
    }

    fn push(track: &mut Outbound, picture: u64, bytes: usize) {
        track.push_slice(testing::slice(picture, 0, 1, bytes));
    }

    /// Sends runs of eight pieces until nothing waits, or so many were. Of which tracks they are.
    fn sent(peer: &mut Peer, tracks: &[Outbound], most: usize) -> Vec<u8> {
        let mut order = Vec::new();
        while let Some((place, of)) = peer.next_fresh(tracks).filter(|_| order.len() < most) {
            peer.take_turn((place, of), tracks);
            let (subscription, log) = (&mut peer.subscriptions[place], &tracks[of].log);
            let sending = subscription.sending(Instant::now(), &tracks[of], 1200).expect("a slice");
            for _ in 0..8 {
                let Some((.., (_, bytes))) = subscription.next_fragment(log) else { break };
                subscription.served += bytes.len() as u64;
                if subscription.is_past(sending) {
                    subscription.slice_sent(sending, log);
                    break;
                }
            }
            order.push(tracks[of].number());
        }
        order
    }

    #[test]
    fn pictures_of_about_one_size_follow_each_other_whole() {
        let (mut peer, tracks) = beginning(&[20_000, 28_000, 15_000]);
        let order = sent(&mut peer, &tracks, 100);
        assert_eq!(order[..8], [2, 2, 2, 3, 3, 1, 1, 1], "each to its end");
    }

    #[test]
    fn bytes_are_shared_and_not_pictures() {
        let (mut peer, mut tracks) = beginning(&[900_000, 9600]);
        let (mut large, mut small) = (0, 0);
        for picture in 2..40 {
            // Two pictures of the small one for every six runs.
            for track in sent(&mut peer, &tracks, 3) {
                *(if track == 1 { &mut large } else { &mut small }) += 1;
            }
            push(&mut tracks[1], picture, 9600);
        }
        assert!(small >= 37 && large >= 70, "{small} runs of the small one and {large} of the large one");
        assert!(peer.subscriptions[0].waits_as_a_picture(&tracks[0].log), "others begin amid it");
    }

    #[test]
    fn one_that_comes_back_with_a_huge_picture_holds_up_the_others_for_no_longer_than_another() {
        let (mut peer, mut tracks) = beginning(&[3_500_000, 9600]);
        sent(&mut peer, &tracks, usize::MAX);
        for picture in 2..600 {
            push(&mut tracks[1], picture, 9600);
            sent(&mut peer, &tracks, usize::MAX);
        }
        push(&mut tracks[0], 2, 3_500_000);
        push(&mut tracks[1], 600, 9600);
        let order = sent(&mut peer, &tracks, 200);
        let waited = order.iter().position(|track| *track == 2);
        assert!(waited.is_some_and(|runs| runs <= 8), "{waited:?} runs of the other");
    }

    #[test]
    fn what_a_picture_takes_is_learnt_whatever_a_track_says_its_first_is() {
        let (_, mut tracks) = beginning(&[1000]);
        tracks[0].pictures = 1_000_000;
        for picture in (2..40).chain([1_000_001, 1_000_002]) {
            push(&mut tracks[0], picture, 1000);
        }
        assert_eq!(tracks[0].usual(), 1000);
    }

    #[test]
    fn what_is_sent_again_of_a_track_that_has_to_wait_holds_up_no_other() {
        let (mut peer, tracks) = beginning(&[900_000, 9600]);
        peer.subscriptions[0].served = 500_000;
        let piece = |track| SentFragment { track, slice: 0, fragment: 0, cut: 1200, again: 1 };
        peer.resend.push_back(piece(1));
        assert_eq!((peer.ahead(&tracks), peer.repeats(&tracks)), (vec![1], false));
        peer.resend.push_back(piece(2));
        assert!(peer.repeats(&tracks));
    }
}
