//! Two ends of a path that seal for each other.

use super::*;

/// Two ends of a path, each with the other's keys.
fn pair(now: Instant) -> [Path; 2] {
    let keys = |mine: u8, theirs: u8| Keys {
        local_connection: mine.into(),
        local_key: Key::from_bytes([mine; 32]),
        remote_connection: theirs.into(),
        remote_key: Key::from_bytes([theirs; 32]),
    };
    [keys(1, 2), keys(2, 1)].map(|keys| Path::new(now, &keys, None))
}

/// A link was heard before it was known whose it is, and takes the place of one that never was.
#[test]
fn a_path_that_was_heard_is_not_quiet_when_it_follows_one_that_never_was() {
    let now = Instant::now();
    let ([mut path, mut peer], [former, _]) = (pair(now), pair(now));
    let mut bytes = Vec::new();
    peer.seal(&mut bytes, |out| Message::Ping(0).encode(out));
    let header = Header::decode(&bytes).expect("a header");
    let from = SocketAddr::from(([10, 0, 0, 2], 9688));
    path.open(now, &Epoch::new(now), from, header, &mut bytes).map(drop).expect("opens");
    path.inherit(now, &former, now);
    assert_eq!((path.heard(), path.is_quiet(now)), (Some(now), false));
}
