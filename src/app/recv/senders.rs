//! Who is here, and what is said of each where there is no picture.

use eyeline_proto::rate::Rate;
use eyeline_proto::session::TrackId;
use eyeline_proto::wire::record::{Format, Want};
use std::collections::BTreeMap;

/// One whose track is received.
pub struct Sender {
    /// What it calls itself.
    pub name: String,
    /// Else it sends sound alone.
    pub pictures: bool,
    /// Whoever sits there has closed the camera.
    pub closed: bool,
    /// It skips nothing, and when it ends so do we.
    pub film: bool,
    /// Nothing is heard of it.
    pub quiet: bool,
    /// It comes from its sender itself, not by way of the meeting point.
    pub direct: bool,
    /// All of it is here.
    pub finished: bool,
    /// What it says of its pictures.
    pub format: Format,
}

pub type Senders = BTreeMap<TrackId, Sender>;

/// Bits that a pixel of a tile is worth in each picture: what a photograph takes at full size and quality 80 or a little more.
const BITS: u64 = 1;

impl Sender {
    /// One that shows pictures, of which nothing is known yet.
    pub fn new(name: String) -> Self {
        let format = Format::default();
        Sender { name, pictures: true, closed: false, film: false, quiet: false, direct: false, finished: false, format }
    }

    /// What there is use for of it in a tile of so many `pixels` (`None`: it is alone), beside others with `all` pixels together;
    /// `uses` where it is alone.
    ///
    /// Small pictures have more detail a pixel than large ones, so that a window full of them would cost twice what one picture
    /// costs there. One that has most of the window keeps all of its quality. A film skips nothing, also while nobody sees it.
    pub fn use_in_tile(&self, pixels: Option<u32>, all: u64, (uses, hidden): (Want, bool)) -> Want {
        let uses = Want { pictures: uses.pictures && (self.film || !hidden), ..uses };
        let Some(pixels) = pixels else { return uses };
        let per_second = u64::from(self.format.rate.unwrap_or(Rate::DEFAULT).rounded_up());
        let rate = if u64::from(pixels) * 2 < all { u64::from(pixels) * BITS * per_second } else { uses.rate };
        Want { pixels, rate, ..uses }
    }

    /// In its place in the window, while it shows nothing there.
    pub fn words(&self) -> String {
        let name = &self.name;
        match (self.quiet, self.pictures && !self.closed) {
            (true, _) => format!("no signal from {name}"),
            (false, false) if self.closed => format!("{name}\nhas closed the camera"),
            (false, false) => format!("sound only\nfrom {name}"),
            (false, true) => format!("{name} is here: its first picture is on its way"),
        }
    }

    /// What a window is called that shows it alone.
    fn title(&self) -> String {
        let name = &self.name;
        match (self.quiet, self.pictures) {
            (true, _) => format!("{name}, no signal"),
            (false, false) => format!("{name}, sound only"),
            (false, true) => name.clone(),
        }
    }
}

/// What a window is called that shows them; `None` where nobody is here.
pub fn title(senders: &Senders) -> Option<String> {
    match senders.len() {
        0 => None,
        1 => senders.values().next().map(Sender::title),
        many => Some(format!("{many} senders")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::session::PeerId;

    #[test]
    fn a_window_is_called_by_the_one_it_shows_or_by_their_number() {
        let sender = |name: &str| Sender::new(name.into());
        let mut senders = Senders::new();
        assert_eq!(title(&senders), None);
        senders.insert(TrackId::own(PeerId(3)), sender("attic"));
        assert_eq!(title(&senders).as_deref(), Some("attic"));
        senders.insert(TrackId::own(PeerId(4)), Sender { quiet: true, ..sender("cellar") });
        assert_eq!(title(&senders).as_deref(), Some("2 senders"));
        senders.remove(&TrackId::own(PeerId(3)));
        assert_eq!(title(&senders).as_deref(), Some("cellar, no signal"));
        assert_eq!(Sender { pictures: false, ..sender("attic") }.words(), "sound only\nfrom attic");
    }

    #[test]
    fn a_window_full_of_tiles_costs_a_bit_a_pixel_and_who_has_most_of_it_what_it_will() {
        let sender = |(num, den)| Sender {
            format: Format { rate: Rate::new(num, den), ..Format::default() },
            ..Sender::new("attic".into())
        };
        let asked = |rate, pixels| {
            let want = sender(rate).use_in_tile(pixels, 1000, (Want::ALL, false));
            (want.pixels, want.rate)
        };
        assert_eq!(sender((30, 1)).use_in_tile(None, 1000, (Want::ALL, false)), Want::ALL);
        assert_eq!(
            [asked((25, 1), Some(100)), asked((0, 1), Some(100)), asked((30000, 1001), Some(100))],
            [(100, 2500), (100, 3000), (100, 3000)]
        );
        assert_eq!([asked((25, 1), Some(500)), asked((25, 1), Some(900))], [(500, 0), (900, 0)], "one of two, and the large one");
        for pixels in [None, Some(100)] {
            assert!(!sender((30, 1)).use_in_tile(pixels, 1000, (Want::ALL, true)).pictures, "a minimized window");
            let film = Sender { film: true, ..sender((30, 1)) };
            assert!(film.use_in_tile(pixels, 1000, (Want::ALL, true)).pictures, "a film would stand still");
        }
    }
}
