//! Commands, deadlines and the end of the thread.

use std::io::Read;

use super::*;

#[test]
fn deadlines_fire_never_early_and_to_a_fraction_of_a_millisecond() {
    let net = Net::start(V4, false, &[]);
    let mut least = Duration::MAX;
    for _ in 0..20 {
        let deadline = Instant::now() + Duration::from_micros(5100);
        let at = net.hear_timeout(deadline);
        assert!(at >= deadline);
        least = least.min(at - deadline);
    }
    // Rounded up to milliseconds every one of them would be 0.9 ms late.
    assert!(least < Duration::from_micros(700), "{least:?} late at best");
    assert!(net.counters().wakeups <= 20 * 2 + 5, "{} wake-ups for 20 deadlines", net.counters().wakeups);
}

#[test]
fn thousands_of_commands_arrive_in_order_and_none_is_lost() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, stream) = connect(&net, V4);
    let commands = net.handle.commands();
    let pusher = std::thread::spawn(move || {
        for number in 0..20_000u32 {
            commands.command(Do::Write { stream, bytes: number.to_be_bytes().to_vec() });
        }
    });
    let mut arrived = vec![0; 20_000 * 4];
    socket.read_exact(&mut arrived).expect("all of them");
    pusher.join().expect("pushed");
    assert!(arrived == (0..20_000u32).flat_map(u32::to_be_bytes).collect::<Vec<u8>>(), "some are missing, or out of order");
}

#[test]
fn commands_given_before_the_end_take_effect_and_what_tcp_holds_back_is_written() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, stream) = connect(&net, V4);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        socket.read_to_end(&mut all).map(|_| all)
    });
    let last = bytes(4 << 20);
    net.tell(Do::Write { stream, bytes: last.clone() });
    drop(net);
    let arrived = reader.join().expect("read").expect("no reset");
    assert!(arrived == last, "{} of {} bytes arrived", arrived.len(), last.len());
}

#[test]
fn stopping_waits_for_nobody_who_does_not_read() {
    let net = Net::start(V4, true, &[]);
    let (_socket, stream) = connect(&net, V4);
    net.tell(Do::Write { stream, bytes: bytes(16 << 20) });
    assert_eq!(net.hear(), Heard::Writable(stream, false));
    let from = Instant::now();
    drop(net);
    assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
}

#[test]
fn a_core_that_is_never_content_does_not_make_the_thread_spin() {
    let net = Net::start(V4, false, &[]);
    net.tell(Do::Nag);
    net.hear_timeout(Instant::now() + Duration::from_millis(50));
    assert!(net.counters().wakeups <= 600, "{} wake-ups in 50 ms", net.counters().wakeups);
}
