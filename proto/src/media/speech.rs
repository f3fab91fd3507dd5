//! Who speaks, chosen from how loud the voices are.
//!
//! **Problem.** The loudest voice is not who speaks: a fan is loud all the time, a cough is loud for a moment, and whoever speaks pauses
//! between words. **Choice.** What is common in conferences: I. Volfin and I. Cohen, *Dominant speaker identification for multipoint
//! videoconferencing* (Computer Speech & Language 27, 2013), as Jitsi's `DominantSpeakerIdentification` has it. Each voice gives a level
//! every 20 ms. Levels are judged against the voice's own *floor*, the quietest tenth of a second of the last 15 s, and counted over
//! three spans: whether a level is *active*, how many of the last 100 ms are, how many tenths of the last second are. Every
//! [`DECISION`] another one takes over if it was active just now, the one before was not, and it was more active for a second.
//! **Differences.** With Jitsi's constants its ratios of likelihoods come to just these comparisons, so they are written as such. Levels
//! count by their distance from the floor, for a microphone may be quiet; a room that is steady for [`STEADY_TENTHS`] becomes the floor
//! at once; and nobody speaks where nobody is active, as a ring around the last one would lie.
//!
//! Pure counting; the time comes from the caller, who measures the levels.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One level is of so much sound.
pub const SPAN: Duration = Duration::from_millis(20);

/// How often a choice is made: Jitsi's.
pub const DECISION: Duration = Duration::from_millis(300);

/// The level of full scale. One less is a decibel less; 0 is silence (RFC 6464 counts the other way round).
pub const LOUDEST: u8 = 127;

/// Levels of a tenth of a second.
const TENTH: usize = 5;
/// Tenths of the span that decides: one second.
const TENTHS: usize = 10;
/// Tenths in which the floor is looked for: 15 s, Jitsi's.
const FLOOR_TENTHS: usize = 150;
/// Nothing quieter than -65 dBFS is a floor: microphones in quiet rooms are at about that.
const QUIETEST: u8 = LOUDEST - 65;
/// Decibels over the floor from which on a level is active. Rooms vary by less, vowels are well above.
const OVER: u8 = 12;
/// A tenth counts if so many of its levels are active: a consonant is a short pause.
const MOST: usize = 3;
/// Whoever takes over was active for half a second of the last one: longer than a cough.
const ENOUGH: usize = 5;
/// And in so many tenths more than the one before: else the echo of that one, which comes a little later, takes over when it ends.
const MORE: usize = 2;
/// Decisions without one active tenth in a second after which nobody speaks: a pause for thought is shorter.
const REST: u32 = 2;
/// Tenths that vary by less than [`STEADY`] decibels are a room, not speech: nobody speaks for 3 s without a pause.
const STEADY_TENTHS: usize = 30;
const STEADY: u8 = 9;

/// The level of sound of this mean square, of samples between -1 and 1.
pub fn level(mean_square: f32) -> u8 {
    // Of nothing, and of what is no number, it is 0.
    (f32::from(LOUDEST) + 10.0 * mean_square.log10()).clamp(0.0, f32::from(LOUDEST)) as u8
}

/// See the module text. `K` names a voice.
#[derive(Debug, Clone)]
pub struct Speech<K> {
    /// In the order in which they were first heard.
    voices: Vec<(K, Voice)>,
    speaks: Option<K>,
    /// Decisions in a row in which who speaks rested.
    rests: u32,
    decided: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Voice {
    /// The newest last.
    levels: VecDeque<u8>,
    /// The loudest level of each tenth, but silence.
    peaks: VecDeque<u8>,
    /// Of the tenth that is under way: its loudest level, and how many there were.
    tenth: (u8, usize),
    /// There was a level since the last decision.
    heard: bool,
}

/// How active a voice was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Activity {
    /// Tenths of the last second.
    long: usize,
    /// Levels of the last tenth.
    medium: usize,
}

impl Voice {
    fn new() -> Self {
        let levels = std::iter::repeat_n(0, TENTH * TENTHS).collect();
        Voice { levels, peaks: VecDeque::new(), tenth: (0, 0), heard: false }
    }

    fn push(&mut self, level: u8) {
        self.heard = true;
        self.levels.pop_front();
        self.levels.push_back(level);
        let (loudest, count) = self.tenth;
        self.tenth = (loudest.max(level), count + 1);
        if self.tenth.1 == TENTH {
            let (loudest, _) = std::mem::take(&mut self.tenth);
            self.note(loudest);
        }
    }

    /// Silence says nothing of the room: a microphone that is muted sends it.
    fn note(&mut self, peak: u8) {
        if peak == 0 {
            return;
        }
        if self.peaks.len() == FLOOR_TENTHS {
            self.peaks.pop_front();
        }
        self.peaks.push_back(peak);
        let last = self.peaks.len().saturating_sub(STEADY_TENTHS);
        let steady = self.peaks.range(last..);
        let (low, high) = steady.fold((u8::MAX, 0), |(low, high), peak| (low.min(*peak), high.max(*peak)));
        if self.peaks.len() > STEADY_TENTHS && high - low < STEADY {
            self.peaks.drain(..last);
        }
    }

    fn activity(&self) -> Activity {
        let floor = self.peaks.iter().min().map_or(QUIETEST, |floor| QUIETEST.max(*floor));
        let active = |levels: &[u8]| levels.iter().filter(|level| **level >= floor.saturating_add(OVER)).count();
        let levels: Vec<u8> = self.levels.iter().copied().collect();
        let (tenths, _) = levels.as_chunks::<TENTH>();
        let long = tenths.iter().filter(|tenth| active(*tenth) >= MOST).count();
        Activity { long, medium: tenths.last().map_or(0, |tenth| active(tenth)) }
    }
}

impl<K: Copy + Eq> Speech<K> {
    /// Nobody has been heard.
    pub fn new() -> Self {
        Speech { voices: Vec::new(), speaks: None, rests: 0, decided: None }
    }

    /// The next level of a voice: of the [`SPAN`] after the one before.
    pub fn heard(&mut self, voice: K, level: u8) {
        let at = self.voices.iter().position(|(known, _)| *known == voice).unwrap_or_else(|| {
            self.voices.push((voice, Voice::new()));
            self.voices.len() - 1
        });
        self.voices[at].1.push(level);
    }

    /// Who speaks; to be asked at least every [`DECISION`]. A voice that gave no level since the last decision is forgotten.
    pub fn speaks(&mut self, now: Instant) -> Option<K> {
        if self.decided.is_none_or(|decided| now.saturating_duration_since(decided) >= DECISION) {
            self.decided = Some(now);
            self.voices.retain_mut(|(_, voice)| std::mem::take(&mut voice.heard));
            self.decide();
        }
        self.speaks
    }

    fn decide(&mut self) {
        let activities: Vec<(K, Activity)> = self.voices.iter().map(|(id, voice)| (*id, voice.activity())).collect();
        let none = Activity { long: 0, medium: 0 };
        let before = activities.iter().find(|(id, _)| Some(*id) == self.speaks).map_or(none, |(_, activity)| *activity);
        let takes_over = |activity: &Activity| {
            let more = if self.speaks.is_some() { before.long + MORE } else { 0 };
            activity.medium > 0 && before.medium == 0 && activity.long >= ENOUGH && activity.long > more
        };
        let others = activities.iter().filter(|(id, activity)| Some(*id) != self.speaks && takes_over(activity));
        // Of two that are alike the first.
        if let Some((id, _)) = others.rev().max_by_key(|(_, activity)| *activity) {
            (self.speaks, self.rests) = (Some(*id), 0);
            return;
        }
        self.rests = if before.long == 0 { self.rests + 1 } else { 0 };
        if self.rests >= REST {
            self.speaks = None;
        }
    }
}

impl<K: Copy + Eq> Default for Speech<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels every 20 ms from some voices, in virtual time.
    struct Room {
        speech: Speech<usize>,
        now: Instant,
        n: u64,
        /// Who spoke, each once, with the 20 ms at which it began.
        seen: Vec<(u64, Option<usize>)>,
    }

    impl Room {
        fn new() -> Self {
            Room { speech: Speech::new(), now: Instant::now(), n: 0, seen: Vec::new() }
        }

        /// So many seconds in which voice `v` gives what `voices[v]` says of the number of the level.
        fn run(&mut self, seconds: f64, voices: &[&dyn Fn(u64) -> u8]) -> Option<usize> {
            let mut last = None;
            for _ in 0..(seconds * 50.0) as u64 {
                voices.iter().enumerate().for_each(|(id, voice)| self.speech.heard(id, voice(self.n)));
                self.n += 1;
                self.now += SPAN;
                last = self.speech.speaks(self.now);
                if self.seen.last().map(|(_, id)| *id) != Some(last) {
                    self.seen.push((self.n, last));
                }
            }
            last
        }
    }

    /// A few decibels more or less, always the same.
    fn jitter(n: u64, most: u64) -> u8 {
        ((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % (most + 1)) as u8
    }

    /// A room or a microphone that hums, at about so many dBFS.
    fn noise(dbfs: u8) -> impl Fn(u64) -> u8 {
        move |n| LOUDEST - dbfs - 2 + jitter(n, 4)
    }

    /// Syllables of 220 ms whose vowels are at so many dBFS, a breath every 2 s, over a room at -60.
    fn speech(dbfs: u8) -> impl Fn(u64) -> u8 {
        move |n| {
            let vowel = LOUDEST - dbfs - 3 + jitter(n, 6);
            match (n % 100, n % 11) {
                (85.., _) => noise(60)(n),
                (_, 0..6) => vowel,
                (_, 6..9) => vowel - 8,
                _ => vowel - 24,
            }
        }
    }

    #[test]
    fn steady_noise_is_nobody_however_loud_it_is_and_whenever_it_begins() {
        let mut room = Room::new();
        assert_eq!(room.run(60.0, &[&noise(60), &noise(20), &|_| 0, &noise(3)]), None);
        assert_eq!(room.seen.len(), 1, "{:?}", room.seen);
        // A fan that is switched on is taken for speech for a moment, and then for what it is.
        assert_eq!(room.run(6.0, &[&noise(30), &noise(20), &|_| 0, &noise(3)]), None);
        assert_eq!(room.run(60.0, &[&noise(30), &noise(20), &|_| 0, &noise(3)]), None);
        assert!(room.seen.len() <= 3, "{:?}", room.seen);
    }

    #[test]
    fn who_speaks_is_found_within_a_second_and_rests_without_flickering() {
        for dbfs in [10, 30, 40] {
            let mut room = Room::new();
            room.run(6.0, &[&noise(60), &noise(55)]);
            assert_eq!(room.run(1.0, &[&speech(dbfs), &noise(55)]), Some(0), "-{dbfs} dBFS");
            room.run(20.0, &[&speech(dbfs), &noise(55)]);
            assert_eq!(room.seen.len(), 2, "-{dbfs} dBFS: {:?}", room.seen);
            assert_eq!(room.run(3.0, &[&noise(60), &noise(55)]), None);
            assert_eq!(room.seen.len(), 3, "{:?}", room.seen);
        }
    }

    #[test]
    fn a_cough_or_a_door_neither_takes_over_nor_is_anybody() {
        let cough = |n: u64| if n % 150 < 16 { LOUDEST - 6 } else { noise(60)(n) };
        let mut room = Room::new();
        room.run(5.0, &[&noise(60), &noise(60)]);
        assert_eq!(room.run(30.0, &[&noise(60), &cough]), None);
        assert_eq!(room.seen.len(), 1, "{:?}", room.seen);
        assert_eq!(room.run(30.0, &[&speech(35), &cough]), Some(0));
        assert_eq!(room.seen.len(), 2, "{:?}", room.seen);
    }

    #[test]
    fn two_who_talk_in_turn_are_each_marked_soon_after_they_begin() {
        let mut room = Room::new();
        room.run(5.0, &[&noise(60), &noise(60)]);
        for turn in 0..8 {
            let voices: [&dyn Fn(u64) -> u8; 2] =
                if turn % 2 == 0 { [&speech(30), &noise(60)] } else { [&noise(60), &speech(40)] };
            assert_eq!(room.run(1.5, &voices), Some(turn % 2), "{turn}: {:?}", room.seen);
            room.run(2.5, &voices);
        }
        assert_eq!(room.seen.len(), 9, "each once: {:?}", room.seen);
    }

    #[test]
    fn a_loud_room_does_not_win_over_speech_that_is_quieter() {
        let mut room = Room::new();
        room.run(5.0, &[&noise(60), &noise(20)]);
        assert_eq!(room.run(30.0, &[&speech(40), &noise(20)]), Some(0));
        assert_eq!(room.seen.len(), 2, "{:?}", room.seen);
    }

    #[test]
    fn the_echo_of_who_spoke_is_not_who_speaks() {
        let spoken = speech(25);
        let echo = |n: u64| if n < 260 { noise(60)(n) } else { spoken(n - 10).saturating_sub(15).max(noise(60)(n)) };
        let mut room = Room::new();
        room.run(5.0, &[&noise(60), &noise(60)]);
        room.run(10.0, &[&spoken, &echo]);
        let ended = room.n;
        let tail = |n: u64| if n < ended + 10 { echo(n) } else { noise(60)(n) };
        room.run(5.0, &[&noise(60), &tail]);
        let who: Vec<_> = room.seen.iter().map(|(_, id)| *id).collect();
        assert_eq!(who, [None, Some(0), None], "{:?}", room.seen);
    }

    #[test]
    fn who_interrupts_waits_for_a_pause_and_who_is_gone_speaks_no_more() {
        let mut room = Room::new();
        room.run(5.0, &[&noise(60), &noise(60)]);
        // Every third syllable is a weak one.
        let without_pause = |n: u64| if n % 33 < 22 { LOUDEST - 20 - jitter(n, 6) } else { LOUDEST - 36 - jitter(n, 4) };
        assert_eq!(room.run(2.0, &[&without_pause, &noise(60)]), Some(0));
        assert_eq!(room.run(2.0, &[&without_pause, &speech(10)]), Some(0), "louder, but the first goes on");
        let gone = |n: u64| noise(60)(n);
        let mut speech_of_one = Speech::new();
        (0..200).for_each(|n| speech_of_one.heard(7, gone(n)));
        (0..60).for_each(|n| speech_of_one.heard(7, speech(30)(n)));
        assert_eq!(speech_of_one.speaks(room.now), Some(7));
        assert_eq!(speech_of_one.speaks(room.now + DECISION / 2), Some(7), "it is not time to decide");
        // The voice is taken away: no level comes any more.
        assert_eq!(speech_of_one.speaks(room.now + DECISION), Some(7));
        assert_eq!(speech_of_one.speaks(room.now + DECISION * 2), None);
    }

    #[test]
    fn a_level_is_decibels_below_full_scale_counted_from_127_down() {
        let sine = 0.5;
        assert_eq!([level(1.0), level(sine), level(1e-6), level(0.0), level(4.0)], [127, 123, 67, 0, 127]);
        assert_eq!([level(f32::NAN), level(-1.0), level(f32::INFINITY)], [0, 0, 127]);
    }
}
