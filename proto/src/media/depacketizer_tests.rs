//! Tests of the depacketizer: any order, any loss, hostile heads, parts of unfinished slices.

use super::*;
use crate::media::slice::testing::{EMPTY, slice};
use proptest::prelude::*;

/// One with buffers of its own.
struct Depacketizer {
    inner: super::Depacketizer,
    buffers: Buffers,
}

impl Depacketizer {
    fn new(limits: Limits) -> Self {
        Depacketizer { inner: super::Depacketizer::new(limits), buffers: Buffers::default() }
    }

    fn push(&mut self, now: Instant, head: FragmentHead, payload: &[u8]) -> Pushed {
        self.inner.push(now, head, payload, &mut self.buffers)
    }

    fn poll_settled(&mut self, now: Instant) -> Option<Settled> {
        self.inner.poll_settled(now, &mut self.buffers)
    }
}

impl std::ops::Deref for Depacketizer {
    type Target = super::Depacketizer;

    fn deref(&self) -> &super::Depacketizer {
        &self.inner
    }
}

impl std::ops::DerefMut for Depacketizer {
    fn deref_mut(&mut self) -> &mut super::Depacketizer {
        &mut self.inner
    }
}

const LIVE: Limits = Limits { pictures: 2, bytes: 1 << 20, wait: Duration::from_millis(33), longest: WAIT, newest_wins: true };
const LOSSLESS: Limits = Limits { pictures: 64, bytes: 1 << 20, wait: WAIT, longest: WAIT, newest_wins: false };
const WAIT: Duration = Duration::from_secs(2);

fn fragments(picture: u64, slices: u8, len: usize, payload: usize) -> Vec<(FragmentHead, Vec<u8>)> {
    let mut all = Vec::new();
    for index in 0..slices {
        let slice = slice(picture, index, slices, len);
        for fragment in 0..slice.fragments(payload) {
            let (head, bytes) = slice.fragment(fragment, payload);
            all.push((head, bytes.to_vec()));
        }
    }
    all
}

fn start() -> Instant {
    Instant::now()
}

fn settled(depacketizer: &mut Depacketizer, now: Instant) -> Vec<Settled> {
    std::iter::from_fn(|| depacketizer.poll_settled(now)).collect()
}

proptest! {
    /// Whatever the order and however often each fragment comes, every slice comes out once and unchanged.
    #[test]
    fn any_order_and_any_duplicates_give_the_slices_back(
        len in EMPTY..5000,
        payload in 10usize..1400,
        slices in 1u8..9,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
    ) {
        let now = Instant::now();
        let all = fragments(3, slices, len, payload);
        let mut depacketizer = Depacketizer::new(LOSSLESS);
        let mut out = Vec::new();
        let shuffled = order.iter().map(|index| index.get(&all)).chain(all.iter().rev());
        for (head, payload) in shuffled {
            if let Pushed::Slice(whole) = depacketizer.push(now, *head, payload) {
                prop_assert_eq!(&slice(3, whole.index, slices, len), &whole);
                out.push(whole.index);
            }
        }
        out.sort_unstable();
        prop_assert_eq!(out, (0..slices).collect::<Vec<_>>());
        prop_assert_eq!(depacketizer.bytes(), 0);
        prop_assert_eq!(settled(&mut depacketizer, now), [Settled { picture: 3, slices, count: slices, unsent: false }]);
    }

    /// Hostile fragments never panic and never make it hold more than its limit and one picture's row of slices.
    #[test]
    fn any_fragments_are_survived_in_bounded_memory(
        heads in prop::collection::vec((any::<u32>(), 0u8..128, 0u8..128, any::<u16>(), any::<u16>(), 1usize..1200), 0..300),
    ) {
        let now = Instant::now();
        let mut depacketizer = Depacketizer::new(LIVE);
        for (picture, a, b, c, d, len) in heads {
            let (slice, last_slice) = (a.min(b), a.max(b));
            let head = FragmentHead { picture: picture % 300, slice, last_slice, index: c.min(d), last_index: c.max(d) };
            depacketizer.push(now, head, &vec![0; len]);
            while depacketizer.poll_settled(now).is_some() {}
            prop_assert!(depacketizer.pictures.len() <= LIVE.pictures);
            prop_assert!(depacketizer.bytes() <= 2 * (LIVE.bytes + MAX_LEN));
        }
    }
}

#[test]
fn a_missing_slice_costs_its_picture_a_part_and_the_next_nothing() {
    let start = Instant::now();
    let mut depacketizer = Depacketizer::new(LIVE);
    for (head, payload) in fragments(0, 4, 2000, 1000).iter().filter(|(head, _)| head.slice != 2) {
        depacketizer.push(start, *head, payload);
    }
    assert_eq!(settled(&mut depacketizer, start), []);
    assert!(depacketizer.is_waiting());
    assert_eq!(settled(&mut depacketizer, start + LIVE.wait), [Settled { picture: 0, slices: 3, count: 4, unsent: false }]);
    for (head, payload) in fragments(1, 4, 2000, 1000) {
        depacketizer.push(start, head, &payload);
    }
    assert_eq!(settled(&mut depacketizer, start), [Settled { picture: 1, slices: 4, count: 4, unsent: false }]);
}

#[test]
fn a_lost_picture_is_told_in_its_turn() {
    let now = Instant::now();
    let mut depacketizer = Depacketizer::new(LIVE);
    for picture in [5, 9] {
        for (head, payload) in fragments(picture, 1, 100, 1000) {
            depacketizer.push(now, head, &payload);
        }
    }
    let lost = |picture| Settled { picture, slices: 0, count: 0, unsent: false };
    let whole = |picture| Settled { picture, slices: 1, count: 1, unsent: false };
    assert_eq!(settled(&mut depacketizer, now), [whole(5), lost(6), lost(7), lost(8), whole(9)]);
}

/// Who leaves a picture out sends nothing of it, and so no packet of it can be missing.
#[test]
fn a_picture_that_was_left_out_is_told_from_one_that_was_lost() {
    let now = Instant::now();
    let mut depacketizer = Depacketizer::new(LIVE);
    let mut told = |picture, all_came| {
        for (head, payload) in fragments(picture, 1, 100, 1000) {
            depacketizer.note_all_came(all_came);
            depacketizer.push(now, head, &payload);
        }
        settled(&mut depacketizer, now).iter().map(|settled| (settled.picture, settled.unsent)).collect::<Vec<_>>()
    };
    assert_eq!(told(5, true), [(5, false)]);
    assert_eq!(told(7, true), [(6, true), (7, false)]);
    assert_eq!(told(9, false), [(8, false), (9, false)]);
    // More than are put together at once.
    assert_eq!(told(13, true), [(10, true), (11, true), (12, true), (13, false)]);
    assert_eq!(told(17, false), [(14, false), (15, false), (16, false), (17, false)]);
}

#[test]
fn patience_waits_for_the_oldest_and_keeps_the_rest_in_order() {
    let now = Instant::now();
    let mut depacketizer = Depacketizer::new(LOSSLESS);
    depacketizer.begin_at(0);
    for picture in 1..20 {
        for (head, payload) in fragments(picture, 1, 100, 1000) {
            depacketizer.push(now, head, &payload);
        }
    }
    assert_eq!(settled(&mut depacketizer, now + Duration::from_millis(1999)), []);
    for (head, payload) in fragments(0, 1, 100, 1000) {
        depacketizer.push(now, head, &payload);
    }
    assert_eq!(settled(&mut depacketizer, now).len(), 20);
}

/// On a path that takes less than a film needs, of several pictures some comes, and the rest after that of others.
#[test]
fn a_picture_of_a_film_is_waited_for_while_it_comes_for_as_long_as_its_sender_keeps_it() {
    let now = Instant::now();
    let mut depacketizer = Depacketizer::new(Limits { longest: 3 * WAIT, ..LOSSLESS });
    depacketizer.begin_at(0);
    let pieces = fragments(0, 1, 160, 40);
    let at = |turn: u32| now + turn * WAIT * 3 / 4;
    for (turn, (head, payload)) in (0..).zip(&pieces[..3]) {
        assert!(settled(&mut depacketizer, at(turn)).is_empty(), "it goes on coming");
        depacketizer.push(at(turn), *head, payload);
    }
    assert!(settled(&mut depacketizer, at(2) + WAIT - Duration::from_millis(1)).is_empty());
    assert_eq!(settled(&mut depacketizer, at(2) + WAIT).len(), 1, "nothing came for two seconds");
}

/// The sender left out what it had no room for.
#[test]
fn of_a_picture_of_which_nothing_came_nothing_was_sent_where_no_packet_is_missing() {
    let now = Instant::now();
    let mut depacketizer = Depacketizer::new(LOSSLESS);
    depacketizer.begin_at(0);
    for picture in [0, 2, 3] {
        let mut pieces = fragments(picture, 1, 100, 40);
        if picture == 3 {
            pieces.truncate(1);
        }
        for (head, payload) in pieces {
            depacketizer.push(now, head, &payload);
        }
    }
    depacketizer.nothing_is_missing();
    let at = |depacketizer: &mut Depacketizer, ms| settled(depacketizer, now + Duration::from_millis(ms)).len();
    assert_eq!(at(&mut depacketizer, 199), 1, "the first");
    assert_eq!(at(&mut depacketizer, 200), 2, "the second, and the third behind it");
    assert_eq!(at(&mut depacketizer, 1999), 0, "of the last something came");
}

#[test]
fn a_film_that_is_long_in_starting_loses_nothing_of_its_beginning() {
    let told = Instant::now();
    let mut depacketizer = Depacketizer::new(LOSSLESS);
    depacketizer.begin_at(0);
    let started = told + 3 * LOSSLESS.wait;
    assert_eq!((settled(&mut depacketizer, started), depacketizer.deadline()), (vec![], None));
    for (head, payload) in fragments(1, 1, 100, 1000) {
        depacketizer.push(started, head, &payload);
    }
    assert_eq!(settled(&mut depacketizer, started + Duration::from_millis(1999)), [], "its first picture is still to come");
    for (head, payload) in fragments(0, 1, 100, 1000) {
        depacketizer.push(started, head, &payload);
    }
    assert_eq!(settled(&mut depacketizer, started).len(), 2);
}

#[test]
fn of_a_film_that_goes_elsewhere_what_is_below_its_first_picture_is_dropped_and_what_is_above_stays() {
    let now = Instant::now();
    let mut depacketizer = Depacketizer::new(LOSSLESS);
    depacketizer.begin_at(0);
    let some = |depacketizer: &mut Depacketizer, picture: u64, count: usize| {
        let pieces = fragments(picture, 1, 2500, 1000).into_iter().take(count);
        pieces.for_each(|(head, payload)| drop(depacketizer.push(now, head, &payload)));
    };
    let skip_to = |depacketizer: &mut Depacketizer, picture| {
        let Depacketizer { inner, buffers } = depacketizer;
        inner.skip_to(picture, buffers);
    };
    [(0, 2), (3, 1), (6, 2), (5, 3)].into_iter().for_each(|(picture, count)| some(&mut depacketizer, picture, count));
    skip_to(&mut depacketizer, 5);
    assert_eq!((depacketizer.settled(), depacketizer.is_waiting()), (5, true), "of the sixth some is here");
    some(&mut depacketizer, 6, 3);
    let numbers: Vec<u64> = settled(&mut depacketizer, now).iter().map(|settled| settled.picture).collect();
    assert_eq!((numbers, depacketizer.bytes()), (vec![5, 6], 0));
    some(&mut depacketizer, 4, 3);
    skip_to(&mut depacketizer, 3);
    assert_eq!((depacketizer.settled(), settled(&mut depacketizer, now)), (7, vec![]), "nothing goes back");
    skip_to(&mut depacketizer, 1 << 62);
    some(&mut depacketizer, 8, 3);
    assert_eq!(depacketizer.bytes(), 0, "a sender that lies shows nothing");
}

#[test]
fn of_a_slice_given_up_the_pieces_that_came_are_handed_out_at_their_places() {
    let start = Instant::now();
    let mut depacketizer = Depacketizer::new(LIVE);
    let whole = slice(0, 0, 1, 5010);
    for index in [0, 1, 3, 5] {
        let (head, bytes) = whole.fragment(index, 1000);
        depacketizer.push(start, head, bytes);
    }
    assert_eq!(settled(&mut depacketizer, start + LIVE.wait).len(), 1);
    let part = depacketizer.poll_part().unwrap();
    assert_eq!((part.present.clone(), part.ended), (vec![0..1970, 2970..3970, 4970..4980], true));
    assert_eq!((part.slice.picture, part.slice.index, part.slice.head()), (0, 0, whole.head()));
    for range in part.present {
        assert_eq!(part.slice.scan()[range.clone()], whole.scan()[range]);
    }
    assert_eq!(depacketizer.poll_part(), None);
}

#[test]
fn a_slice_without_its_beginning_has_no_part_and_a_claimed_size_costs_nothing() {
    let start = Instant::now();
    let mut depacketizer = Depacketizer::new(LIVE);
    let (head, bytes) = fragments(0, 1, 5000, 1000).remove(2);
    depacketizer.push(start, head, &bytes);
    let far = FragmentHead { picture: 1, slice: 0, last_slice: 0, index: 0, last_index: 60_000 };
    depacketizer.push(start, far, &[0; 1000]);
    depacketizer.push(start, FragmentHead { index: 59_999, ..far }, &[0; 1000]);
    settled(&mut depacketizer, start + LIVE.wait);
    assert_eq!(depacketizer.poll_part(), None);
}

#[test]
fn a_slice_whose_length_lies_is_refused() {
    let now = Instant::now();
    let mut depacketizer = Depacketizer::new(LIVE);
    let (head, mut payload) = fragments(0, 1, 100, 1000).remove(0);
    payload[3] += 1;
    assert!(matches!(depacketizer.push(now, head, &payload), Pushed::Bad));
}

/// It costs itself alone: its picture is settled as if it had one.
#[test]
fn a_whole_slice_without_a_head_that_can_be_is_told_from_slices() {
    let now = start();
    let mut depacketizer = Depacketizer::new(LIVE);
    for (number, bits) in [(0, 0x08), (1, 0x07)] {
        let (head, mut payload) = fragments(number, 1, 100, 1000).remove(0);
        payload[4] |= bits;
        assert!(matches!(depacketizer.push(now, head, &payload), Pushed::Headless(_)));
        assert_eq!(settled(&mut depacketizer, now), [Settled { picture: number, slices: 1, count: 1, unsent: false }]);
    }
}

#[test]
fn of_a_slice_whose_head_did_not_all_come_there_is_no_part() {
    let start = Instant::now();
    let mut depacketizer = Depacketizer::new(LIVE);
    let pieces = fragments(0, 1, 100, 10);
    for (head, payload) in pieces.iter().filter(|(head, _)| head.index != 2) {
        depacketizer.push(start, *head, payload);
    }
    settled(&mut depacketizer, start + LIVE.wait);
    assert_eq!(depacketizer.poll_part(), None);
}

/// A number that jumps settles what was begun, and nobody counts through the gap.
#[test]
fn a_gap_longer_than_half_a_minute_is_not_walked_through() {
    let (mut depacketizer, start) = (Depacketizer::new(LIVE), Instant::now());
    let head = |picture| FragmentHead { picture, slice: 0, last_slice: 0, index: 0, last_index: 1 };
    depacketizer.push(start, head(5), &[0; 10]);
    assert!(matches!(depacketizer.push(start, head(200_000), &[0; 10]), Pushed::Late));
    assert_eq!(depacketizer.poll_settled(start).map(|settled| settled.picture), Some(5));
    assert!(matches!(depacketizer.push(start, head(200_000), &[0; 10]), Pushed::Stored));
    let late = start + Duration::from_secs(5);
    let settled: Vec<u64> = std::iter::from_fn(|| depacketizer.poll_settled(late)).map(|settled| settled.picture).collect();
    assert!(settled.len() == LIVE.pictures + 1 && settled.last() == Some(&200_000), "{settled:?}");
    for far in [200_001 + (1 << 31) - 2, 500_000] {
        assert!(matches!(depacketizer.push(late, head(far), &[0; 10]), Pushed::Bad), "{far}");
    }
}

/// A fragment of one byte is remembered by more than that.
#[test]
fn fragments_of_one_byte_weigh_what_they_cost() {
    let (mut depacketizer, now) = (Depacketizer::new(LIVE), start());
    for index in 0..60_000 {
        depacketizer.push(now, FragmentHead { picture: 0, slice: 0, last_slice: 0, index, last_index: u16::MAX }, &[7]);
    }
    assert_eq!(depacketizer.bytes(), 60_000 * 9);
}

/// Slices as large as can be, again and again: what they lay in is given back.
#[test]
fn buffers_of_enormous_slices_are_not_kept() {
    let (mut depacketizer, now) = (Depacketizer::new(LOSSLESS), start());
    for picture in 0..20 {
        for (head, payload) in fragments(picture, 1, MAX_LEN, 60_000) {
            depacketizer.push(now, head, &payload);
        }
        settled(&mut depacketizer, now);
    }
    let Buffers { sorted, spare } = &depacketizer.buffers;
    let kept = [sorted].into_iter().chain(spare.iter().map(|spare| &spare.bytes)).map(Vec::capacity);
    assert!(kept.sum::<usize>() < 1 << 20);
}

#[test]
fn what_is_sent_again_over_a_new_connection_may_be_cut_into_fewer_pieces() {
    let now = start();
    let (old, new) = (fragments(3, 1, 5000, 900), fragments(3, 1, 5000, 4000));
    let mut depacketizer = Depacketizer::new(LOSSLESS);
    for (head, payload) in &old[..3] {
        assert!(matches!(depacketizer.push(now, *head, payload), Pushed::Stored));
    }
    depacketizer.forget_pieces();
    assert_eq!(depacketizer.bytes(), 0);
    assert!(matches!(depacketizer.push(now, new[0].0, &new[0].1), Pushed::Stored));
    assert!(matches!(depacketizer.push(now, new[1].0, &new[1].1), Pushed::Slice(_)));
    assert_eq!(settled(&mut depacketizer, now), [Settled { picture: 3, slices: 1, count: 1, unsent: false }]);
}

/// The path takes shorter datagrams from one moment to the next: the slice comes anew in more pieces, and what is late of the old
/// ones hurts nothing.
#[test]
fn a_slice_that_is_cut_anew_comes_whole_out_of_its_new_pieces() {
    let now = start();
    let (old, new) = (fragments(3, 1, 5000, 1400), fragments(3, 1, 5000, 900));
    let mut depacketizer = Depacketizer::new(LOSSLESS);
    let push =
        |depacketizer: &mut Depacketizer, (head, payload): &(FragmentHead, Vec<u8>)| depacketizer.push(now, *head, payload);
    assert!(matches!(push(&mut depacketizer, &old[0]), Pushed::Stored));
    assert!(matches!(push(&mut depacketizer, &old[3]), Pushed::Stored), "its last one is shorter");
    for piece in &new[1..] {
        assert!(matches!(push(&mut depacketizer, piece), Pushed::Stored));
        assert!(matches!(push(&mut depacketizer, &old[1]), Pushed::Late));
    }
    let Pushed::Slice(came) = push(&mut depacketizer, &new[0]) else { panic!("whole") };
    assert_eq!(came, slice(3, 0, 1, 5000));
    assert_eq!(depacketizer.bytes(), 0);
    assert!(matches!(push(&mut depacketizer, &fragments(3, 1, 5000, 100)[0]), Pushed::Late), "it is done");
    assert_eq!(settled(&mut depacketizer, now), [Settled { picture: 3, slices: 1, count: 1, unsent: false }]);
}

#[test]
fn a_slice_out_of_order_keeps_no_room_of_a_larger_one_before_it() {
    let now = Instant::now();
    let mut depacketizer = Depacketizer::new(LIVE);
    let mut lies = fragments(0, 1, 512 << 10, 1000);
    lies[0].1[..4].copy_from_slice(&1u32.to_be_bytes());
    for (head, payload) in lies.iter().rev() {
        depacketizer.push(now, *head, payload);
    }
    assert!(depacketizer.buffers.sorted.capacity() <= KEPT);
}
