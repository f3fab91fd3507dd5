//! A receiver's sound, whatever carried it: each block once, and copies beside TCP wanted when it falls behind.
//!
//! **Problem.** TCP repairs a loss in order: everything behind it waits for a round trip, or 200 ms for the retransmission timer, and at
//! 5 % and 60 ms it carries less than stereo needs. The sender cannot see that: its kernel took the bytes. Copies beside it cost as much
//! as the sound itself, so on a clean link there must be none.
//!
//! **Choice.** Who hears decides. Sound is *behind* when the next block is [`LATE`] later than the earliest of the last seconds
//! would have had it come (and later than its usual jitter), or when datagrams are being lost ([`LOSSY`] in a second): what
//! loses those loses TCP's segments, and at the first loss of sound it is too late to ask. Then [`SoundRequest`] is said, every
//! [`ASK`], which also tells what came, so that the sender need not give TCP what is here already. As long as copies come TCP
//! shows nothing, so they are wanted for [`HOLD`] after the last evidence; where TCP is late again soon after, for twice as
//! long, up to [`MOST_HOLD`]. Loss also says how many pieces of each block are wanted (`media/sound_pieces.rs`).
//!
//! **A standstill is no lateness.** Where pictures flow, sound is late only if datagrams come meanwhile: from a sender that was
//! stopped, or through a path that is out, nothing comes. When everything comes again after a silence, or we stood still
//! ourselves, it is on its way: for [`EXCUSED`] nothing is called late, and what our own full socket dropped meanwhile is not
//! called lost.
//!
//! **Silence is no lateness**, either: of a track that is muted, or is not wanted, nothing is due ([`SoundReceiver::rests`]).
//!
//! **Rejected.** The sender's view (bytes not yet acknowledged): not to be had without asking the kernel, and a path late. Copies
//! of everything always: 1.6 Mbit/s. Asking for single blocks: a round trip late each time.
//!
//! **Packets.** A block that was here as samples may come as an Opus packet as well: what decodes those behind it is to know it
//! ([`Came::Primer`]). The other way round it is a duplicate.
//!
//! Capacity: [`Assembly`]'s; windows of the last 4096 block numbers, older ones count as duplicates.

use crate::crypto::ReplayWindow;
use crate::media::sound_pieces::Assembly;
use crate::sound::{BLOCK_FRAMES, Numbered};
use crate::time::MediaTime;
use crate::wire::sound::{PIECES, Piece, SoundRequest};
use std::time::{Duration, Instant};

/// The next block is behind when it is so much later than it could be: the buffer has 30 ms at least, and a machine that does
/// something else for a moment is no network.
const LATE: Duration = Duration::from_millis(25);

/// Datagrams lost within a second that mean that the path loses. One may be anything.
const LOSSY: i64 = 2;

/// Between two requests: what came is known to the sender as soon as it must decide whether TCP needs it.
const ASK: Duration = Duration::from_millis(40);

/// The first requests may be lost; nothing is heard until one arrives.
const ASK_EAGERLY: Duration = Duration::from_millis(10);

/// So many of them.
const EAGER: u32 = 4;

/// Copies are wanted for so long after the last sign that TCP cannot do alone.
const HOLD: Duration = Duration::from_secs(10);

/// And at most.
const MOST_HOLD: Duration = Duration::from_secs(160);

/// TCP late again within so long after copies ended: they should have gone on.
const RELAPSE: Duration = Duration::from_secs(60);

/// A block so many behind the newest is not waited for any more: 300 ms, and nobody sends what is older than 200.
const GIVEN_UP: u64 = 30;

/// Sound that did not come for so long has stopped; loss says nothing about it.
const STOPPED: Duration = Duration::from_secs(1);

/// Where pictures flow, neither a datagram nor a block for so long means that the sender, or the path, stood still. Pings alone
/// come less often: there a silence says nothing, and sound that is late is called so at once.
const SILENCE: Duration = Duration::from_millis(100);

/// For so long after somebody stood still sound is not called late, for it is on its way: TCP starts again, the sender catches
/// up.
const EXCUSED: Duration = Duration::from_millis(500);

/// Above this share of losses both recovery pieces are wanted, below it one.
const HEAVY: f64 = 0.015;

/// Pieces wanted where TCP stalls and datagrams are not lost, where few are, where many are.
const PIECES_BY_LOSS: [u8; 3] = [2, 3, PIECES as u8];

/// Places in [`SoundReceiver::excused`].
const LATENESS: usize = 0;
const LOSSES: usize = 1;

/// What is counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Blocks that came first as copies.
    pub copied: u64,
    /// Copies of blocks that were here already.
    pub duplicates: u64,
}

/// What an Opus packet is that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// The first copy of its block.
    First,
    /// The block is here as samples.
    Primer,
    /// The packet is here already.
    Again,
}

#[derive(Debug, Clone, Copy)]
struct Asking {
    until: Instant,
    next: Instant,
    asked: u32,
}

pub(super) struct SoundReceiver {
    seen: ReplayWindow,
    /// Blocks that came as packets, whether or not they were here as samples.
    packets: ReplayWindow,
    /// Every block below came or is given up.
    next: u64,
    assembly: Assembly,
    loss: Loss,
    lateness: TcpLateness,
    asking: Option<Asking>,
    hold: Duration,
    ended: Option<Instant>,
    /// A last request is owed: no more copies.
    farewell: bool,
    datagrams: DatagramPauses,
    /// Until when late sound is no evidence, and lost datagrams are none.
    excused: [Option<Instant>; 2],
    counts: Counts,
}

impl SoundReceiver {
    /// Of a sender nothing was heard of. Packets below number `first` are no news.
    pub fn new(first: u64) -> Self {
        SoundReceiver {
            seen: ReplayWindow::new(),
            packets: ReplayWindow::new(),
            next: 0,
            assembly: Assembly::new(),
            loss: Loss::beginning(first),
            lateness: TcpLateness::default(),
            asking: None,
            hold: HOLD,
            ended: None,
            farewell: false,
            datagrams: DatagramPauses::default(),
            excused: [None; 2],
            counts: Counts::default(),
        }
    }

    /// A block came over TCP; whether it is the first copy of it.
    pub fn block_came(&mut self, now: Instant, number: u64, capture: MediaTime, frames: usize) -> bool {
        if !self.is_excused(now, LATENESS) {
            self.lateness.came_over_tcp(now, capture);
        }
        self.assembly.forget(number);
        self.came(now, number, capture, frames)
    }

    /// A piece came; the block, if that makes it whole and it is the first copy.
    pub fn piece_came(&mut self, now: Instant, piece: &Piece<'_>) -> Option<Numbered<MediaTime>> {
        if !self.seen.would_accept(piece.number) {
            return None;
        }
        let whole = self.assembly.push(piece)?;
        let fresh = self.came(now, whole.number, whole.block.capture, usize::from(piece.frames));
        self.counts.copied += u64::from(fresh);
        fresh.then_some(whole)
    }

    /// A block came as an Opus packet, over TCP or beside it.
    pub fn packet_came(&mut self, now: Instant, number: u64, capture: MediaTime, over_tcp: bool) -> Came {
        if over_tcp && !self.is_excused(now, LATENESS) {
            self.lateness.came_over_tcp(now, capture);
        }
        if !self.packets.accept(number) {
            self.counts.duplicates += 1;
            return Came::Again;
        }
        if !self.seen.would_accept(number) {
            return Came::Primer;
        }
        self.assembly.forget(number);
        self.came(now, number, capture, BLOCK_FRAMES);
        self.counts.copied += u64::from(!over_tcp);
        Came::First
    }

    fn came(&mut self, now: Instant, number: u64, capture: MediaTime, frames: usize) -> bool {
        self.lateness.heard(now, number, capture, frames);
        let fresh = self.seen.accept(number);
        self.counts.duplicates += u64::from(!fresh);
        self.next = self.next.max(self.seen.next_expected().saturating_sub(GIVEN_UP));
        while self.next < self.seen.next_expected() && !self.seen.would_accept(self.next) {
            self.next += 1;
        }
        fresh
    }

    /// A datagram of this packet number came, whatever it carried, on a path that overtakes by so much.
    pub fn datagram_came(&mut self, now: Instant, number: u64, overtaken: Duration) {
        if overtaken > self.loss.grace {
            // What seemed to be lost until now may have come since.
            self.loss.share = 0.0;
        }
        self.loss.grace = Loss::GRACE.max(overtaken);
        if self.datagrams.came(now) && self.lateness.heard_at.is_none_or(|at| now >= at + SILENCE) {
            self.excused[LATENESS] = Some(now + EXCUSED);
        }
        match self.is_excused(now, LOSSES) {
            true => self.loss.pass(number),
            false => self.loss.came(now, number),
        }
    }

    /// This process stood still until now: what comes late, or was dropped from a full socket, says nothing.
    pub fn stood_still(&mut self, now: Instant) {
        self.excused = [Some(now + EXCUSED); 2];
    }

    /// Nobody speaks from now on: what does not come is not late.
    pub fn rests(&mut self) {
        (self.lateness.newest, self.lateness.heard_at) = (None, None);
    }

    fn is_excused(&self, now: Instant, what: usize) -> bool {
        self.excused[what].is_some_and(|until| now < until)
    }

    /// The connection is another one: its packets are counted anew, blocks go on.
    pub fn reconnected(&mut self) {
        self.loss = Loss::default();
        self.farewell = false;
        self.asking = None;
    }

    /// What is to be said to the sender now, if anything.
    pub fn poll(&mut self, now: Instant) -> Option<SoundRequest> {
        self.look(now);
        if std::mem::take(&mut self.farewell) {
            return Some(SoundRequest { next: self.next, pieces: 0 });
        }
        let asking = self.asking.as_mut().filter(|asking| now >= asking.next)?;
        asking.asked += 1;
        asking.next = now + if asking.asked <= EAGER { ASK_EAGERLY } else { ASK };
        let share = self.loss.share();
        let pieces = PIECES_BY_LOSS[usize::from(share > 0.0) + usize::from(share > HEAVY)];
        Some(SoundRequest { next: self.next, pieces })
    }

    /// Looks for evidence, and for the end of what it asked for.
    fn look(&mut self, now: Instant) {
        let flows = self.lateness.heard_at.is_some_and(|at| now < at + STOPPED);
        // Where no datagram comes either, it is not TCP that is late, and no request would arrive.
        let overdue = |due: Instant| now >= due && self.datagrams.flow_since(due);
        let late = self.asking.is_none() && !self.is_excused(now, LATENESS) && self.lateness.due().is_some_and(overdue);
        // To TCP a packet that is overtaken by many is a lost one.
        let lossy = flows && !self.is_excused(now, LOSSES) && (self.loss.is_lossy(now) || self.loss.grace > Loss::GRACE);
        if late && flows {
            let relapse = self.ended.is_some_and(|ended| now < ended + RELAPSE);
            self.hold = if relapse { (self.hold * 2).min(MOST_HOLD) } else { HOLD };
        }
        if (late && flows) || lossy {
            let until = now + self.hold;
            let asking = self.asking.get_or_insert(Asking { until, next: now, asked: 0 });
            asking.until = asking.until.max(until);
        }
        if self.asking.is_some_and(|asking| now >= asking.until) {
            (self.asking, self.ended, self.farewell) = (None, Some(now), true);
        }
    }

    /// When [`SoundReceiver::poll`] may have something to say.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.asking {
            Some(asking) => Some(asking.next.min(asking.until)),
            // What is overdue by now was looked at; only a block that comes makes it due again.
            None => self.lateness.due().filter(|due| *due > now),
        }
    }

    /// What is counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// When TCP's next block should have come.
#[derive(Default)]
struct TcpLateness {
    /// What times count from: an arrival and its capture.
    origin: Option<(Instant, MediaTime)>,
    /// The least of arrival less capture, of this half of the window and of the one before, nanoseconds; and when this half
    /// began.
    least: [i64; 2],
    began: Option<Instant>,
    /// Mean of arrivals over the least, nanoseconds: the jitter there is anyway.
    mean: i64,
    /// End of the newest block, and when any came last.
    newest: Option<(u64, MediaTime)>,
    heard_at: Option<Instant>,
}

impl TcpLateness {
    /// Half the time for which the earliest arrival is remembered: two oscillators part by 3 µs in it.
    const HALF: Duration = Duration::from_secs(5);

    /// Blocks the mean remembers.
    const MEMORY: i64 = 64;

    fn came_over_tcp(&mut self, now: Instant, capture: MediaTime) {
        let (first, from) = *self.origin.get_or_insert((now, capture));
        let passed = i64::try_from(now.saturating_duration_since(first).as_nanos()).unwrap_or(i64::MAX);
        let late = passed.saturating_sub(capture.signed_since(from));
        match self.began {
            None => {
                (self.least, self.began) = ([late; 2], Some(now));
                // Until it is known, there may be some.
                self.mean = LATE.as_nanos() as i64 / 2;
            }
            Some(began) if now >= began + Self::HALF => {
                (self.least, self.began) = ([late, self.least[0]], Some(now));
            }
            Some(_) => self.least[0] = self.least[0].min(late),
        }
        let over = late.saturating_sub(self.least[0].min(self.least[1]));
        self.mean = self.mean.saturating_add(over.saturating_sub(self.mean) / Self::MEMORY);
    }

    fn heard(&mut self, now: Instant, number: u64, capture: MediaTime, frames: usize) {
        self.heard_at = Some(now);
        if self.newest.is_none_or(|(newest, _)| number >= newest) {
            let length = Duration::from_nanos(frames as u64 * 1_000_000_000 / u64::from(crate::sound::RATE));
            self.newest = Some((number, capture.saturating_add(length)));
        }
    }

    /// When the block after the newest counts as late.
    fn due(&self) -> Option<Instant> {
        let ((first, from), (_, capture)) = (self.origin?, self.newest?);
        // Where jitter is the rule, three times its mean is no news: evenly spread, twice would do, and TCP adds its answers'.
        let least = self.least[0].min(self.least[1]);
        let after = capture.signed_since(from).saturating_add(least).saturating_add(self.mean.saturating_mul(3));
        first.checked_add(Duration::from_nanos(u64::try_from(after).ok()?))?.checked_add(LATE)
    }
}

/// How often datagrams come.
#[derive(Default)]
struct DatagramPauses {
    last: Option<Instant>,
    /// The longest time between two, of this half of the window and of the one before.
    longest: [Duration; 2],
    began: Option<Instant>,
}

impl DatagramPauses {
    /// Half the time for which the longest pause is remembered: a few pings.
    const HALF: Duration = Duration::from_secs(1);

    /// One came. Whether a silence ended with it that was none of the usual pauses.
    fn came(&mut self, now: Instant) -> bool {
        let pause = self.last.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        if self.are_frequent() && pause >= SILENCE {
            return true;
        }
        match self.began {
            Some(began) if now < began + Self::HALF => self.longest[0] = self.longest[0].max(pause),
            _ => (self.longest, self.began) = ([pause, self.longest[0]], Some(now)),
        }
        false
    }

    fn are_frequent(&self) -> bool {
        self.began.is_some() && self.longest[0].max(self.longest[1]) < SILENCE
    }

    /// Whether one came since `due`, or would come too seldom to tell.
    fn flow_since(&self, due: Instant) -> bool {
        !self.are_frequent() || self.last.is_some_and(|last| last >= due)
    }
}

/// Datagrams that came and that did not.
#[derive(Default, Clone, Copy)]
struct Tenth {
    came: i64,
    lost: i64,
    /// The number that was next when it began.
    from: u64,
}

/// How many datagrams are lost, by the gaps in their numbers; what comes late is no loss.
#[derive(Default)]
struct Loss {
    next: u64,
    /// Of this tenth of a second and of the ten before it.
    tenths: [Tenth; 11],
    began: Option<Instant>,
    /// What seems lost may only be overtaken: for so long after a tenth it is not looked at.
    grace: Duration,
    /// Share of losses, smoothed over some seconds.
    share: f64,
}

impl Loss {
    const TENTH: Duration = Duration::from_millis(100);

    /// On a path that is not known to overtake.
    const GRACE: Duration = Duration::from_millis(10);

    /// What a tenth weighs in the share: five seconds' memory.
    const WEIGHT: f64 = 0.02;

    fn came(&mut self, now: Instant, number: u64) {
        self.turn(now);
        let [current, ..] = &mut self.tenths;
        current.came += 1;
        if number >= self.next {
            // A jump beyond a second's packets is a peer that says anything.
            current.lost += i64::try_from(number - self.next).unwrap_or(i64::MAX).min(10_000);
            self.next = number.saturating_add(1);
        } else {
            // It was only overtaken.
            if let Some(tenth) = self.tenths.iter_mut().find(|tenth| number >= tenth.from) {
                tenth.lost -= 1;
            }
        }
    }

    /// What has a number below `first` says nothing.
    fn beginning(first: u64) -> Loss {
        Loss { next: first, tenths: [Tenth { from: first, ..Tenth::default() }; 11], ..Loss::default() }
    }

    /// This packet came, and what did not come before it says nothing, however late it comes.
    fn pass(&mut self, number: u64) {
        self.next = self.next.max(number.saturating_add(1));
        self.tenths.iter_mut().for_each(|tenth| tenth.from = self.next);
    }

    fn turn(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        if now < began + Self::TENTH {
            return;
        }
        self.tenths.rotate_right(1);
        self.tenths[0] = Tenth { from: self.next, ..Tenth::default() };
        self.began = Some(now);
        let newest = if self.grace > Self::GRACE { self.settled(now) } else { 1 };
        let Tenth { came, lost, .. } = self.tenths[newest];
        if came > 0 {
            let share = lost.max(0) as f64 / (lost.max(0) + came) as f64;
            // The first losses count at once: pieces are wanted now.
            self.share = if self.share == 0.0 { share } else { self.share + (share - self.share) * Self::WEIGHT };
        }
    }

    /// Whether datagrams are being lost. Of the tenth that goes on nothing is said.
    fn is_lossy(&mut self, now: Instant) -> bool {
        self.turn(now);
        self.tenths[self.settled(now)..].iter().map(|tenth| tenth.lost).sum::<i64>() >= LOSSY
    }

    /// The first tenth of which everything came that will.
    fn settled(&self, now: Instant) -> usize {
        let passed = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let open = self.grace.saturating_sub(passed).as_nanos().div_ceil(Self::TENTH.as_nanos());
        1 + (open as usize).min(self.tenths.len() - 2)
    }

    fn share(&self) -> f64 {
        if self.share < 1e-5 { 0.0 } else { self.share }
    }
}

#[cfg(test)]
#[path = "sound_receiver_tests.rs"]
mod tests;
