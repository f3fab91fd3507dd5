//! What becomes of a camera's own JPEGs: they go whole, or what changed in them goes, or they are decoded and encoded anew.
//!
//! Whole ones cost nobody anything but the path, so they go as they are while it has room for them. Where it has not, the MCUs
//! that changed are much fewer bytes, and lose nothing. Only where these have no room, either, pictures are made anew, of a
//! quality and size that fit. How much changes is learnt from what was sent: of pictures that were encoded anew, too, in bytes of
//! the camera's, for what moves has more of them than its MCUs are of the picture. A picture of which too much changed for once
//! (a cut, or the first) is no reason; one after the other is. Then cutting rests, for each change of way costs a picture that is
//! coded whole.

/// What may become of a camera's JPEGs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passthrough {
    /// They are never encoded anew for the path's sake: pictures are left out instead.
    On,
    /// What fits best.
    #[default]
    Auto,
    /// They are always encoded anew.
    Off,
}

/// What becomes of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It goes as it is.
    Whole,
    /// Of its MCUs those go that changed, as they are.
    Changed,
    /// It is decoded, and encoded anew.
    Anew,
}

/// What the next one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// It has to be made anew: it is to be of another size, or is not upright.
    Anew,
    /// It may go whole.
    Whole,
    /// And what changed of it may go alone.
    Changed,
}

/// What is new needs some room to be begun with, so that it does not end at once.
const ROOM: f64 = 0.85;

/// What changes is averaged over so many pictures.
const PICTURES: f64 = 8.0;

/// Bytes that were counted before so many pictures say nothing of the next one.
const UNCOUNTED: u32 = 8;

/// For so many pictures nothing is cut after it took too much.
const REST: u32 = 150;

/// See the module text.
#[derive(Debug)]
pub struct Foreign {
    policy: Passthrough,
    /// Bytes of a JPEG, a mean, and its pixels.
    whole: Option<(f64, u64)>,
    way: Way,
    /// Bytes of what changed as a share of those, a mean, once it is known, and the last one.
    share: Option<f64>,
    last_share: f64,
    /// Pictures since they were counted.
    uncounted: u32,
    /// Pictures until cutting is tried again.
    rest: u32,
}

impl Foreign {
    /// Of a camera of which nothing came yet.
    pub fn new(policy: Passthrough) -> Self {
        Foreign { policy, whole: None, way: Way::Whole, share: None, last_share: 0.0, uncounted: u32::MAX, rest: 0 }
    }

    /// A JPEG of so many bytes and pixels came.
    pub fn note(&mut self, bytes: usize, pixels: u64) {
        let mean = self.whole.filter(|(_, before)| *before == pixels);
        self.whole = Some((mean.map_or(bytes as f64, |(mean, _)| mean + (bytes as f64 - mean) / 4.0), pixels));
    }

    /// Bytes and pixels of one.
    pub fn whole(&self) -> Option<(f64, u64)> {
        self.whole
    }

    /// Whether none may be encoded anew for the path's sake.
    pub fn is_never_anew(&self) -> bool {
        self.policy == Passthrough::On
    }

    /// What changed in a picture is this share of its bytes, whether it was sent as it is or was encoded anew.
    pub fn note_changed(&mut self, share: f64) {
        // A cut is one of its kind.
        let usual = share.min(std::mem::replace(&mut self.last_share, share));
        let mean = self.share.unwrap_or(0.0);
        self.uncounted = 0;
        self.share = Some(mean + (usual - mean) / PICTURES);
    }

    /// The way of the next one, on a path that has room for so many bytes a picture, where that is known. Of the MCUs of pictures
    /// that were encoded `anew` this share changed, where that is known: it stands for bytes where nobody counts them.
    pub fn next(&mut self, budget: Option<f64>, fitness: Fitness, anew: Option<f64>) -> Way {
        self.rest = self.rest.saturating_sub(1);
        self.uncounted = if fitness == Fitness::Changed { self.uncounted.saturating_add(1) } else { u32::MAX };
        if self.way == Way::Anew && self.uncounted > UNCOUNTED {
            (self.share, self.last_share) = (anew, anew.unwrap_or(0.0));
        }
        let way = match (self.policy, budget, self.whole) {
            (Passthrough::Off, ..) => Way::Anew,
            (_, Some(budget), Some((whole, _))) if !fits(whole, budget, self.way == Way::Whole) => {
                self.narrow((whole, budget), fitness)
            }
            _ => Way::Whole,
        };
        self.way = way;
        way
    }

    /// Where whole ones have no room.
    fn narrow(&mut self, (whole, budget): (f64, f64), fitness: Fitness) -> Way {
        let may_cut = fitness == Fitness::Changed && self.rest == 0;
        match (self.policy, self.way) {
            (Passthrough::On, _) if may_cut => Way::Changed,
            (Passthrough::On, _) if fitness != Fitness::Anew => Way::Whole,
            (_, Way::Changed) if may_cut && fits(self.share.unwrap_or(0.0) * whole, budget, true) => Way::Changed,
            (_, Way::Changed) if may_cut => {
                self.rest = REST;
                Way::Anew
            }
            // Of what is not known yet the best is believed.
            _ if may_cut && self.share.is_none_or(|share| fits(share * whole, budget, false)) => Way::Changed,
            _ => Way::Anew,
        }
    }

    /// One picture of so many is sent where they are not encoded anew and yet have no room.
    pub fn every(&self, budget: f64, most: u32) -> u32 {
        let share = if self.way == Way::Changed { self.share.unwrap_or(0.0) } else { 1.0 };
        let bytes = self.whole.map_or(0.0, |(whole, _)| share * whole);
        ((bytes / budget - 0.1).ceil()).clamp(1.0, f64::from(most)) as u32
    }
}

fn fits(bytes: f64, budget: f64, stays: bool) -> bool {
    bytes < budget * if stays { 1.0 } else { ROOM }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(policy: Passthrough) -> Foreign {
        let mut foreign = Foreign::new(policy);
        foreign.note(100_000, 1280 * 720);
        foreign
    }

    #[test]
    fn whole_ones_go_while_there_is_room_then_what_changed_and_only_then_they_are_made_anew() {
        let mut foreign = camera(Passthrough::Auto);
        assert_eq!(foreign.next(None, Fitness::Changed, None), Way::Whole);
        assert_eq!(foreign.next(Some(120_000.0), Fitness::Changed, None), Way::Whole);
        for _ in 0..30 {
            assert_eq!(foreign.next(Some(20_000.0), Fitness::Changed, None), Way::Changed);
            foreign.note_changed(0.12);
        }
        // A cut is one of its kind; a head that comes near is not.
        foreign.note_changed(1.0);
        assert_eq!(foreign.next(Some(20_000.0), Fitness::Changed, None), Way::Changed);
        let near = (0..30).position(|_| {
            foreign.note_changed(0.3);
            foreign.next(Some(20_000.0), Fitness::Changed, None) == Way::Anew
        });
        assert!(near.is_some_and(|pictures| (2..20).contains(&pictures)), "{near:?}");
        // It is tried again after a while, where less changes; MCUs say nothing of it while bytes are counted.
        let mut next = |share| {
            foreign.note_changed(share);
            foreign.next(Some(20_000.0), Fitness::Changed, Some(0.1))
        };
        assert!((1..REST).all(|_| next(0.1) == Way::Anew));
        assert_eq!(next(0.1), Way::Changed);
        assert!((0..30).any(|_| next(0.3) == Way::Anew) && (0..2 * REST).all(|_| next(0.3) == Way::Anew));
        assert!((0..30).any(|_| next(0.1) == Way::Changed));
        // Room for whole ones is some room more.
        assert_eq!(foreign.next(Some(110_000.0), Fitness::Changed, None), Way::Changed);
        assert_eq!(foreign.next(Some(120_000.0), Fitness::Changed, None), Way::Whole);
        assert_eq!(foreign.next(Some(110_000.0), Fitness::Changed, None), Way::Whole);
    }

    #[test]
    fn where_bytes_are_counted_no_more_the_share_of_the_mcus_stands_for_them() {
        let mut foreign = camera(Passthrough::Auto);
        (0..30).for_each(|_| foreign.note_changed(0.5));
        assert_eq!(foreign.next(Some(20_000.0), Fitness::Changed, None), Way::Anew);
        assert!((1..UNCOUNTED).all(|_| foreign.next(Some(20_000.0), Fitness::Changed, Some(0.1)) == Way::Anew));
        assert_eq!(foreign.next(Some(20_000.0), Fitness::Changed, Some(0.1)), Way::Changed);
    }

    #[test]
    fn what_cannot_be_cut_is_made_anew() {
        let mut foreign = camera(Passthrough::Auto);
        assert_eq!(foreign.next(Some(20_000.0), Fitness::Whole, None), Way::Anew);
        assert_eq!(foreign.next(Some(20_000.0), Fitness::Changed, None), Way::Changed);
        assert_eq!(foreign.next(Some(20_000.0), Fitness::Whole, None), Way::Anew);
        // As soon as it can be, it is: where too much of the MCUs changed meanwhile, not.
        assert_eq!(foreign.next(Some(20_000.0), Fitness::Changed, Some(0.3)), Way::Anew);
        foreign.next(Some(20_000.0), Fitness::Whole, None);
        assert_eq!(foreign.next(Some(20_000.0), Fitness::Changed, Some(0.1)), Way::Changed);
    }

    #[test]
    fn on_never_makes_them_anew_and_off_always_does() {
        let mut on = camera(Passthrough::On);
        assert_eq!(
            (on.next(None, Fitness::Changed, None), on.next(Some(20_000.0), Fitness::Changed, None)),
            (Way::Whole, Way::Changed)
        );
        assert_eq!(on.every(20_000.0, 15), 1);
        (0..50).for_each(|_| on.note_changed(0.5));
        assert_eq!((on.next(Some(20_000.0), Fitness::Changed, None), on.every(20_000.0, 15)), (Way::Changed, 3));
        assert_eq!((on.next(Some(20_000.0), Fitness::Whole, None), on.every(20_000.0, 15)), (Way::Whole, 5));
        assert_eq!(on.next(Some(20_000.0), Fitness::Anew, None), Way::Anew, "its size is another");
        let mut off = camera(Passthrough::Off);
        assert_eq!((off.next(None, Fitness::Changed, None), off.next(Some(1e9), Fitness::Changed, None)), (Way::Anew, Way::Anew));
    }
}
