//! All tracks that are received, seen and heard: screen, speaker and files, and the words about them.

mod events;

use super::super::failure::{Code, Failure};
use super::super::recording::{Ended, Recording};
use super::super::screen::{Screen, Turn, Wish};
use super::super::stats::Statistics;
use super::super::status::ExitCode;
use super::devices::Devices;
use super::files::Files;
use super::films::{Answer, Films};
use super::senders::Senders;
use super::viewing_stats::{Outside, ViewingStats};
use super::virtual_camera::Shown as VirtualCamera;
use super::wants::{Doing, Wants};
use crate::net;
use crate::pipeline::back::Back;
use crate::pipeline::decode::{Announced, Ready};
use crate::pipeline::fanout::{self, Fanout};
use crate::pipeline::tee::Tee;
use crate::pipeline::track::{Screening, Tracks};
use crate::present::speaker::Speaker;
use crate::slot::Taken;
use eyeline_proto::media::hold::{Hold, Latency};
use eyeline_proto::media::schedule::Shown;
use eyeline_proto::session::stats::{ReceiverStats, Stats};
use eyeline_proto::session::{Command, Event, HostId, PeerId, TrackId};
use eyeline_proto::wire::record::Want;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the main thread waits for a picture before it looks at the keyboard. It does so after each picture, too, so that at
/// twenty pictures a second and more it never wakes for the keyboard alone.
const TURN: Duration = Duration::from_millis(50);

/// More threads than this gain nothing at the sizes there are.
const MAX_WORKERS: usize = 4;

pub struct Viewing {
    /// When whoever is dialled may first have come.
    began: Instant,
    ready: Announced,
    /// Where it is told what of a track was not drawn.
    back: Back,
    pub screen: Option<Screen>,
    pub files: Option<Files>,
    pub recording: Recording,
    tee: Tee,
    /// Somebody here takes each picture whole, as others were told.
    taken: bool,
    pub speaker: Option<Speaker>,
    /// A camera for other programs on this machine.
    camera: Option<VirtualCamera>,
    screening: Option<Arc<Screening>>,
    tracks: Tracks,
    /// The newest picture of each track that is ready and not yet with the display.
    undisplayed: BTreeMap<TrackId, Ready>,
    /// Until when tracks that were lost keep their tile, and whose they are.
    lost: BTreeMap<TrackId, (Instant, String)>,
    /// Everybody who is here and has something for us, by name.
    pub names: BTreeMap<PeerId, String>,
    /// Where they are.
    addresses: BTreeMap<PeerId, IpAddr>,
    /// Which of the hosts that we dial they are.
    hosts: BTreeMap<PeerId, HostId>,
    /// Those of whom nothing is heard just now.
    pub quiet: BTreeSet<PeerId>,
    pub senders: Senders,
    films: Films,
    wants: Wants,
    /// The window is minimized.
    hidden: bool,
    /// It was said that what is written takes one of those whom somebody forwards.
    roomless: bool,
    statistics: ViewingStats,
    shown: u32,
    /// A picture or sound has come.
    pub anything: bool,
}

impl Viewing {
    /// With these devices, for which this much is of use, and others are told the second without being asked; pictures are decoded
    /// for a window, or, where `decodes`, to be measured. What comes is given to the callback, and to `tell` what the main thread
    /// is to know of it.
    pub fn new(
        devices: Devices,
        (tee, recording): (Tee, Recording),
        (uses, first): (Want, Want),
        latency: Latency,
        decodes: bool,
        statistics: Option<Rc<Statistics>>,
        tell: impl FnMut(Event) + Send + 'static,
    ) -> Result<(Self, impl FnMut(Event) + Send + 'static), Failure> {
        let Devices { ready, screen, speaker, files, camera } = devices;
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
        let screening = decodes.then(|| Screening::start(workers).map(Arc::new)).transpose().code(ExitCode::Failed)?;
        let (tracks, back) = (Tracks::default(), Back::default());
        let opened_with = fanout::Config {
            tracks: tracks.clone(),
            announced: ready.clone(),
            back: back.clone(),
            hold: Hold::new(latency),
            screening: screening.clone(),
            mixer: speaker.as_ref().map(|speaker| speaker.mixer().clone()),
            files: files.as_ref().map(Files::inlets),
            tee: tee.clone(),
        };
        let measured = statistics.as_ref().is_some_and(|statistics| statistics.measures());
        let (written, seen, heard) = (files.is_some() || measured, screen.is_some() || camera.is_some(), speaker.is_some());
        let unseen = uses;
        let uses = match files {
            Some(_) => uses,
            None => Want { pictures: seen || written, sound: heard || written, ..uses },
        };
        let viewing = Viewing {
            began: Instant::now(),
            ready,
            back,
            screen,
            files,
            taken: tee.is_on(),
            tee,
            recording,
            speaker,
            camera,
            screening,
            tracks,
            undisplayed: BTreeMap::new(),
            lost: BTreeMap::new(),
            names: BTreeMap::new(),
            addresses: BTreeMap::new(),
            hosts: BTreeMap::new(),
            quiet: BTreeSet::new(),
            senders: Senders::new(),
            films: Films::default(),
            wants: Wants::new(uses, unseen, first),
            hidden: false,
            roomless: false,
            statistics: ViewingStats::new(statistics),
            shown: 0,
            anything: false,
        };
        Ok((viewing, Fanout::new(opened_with, tell).into_callback()))
    }

    /// Where the session is told of what was not drawn, or is written.
    pub fn connect(&self, net: &net::Handle<Command>) {
        let commands = net.commands();
        self.back.connect(move |command| commands.command(command));
        if let Some(files) = &self.files {
            files.connect(net.commands());
        }
        let commands = net.commands();
        self.tee.connect(move |command| commands.command(command));
    }

    /// What somebody at the window wants of what is recorded.
    pub fn grant(&mut self, wish: &Wish, net: &net::Handle<Command>) {
        match wish {
            Wish::Record => self.recording.toggle(),
            Wish::SaveLast => self.recording.save_last(),
            Wish::Snapshot => {
                // The one that is large, or all.
                let large = self.screen.as_ref().and_then(Screen::large);
                let senders = self.senders.iter().filter(|(track, _)| large.is_none_or(|large| large == **track));
                let names: Vec<_> = senders.map(|(_, sender)| sender.name.clone()).collect();
                self.recording.snapshot(&names);
            }
            Wish::Hold | Wish::Step { .. } => return self.steer(wish, net),
            _ => return,
        }
        self.ask(net);
    }

    /// What somebody at the window wants of what is seen: of a film that nobody else watches its sender is told.
    fn steer(&mut self, wish: &Wish, net: &net::Handle<Command>) {
        let Some(screen) = &mut self.screen else { return };
        let now = Instant::now();
        let track = screen.large().filter(|large| self.senders.contains_key(large)).or_else(|| only(&self.senders));
        let track = track.filter(|track| !self.quiet.contains(&track.peer));
        let answer = match (track, wish) {
            (Some(track), Wish::Step { on }) => self.films.step(track, *on, now),
            (Some(track), Wish::Hold) if !screen.is_frozen() => self.films.pause(track, now),
            _ => Answer::Live,
        };
        match (answer, track) {
            (Answer::Steer(steer, place, percent), Some(track)) => {
                net.command(Command::Steer(track, steer));
                screen.notes_place(place, percent);
            }
            (Answer::Refused(why), _) => {
                if *wish == Wish::Hold {
                    screen.freeze();
                }
                screen.notes(why);
            }
            _ if *wish == Wish::Hold => screen.freeze(),
            _ => screen.notes("there is no film to go back or on in"),
        }
    }

    /// Looks after what is recorded. Where it came to its end without us, how.
    pub fn record(&mut self, net: &net::Handle<Command>) -> Option<Ended> {
        let ended = self.recording.turn();
        let is_on = self.tee.is_on();
        if std::mem::replace(&mut self.taken, is_on) != is_on {
            self.ask(net);
        }
        if let Some(screen) = &mut self.screen {
            screen.recording(self.recording.lasts());
            while let Some(sentence) = self.recording.said() {
                screen.notes(sentence);
            }
        }
        ended
    }

    /// What decodes, if anything does.
    pub fn screening(&self) -> Option<&Arc<Screening>> {
        self.screening.as_ref()
    }

    /// Where pictures that are ready are announced.
    pub fn ready(&self) -> &Announced {
        &self.ready
    }

    /// Waits for a picture, at most for a turn, and shows it.
    pub fn wait(&mut self, now: Instant, net: &net::Handle<Command>) -> Result<(), Failure> {
        let due = self.screen.as_ref().and_then(Screen::due).unwrap_or(now + TURN);
        if let Taken::Value(ready) = self.ready.take_until(due.min(now + TURN), Instant::now) {
            self.show(ready, net)?;
        }
        Ok(())
    }

    /// Keys, and a new coat of paint where one is due.
    pub fn turn(&mut self, now: Instant, net: &net::Handle<Command>) -> Result<Turn, Failure> {
        if let Some(camera) = &mut self.camera {
            let large = self.screen.as_ref().and_then(Screen::large);
            camera.turn(large, &self.senders, &self.tracks, self.screen.is_some())?;
        }
        let Some(screen) = &mut self.screen else { return Ok(Turn::Go) };
        let turn = screen.turn(self.speaker.as_ref().map(Speaker::mixer), &self.tracks)?;
        let turned = std::mem::replace(&mut self.hidden, screen.is_hidden()) != self.hidden;
        self.lost.retain(|track, (until, _)| {
            let kept = *until > now;
            if !kept {
                screen.leaves(*track);
            }
            kept
        });
        // Who is in a small tile is decoded no larger; files have decoders of their own, and a virtual camera has not.
        for (track, pixels) in screen.pixels() {
            if let Some(track) = self.tracks.get(track) {
                track.seen_on(pixels.filter(|_| self.camera.is_none()));
            }
        }
        self.take_displayed(net);
        if turned {
            self.ask(net);
        }
        Ok(turn)
    }

    fn show(&mut self, ready: Ready, net: &net::Handle<Command>) -> Result<(), Failure> {
        if let Some(camera) = &self.camera {
            camera.picture(ready.track, &self.tracks);
        }
        match &mut self.screen {
            None => self.displayed(&ready, ready.picture.decoded, net),
            // One's own: nobody sends it, and nobody measures it.
            Some(screen) if self.tracks.get(ready.track).is_none() => screen.own_picture(),
            Some(screen) => {
                screen.show(ready.track, ready.picture.size)?;
                self.undisplayed.insert(ready.track, ready);
                self.take_displayed(net);
            }
        }
        Ok(())
    }

    /// What the screen says is with the display.
    fn take_displayed(&mut self, net: &net::Handle<Command>) {
        while let Some((track, at)) = self.screen.as_mut().and_then(Screen::seen) {
            if let Some(ready) = self.undisplayed.remove(&track) {
                self.displayed(&ready, at, net);
            }
        }
    }

    fn displayed(&mut self, ready: &Ready, at: Instant, net: &net::Handle<Command>) {
        // The last of a sender whose place another has taken.
        let Some(track) = self.tracks.get(ready.track) else { return };
        self.films.shown(ready.track, ready.picture.position);
        // Where a file is written and no window open, shown means written.
        let written = self.files.as_mut().filter(|_| self.screening.is_none()).map(|files| files.more_written(ready.track));
        let more = written.unwrap_or(1);
        self.shown += more;
        net.leave(Command::Shown(ready.track, more));
        let Shown { captured, sound } = track.shown(ready, at);
        self.statistics.shown(ready, at, captured, sound);
    }

    /// What one that sends calls itself.
    pub fn name(&self, peer: PeerId) -> String {
        self.names.get(&peer).cloned().unwrap_or_else(|| "the sender".to_string())
    }

    /// Shows what somebody wrote.
    pub fn said(&mut self, name: &str, line: &str) {
        if let Some(screen) = &mut self.screen {
            screen.said(name, line);
        }
    }

    /// Measures a second, prints it where asked, and shows it where wished.
    pub fn second(&mut self, stats: &Stats, net: &net::Handle<Command>) -> Result<(), Failure> {
        self.anything |= brought_anything(&stats.receiving);
        let outside = self.outside(net.traffic());
        let film = only(&self.senders).and_then(|track| self.films.line(track, Instant::now()));
        self.statistics.film(film.clone().unwrap_or_default());
        let mut lines = self.statistics.second(stats, &outside)?;
        lines.extend(film);
        if let Some(screen) = &mut self.screen {
            screen.figures(lines);
        }
        self.ask(net);
        Ok(())
    }

    /// Tells each sender what there is use for of it now.
    fn ask(&mut self, net: &net::Handle<Command>) {
        let tiles = match &self.screen {
            Some(screen) => screen.pixels(),
            None => self.senders.keys().map(|track| (*track, None)).collect(),
        };
        let doing = Doing {
            taken: self.tee.is_on(),
            written: self.files.is_some() || self.camera.is_some(),
            windowed: self.screen.is_some(),
            hidden: self.screen.as_ref().is_some_and(Screen::is_hidden),
        };
        for (track, want) in self.wants.due(doing, &tiles, &self.senders) {
            net.command(Command::Want(track, want));
        }
    }

    fn outside(&self, net: net::Traffic) -> Outside {
        // What is played, and blocks dropped before that; none without a speaker.
        let sound = self.speaker.as_ref();
        let sound = sound.map(|_| self.tracks.newest().and_then(|track| track.sound()).unwrap_or_default());
        let slices_dropped = self.screening.as_ref().map_or(0, |screening| screening.dropped());
        let names = self.senders.iter().map(|(track, sender)| (*track, sender.name.clone())).collect();
        let heard = |track: &TrackId| Some((*track, self.tracks.get(*track)?.sound()?));
        let sounds = self.speaker.as_ref().map(|_| self.senders.keys().filter_map(heard).collect()).unwrap_or_default();
        let large = self.screen.as_ref().and_then(Screen::large).filter(|track| self.senders.contains_key(track));
        let films = self.films.objects(Instant::now());
        Outside { net, shown: self.shown, sound, sounds, slices_dropped, names, films, large }
    }

    /// The last counts came with the farewell: they are printed, where asked.
    pub fn total(&mut self, stats: &Stats, traffic: net::Traffic) {
        self.anything |= brought_anything(&stats.receiving);
        let outside = self.outside(traffic);
        self.statistics.total(stats, &outside);
    }

    /// Devices are released and files finished; `told`: by the user's wish. Whether anything was written.
    pub fn finish(mut self, told: bool) -> Result<bool, Failure> {
        self.screen = None;
        self.speaker = None;
        self.camera = None;
        self.screening = None;
        let files = self.files.take().map_or(Ok(true), |files| files.finish(told));
        let recorded = self.recording.finish();
        Ok(files? && recorded?)
    }
}

/// The only one that is here.
fn only(senders: &Senders) -> Option<TrackId> {
    senders.keys().next().copied().filter(|_| senders.len() == 1)
}

/// Whether a picture or sound has come by now.
fn brought_anything(stats: &ReceiverStats) -> bool {
    stats.total.whole + stats.total.partial + stats.total.blocks > 0
}
