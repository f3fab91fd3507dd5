//! Commands, deadlines and the end of the thread.

use std::io::Read;

use super::*;

/// What a quarter of these were below.
fn quarter(mut late: Vec<Duration>) -> Duration {
    late.sort_unstable();
    late[late.len() / 4]
}

/// A thread that waits for the same deadlines as the net thread, and does nothing else, shows how late the machine wakes anybody.
#[test]
fn deadlines_fire_never_early_and_to_a_fraction_of_a_millisecond() {
    const DEADLINES: usize = 40;
    let net = Net::start(V4, false, &[]);
    let (tell, told) = mpsc::channel::<Instant>();
    let control = std::thread::spawn(move || {
        let wait = |deadline: Instant| loop {
            match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return deadline.elapsed(),
                left => std::thread::park_timeout(left),
            }
        };
        told.iter().map(wait).collect()
    });
    let wait = |_| {
        let deadline = Instant::now() + Duration::from_micros(5300);
        tell.send(deadline).expect("it waits");
        let at = net.hear_timeout(deadline);
        assert!(at >= deadline);
        at - deadline
    };
    let late = quarter((0..DEADLINES).map(wait).collect());
    drop(tell);
    let control = quarter(control.join().expect("no panic"));
    // Rounded up to milliseconds each would be 0.7 ms late, but for those of which the thread learnt late.
    assert!(late < control + Duration::from_micros(500), "{late:?} late; who does nothing else, {control:?}");
    let wakeups = net.traffic().wakeups;
    assert!(wakeups <= DEADLINES as u64 * 2 + 5, "{wakeups} wake-ups for {DEADLINES} deadlines");
}

#[test]
fn thousands_of_commands_arrive_in_order_and_none_is_lost() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, id) = connect(&net, V4);
    let commands = net.handle.commands();
    let pusher = std::thread::spawn(move || {
        for number in 0..20_000u32 {
            commands.command(Do::Write { id, bytes: number.to_be_bytes().to_vec() });
        }
    });
    let mut arrived = vec![0; 20_000 * 4];
    socket.read_exact(&mut arrived).expect("all of them");
    pusher.join().expect("pushed");
    assert!(arrived == (0..20_000u32).flat_map(u32::to_be_bytes).collect::<Vec<u8>>(), "some are missing, or out of order");
}

#[test]
fn commands_given_before_the_end_take_effect_and_what_tcp_holds_back_is_written() {
    // However seldom the reader runs.
    let net = Net::with(Config { last_flush: LIMIT, ..config(V4, 0, true) });
    let (mut socket, id) = connect(&net, V4);
    let all = bytes(16 << 20); // more than both kernels hold
    let (held_back, last) = all.split_at(15 << 20);
    net.tell(Do::Write { id, bytes: held_back.to_vec() });
    assert_eq!(net.hear(), Heard::Writable(id, false));
    net.tell(Do::Write { id, bytes: last.to_vec() });
    let reader = std::thread::spawn(move || {
        let mut arrived = Vec::new();
        socket.read_to_end(&mut arrived).map(|_| arrived)
    });
    drop(net);
    let arrived = reader.join().expect("read").expect("no reset");
    assert!(arrived == all, "{} of {} bytes arrived", arrived.len(), all.len());
}

#[test]
fn stopping_waits_for_nobody_who_does_not_read() {
    let net = Net::start(V4, true, &[]);
    let (_socket, id) = connect(&net, V4);
    net.tell(Do::Write { id, bytes: bytes(16 << 20) });
    assert_eq!(net.hear(), Heard::Writable(id, false));
    let (end, ended) = mpsc::channel();
    std::thread::spawn(move || {
        drop(net);
        end.send(())
    });
    ended.recv_timeout(LIMIT).expect("it ends");
}

#[test]
fn a_core_that_is_never_content_does_not_make_the_thread_spin() {
    let net = Net::start(V4, false, &[]);
    let from = Instant::now();
    net.tell(Do::Nag);
    net.hear_timeout(Instant::now() + Duration::from_millis(50));
    let (wakeups, time) = (net.traffic().wakeups, from.elapsed());
    // One in 100 µs at most, and a few for the commands.
    assert!(u128::from(wakeups) <= time.as_micros() / 100 + 20, "{wakeups} wake-ups in {time:?}");
}
