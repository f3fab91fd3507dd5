//! What the person at the window set for a sender, kept for whoever comes back under its name: started again, or behind a meeting
//! point that was.
//!
//! Where two are called the same the address tells them apart. Capacity: [`MOST`] senders; of more the one that was set longest
//! ago is forgotten.

use crate::present::scene::FULL_VOLUME;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Four meetings full of people.
const MOST: usize = 64;

/// By what a sender is known again. Whoever is forwarded has the address of the meeting point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    pub name: String,
    pub address: Option<IpAddr>,
}

/// How loud one sender is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loudness {
    /// In percent.
    pub volume: u8,
    /// Nothing of it is heard, whatever the volume.
    pub silenced: bool,
}

impl Default for Loudness {
    fn default() -> Self {
        Loudness { volume: FULL_VOLUME, silenced: false }
    }
}

/// See the module text.
#[derive(Default)]
pub struct Kept {
    /// Newest last; none as it is by itself.
    loudness: VecDeque<(Who, Loudness)>,
    large: Option<Who>,
}

impl Kept {
    /// This one is played like this from now on.
    pub fn keep(&mut self, who: &Who, loudness: Loudness) {
        self.loudness.retain(|(kept, _)| kept != who);
        if loudness != Loudness::default() {
            self.loudness.push_back((who.clone(), loudness));
        }
        if self.loudness.len() > MOST {
            self.loudness.pop_front();
        }
    }

    /// The user made this one large, or all of one size.
    pub fn choose(&mut self, large: Option<Who>) {
        self.large = large;
    }

    /// How one that comes is played, while others are `here`; and whether it is the large one.
    pub fn back<'a>(&self, who: &Who, here: impl Iterator<Item = &'a Who>) -> (Loudness, bool) {
        let (mut namesakes, mut taken) = (false, false);
        for other in here.filter(|other| other.name == who.name) {
            (namesakes, taken) = (true, taken || other == who);
        }
        if taken {
            return (Loudness::default(), false);
        }
        let exact = self.loudness.iter().find(|(kept, _)| kept == who);
        let mut named = self.loudness.iter().filter(|(kept, _)| !namesakes && kept.name == who.name);
        let only = named.next().filter(|_| named.next().is_none());
        let large = self.large.as_ref().is_some_and(|large| large == who || (!namesakes && large.name == who.name));
        (exact.or(only).map(|(_, loudness)| *loudness).unwrap_or_default(), large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCED: Loudness = Loudness { volume: 40, silenced: true };

    fn who(name: &str, host: u8) -> Who {
        Who { name: name.to_string(), address: Some(IpAddr::from([10, 0, 0, host])) }
    }

    #[test]
    fn who_comes_back_is_as_loud_and_as_large_as_it_was_from_wherever_it_comes() {
        let mut kept = Kept::default();
        kept.keep(&who("kitchen", 1), SILENCED);
        kept.choose(Some(who("kitchen", 1)));
        let attic = who("attic", 3);
        for host in [1, 2] {
            assert_eq!(kept.back(&who("kitchen", host), [&attic].into_iter()), (SILENCED, true), "{host}");
        }
        assert_eq!(kept.back(&attic, [].into_iter()), (Loudness::default(), false));
        kept.keep(&who("kitchen", 1), Loudness::default());
        kept.choose(None);
        assert_eq!(kept.back(&who("kitchen", 1), [].into_iter()), (Loudness::default(), false));
    }

    #[test]
    fn of_two_that_are_called_the_same_the_address_tells_which_is_meant() {
        let mut kept = Kept::default();
        let (one, other) = (who("camera", 1), who("camera", 2));
        kept.keep(&one, SILENCED);
        assert_eq!(kept.back(&one, [&other].into_iter()).0, SILENCED);
        assert_eq!(kept.back(&other, [&one].into_iter()).0, Loudness::default());
        assert_eq!(kept.back(&one, [&one].into_iter()).0, Loudness::default(), "both behind one meeting point");
        kept.keep(&other, Loudness { volume: 80, silenced: false });
        assert_eq!(kept.back(&other, [].into_iter()).0.volume, 80);
        assert_eq!(kept.back(&who("camera", 3), [].into_iter()).0, Loudness::default(), "it may be either");
    }

    #[test]
    fn of_more_than_64_the_one_that_was_set_first_is_forgotten() {
        let mut kept = Kept::default();
        let names: Vec<_> = (0..=MOST).map(|number| who(&format!("camera {number}"), 1)).collect();
        names.iter().for_each(|who| kept.keep(who, SILENCED));
        let back = |at: usize| kept.back(&names[at], [].into_iter()).0;
        assert_eq!([back(0), back(1), back(MOST)], [Loudness::default(), SILENCED, SILENCED]);
    }
}
