//! `recv`: net → decoder → screen, speaker and files, and the words about it.
//!
//! The net thread hands slices and sound straight to their threads ([`Fanout`]); the main thread owns the window and is told of
//! pictures that are ready, and of everything a user wants to know.

mod files;
mod report;
mod screen;

use super::args;
use super::awaited::{self, Awaited};
use super::doorman::Doorman;
use super::failure::{Code, Failure};
use super::meet;
use super::notes::{self, Notes};
use super::status::{ExitCode, Stop};
use crate::net;
use crate::pipeline::fanout::{Fanout, SharedFeed};
use crate::pipeline::track::{Current, Track};
use crate::pipeline::{decode, hold_queue, lock};
use crate::present::speaker::Speaker;
use crate::slot::{Slot, Taken};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::hold::Hold;
use eyeline_proto::media::playout;
use eyeline_proto::session::TrackId;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::receiver::{self, Command, Event, Session};
use eyeline_proto::session::stats::ReceiverStats;
use eyeline_proto::wire::record::{Media, Reason};
use files::Files;
use report::Report;
use screen::{Screen, Turn};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the main thread is told beside pictures. A few a second.
pub(super) enum Note {
    Net(Event),
    /// A file is not written any more; `Files::finish` knows why.
    FileEnded,
}

impl notes::Note for Note {
    fn kind(&self) -> notes::Kind {
        use notes::Kind;
        match self {
            Note::Net(Event::SenderUp { again: false, peer, .. }) => Kind::Came(peer.0),
            // One is shown at a time.
            Note::Net(Event::SenderDown { .. }) => Kind::Left(0),
            Note::Net(Event::Unreachable { fatal: true, .. }) => Kind::Kept,
            Note::Net(Event::Quiet(..)) => Kind::State(0),
            Note::Net(Event::Stats(_)) => Kind::State(1),
            Note::Net(Event::Finished(_)) => Kind::State(2),
            Note::FileEnded => Kind::State(3),
            Note::Net(_) => Kind::Said,
        }
    }
}

/// How long the main thread waits for a picture before it looks at the keyboard.
const TURN: Duration = Duration::from_millis(25);

/// More threads than this gain nothing at the sizes there are.
const MAX_WORKERS: usize = 4;

/// Runs `recv` to its exit code.
pub fn run(config: &args::Recv) -> ExitCode {
    super::failure::conclude(try_run(config))
}

fn try_run(config: &args::Recv) -> Result<ExitCode, Failure> {
    let notes = Notes::new();
    let ready = Slot::newest();
    let wake = ready.clone();
    let stop = Stop::on_signals(move || wake.close()).code(ExitCode::Failed)?;

    // Whatever cannot be had is found out before anybody is told that we are here: first what was typed wrong, then devices.
    let files = Files::open(config, &ready, &notes)?;
    let screen = config.window.then(|| Screen::open(config.fullscreen)).transpose()?;
    let speaker = open_speaker(config)?;

    let now = Instant::now();
    let me = Identity {
        offers: Media::NONE,
        wants: Media { pictures: true, sound: speaker.is_some() || config.audio_output.is_some(), lossless: files.is_some() },
        psk: meet::psk(&config.common)?,
        id: eyeline_proto::crypto::random(),
        name: meet::machine_name(),
    };
    let (where_to, hosts) = meet::net_config(&config.common.meet);
    let core = receiver::Config { me, hosts, senders: 1, reconnect: config.common.reconnect, epoch: Epoch::new(now) };
    let hold = Hold::new(config.latency);
    if let Some((_, feed)) = &speaker {
        lock(feed).target(hold.sound_due());
    }
    let current = Current::new(Track::new(TrackId::default(), hold.clone()));

    // Pictures are decoded for a window, or, where there is neither window nor file, to be measured.
    let decodes = config.window || files.is_none();
    let feed = speaker.as_ref().map(|(_, feed)| feed.clone());
    let recorder = files.as_ref().map(|files| files.recorder.inlet());
    let on_event = notes.clone();
    let fanout = Fanout::new(feed, recorder, (current.clone(), hold), move |event| on_event.tell(Note::Net(event)));
    let outlet = fanout.outlet();
    let net = net::spawn(Session::new(now, core), where_to, fanout.into_callback()).code(ExitCode::Failed)?;
    if let Some(files) = &files {
        // Set once.
        let _ = files.recorder.back().set(net.commands());
    }
    let recycle = net.commands();
    let pool = decodes
        .then(|| {
            let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
            decode::Pool::new(workers, ready.clone(), move |body| recycle.leave(Command::Recycle(body)))
        })
        .transpose()
        .code(ExitCode::Failed)?;
    let holding = pool.as_ref().map(|pool| hold_queue::Inlet::new(pool.inlet())).transpose().code(ExitCode::Failed)?;
    outlet.decode_with(holding.as_ref().map(|(inlet, _)| inlet.clone()));
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
        holding,
        pool,
        current,
        hosts: meet::Hosts::new(&config.common),
        awaited,
        sender: None,
        doorman: Doorman::default(),
        report: Report::new(config.common.stats_json),
        shown: 0,
        film: false,
        anything: false,
        deadline: config.common.duration.map(|duration| now + duration),
    };
    let ended = recv.run();
    recv.finish(ended)
}

fn open_speaker(config: &args::Recv) -> Result<Option<(Speaker, SharedFeed)>, Failure> {
    let which = match &config.speaker {
        args::recv::Speaker::Off => return Ok(None),
        args::recv::Speaker::Default => None,
        args::recv::Speaker::Named(name) => Some(name.as_str()),
    };
    match Speaker::open(which, playout::Config::default()) {
        Ok(speaker) => {
            tracing::info!("speaker {}", speaker.name());
            let voice = speaker.mixer().voice();
            Ok(voice.map(|voice| (speaker, Arc::new(Mutex::new(voice)))))
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

/// Who is shown.
struct Sender {
    track: TrackId,
    name: String,
    /// Else it sends sound alone.
    pictures: bool,
    quiet: bool,
}

struct Recv<'a> {
    config: &'a args::Recv,
    net: net::Handle<Command>,
    notes: Notes<Note>,
    ready: Arc<Slot<decode::Ready>>,
    stop: Stop,
    screen: Option<Screen>,
    files: Option<Files>,
    speaker: Option<(Speaker, SharedFeed)>,
    holding: Option<(hold_queue::Inlet, hold_queue::Thread)>,
    pool: Option<decode::Pool>,
    current: Current,
    hosts: meet::Hosts,
    awaited: Awaited,
    sender: Option<Sender>,
    doorman: Doorman,
    report: Report,
    shown: u32,
    /// The sender that is shown skips nothing, and when it ends so do we.
    film: bool,
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
                let ended = match note {
                    Note::Net(event) => self.handle(event)?,
                    Note::FileEnded => Some(End::Over),
                };
                if let Some(end) = ended {
                    return Ok(end);
                }
            }
            if let Some(screen) = &mut self.screen
                && screen.turn(self.speaker.as_ref().map(|(speaker, _)| speaker.mixer()))? == Turn::Quit
            {
                return Ok(End::Told);
            }
        }
    }

    fn show(&mut self, decode::Ready { track: of, picture: ready }: decode::Ready) -> Result<(), Failure> {
        let track = self.current.get();
        // The last of a sender whose place another has taken.
        if track.reel.track() != of {
            return Ok(());
        }
        let at = match &mut self.screen {
            Some(screen) => {
                screen.show(of)?;
                std::iter::from_fn(|| screen.seen()).last().map_or(ready.decoded, |(_, at)| at)
            }
            None => ready.decoded,
        };
        // Where a file is written and no window open, shown means written.
        let written = self.files.as_ref().filter(|_| self.pool.is_none()).map(|files| files.recorder.written());
        let shown = written.unwrap_or(self.shown + 1);
        self.net.leave(Command::Shown(of, shown - std::mem::replace(&mut self.shown, shown)));
        self.report.size(ready.size);
        if let Some((inlet, _)) = &self.holding {
            inlet.took(at.saturating_duration_since(ready.released));
        }
        let mapping = *lock(&track.mapping);
        let Some(captured) = mapping.and_then(|mapping| mapping.captured(ready.capture, at)) else {
            self.report.shown(&ready, at, None, None);
            return Ok(());
        };
        let mut hold = lock(&track.hold);
        let held = ready.released.saturating_duration_since(ready.received);
        hold.picture_was(at, at.saturating_duration_since(captured).saturating_sub(held));
        let sound = self.speaker.as_ref().and_then(|(_, feed)| {
            let mut feed = lock(feed);
            feed.target(hold.sound_due());
            feed.stats().latency
        });
        hold.sound_is(sound);
        drop(hold);
        self.report.shown(&ready, at, Some(captured), sound);
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<Option<End>, Failure> {
        match event {
            Event::SenderUp { peer, name, address, host, again, pictures, film } => {
                self.film = film;
                self.hosts.reached(host);
                self.awaited.reached();
                let sends = if pictures { "is sending" } else { "is sending sound only" };
                self.doorman.peer(&format!("{name} ({address}) {}", if again { "is back" } else { sends }));
                let (track, shown) = (TrackId::only(peer), self.current.get());
                // Else another has taken its place already, and is announced next.
                if let Some(screen) = self.screen.as_mut().filter(|_| shown.reel.track() == track) {
                    screen.joins(track, name.clone(), shown.reel.canvas().clone());
                }
                self.sender = Some(Sender { track, name, pictures, quiet: false });
                self.tell_screen();
            }
            Event::SenderDown { reason, sentence, .. } => return self.sender_down(&sentence, reason),
            Event::Quiet(_, quiet) => {
                if quiet {
                    tracing::warn!("no signal for 3 s: waiting for it to come back");
                }
                if let Some(sender) = &mut self.sender {
                    sender.quiet = quiet;
                    if let Some(screen) = &mut self.screen {
                        screen.quiet(sender.track, quiet.then(|| Instant::now() - eyeline_proto::session::path::QUIET));
                    }
                }
                self.tell_screen();
            }
            // A live sender that is only watched has been left; the next one may come.
            Event::Finished(_) if !self.film && self.files.is_none() && self.config.common.reconnect => {}
            Event::Finished(_) => {
                tracing::info!("the end: everything is here");
                self.net.command(Command::Stop(String::new()));
                // Files are finished by `finish`.
                return Ok(Some(End::Over));
            }
            Event::NoUdp(_, address) => self.doorman.no_udp(address, &self.config.common.meet),
            Event::Narrow { address, narrow, .. } => self.doorman.narrow("the sender", address, narrow),
            Event::TurnedAway(from, sentence) => self.doorman.turned_away(from, &sentence),
            Event::Unreachable { host, error, fatal } => {
                if self.sender.is_none() {
                    self.awaited.unanswered();
                    self.tell_screen();
                }
                return self.hosts.unreachable(Instant::now(), host, &error, fatal).map(|()| None);
            }
            Event::Stats(stats) => {
                self.doorman.second(self.notes.take_untold());
                self.anything |= brought_anything(&stats);
                let outside = outside(self.net.counters(), self.shown, self.speaker.as_ref(), self.pool.as_ref());
                let lines = self.report.second(&stats, &outside)?;
                if let Some(screen) = &mut self.screen {
                    screen.figures(lines);
                }
            }
            // The fanout keeps these to itself.
            Event::Slice(..) | Event::Part(..) | Event::Settled(..) | Event::Sound { .. } | Event::Clock(..) => {}
            Event::Track(..) => {}
        }
        Ok(None)
    }

    fn sender_down(&mut self, sentence: &str, reason: Option<Reason>) -> Result<Option<End>, Failure> {
        let former = self.sender.take();
        if let (Some(screen), Some(former)) = (&mut self.screen, &former) {
            screen.leaves(former.track);
        }
        let name = former.map_or_else(|| "the sender".to_string(), |sender| sender.name);
        let said = self.doorman.peer(&awaited::parting(&name, "stopped sending", reason, sentence));
        if !self.config.common.reconnect {
            tracing::error!("the peer is lost and --no-reconnect was given");
            return Ok(Some(End::Lost));
        }
        if said {
            tracing::info!("{}", self.awaited.sentence());
        }
        self.tell_screen();
        Ok(None)
    }

    /// Says in the window what is waited for.
    fn tell_screen(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        match &self.sender {
            None => {
                screen.awaits(self.awaited.sentence(), self.awaited.place());
                return screen.wants(self.awaited.sentence());
            }
            Some(Sender { track, name, quiet, pictures }) => {
                let (words, title) = match (quiet, pictures) {
                    (true, _) => (format!("no signal from {name}"), format!("{name}, no signal")),
                    (false, false) => (format!("sound only\nfrom {name}"), format!("{name}, sound only")),
                    (false, true) => (format!("{name} is here: its first picture is on its way"), name.clone()),
                };
                screen.says(*track, words.clone());
                screen.awaits(words, &title);
            }
        }
        screen.wants(String::new());
    }

    /// Files are finished and devices released, however it ended.
    fn finish(mut self, ended: Result<End, Failure>) -> Result<ExitCode, Failure> {
        let told = self.stop.requested();
        // What came is written while the rest is brought to its end.
        if let Some(files) = self.files.as_mut().filter(|_| told) {
            files.recorder.close();
        }
        self.net.command(Command::Stop(String::new()));
        let counters = self.net.stop();
        // The last counts came with the farewell.
        let last = std::iter::from_fn(|| self.notes.try_take()).filter_map(|note| match note {
            Note::Net(Event::Stats(stats)) => Some(stats),
            _ => None,
        });
        if let Some(stats) = last.last() {
            self.anything |= brought_anything(&stats);
            self.report.total(&stats, &outside(counters, self.shown, self.speaker.as_ref(), self.pool.as_ref()));
        }
        self.screen = None;
        self.speaker = None;
        self.holding = None;
        self.pool = None;
        let written = self.files.take().map_or(Ok(true), |files| files.finish(told));
        match (ended?, written?) {
            (End::Due, _) if !self.anything => Err(nothing_came(self.sender.as_ref(), &self.awaited)),
            // Whoever asked for a file and did not end it by hand looks for it next.
            (End::Due | End::Over, false) => Err(Failure::new(ExitCode::Failed, "there was nothing to write")),
            (End::Lost, _) => Ok(ExitCode::PeerLost),
            (End::Told | End::Due | End::Over, _) => Ok(ExitCode::Ok),
        }
    }
}

fn nothing_came(sender: Option<&Sender>, awaited: &Awaited) -> Failure {
    let sentence = match sender {
        Some(Sender { name, .. }) => format!("nothing came of {name} within --duration"),
        None => format!("nothing came within --duration ({})", awaited.sentence()),
    };
    Failure::new(ExitCode::PeerLost, sentence)
}

/// Whether a picture or sound has come by now.
fn brought_anything(stats: &ReceiverStats) -> bool {
    stats.total.whole + stats.total.partial + stats.total.blocks > 0
}

fn outside(
    net: net::Counters,
    shown: u32,
    speaker: Option<&(Speaker, SharedFeed)>,
    pool: Option<&decode::Pool>,
) -> report::Outside {
    let sound = speaker.map(|(_, feed)| lock(feed)).map(|feed| (feed.stats(), feed.dropped()));
    report::Outside { net, shown, sound, slices_dropped: pool.map_or(0, decode::Pool::dropped) }
}
