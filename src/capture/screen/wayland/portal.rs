//! The desktop's portal (`org.freedesktop.portal.ScreenCast`): asked for a screen, it asks the user, and opens PipeWire for what
//! was chosen.
//!
//! A [`Session`] lasts until it is dropped or the desktop ends it: a thread waits for that word, from before the user is asked.
//! Pictures flow only while somebody reads them, so one session serves all who come and go. ashpd speaks over D-Bus on threads of
//! its own.

use super::bell::Bell;
use super::{Error, token};
use crate::threads::{join, lock};
use ashpd::desktop::screencast::{CursorMode, Screencast, SelectSourcesOptions, SourceType};
use ashpd::desktop::{self, PersistMode, ResponseError};
use ashpd::enumflags2::BitFlags;
use ashpd::zbus::Connection;
use async_io::Timer;
use futures_lite::StreamExt as _;
use futures_lite::future::{self, block_on};
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// So long the portal may take to answer what it asks nobody about.
const LIMIT: Duration = Duration::from_secs(10);

/// What the user is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Monitors and windows, as far as the desktop has both to offer.
    Any,
    /// Windows alone.
    Window,
}

impl Choice {
    fn kinds(self) -> BitFlags<SourceType> {
        match self {
            Choice::Any => SourceType::Monitor | SourceType::Window,
            Choice::Window => SourceType::Window.into(),
        }
    }
}

/// What was chosen, and may be looked at.
pub struct Session {
    watch: Watch,
    screencast: Screencast,
    session: Arc<desktop::Session<Screencast>>,
    /// PipeWire's number for it.
    pub node: u32,
    /// Whether it is a window, where that was said.
    window: Option<bool>,
}

/// Waits for the desktop's word that a session is over. Dropped: it is.
struct Watch {
    connection: Connection,
    closed: Arc<Closed>,
    thread: Option<JoinHandle<()>>,
}

/// Whether the desktop ended it, and who is told.
#[derive(Default)]
struct Closed {
    is: AtomicBool,
    bell: Mutex<Option<Bell>>,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.window {
            Some(true) => "the chosen window",
            Some(false) => "the chosen monitor",
            None => "what was chosen",
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("node", &self.node).field("window", &self.window).finish_non_exhaustive()
    }
}

/// Whether there is a portal that shows such screens: which kinds of.
pub fn look(choice: Choice) -> Result<String, Error> {
    let kinds = block_on(soon(async {
        let (_connection, screencast) = connect().await?;
        kinds(&screencast, choice).await
    }))?;
    let names = [(SourceType::Monitor, "monitors"), (SourceType::Window, "windows")];
    let names: Vec<_> = names.into_iter().filter(|(kind, _)| kinds.contains(*kind)).map(|(_, name)| name).collect();
    Ok(names.join(" and "))
}

/// What there is of what is to be chosen from: something.
async fn kinds(screencast: &Screencast, choice: Choice) -> Result<BitFlags<SourceType>, Error> {
    let kinds = screencast.available_source_types().await.map_err(absent)? & choice.kinds();
    if kinds.is_empty() {
        return Err(if choice == Choice::Window { Error::NoWindows } else { Error::ShowsNone });
    }
    Ok(kinds)
}

async fn connect() -> Result<(Connection, Screencast), Error> {
    let connection = Connection::session().await.map_err(|error| Error::NoPortal(error.to_string()))?;
    let screencast = Screencast::with_connection(connection.clone()).await.map_err(absent)?;
    Ok((connection, screencast))
}

impl Session {
    /// Asks the user, unless what was `known` before says what is chosen, and keeps the choice in that file. `tell` is called
    /// before the user is asked.
    pub fn ask(choice: Choice, known: Option<&str>, kept: Option<&Path>, tell: impl FnOnce()) -> Result<Session, Error> {
        let (connection, screencast, session) = block_on(soon(prepare(choice, known)))?;
        let session = Arc::new(session);
        let watch = Watch::start(connection, session.clone())?;
        if known.is_none() {
            tell();
        }
        // The user may take any time.
        let started = block_on(screencast.start(&session, None, Default::default()));
        let streams = started.and_then(|started| started.response()).map_err(refused)?;
        if let Some(file) = kept {
            token::write(file, streams.restore_token());
        }
        let stream = streams.streams().first().ok_or_else(|| Error::Portal("it shows nothing".into()))?;
        let (node, window) = (stream.pipe_wire_node_id(), stream.source_type().map(|kind| kind == SourceType::Window));
        Ok(Session { watch, screencast, session, node, window })
    }

    /// A connection to PipeWire on which it can be seen. From now on `bell` is rung when the desktop ends it.
    pub fn remote(&self, bell: Bell) -> Result<OwnedFd, Error> {
        *lock(&self.watch.closed.bell) = Some(bell);
        if self.is_closed() {
            return Err(Error::Ended);
        }
        block_on(soon(async {
            let opened = self.screencast.open_pipe_wire_remote(&self.session, Default::default()).await;
            opened.map_err(|error| Error::NoPipewire(error.to_string()))
        }))
    }

    /// Whether the desktop ended it.
    pub fn is_closed(&self) -> bool {
        self.watch.closed.is.load(Ordering::SeqCst)
    }
}

impl Watch {
    /// It listens when this returns.
    fn start(connection: Connection, session: Arc<desktop::Session<Screencast>>) -> Result<Watch, Error> {
        let closed = Arc::new(Closed::default());
        let told = closed.clone();
        let (listens, listening) = mpsc::channel();
        let thread = std::thread::Builder::new().name("portal".into()).spawn(move || {
            block_on(async {
                if let Ok(closed) = session.receive_closed().await {
                    let _ = listens.send(());
                    std::pin::pin!(closed).next().await;
                }
            });
            told.is.store(true, Ordering::SeqCst);
            lock(&told.bell).iter().for_each(Bell::ring);
        });
        let thread = Some(thread.map_err(|error| Error::Portal(error.to_string()))?);
        let watch = Watch { connection, closed, thread };
        // One that cannot listen says that the session is over.
        match listening.recv_timeout(LIMIT) {
            Err(RecvTimeoutError::Timeout) => Err(Error::Silent),
            _ => Ok(watch),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // With the connection the session is over, for the portal and for the thread; to wait for an answer might take for ever.
        let _ = block_on(self.connection.clone().close());
        self.thread.take().into_iter().for_each(join);
    }
}

/// The portal's answer, where that comes soon.
async fn soon<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let silent = async {
        Timer::after(LIMIT).await;
        Err(Error::Silent)
    };
    future::or(answer, silent).await
}

type Prepared = (Connection, Screencast, desktop::Session<Screencast>);

/// All but to ask the user.
async fn prepare(choice: Choice, token: Option<&str>) -> Result<Prepared, Error> {
    let (connection, screencast) = connect().await?;
    let kinds = kinds(&screencast, choice).await?;
    // A desktop that cannot draw the cursor shows its screen all the same.
    let cursors = screencast.available_cursor_modes().await.unwrap_or_default();
    let cursor = cursors.contains(CursorMode::Embedded).then_some(CursorMode::Embedded);
    let session = screencast.create_session(Default::default()).await.map_err(refused)?;
    let options = SelectSourcesOptions::default()
        .set_cursor_mode(cursor)
        .set_sources(kinds)
        .set_multiple(false)
        .set_persist_mode(PersistMode::ExplicitlyRevoked)
        .set_restore_token(token);
    screencast.select_sources(&session, options).await.and_then(|asked| asked.response()).map_err(refused)?;
    Ok((connection, screencast, session))
}

/// Nobody answers.
fn absent(error: ashpd::Error) -> Error {
    match error {
        ashpd::Error::PortalNotFound(_) => Error::ShowsNone,
        error => Error::NoPortal(error.to_string()),
    }
}

/// The answer is no.
fn refused(error: ashpd::Error) -> Error {
    match error {
        ashpd::Error::Response(ResponseError::Cancelled) => Error::Refused,
        error => Error::Portal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_time_is_taken() {
        assert_eq!(block_on(soon(async { Ok(7) })).unwrap(), 7);
        assert!(matches!(block_on(soon(async { Err::<(), _>(Error::ShowsNone) })), Err(Error::ShowsNone)));
    }
}
