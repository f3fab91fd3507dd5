//! `--relay`: the room, and the words about the way there.

use super::args::Common;
use super::failure::{Code, Failure};
use super::rendezvous;
use super::status::ExitCode;
use crate::pipeline::room::{Config, Room};
use crate::relay::News;
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::link::Identity;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::threads::lock;

/// Goes to the room, where one is meant. What is ours is published there, if `me` offers anything; others are taken in, if anything
/// is wanted: they come to where we wait. `taken`: told when what is ours is watched there, or no more.
pub fn open(
    common: &Common,
    me: &Identity,
    (meets, epoch): (SocketAddr, Epoch),
    taken: impl Fn() + Send + Sync + 'static,
) -> Result<Option<Room>, Failure> {
    let (Some(relay), Some(psk)) = (common.rendezvous.relay.clone(), me.psk.clone()) else { return Ok(None) };
    let publishes = (!me.offers.is_none()).then(|| rendezvous::name(common));
    let visitor = Identity { direct: false, ..rendezvous::identity(common) };
    let follows = (!me.wants.is_none()).then_some((visitor, meets));
    let said = Arc::new(Mutex::new(Said { room: relay.shown(), last: None }));
    let tell = Arc::new(move |news| {
        if matches!(news, News::Watched(_)) {
            taken();
        }
        lock(&said).say(news);
    });
    let config = Config { url: relay.url, roots: relay.roots, psk, publishes, follows, epoch };
    Room::enter(config, move |news| tell(news)).map(Some).code(ExitCode::Failed)
}

/// What was said last of the way there: it is said again where it is something else.
struct Said {
    room: String,
    last: Option<News>,
}

impl Said {
    fn say(&mut self, news: News) {
        let room = &self.room;
        match &news {
            // Who comes goes and comes again, some times, before he stays: it is said where the source is opened and closed.
            News::Watched(_) => return,
            _ if self.last.as_ref() == Some(&news) => return,
            News::Connected => tracing::info!("in the room {room}"),
            News::Lost => tracing::warn!("the relay is lost, and dialled again: {room}"),
            News::Unreachable(why) => tracing::warn!("the relay at {room} does not answer, and is dialled on: {why}"),
            News::Refused(why) => tracing::error!(
                "the relay at {room} refuses us ({why}): a token (?jwt=) may be wrong, over, or for another room or name"
            ),
        }
        self.last = Some(news);
    }
}
