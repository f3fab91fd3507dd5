//! `call`: our camera and microphone for all others, theirs for us; and who waits passes each one's on to all others.
//!
//! It is `send` and `recv` in one session (`send/sending.rs`, `recv/viewing.rs`): one port, one window, one loop. What is said
//! between people is here, and so is what one does to one's own devices.

mod ring;
mod typed;

use super::args;
use super::awaited;
use super::door::{Door, watches};
use super::failure::{Code, Failure};
use super::incoming::Cameras;
use super::neighbours;
use super::own_picture::OwnPicture;
use super::player;
use super::recording::{Ended, Recording};
use super::recv::devices::{self, Devices};
use super::recv::viewing::Viewing;
use super::recv::wants::Wants;
use super::rendezvous;
use super::run::{Beginning, End, Note, Program, Run, Signals};
use super::screen::{Screen, Turn, Wish};
use super::send::plan::Plan;
use super::send::sending::Sending;
use super::status::ExitCode;
use super::windows::Remembered;
use crate::net;
use crate::pipeline::incoming::Incoming;
use crate::pipeline::player::Player;
use crate::pipeline::tee::Tee;
use crate::present::keys::Bindings;
use crate::present::speaker::Speaker;
use crate::voice_processing::{Reference, VoiceProcessing};
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::stats::Stats;
use eyeline_proto::session::{self, Command, Event, PeerId};
use eyeline_proto::wire::record::{Media, Want};
use ring::Ring;
use std::collections::BTreeSet;
use std::time::Instant;
use typed::{Unsaid, Unspoken};

/// Runs `call` to its exit code.
pub fn run(config: &args::Call) -> Result<ExitCode, Failure> {
    // Whatever cannot be had is found out before anybody is told that we are here. A signal ends the asking at once.
    let plan = Plan::make(&config.send, true)?;
    let ready = devices::announced();
    let wake = ready.clone();
    let signals = Signals::new(move |_| wake.close())?;
    #[cfg_attr(not(feature = "web"), expect(unused_mut, reason = "no page is opened"))]
    let mut beginning = Beginning::new("call", &config.send.common, &signals)?;
    if config.echoes() {
        tracing::warn!("--mic speakers sends the others their own voices; play them elsewhere: --speaker NAME (--list has them)");
    }
    let _exit_hook = config.showing.window.then(|| beginning.will.hook());
    let tee = Tee::default();
    let recording = Recording::open(&config.send.common.recording, &tee, &beginning)?;
    #[cfg(feature = "web")]
    beginning.open_page(&tee, (true, true))?;
    let player = player::open(&config.send.common, &tee, Some(2))?;
    let cameras = Cameras::open(&config.showing.rtp_in)?;
    let remembered = Remembered::new("call", &config.send.common.rendezvous);
    let reference = Reference::default();
    let devices = Devices::open(&config.showing, (Bindings::Call, remembered), ready, None, Some(&reference))?;
    let voice = config.voice.config(config.send.sound.as_ref().filter(|_| plan.has_microphone()), devices.speaker.is_some());
    let voice = voice.map(|voice| VoiceProcessing::new(voice, reference));

    // What nobody sees or hears here is still passed on.
    let me = Identity { offers: plan.offers(), wants: Media::LIVE, forwards: true, asks: config.ask, ..beginning.identity() };
    let (statistics, tell) = (beginning.statistics.clone(), beginning.notes.telling(Note::Net));
    let (latency, seen) = (config.showing.latency, config.showing.window || devices.camera.is_some());
    // Of a meeting point without a person it is measured what goes through it, and nothing comes for that alone.
    let is_point = plan.offers().is_none() && config.send.common.rendezvous.dial.is_empty();
    let measured = !is_point && statistics.as_ref().is_some_and(|statistics| statistics.measures());
    let uses = Want { pictures: seen || measured, sound: devices.speaker.is_some() || measured, ..Want::ALL };
    let want = if tee.is_on() { Wants::whole() } else { uses };
    let (mut viewing, on_event) = Viewing::new(devices, (tee.clone(), recording), (uses, want), latency, seen, statistics, tell)?;
    let (format, cap, sound) = (plan.format(), config.send.bitrate, config.send.sound_form);
    let visitor = beginning.identity();
    let run = beginning.meet(me, |core| session::Config { format, cap, sound, want, ..core }, on_event)?;
    viewing.connect(&run.net);
    let cameras = cameras.begin(&visitor, run.net.local_addr())?;
    viewing.screen.iter_mut().for_each(|screen| screen.symbol(run.symbol()));
    let pictured = viewing.screening().filter(|_| plan.has_pictures());
    let own = pictured.map(|screening| OwnPicture::new(screening, viewing.ready()));
    let sending = if plan.offers().is_none() {
        None
    } else {
        Some(Sending::new(&config.send, plan, &run, own.as_ref().map(OwnPicture::sink), &tee, voice)?)
    };
    if config.chat || config.ask && !config.showing.window {
        typed::listen(run.notes.telling(Note::Typed)).code(ExitCode::Failed)?;
    }
    let (muted, closed, unsaid) = (false, false, Unsaid::default());
    let (peers, met, failed) = (BTreeSet::new(), false, None);
    let (ring, chats) = (Ring::default(), config.chat);
    let name = rendezvous::name(&config.send.common);
    let (_cameras, _player) = (cameras, player);
    let mut call =
        Call { _cameras, _player, name, viewing, sending, own, peers, met, failed, muted, closed, unsaid, ring, chats };
    call.show_own();
    run.carry_out(call)
}

struct Call<'a> {
    _cameras: Vec<Incoming>,
    _player: Option<Player>,
    /// What we are called.
    name: String,
    viewing: Viewing,
    /// None where nothing is sent: a meeting point without a person.
    sending: Option<Sending<'a>>,
    own: Option<OwnPicture>,
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
    /// Who calls and is not let in yet.
    ring: Ring,
    /// Lines on stdin are said to all.
    chats: bool,
}

impl Program for Call<'_> {
    fn is_alone(&self) -> bool {
        self.peers.is_empty() && self.viewing.names.is_empty()
    }

    fn tell_window(&mut self, door: &Door<'_>) {
        self.viewing.tell_screen(door);
    }

    fn wait(&mut self, now: Instant, run: &Run<'_>) -> Result<Option<Note>, Failure> {
        self.viewing.wait(now, &run.net).map(|()| None)
    }

    fn handle(&mut self, note: Note, run: &mut Run<'_>) -> Result<Option<End>, Failure> {
        match note {
            Note::Net(event) => return self.handle_event(event, run),
            Note::SourceEnded => self.source_ended(run),
            // While nobody is here a digit says nothing to anybody.
            Note::Typed(line) => match neighbours::digit(&line).filter(|digit| self.is_alone() && run.door.offers(*digit)) {
                Some(digit) => run.notes.tell(Note::Chosen(digit)),
                None => self.typed(line, run),
            },
            #[cfg(feature = "web")]
            Note::Page(crate::web::audience::Event::Said { name, line }) => self.keep(Unspoken { by: Some(name), line }),
            _ => {}
        }
        Ok(None)
    }

    fn turn(&mut self, now: Instant, run: &Run<'_>) -> Result<Option<End>, Failure> {
        if let Some(sending) = &mut self.sending {
            sending.turn(now, &run.net);
        }
        if self.viewing.turn(now, &run.net)? == Turn::Quit {
            return Ok(Some(End::Told));
        }
        while let Some(wish) = self.viewing.screen.as_mut().and_then(Screen::wish) {
            self.grant(wish, run)?;
        }
        if run.snapshot_asked() {
            self.grant(Wish::Snapshot, run)?;
        }
        let ended = self.viewing.record(&run.net);
        if ended == Some(Ended::ReaderGone) {
            return Ok(Some(End::Over));
        }
        if let Some(sending) = &mut self.sending {
            sending.follow_takers(run)?;
        }
        self.ring.sound(now, self.viewing.speaker.as_ref().map(Speaker::mixer));
        while let Some(Unspoken { by, line }) = self.unsaid.due(now) {
            match by {
                None => self.say(line, run),
                Some(name) => self.say_for(&name, &line, run),
            }
        }
        Ok(None)
    }

    fn due(&self, door: &Door<'_>) -> Result<End, Failure> {
        if self.met {
            return Ok(End::Due);
        }
        Err(Failure::new(ExitCode::PeerLost, format!("nobody came within --duration ({})", door.sentence())))
    }

    fn close(&mut self, ended: &Result<End, Failure>, _: bool) -> String {
        if let Some(sending) = &mut self.sending {
            sending.finish();
        }
        ended.as_ref().err().map(Failure::to_string).unwrap_or_default()
    }

    fn total(&mut self, stats: &Stats, traffic: net::Traffic) {
        if let Some(sending) = &self.sending {
            sending.total(stats, &traffic);
        }
        self.viewing.total(stats, traffic);
    }

    fn conclude(self, ended: Result<End, Failure>, _: &Door<'_>, _: bool) -> Result<ExitCode, Failure> {
        // Our own last pictures are recorded first.
        drop(self.sending);
        let written = self.viewing.finish(false);
        let end = ended?;
        written?;
        self.failed.map_or(Ok(end.code()), Err)
    }
}

impl Call<'_> {
    fn handle_event(&mut self, event: Event, run: &mut Run<'_>) -> Result<Option<End>, Failure> {
        if let Some(sending) = &mut self.sending {
            sending.handle(&event, &run.net)?;
        }
        let left = match &event {
            Event::PeerDown { name, .. } => Some(name.clone()),
            Event::SenderDown { peer, .. } => Some(self.viewing.name(*peer)),
            _ => None,
        };
        match event {
            Event::PeerUp { peer, name, address, host, again, sends, .. } => {
                self.peers.insert(peer);
                // Who sends as well is told of as a sender.
                run.door.comes(peer, host, (!sends).then(|| watches(&name, address, again)));
            }
            Event::PeerDown { peer, name, sentence, reason, complete } => {
                self.peers.remove(&peer);
                if !self.viewing.names.contains_key(&peer) {
                    let line = match &self.sending {
                        Some(sending) => sending.parting(&name, reason, &sentence, complete),
                        None => awaited::parting(&name, awaited::NO_MORE_WATCHING, reason, &sentence),
                    };
                    run.door.leaves(peer, reason, &line);
                }
            }
            Event::Stats(stats) => {
                if let Some(sending) = &mut self.sending {
                    sending.second(&stats, &run.net)?;
                }
                self.viewing.second(&stats, &run.net)?;
            }
            Event::Text { name, line } => self.viewing.said(&name, &line),
            Event::Rings { call, name, address, standing } => {
                self.ring.begins(call, (&name, &standing), address, &mut run.door);
                self.show_ring();
            }
            Event::RingOver(call) => {
                self.ring.ends(call, &mut run.door);
                self.show_ring();
            }
            // The last picture of what is over would stand at the others as if it were live.
            Event::Delivered { .. } => run.net.command(Command::Silence { muted: true, closed: true }),
            event => self.viewing.handle(event, &mut run.door),
        }
        self.met |= !self.is_alone();
        Ok(left.filter(|_| self.is_alone()).and_then(|name| run.last_left(&name)))
    }

    /// A film is over, or a device failed: we stay, and see and hear the others.
    fn source_ended(&mut self, run: &Run<'_>) {
        let Some(sending) = &mut self.sending else { return };
        let Some(outcome) = sending.source_ended() else { return };
        if let Err(failure) = outcome {
            if !sending.plan().is_film() {
                tracing::error!("{failure} (the others neither see nor hear us from now on)");
            }
            self.failed = Some(failure.said());
        }
        run.net.command(Command::End);
        self.own = None;
        self.show_own();
    }

    /// An answer to who calls, or words to all.
    fn typed(&mut self, line: String, run: &Run<'_>) {
        match ring::answer(&line).filter(|_| self.ring.is_on()) {
            Some(taken) => self.ring.answer(taken, &run.net),
            None if self.chats => self.say(line, run),
            None => tracing::info!("y lets in who calls, n does not; --chat says lines to all"),
        }
    }

    fn show_ring(&mut self) {
        if let Some(screen) = &mut self.viewing.screen {
            self.ring.show(screen);
        }
    }

    fn say(&mut self, line: String, run: &Run<'_>) {
        // It is kept for nobody.
        let name = speaker(self.peers.iter().chain(self.viewing.names.keys()), &self.viewing.quiet);
        tracing::info!("{name}: {line}");
        self.viewing.said(name, &line);
        run.show_on_page(&self.name, &line);
        run.net.command(Command::Text(line));
    }

    /// It is said when others take it.
    fn keep(&mut self, line: Unspoken) {
        if !self.unsaid.push(line) {
            tracing::warn!("more is typed than others take: a line is not said");
        }
    }

    /// Somebody at the page for browsers says this.
    fn say_for(&mut self, name: &str, line: &str, run: &Run<'_>) {
        self.viewing.said(name, line);
        run.show_on_page(name, line);
        run.net.command(Command::Text(format!("{name}: {line}")));
    }

    /// What somebody at the window wants of his own devices.
    fn grant(&mut self, wish: Wish, run: &Run<'_>) -> Result<(), Failure> {
        match wish {
            Wish::Say(line) => {
                self.keep(Unspoken { by: None, line });
                return Ok(());
            }
            Wish::Choose(digit) => {
                run.notes.tell(Note::Chosen(digit));
                return Ok(());
            }
            Wish::Send(_) => return Ok(()),
            Wish::Answer(taken) => {
                self.ring.answer(taken, &run.net);
                return Ok(());
            }
            Wish::Record | Wish::SaveLast | Wish::Snapshot | Wish::Hold | Wish::Step { .. } => {
                self.viewing.grant(&wish, &run.net);
                return Ok(());
            }
            // There may be none to mute, or to close.
            Wish::Microphone => self.muted ^= self.sending.as_ref().is_some_and(|sending| sending.plan().has_sound()),
            Wish::Camera => self.closed ^= self.sending.as_ref().is_some_and(|sending| sending.plan().has_pictures()),
        }
        let Some(sending) = self.sending.as_mut().filter(|sending| !sending.is_over()) else { return Ok(()) };
        let (muted, closed) = (self.muted, self.closed);
        sending.silence(muted, closed, &run.net)?;
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
}

/// Who says a line to those who are `here`, of whom nothing is heard of the `quiet` ones.
fn speaker<'a>(mut here: impl Iterator<Item = &'a PeerId>, quiet: &BTreeSet<PeerId>) -> &'static str {
    if here.any(|peer| !quiet.contains(peer)) { "you" } else { "you, to nobody" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_to_nobody_where_nobody_is_here_or_nothing_is_heard_of_all_who_are() {
        let of = |numbers: &[u64]| numbers.iter().copied().map(PeerId).collect::<BTreeSet<_>>();
        let said = |here: &[u64], quiet: &[u64]| speaker(of(here).iter(), &of(quiet));
        assert_eq!([said(&[], &[]), said(&[1], &[1]), said(&[1, 2], &[2, 1])], ["you, to nobody"; 3]);
        assert_eq!([said(&[1], &[]), said(&[1, 2], &[1])], ["you"; 2]);
    }
}
