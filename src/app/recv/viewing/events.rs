//! Those who send, as the session tells of them: who comes and goes, what each has, and what is said of it.

use super::super::super::awaited;
use super::super::super::door::Door;
use super::super::super::kept::Who;
use super::super::super::pairs;
use super::super::files::Files;
use super::super::senders::{self, Sender};
use super::Viewing;
use crate::present::scene::Marks;
use eyeline_proto::session::keyring::Standing;
use eyeline_proto::session::liveness::QUIET;
use eyeline_proto::session::{Event, PeerId, TrackId};
use eyeline_proto::wire::record::Reason;
use std::time::{Duration, Instant};

/// A sender that is lost while others are seen keeps its tile for so long: a network is back by then, or a program started anew.
const KEPT: Duration = Duration::from_secs(10);

/// And one whose track is over so long: with a new number it is there again at once, where it is.
const KEPT_OVER: Duration = Duration::from_secs(1);

/// Who is dialled and comes within so long of our beginning gets its tile by the order in which the hosts were given. Later no
/// tile moves, for somebody looks at it.
const ARRIVING: Duration = Duration::from_secs(5);

impl Viewing {
    /// What concerns those who send.
    pub fn handle(&mut self, event: Event, door: &mut Door<'_>) {
        match event {
            Event::SenderUp { peer, name, address, host, again, pictures, forwards, .. } => {
                let sends = match (again, forwards, pictures) {
                    (true, ..) => "is back",
                    (_, true, _) => "is here",
                    (_, _, true) => "is sending",
                    _ => "is sending sound only",
                };
                door.comes(peer, host, Some(format!("{name} ({address}) {sends}")));
                self.lost.retain(|track, _| track.peer != peer || !self.senders.contains_key(track));
                self.names.insert(peer, name);
                self.addresses.insert(peer, address.ip());
                self.hosts.extend(host.map(|host| (peer, host)));
                self.quiet.remove(&peer);
            }
            Event::SenderDown { peer, reason, sentence } => self.sender_down(peer, reason, &sentence, door),
            Event::TrackUp { track, name, film } => self.track_up(track, name, film, door),
            // One sentence for all who may be there.
            Event::NoRoom(peer, name) if !self.roomless && self.files.as_ref().is_some_and(Files::take_one) => {
                self.roomless = true;
                let by = self.names.get(&peer).map(|by| format!(", by way of {by},")).unwrap_or_default();
                tracing::warn!(
                    "{name}{by} is not written, nor others beside the first: without {{name}} a file takes one sender; name it \
                     like '{{name}}.y4m', or '{{name}}.wav' for sound, and each sender has its own"
                );
            }
            Event::Track(track, told) => {
                let Some(sender) = self.senders.get_mut(&track) else { return self.tell_screen(door) };
                if sender.closed != told.closed {
                    let shows = if told.closed { "no picture" } else { "a picture again" };
                    door.says(&format!("{} shows {shows}", sender.name));
                }
                (sender.pictures, sender.closed, sender.format) = (told.media.pictures, told.closed, told.format);
                if let Some(screen) = &mut self.screen {
                    screen.marks(track, Marks { muted: told.muted, camera_closed: told.closed });
                }
            }
            Event::Film(track, film) => {
                self.films.told(track, film, Instant::now());
                if let Some(screen) = &mut self.screen {
                    screen.paused(self.films.any_paused());
                }
                return;
            }
            Event::TrackDown { track, over } => {
                let name = self.track_down(track, over);
                // Of one who is linked to us it is said when he leaves.
                if over && !track.is_own() {
                    door.says(&format!("{name} stopped sending"));
                }
            }
            Event::Direct(track, direct) => {
                let Some(sender) = self.senders.get_mut(&track) else { return };
                sender.direct = direct;
                // Nothing is heard of the meeting point, which is no matter while it is not needed.
                let quiet = !direct && self.quiet.contains(&track.peer);
                sender.quiet = quiet;
                if let Some(screen) = &mut self.screen {
                    screen.quiet(track, quiet.then(|| Instant::now() - QUIET));
                }
                let way = match (direct, self.names.get(&track.peer)) {
                    (false, Some(by)) => format!("by way of {by} again"),
                    (false, None) => "by way of the meeting point again".to_string(),
                    (true, _) => "directly now".to_string(),
                };
                tracing::info!("{} comes {way}", sender.name);
                return;
            }
            Event::Quiet(peer, quiet) => self.turn_quiet(peer, quiet),
            // The fanout keeps the rest to itself, or it is another's.
            _ => return,
        }
        self.tell_screen(door);
    }

    fn sender_down(&mut self, peer: PeerId, reason: Option<Reason>, sentence: &str, door: &mut Door<'_>) {
        let name = self.name(peer);
        self.names.remove(&peer);
        self.addresses.remove(&peer);
        self.hosts.remove(&peer);
        self.quiet.remove(&peer);
        // One that said goodbye leaves no tile behind.
        if reason.is_some()
            && let Some(screen) = &mut self.screen
        {
            self.lost.keys().filter(|track| track.peer == peer).for_each(|track| screen.leaves(*track));
            self.lost.retain(|track, _| track.peer != peer);
        }
        let said = door.leaves(peer, reason, &awaited::parting(&name, "stopped sending", reason, sentence));
        if said && self.names.is_empty() {
            tracing::info!("{}", door.sentence());
        }
    }

    fn track_up(&mut self, track: TrackId, name: String, film: bool, door: &mut Door<'_>) {
        if let Some(written) = self.files.as_mut().and_then(|files| files.sender_came(track, &name)) {
            door.says(&written);
        }
        // Who was lost has come back by another way.
        let back: Vec<_> =
            self.lost.iter().filter(|(lost, (_, of))| **lost == track || *of == name).map(|(lost, _)| *lost).collect();
        if let (false, true, Some(by)) = (track.is_own(), back.is_empty(), self.names.get(&track.peer)) {
            door.has_place(track.peer);
            door.says(&format!("{name} is sending, by way of {by}"));
        }
        for lost in back {
            self.lost.remove(&lost);
            if let Some(screen) = self.screen.as_mut().filter(|_| lost != track) {
                screen.leaves(lost);
            }
        }
        if let (Some(screen), Some(shown)) = (&mut self.screen, self.tracks.get(track)) {
            let label = match track.is_own() {
                true => door.shown_as(track.peer, &name),
                // Whoever forwards it says so.
                false => pairs::marked(&name, &Standing::Unknown),
            };
            screen.joins(track, label, shown.canvas().clone());
            let address = self.addresses.get(&track.peer).copied();
            screen.knows(&shown, Who { name: name.clone(), address });
            if self.began.elapsed() < ARRIVING {
                screen.arrange(|track| self.hosts.get(&track.peer).map_or(usize::MAX, |host| host.0));
            }
        }
        // Whatever one of its number was told before.
        self.wants.forget(track);
        self.senders.insert(track, Sender { film, ..Sender::new(name) });
    }

    fn turn_quiet(&mut self, peer: PeerId, quiet: bool) {
        if quiet {
            self.quiet.insert(peer);
        } else {
            self.quiet.remove(&peer);
        }
        if let Some(name) = self.names.get(&peer).filter(|_| quiet) {
            tracing::warn!("no signal from {name} for 3 s: waiting for it to come back");
        }
        let since = quiet.then(|| Instant::now() - QUIET);
        for (track, sender) in self.senders.iter_mut().filter(|(track, of)| track.peer == peer && !of.direct) {
            sender.quiet = quiet;
            if let Some(screen) = &mut self.screen {
                screen.quiet(*track, since);
            }
        }
    }

    /// One that is lost beside others keeps its place for a while: it may be back in a moment. Gives its name.
    fn track_down(&mut self, track: TrackId, over: bool) -> String {
        let name = self.senders.remove(&track).map(|sender| sender.name).unwrap_or_default();
        self.films.over(track);
        if let Some(screen) = &mut self.screen {
            screen.paused(self.films.any_paused());
            if self.senders.is_empty() {
                screen.leaves(track);
            } else {
                screen.quiet(track, Some(Instant::now()));
                let kept = if over { KEPT_OVER } else { KEPT };
                self.lost.insert(track, (Instant::now() + kept, name.clone()));
            }
        }
        name
    }

    /// Says in the window what is waited for, and who shows no picture.
    pub fn tell_screen(&mut self, door: &Door<'_>) {
        let Some(screen) = &mut self.screen else { return };
        for (track, sender) in &self.senders {
            screen.says(*track, sender.words());
        }
        if let Some(title) = senders::title(&self.senders) {
            screen.awaits(String::new(), &title);
            return screen.wants(String::new());
        }
        let idle = self.names.values().next().map(|name| format!("{name} is here, and sends nothing yet"));
        screen.awaits(idle.clone().unwrap_or_else(|| door.welcome()), door.place());
        screen.wants(idle.unwrap_or_else(|| door.wanted()));
    }
}
