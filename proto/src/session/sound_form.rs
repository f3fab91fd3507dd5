//! In which form one peer is sent the sound of one track: as samples, or as Opus packets.
//!
//! **Choice.** Samples take 0.8 Mbit/s a channel and lose nothing, packets a tenth of that. So it is samples as long as the path
//! has room, packets where it is known to take less than [`NARROW`], and samples again once it has taken [`WIDE`], or no
//! bottleneck is known, for [`STAYS`], by what pictures tell: while none go, nothing is learnt, and the form stays. Where samples
//! were too much for it all the same, the next time takes twice as long, up to 16 times. Who has said that it decodes no Opus,
//! writes a file, or passes the track on to such, is sent samples whatever the path takes; so is who is sent a film. A track that
//! is forwarded goes on in the form in which it came.
//!
//! **A change is heard by nobody.** A block is one number in either form, and a packet decodes to the same moments as the samples
//! (the encoder's delay is made up for before, `codec::opus`). What a decoder makes of a packet depends on the one before it: so
//! the blocks before the first that is sent as a packet alone, [`PRIMERS`] of them, are sent in both forms. Back again nothing is
//! needed.

use super::sound_log::Forms;
use crate::media::rate_control::Bitrate;
use crate::sound::{Form, Packet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the user wants of the form of live sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// What the path has room for.
    #[default]
    Auto,
    /// Samples, always.
    Pcm,
    /// Packets to everybody who decodes them.
    Opus,
}

/// Below this a path has no room for samples beside pictures: stereo would take more than a third of it.
const NARROW: Bitrate = Bitrate(4_000_000);

/// From this on it has, and some is left for an estimate that is too high.
const WIDE: Bitrate = Bitrate(6_000_000);

/// For so long it must have had before it is believed: a change costs twice the sound for a moment, where it is narrow after all.
const STAYS: Duration = Duration::from_secs(5);

/// What is narrow again so soon was never wide.
const RELAPSE: Duration = Duration::from_secs(60);

/// STAYS is doubled so often at most.
const MOST_DOUBLED: u32 = 4;

/// A report of pictures is so old at most where they go.
const MEASURED: Duration = Duration::from_secs(1);

/// Blocks that are sent in both forms: a decoder that begins is right with its second packet, and one may be lost.
pub const PRIMERS: u64 = 3;

/// See the module text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice {
    /// Packets are what is to be sent.
    wants_packets: bool,
    /// Since when the path has had room, where packets are sent.
    wide_since: Option<Instant>,
    /// When samples were last gone back to, and how often that was too early.
    back: Option<Instant>,
    relapses: u32,
    /// Blocks from the first number on are sent as packets alone, up to the second.
    packets: Option<(u64, u64)>,
    /// Of a track that is forwarded: whether the peer takes packets.
    passes: Option<bool>,
}

/// What of a block is sent.
#[derive(Debug, Default)]
pub(super) struct Picked<'a> {
    pub samples: Option<&'a Arc<[i16]>>,
    pub packet: Option<&'a Packet>,
}

impl Choice {
    /// Looks at what is to be sent: `may` says that the peer takes packets at all, `path` what its path is known to take, and
    /// when that was measured.
    pub fn look(&mut self, now: Instant, (may, wish): (bool, Wish), (path, measured): (Option<Bitrate>, Option<Instant>)) {
        let tells = measured.is_some_and(|measured| now <= measured + MEASURED);
        let wide = tells && path.is_none_or(|path| path >= WIDE);
        self.wide_since = if wide { self.wide_since.or(Some(now)) } else { None };
        let stays = STAYS * (1 << self.relapses);
        let before = self.wants_packets;
        self.wants_packets = may
            && match wish {
                Wish::Pcm => false,
                Wish::Opus => true,
                Wish::Auto if path.is_some_and(|path| path < NARROW) => true,
                Wish::Auto => before && self.wide_since.is_none_or(|since| now < since + stays),
            };
        match (before, self.wants_packets) {
            (true, false) => self.back = Some(now),
            (false, true) => {
                let again = self.back.is_some_and(|back| now < back + RELAPSE);
                self.relapses = if again { (self.relapses + 1).min(MOST_DOUBLED) } else { 0 };
            }
            _ => {}
        }
    }

    /// Of a track that is forwarded: what comes goes on, and packets if the peer takes them.
    pub fn pass_on(&mut self, may: bool) {
        self.passes = Some(may);
    }

    /// Whether packets are to be there.
    pub fn wants_packets(&self) -> bool {
        self.wants_packets
    }

    /// Of a track whose next block has this number, and has a packet if the newest `has_packets`: begins or ends where that is
    /// wanted.
    pub fn follow(&mut self, end: u64, has_packets: bool) {
        let on = self.packets.is_some_and(|(_, until)| until == u64::MAX);
        match (self.wants_packets && has_packets, on) {
            (true, false) => self.packets = Some((end + PRIMERS, u64::MAX)),
            (false, true) => self.packets = self.packets.map(|(from, _)| (from, end)),
            _ => {}
        }
    }

    /// Whether the block of this number goes out as samples, and whether as a packet, where both are there.
    fn of(&self, number: u64) -> (bool, bool) {
        match (self.passes, self.packets) {
            (Some(packets), _) => (true, packets),
            (None, Some((from, until))) if number < until && number.saturating_add(PRIMERS) >= from => (number < from, true),
            _ => (true, false),
        }
    }

    /// What of the block of this number goes out. Samples where there is no packet.
    pub(super) fn pick<'a>(&self, number: u64, forms: &'a Forms) -> Picked<'a> {
        let (samples, packet) = self.of(number);
        let packet = forms.packet.as_ref().filter(|_| packet);
        Picked { samples: forms.samples.as_ref().filter(|_| samples || packet.is_none()), packet }
    }

    /// In which form the blocks from this number on are sent, of a track whose newest block has a packet if it `has_packets`.
    pub fn form(&self, number: u64, has_packets: bool) -> Form {
        match (self.passes, self.of(number)) {
            (Some(true), _) if has_packets => Form::Opus,
            (None, (false, true)) if has_packets => Form::Opus,
            _ => Form::Pcm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MBIT: u64 = 1_000_000;

    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn rig() -> (Choice, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Choice::default(), move |ms| start + Duration::from_millis(ms))
    }

    #[test]
    fn a_narrow_path_is_sent_packets_at_once_and_samples_again_when_it_has_been_wide_for_long() {
        let (mut choice, at) = rig();
        let mut look = |ms, path: Option<u64>| {
            choice.look(at(ms), (true, Wish::Auto), (path.map(Bitrate), Some(at(ms))));
            choice.wants_packets()
        };
        assert!(!look(0, None) && !look(100, Some(20 * MBIT)) && !look(200, Some(4 * MBIT)));
        assert!(look(300, Some(4 * MBIT - 1)), "below 4 Mbit/s");
        assert!(look(400, Some(5 * MBIT)) && look(9000, Some(6 * MBIT - 1)), "not wide enough");
        assert!(look(9100, Some(6 * MBIT)) && look(14_000, None));
        assert!(look(14_050, Some(5 * MBIT)), "it was not wide for five seconds");
        assert!(look(14_060, Some(7 * MBIT)) && look(19_059, None));
        assert!(!look(19_060, Some(7 * MBIT)));
        assert!(!look(19_200, Some(5 * MBIT)), "and it takes less than 4 to begin again");
        assert!(look(20_000, Some(MBIT)) && look(21_000, None) && look(30_999, None), "samples were too much a moment ago");
        assert!(!look(31_000, None) && look(40_000, Some(MBIT)) && look(41_000, None) && look(60_999, None));
        assert!(!look(61_000, None) && look(200_000, Some(MBIT)) && look(201_000, None) && !look(206_000, None), "long ago");
    }

    #[test]
    fn while_no_pictures_tell_of_the_path_the_form_stays_whatever_is_supposed_of_it() {
        let (mut choice, at) = rig();
        let mut look = |ms, path: Option<u64>, measured| {
            choice.look(at(ms), (true, Wish::Auto), (path.map(Bitrate), Some(at(measured))));
            choice.wants_packets()
        };
        assert!(look(0, Some(MBIT), 0));
        for second in 2..60 {
            assert!(look(1000 * second, Some(second * MBIT), 0), "the camera is closed");
        }
        assert!(look(60_000, None, 60_000) && look(64_999, None, 64_500), "and open again");
        assert!(!look(65_000, None, 65_000));
    }

    #[test]
    fn who_may_not_be_sent_packets_and_who_wants_none_is_sent_samples() {
        let (mut choice, at) = rig();
        let mut look = |may, wish, path: Option<u64>| {
            choice.look(at(0), (may, wish), (path.map(Bitrate), Some(at(0))));
            choice.wants_packets()
        };
        assert!(!look(false, Wish::Auto, Some(MBIT)) && !look(false, Wish::Opus, None) && !look(true, Wish::Pcm, Some(MBIT)));
        assert!(look(true, Wish::Opus, None) && look(true, Wish::Opus, Some(50 * MBIT)));
        assert!(!look(false, Wish::Opus, None), "somebody came who decodes none");
    }

    #[test]
    fn before_packets_alone_there_are_blocks_in_both_forms_and_after_them_there_are_none() {
        let (mut choice, at) = rig();
        let form = |choice: &Choice, number| {
            let forms = Forms { samples: Some([0; 480].into()), packet: Some([0; 80].into()) };
            let picked = choice.pick(number, &forms);
            (picked.samples.is_some(), picked.packet.is_some())
        };
        choice.look(at(0), (true, Wish::Opus), (None, None));
        choice.follow(100, false);
        assert_eq!(form(&choice, 100), (true, false), "there are none yet");
        choice.follow(150, true);
        choice.follow(153, true);
        assert_eq!(
            [149, 150, 152, 153].map(|number| form(&choice, number)),
            [(true, false), (true, true), (true, true), (false, true)]
        );
        choice.look(at(0), (true, Wish::Pcm), (None, None));
        choice.follow(200, true);
        choice.follow(210, true);
        assert_eq!([199, 200].map(|number| form(&choice, number)), [(false, true), (true, false)]);
        assert_eq!((choice.form(199, true), choice.form(200, true)), (Form::Opus, Form::Pcm));
    }

    #[test]
    fn what_is_forwarded_goes_on_as_it_came_to_those_who_can_use_it() {
        let packet = Forms { samples: None, packet: Some([0; 80].into()) };
        let both = Forms { samples: Some([0; 480].into()), ..packet.clone() };
        let mut choice = Choice::default();
        let picked = |choice: &Choice, forms| {
            let picked = choice.pick(7, forms);
            (picked.samples.is_some(), picked.packet.is_some())
        };
        choice.pass_on(true);
        assert_eq!([picked(&choice, &packet), picked(&choice, &both)], [(false, true), (true, true)]);
        choice.pass_on(false);
        assert_eq!([picked(&choice, &packet), picked(&choice, &both)], [(false, false), (true, false)]);
    }
}
