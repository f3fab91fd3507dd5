//! What goes through the tee, on the page for browsers: slices are joined to JPEGs once, however many look.
//!
//! Nothing is taken while nobody looks, and for [`LINGER`] longer: a page that is loaded anew does not close a camera.

use super::tee::{BySource, Content, Tap, Tee, Unit};
use crate::codec::raw;
use crate::codec::stitch::Stitcher;
use crate::slot::{Slot, Taken};
use crate::threads::{join, lock};
use crate::web::audience::{Audience, Config, Event};
use crate::web::board::{Board, Place};
use crate::web::server::{PATIENCE, Server, Setup, Stream};
use crate::web::tls::Tls;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The source of what nobody looks at any more is closed after so long.
const LINGER: Duration = Duration::from_secs(10);

/// So often it is looked who is gone.
const TURN: Duration = Duration::from_secs(1);

/// Units that wait to be joined, and their bytes: a second of two senders.
const WAITING: (usize, usize) = (256, 32 << 20);

/// Connections at once that are let in to nothing yet: some browsers open six, and strangers as many as they like.
const MOST: usize = 128;

/// See the module text. Dropped: nobody looks any more.
pub struct Webcast {
    // The order in which they end: nobody looks, then nothing is taken.
    server: Server,
    board: Board,
    units: Arc<Slot<Arc<Unit>>>,
    thread: Option<JoinHandle<()>>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the page for browsers cannot be served ({0})")]
    System(#[from] io::Error),
    #[error(transparent)]
    Codec(#[from] raw::Error),
}

impl Webcast {
    /// Shows there what goes through the tee.
    pub fn start(listener: TcpListener, tls: Option<Tls>, tee: &Tee, page: Config) -> Result<Webcast, Error> {
        let (board, (most, bytes)) = (Board::default(), WAITING);
        let units = Slot::dropping_bytes(most, bytes, |unit: &Arc<Unit>| unit.bytes());
        let looked_at = Arc::new(LookedAt { tee: tee.clone(), units: units.clone(), state: Mutex::default() });
        let (tell, told) = (page.tell.clone(), looked_at.clone());
        let page = Config {
            tell: Arc::new(move |event| {
                match event {
                    Event::Came { viewers, .. } | Event::Left { viewers, .. } => told.by(viewers),
                    Event::Refused { .. } | Event::Far { .. } | Event::Said { .. } => {}
                }
                tell(event);
            }),
            ..page
        };
        let wrap: Box<dyn Fn(_) -> _ + Send> = match tls {
            Some(tls) => Box::new(move |socket| Ok(Stream::Tls(Box::new(tls.wrap(socket)?)))),
            None => Box::new(|socket| Ok(Stream::Plain(socket))),
        };
        let setup = Setup { name: "web", most: MOST, patience: PATIENCE, wrap };
        let shown = board.clone();
        let server = Server::start(listener, setup, move |bell| {
            shown.rings(bell);
            Audience::new(page, shown)
        })?;
        let mut work = Work { board: board.clone(), looked_at, units: units.clone(), places: BySource::default() };
        let thread = std::thread::Builder::new().name("web-pictures".into()).spawn(move || work.run())?;
        Ok(Webcast { server, board, units, thread: Some(thread) })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Somebody said this to all.
    pub fn says(&self, name: &str, line: &str) {
        self.board.says(name, line);
    }
}

impl Drop for Webcast {
    fn drop(&mut self) {
        self.units.close();
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

/// Takes what goes through the tee while somebody looks.
struct LookedAt {
    tee: Tee,
    units: Arc<Slot<Arc<Unit>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tap: Option<Tap>,
    /// Since when nobody looks, where something is taken.
    unseen: Option<Instant>,
}

impl LookedAt {
    fn by(&self, viewers: usize) {
        let mut state = lock(&self.state);
        state.unseen = (viewers == 0).then(Instant::now);
        if viewers > 0 && state.tap.is_none() {
            let units = self.units.clone();
            state.tap = Some(self.tee.tap(move |unit| {
                // It is closed when all is over.
                let _ = units.push(unit.clone());
            }));
        }
    }

    /// Takes nothing any more where nobody has looked for long; whether that is news.
    fn rests(&self) -> bool {
        let mut state = lock(&self.state);
        let rests = state.unseen.is_some_and(|since| since.elapsed() >= LINGER);
        if rests {
            *state = State::default();
        }
        rests
    }
}

struct Work {
    board: Board,
    looked_at: Arc<LookedAt>,
    units: Arc<Slot<Arc<Unit>>>,
    /// What joins slices, and the place on the board, of each.
    places: BySource<(Stitcher, Option<Place>)>,
}

impl Work {
    fn run(&mut self) {
        let mut turn = Instant::now() + TURN;
        loop {
            match self.units.take_until(turn, Instant::now) {
                Taken::Value(unit) => {
                    if let Err(error) = self.show(&unit) {
                        tracing::debug!("nothing is shown in browsers: {error}");
                    }
                }
                Taken::TimedOut => {}
                Taken::Closed => return,
            }
            if Instant::now() >= turn {
                turn = Instant::now() + TURN;
                self.places.forget_gone();
                if self.looked_at.rests() {
                    // What was seen last would be seen as if it were now.
                    self.places.all().filter_map(|(_, place)| place.as_ref()).for_each(Place::forget);
                }
            }
        }
    }

    fn show(&mut self, unit: &Unit) -> Result<(), raw::Error> {
        let board = &self.board;
        let place = self.places.get(&unit.source, || Ok((Stitcher::new()?, board.place(&unit.source.name))))?;
        // There are more than can be sent to us, which cannot be.
        let (stitcher, Some(place)) = place else { return Ok(()) };
        match (&unit.content, unit.jpeg(stitcher)) {
            (Content::Sound(channels, samples), _) => place.sound(unit.at, *channels, samples.clone()),
            (_, Some(Ok((_, jpeg)))) => place.picture(unit.at, jpeg.into_owned()),
            (_, Some(Err(error))) => tracing::debug!("a picture is not shown in browsers: {error}"),
            (_, None) => {}
        }
        Ok(())
    }
}
