//! Streams through a relay: what one publishes there, and what others do (Media over QUIC, by the crates of moq-relay).
//!
//! A relay hands what it gets to whoever asks for it, and to other relays, which do the same: one picture is sent once, and a
//! thousand see it. Here are the connection and the streams; what is in them is bytes, sealed by who gives them and opened by who
//! takes them ([`Company`]). All of it runs on one thread, on an async runtime of its own, and is told to others from there.
//!
//! One that publishes is a *broadcast* of the relay's: a path, and under it [`Stream`]s. A picture is a group of one of these, and a
//! slice a frame of that group. The relay sends the newest group first, and drops a group that is behind the newest by [`MAX_AGE`].

#![allow(clippy::disallowed_methods, reason = "it waits for the network, and looks at the time")]

mod connection;
mod follow;
mod publish;

pub use connection::{Config, Error, News, Relay};
pub use follow::{Company, Follow, Wishes};
pub use publish::{Outlet, Used};

use eyeline_proto::media::layers::LAYERS;
use std::time::Duration;

/// A group that is so far behind the newest of its stream is of no use.
const MAX_AGE: Duration = Duration::from_millis(300);

/// What somebody publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Pictures of this layer, of each what changed since its base.
    Layer(usize),
    /// The same pictures whole: those of layer 0 for who comes, or lost one of these; all for who joins JPEGs of what comes.
    Whole(usize),
    Sound,
}

impl Stream {
    /// All there are.
    fn all() -> impl Iterator<Item = Stream> {
        (0..LAYERS).flat_map(|layer| [Stream::Layer(layer), Stream::Whole(layer)]).chain([Stream::Sound])
    }

    /// What it is called on the relay.
    fn name(self) -> String {
        match self {
            Stream::Layer(layer) => format!("video{layer}"),
            Stream::Whole(layer) => format!("whole{layer}"),
            Stream::Sound => "audio".into(),
        }
    }

    /// Where a path has room for less than all, higher ones go first.
    fn priority(self) -> u8 {
        match self {
            Stream::Sound => 200,
            Stream::Whole(0) => 101,
            Stream::Layer(layer) | Stream::Whole(layer) => 100 - layer as u8,
        }
    }
}
