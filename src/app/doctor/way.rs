//! Our own port, and the way to hosts: tried for real, with a session that takes what comes and measures what rate passes.

use super::super::args::Common;
use super::super::pairs::Pairs;
use super::super::rendezvous;
use super::Needs;
use super::findings::Finding;
use crate::net::discovery::{self, Directory};
use crate::net::{self, Handle};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::session::gauge::Measured;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::stats::Stats;
use eyeline_proto::session::unreachable::Unreachable;
use eyeline_proto::session::{self, Command, Event, Session};
use eyeline_proto::wire::record::Media;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// For so long hosts are tried: seconds of pictures, or of what is sent to measure the path, tell a rate.
const TRIED: Duration = Duration::from_secs(6);

/// What is said by multicast is heard within a second, or not at all.
const HEARD: Duration = Duration::from_secs(3);

/// What less of is seen in a picture of 1280x720.
const SLOW: Bitrate = Bitrate(2_000_000);

/// Whether we could wait here.
pub fn port(common: &Common) -> Option<Finding> {
    let address = common.rendezvous.wait?;
    let what = format!("port {}", address.port());
    let alone = super::super::args::Rendezvous { dial: Vec::new(), ..common.rendezvous.clone() };
    Some(match meet(common, &alone, Media::NONE, Media::NONE) {
        Ok((net, _)) => {
            net.stop();
            Finding::ok(what, "free, UDP and TCP")
        }
        // It says what to do.
        Err(error) => Finding { mend: None, ..Finding::wrong(what, error.to_string(), "") },
    })
}

/// Whether programs find each other by name on this network, as far as this machine can tell.
pub fn by_name(common: &Common) -> Finding {
    let (what, elsewhere) = ("found by name", "dial addresses instead: --host ADDRESS");
    if !common.announce {
        return Finding::ok(what, "not wanted (--no-announce)");
    }
    if let Some(obstacle) = discovery::obstacle() {
        return Finding::better(what, obstacle, elsewhere);
    }
    if discovery::is_heard(HEARD) {
        return Finding::ok(what, "multicast (UDP port 5353) goes out and comes in");
    }
    Finding::better(
        what,
        "what this machine says by multicast does not come back to it: its firewall may hold UDP port 5353",
        format!("sudo ufw allow 5353/udp, or sudo firewall-cmd --add-service=mdns; else {elsewhere}"),
    )
}

fn meet(
    common: &Common,
    where_to: &super::super::args::Rendezvous,
    offers: Media,
    wants: Media,
) -> Result<(Handle<Command>, Receiver<Event>), net::Error> {
    let me = Identity { offers, wants, ..rendezvous::identity(common) };
    let now = Instant::now();
    let (config, hosts) = rendezvous::net_config(where_to, Directory::new(offers, wants));
    let keys = Pairs::read().unwrap_or_default().keys(&Common { rendezvous: where_to.clone(), ..common.clone() });
    let core = session::Config { hosts, keys, reconnect: true, ..session::Config::new(me, Epoch::new(now)) };
    let (tell, told) = mpsc::channel();
    let net = net::spawn(Session::new(now, core), config, move |event| {
        // What pictures show is of no use here.
        if !matches!(
            event,
            Event::Slice(..) | Event::Part(..) | Event::Sound(..) | Event::Packet { .. } | Event::Settled(..) | Event::Clock(..)
        ) {
            let _ = tell.send(event);
        }
    })?;
    Ok((net, told))
}

/// What is known of the way to a host after a while.
#[derive(Default)]
struct Way {
    /// Who answered.
    name: Option<String>,
    trouble: Option<String>,
    /// That may be because no program listens there.
    unanswered: bool,
    no_udp: bool,
    narrow: bool,
    stats: Vec<Stats>,
}

/// The way to each host that is dialled.
pub fn hosts(needs: &Needs, common: &Common) -> Vec<Finding> {
    let dial = &common.rendezvous.dial;
    dial.iter()
        .map(|host| {
            let what = format!("the way to {host}");
            let one = super::super::args::Rendezvous { wait: None, dial: vec![host.clone()], relay: None };
            // A receiver lets in who has something for it, a sender who wants something.
            let offers = if needs.offers { Media { pictures: true, sound: true, lossless: false } } else { Media::NONE };
            let wants = if needs.wants { Media::LIVE } else { Media::NONE };
            match meet(common, &one, offers, wants) {
                Err(error) => Finding::wrong(what, error.to_string(), "look at the network"),
                Ok((net, told)) => {
                    let way = watch(&net, &told, Instant::now() + TRIED);
                    // Else whoever is there waits for us to come back.
                    net.command(Command::Stop("the doctor has seen enough".into()));
                    net.stop();
                    way.judge(what)
                }
            }
        })
        .collect()
}

fn watch(net: &Handle<Command>, told: &Receiver<Event>, until: Instant) -> Way {
    let mut way = Way::default();
    while let Ok(event) = told.recv_timeout(until.saturating_duration_since(Instant::now())) {
        match event {
            Event::PeerUp { peer, name, .. } => {
                way.name = Some(name);
                net.command(Command::Measure(peer));
            }
            Event::SenderUp { name, .. } => way.name = Some(name),
            Event::NoUdp(_) => way.no_udp = true,
            Event::Narrow { narrow, .. } => way.narrow = narrow,
            Event::Unreachable { error, fatal, .. } => {
                way.unanswered = matches!(error, Unreachable::Dial(_) | Unreachable::HungUp(_) | Unreachable::Silent(_));
                way.trouble = Some(error.to_string());
                if fatal {
                    break;
                }
            }
            Event::Stats(stats) => way.stats.push(*stats),
            _ => {}
        }
    }
    way
}

impl Way {
    fn judge(&self, what: String) -> Finding {
        let Some(name) = &self.name else {
            let mend = "is the program started there, and its port open (UDP and TCP)?";
            return match &self.trouble {
                Some(trouble) if self.unanswered => Finding::wrong(what, trouble.clone(), mend),
                // It says what to do.
                Some(trouble) => Finding { mend: None, ..Finding::wrong(what, trouble.clone(), "") },
                None => Finding::wrong(what, "nobody answers", mend),
            };
        };
        if self.no_udp {
            return Finding::wrong(what, format!("{name} answers over TCP, and no UDP comes through"), "open the UDP port there");
        }
        let last = self.stats.last();
        // The least: while the path is full of what is measured by it, it is another.
        let rtts = self.stats.iter().flat_map(|stats| {
            let theirs = stats.receiving.tracks.iter().map(|track| track.rtt);
            theirs.chain(stats.sending.peers.iter().map(|peer| peer.rtt)).find(|rtt| !rtt.is_zero())
        });
        let rtt = rtts.min();
        let mut parts = vec![format!("{name} answers")];
        parts.extend(rtt.map(|rtt| format!("round trip {:.1} ms", rtt.as_secs_f64() * 1e3)));
        parts.extend(
            last.and_then(|stats| stats.sending.peers.first())
                .filter(|peer| peer.path_mtu > 0)
                .map(|peer| format!("datagrams of {} bytes pass", peer.path_mtu)),
        );
        let measured = last.and_then(|stats| stats.sending.peers.first()?.measured);
        parts.extend(measured.map(|Measured { rate, more, loss }| {
            let more = if more { " and more" } else { "" };
            format!("{rate}{more} pass there, {:.1} % lost", loss * 100.0)
        }));
        let received = last.map(|stats| stats.receiving.total).unwrap_or_default();
        let loss = if received.datagrams > 0 {
            let lost = received.lost_packets as f64;
            let loss = 100.0 * lost / (lost + received.datagrams as f64);
            let rate = received.bytes as f64 * 8e-6 / self.stats.len().max(1) as f64;
            parts.push(format!("{rate:.1} Mbit/s came, {loss:.1} % lost"));
            loss
        } else {
            0.0
        };
        let loss = measured.map_or(loss, |measured| loss.max(measured.loss * 100.0));
        let found = parts.join(", ");
        if self.narrow {
            return Finding::wrong(
                what,
                found + ", and large datagrams do not pass",
                "set the MTU of the VPN or tunnel to 1048 or more",
            );
        }
        if measured.is_some_and(|measured| measured.rate < SLOW) {
            return Finding::better(
                what,
                found,
                "pictures will be small or coarse: a cable instead of Wi-Fi, or a nearer network",
            );
        }
        match loss {
            loss if loss >= 1.0 => Finding::better(what, found, "a cable instead of Wi-Fi, or less: --bitrate at the sender"),
            _ => Finding::ok(what, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::Verdict;
    use super::*;
    use eyeline_proto::session::stats::{PeerStats, Received, ReceiverStats, SenderStats};

    #[test]
    fn a_way_is_judged_by_who_answers_what_passes_and_what_is_lost() {
        let judged = |way: &Way| way.judge("the way".into());
        assert_eq!(judged(&Way::default()).verdict, Verdict::Wrong);
        let here = || Way { name: Some("lab".into()), ..Way::default() };
        assert_eq!(judged(&Way { no_udp: true, ..here() }).verdict, Verdict::Wrong);
        assert_eq!(judged(&Way { narrow: true, ..here() }).verdict, Verdict::Wrong);
        assert_eq!(judged(&here()).verdict, Verdict::Ok);
        let total = Received { datagrams: 900, lost_packets: 100, bytes: 1_000_000, ..Received::default() };
        let stats = Stats { receiving: ReceiverStats { total, ..ReceiverStats::default() }, ..Stats::default() };
        let lossy = judged(&Way { stats: vec![stats], ..here() });
        assert!(lossy.verdict == Verdict::Better && lossy.found.ends_with("8.0 Mbit/s came, 10.0 % lost"), "{}", lossy.found);
        let measured = |rate, more, loss| {
            let peer = PeerStats { measured: Some(Measured { rate: Bitrate(rate), more, loss }), ..PeerStats::default() };
            let sending = SenderStats { peers: vec![peer], ..SenderStats::default() };
            judged(&Way { stats: vec![Stats { sending, ..Stats::default() }], ..here() })
        };
        let (fine, slow, lossy) =
            (measured(64_000_000, true, 0.0), measured(900_000, false, 0.0), measured(12_300_000, false, 0.031));
        assert_eq!(
            (fine.verdict, fine.found.as_str()),
            (Verdict::Ok, "lab answers, 64.0 Mbit/s and more pass there, 0.0 % lost")
        );
        assert_eq!((slow.verdict, slow.found.as_str()), (Verdict::Better, "lab answers, 900 kbit/s pass there, 0.0 % lost"));
        assert_eq!((lossy.verdict, lossy.found.as_str()), (Verdict::Better, "lab answers, 12.3 Mbit/s pass there, 3.1 % lost"));
    }
}
