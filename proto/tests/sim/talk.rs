//! Lines of text between people, and who may say them under which name.

use super::calls::Gathering;
use super::harness::World;
use super::meetings::{ALL, OTHERS, meeting, undisturbed};
use super::netem::Params;
use super::scenarios::{ms, secs};
use super::sending::{Stream, identity};
use super::stranger::{Stranger, Victim, process};
use eyeline_proto::session::{Command, Event, MOST_SENDERS};
use eyeline_proto::wire::record::{FORWARDS, Media, Record, Text};

/// What one read, in order: who, and what.
fn read(gathering: &Gathering, who: usize) -> Vec<(String, String)> {
    let common = gathering.members[who].common.borrow();
    common.lines.iter().map(|(_, name, line)| (name.clone(), line.clone())).collect()
}

fn says(gathering: &mut Gathering, who: usize, line: &str) {
    gathering.command(who, Command::Text(line.to_string()));
    gathering.pass(ms(100));
}

/// Everybody reads what anybody says, once and under the right name, and nobody what he said himself. So does a `recv`, and what
/// is said there is read as well.
#[test]
fn what_is_said_at_a_meeting_is_read_by_all_once() {
    let lan = Params::lan();
    let mut gathering = meeting(110, [&lan, &lan, &lan]);
    let wall = gathering.recv("10.0.4.7", "wall", &["10.0.4.1"]);
    gathering.pass(secs(1));
    says(&mut gathering, 1, "I am bob");
    says(&mut gathering, 0, "and I am ann");
    says(&mut gathering, 3, "¿quién? \u{202e}\u{7}");
    let said = [("bob", "I am bob"), ("ann", "and I am ann"), ("dan", "¿quién? \u{fffd}\u{fffd}")];
    for who in [0, 1, 2, 3, wall] {
        let name = ALL.get(who).copied().unwrap_or("wall");
        let others: Vec<_> =
            said.iter().filter(|(by, _)| *by != name).map(|(by, line)| (by.to_string(), line.to_string())).collect();
        assert_eq!(read(&gathering, who), others, "{name}");
    }
}

/// Two that both forward, as every `call` does, and a third that is linked to both: it reads a line once.
#[test]
fn a_line_that_comes_by_two_ways_is_read_once() {
    let mut gathering = Gathering::new(111);
    let ann = gathering.call("10.0.5.1", "ann", Stream::none(), &[]);
    let bob = gathering.call("10.0.5.2", "bob", Stream::call(), &["10.0.5.1"]);
    let node = gathering.members[bob].node;
    gathering.world.listen(node);
    let cid = gathering.call("10.0.5.3", "cid", Stream::call(), &["10.0.5.1", "10.0.5.2"]);
    gathering.pass(secs(1));
    says(&mut gathering, bob, "once");
    says(&mut gathering, cid, "twice");
    let line = |name: &str, line: &str| (name.to_string(), line.to_string());
    assert_eq!(read(&gathering, ann), [line("bob", "once"), line("cid", "twice")]);
    assert_eq!((read(&gathering, bob), read(&gathering, cid)), (vec![line("cid", "twice")], vec![line("bob", "once")]));
}

/// One says a thousand lines a second, of 500 bytes each: five a second are read, and neither his link nor anybody's pictures are
/// the worse for it.
#[test]
fn chat_flood() {
    let lan = Params::lan();
    let mut gathering = meeting(112, [&lan, &lan, &lan]);
    gathering.pass(secs(1));
    let node = gathering.members[1].node;
    for at in 0..3000 {
        let line = format!("{at} {}", "x".repeat(600));
        gathering.world.at(ms(1100 + at), move |world: &mut World| world.command(node, Command::Text(line)));
    }
    says(&mut gathering, 2, "I cannot hear myself think");
    gathering.pass(secs(5));
    for who in [0, 2, 3] {
        let of_bob: Vec<_> = read(&gathering, who).into_iter().filter(|(name, _)| name == "bob").collect();
        assert!((15..=22).contains(&of_bob.len()), "{} read {} lines", ALL[who], of_bob.len());
        assert!(of_bob.iter().all(|(_, line)| line.len() == 500));
        let others = read(&gathering, who).len() - of_bob.len();
        assert_eq!(others, usize::from(who != 2), "{}", ALL[who]);
    }
    undisturbed(&gathering, &[0, 1, 2, 3], &[0, 1, 2, 3]);
}

/// Somebody stands still for ten seconds while the others talk as fast as they may: his link outlasts it.
#[test]
fn who_stands_still_while_others_talk_keeps_his_link() {
    let lan = Params::lan();
    let mut gathering = meeting(113, [&lan, &lan, &lan]);
    gathering.pass(secs(1));
    let still = gathering.members[3].node;
    gathering.world.stop(still);
    for at in 0..100 {
        for who in [0, 1, 2] {
            let node = gathering.members[who].node;
            let line = format!("{at} of {}", ALL[who]);
            gathering.world.at(ms(1100 + 100 * at), move |world: &mut World| world.command(node, Command::Text(line)));
            // And fiddles with the microphone.
            let muted = at % 2 == 0;
            gathering.world.at(ms(1120 + 100 * at), move |world: &mut World| {
                world.command(node, Command::Silence { muted, closed: false });
            });
        }
    }
    gathering.pass(secs(10));
    gathering.world.go_on(still);
    gathering.pass(secs(2));
    for who in [0, 1, 2] {
        let name = OTHERS[2].1;
        let view = gathering.view(who, name);
        let again = view.watched.borrow().log.iter().filter(|(_, what)| what.contains("up ")).count();
        assert_eq!((again, view.came < secs(1).as_nanos() as u64), (1, true), "{:?}", view.watched.borrow().log);
        let told = gathering.view(3, ALL[who]).watched.borrow().told.last().map(|track| track.muted);
        assert_eq!(told, Some(false), "it knows how it stands with {}", ALL[who]);
    }
}

/// Names and lines that were read.
fn lines(victim: &Victim) -> Vec<(&str, &str)> {
    let pairs = victim.events.iter().map(|event| match event {
        Event::Text { name, line } => Some((name.as_str(), line.as_str())),
        _ => None,
    });
    pairs.flatten().collect()
}

/// Nobody speaks as somebody else who is there, nor as ourselves, whatever he says he may; and under one's own id one has one's
/// own name.
#[test]
fn who_claims_to_be_somebody_else_is_not_believed() {
    let mut victim = Victim::with(identity("screen", Media::LIVE, Media::LIVE), MOST_SENDERS);
    let _ann = Stranger::join(&mut victim, 1);
    let mut honest = Stranger::join(&mut victim, 2);
    let mut point = Stranger::come_with(&mut victim, 3, |hello| hello.capabilities |= FORWARDS);
    let own_id = identity("screen", Media::LIVE, Media::LIVE).id;
    let mut say = |stranger: &mut Stranger, origin: [u8; 16], line: &str| {
        let text = Text { origin, name: "the boss".to_string(), line: line.to_string() };
        stranger.record(&mut victim, &Record::Text(text));
    };
    say(&mut honest, [1; 16], "I am host 1");
    say(&mut honest, [9; 16], "I am nobody here");
    say(&mut honest, own_id, "I am you");
    say(&mut honest, [2; 16], "hello");
    say(&mut point, [1; 16], "I forward host 1");
    say(&mut point, own_id, "I forward you");
    say(&mut point, [8; 16], "hello from afar");
    say(&mut point, [3; 16], "I am host 3");
    assert_eq!(lines(&victim), [("host 2", "hello"), ("the boss", "hello from afar"), ("host 3", "I am host 3")]);
    assert!(victim.closed.is_empty());
}

/// One address comes and goes 33 times a second and says five lines each time: it is heard as one that stays would be, and nobody
/// who says two lines a second misses one. So is heard at once who comes in meanwhile, and soon who shares that address.
#[test]
fn who_comes_and_goes_outshouts_nobody() {
    let mut victim = Victim::with(identity("screen", Media::LIVE, Media::LIVE), MOST_SENDERS);
    let text = |origin: [u8; 16], line: String| Record::Text(Text { origin, name: String::new(), line });
    let mut honest = Stranger::join(&mut victim, 1);
    for link in 0..500_u16 {
        let says: Vec<_> = (0..5).map(|_| text(process(256 + link), "noise".to_string())).collect();
        Stranger::come_and_go(&mut victim, (66, 256 + link), 1000 + u64::from(link), [0; 16], &says);
        if link % 16 == 0 {
            honest.record(&mut victim, &text([1; 16], format!("word {link}")));
        }
        victim.pass(ms(30));
    }
    let said: Vec<String> = (0..500).step_by(16).map(|link| format!("word {link}")).collect();
    assert_eq!(lines(&victim).into_iter().filter(|(name, _)| *name == "host 1").map(|(_, line)| line).collect::<Vec<_>>(), said);
    let noise = lines(&victim).iter().filter(|(_, line)| *line == "noise").count();
    assert!((60..=5 + 5 * 15).contains(&noise), "{noise} lines of noise");
    for (host, after) in [(2, 0), (66, 500)] {
        let mut newcomer = Stranger::join(&mut victim, host);
        victim.pass(ms(after));
        newcomer.record(&mut victim, &text([host; 16], "hello".to_string()));
        assert_eq!(lines(&victim).last(), Some(&(format!("host {host}").as_str(), "hello")));
    }
}
