//! Calls of two: each sends and receives over one link. And what the tests of meetings are made of.

use super::ceilings::{Figures, check};
use super::harness::World;
use super::netem::Params;
use super::oscillator::Oscillator;
use super::party::{Clocks, Party, Start};
use super::receiving::{Sources, View, Views};
use super::scenarios::{figures, lossy, ms, secs, seed, start};
use super::sending::Stream;
use super::source::Source;
use super::watched::Watched;
use eyeline_proto::session::sound_form::Wish;
use eyeline_proto::session::{Command, MOST_SENDERS};
use eyeline_proto::wire::record::Want;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Processes that see each other.
pub struct Gathering {
    pub world: World,
    pub sources: Sources,
    pub members: Vec<Member>,
    /// Whoever comes may be sent datagrams by other guests, and sound as Opus packets if it is so wished.
    pub direct: bool,
    pub opus: Option<Wish>,
}

/// One of them.
pub struct Member {
    pub node: usize,
    pub ip: String,
    pub source: Option<Rc<RefCell<Source>>>,
    /// What its session says of nobody.
    pub common: Rc<RefCell<Watched>>,
    pub views: Views,
}

impl Gathering {
    pub fn new(of: u64) -> Gathering {
        Gathering {
            world: World::new(seed(of), Params::lan()),
            sources: Sources::default(),
            members: Vec::new(),
            direct: false,
            opus: None,
        }
    }

    fn start(&self, hosts: &[&str]) -> Start {
        Start { direct: self.direct, opus: self.opus, ..start(&self.world, hosts) }
    }

    /// Crystals of its own for each.
    fn clocks(&self) -> Clocks {
        let number = self.members.len() as f64;
        let machine = Oscillator::new(secs(1000 + 700 * self.members.len() as u64), 15.0 - 8.0 * number);
        let microphone = Oscillator::new(secs(1), 31.0 - 14.0 * number);
        let speaker = Oscillator::new(secs(77), -24.0 + 11.0 * number);
        Clocks { machine, microphone, speaker }
    }

    /// `call` on this machine. Who dials nobody waits.
    pub fn call(&mut self, ip: &str, name: &str, stream: Stream, hosts: &[&str]) -> usize {
        self.calling(ip, name, (stream, Want::ALL), hosts)
    }

    /// `call` that waits where nobody is: nothing is caught, seen or heard there.
    pub fn point(&mut self, ip: &str, name: &str) -> usize {
        self.calling(ip, name, (Stream::none(), Want { pictures: false, sound: false, ..Want::ALL }), &[])
    }

    fn calling(&mut self, ip: &str, name: &str, media: (Stream, Want), hosts: &[&str]) -> usize {
        let clocks = self.clocks();
        let (party, source, (common, _), views) = Party::calling(self.start(hosts), name, clocks, media, &self.sources);
        self.sources.borrow_mut().push(source.clone());
        let node = self.world.start(ip, clocks.machine, hosts, party);
        self.members.push(Member { node, ip: ip.to_string(), source: Some(source), common, views });
        self.members.len() - 1
    }

    /// `recv` on this machine.
    pub fn recv(&mut self, ip: &str, name: &str, hosts: &[&str]) -> usize {
        self.receiving(ip, name, MOST_SENDERS, (false, Want::ALL), hosts)
    }

    /// `recv` that has room for one sender.
    pub fn recv_one(&mut self, ip: &str, name: &str, hosts: &[&str]) -> usize {
        self.receiving(ip, name, 1, (false, Want::ALL), hosts)
    }

    /// `recv` that writes files.
    pub fn recv_writing(&mut self, ip: &str, name: &str, want: Want, hosts: &[&str]) -> usize {
        self.receiving(ip, name, MOST_SENDERS, (true, want), hosts)
    }

    fn receiving(&mut self, ip: &str, name: &str, senders: usize, wants: (bool, Want), hosts: &[&str]) -> usize {
        let clocks = self.clocks();
        let both = (clocks.machine, clocks.speaker);
        let (party, (common, _), views) =
            Party::receiving(self.start(hosts), name, both, (senders, MOST_SENDERS), wants, &self.sources);
        let node = self.world.start(ip, clocks.machine, hosts, party);
        self.members.push(Member { node, ip: ip.to_string(), source: None, common, views });
        self.members.len() - 1
    }

    /// `send` on this machine.
    pub fn send(&mut self, ip: &str, name: &str, stream: Stream, hosts: &[&str]) -> usize {
        let clocks = self.clocks();
        let (party, source) = Party::sending(self.start(hosts), name, (clocks.machine, clocks.microphone), stream);
        self.sources.borrow_mut().push(source.clone());
        let node = self.world.start(ip, clocks.machine, hosts, party);
        let (common, views) = Default::default();
        self.members.push(Member { node, ip: ip.to_string(), source: Some(source), common, views });
        self.members.len() - 1
    }

    pub fn pass(&mut self, time: Duration) {
        let end = Duration::from_nanos(self.world.now) + time;
        self.world.run_until(end);
    }

    /// The machine is without power from now on.
    pub fn power_off(&mut self, who: usize) {
        let node = self.members[who].node;
        self.world.power_off(node);
    }

    /// Somebody there wants something.
    pub fn command(&mut self, who: usize, command: Command) {
        let node = self.members[who].node;
        self.world.command(node, command);
    }

    /// Names of those whom one sees now, sorted.
    pub fn sees(&self, who: usize) -> Vec<String> {
        let views = self.members[who].views.borrow();
        let mut names: Vec<String> = views.iter().filter(|view| view.gone.is_none()).map(|view| view.name.clone()).collect();
        names.sort();
        names
    }

    /// How one sees another now.
    pub fn view(&self, who: usize, whose: &str) -> View {
        let views = self.members[who].views.borrow();
        let of_it = views.iter().rfind(|view| view.name == whose && view.gone.is_none());
        of_it.cloned().unwrap_or_else(|| panic!("member {who} does not see {whose}: {:?}", self.members[who].common.borrow().log))
    }

    pub fn source(&self, name: &str) -> Rc<RefCell<Source>> {
        let sources = self.sources.borrow();
        sources.iter().rfind(|source| source.borrow().name == name).expect("it is here").clone()
    }

    /// The figures of how one sees and hears another. Bytes are what came to it in all, for all that it saw.
    pub fn figures(&self, who: usize, whose: &str) -> Figures {
        let (view, source) = (self.view(who, whose), self.source(whose));
        let at = |to: &std::net::SocketAddr| to.ip().to_string() == self.members[who].ip;
        let bytes: u64 = self.world.sent_to.iter().filter(|(to, _)| at(to)).map(|(_, traffic)| traffic.bytes).sum();
        let bytes = bytes / self.sees(who).len() as u64;
        let mut figures = figures(&source.borrow(), &view.watched.borrow(), &view.speaker.borrow(), bytes);
        let standing = self.world.now - view.watched.borrow().last_band.unwrap_or(0);
        figures.frozen_ms = figures.frozen_ms.max(standing as f64 / 1e6);
        figures
    }
}

const ANN: &str = "10.0.3.1";
const BOB: &str = "10.0.3.2";

/// Two that call each other over such a path; `crossed`: both dial.
fn pair(of: u64, params: &Params, crossed: bool) -> Gathering {
    let mut gathering = Gathering::new(of);
    gathering.world.connect(ANN, BOB, params);
    let ann = gathering.call(ANN, "ann", Stream::camera(), if crossed { &[BOB] } else { &[] });
    let node = gathering.members[ann].node;
    gathering.world.listen(node);
    let bob = gathering.call(BOB, "bob", Stream::camera(), &[ANN]);
    let node = gathering.members[bob].node;
    gathering.world.listen(node);
    gathering
}

/// Both see and hear each other, each the other once, and are told of nothing else.
fn talked(name: &str, gathering: &Gathering) {
    assert_eq!([gathering.sees(0), gathering.sees(1)], [["bob"], ["ann"]]);
    for member in &gathering.members {
        assert_eq!(member.views.borrow().len(), 1, "{:?}", member.common.borrow().log);
    }
    check(name, &Figures::worst([gathering.figures(0, "bob"), gathering.figures(1, "ann")]));
}

#[test]
fn call_pair() {
    let mut gathering = pair(90, &Params::lan(), false);
    gathering.pass(secs(6));
    talked("call_pair", &gathering);
    for member in &gathering.members {
        assert_eq!(member.common.borrow().stats.total.nacks, 0, "nothing was lost, nothing is asked for");
        assert_eq!(member.common.borrow().counters, Default::default());
    }
}

/// Both dial: one link remains, and each sees the other once.
#[test]
fn call_pair_that_dial_each_other() {
    let mut gathering = pair(91, &Params::lan(), true);
    gathering.pass(secs(6));
    talked("call_pair", &gathering);
}

/// On either way one in twenty is lost.
#[test]
fn call_loss_5() {
    let mut gathering = pair(92, &lossy(0.05), false);
    gathering.pass(secs(8));
    talked("call_loss_5", &gathering);
}

/// Who is muted while pictures flow is not asked for sound that is not late: there are no copies of it when it is back.
#[test]
fn who_is_muted_is_not_asked_for_copies_of_sound() {
    let mut gathering = pair(94, &Params::lan(), false);
    gathering.pass(secs(2));
    for muted in [true, false, true, false] {
        gathering.command(0, Command::Silence { muted, closed: false });
        gathering.pass(secs(2));
    }
    let stats = gathering.source("ann").borrow().stats.peers[0].clone();
    assert_eq!(stats.copies, 0, "{stats:?}");
    assert!(gathering.view(1, "ann").watched.borrow().blocks.len() > 550);
}

/// Who mutes the microphone or closes the camera is known to, nothing of it comes, and all is back when it is opened again.
#[test]
fn who_is_muted_and_whose_camera_is_closed_is_told() {
    let mut gathering = pair(93, &Params::lan(), false);
    gathering.pass(secs(2));
    gathering.command(0, Command::Silence { muted: true, closed: true });
    gathering.pass(ms(100));
    let view = gathering.view(1, "ann");
    let came = |view: &View| (view.watched.borrow().blocks.len(), view.watched.borrow().whole);
    let before = came(&view);
    gathering.pass(secs(2));
    assert_eq!(came(&view), before, "nothing comes");
    let told = |view: &View| view.watched.borrow().told.iter().map(|track| (track.muted, track.closed)).collect::<Vec<_>>();
    assert_eq!(told(&view), [(false, false), (true, true)]);
    gathering.command(0, Command::Silence { muted: false, closed: false });
    gathering.pass(secs(1));
    assert_eq!(told(&view), [(false, false), (true, true), (false, false)]);
    let after = came(&view);
    assert!(after.0 > before.0 + 80 && after.1 > before.1 + 25, "{before:?} {after:?}");
    assert_eq!(view.watched.borrow().lost + view.watched.borrow().partial, 0);
    assert!(gathering.view(0, "bob").watched.borrow().frozen < 60_000_000, "bob was seen all the time");
}

/// Who dials itself is told so, at once and for good, and does not see itself.
#[test]
fn who_dials_itself_is_told_so_once() {
    let mut gathering = Gathering::new(125);
    let ann = gathering.call(ANN, "ann", Stream::call(), &[ANN, BOB]);
    let node = gathering.members[ann].node;
    gathering.world.listen(node);
    gathering.call(BOB, "bob", Stream::call(), &[]);
    gathering.pass(secs(6));
    assert_eq!([gathering.sees(0), gathering.sees(1)], [["bob"], ["ann"]]);
    let log = gathering.members[ann].common.borrow().log.clone();
    let told: Vec<_> = log.iter().filter(|(_, what)| what.starts_with("unreachable")).collect();
    assert!(matches!(&told[..], [(0..=50, what)] if what.contains("this very program")), "{log:?}");
}

/// A host that is given under two names is there once, and comes back once.
#[test]
fn who_is_dialled_under_two_names_is_there_once() {
    for late in [0, 1, 3, 8] {
        let mut gathering = Gathering::new(126 + late);
        let slow = Params { delay: ms(20), jitter: ms(late), ..Params::lan() };
        gathering.world.connect(ANN, BOB, &Params { outages: vec![(secs(3), secs(6))], ..slow });
        gathering.call(ANN, "ann", Stream::call(), &[]);
        gathering.call(BOB, "bob", Stream::call(), &[ANN, ANN]);
        for until in [2, 10] {
            gathering.pass(secs(until) - Duration::from_nanos(gathering.world.now));
            assert_eq!([gathering.sees(0), gathering.sees(1)], [["bob"], ["ann"]], "{late}");
            for member in &gathering.members {
                let log = member.common.borrow().log.clone();
                assert!(member.views.borrow().len() == 1 && !log.iter().any(|(_, what)| what.starts_with("down")), "{log:?}");
            }
            let source = gathering.source("ann");
            assert_eq!(source.borrow().stats.peers.len(), 1, "{late}: {:?}", source.borrow().log);
        }
    }
}
