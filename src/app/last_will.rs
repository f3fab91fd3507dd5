//! What is still done where the display ends the process (`present/exit_hook.rs`): files are finished, and the others are told
//! that we leave.
//!
//! It runs on the main thread while all others go on, and touches nothing that they could wait for.

use super::console;
use crate::net::Commands;
use crate::net::discovery::Directory;
use crate::pipeline::{record, recorder};
use crate::present::exit_hook::ExitHook;
use crate::threads::lock;
use eyeline_proto::session::Command;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Saying goodbye takes the net thread a fifth of a second at most, where it is not held up.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
pub struct LastWill(Arc<Mutex<Will>>);

#[derive(Default)]
struct Will {
    /// By the key of each.
    files: BTreeMap<u64, Unfinished>,
    net: Option<(Commands<Command>, Directory)>,
}

impl LastWill {
    /// It is done while the hook lives: as long as there is a window.
    pub fn hook(&self) -> ExitHook {
        let will = self.0.clone();
        ExitHook::new(move || std::mem::take(&mut *lock(&will)).execute())
    }

    /// Files that are to be finished.
    pub fn writes(&self, key: u64, files: Unfinished) {
        lock(&self.0).files.insert(key, files);
    }

    pub fn wrote(&self, key: u64) {
        lock(&self.0).files.remove(&key);
    }

    /// Through which the others are told, and this network.
    pub fn tells(&self, net: Commands<Command>, directory: Directory) {
        lock(&self.0).net = Some((net, directory));
    }
}

/// What is to be brought to its end.
pub enum Unfinished {
    Files(record::LastResort),
    Recording(recorder::LastResort),
}

impl Unfinished {
    fn close(&self) {
        match self {
            Unfinished::Files(files) => files.close(),
            Unfinished::Recording(recording) => recording.close(),
        }
    }

    fn finish(&self, since: Instant) -> bool {
        match self {
            Unfinished::Files(files) => files.finish(since),
            Unfinished::Recording(recording) => recording.finish(since),
        }
    }
}

impl Will {
    fn execute(self) {
        let now = Instant::now();
        // What came is written while the others are told.
        self.files.values().for_each(Unfinished::close);
        if let Some((net, directory)) = self.net {
            let leaving = directory.leave();
            net.command(Command::Stop(String::new()));
            net.stop(GOODBYE);
            leaving.wait();
        }
        let unfinished = self.files.values().filter(|files| !files.finish(now)).count();
        let finished = match (self.files.len(), unfinished) {
            (0, _) => "",
            (_, 0) => "; the files are finished",
            _ => "; the files could not be finished",
        };
        console::try_end();
        // What a thread keeps for itself is gone on this one, the log's buffer too.
        let _ = writeln!(std::io::stderr(), "error: the display is gone, or it took the window away{finished}");
    }
}
