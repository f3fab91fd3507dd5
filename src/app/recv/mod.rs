//! `recv`: net → decoder → screen, speaker and files, and the words about it.
//!
//! The net thread hands slices and sound straight to their threads ([`Fanout`]); the main thread owns the window and is told of
//! pictures that are ready, and of everything a user wants to know.

mod files;
mod report;
mod senders;

use super::args;
use super::awaited::{self, Awaited};
use super::doorman::Doorman;
use super::failure::{Code, Failure};
use super::meet;
use super::notes::{self, Notes};
use super::screen::{Screen, Turn};
use super::status::{ExitCode, Stop};
use crate::net;
use crate::pipeline::decode::{Announced, Ready};
use crate::pipeline::fair_queue::FairQueue;
use crate::pipeline::fanout::{self, Fanout};
use crate::pipeline::track::{Screening, Shown, Tracks};
use crate::present::keys::Bindings;
use crate::present::speaker::Speaker;
use crate::slot::Taken;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::hold::Hold;
use eyeline_proto::media::playout;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::receiver::MOST_SENDERS;
use eyeline_proto::session::stats::ReceiverStats;
use eyeline_proto::session::{self, Command, Event, PeerId, Session, TrackId};
use eyeline_proto::wire::record::{Media, Reason};
use files::Files;
use report::Report;
use senders::{Sender, Senders};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the main thread is told beside pictures. A few a second.
pub(super) struct Note(Event);

impl notes::Note for Note {
    fn kind(&self) -> notes::Kind {
        use notes::Kind;
        match &self.0 {
            Event::SenderUp { again: false, peer, .. } => Kind::Came(peer.0),
            Event::SenderDown { peer, .. } => Kind::Left(peer.0),
            Event::Unreachable { fatal: true, .. } => Kind::Kept,
            Event::Stats(_) => Kind::State(0),
            Event::Quiet(peer, _) => Kind::State(2 * peer.0 + 1),
            Event::Ended(track) => Kind::State(2 * track.peer.0 + 2),
            _ => Kind::Said,
        }
    }
}

/// How long the main thread waits for a picture before it looks at the keyboard.
const TURN: Duration = Duration::from_millis(25);

/// More threads than this gain nothing at the sizes there are.
const MAX_WORKERS: usize = 4;

/// A sender that is lost while others are seen keeps its tile for so long: a network is back by then, or a program started anew.
const KEPT: Duration = Duration::from_secs(10);

/// Runs `recv` to its exit code.
pub fn run(config: &args::Recv) -> ExitCode {
    super::failure::conclude(try_run(config))
}

fn try_run(config: &args::Recv) -> Result<ExitCode, Failure> {
    let notes = Notes::new();
    let ready: Announced = FairQueue::newest();
    let wake = ready.clone();
    let stop = Stop::on_signals(move || wake.close()).code(ExitCode::Failed)?;

    // Whatever cannot be had is found out before anybody is told that we are here: first what was typed wrong, then devices.
    let files = Files::open(config, &ready)?;
    let screen = config.window.then(|| Screen::open(config.fullscreen, Bindings::Watch)).transpose()?;
    let speaker = open_speaker(config)?;

    let now = Instant::now();
    let me = Identity {
        offers: Media::NONE,
        wants: Media { pictures: true, sound: speaker.is_some() || config.audio_output.is_some(), lossless: files.is_some() },
        forwards: false,
        psk: meet::psk(&config.common)?,
        id: eyeline_proto::crypto::random(),
        name: meet::machine_name(),
    };
    let (where_to, hosts) = meet::net_config(&config.common.meet);
    let senders = if config.takes_one() { 1 } else { MOST_SENDERS };
    let reconnect = config.common.reconnect;
    let core = session::Config { hosts, senders, reconnect, ..session::Config::new(me, Epoch::new(now)) };
    let hold = Hold::new(config.latency);
    // Pictures are decoded for a window, or, where there is neither window nor file, to be measured.
    let decodes = config.window || files.is_none();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
    let screening = decodes.then(|| Screening::start(workers).map(Arc::new)).transpose().code(ExitCode::Failed)?;
    let tracks = Tracks::default();
    let opened_with = fanout::Config {
        tracks: tracks.clone(),
        announced: ready.clone(),
        hold,
        screening: screening.clone(),
        mixer: speaker.as_ref().map(|speaker| speaker.mixer().clone()),
        files: files.as_ref().map(Files::inlets),
    };
    let on_event = notes.clone();
    let fanout = Fanout::new(opened_with, move |event| on_event.tell(Note(event)));
    let net = net::spawn(Session::new(now, core), where_to, fanout.into_callback()).code(ExitCode::Failed)?;
    if let Some(files) = &files {
        files.connect(net.commands());
    }
    awaited::announce("recv", &config.common.meet, config.common.key.is_some(), net.local_addr());
    let awaited = Awaited::new("recv", &config.common.meet, net.local_addr());

    let mut recv = Recv {
        config,
        net,
        notes,
        ready,
        stop,
        screen,
        files,
        speaker,
        screening,
        tracks,
        undisplayed: BTreeMap::new(),
        lost: BTreeMap::new(),
        hosts: meet::Hosts::new(&config.common),
        awaited,
        names: BTreeMap::new(),
        senders: Senders::new(),
        doorman: Doorman::default(),
        report: Report::new(config.common.stats_json),
        shown: 0,
        anything: false,
        deadline: config.common.duration.map(|duration| now + duration),
    };
    let ended = recv.run();
    recv.finish(ended)
}

fn open_speaker(config: &args::Recv) -> Result<Option<Speaker>, Failure> {
    let which = match &config.speaker {
        args::recv::Speaker::Off => return Ok(None),
        args::recv::Speaker::Default => None,
        args::recv::Speaker::Named(name) => Some(name.as_str()),
    };
    match Speaker::open(which, playout::Config::default()) {
        Ok(speaker) => {
            tracing::info!("speaker {}", speaker.name());
            Ok(Some(speaker))
        }
        // Asked for by name it must be there; else pictures go on without it.
        Err(error) if which.is_some() => {
            Err(Failure::new(ExitCode::Device, format!("{error}, or leave out --speaker to go on without sound")))
        }
        Err(error) => {
            tracing::warn!("going on without sound: {error}, or say --no-audio");
            Ok(None)
        }
    }
}

struct Recv<'a> {
    config: &'a args::Recv,
    net: net::Handle<Command>,
    notes: Notes<Note>,
    ready: Announced,
    stop: Stop,
    screen: Option<Screen>,
    files: Option<Files>,
    speaker: Option<Speaker>,
    screening: Option<Arc<Screening>>,
    tracks: Tracks,
    /// The newest picture of each track that is ready and not yet with the display.
    undisplayed: BTreeMap<TrackId, Ready>,
    /// Until when senders that were lost keep their tile.
    lost: BTreeMap<TrackId, Instant>,
    hosts: meet::Hosts,
    awaited: Awaited,
    /// Everybody who is here, by name.
    names: BTreeMap<PeerId, String>,
    senders: Senders,
    doorman: Doorman,
    report: Report,
    shown: u32,
    /// A picture or sound has come.
    anything: bool,
    deadline: Option<Instant>,
}

/// How a run ended that did not fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The user wished it: a signal, a key, the window closed.
    Told,
    /// `--duration` is over.
    Due,
    /// All is here, or nobody takes any more of it.
    Over,
    /// The peer is lost and not waited for.
    Lost,
}

impl Recv<'_> {
    fn run(&mut self) -> Result<End, Failure> {
        self.tell_screen();
        loop {
            let now = Instant::now();
            if self.stop.requested() {
                return Ok(End::Told);
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(End::Due);
            }
            self.net.check().code(ExitCode::Failed)?;
            let due = self.screen.as_ref().and_then(Screen::due).unwrap_or(now + TURN);
            if let Taken::Value(ready) = self.ready.take_until(due.min(now + TURN), Instant::now) {
                self.show(ready)?;
            }
            while let Some(note) = self.notes.try_take() {
                if let Some(end) = self.handle(note.0)? {
                    return Ok(end);
                }
            }
            if self.files.as_mut().is_some_and(Files::are_over) {
                return Ok(End::Over);
            }
            if let Some(screen) = &mut self.screen {
                if screen.turn(self.speaker.as_ref().map(Speaker::mixer), &self.tracks)? == Turn::Quit {
                    return Ok(End::Told);
                }
                self.lost.retain(|track, until| {
                    let kept = *until > now;
                    if !kept {
                        screen.leaves(*track);
                    }
                    kept
                });
                self.take_displayed();
            }
        }
    }

    fn show(&mut self, ready: Ready) -> Result<(), Failure> {
        match &mut self.screen {
            None => self.displayed(&ready, ready.picture.decoded),
            Some(screen) => {
                screen.show(ready.track)?;
                self.undisplayed.insert(ready.track, ready);
                self.take_displayed();
            }
        }
        Ok(())
    }

    /// What the screen says is with the display.
    fn take_displayed(&mut self) {
        while let Some((track, at)) = self.screen.as_mut().and_then(Screen::seen) {
            if let Some(ready) = self.undisplayed.remove(&track) {
                self.displayed(&ready, at);
            }
        }
    }

    fn displayed(&mut self, ready: &Ready, at: Instant) {
        // The last of a sender whose place another has taken.
        let Some(track) = self.tracks.get(ready.track) else { return };
        // Where a file is written and no window open, shown means written.
        let written = self.files.as_mut().filter(|_| self.screening.is_none()).map(|files| files.more_written(ready.track));
        let more = written.unwrap_or(1);
        self.shown += more;
        self.net.leave(Command::Shown(ready.track, more));
        let Shown { captured, sound } = track.shown(ready, at);
        self.report.shown(ready, at, captured, sound);
    }

    fn handle(&mut self, event: Event) -> Result<Option<End>, Failure> {
        match event {
            Event::SenderUp { peer, name, address, host, again, pictures, forwards, .. } => {
                self.hosts.reached(host);
                self.awaited.reached();
                let sends = match (again, forwards, pictures) {
                    (true, ..) => "is back",
                    (_, true, _) => "is a meeting point",
                    (_, _, true) => "is sending",
                    _ => "is sending sound only",
                };
                self.doorman.peer(&format!("{name} ({address}) {sends}"));
                for (track, _) in self.senders.iter().filter(|(track, _)| track.peer == peer) {
                    self.lost.remove(track);
                }
                self.names.insert(peer, name);
                self.tell_screen();
            }
            Event::TrackUp { track, name, film } => {
                if let Some(written) = self.files.as_mut().and_then(|files| files.sender_came(track, &name)) {
                    self.doorman.peer(&written);
                }
                self.lost.remove(&track);
                if let (Some(screen), Some(shown)) = (&mut self.screen, self.tracks.get(track)) {
                    screen.joins(track, name.clone(), shown.canvas().clone());
                }
                self.senders.insert(track, Sender { name, pictures: true, film, quiet: false, finished: false });
                self.tell_screen();
            }
            Event::Track(track, told) => {
                if let Some(sender) = self.senders.get_mut(&track) {
                    sender.pictures = told.media.pictures;
                    self.tell_screen();
                }
            }
            Event::TrackDown(track) => self.track_down(track),
            Event::SenderDown { peer, reason, sentence } => return self.sender_down(peer, &sentence, reason),
            Event::Quiet(peer, quiet) => {
                if let Some(name) = self.names.get(&peer).filter(|_| quiet) {
                    tracing::warn!("no signal from {name} for 3 s: waiting for it to come back");
                }
                let since = quiet.then(|| Instant::now() - eyeline_proto::session::path::QUIET);
                for (track, sender) in self.senders.iter_mut().filter(|(track, _)| track.peer == peer) {
                    sender.quiet = quiet;
                    if let Some(screen) = &mut self.screen {
                        screen.quiet(*track, since);
                    }
                }
                self.tell_screen();
            }
            Event::Ended(track) => {
                let Some(sender) = self.senders.get_mut(&track) else { return Ok(None) };
                // A live sender is over, and the next one may come; but where there is one file for it, that is what was wanted.
                if !sender.film && !self.config.takes_one() && self.config.common.reconnect {
                    return Ok(None);
                }
                sender.finished = true;
                return Ok(self.all_is_here());
            }
            Event::NoUdp(address) => self.doorman.no_udp(address, &self.config.common.meet),
            Event::Narrow { name, address, narrow } => self.doorman.narrow(&name, address, narrow),
            Event::TurnedAway(from, sentence) => self.doorman.turned_away(from, &sentence),
            Event::Unreachable { host, error, fatal } => {
                if self.names.is_empty() {
                    self.awaited.unanswered();
                    self.tell_screen();
                }
                return self.hosts.unreachable(Instant::now(), host, &error, fatal).map(|()| None);
            }
            Event::Stats(stats) => {
                self.doorman.second(self.notes.take_untold());
                self.anything |= brought_anything(&stats.receiving);
                let sound = heard(self.speaker.as_ref(), &self.tracks);
                let outside = outside(self.net.counters(), self.shown, sound, self.screening.as_deref(), &self.senders);
                let lines = self.report.second(&stats, &outside)?;
                if let Some(screen) = &mut self.screen {
                    screen.figures(lines);
                }
            }
            // The fanout keeps these to itself.
            Event::Slice(..) | Event::Part(..) | Event::Settled(..) | Event::Sound { .. } | Event::Clock(..) => {}
            // Of what is sent, and nothing is.
            _ => {}
        }
        Ok(None)
    }

    /// The end, where everybody who is here has sent all there is.
    fn all_is_here(&self) -> Option<End> {
        if self.senders.is_empty() || !self.senders.values().all(|sender| sender.finished) {
            return None;
        }
        tracing::info!("the end: everything is here");
        self.net.command(Command::Stop(String::new()));
        // Files are finished by `finish`.
        Some(End::Over)
    }

    /// One that is lost beside others keeps its place for a while: it may be back in a moment.
    fn track_down(&mut self, track: TrackId) {
        self.senders.remove(&track);
        if let Some(screen) = &mut self.screen {
            if self.senders.is_empty() {
                screen.leaves(track);
            } else {
                screen.quiet(track, Some(Instant::now()));
                self.lost.insert(track, Instant::now() + KEPT);
            }
        }
        self.tell_screen();
    }

    fn sender_down(&mut self, peer: PeerId, sentence: &str, reason: Option<Reason>) -> Result<Option<End>, Failure> {
        let name = self.names.remove(&peer).unwrap_or_else(|| "the sender".to_string());
        // One that said goodbye leaves no tile behind.
        if reason.is_some()
            && let Some(screen) = &mut self.screen
        {
            for (track, _) in self.lost.extract_if(.., |track, _| track.peer == peer) {
                screen.leaves(track);
            }
        }
        let said = self.doorman.peer(&awaited::parting(&name, "stopped sending", reason, sentence));
        if self.names.is_empty() {
            if !self.config.common.reconnect {
                tracing::error!("the peer is lost and --no-reconnect was given");
                return Ok(Some(End::Lost));
            }
            if said {
                tracing::info!("{}", self.awaited.sentence());
            }
        }
        self.tell_screen();
        Ok(self.all_is_here())
    }

    /// Says in the window what is waited for, and who shows no picture.
    fn tell_screen(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        for (track, sender) in &self.senders {
            screen.says(*track, sender.words());
        }
        match senders::title(&self.senders) {
            Some(title) => {
                screen.awaits(String::new(), &title);
                screen.wants(String::new());
            }
            None => {
                screen.awaits(self.awaited.sentence(), self.awaited.place());
                screen.wants(self.awaited.sentence());
            }
        }
    }

    /// Files are finished and devices released, however it ended.
    fn finish(mut self, ended: Result<End, Failure>) -> Result<ExitCode, Failure> {
        let told = self.stop.requested();
        // What came is written while the rest is brought to its end.
        if let Some(files) = self.files.as_mut().filter(|_| told) {
            files.close();
        }
        self.net.command(Command::Stop(String::new()));
        let counters = self.net.stop();
        // The last counts came with the farewell.
        let last = std::iter::from_fn(|| self.notes.try_take()).filter_map(|note| match note {
            Note(Event::Stats(stats)) => Some(stats),
            _ => None,
        });
        if let Some(stats) = last.last() {
            self.anything |= brought_anything(&stats.receiving);
            let sound = heard(self.speaker.as_ref(), &self.tracks);
            self.report.total(&stats, &outside(counters, self.shown, sound, self.screening.as_deref(), &self.senders));
        }
        self.screen = None;
        self.speaker = None;
        self.screening = None;
        let written = self.files.take().map_or(Ok(true), |files| files.finish(told));
        match (ended?, written?) {
            (End::Due, _) if !self.anything => Err(nothing_came(&self.names, &self.awaited)),
            // Whoever asked for a file and did not end it by hand looks for it next.
            (End::Due | End::Over, false) => Err(Failure::new(ExitCode::Failed, "there was nothing to write")),
            (End::Lost, _) => Ok(ExitCode::PeerLost),
            (End::Told | End::Due | End::Over, _) => Ok(ExitCode::Ok),
        }
    }
}

fn nothing_came(names: &BTreeMap<PeerId, String>, awaited: &Awaited) -> Failure {
    let names: Vec<_> = names.values().map(String::as_str).collect();
    let sentence = match names[..] {
        [] => format!("nothing came within --duration ({})", awaited.sentence()),
        _ => format!("nothing came of {} within --duration", names.join(", ")),
    };
    Failure::new(ExitCode::PeerLost, sentence)
}

/// Whether a picture or sound has come by now.
fn brought_anything(stats: &ReceiverStats) -> bool {
    stats.total.whole + stats.total.partial + stats.total.blocks > 0
}

/// What is played, and blocks dropped before that; `None` without a speaker.
fn heard(speaker: Option<&Speaker>, tracks: &Tracks) -> Option<(playout::Stats, u64)> {
    speaker.map(|_| tracks.newest().and_then(|track| track.sound()).unwrap_or_default())
}

fn outside(
    net: net::Counters,
    shown: u32,
    sound: Option<(playout::Stats, u64)>,
    screening: Option<&Screening>,
    senders: &Senders,
) -> report::Outside {
    let names = senders.iter().map(|(peer, sender)| (*peer, sender.name.clone())).collect();
    report::Outside { net, shown, sound, slices_dropped: screening.map_or(0, Screening::dropped), names }
}
