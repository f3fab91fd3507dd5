//! `send`: our source for whoever wants it, and the words about it.

mod films;
pub mod plan;
mod preview;
pub mod sending;
mod sending_stats;

use super::args;
use super::door::Door;
use super::failure::{Code, Failure};
use super::last_will::LastWill;
use super::notes::{self, Notes};
use super::rendezvous;
use super::stats::Statistics;
use super::status::{ExitCode, Stop};
use crate::net;
use crate::present::exit_hook::ExitHook;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{self, Command, Event, Session};
use eyeline_proto::wire::record::{Media, Reason};
use plan::Plan;
use preview::Preview;
use sending::Sending;
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
        match self {
            Note::Net(event) => notes::kind_of(event),
            Note::SourceEnded => notes::Kind::Kept,
            Note::Signal => notes::Kind::State(0),
        }
    }
}

/// How long `send` waits without events when a preview window wants its turn.
const PREVIEW_TURN: Duration = Duration::from_millis(10);

/// So often it is looked whether the net thread, which else says something every second, is still there.
const TURN: Duration = Duration::from_secs(5);

/// Runs `send` to its exit code.
pub fn run(config: &args::Send) -> ExitCode {
    super::failure::conclude(try_run(config))
}

fn try_run(config: &args::Send) -> Result<ExitCode, Failure> {
    let plan = Plan::make(config, false)?;
    // Whatever cannot be had is found out before anybody is told that we are here.
    let will = LastWill::default();
    let exit_hook = config.preview.then(|| will.hook());
    let preview = config.preview.then(|| Preview::open(&plan)).transpose()?;
    let notes = Notes::new();
    let on_signal = notes.clone();
    let stop = Stop::on_signals(move || on_signal.tell(Note::Signal)).code(ExitCode::Failed)?;

    let now = Instant::now();
    let epoch = Epoch::new(now);
    let me = Identity { offers: plan.offers(), wants: Media::NONE, forwards: false, ..rendezvous::identity(&config.common) };
    let (where_to, hosts) = rendezvous::net_config(&config.common.rendezvous);
    let (reconnect, format, cap) = (config.common.reconnect, plan.format(), config.bitrate);
    let core = session::Config { hosts, reconnect, format, cap, ..session::Config::new(me, epoch) };
    let on_event = notes.clone();
    let net =
        net::spawn(Session::new(now, core), where_to, move |event| on_event.tell(Note::Net(event))).code(ExitCode::Failed)?;
    will.tells(net.commands());
    let door = Door::open("send", &config.common, net.local_addr());
    let statistics = Statistics::open(config.common.stats_json)?;
    let (on_end, shown) = (notes.clone(), preview.as_ref().map(Preview::sink));
    let printed = statistics.clone();
    let sending = Sending::new(config, plan, epoch, printed, net.commands(), shown, move || on_end.tell(Note::SourceEnded))?;
    let mut send = Send {
        config,
        sending,
        net,
        notes,
        stop: &stop,
        door,
        preview,
        deadline: config.common.duration.map(|duration| now + duration),
        ending: None,
        seen: false,
        unseen: false,
        last_words: String::new(),
        _exit_hook: exit_hook,
    };
    let ended = send.run();
    send.finish();
    Statistics::end(statistics, ended)
}

struct Send<'a> {
    config: &'a args::Send,
    sending: Sending<'a>,
    net: net::Handle<Command>,
    notes: Notes<Note>,
    stop: &'a Stop,
    door: Door<'a>,
    preview: Option<Preview>,
    deadline: Option<Instant>,
    /// The source is over and this is how the program will end.
    ending: Option<Result<ExitCode, Failure>>,
    /// Somebody left who had been given the whole film.
    seen: bool,
    /// Somebody was lost after the source was over.
    unseen: bool,
    /// Why we leave, in words for those who watch.
    last_words: String,
    _exit_hook: Option<ExitHook>,
}

impl Send<'_> {
    fn run(&mut self) -> Result<ExitCode, Failure> {
        self.tell_preview();
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
            self.sending.turn(Instant::now(), &self.net);
            let until = self.deadline.into_iter().chain(self.sending.due()).min();
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

    fn handle(&mut self, event: Event) -> Result<Option<ExitCode>, Failure> {
        self.sending.handle(&event, &self.net)?;
        if self.door.handle(&event, self.sending.linked() == 0)? {
            self.tell_preview();
        }
        match event {
            Event::PeerUp { name, address, host, again, .. } => {
                self.door.reached(host);
                self.tell_preview();
                self.door.says(&format!("{name} ({address}) {}", if again { "is back" } else { "watches" }));
            }
            Event::PeerDown { name, sentence, reason, complete, .. } => {
                self.door.says(&self.sending.parting(&name, reason, &sentence, complete));
                self.seen |= complete && reason == Some(Reason::Quit);
                self.unseen |= reason.is_none() && self.ending.is_some();
                let last = self.sending.linked() == 0;
                if !self.config.common.reconnect && self.ending.is_none() && last {
                    tracing::error!("the peer is lost and --no-reconnect was given");
                    return Ok(Some(ExitCode::PeerLost));
                }
            }
            Event::Stats(stats) => {
                self.door.second(self.notes.take_untold());
                self.sending.second(&stats, &self.net)?;
            }
            Event::Text { name, line } => tracing::info!("{name}: {line}"),
            Event::Delivered { complete, lacking } => return self.delivered(complete, &lacking).map(Some),
            _ => {}
        }
        Ok(None)
    }

    /// The end has been given out. A film that nobody saw to its end, of those who were there then, is no success.
    fn delivered(&mut self, complete: bool, lacking: &[String]) -> Result<ExitCode, Failure> {
        let outcome = self.ending.take().unwrap_or(Ok(ExitCode::Ok))?;
        if !self.sending.plan().is_film() {
            return Ok(outcome);
        }
        for name in lacking {
            tracing::warn!("{name} has not got all of the film");
        }
        let nobody_lacks = !self.unseen && lacking.is_empty();
        if self.seen || complete || nobody_lacks {
            return Ok(outcome);
        }
        Err(Failure::new(ExitCode::PeerLost, "nobody has seen the end of the film"))
    }

    fn source_ended(&mut self) -> Result<Option<ExitCode>, Failure> {
        let Some(outcome) = self.sending.source_ended() else { return Ok(None) };
        // The stream has not come to its end: who watches is told what happened, and waits for the next.
        if let Err(failure) = &outcome
            && !self.sending.plan().is_film()
        {
            self.last_words = failure.to_string();
            return outcome.map(|()| None);
        }
        self.last_words = "the source is over".to_string();
        self.ending = Some(outcome.map(|()| ExitCode::Ok).map_err(Failure::said));
        self.net.command(Command::End);
        Ok(None)
    }

    /// Says in the preview what is waited for.
    fn tell_preview(&mut self) {
        if let Some(preview) = &mut self.preview {
            preview.awaits(self.door.sentence());
        }
    }

    fn finish(self) {
        let ended = self.sending.finish();
        self.net.command(Command::Stop(self.last_words));
        // This writes the goodbyes.
        let traffic = self.net.stop();
        // The last counts came with them.
        let last = std::iter::from_fn(|| self.notes.try_take()).filter_map(|note| match note {
            Note::Net(Event::Stats(stats)) => Some(stats),
            _ => None,
        });
        if let Some(stats) = last.last() {
            ended.total(&stats, &traffic);
        }
    }
}
