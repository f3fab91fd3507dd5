//! The run of each program: how it begins, its one loop, and how it ends.
//!
//! A turn of the loop looks for a signal, the end of `--duration` and a net thread that is gone; then it lets the [`Program`]
//! wait, gives it the notes that came meanwhile, and has it look at its window. Each program waits for what is urgent to it: a
//! picture, or a note. At the end sources and files are closed, the others are told, and the last counts, which come with the
//! goodbyes, are printed.

use super::args::Common;
use super::console;
use super::door::Door;
use super::failure::{Code, Failure};
use super::last_will::LastWill;
use super::neighbours::Company;
use super::notes::{self, Notes};
use super::pairs::Pairs;
use super::presence::Presence;
use super::rendezvous;
use super::stats::Statistics;
use super::status::{ExitCode, Stop};
#[cfg(feature = "web")]
use super::web::{Beside, Web};
use super::whereabouts::Whereabouts;
use crate::net;
use crate::net::discovery::Heard;
use crate::pipeline::encode::Published;
#[cfg(feature = "relay")]
use crate::pipeline::room::Room;
#[cfg(feature = "web")]
use crate::pipeline::tee::Tee;
use crate::present::overlay::Symbol;
#[cfg(any(feature = "web", feature = "relay"))]
use crate::threads::lock;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::stats::Stats;
use eyeline_proto::session::{self, Command, Event, Session};
use std::rc::Rc;
use std::sync::Arc;
#[cfg(any(feature = "web", feature = "relay"))]
use std::sync::Mutex;
use std::time::Instant;

/// The number of a state of ours ([`notes::Kind::State`]): no event has it.
#[cfg(feature = "relay")]
const RELAYED: u64 = 1 << 60;

/// What the main thread is told. A few a second: pictures and sound do not pass here.
pub enum Note {
    Net(Event),
    /// A signal came, where nothing else ends the waiting.
    Signal,
    /// Our own source came to its end, or failed.
    SourceEnded,
    /// A line was typed where there is no window to type it in.
    Typed(String),
    /// Of who is on this network.
    Heard(Heard),
    /// The person here wants the one of this digit to be dialled.
    Chosen(u8),
    /// What is ours is watched through a relay, or no more.
    #[cfg(feature = "relay")]
    Relayed,
    /// Of the page for browsers.
    #[cfg(feature = "web")]
    Page(crate::web::audience::Event),
}

impl notes::Note for Note {
    fn kind(&self) -> notes::Kind {
        match self {
            Note::Net(event) => notes::kind_of(event),
            Note::Signal => notes::Kind::State(0),
            Note::SourceEnded => notes::Kind::Kept,
            Note::Typed(_) | Note::Chosen(_) => notes::Kind::Said,
            Note::Heard(Heard::Neighbours(_)) => notes::Kind::State(7),
            Note::Heard(Heard::Renamed(_)) => notes::Kind::Kept,
            #[cfg(feature = "relay")]
            Note::Relayed => notes::Kind::State(RELAYED),
            #[cfg(feature = "web")]
            Note::Page(_) => notes::Kind::Said,
        }
    }
}

/// How a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The user wished it: a signal, a key, the window closed.
    Told,
    /// `--duration` is over.
    Due,
    /// All is here or given out, or nobody takes any more of it.
    Over,
    /// The peer is lost and not waited for.
    Lost,
}

impl End {
    /// What it means to the shell.
    pub fn code(self) -> ExitCode {
        if self == End::Lost { ExitCode::PeerLost } else { ExitCode::Ok }
    }
}

/// What the programs differ in.
pub trait Program {
    /// Nobody is here.
    fn is_alone(&self) -> bool;

    /// Says in the window what is waited for.
    fn tell_window(&mut self, door: &Door<'_>);

    /// Waits, for a turn at most. The note that ended the waiting, where it is notes that are waited for.
    fn wait(&mut self, now: Instant, run: &Run<'_>) -> Result<Option<Note>, Failure>;

    /// What is told. Chat is on stderr by now.
    fn handle(&mut self, note: Note, run: &mut Run<'_>) -> Result<Option<End>, Failure>;

    /// The window, and whatever else is due.
    fn turn(&mut self, now: Instant, run: &Run<'_>) -> Result<Option<End>, Failure>;

    /// `--duration` is over.
    fn due(&self, _: &Door<'_>) -> Result<End, Failure> {
        Ok(End::Due)
    }

    /// The run is over, `told` by a signal: nothing more is sent or written. Why we leave, in words for the others.
    fn close(&mut self, ended: &Result<End, Failure>, told: bool) -> String;

    /// The last counts: prints what came of all of it, where asked.
    fn total(&mut self, stats: &Stats, traffic: net::Traffic);

    /// Devices are released and files finished. How the program ends.
    fn conclude(self, ended: Result<End, Failure>, door: &Door<'_>, told: bool) -> Result<ExitCode, Failure>;
}

/// The signals of this process, and where the main thread is told of whatever it waits for. Runs that follow each other share
/// them.
pub struct Signals {
    stop: Rc<Stop>,
    notes: Notes<Note>,
}

impl Signals {
    /// From here on a signal brings a run to its end, and `wake` ends its waiting.
    pub fn new(wake: impl Fn(&Notes<Note>) + Send + 'static) -> Result<Self, Failure> {
        let notes = Notes::new();
        let told = notes.clone();
        let wake = move || {
            wake(&told);
            // Whatever holds up the end, a second signal leaves a clean terminal.
            console::try_end();
        };
        Ok(Signals { stop: Rc::new(Stop::on_signals(wake).code(ExitCode::Failed)?), notes })
    }

    /// Whether the program should come to its end.
    pub fn requested(&self) -> bool {
        self.stop.requested()
    }
}

/// What is there before anybody is told that we are here.
pub struct Beginning<'a> {
    program: &'static str,
    common: &'a Common,
    stop: Rc<Stop>,
    pub notes: Notes<Note>,
    pub will: LastWill,
    pub statistics: Option<Rc<Statistics>>,
    #[cfg(feature = "web")]
    web: Option<Web>,
}

impl<'a> Beginning<'a> {
    /// Of `program`.
    pub fn new(program: &'static str, common: &'a Common, signals: &Signals) -> Result<Self, Failure> {
        let (stop, notes, will) = (signals.stop.clone(), signals.notes.clone(), LastWill::default());
        // What an earlier run was told concerns this one no more.
        while notes.try_take().is_some() {}
        Ok(Beginning {
            program,
            common,
            stop,
            notes,
            will,
            statistics: Statistics::open(common)?,
            #[cfg(feature = "web")]
            web: None,
        })
    }

    /// Shows what goes through the tee on a page for browsers, where that is asked for; `receives`: what its own camera gives is of
    /// use, `chats`: what is said there goes to others.
    #[cfg(feature = "web")]
    pub fn open_page(&mut self, tee: &Tee, (receives, chats): (bool, bool)) -> Result<(), Failure> {
        let figures = self.statistics.as_ref().and_then(|statistics| statistics.figures());
        let tell = Mutex::new(self.notes.telling(Note::Page));
        let tell = Arc::new(move |event| lock(&tell)(event));
        let meets = (receives && self.common.rendezvous.wait.is_some()).then(|| Identity { direct: false, ..self.identity() });
        self.web = Web::open(self.common, tee, Beside { figures, chats, tell, meets })?;
        Ok(())
    }

    /// A page for browsers is served.
    pub fn has_page(&self) -> bool {
        #[cfg(feature = "web")]
        return self.web.is_some();
        #[cfg(not(feature = "web"))]
        false
    }

    /// Who we are, but for what we have and want.
    pub fn identity(&self) -> Identity {
        rendezvous::identity(self.common)
    }

    /// Waits for others and dials them, as `me`, with a session `shaped` for this program. What it tells is given to `on_event`
    /// on the net thread.
    pub fn meet(
        self,
        me: Identity,
        shaped: impl FnOnce(session::Config) -> session::Config,
        on_event: impl FnMut(Event) + Send + 'static,
    ) -> Result<Run<'a>, Failure> {
        #[cfg(feature = "web")]
        let web = self.web;
        let Beginning { program, common, stop, notes, will, statistics, .. } = self;
        let now = Instant::now();
        let epoch = Epoch::new(now);
        let pairs = Pairs::read().and_then(|pairs| pairs.judge(common).map(|()| pairs));
        let pairs = pairs.map_err(|sentence| Failure::new(ExitCode::Failed, sentence))?;
        if pairs.damaged() > 0 {
            tracing::warn!("lines of the file of paired machines cannot be read: {}; pair with those again", pairs.damaged());
        }
        let keys = pairs.keys(common);
        let presence = Presence::new(me.offers, me.wants);
        let (where_to, hosts) = rendezvous::net_config(&common.rendezvous, presence.directory());
        let (offers, wants) = (me.offers, me.wants);
        #[cfg(feature = "relay")]
        let us = me.clone();
        let core = shaped(session::Config { hosts, keys, reconnect: common.reconnect, ..session::Config::new(me, epoch) });
        let net = net::spawn(Session::new(now, core), where_to, on_event).code(ExitCode::Failed)?;
        will.tells(net.commands(), presence.directory());
        let whereabouts = common.direct.then(|| Whereabouts::of(net.local_addr()));
        net.command(Command::Addresses(whereabouts.iter().flat_map(|own| own.addresses.clone()).collect()));
        let told = (notes.telling(Note::Heard), notes.telling(Note::Chosen));
        let name = presence.begin(program, common, (offers, wants), net.local_addr(), told);
        let door = Door::open(program, common, pairs, net.local_addr(), name);
        #[cfg(feature = "web")]
        web.iter().for_each(|web| web.meets(net.local_addr()));
        #[cfg(feature = "relay")]
        let room = {
            let tell = Mutex::new(notes.telling(|()| Note::Relayed));
            super::relay::open(common, &us, (net.local_addr(), epoch), move || lock(&tell)(()))?
        };
        let deadline = common.duration.map(|duration| now + duration);
        let (company, reconnect) = (Company::default(), common.reconnect);
        Ok(Run {
            net,
            notes,
            door,
            statistics,
            epoch,
            deadline,
            #[cfg(feature = "web")]
            web,
            #[cfg(feature = "relay")]
            room,
            company,
            reconnect,
            whereabouts,
            stop,
            presence,
        })
    }
}

pub struct Run<'a> {
    pub net: net::Handle<Command>,
    pub notes: Notes<Note>,
    pub door: Door<'a>,
    pub statistics: Option<Rc<Statistics>>,
    /// When our media time began.
    pub epoch: Epoch,
    /// When `--duration` is over.
    pub deadline: Option<Instant>,
    /// The page for browsers.
    #[cfg(feature = "web")]
    web: Option<Web>,
    /// The room on a relay.
    #[cfg(feature = "relay")]
    room: Option<Room>,
    /// Who is here, or was.
    company: Company,
    reconnect: bool,
    /// Where this machine is, for guests of a meeting behind the same router.
    whereabouts: Option<Whereabouts>,
    stop: Rc<Stop>,
    /// It says goodbye when it is dropped, for a run may fail before it has begun.
    presence: Presence,
}

impl Run<'_> {
    /// Runs the program to its exit code.
    pub fn carry_out(mut self, mut program: impl Program) -> Result<ExitCode, Failure> {
        let ended = self.main_loop(&mut program);
        console::end();
        let told = self.stop.requested();
        self.net.command(Command::Stop(program.close(&ended, told)));
        self.presence.leave();
        // This writes the goodbyes, with which the last counts come.
        let traffic = self.net.stop();
        drop(self.presence);
        self.door.end();
        let last = std::iter::from_fn(|| self.notes.try_take()).filter_map(|note| match note {
            Note::Net(Event::Stats(stats)) => Some(stats),
            _ => None,
        });
        if let Some(stats) = last.last() {
            program.total(&stats, traffic);
        }
        Statistics::end(self.statistics, program.conclude(ended, &self.door, told))
    }

    fn main_loop(&mut self, program: &mut impl Program) -> Result<End, Failure> {
        program.tell_window(&self.door);
        loop {
            let now = Instant::now();
            if self.stop.requested() {
                return Ok(End::Told);
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                return program.due(&self.door);
            }
            self.net.check().code(ExitCode::Failed)?;
            self.company.sees(now, program.is_alone());
            let mut first = program.wait(now, self)?;
            if self.door.turn(Instant::now(), program.is_alone()) {
                program.tell_window(&self.door);
            }
            while let Some(note) = first.take().or_else(|| self.notes.try_take()) {
                if let Some(end) = self.handle(note, program)? {
                    return Ok(end);
                }
            }
            if let Some(end) = program.turn(Instant::now(), self)? {
                return Ok(end);
            }
        }
    }

    fn handle(&mut self, note: Note, program: &mut impl Program) -> Result<Option<End>, Failure> {
        let note = match note {
            Note::Heard(heard) => {
                if self.door.hears(heard, program.is_alone()) {
                    program.tell_window(&self.door);
                }
                return Ok(None);
            }
            Note::Chosen(digit) => {
                if self.company.lets_choose(Instant::now(), program.is_alone()) && self.choose(digit) {
                    program.tell_window(&self.door);
                }
                return Ok(None);
            }
            note => note,
        };
        #[cfg(feature = "web")]
        if let (Note::Page(event), Some(web)) = (&note, &mut self.web) {
            web.tell(event);
        }
        if let Note::Net(event) = &note {
            if self.door.handle(event, program.is_alone())? {
                program.tell_window(&self.door);
            }
            match event {
                Event::Stats(_) => {
                    self.door.second(self.notes.take_untold());
                    let elsewhere = self.whereabouts.as_mut().and_then(|own| own.changed(Instant::now()));
                    elsewhere.into_iter().for_each(|addresses| self.net.command(Command::Addresses(addresses)));
                }
                Event::Text { name, line } => {
                    tracing::info!("{name}: {line}");
                    self.show_on_page(name, line);
                }
                _ => {}
            }
        }
        program.handle(note, self)
    }

    /// Where this is found in a browser, as a code for the camera of a phone.
    pub fn symbol(&self) -> Option<Symbol> {
        #[cfg(feature = "web")]
        return self.web.as_ref().and_then(Web::symbol);
        #[cfg(not(feature = "web"))]
        None
    }

    /// What somebody said stands on the page for browsers, too.
    pub fn show_on_page(&self, name: &str, line: &str) {
        #[cfg(feature = "web")]
        self.web.iter().for_each(|web| web.says(name, line));
        #[cfg(not(feature = "web"))]
        let _ = (name, line);
    }

    /// Dials who is listed by this digit, beside whoever is dialled already. Whether there is somebody.
    pub fn choose(&mut self, digit: u8) -> bool {
        let Some(host) = self.door.choose(digit) else { return false };
        let Some(pair) = self.door.pair_of(&host.name) else { return false };
        let host = self.net.add_host(host);
        self.door.means(host, pair.as_ref());
        self.net.command(Command::Dial(host, pair));
        true
    }

    /// Where pictures and sound of ours are published beside those who are here.
    pub fn published(&self) -> Option<Arc<dyn Published>> {
        #[cfg(feature = "relay")]
        return self.room.as_ref().and_then(Room::published);
        #[cfg(not(feature = "relay"))]
        None
    }

    /// Whether somebody takes what is published there.
    pub fn is_relayed(&self) -> bool {
        #[cfg(feature = "relay")]
        return self.room.as_ref().is_some_and(Room::is_watched);
        #[cfg(not(feature = "relay"))]
        false
    }

    /// Whether a picture was asked for from outside, by a signal.
    pub fn snapshot_asked(&self) -> bool {
        self.stop.snapshot_asked()
    }

    /// Nobody is here any more since the one of this name left: the end, where nobody is waited for.
    pub fn last_left(&self, name: &str) -> Option<End> {
        if self.reconnect {
            return None;
        }
        tracing::error!("{name} is lost and --no-reconnect was given");
        Some(End::Lost)
    }
}
