//! Who is here, and what is said of each where there is no picture.

use eyeline_proto::session::TrackId;
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
    /// All of it is here.
    pub finished: bool,
}

/// See the module text.
pub type Senders = BTreeMap<TrackId, Sender>;

impl Sender {
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
        let sender =
            |name: &str| Sender { name: name.into(), pictures: true, closed: false, film: false, quiet: false, finished: false };
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
}
