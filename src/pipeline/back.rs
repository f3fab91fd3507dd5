//! The way back to the session, for threads that are there before it is: what they tell of the tracks that it receives.

use eyeline_proto::session::Command;
use std::sync::{Arc, OnceLock};

type Tell = dyn Fn(Command) + Send + Sync;

/// Clones are the same way. One that is never connected is that of a picture which nobody sends: one's own.
#[derive(Clone, Default)]
pub struct Back(Arc<OnceLock<Box<Tell>>>);

impl Back {
    /// Where it leads from now on.
    pub fn connect(&self, tell: impl Fn(Command) + Send + Sync + 'static) {
        // Once: there is one session.
        let _ = self.0.set(Box::new(tell));
    }

    /// Tells the session, or nobody where it is not connected. As [`Commands::command`](crate::net::Commands::command), which it
    /// mostly is, it may wait for the net thread, unless it is called there: under no lock that the net thread takes.
    pub fn tell(&self, command: Command) {
        if let Some(tell) = self.0.get() {
            tell(command);
        }
    }
}
