//! Out of file descriptors, or of memory for sockets: seen in accepting, dialling and looking up, and always told as our own
//! trouble, not the peer's or the network's.

use std::fs::File;
use std::io;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit};

use eyeline_proto::session::unreachable::Shortage;

/// What there is none left of, if that is what the error says.
pub(super) fn of(error: &io::Error) -> Option<Shortage> {
    match error.raw_os_error()? {
        libc::EMFILE => Some(Shortage::Descriptors { limit: limit() }),
        libc::ENFILE => Some(Shortage::SystemDescriptors),
        libc::ENOBUFS | libc::ENOMEM => Some(Shortage::Memory),
        _ => None,
    }
}

/// Whether there is none left just now. The resolver opens files and sockets of its own, and where it cannot it says that name
/// servers do not answer.
pub(super) fn now() -> Option<Shortage> {
    of(&File::open("/dev/null").err()?)
}

/// How many descriptors this process may have.
fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_named_with_its_limit_and_other_errors_are_not_taken_for_it() {
        let seen = |code| of(&io::Error::from_raw_os_error(code));
        assert!(matches!(seen(libc::EMFILE), Some(Shortage::Descriptors { limit: 1.. })));
        assert_eq!(seen(libc::ENFILE), Some(Shortage::SystemDescriptors));
        assert_eq!(seen(libc::ENOBUFS), Some(Shortage::Memory));
        assert_eq!(seen(libc::ECONNREFUSED), None);
    }
}
