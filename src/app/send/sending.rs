//! Our own source: opened while somebody watches, encoded, closed again.
//!
//! The source runs only while somebody watches: the camera's light is off otherwise. Who is only unheard is waited for with the
//! source open: many a camera needs longer to start than an outage lasts. A film starts with its first watcher and is then played
//! to its end whoever leaves.

use super::super::args;
use super::super::awaited;
use super::super::failure::{Code, Failure};
use super::super::notes::Notes;
use super::super::rendezvous;
use super::super::run::{Note, Run};
use super::super::status::ExitCode;
use super::super::ticker::{self, Place};
use super::jpegs::{Jpegs, Limit};
use super::plan::{Plan, say_of_screen};
use super::sending_stats::SendingStats;
use super::steering::Steering;
use crate::net;
use crate::pipeline::camera_supervisor;
use crate::pipeline::counts::Counts;
use crate::pipeline::encode::{self, Encoder};
use crate::pipeline::sink::EncodedSink;
use crate::pipeline::source::{self, Running};
use crate::pipeline::tee::{Own, Tee};
use crate::voice_processing::VoiceProcessing;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::picture::mcu_set::Owed;
use eyeline_proto::session::stats::Stats;
use eyeline_proto::session::{Command, Event};
use eyeline_proto::wire::record::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The source stays open so long for peers that are silent and did not leave.
const LINGER: Duration = Duration::from_secs(10);

pub struct Sending<'a> {
    config: &'a args::Send,
    plan: Plan,
    /// What becomes of what the microphone hears.
    voice: Option<VoiceProcessing>,
    encoder: Arc<Encoder>,
    /// Told when the source came to its end, or failed.
    notes: Notes<Note>,
    running: Option<Running>,
    /// Whether the end of what runs is news: not of one that we closed.
    news: Arc<AtomicBool>,
    /// By sources that were closed again.
    counted: Counts,
    statistics: SendingStats,
    jpegs: Jpegs,
    /// What pictures may take, and the most that anybody has use for, bits a second.
    target: Option<Bitrate>,
    wish: u64,
    /// Peers that said hello and not goodbye.
    linked: usize,
    /// When the source closes, if nobody is heard of.
    closes: Option<Instant>,
    /// Somebody has watched.
    watched: bool,
    /// Somebody does.
    watching: bool,
    tee: Tee,
    /// It was taken by somebody here when that was looked at last.
    taken: bool,
    /// When it was watched through a relay last: it is taken for watched as long as the source of peers that are silent is open.
    relayed: Option<Instant>,
    /// It came to its end, and is opened no more.
    over: bool,
    /// The user closed the camera.
    closed: bool,
    /// A film whose only viewer may steer it.
    steering: Option<Steering>,
}

impl<'a> Sending<'a> {
    /// What the plan says, for those this run meets; each slice that is sent goes to `sink` as well, and what the source gives to
    /// the tee. `voice`: what becomes of what a microphone hears.
    pub fn new(
        config: &'a args::Send,
        plan: Plan,
        run: &Run<'_>,
        sink: Option<Box<dyn EncodedSink>>,
        tee: &Tee,
        voice: Option<VoiceProcessing>,
    ) -> Result<Self, Failure> {
        let (quality, format, film) = (config.quality, plan.format(), plan.is_film());
        let own = Own::new(tee, &rendezvous::name(&config.common), quality, film);
        let encoding = encode::Config {
            quality,
            format,
            film,
            turn: config.turn,
            width: plan.scaled_to(),
            epoch: run.epoch,
            replenish: config.replenish,
            passthrough: config.passthrough,
            own: Some(own),
            published: run.published(),
        };
        let encoder = Arc::new(Encoder::new(encoding, run.net.commands(), sink).code(ExitCode::Failed)?);
        let mut sending = Sending {
            config,
            plan,
            voice: voice.clone(),
            encoder,
            notes: run.notes.clone(),
            running: None,
            news: Arc::default(),
            counted: Counts::default(),
            statistics: SendingStats::new(run.statistics.clone(), voice),
            jpegs: Jpegs::new(config.passthrough),
            target: None,
            wish: 0,
            linked: 0,
            closes: None,
            watched: false,
            watching: false,
            tee: tee.clone(),
            taken: false,
            relayed: None,
            over: false,
            closed: false,
            steering: None,
        };
        sending.taken = sending.is_taken();
        if sending.plan.runs_unwatched() || sending.taken {
            sending.start()?;
        }
        Ok(sending)
    }

    /// If it is a film, its only viewer may steer it.
    pub fn may_be_steered(&mut self) {
        self.steering = self.plan.film_length().map(Steering::new);
    }

    /// It is watched through a relay; or, where it is live, recorded, or shown in browsers, whoever else watches.
    fn is_taken(&self) -> bool {
        self.relayed.is_some() || self.tee.is_on() && !self.plan.is_film()
    }

    /// Starts where somebody here takes it, and ends where nobody does any longer, and nobody else watches.
    pub fn follow_takers(&mut self, run: &Run<'_>) -> Result<(), Failure> {
        if run.is_relayed() {
            if self.relayed.replace(Instant::now()).is_none() {
                tracing::info!("watched through the relay");
            }
        } else if self.relayed.is_some_and(|last| last.elapsed() >= LINGER) {
            self.relayed = None;
        }
        let taken = self.is_taken();
        if std::mem::replace(&mut self.taken, taken) != taken {
            if taken {
                self.start()?;
            } else if !self.watching && self.closes.is_none() {
                self.close(&run.net);
            }
        }
        Ok(())
    }

    /// What is sent.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it came to its end: nothing more comes.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Peers that said hello and not goodbye.
    pub fn linked(&self) -> usize {
        self.linked
    }

    /// When [`Sending::turn`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.closes
    }

    /// Closes the source where nobody was heard of for long.
    pub fn turn(&mut self, now: Instant, net: &net::Handle<Command>) {
        if self.closes.is_some_and(|closes| now >= closes) {
            self.close(net);
        }
    }

    fn start(&mut self) -> Result<(), Failure> {
        if self.running.is_none() && !self.over {
            self.news = Arc::new(AtomicBool::new(true));
            let (news, notes, sound) = (self.news.clone(), self.notes.clone(), self.plan.has_sound());
            let tell = move |note| match note {
                source::Note::Camera(note) => say_of_camera(&note, sound),
                source::Note::Screen(note) => say_of_screen(&note),
                source::Note::NoSound(error) => tracing::warn!("going on without sound: {error}"),
                source::Note::Ended if news.load(Ordering::Relaxed) => notes.tell(Note::SourceEnded),
                source::Note::Ended => {}
            };
            let source = source::Config { voice: self.voice.as_ref(), ..self.plan.source(self.config, self.closed) };
            self.running = Some(coded(Running::start(&source, &self.encoder, tell))?);
        }
        Ok(())
    }

    /// What concerns those who watch.
    pub fn handle(&mut self, event: &Event, net: &net::Handle<Command>) -> Result<(), Failure> {
        self.encoder.heed(event);
        match event {
            Event::PeerUp { again, .. } => {
                self.linked += usize::from(!again);
                if let Some(running) = &self.running {
                    running.show_again();
                }
            }
            Event::PeerDown { .. } => {
                self.linked = self.linked.saturating_sub(1);
                if self.linked == 0 && self.closes.is_some() {
                    self.close(net);
                }
            }
            Event::Watched(true) => {
                (self.closes, self.watched, self.watching) = (None, true, true);
                self.start()?;
                self.tell_film(net);
            }
            Event::Watched(false) if self.linked > 0 => {
                (self.closes, self.watching) = (Some(Instant::now() + LINGER), false);
            }
            Event::Watched(false) => {
                self.watching = false;
                self.close(net);
            }
            Event::Steer(steer) => {
                if let (Some(steering), Some(film)) = (&mut self.steering, self.running.as_ref().and_then(Running::film)) {
                    steering.steer(*steer, film, &self.encoder);
                }
                self.tell_film(net);
            }
            Event::Target(target) => self.target = *target,
            Event::Wanted(want) => {
                self.wish = want.rate;
                self.show_more();
            }
            Event::Owed(owed) if *owed != Owed::Nothing => self.show_more(),
            _ => {}
        }
        Ok(())
    }

    /// The session is told where the film is, where that is news: it was begun, was steered, or begins again.
    fn tell_film(&mut self, net: &net::Handle<Command>) {
        if let (Some(steering), Some(film)) = (&mut self.steering, self.running.as_ref().and_then(Running::film)) {
            steering.news(film, &self.encoder).into_iter().for_each(|news| net.command(news));
        }
    }

    /// What was asked for goes with the next picture, which a screen on which nothing moves gives only then.
    fn show_more(&self) {
        if let Some(running) = &self.running {
            running.show_more();
        }
    }

    /// What is said of a watcher that left; `complete`: it was given all there was.
    pub fn parting(&self, name: &str, reason: Option<Reason>, sentence: &str, complete: bool) -> String {
        match (reason, complete && sentence.is_empty()) {
            (Some(Reason::Quit), true) if self.plan.is_film() => format!("{name} has seen the whole film"),
            (Some(Reason::Quit), true) => format!("{name} has seen everything"),
            _ => awaited::parting(name, awaited::NO_MORE_WATCHING, reason, sentence),
        }
    }

    /// Says what becomes of the camera's JPEGs, and prints a second's measurements, where asked.
    pub fn second(&mut self, stats: &Stats, net: &net::Handle<Command>) -> Result<(), Failure> {
        let (counters, source, now) = (self.encoder.counters(), self.counts(), Instant::now());
        let limit = Limit::of(self.config.bitrate, self.target, self.wish, &stats.sending.peers);
        if let Some(line) = self.jpegs.line(self.encoder.treated(), limit, now) {
            tracing::info!("{line}");
        }
        if let Some(line) = self.jpegs.left_out(counters.withheld, stats.sending.pictures, limit, now) {
            tracing::warn!("{line}");
        }
        if let Some(length) = self.plan.film_length() {
            self.tell_film(net);
            let paused = self.steering.as_ref().is_some_and(Steering::is_paused);
            if let Some(film) = self.running.as_ref().and_then(Running::film) {
                let place = Steering::place(film, &self.encoder);
                self.statistics.beside(Place::Film, || ticker::film(place, length, paused));
            }
        }
        self.statistics.second(stats, &net.traffic(), counters, source)
    }

    fn close(&mut self, net: &net::Handle<Command>) {
        self.closes = None;
        if !self.plan.is_film() && !self.plan.runs_unwatched() && !self.is_taken() && self.stop(net) {
            tracing::info!("nobody watches: the source is closed until somebody does");
        }
    }

    fn stop(&mut self, net: &net::Handle<Command>) -> bool {
        let Some(running) = self.running.take() else { return false };
        self.counted = self.counted + running.counts();
        self.news.store(false, Ordering::Relaxed);
        drop(running);
        // What was caught last would be shown to the next as if it were live.
        net.command(Command::Closed);
        true
    }

    /// The user mutes the microphone or closes the camera, or lets them go on: the others are told. A camera that is closed is
    /// let go of, and its light is off.
    pub fn silence(&mut self, muted: bool, closed: bool, net: &net::Handle<Command>) -> Result<(), Failure> {
        self.encoder.silence(muted, closed);
        net.command(Command::Silence { muted, closed });
        if std::mem::replace(&mut self.closed, closed) != closed && self.plan.can_close() && self.stop(net) {
            self.start()?;
        }
        Ok(())
    }

    /// The source closed its slots and the encoder drained them: how it ended, where it was running.
    pub fn source_ended(&mut self) -> Option<Result<(), Failure>> {
        let running = self.running.take()?;
        self.over = true;
        self.counted = self.counted + running.counts();
        let useless = self.encoder.useless().map_or(Ok(()), |why| Err(Failure::new(ExitCode::Failed, why)));
        let outcome = coded(running.outcome()).and(useless);
        match &outcome {
            Ok(()) if self.watched || self.plan.is_film() => tracing::info!("{} is over", self.plan.what()),
            Ok(()) => {
                tracing::warn!("{} is over, and nobody watched; a film waits for who watches: --file FILM", self.plan.what())
            }
            Err(failure) if self.plan.is_film() => tracing::error!("{failure}"),
            Err(_) => {}
        }
        Some(outcome)
    }

    /// What the sources of this run counted.
    fn counts(&self) -> Counts {
        self.running.as_ref().map_or(self.counted, |running| self.counted + running.counts())
    }

    /// It is over: the source is closed.
    pub fn finish(&mut self) {
        // A source that came to its end is encoded.
        self.encoder.stop();
        self.counted = self.counts();
        self.running = None;
    }

    /// Prints what came of all of it, where asked.
    pub fn total(&self, stats: &Stats, traffic: &net::Traffic) {
        self.statistics.total(stats, traffic, self.encoder.counters(), self.counts());
    }
}

/// `sound`: there is some to go on with.
fn say_of_camera(note: &camera_supervisor::Note, sound: bool) {
    match note {
        camera_supervisor::Note::Gone(why) => {
            let meanwhile = if sound { "; sound goes on meanwhile" } else { "" };
            tracing::warn!("{why} (it then goes on by itself{meanwhile})");
        }
        camera_supervisor::Note::Refused { why, was_away } => {
            let found = if *was_away { "is there again, but" } else { "cannot be used yet:" };
            tracing::warn!("the camera {found} {why} (it is tried again until it can be used)");
        }
        camera_supervisor::Note::Back(chosen) => tracing::info!("the camera is back: {chosen}"),
    }
}

/// With the exit code that a source's error means.
fn coded<T>(outcome: Result<T, source::Error>) -> Result<T, Failure> {
    let code = if matches!(outcome, Err(source::Error::Camera(_) | source::Error::Screen(_))) {
        ExitCode::Device
    } else {
        ExitCode::Failed
    };
    outcome.code(code)
}
