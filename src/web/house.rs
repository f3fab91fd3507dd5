//! What all who look share, and their places: each is counted for as long as it is there.

use super::board::Board;
use super::camera::Cameras;
use super::token::Token;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Who look at once. Further ones are told that it is full.
pub const MOST: usize = 16;

/// What happens at the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody looks from now on: so many do.
    Came { from: SocketAddr, viewers: usize },
    /// Somebody does no longer.
    Left { from: SocketAddr, viewers: usize },
    /// Somebody asked with a wrong token.
    Refused { from: SocketAddr },
    /// Somebody of another network asked, and the page is in the clear.
    Far { from: SocketAddr },
    /// Somebody, who calls himself so, says this to all.
    Said { name: String, line: String },
}

/// What holds of pictures as well.
pub(super) const FENCES: &str = "Cross-Origin-Resource-Policy: same-origin\r\nX-Frame-Options: DENY\r\n\
                                 X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";

/// What all viewers share.
pub(super) struct House {
    pub name: String,
    pub token: Token,
    pub chats: bool,
    pub cameras: Cameras,
    pub board: Board,
    pub began: Instant,
    pub viewers: AtomicUsize,
    pub tell: Arc<dyn Fn(Event) + Send + Sync>,
}

impl House {
    /// When a page says that something was, by what it takes for our clock: a second ago at most.
    pub fn moment(&self, ms: f64, now: Instant) -> Instant {
        let said = Duration::try_from_secs_f64(ms / 1000.0).ok().and_then(|since| self.began.checked_add(since));
        said.unwrap_or(now).clamp(now.checked_sub(Duration::from_secs(1)).unwrap_or(now), now)
    }

    pub fn tell(&self, event: Event) {
        (self.tell)(event);
    }
}

/// One who looks. Dropped: no longer.
pub(super) struct Seat {
    house: Arc<House>,
    from: SocketAddr,
}

impl Seat {
    /// One more; `None` where it is full.
    pub fn take(house: &Arc<House>, from: SocketAddr) -> Option<Seat> {
        let taken =
            house.viewers.fetch_update(Ordering::AcqRel, Ordering::Acquire, |viewers| (viewers < MOST).then_some(viewers + 1));
        let viewers = taken.ok()? + 1;
        house.tell(Event::Came { from, viewers });
        Some(Seat { house: house.clone(), from })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let viewers = self.house.viewers.fetch_sub(1, Ordering::AcqRel) - 1;
        self.house.tell(Event::Left { from: self.from, viewers });
    }
}
