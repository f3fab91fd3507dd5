use super::*;

const SOCKET: SocketId = SocketId(7);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One of each state, made at `start` by the events that make it; bytes came last at `start` where there is a connection.
fn states(start: Instant) -> [Liveness; 6] {
    let connected = Liveness::new(start, SOCKET);
    let after = |event: fn(&mut Liveness, Instant)| {
        let mut liveness = connected;
        event(&mut liveness, start);
        liveness
    };
    [
        connected,
        after(Liveness::moved),
        after(|liveness, _| liveness.hangs()),
        after(|liveness, _| liveness.closed()),
        after(Liveness::retire),
        after(|liveness, start| {
            liveness.closed();
            liveness.retire(start);
        }),
    ]
}

/// What each state becomes by an event.
fn after(start: Instant, event: impl Fn(&mut Liveness)) -> [Liveness; 6] {
    states(start).map(|mut liveness| {
        event(&mut liveness);
        liveness
    })
}

#[test]
fn every_event_leads_from_every_state_to_the_one_of_the_table() {
    let start = Instant::now();
    let later = start + ms(100);
    let [connected, doubted, suspect, detached, retired, closed] = states(start);
    assert_eq!(connected, Liveness::Connected { socket: SOCKET, heard: start });
    assert_eq!(doubted, Liveness::Doubted { socket: SOCKET, heard: start, since: start });
    assert_eq!(suspect, Liveness::Suspect { socket: SOCKET, heard: start });
    assert_eq!((detached, closed), (Liveness::Detached, Liveness::Retired { until: start + RETIRED, socket: None }));
    assert_eq!(retired, Liveness::Retired { until: start + RETIRED, socket: Some(SOCKET) });

    let fresh = Liveness::Connected { socket: SOCKET, heard: later };
    assert_eq!(after(start, |it| it.bytes_came(later)), [fresh, fresh, fresh, detached, retired, closed], "bytes came");
    let moved = Liveness::Doubted { socket: SOCKET, heard: start, since: later };
    assert_eq!(after(start, |it| it.moved(later)), [moved, doubted, suspect, detached, retired, closed], "one of us moved");
    assert_eq!(after(start, Liveness::hangs), [suspect, suspect, suspect, detached, retired, closed], "nothing came in time");
    assert_eq!(after(start, Liveness::closed), [detached, detached, detached, detached, closed, closed], "it closed");
    let [open, shut] = [Some(SOCKET), None].map(|socket| Liveness::Retired { until: later + RETIRED, socket });
    assert_eq!(after(start, |it| it.retire(later)), [open, open, open, shut, open, shut], "another took its place");
}

#[test]
fn a_silence_that_ended_makes_a_connection_suspect_that_gave_nothing_since_it_began() {
    let start = Instant::now();
    let [connected, doubted, suspect, detached, retired, closed] = states(start);
    let ended = |last| {
        let mut told = Vec::new();
        let states = states(start).map(|mut liveness| {
            told.push(liveness.silence_ended(last));
            liveness
        });
        (states, told)
    };
    let before = start.checked_sub(ms(1)).expect("a machine that has been on for a while");
    let heard = [connected, doubted, suspect, detached, retired, closed];
    assert_eq!(ended(before), (heard, vec![false, false, true, true, false, false]), "bytes came in it");
    let hangs = [suspect, suspect, suspect, detached, retired, closed];
    assert_eq!(ended(start), (hangs, vec![true, true, true, true, false, false]), "none did");
}

#[test]
fn a_connection_is_suspect_after_three_probes_of_silence_and_after_one_where_somebody_moved() {
    let start = Instant::now();
    let hello = LastDatagram { last: None, began: start };
    let deadlines = |datagram| states(start).map(|liveness| liveness.silence_deadline(datagram).map(|at| at - start));
    assert_eq!(deadlines(hello), [Some(SILENT), Some(DOUBT), None, None, None, None]);
    let datagram = LastDatagram { last: Some(start + ms(2000)), ..hello };
    let later = [Some(ms(2000) + SILENT), Some(DOUBT), None, None, None, None];
    assert_eq!(deadlines(datagram), later, "datagrams are no sign that TCP came along");
}

#[test]
fn whose_place_may_be_another_s_hangs_on_its_connection_and_then_on_what_is_heard() {
    let start = Instant::now();
    let gone = |after, last: Option<Duration>, restarts| {
        let datagram = LastDatagram { last: last.map(|last| start + last), began: start };
        states(start).map(|liveness| liveness.is_gone(start + after, datagram, restarts))
    };
    // The peer of a retired link has come back.
    let [by_connection, heard_of] = [[false, false, true, true, false, false], [true, true, true, true, false, false]];
    assert_eq!(gone(QUIET * 2, None, false), by_connection, "where no datagram ever came, silence says nothing");
    assert_eq!(gone(QUIET - ms(1), Some(ms(0)), false), by_connection);
    assert_eq!(gone(QUIET, Some(ms(0)), false), heard_of);
    assert_eq!(gone(SILENT - ms(1), None, true), by_connection);
    assert_eq!(gone(SILENT, None, true), heard_of, "it may have started again");
    assert_eq!(gone(SILENT, Some(ms(1)), true), by_connection);
}

#[test]
fn a_link_is_dead_from_its_beginning_without_a_connection_and_else_from_the_last_datagram_on() {
    let start = Instant::now();
    let dead = |last: Option<Duration>| {
        let datagram = LastDatagram { last: last.map(|last| start + last), began: start };
        states(start).map(|liveness| liveness.dead_from(datagram, SILENT).map(|at| at - start))[..4].to_vec()
    };
    assert_eq!(dead(None), [None, None, Some(ms(0)), Some(ms(0))]);
    let last = Some(ms(500) + SILENT);
    assert_eq!(dead(Some(ms(500))), [last, last, Some(ms(0)), Some(ms(0))]);
}

#[test]
fn keys_grow_old_where_nothing_comes_but_not_beside_a_connection_through_which_udp_never_passed() {
    let start = Instant::now();
    let end = |blocked| {
        let datagram = LastDatagram { last: None, began: start };
        states(start).map(|liveness| liveness.keys_end(datagram, blocked).map(|at| at - start))
    };
    let old = Some(KEY_LIFE);
    assert_eq!(end(false), [old, old, old, old, None, None]);
    assert_eq!(end(true), [None, None, None, old, None, None]);
}

#[test]
fn datagrams_are_steady_from_the_first_on_and_again_a_while_after_a_silence() {
    let start = Instant::now();
    let mut datagrams = Datagrams::new(start);
    assert!(!datagrams.are_steady(start) && datagrams.are_quiet(start));
    datagrams.came(start + ms(100));
    assert_eq!((datagrams.awaited_since(), datagrams.last()), (None, Some(start + ms(100))));
    assert!(datagrams.are_steady(start + ms(100)) && !datagrams.are_steady(start + ms(100) + HEARD_WITHIN));
    let back = start + ms(100) + QUIET;
    assert!(datagrams.are_quiet(back) && !datagrams.are_quiet(back - ms(1)));
    datagrams.came(back);
    assert!(!datagrams.are_quiet(back) && !datagrams.are_steady(back));
    datagrams.came(back + SETTLES / 2);
    assert!(!datagrams.are_steady(back + SETTLES / 2), "what lay in queues meanwhile comes late");
    datagrams.came(back + SETTLES);
    assert!(datagrams.are_steady(back + SETTLES));
}

#[test]
fn what_is_awaited_is_counted_from_the_end_of_a_standstill_and_what_came_is_not() {
    let start = Instant::now();
    let mut datagrams = Datagrams::new(start);
    datagrams.stood_still(start + ms(900));
    assert_eq!(datagrams.awaited_since(), Some(start + ms(900)));
    datagrams.came(start + ms(1000));
    datagrams.stood_still(start + ms(2000));
    assert_eq!((datagrams.awaited_since(), datagrams.last()), (None, Some(start + ms(1000))));
}

#[test]
fn a_link_knows_what_came_over_the_one_before_it_until_something_comes_over_itself() {
    let start = Instant::now();
    let (mut before, never) = (Datagrams::new(start), Datagrams::new(start));
    before.came(start + ms(100));
    let mut datagrams = Datagrams::new(start + ms(500));
    datagrams.follow(&before);
    assert_eq!((datagrams.awaited_since(), datagrams.last()), (Some(start + ms(500)), Some(start + ms(100))));
    datagrams.came(start + ms(600));
    for former in [before, never] {
        datagrams.follow(&former);
        assert_eq!((datagrams.awaited_since(), datagrams.last()), (None, Some(start + ms(600))), "its own is newer");
    }
    assert!(!datagrams.are_steady(start + ms(600)), "the one before it had been silent");
}
