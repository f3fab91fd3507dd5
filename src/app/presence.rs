//! Being found by name: who waits says so on this network for as long as the run lasts, and hears who else does.

use super::args::Common;
use super::neighbours;
use super::rendezvous;
use crate::net::discovery::{Announcement, Directory, Heard, Leaving, Role};
use eyeline_proto::wire::record::Media;
use nix::sys::signal::{SigSet, Signal};
use std::io::{self, BufRead, Read};
use std::net::SocketAddr;
use std::thread;

/// No more of a line is looked at: a digit and the line's end.
const MOST_TYPED: u64 = 64;

/// It says goodbye when it is dropped.
pub struct Presence {
    directory: Directory,
    leaving: Option<Leaving>,
}

impl Presence {
    /// Of a program that has this for others, and wants this of them. Nothing is said yet.
    pub fn new(offers: Media, wants: Media) -> Presence {
        Presence { directory: Directory::new(offers, wants), leaving: None }
    }

    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// From now on it is said that `program` waits on `local`, unless it does not, or shall not be found; `on_heard` is told who
    /// is there, and `on_digit` which digits are typed. What it is found by.
    pub fn begin(
        &self,
        program: &str,
        common: &Common,
        (offers, wants): (Media, Media),
        local: SocketAddr,
        (on_heard, on_digit): (impl Fn(Heard) + Send + Sync + 'static, impl Fn(u8) + Send + 'static),
    ) -> Option<String> {
        let wait = common.rendezvous.wait.filter(|_| common.announce)?;
        let (name, keyed) = (rendezvous::announced_name(common), common.key.is_some() || common.only_paired);
        let at = SocketAddr::new(wait.ip(), local.port());
        self.directory.listen(on_heard);
        if neighbours::lists(program, common)
            && common.typed_digits
            && let Err(error) = listen(on_digit)
        {
            tracing::debug!("digits are not read: {error}");
        }
        let announcement = Announcement { name: name.clone(), role: Role::of(program)?, offers, wants, keyed, at };
        self.directory.announce(&announcement).then_some(name)
    }

    /// Says goodbye; the end waits for it.
    pub fn leave(&mut self) {
        self.leaving.get_or_insert_with(|| self.directory.leave());
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.leave();
        if let Some(leaving) = self.leaving.take() {
            leaving.wait();
        }
    }
}

/// Gives each digit that is typed on a line of its own, on a thread that ends with stdin and else with the process: nobody can
/// wake it. A program in the background is not stopped for it: reading fails there.
fn listen(on_digit: impl Fn(u8) + Send + 'static) -> io::Result<()> {
    let read = move || {
        let _ = SigSet::from(Signal::SIGTTIN).thread_block();
        let (mut stdin, mut line) = (io::stdin().lock(), String::new());
        while matches!(stdin.by_ref().take(MOST_TYPED).read_line(&mut line), Ok(1..)) {
            neighbours::digit(&line).into_iter().for_each(&on_digit);
            line.clear();
        }
    };
    thread::Builder::new().name("typed".into()).spawn(read).map(|_| ())
}
