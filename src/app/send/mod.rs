//! `send`: sources → encoder → net, and the words about it.
//!
//! The source runs only while somebody watches: the camera's light is off otherwise. Who is only unheard is waited for with the source open:
//! many a camera needs longer to start than an outage lasts. A film starts with its first watcher and is
//! then played to its end whoever leaves.

mod films;
mod plan;
mod preview;
mod report;

use super::args;
use super::awaited::{self, Awaited};
use super::doorman::Doorman;
use super::failure::{Code, Failure};
use super::meet;
use super::notes::{self, Notes};
use super::status::{ExitCode, Stop};
use crate::net;
use crate::pipeline::camera_supervisor;
use crate::pipeline::counts::Counts;
use crate::pipeline::encode::{self, Encoder};
use crate::pipeline::source::{self, Running};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{self, Command, Event, Session};
use eyeline_proto::wire::record::{Media, Reason};
use plan::Plan;
use preview::Preview;
use report::Report;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the main thread waits for. Few a second at most: slices and sound do not pass here.
enum Note {
    Net(Event),
    /// A signal came.
    Signal,
    /// The source came to its end, or failed.
    SourceEnded,
}

impl notes::Note for Note {
    fn kind(&self) -> notes::Kind {
        use notes::Kind;
        match self {
            Note::Net(Event::PeerUp { peer, again: false, .. }) => Kind::Came(peer.0),
            Note::Net(Event::PeerDown { peer, .. }) => Kind::Left(peer.0),
            Note::Net(Event::Unreachable { fatal: true, .. } | Event::Delivered) | Note::SourceEnded => Kind::Kept,
            Note::Net(Event::Watched(_)) => Kind::State(0),
            Note::Net(Event::Pressure(_)) => Kind::State(1),
            Note::Net(Event::Target(_)) => Kind::State(2),
            Note::Net(Event::Stats(_)) => Kind::State(3),
            Note::Signal => Kind::State(4),
            Note::Net(_) => Kind::Said,
        }
    }
}

/// How long `send` waits without events when a preview window wants its turn.
const PREVIEW_TURN: Duration = Duration::from_millis(10);

/// So often it is looked whether the net thread, which else says something every second, is still there.
const TURN: Duration = Duration::from_secs(5);

/// The source stays open so long for peers that are silent and did not leave.
const LINGER: Duration = Duration::from_secs(10);

/// Runs `send` to its exit code.
pub fn run(config: &args::Send) -> ExitCode {
    super::failure::conclude(try_run(config))
}

fn try_run(config: &args::Send) -> Result<ExitCode, Failure> {
    let plan = Plan::make(config)?;
    // Whatever cannot be had is found out before anybody is told that we are here.
    let preview = config.preview.then(|| Preview::open(&plan)).transpose()?;
    let notes = Notes::new();
    let on_signal = notes.clone();
    let stop = Stop::on_signals(move || on_signal.tell(Note::Signal)).code(ExitCode::Failed)?;

    let now = Instant::now();
    let epoch = Epoch::new(now);
    let me = Identity {
        offers: Media { pictures: plan.has_pictures(), sound: plan.has_sound(), lossless: plan.is_film() },
        wants: Media::NONE,
        forwards: false,
        psk: meet::psk(&config.common)?,
        id: eyeline_proto::crypto::random(),
        name: meet::machine_name(),
    };
    let (where_to, hosts) = meet::net_config(&config.common.meet);
    let reconnect = config.common.reconnect;
    let (format, cap) = (plan.format(), config.bitrate);
    let core = session::Config { hosts, reconnect, format, cap, ..session::Config::new(me, epoch) };
    let on_event = notes.clone();
    let net =
        net::spawn(Session::new(now, core), where_to, move |event| on_event.tell(Note::Net(event))).code(ExitCode::Failed)?;
    awaited::announce("send", &config.common.meet, config.common.key.is_some(), net.local_addr());
    let awaited = Awaited::new("send", &config.common.meet, net.local_addr());

    let shown = preview.as_ref().map(Preview::sink);
    let (quality, format, film) = (config.quality, plan.format(), plan.is_film());
    let encoding = encode::Config { quality, format, film, width: plan.width.filter(|_| !film), epoch };
    let encoder = Encoder::new(encoding, net.commands(), shown).code(ExitCode::Failed)?;
    let mut send = Send {
        config,
        plan,
        encoder: Arc::new(encoder),
        net,
        notes,
        stop,
        running: None,
        counted: Counts::default(),
        hosts: meet::Hosts::new(&config.common),
        awaited,
        doorman: Doorman::default(),
        preview,
        report: Report::new(config.common.stats_json),
        deadline: config.common.duration.map(|duration| now + duration),
        linked: 0,
        closes: None,
        ending: None,
        last_words: String::new(),
    };
    let ended = send.run();
    send.finish();
    ended
}

struct Send<'a> {
    config: &'a args::Send,
    plan: Plan,
    encoder: Arc<Encoder>,
    net: net::Handle<Command>,
    notes: Notes<Note>,
    stop: Stop,
    running: Option<Running>,
    /// By sources that were closed again.
    counted: Counts,
    hosts: meet::Hosts,
    awaited: Awaited,
    doorman: Doorman,
    preview: Option<Preview>,
    report: Report,
    deadline: Option<Instant>,
    /// Peers that said hello and not goodbye.
    linked: usize,
    /// When the source closes, if nobody is heard of.
    closes: Option<Instant>,
    /// The source is over and this is how the program will end.
    ending: Option<Result<ExitCode, Failure>>,
    /// Why we leave, in words for those who watch.
    last_words: String,
}

impl Send<'_> {
    fn run(&mut self) -> Result<ExitCode, Failure> {
        self.tell_preview();
        if self.plan.runs_unwatched() {
            self.start()?;
        }
        loop {
            if self.stop.requested() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(ExitCode::Ok);
            }
            self.net.check().code(ExitCode::Failed)?;
            if let Some(preview) = &mut self.preview
                && !preview.turn()?
            {
                return Ok(ExitCode::Ok);
            }
            if self.closes.is_some_and(|closes| Instant::now() >= closes) {
                self.close();
            }
            let until = self.deadline.into_iter().chain(self.closes).min();
            let until = until.map(|until| until.saturating_duration_since(Instant::now()));
            let turn = if self.preview.is_some() { PREVIEW_TURN } else { TURN };
            let ended = match self.notes.take_within(until.map_or(turn, |until| until.min(turn))) {
                Some(Note::Net(event)) => self.handle(event)?,
                Some(Note::SourceEnded) => self.source_ended()?,
                Some(Note::Signal) | None => None,
            };
            if let Some(code) = ended {
                return Ok(code);
            }
        }
    }

    fn start(&mut self) -> Result<(), Failure> {
        if self.running.is_none() && self.ending.is_none() {
            let (notes, sound) = (self.notes.clone(), self.plan.has_sound());
            let tell = move |note| match note {
                source::Note::Camera(note) => say_of_camera(&note, sound),
                source::Note::NoSound(error) => tracing::warn!("going on without sound: {error}"),
                source::Note::Ended => notes.tell(Note::SourceEnded),
            };
            let source = self.plan.source(self.config);
            self.running = Some(coded(Running::start(&source, &self.encoder, tell))?);
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<Option<ExitCode>, Failure> {
        match event {
            Event::PeerUp { name, address, host, again, .. } => {
                self.hosts.reached(host);
                self.awaited.reached();
                self.tell_preview();
                self.linked += usize::from(!again);
                if let Some(running) = &self.running {
                    running.show_again();
                }
                let verb = if again { "is back" } else { "watches" };
                self.doorman.peer(&format!("{name} ({address}) {verb}"));
            }
            Event::PeerDown { name, sentence, reason, complete, .. } => {
                self.linked = self.linked.saturating_sub(1);
                if self.linked == 0 && self.closes.is_some() {
                    self.close();
                }
                let line = match (reason, complete && sentence.is_empty()) {
                    (Some(Reason::Quit), true) if self.plan.is_film() => format!("{name} has seen the whole film"),
                    (Some(Reason::Quit), true) => format!("{name} has seen everything"),
                    _ => awaited::parting(&name, "stopped watching", reason, &sentence),
                };
                self.doorman.peer(&line);
                let dialled = self.config.common.meet.wait.is_none();
                if !self.config.common.reconnect && self.ending.is_none() && (dialled || reason.is_none()) {
                    tracing::error!("the peer is lost and --no-reconnect was given");
                    return Ok(Some(ExitCode::PeerLost));
                }
            }
            Event::Watched(true) => {
                self.closes = None;
                self.start()?;
            }
            Event::Watched(false) if self.linked > 0 => self.closes = Some(Instant::now() + LINGER),
            Event::Watched(false) => self.close(),
            Event::Pressure(on) => self.encoder.hold(on),
            Event::Target(target) => self.encoder.set_target(target),
            Event::NoUdp(address) => self.doorman.no_udp(address, &self.config.common.meet),
            Event::Narrow { name, address, narrow } => self.doorman.narrow(&name, address, narrow),
            Event::TurnedAway(from, sentence) => self.doorman.turned_away(from, &sentence),
            Event::Unreachable { host, error, fatal } => {
                if self.linked == 0 {
                    self.awaited.unanswered();
                    self.tell_preview();
                }
                return self.hosts.unreachable(Instant::now(), host, &error, fatal).map(|()| None);
            }
            Event::Stats(stats) => {
                self.doorman.second(self.notes.take_untold());
                let source = self.counts();
                self.report.second(&stats, &self.net.counters(), self.encoder.counters(), source)?;
            }
            Event::Delivered => return self.ending.take().unwrap_or(Ok(ExitCode::Ok)).map(Some),
            Event::Text { name, line } => tracing::info!("{name}: {line}"),
            // Of what is received, and nothing is.
            _ => {}
        }
        Ok(None)
    }

    /// Nobody watches.
    fn close(&mut self) {
        self.closes = None;
        if !self.plan.is_film()
            && !self.plan.runs_unwatched()
            && let Some(running) = self.running.take()
        {
            self.counted = self.counted + running.counts();
            drop(running);
            // What was caught last would be shown to the next as if it were live.
            self.net.command(Command::Closed);
            tracing::info!("nobody watches: the source is closed until somebody does");
        }
    }

    /// The source closed its slots and the encoder drained them.
    fn source_ended(&mut self) -> Result<Option<ExitCode>, Failure> {
        let Some(running) = self.running.take() else { return Ok(None) };
        self.counted = self.counted + running.counts();
        let useless = self.encoder.useless().map_or(Ok(()), |why| Err(Failure::new(ExitCode::Failed, why)));
        let outcome = coded(running.outcome()).and(useless);
        match &outcome {
            Ok(()) => tracing::info!("{} is over", self.plan.what()),
            // The stream has not come to its end: who watches is told what happened, and waits for the next.
            Err(failure) if !self.plan.is_film() => {
                self.last_words = failure.to_string();
                return outcome.map(|()| None);
            }
            Err(failure) => tracing::error!("{failure}"),
        }
        self.last_words = "the source is over".to_string();
        self.ending = Some(outcome.map(|()| ExitCode::Ok).map_err(Failure::said));
        self.net.command(Command::End);
        Ok(None)
    }

    /// Says in the preview what is waited for.
    fn tell_preview(&mut self) {
        if let Some(preview) = &mut self.preview {
            preview.awaits(self.awaited.sentence());
        }
    }

    /// What the sources of this run counted.
    fn counts(&self) -> Counts {
        self.running.as_ref().map_or(self.counted, |running| self.counted + running.counts())
    }

    fn finish(mut self) {
        // A source that came to its end is encoded.
        self.encoder.stop();
        let source = self.counts();
        self.running = None;
        self.net.command(Command::Stop(self.last_words));
        // This writes the goodbyes.
        let counters = self.net.stop();
        // The last counts came with them.
        let last = std::iter::from_fn(|| self.notes.try_take()).filter_map(|note| match note {
            Note::Net(Event::Stats(stats)) => Some(stats),
            _ => None,
        });
        if let Some(stats) = last.last() {
            self.report.total(&stats, &counters, self.encoder.counters(), source);
        }
    }
}

/// `sound`: there is some to go on with.
fn say_of_camera(note: &camera_supervisor::Note, sound: bool) {
    match note {
        camera_supervisor::Note::Gone(why) => {
            let meanwhile = if sound { "; sound goes on" } else { "" };
            tracing::warn!("{why} (send goes on with it{meanwhile})");
        }
        camera_supervisor::Note::Back(chosen) => tracing::info!("the camera is back: {chosen}"),
    }
}

/// With the exit code that a source's error means.
fn coded<T>(outcome: Result<T, source::Error>) -> Result<T, Failure> {
    let code = if matches!(outcome, Err(source::Error::Camera(_))) { ExitCode::Device } else { ExitCode::Failed };
    outcome.code(code)
}
