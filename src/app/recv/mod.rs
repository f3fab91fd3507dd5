//! `recv`: what others send to screen, speaker and files, and the words about it.
//!
//! The net thread hands slices and sound straight to their threads (`pipeline/fanout.rs`); the main thread owns the window and is
//! told of pictures that are ready, and of everything a user wants to know.

pub mod devices;
mod files;
mod films;
mod lips;
mod senders;
pub mod viewing;
mod viewing_stats;
pub mod virtual_camera;
pub mod wants;

use super::args;
use super::door::Door;
use super::failure::Failure;
use super::incoming::Cameras;
use super::player;
use super::recording::{Ended, Recording};
use super::run::{Beginning, End, Note, Program, Run, Signals};
use super::screen::{Screen, Turn, Wish};
use super::status::ExitCode;
use super::windows::Remembered;
use crate::net;
use crate::pipeline::incoming::Incoming;
use crate::pipeline::player::Player;
use crate::pipeline::record::Format;
use crate::pipeline::tee::Tee;
use crate::present::keys::Bindings;
use devices::Devices;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::stats::Stats;
use eyeline_proto::session::{self, Command, Event, MOST_SENDERS, TrackId};
use eyeline_proto::wire::record::{Media, Want, Whole};
use files::Files;
use std::time::Instant;
use viewing::Viewing;
use wants::Wants;

/// Runs `recv` to its exit code.
pub fn run(config: &args::Recv) -> Result<ExitCode, Failure> {
    let ready = devices::announced();
    let wake = ready.clone();
    let signals = Signals::new(move |_| wake.close())?;
    #[cfg_attr(not(feature = "web"), expect(unused_mut, reason = "no page is opened"))]
    let mut beginning = Beginning::new("recv", &config.common, &signals)?;

    // Whatever cannot be had is found out before anybody is told that we are here: first what was typed wrong, then devices.
    let _exit_hook = config.showing.window.then(|| beginning.will.hook());
    let files = Files::open(config, &ready, &beginning.will)?;
    let room = files.as_ref().map(|files| files.inlets().room()).unwrap_or_default();
    let tee = Tee::new(room);
    let recording = Recording::open(&config.common.recording, &tee, &beginning)?;
    #[cfg(feature = "web")]
    beginning.open_page(&tee, (true, false))?;
    let player = player::open(&config.common, &tee, Some(2))?;
    let cameras = Cameras::open(&config.showing.rtp_in)?;
    let remembered = Remembered::new("recv", &config.common.rendezvous);
    let devices = Devices::open(&config.showing, (Bindings::Watch, remembered), ready, files, None)?;

    let recorded = config.common.recording.file.is_some();
    let paged = beginning.has_page();
    let sound = devices.speaker.is_some() || config.audio_output.is_some() || tee.is_on() || paged;
    let wants = Media { pictures: true, sound, lossless: devices.files.is_some() || recorded };
    let me = beginning.identity();
    let me = Identity { wants, opus: me.opus && config.audio_output.is_none(), ..me };
    // JPEGs are joined of slices as they come; for all else they are drawn.
    let joins = config.output.as_ref().is_some_and(|output| output.format == Format::Mjpeg);
    let uses = Want { whole: if joins { Whole::Everybody } else { Whole::Nobody }, ..Want::ALL };
    let senders = if config.takes_one() { 1 } else { MOST_SENDERS };
    let decodes =
        config.showing.window || (devices.files.is_none() && !recorded && !paged && player.is_none()) || devices.camera.is_some();
    let (statistics, tell) = (beginning.statistics.clone(), beginning.notes.telling(Note::Net));
    let want = if tee.is_on() { Wants::whole() } else { uses };
    let (mut viewing, on_event) =
        Viewing::new(devices, (tee, recording), (uses, want), config.showing.latency, decodes, statistics, tell)?;
    let visitor = beginning.identity();
    let run = beginning.meet(me, |core| session::Config { senders, want, ..core }, on_event)?;
    viewing.connect(&run.net);
    let cameras = cameras.begin(&visitor, run.net.local_addr())?;
    viewing.screen.iter_mut().for_each(|screen| screen.symbol(run.symbol()));
    run.carry_out(Recv { _cameras: cameras, _player: player, config, viewing })
}

struct Recv<'a> {
    _cameras: Vec<Incoming>,
    _player: Option<Player>,
    config: &'a args::Recv,
    viewing: Viewing,
}

impl Program for Recv<'_> {
    fn is_alone(&self) -> bool {
        self.viewing.names.is_empty()
    }

    fn tell_window(&mut self, door: &Door<'_>) {
        self.viewing.tell_screen(door);
    }

    fn wait(&mut self, now: Instant, run: &Run<'_>) -> Result<Option<Note>, Failure> {
        self.viewing.wait(now, &run.net).map(|()| None)
    }

    fn handle(&mut self, note: Note, run: &mut Run<'_>) -> Result<Option<End>, Failure> {
        let Note::Net(event) = note else { return Ok(None) };
        match event {
            Event::Ended(track) => return Ok(self.ended(track, run)),
            Event::Stats(stats) => self.viewing.second(&stats, &run.net)?,
            Event::Text { name, line } => self.viewing.said(&name, &line),
            Event::SenderDown { peer, .. } => {
                let name = self.viewing.name(peer);
                self.viewing.handle(event, &mut run.door);
                let lost = if self.is_alone() { run.last_left(&name) } else { None };
                return Ok(lost.or_else(|| self.all_is_here(run)));
            }
            event => self.viewing.handle(event, &mut run.door),
        }
        Ok(None)
    }

    fn turn(&mut self, now: Instant, run: &Run<'_>) -> Result<Option<End>, Failure> {
        if self.viewing.files.as_mut().is_some_and(Files::are_over) {
            return Ok(Some(End::Over));
        }
        if self.viewing.turn(now, &run.net)? == Turn::Quit {
            return Ok(Some(End::Told));
        }
        if run.snapshot_asked() {
            self.viewing.grant(&Wish::Snapshot, &run.net);
        }
        while let Some(wish) = self.viewing.screen.as_mut().and_then(Screen::wish) {
            match wish {
                Wish::Choose(digit) => run.notes.tell(Note::Chosen(digit)),
                wish => self.viewing.grant(&wish, &run.net),
            }
        }
        // Without a window, and with nothing else to write, nobody has anything of it any more.
        let alone = !self.config.showing.window && self.viewing.files.is_none();
        let ended = self.viewing.record(&run.net);
        Ok(ended.filter(|ended| alone || *ended == Ended::ReaderGone && self.viewing.files.is_none()).map(|_| End::Over))
    }

    fn close(&mut self, _: &Result<End, Failure>, told: bool) -> String {
        // What came is written while the rest is brought to its end.
        if let Some(files) = self.viewing.files.as_mut().filter(|_| told) {
            files.close();
        }
        String::new()
    }

    fn total(&mut self, stats: &Stats, traffic: net::Traffic) {
        self.viewing.total(stats, traffic);
    }

    fn conclude(self, ended: Result<End, Failure>, door: &Door<'_>, told: bool) -> Result<ExitCode, Failure> {
        let nothing = (!self.viewing.anything).then(|| nothing_came(&self.viewing, door));
        let written = self.viewing.finish(told);
        match (ended?, written?, nothing) {
            (End::Due, _, Some(nothing)) => Err(nothing),
            // Whoever asked for a file and did not end it by hand looks for it next.
            (End::Due | End::Over, false, _) => Err(Failure::new(ExitCode::Failed, "there was nothing to write")),
            (end, ..) => Ok(end.code()),
        }
    }
}

impl Recv<'_> {
    fn ended(&mut self, track: TrackId, run: &Run<'_>) -> Option<End> {
        let sender = self.viewing.senders.get_mut(&track)?;
        // A live sender is over, and the next one may come; but where there is one file for it, that is what was wanted.
        if !sender.film && !self.config.takes_one() && self.config.common.reconnect {
            return None;
        }
        sender.finished = true;
        self.all_is_here(run)
    }

    /// The end, where everybody who is here has sent all there is.
    fn all_is_here(&self, run: &Run<'_>) -> Option<End> {
        let senders = &self.viewing.senders;
        if senders.is_empty() || !senders.values().all(|sender| sender.finished) {
            return None;
        }
        tracing::info!("the end: everything is here");
        run.net.command(Command::Stop(String::new()));
        // Files are finished by `conclude`.
        Some(End::Over)
    }
}

fn nothing_came(viewing: &Viewing, door: &Door<'_>) -> Failure {
    let names: Vec<_> = viewing.names.values().map(String::as_str).collect();
    let sentence = match names[..] {
        [] => format!("nothing came within --duration ({})", door.sentence()),
        _ => format!("nothing came of {} within --duration", names.join(", ")),
    };
    Failure::new(ExitCode::PeerLost, sentence)
}
