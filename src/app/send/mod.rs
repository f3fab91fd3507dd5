//! `send`: our source for whoever wants it, and the words about it.

mod films;
mod jpegs;
pub mod plan;
mod preview;
pub mod sending;
mod sending_stats;
mod steering;

use super::args;
use super::args::send::{Sound, Source};
use super::door::{Door, watches};
#[cfg(feature = "web")]
use super::failure::Code as _;
use super::failure::Failure;
use super::player;
use super::recording::{Ended, Recording};
use super::run::{Beginning, End, Note, Program, Run, Signals};
use super::screen::{Turn, Wish};
use super::status::ExitCode;
use super::windows::Remembered;
use crate::net;
use crate::pipeline::player::Player;
use crate::pipeline::tee::Tee;
#[cfg(feature = "web")]
use crate::web::token::Token;
use eyeline_proto::picture;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::stats::Stats;
use eyeline_proto::session::{self, Command, Event};
use eyeline_proto::wire::record::Reason;
use plan::Plan;
use preview::Preview;
use sending::Sending;
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long `send` waits without events when a preview window wants its turn.
const PREVIEW_TURN: Duration = Duration::from_millis(10);

/// So often it is looked whether what is recorded has come to its end.
const RECORDING_TURN: Duration = Duration::from_millis(500);

/// So often it is looked whether the net thread, which else says something every second, is still there, and whether a picture is
/// to be kept.
const TURN: Duration = Duration::from_secs(1);

/// Runs `send` to its exit code: what it was told to send, then each film that was dropped on its window meanwhile.
pub fn run(config: &args::Send) -> Result<ExitCode, Failure> {
    // Whatever cannot be had is found out before anybody is told that we are here.
    let mut now = (config.clone(), Plan::make(config, false)?);
    // Films that are sent one after the other are on the same page.
    #[cfg(feature = "web")]
    if let Some(page) = &mut now.0.common.web {
        let token = page.token.take().map_or_else(Token::new, Ok).code(ExitCode::Failed)?;
        page.token = Some(token);
    }
    let signals = Signals::new(|notes| notes.tell(Note::Signal))?;
    let began = Instant::now();
    loop {
        let next = Cell::new(None);
        let code = send(&now.0, now.1, &signals, &next)?;
        match next.take().filter(|_| !signals.requested()) {
            Some(dropped) => now = dropped,
            None => return Ok(code),
        }
        now.0.common.duration = config.common.duration.map(|duration| duration.saturating_sub(began.elapsed()));
    }
}

/// A film that was dropped, and what will be sent of it.
type Dropped = (args::Send, Plan);

fn send(config: &args::Send, plan: Plan, signals: &Signals, next: &Cell<Option<Dropped>>) -> Result<ExitCode, Failure> {
    #[cfg_attr(not(feature = "web"), expect(unused_mut, reason = "no page is opened"))]
    let mut beginning = Beginning::new("send", &config.common, signals)?;
    let _exit_hook = config.preview.is_some().then(|| beginning.will.hook());
    let tee = Tee::default();
    let recording = Recording::open(&config.common.recording, &tee, &beginning)?;
    #[cfg(feature = "web")]
    beginning.open_page(&tee, (false, false))?;
    let player = player::open(&config.common, &tee, Some(plan.format().channels).filter(|channels| *channels > 0))?;
    let open = |frame| Preview::open(&plan, frame, Remembered::new("send", &config.common.rendezvous));
    let mut preview = config.preview.as_ref().map(open).transpose()?;

    let me = Identity { offers: plan.offers(), ..beginning.identity() };
    let (format, cap, sound, on_event) = (plan.format(), config.bitrate, config.sound_form, beginning.notes.telling(Note::Net));
    let run = beginning.meet(me, |core| session::Config { format, cap, sound, ..core }, on_event)?;
    let mut sending = Sending::new(config, plan, &run, preview.as_ref().map(Preview::sink), &tee, None)?;
    sending.may_be_steered();
    preview.iter_mut().for_each(|preview| preview.symbol(run.symbol()));
    let (ending, seen, unseen, last_words) = (None, false, false, String::new());
    run.carry_out(Send { _player: player, config, next, sending, preview, recording, ending, seen, unseen, last_words })
}

struct Send<'a> {
    _player: Option<Player>,
    config: &'a args::Send,
    /// What is sent when this is over, and why that is.
    next: &'a Cell<Option<Dropped>>,
    sending: Sending<'a>,
    preview: Option<Preview>,
    recording: Recording,
    /// The source is over and this is how the program will end.
    ending: Option<Result<(), Failure>>,
    /// Somebody left who had been given the whole film.
    seen: bool,
    /// Somebody was lost after the source was over.
    unseen: bool,
    /// Why we leave, in words for those who watch.
    last_words: String,
}

impl Program for Send<'_> {
    fn is_alone(&self) -> bool {
        self.sending.linked() == 0
    }

    fn tell_window(&mut self, door: &Door<'_>) {
        if let Some(preview) = &mut self.preview {
            preview.awaits(door.welcome());
        }
    }

    fn wait(&mut self, now: Instant, run: &Run<'_>) -> Result<Option<Note>, Failure> {
        let turn = match self.preview {
            Some(_) => PREVIEW_TURN,
            None if self.recording.lasts().is_some() => RECORDING_TURN,
            None => TURN,
        };
        let until = run.deadline.into_iter().chain(self.sending.due()).chain(run.door.due()).fold(now + turn, Instant::min);
        Ok(run.notes.take_within(until.saturating_duration_since(now)))
    }

    fn handle(&mut self, note: Note, run: &mut Run<'_>) -> Result<Option<End>, Failure> {
        let event = match note {
            Note::Net(event) => event,
            Note::SourceEnded => return self.source_ended(run).map(|()| None),
            _ => return Ok(None),
        };
        self.sending.handle(&event, &run.net)?;
        match event {
            Event::PeerUp { peer, name, address, host, again, .. } => {
                run.door.comes(peer, host, Some(watches(&name, address, again)));
                self.tell_window(&run.door);
            }
            Event::PeerDown { peer, name, sentence, reason, complete } => {
                run.door.leaves(peer, reason, &self.sending.parting(&name, reason, &sentence, complete));
                self.seen |= complete && reason == Some(Reason::Quit);
                self.unseen |= reason.is_none() && self.ending.is_some();
                if self.ending.is_none() && self.is_alone() {
                    return Ok(run.last_left(&name));
                }
            }
            Event::Stats(stats) => self.sending.second(&stats, &run.net)?,
            Event::Delivered { complete, lacking } => return self.delivered(complete, &lacking).map(Some),
            _ => {}
        }
        Ok(None)
    }

    fn turn(&mut self, now: Instant, run: &Run<'_>) -> Result<Option<End>, Failure> {
        if let Some(preview) = &mut self.preview
            && preview.turn(self.recording.lasts())? == Turn::Quit
        {
            return Ok(Some(End::Told));
        }
        if run.snapshot_asked() {
            self.recording.snapshot(&[]);
        }
        while let Some(wish) = self.preview.as_mut().and_then(Preview::wish) {
            match wish {
                Wish::Record => self.recording.toggle(),
                Wish::SaveLast => self.recording.save_last(),
                Wish::Snapshot => self.recording.snapshot(&[]),
                Wish::Send(film) if self.send_next(&film) => return Ok(Some(End::Over)),
                _ => {}
            }
        }
        if self.recording.turn() == Some(Ended::ReaderGone) {
            return Ok(Some(End::Over));
        }
        while let Some(sentence) = self.recording.said() {
            self.preview.iter_mut().for_each(|preview| preview.notes(&sentence));
        }
        self.sending.follow_takers(run)?;
        self.sending.turn(now, &run.net);
        Ok(None)
    }

    fn close(&mut self, _: &Result<End, Failure>, _: bool) -> String {
        self.sending.finish();
        std::mem::take(&mut self.last_words)
    }

    fn total(&mut self, stats: &Stats, traffic: net::Traffic) {
        self.sending.total(stats, &traffic);
    }

    fn conclude(self, ended: Result<End, Failure>, _: &Door<'_>, _: bool) -> Result<ExitCode, Failure> {
        drop(self.sending);
        let recorded = self.recording.finish();
        let end = ended?;
        recorded.map(|_| end.code())
    }
}

impl Send<'_> {
    /// A film was dropped on the window. Whether it follows now; what cannot be played is told, and nothing changes.
    fn send_next(&mut self, film: &Path) -> bool {
        let Some(preview) = &mut self.preview else { return false };
        let name = film.file_name().unwrap_or_default().to_string_lossy();
        if self.recording.lasts().is_some() {
            preview.notes(&format!("{name}: not while it is recorded, r ends that"));
            return false;
        }
        let sound = self.config.sound.as_ref().map(|_| Sound::Source);
        let source = Source::Film { path: film.to_path_buf(), looped: false };
        // What was asked once is done; how a camera is mounted says nothing of a film.
        let recording = args::Recording { file: None, snapshot: None, ..self.config.common.recording.clone() };
        let common = args::Common { recording, ..self.config.common.clone() };
        let turn = if self.sending.plan().is_film() { self.config.turn } else { picture::Turn::NONE };
        let config = args::Send { common, source, sound, turn, video: true, require_audio: false, ..self.config.clone() };
        match Plan::make(&config, false) {
            Ok(plan) => {
                self.last_words = format!("{name} is sent next");
                self.next.set(Some((config, plan)));
                true
            }
            Err(failure) => {
                tracing::warn!("{failure}");
                preview.notes(&format!("{name} cannot be sent: it is no film, sound or picture that ffmpeg reads"));
                false
            }
        }
    }

    /// The end has been given out. A film that nobody saw to its end, of those who were there then, is no success.
    fn delivered(&mut self, complete: bool, lacking: &[String]) -> Result<End, Failure> {
        self.ending.take().unwrap_or(Ok(()))?;
        if !self.sending.plan().is_film() {
            return Ok(End::Over);
        }
        for name in lacking {
            tracing::warn!("{name} has not got all of the film");
        }
        let nobody_lacks = !self.unseen && lacking.is_empty();
        if self.seen || complete || nobody_lacks {
            return Ok(End::Over);
        }
        Err(Failure::new(ExitCode::PeerLost, "nobody has seen the end of the film"))
    }

    fn source_ended(&mut self, run: &Run<'_>) -> Result<(), Failure> {
        let Some(outcome) = self.sending.source_ended() else { return Ok(()) };
        // The stream has not come to its end: who watches is told what happened, and waits for the next.
        if let Err(failure) = &outcome
            && !self.sending.plan().is_film()
        {
            self.last_words = failure.to_string();
            return outcome;
        }
        self.last_words = "the source is over".to_string();
        self.ending = Some(outcome.map_err(Failure::said));
        run.net.command(Command::End);
        Ok(())
    }
}
