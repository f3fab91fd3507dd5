//! Fragments → slices → pictures, and when a picture is given up.
//!
//! Slices leave the moment they are whole, in any order: the receiver decodes them as they come. Pictures are *settled* in order,
//! each once: whole, in part, or lost. Live, a picture is settled when it is whole, when its deadline passes, or when two newer
//! ones began; lossless (a file is being written), only when it is whole or was waited for long enough.
//!
//! Capacity: [`Limits`]. Memory grows with bytes that came, not with what their heads claim: fragments are stored one behind the
//! other as they come, and only put in order when their slice is whole. What is over the limit settles the oldest picture.

use super::slice::{LENGTH_PREFIX, Part, Slice};
use crate::wire::datagram::FragmentHead;
use crate::wire::slice::{MAX_LEN, MAX_SLICES};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a picture ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    pub picture: u64,
    /// Slices that came whole.
    pub slices: u8,
    /// Slices it has; 0 if nothing of it ever came.
    pub count: u8,
    /// Nothing of it came because nothing was sent: its sender left it out.
    pub unsent: bool,
}

impl Settled {
    /// Nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.count > 0 && self.slices == self.count
    }
}

/// What a fragment led to.
pub enum Pushed {
    /// Stored; its slice is not whole yet.
    Stored,
    /// It made its slice whole.
    Slice(Slice),
    /// It made its slice whole, and that has no head that can be: a later program's, or none at all. It alone is lost.
    Headless(u64),
    /// Not needed: came twice, or its picture is settled.
    Late,
    /// It contradicts what came before, or the slice it completed is not one.
    Bad,
}

/// What may be held.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Pictures being assembled at once.
    pub pictures: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// How long a picture is waited for, from when it should have come.
    pub wait: Duration,
    /// And from its first fragment, however slowly it comes.
    pub longest: Duration,
    /// Settle an older picture as soon as two newer ones began.
    pub newest_wins: bool,
}

/// Who passes packets on that overtook each other on their way to him may have sent the newer picture first.
const UNSENT: Duration = Duration::from_millis(200);

/// Pictures of a gap that are settled one by one: half a minute at 30 a second. Nobody walks through a longer one; what is
/// settled goes on behind it.
const WALKED: u64 = 1000;

/// Pictures more than usual that may begin before one is given up where packets overtake: 150 ms at 60 a second.
const MOST_BEGUN: usize = 9;

/// What is kept of a fragment beside its payload, which may be one byte.
const PART: usize = std::mem::size_of::<(u16, u32)>();

/// A buffer up to this size is used again; 257 of them may wait. Slices are a tenth of that.
const KEPT: usize = 128 << 10;

/// Fragments of a slice as they came, until all are there.
#[derive(Default)]
struct Assembly {
    /// Payloads one behind the other in order of arrival.
    bytes: Vec<u8>,
    /// (fragment, start in `bytes`), in order of arrival.
    parts: Vec<(u16, u32)>,
    last_index: u16,
    done: bool,
}

struct Picture {
    number: u64,
    /// When it was first heard of.
    begun: Instant,
    /// When it is given up.
    deadline: Instant,
    /// Empty until its first fragment.
    slices: Vec<Assembly>,
    whole_slices: u8,
    /// As [`Settled::unsent`], as long as nothing came of it.
    unsent: bool,
}

impl Picture {
    fn is_whole(&self) -> bool {
        !self.slices.is_empty() && usize::from(self.whole_slices) == self.slices.len()
    }
}

pub struct Depacketizer {
    limits: Limits,
    /// Unsettled pictures, consecutive numbers, oldest first.
    pictures: VecDeque<Picture>,
    /// Every picture below is settled. None before the first fragment: a late joiner starts anywhere.
    next: Option<u64>,
    /// Number after the newest picture of which anything came.
    end: u64,
    /// No packet is missing, nor was given up, since anything came of a picture.
    all_came: bool,
    /// As [`Settled::unsent`], of pictures before the first of `pictures`.
    skipped_unsent: bool,
    /// How much longer a picture is waited for on a path that overtakes, and how many newer ones may have begun meanwhile.
    overtaken: (Duration, usize),
    bytes: usize,
    /// Bytes there may be now, where that is less than its own limit.
    room: usize,
    parts: VecDeque<Part>,
}

/// Buffers that were used and will be again, for any number of depacketizers. Capacity: two pictures of as many slices as there
/// can be, and one slice, each of at most [`KEPT`] bytes.
#[derive(Default)]
pub struct Buffers {
    spare: Vec<Assembly>,
    /// A slice whose fragments overtook each other is put in order here.
    sorted: Vec<u8>,
}

impl Buffers {
    fn keep(&mut self, mut assembly: Assembly) {
        assembly.clear();
        if self.spare.len() < 2 * MAX_SLICES && assembly.bytes.capacity().max(assembly.parts.capacity() * PART) <= KEPT {
            self.spare.push(assembly);
        }
    }
}

impl Depacketizer {
    pub fn new(limits: Limits) -> Self {
        let (pictures, parts) = (VecDeque::new(), VecDeque::new());
        let (overtaken, room) = ((Duration::ZERO, 0), limits.bytes);
        let (end, all_came, skipped_unsent) = (0, false, false);
        Depacketizer { limits, pictures, next: None, end, all_came, skipped_unsent, overtaken, bytes: 0, room, parts }
    }

    /// Begin at this picture: what comes before it is not waited for, what comes after it is (a film's first picture). It is
    /// waited for from when anything came: a film may be long in starting.
    pub fn begin_at(&mut self, picture: u64) {
        self.next.get_or_insert(picture);
    }

    /// Pictures below this number are not waited for, nor spoken of, any more: a film goes on at another place.
    pub fn skip_to(&mut self, picture: u64, buffers: &mut Buffers) {
        if self.next.is_none_or(|next| next >= picture) {
            return;
        }
        self.next = Some(picture);
        while self.pictures.front().is_some_and(|front| front.number < picture) {
            for assembly in self.pictures.pop_front().into_iter().flat_map(|picture| picture.slices) {
                self.bytes -= assembly.weight();
                buffers.keep(assembly);
            }
        }
    }

    /// Whether, as the next fragment comes, no packet is missing and none was given up since the one before it. Then of pictures
    /// between the two nothing was sent.
    pub fn note_all_came(&mut self, all_came: bool) {
        self.all_came = all_came;
    }

    /// A fragment came.
    pub fn push(&mut self, now: Instant, head: FragmentHead, payload: &[u8], buffers: &mut Buffers) -> Pushed {
        let expected = self.pictures.back().map(|picture| picture.number).or(self.next).unwrap_or(u64::from(head.picture));
        let number = crate::seq::widen(head.picture, expected);
        // A peer may not make us count through a gap it only claims; no honest gap is as long as an hour at 60 a second.
        if number.saturating_sub(expected) > 216_000 {
            return Pushed::Bad;
        }
        if number.saturating_sub(expected) > WALKED && !self.pictures.is_empty() {
            // What is unfinished is settled first. After an outage as long as that nothing is.
            self.pictures.iter_mut().for_each(|picture| picture.deadline = now);
            return Pushed::Late;
        }
        if number < *self.next.get_or_insert(number) {
            return Pushed::Late;
        }
        self.open_up_to(now, number);
        self.end = self.end.max(number + 1);
        let oldest = self.pictures.front().map_or(number, |picture| picture.number);
        let Some(picture) = self.pictures.get_mut((number - oldest) as usize) else { return Pushed::Late };
        // A picture that is still coming in is not late: on a slow path it takes longer than the wait.
        picture.deadline =
            picture.deadline.max((now + self.limits.wait + self.overtaken.0).min(picture.begun + self.limits.longest));
        if picture.slices.is_empty() {
            let spare = &mut buffers.spare;
            picture.slices.extend((0..=head.last_slice).map(|_| spare.pop().unwrap_or_default()));
        }
        let count = picture.slices.len() as u8;
        let Some(assembly) =
            picture.slices.get_mut(usize::from(head.slice)).filter(|_| usize::from(count) == usize::from(head.last_slice) + 1)
        else {
            return Pushed::Bad;
        };
        let mut before = assembly.weight();
        if assembly.is_cut_anew(head) {
            (self.bytes, before) = (self.bytes - before, 0);
            assembly.clear();
        }
        match assembly.push(head, payload) {
            Stored::Part => {
                self.bytes += assembly.weight() - before;
                Pushed::Stored
            }
            Stored::Late => Pushed::Late,
            Stored::Bad => Pushed::Bad,
            Stored::Whole => {
                self.bytes -= before;
                let bytes = assembly.whole(&mut buffers.sorted);
                assembly.finish();
                if buffers.sorted.capacity() > KEPT {
                    buffers.sorted = Vec::new();
                }
                let Some(bytes) = bytes else { return Pushed::Bad };
                picture.whole_slices += 1;
                Slice::read(number, head.slice, count, bytes).map_or(Pushed::Headless(number), Pushed::Slice)
            }
        }
    }

    /// All that is not whole comes anew, and may be cut otherwise: what came of it is of no use.
    pub fn forget_pieces(&mut self) {
        let unfinished = self.pictures.iter_mut().flat_map(|picture| &mut picture.slices).filter(|assembly| !assembly.done);
        for assembly in unfinished {
            self.bytes -= assembly.weight();
            assembly.clear();
        }
    }

    /// Makes room in the row of pictures for `number`, counting the ones of which nothing came yet.
    fn open_up_to(&mut self, now: Instant, number: u64) {
        let next = *self.next.get_or_insert(number);
        let mut open = self.pictures.back().map_or(next, |picture| picture.number + 1);
        // Pictures that would be settled as lost at once need no place in the row.
        let first_kept = (number + 1).saturating_sub(self.most_pictures() as u64);
        if self.pictures.is_empty() && open < first_kept {
            if first_kept - next > WALKED {
                // One of them is settled, so that it is told that any were lost.
                self.next = Some(first_kept - 1);
            }
            (open, self.skipped_unsent) = (first_kept, self.all_came);
        }
        while open <= number {
            let deadline = now + self.limits.wait + self.overtaken.0;
            let (slices, unsent) = (Vec::new(), self.all_came && open < number);
            self.pictures.push_back(Picture { number: open, begun: now, deadline, slices, whole_slices: 0, unsent });
            open += 1;
        }
    }

    /// No packet is missing: of a picture of which nothing came, though a newer one began, nothing was sent. It is waited for no
    /// longer than [`UNSENT`].
    pub fn nothing_is_missing(&mut self) {
        let newest = self.pictures.iter().rposition(|picture| !picture.slices.is_empty()).unwrap_or(0);
        for picture in self.pictures.iter_mut().take(newest).filter(|picture| picture.slices.is_empty()) {
            picture.deadline = picture.deadline.min(picture.begun + UNSENT);
        }
    }

    /// The next picture that is settled by now, in order.
    pub fn poll_settled(&mut self, now: Instant, buffers: &mut Buffers) -> Option<Settled> {
        let next = self.next?;
        let front = self.pictures.front()?;
        if front.number > next {
            // Skipped by `open_up_to`: nothing of it came and nothing will be waited for.
            self.next = Some(next + 1);
            return Some(Settled { picture: next, slices: 0, count: 0, unsent: self.skipped_unsent });
        }
        let crowded = self.pictures.len() > self.most_pictures() || self.bytes > self.limits.bytes.min(self.room);
        // Asked last: a peer that claims a gap of an hour would have us walk through it for each of its pictures.
        if !front.is_whole() && now < front.deadline && !crowded && !self.is_outrun() {
            return None;
        }
        let picture = self.pictures.pop_front()?;
        let (slices, count) = (picture.whole_slices, picture.slices.len() as u8);
        let settled = Settled { picture: picture.number, slices, count, unsent: picture.unsent && count == 0 };
        for (index, assembly) in picture.slices.into_iter().enumerate() {
            if let Some(part) = assembly.part(picture.number, index as u8, settled.count) {
                // With the holes in them they are up to four times what came.
                let len = |part: &Part| part.slice.bytes().len();
                while self.parts.len() == MAX_SLICES
                    || !self.parts.is_empty() && self.parts.iter().map(len).sum::<usize>() + len(&part) > self.limits.bytes
                {
                    self.parts.pop_front();
                }
                self.parts.push_back(part);
            }
            self.bytes -= assembly.weight();
            buffers.keep(assembly);
        }
        self.next = Some(picture.number + 1);
        Some(settled)
    }

    /// What came of the unfinished slices of the pictures settled so far: ask after each [`Depacketizer::poll_settled`]. At most
    /// [`MAX_SLICES`] are kept.
    pub fn poll_part(&mut self) -> Option<Part> {
        self.parts.pop_front()
    }

    /// Whether the oldest picture is no longer the newest worth showing.
    fn is_outrun(&self) -> bool {
        let mut newer = self.pictures.iter().skip(1).filter(|picture| !picture.slices.is_empty());
        self.limits.newest_wins && (newer.clone().nth(1 + self.overtaken.1).is_some() || newer.any(Picture::is_whole))
    }

    /// When the oldest unsettled picture is given up.
    pub fn deadline(&self) -> Option<Instant> {
        self.pictures.front().map(|picture| picture.deadline)
    }

    /// When the newest unsettled picture is given up.
    pub fn last_deadline(&self) -> Option<Instant> {
        self.pictures.back().map(|picture| picture.deadline)
    }

    /// Whether pictures are begun and not whole: something is worth asking for.
    pub fn is_waiting(&self) -> bool {
        self.pictures.iter().any(|picture| !picture.is_whole())
    }

    /// Every picture below this is settled.
    pub fn settled(&self) -> u64 {
        self.next.unwrap_or(0)
    }

    /// Number after the newest picture of which anything came.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of unfinished slices, and of what is kept to put them in order.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// From now on there may be so many bytes, or its own limit if that is less.
    pub fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// Gives up the next unsettled picture below `end`, and says how it ended; what came of it is then there to be polled.
    pub fn give_up(&mut self, end: u64, buffers: &mut Buffers) -> Option<Settled> {
        // Past deadlines settle in the ordinary way.
        let past = self.pictures.front().filter(|picture| picture.number < end)?.deadline;
        self.poll_settled(past, buffers)
    }

    /// The stream ends before picture `end`: what did not come of it is waited for, too.
    pub fn expect_up_to(&mut self, now: Instant, end: u64) {
        if let Some(last) = end.checked_sub(1)
            && self.next.is_some_and(|next| last >= next && last - next < self.limits.pictures as u64)
        {
            self.all_came = false;
            self.open_up_to(now, last);
        }
    }

    /// Whether everything is waited for rather than the newest shown.
    pub fn is_patient(&self) -> bool {
        !self.limits.newest_wins
    }

    /// How long a picture is waited for.
    pub fn wait(&self) -> Duration {
        self.limits.wait
    }

    /// How long a picture is waited for from now on.
    pub fn set_wait(&mut self, wait: Duration) {
        self.limits.wait = wait;
    }

    /// Packets are overtaken by so much: a picture is waited for as much longer, and the pictures of that time, one each
    /// `period`, may begin before it is given up, at most [`MOST_BEGUN`].
    pub fn set_overtaken(&mut self, by: Duration, period: Duration) {
        let begun = by.as_nanos().div_ceil(period.as_nanos().max(1)).min(MOST_BEGUN as u128) as usize;
        self.overtaken = if self.is_patient() { (Duration::ZERO, 0) } else { (by, begun) };
    }

    fn most_pictures(&self) -> usize {
        self.limits.pictures + self.overtaken.1
    }
}

enum Stored {
    Part,
    Whole,
    Late,
    Bad,
}

impl Assembly {
    /// A slice of which pieces came is cut into more of them: the path takes no longer ones any more, and those that came fit no
    /// others.
    fn is_cut_anew(&self, head: FragmentHead) -> bool {
        !self.done && !self.parts.is_empty() && head.last_index > self.last_index
    }

    fn push(&mut self, head: FragmentHead, payload: &[u8]) -> Stored {
        if self.parts.is_empty() {
            self.last_index = head.last_index;
        }
        let former = head.last_index < self.last_index;
        if self.done || former || self.parts.iter().any(|(index, _)| *index == head.index) {
            return Stored::Late;
        }
        if self.bytes.len() + payload.len() > MAX_LEN {
            return Stored::Bad;
        }
        self.parts.push((head.index, self.bytes.len() as u32));
        self.bytes.extend_from_slice(payload);
        if self.parts.len() == usize::from(self.last_index) + 1 { Stored::Whole } else { Stored::Part }
    }

    /// The payloads in order of their index; `None` if the length in front does not say how long the rest is. `sorted` is where
    /// they are put in order, if they have to be.
    fn whole(&self, sorted: &mut Vec<u8>) -> Option<Arc<[u8]>> {
        let bytes = if self.parts.is_sorted() {
            &self.bytes
        } else {
            sorted.clear();
            self.copy_sorted(sorted);
            &*sorted
        };
        let (len, body) = bytes.split_first_chunk::<LENGTH_PREFIX>()?;
        (u32::from_be_bytes(*len) as usize == body.len()).then(|| bytes.as_slice().into())
    }

    fn copy_sorted(&self, out: &mut Vec<u8>) {
        let ends = self.parts.iter().skip(1).map(|(_, start)| *start).chain([self.bytes.len() as u32]);
        let mut spans: Vec<(u16, u32, u32)> =
            self.parts.iter().zip(ends).map(|((index, start), end)| (*index, *start, end)).collect();
        spans.sort_unstable();
        for (_, start, end) in spans {
            out.extend_from_slice(&self.bytes[start as usize..end as usize]);
        }
    }

    /// The fragments that came at their places, as of this slice, where that is worth anything: all of its head must be there. A
    /// slice with far more hole than content is left alone: its size is only claimed.
    fn part(&self, picture: u64, slice: u8, count: u8) -> Option<Part> {
        let ends = self.parts.iter().skip(1).map(|(_, start)| *start).chain([self.bytes.len() as u32]);
        let mut spans: Vec<(u16, Range<usize>)> =
            self.parts.iter().zip(ends).map(|((index, start), end)| (*index, *start as usize..end as usize)).collect();
        spans.sort_unstable_by_key(|(index, _)| *index);
        let (first, last) = (spans.first().filter(|(index, _)| *index == 0)?, spans.last()?);
        let each = first.1.len();
        let end = usize::from(last.0) * each + last.1.len();
        if end > 4 * self.bytes.len() + (64 << 10) {
            return None;
        }
        let said = u32::from_be_bytes(*self.bytes[first.1.clone()].first_chunk()?) as usize;
        let ended = last.0 == self.last_index && said == end - LENGTH_PREFIX;
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, end).collect();
        let whole = Arc::make_mut(&mut bytes);
        let mut present: Vec<Range<usize>> = Vec::new();
        for (index, span) in spans {
            let at = usize::from(index) * each;
            let to = at..at + span.len();
            whole.get_mut(to.clone())?.copy_from_slice(&self.bytes[span]);
            match present.last_mut() {
                Some(last) if last.end == at => last.end = to.end,
                _ => present.push(to),
            }
        }
        let slice = Slice::read(picture, slice, count, bytes).ok()?;
        let scan = slice.bytes().len() - slice.scan().len();
        present.first().filter(|first| first.end >= scan)?;
        for range in &mut present {
            *range = range.start.saturating_sub(scan)..range.end.saturating_sub(scan);
        }
        Some(Part { slice, present, ended })
    }

    /// Bytes it holds.
    fn weight(&self) -> usize {
        self.bytes.len() + PART * self.parts.len()
    }

    fn finish(&mut self) {
        self.bytes.clear();
        self.parts.clear();
        self.done = true;
    }

    fn clear(&mut self) {
        self.finish();
        self.done = false;
    }
}

#[cfg(test)]
#[path = "depacketizer_tests.rs"]
mod tests;
