//! What is asked of each track's sender: no larger pictures than its tile shows, nor more bits than such are worth, and none while
//! the window is minimized; for files and a virtual camera all there is; for a recording each picture whole.

use super::senders::Senders;
use eyeline_proto::session::TrackId;
use eyeline_proto::wire::record::{Want, Whole};
use std::collections::BTreeMap;

pub struct Wants {
    /// What there is use for of a track that is seen alone, heard, written or measured.
    uses: Want,
    /// What there is use for where there is no window.
    unseen: Want,
    /// What the session tells others without being asked.
    first: Want,
    /// What was asked of each track's sender last.
    asked: BTreeMap<TrackId, Want>,
    /// Anything was asked of anybody: the session remembers that, also of who is away.
    spoken: bool,
}

/// What is done with pictures and sound just now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Doing {
    /// Somebody here takes each picture whole: they are recorded, kept, or shown in browsers.
    pub taken: bool,
    /// They go into files, or to a virtual camera.
    pub written: bool,
    /// There is a window.
    pub windowed: bool,
    /// It is minimized.
    pub hidden: bool,
}

impl Wants {
    /// The session tells everybody what is wanted `first`; `uses` holds where there is a window, else `unseen`.
    pub fn new(uses: Want, unseen: Want, first: Want) -> Self {
        Wants { uses, unseen, first, asked: BTreeMap::new(), spoken: false }
    }

    /// What is wanted of pictures each of which is needed whole.
    pub fn whole() -> Want {
        Want { whole: Whole::Everybody, ..Want::ALL }
    }

    /// A track is there, or again: whatever one of its number was told before.
    pub fn forget(&mut self, track: TrackId) {
        self.asked.remove(&track);
    }

    /// What is to be asked now of which track's sender, by the pixels of their tiles (`None`: as many as there are).
    pub fn due(&mut self, doing: Doing, tiles: &[(TrackId, Option<u32>)], senders: &Senders) -> Vec<(TrackId, Want)> {
        self.asked.retain(|track, _| senders.contains_key(track));
        let all = tiles.iter().filter_map(|(_, pixels)| pixels.map(u64::from)).sum();
        let steady = (doing.written || !doing.windowed) && !self.spoken;
        let mut due = Vec::new();
        for (track, pixels) in tiles {
            let Some(sender) = senders.get(track) else { continue };
            let want = match doing {
                Doing { taken: true, .. } => Self::whole(),
                Doing { written: true, .. } => Want { whole: self.uses.whole, ..Want::ALL },
                Doing { windowed: false, .. } => self.unseen,
                Doing { hidden, .. } => sender.use_in_tile(*pixels, all, (self.uses, hidden)),
            };
            let asked = self.asked.get(track).copied().or(steady.then_some(self.first));
            if asked != Some(want) {
                self.asked.insert(*track, want);
                due.push((*track, want));
            }
        }
        self.spoken |= !due.is_empty();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::super::senders::Sender;
    use super::*;
    use eyeline_proto::session::PeerId;

    const LAB: TrackId = TrackId::own(PeerId(1));
    const WINDOW: Doing = Doing { taken: false, written: false, windowed: true, hidden: false };

    fn here() -> Senders {
        [(LAB, Sender::new("lab".into()))].into()
    }

    fn asked(wants: &mut Wants, doing: Doing) -> Option<Want> {
        wants.due(doing, &[(LAB, None)], &here()).pop().map(|(_, want)| want)
    }

    #[test]
    fn who_writes_jpegs_in_a_window_goes_on_being_sent_them_whole_also_after_a_recording() {
        let joined = Want { whole: Whole::Everybody, ..Want::ALL };
        let writes = Doing { written: true, ..WINDOW };
        let mut wants = Wants::new(joined, joined, joined);
        assert_eq!(asked(&mut wants, writes), None, "they were told from the beginning");
        assert_eq!(asked(&mut wants, Doing { taken: true, ..writes }), None);
        assert_eq!(asked(&mut wants, writes), None);
    }

    #[test]
    fn a_recording_is_sent_pictures_whole_and_only_while_it_lasts() {
        let mut wants = Wants::new(Want::ALL, Want::ALL, Want::ALL);
        assert_eq!(asked(&mut wants, WINDOW), Some(Want::ALL));
        assert_eq!(asked(&mut wants, Doing { taken: true, ..WINDOW }), Some(Wants::whole()));
        assert_eq!(asked(&mut wants, WINDOW), Some(Want::ALL));
        assert_eq!(asked(&mut wants, WINDOW), None);
    }

    #[test]
    fn where_there_is_no_window_what_is_only_measured_is_wanted_on() {
        let nothing = Want::NOTHING;
        let mut wants = Wants::new(nothing, Want::ALL, Want::ALL);
        assert_eq!(asked(&mut wants, Doing::default()), None);
    }

    #[test]
    fn one_who_was_away_while_it_was_begun_to_record_is_told_when_it_comes_back() {
        let mut wants = Wants::new(Want::ALL, Want::ALL, Wants::whole());
        let (writes, records) = (Doing { written: true, ..WINDOW }, Doing { taken: true, written: true, ..WINDOW });
        assert_eq!(asked(&mut wants, records), None);
        assert_eq!(asked(&mut wants, writes), Some(Want::ALL));
        wants.due(records, &[], &Senders::new());
        wants.forget(LAB);
        assert_eq!(asked(&mut wants, records), Some(Wants::whole()), "the session remembers what was asked last");
    }
}
