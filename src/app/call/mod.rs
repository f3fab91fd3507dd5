//! `call`: our camera and microphone for all others, theirs for us; and who waits passes each one's on to all others.
//!
//! It is `send` and `recv` in one session (`send/sending.rs`, `recv/viewing.rs`): one port, one window, one loop. What is said
//! between people is here, and so is what one does to one's own devices.

mod own;
mod typed;

use super::args;
use super::awaited;
use super::door::Door;
use super::failure::{Code, Failure};
use super::last_will::LastWill;
use super::notes::{self, Notes};
use super::recv::viewing::{self, Devices, Viewing};
use super::rendezvous;
use super::screen::{Screen, Turn, Wish};
use super::send::plan::Plan;
use super::send::sending::Sending;
use super::stats::Statistics;
use super::status::{ExitCode, Stop};
use crate::net;
use crate::present::exit_hook::ExitHook;
use crate::present::keys::Bindings;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::stats::Stats;
use eyeline_proto::session::{self, Command, Event, PeerId, Session};
use eyeline_proto::wire::record::Media;
use own::OwnPicture;
use std::collections::BTreeSet;
use std::time::Instant;
use typed::Unsaid;

/// What the main thread is told beside pictures.
pub enum Note {
    Net(Event),
    /// The source came to its end, or failed.
    SourceEnded,
    /// A line was typed where there is no window to type it in.
    Typed(String),
}

impl notes::Note for Note {
    fn kind(&self) -> notes::Kind {
        match self {
            Note::Net(event) => notes::kind_of(event),
            Note::SourceEnded => notes::Kind::Kept,
            Note::Typed(_) => notes::Kind::Said,
        }
    }
}

/// Runs `call` to its exit code.
pub fn run(config: &args::Call) -> ExitCode {
    super::failure::conclude(try_run(config))
}

fn try_run(config: &args::Call) -> Result<ExitCode, Failure> {
    let (common, notes) = (&config.send.common, Notes::new());
    let ready = viewing::announced();
    let wake = ready.clone();
    let stop = Stop::on_signals(move || wake.close()).code(ExitCode::Failed)?;

    // Whatever cannot be had is found out before anybody is told that we are here.
    let plan = Plan::make(&config.send, true)?;
    let will = LastWill::default();
    let _exit_hook = config.showing.window.then(|| will.hook());
    let screen = config.showing.window.then(|| Screen::open(config.showing.fullscreen, Bindings::Call)).transpose()?;
    let speaker = viewing::open_speaker(&config.showing.speaker)?;

    let now = Instant::now();
    let epoch = Epoch::new(now);
    // What nobody sees or hears here is still passed on.
    let me = Identity { offers: plan.offers(), wants: Media::LIVE, forwards: true, ..rendezvous::identity(common) };
    let (where_to, hosts) = rendezvous::net_config(&common.rendezvous);
    let (reconnect, format, cap) = (common.reconnect, plan.format(), config.send.bitrate);
    let statistics = Statistics::open(common.stats_json)?;
    let devices = Devices { ready, screen, speaker, files: None };
    let on_event = notes.clone();
    let (viewing, on_event) =
        Viewing::new(devices, config.showing.latency, config.showing.window, statistics.clone(), move |event| {
            on_event.tell(Note::Net(event));
        })?;
    let core = session::Config { hosts, reconnect, format, cap, want: viewing.uses, ..session::Config::new(me, epoch) };
    let net = net::spawn(Session::new(now, core), where_to, on_event).code(ExitCode::Failed)?;
    will.tells(net.commands());
    let door = Door::open("call", common, net.local_addr());
    let own =
        if plan.has_pictures() { viewing.screening().map(|screening| OwnPicture::new(screening, viewing.ready())) } else { None };
    let sending = if plan.offers().is_none() {
        None
    } else {
        let (on_end, sink) = (notes.clone(), own.as_ref().map(OwnPicture::sink));
        let printed = statistics.clone();
        Some(Sending::new(&config.send, plan, epoch, printed, net.commands(), sink, move || on_end.tell(Note::SourceEnded))?)
    };
    if config.chat {
        let typed = notes.clone();
        typed::listen(move |line| typed.tell(Note::Typed(line))).code(ExitCode::Failed)?;
    }
    let deadline = common.duration.map(|duration| now + duration);
    let (muted, closed) = (false, false);
    let (peers, met, failed, unsaid) = (BTreeSet::new(), false, None, Unsaid::default());
    let mut call = Call {
        config,
        net,
        notes,
        stop: &stop,
        viewing,
        sending,
        own,
        door,
        deadline,
        peers,
        met,
        failed,
        muted,
        closed,
        unsaid,
        _exit_hook,
    };
    let ended = call.run();
    // Why we leave, in words for the others.
    let last_words = ended.as_ref().err().map(Failure::to_string).unwrap_or_default();
    let failed = call.finish(last_words);
    Statistics::end(statistics, ended.and_then(|code| failed.map_or(Ok(code), Err)))
}

struct Call<'a> {
    config: &'a args::Call,
    net: net::Handle<Command>,
    notes: Notes<Note>,
    stop: &'a Stop,
    viewing: Viewing,
    /// None where nothing is sent: a meeting point without a person.
    sending: Option<Sending<'a>>,
    own: Option<OwnPicture>,
    door: Door<'a>,
    deadline: Option<Instant>,
    /// Who sees and hears us, or what we forward.
    peers: BTreeSet<PeerId>,
    /// Somebody was here.
    met: bool,
    /// Our source did, and we stayed: how it will end.
    failed: Option<Failure>,
    /// Our microphone is.
    muted: bool,
    /// Our camera is.
    closed: bool,
    unsaid: Unsaid,
    _exit_hook: Option<ExitHook>,
}

impl Call<'_> {
    fn run(&mut self) -> Result<ExitCode, Failure> {
        self.viewing.tell_screen(&self.door);
        self.show_own();
        loop {
            let now = Instant::now();
            if self.stop.requested() {
                return Ok(ExitCode::Ok);
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                return self.due();
            }
            self.net.check().code(ExitCode::Failed)?;
            self.viewing.wait(now, &self.net)?;
            while let Some(note) = self.notes.try_take() {
                match note {
                    Note::Net(event) => {
                        if let Some(code) = self.handle(event)? {
                            return Ok(code);
                        }
                    }
                    Note::SourceEnded => self.source_ended(),
                    Note::Typed(line) => self.say(line),
                }
            }
            if let Some(sending) = &mut self.sending {
                sending.turn(now, &self.net);
            }
            if self.viewing.turn(now, &self.net)? == Turn::Quit {
                return Ok(ExitCode::Ok);
            }
            while let Some(wish) = self.viewing.screen.as_mut().and_then(Screen::wish) {
                self.grant(wish)?;
            }
            while let Some(line) = self.unsaid.due(now) {
                self.say(line);
            }
        }
    }

    /// `--duration` is over.
    fn due(&self) -> Result<ExitCode, Failure> {
        if self.met {
            return Ok(ExitCode::Ok);
        }
        Err(Failure::new(ExitCode::PeerLost, format!("nobody came within --duration ({})", self.door.sentence())))
    }

    fn nobody_is_here(&self) -> bool {
        self.peers.is_empty() && self.viewing.names.is_empty()
    }

    fn handle(&mut self, event: Event) -> Result<Option<ExitCode>, Failure> {
        if self.door.handle(&event, self.nobody_is_here())? {
            self.viewing.tell_screen(&self.door);
        }
        if let Some(sending) = &mut self.sending {
            sending.handle(&event, &self.net)?;
        }
        let leaves = matches!(event, Event::PeerDown { .. } | Event::SenderDown { .. });
        match event {
            Event::PeerUp { peer, name, address, host, again, sends, .. } => {
                self.peers.insert(peer);
                self.door.reached(host);
                // Who sends as well is told of as a sender.
                if !sends {
                    self.door.says(&format!("{name} ({address}) {}", if again { "is back" } else { "watches" }));
                }
            }
            Event::PeerDown { peer, name, sentence, reason, complete } => {
                self.peers.remove(&peer);
                if !self.viewing.names.contains_key(&peer) {
                    self.door.says(&match &self.sending {
                        Some(sending) => sending.parting(&name, reason, &sentence, complete),
                        None => awaited::parting(&name, awaited::NO_MORE_WATCHING, reason, &sentence),
                    });
                }
            }
            Event::Stats(stats) => {
                self.door.second(self.notes.take_untold());
                self.second(&stats)?;
            }
            Event::Text { name, line } => self.said(&name, &line),
            // The last picture of what is over would stand at the others as if it were live.
            Event::Delivered { .. } => self.net.command(Command::Silence { muted: true, closed: true }),
            event => self.viewing.handle(event, &mut self.door),
        }
        self.met |= !self.nobody_is_here();
        if leaves && self.nobody_is_here() && !self.config.send.common.reconnect {
            tracing::error!("the peer is lost and --no-reconnect was given");
            return Ok(Some(ExitCode::PeerLost));
        }
        Ok(None)
    }

    fn second(&mut self, stats: &Stats) -> Result<(), Failure> {
        if let Some(sending) = &mut self.sending {
            sending.second(stats, &self.net)?;
        }
        self.viewing.second(stats, &self.net)
    }

    /// A film is over, or a device failed: we stay, and see and hear the others.
    fn source_ended(&mut self) {
        let Some(sending) = &mut self.sending else { return };
        let Some(outcome) = sending.source_ended() else { return };
        if let Err(failure) = outcome {
            if !sending.plan().is_film() {
                tracing::error!("{failure} (the others neither see nor hear us from now on)");
            }
            self.failed = Some(failure.said());
        }
        self.net.command(Command::End);
        self.own = None;
        self.show_own();
    }

    fn say(&mut self, line: String) {
        // It is kept for nobody.
        self.said(if self.nobody_is_here() { "you, to nobody" } else { "you" }, &line);
        self.net.command(Command::Text(line));
    }

    fn said(&mut self, name: &str, line: &str) {
        tracing::info!("{name}: {line}");
        if let Some(screen) = &mut self.viewing.screen {
            screen.said(name, line);
        }
    }

    /// What somebody at the window wants of his own devices.
    fn grant(&mut self, wish: Wish) -> Result<(), Failure> {
        match wish {
            Wish::Say(line) => {
                if !self.unsaid.push(line) {
                    tracing::warn!("more is typed than others take: a line is not said");
                }
                return Ok(());
            }
            // There may be none to mute, or to close.
            Wish::Microphone => self.muted ^= self.sending.as_ref().is_some_and(|sending| sending.plan().has_sound()),
            Wish::Camera => self.closed ^= self.sending.as_ref().is_some_and(|sending| sending.plan().has_pictures()),
        }
        let Some(sending) = self.sending.as_mut().filter(|sending| !sending.is_over()) else { return Ok(()) };
        let (muted, closed) = (self.muted, self.closed);
        sending.silence(muted, closed, &self.net)?;
        if let Some(screen) = &mut self.viewing.screen {
            screen.microphone_muted(muted);
            screen.camera_closed(closed);
        }
        self.show_own();
        Ok(())
    }

    fn show_own(&mut self) {
        let canvas = self.own.as_ref().filter(|_| !self.closed).map(|own| own.canvas().clone());
        if let Some(screen) = &mut self.viewing.screen {
            screen.own(canvas);
        }
    }

    /// Says goodbye; what failed on the way.
    fn finish(mut self, last_words: String) -> Option<Failure> {
        let ended = self.sending.take().map(Sending::finish);
        self.net.command(Command::Stop(last_words));
        // This writes the goodbyes.
        let traffic = self.net.stop();
        // The last counts came with them.
        let last = std::iter::from_fn(|| self.notes.try_take()).filter_map(|note| match note {
            Note::Net(Event::Stats(stats)) => Some(stats),
            _ => None,
        });
        if let Some(stats) = last.last() {
            if let Some(ended) = &ended {
                ended.total(&stats, &traffic);
            }
            self.viewing.total(&stats, traffic);
        }
        self.failed
    }
}
