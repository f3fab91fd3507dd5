//! A room on a relay: what we publish there, and those who publish beside us ([`relay`] has the streams).
//!
//! Slices and blocks go as they are encoded, each sealed with the room's key; what comes of others is opened, and each of them
//! comes in by a [`Visit`](super::visit::Visit). The path of a broadcast is `NAME/ID`: the name in clear, for a relay's tokens may
//! say who may publish under which; and the random one by which its key is derived.
//!
//! A frame is (PROTOCOL §9) of a picture `u8 index ++ sealed(u8 count ++ slice)`, of sound `sealed(u8 form ++ block)`.

mod attendee;
mod publisher;

use super::encode::Published;
use crate::relay::{self, Company, Follow, News, Relay};
use attendee::Attendee;
use eyeline_proto::crypto::Psk;
use eyeline_proto::crypto::room::{self, PublisherId};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::session::MOST_SENDERS;
use eyeline_proto::session::link::Identity;
use publisher::Publisher;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use url::Url;

/// Streams, as they are sealed.
const PICTURES: u8 = 0;
const WHOLE: u8 = 1;
const SOUND: u8 = 2;

/// How a block of sound is.
const SAMPLES: u8 = 0;
const PACKET: u8 = 1;

/// Which room, and what we do there.
pub struct Config {
    pub url: Url,
    pub roots: Vec<PathBuf>,
    pub psk: Psk,
    /// What we publish is called so; `None`: nothing is.
    pub publishes: Option<String>,
    /// Others are of use: as whom they come in, but for the name, and where we wait.
    pub follows: Option<(Identity, SocketAddr)>,
    /// Our clock.
    pub epoch: Epoch,
}

/// See the module text. Dropped: we have left it.
pub struct Room {
    relay: Relay,
    publisher: Option<Arc<Publisher>>,
}

impl Room {
    /// Goes there, and again where the way there is lost.
    pub fn enter(config: Config, tell: impl Fn(News) + Send + Sync + Clone + 'static) -> Result<Room, relay::Error> {
        let Config { url, roots, psk, publishes, follows, epoch } = config;
        let id = PublisherId::new();
        let path = publishes.as_ref().map(|name| path(name, id));
        let company = follows.map(|(me, meets)| {
            let (psk, ours) = (psk.clone(), path.clone());
            Box::new(Others { psk, me, meets, epoch, ours, present: Arc::default() }) as Box<dyn Company>
        });
        let relay = Relay::start(relay::Config { url, roots, path, company }, tell)?;
        let publisher = publishes.zip(relay.outlet()).map(|(name, outlet)| {
            let sealer = room::Publisher::new(&psk, id, &name);
            Arc::new(Publisher::new(sealer, outlet.clone()))
        });
        Ok(Room { relay, publisher })
    }

    /// Where our pictures and sound are published, if they are.
    pub fn published(&self) -> Option<Arc<dyn Published>> {
        self.publisher.clone().map(|publisher| publisher as Arc<dyn Published>)
    }

    /// Whether anybody takes what we publish.
    pub fn is_watched(&self) -> bool {
        self.relay.outlet().is_some_and(|outlet| outlet.used().any())
    }
}

/// Those who publish beside us.
struct Others {
    psk: Psk,
    me: Identity,
    meets: SocketAddr,
    epoch: Epoch,
    /// Our own path.
    ours: Option<String>,
    /// How many are in.
    present: Arc<AtomicUsize>,
}

impl Company for Others {
    fn comes(&mut self, path: &str) -> Option<Box<dyn Follow>> {
        if self.ours.as_deref() == Some(path) || self.present.load(Ordering::Relaxed) >= MOST_SENDERS {
            return None;
        }
        let (name, id) = parts(path)?;
        let reader = room::Reader::new(&self.psk, id, &name);
        let me = Identity { name, id: eyeline_proto::crypto::random(), ..self.me.clone() };
        Some(Box::new(Attendee::new(reader, me, self.meets, self.epoch, self.present.clone())))
    }
}

/// Where something of this name is published. A slash would part it.
fn path(name: &str, PublisherId(id): PublisherId) -> String {
    let name = name.replace('%', "%25").replace('/', "%2F");
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}/{id}")
}

/// The same: whose it is.
fn parts(path: &str) -> Option<(String, PublisherId)> {
    let (name, id) = path.rsplit_once('/')?;
    let name = name.replace("%2F", "/").replace("%25", "%");
    let digits = id.as_bytes().as_chunks::<2>().0;
    let mut bytes = [0; 16];
    if name.is_empty() || name.len() > 255 || id.len() != 32 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(digits) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some((name, PublisherId(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whose_it_is() {
        let id = PublisherId([0xa5; 16]);
        for name in ["anna", "lesson1", "a/b %2F c", "übung", "100%"] {
            let path = path(name, id);
            assert_eq!(path.matches('/').count(), 1, "{path}");
            assert_eq!(parts(&path), Some((name.to_string(), id)));
        }
        for other in ["", "anna", "anna/", "anna/zz", "/a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5", "a/a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"]
        {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
