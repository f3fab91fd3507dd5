//! The portal of a test's desktop: it answers as the test says, and remembers what it was asked.

use super::Desktop;
use ashpd::zbus;
use ashpd::zbus::Connection;
use ashpd::zbus::message::Header;
use ashpd::zbus::zvariant::{ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue, Value};
use futures_lite::future::block_on;
use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

const DESKTOP: &str = "/org/freedesktop/portal/desktop";

type Options = HashMap<String, OwnedValue>;

/// How it answers, and what it was asked.
#[derive(Default)]
pub struct Known {
    /// PipeWire's number of what is shown.
    pub node: u32,
    /// The user says no.
    pub refuses: bool,
    /// There is no way to PipeWire.
    pub shut: bool,
    /// Monitors (1), windows (2).
    pub kinds: u32,
    /// Of each time: the token that was shown, and the kinds asked for.
    pub asked: Vec<(Option<String>, u32)>,
    sessions: Vec<(String, OwnedObjectPath)>,
}

pub struct Portal {
    connection: Connection,
    pub known: Arc<Mutex<Known>>,
}

struct ScreenCast {
    socket: PathBuf,
    known: Arc<Mutex<Known>>,
}

impl Portal {
    /// Shows monitors and windows.
    pub fn start(desktop: &Desktop) -> Portal {
        let known = Arc::new(Mutex::new(Known { kinds: 3, ..Known::default() }));
        let service = ScreenCast { socket: desktop.socket(), known: known.clone() };
        let connection = block_on(async {
            let builder = zbus::connection::Builder::address(desktop.bus().as_str())?.serve_at(DESKTOP, service)?;
            builder.name("org.freedesktop.portal.Desktop")?.build().await
        });
        Portal { connection: connection.expect("the bus answers"), known }
    }

    /// The user ends what is shown.
    pub fn end(&self) {
        let sessions = std::mem::take(&mut self.known.lock().unwrap().sessions);
        assert!(!sessions.is_empty(), "somebody was shown something");
        for (to, session) in sessions {
            let details: HashMap<&str, Value<'_>> = HashMap::new();
            let told =
                self.connection.emit_signal(Some(to.as_str()), &session, "org.freedesktop.portal.Session", "Closed", &(details));
            block_on(told).unwrap();
        }
    }
}

/// The object a program waits at, or speaks of: its name, and what the program calls it.
fn object(kind: &str, sender: &str, options: &Options, token: &str) -> OwnedObjectPath {
    let token = options.get(token).and_then(|token| token.downcast_ref::<&str>().ok()).expect("a token");
    let sender = sender.trim_start_matches(':').replace('.', "_");
    ObjectPath::try_from(format!("{DESKTOP}/{kind}/{sender}/{token}")).unwrap().into()
}

/// Answers at the request's own object, and gives its name.
async fn answer(
    connection: &Connection,
    header: &Header<'_>,
    options: &Options,
    (code, results): (u32, HashMap<&str, Value<'_>>),
) -> zbus::fdo::Result<OwnedObjectPath> {
    let sender = header.sender().expect("it has a name").as_str();
    let request = object("request", sender, options, "handle_token");
    let body = (code, results);
    connection.emit_signal(Some(sender), &request, "org.freedesktop.portal.Request", "Response", &body).await?;
    Ok(request)
}

#[zbus::interface(name = "org.freedesktop.portal.ScreenCast", crate = "ashpd::zbus")]
impl ScreenCast {
    #[zbus(property, name = "version")]
    fn version(&self) -> u32 {
        4
    }

    #[zbus(property)]
    fn available_source_types(&self) -> u32 {
        self.known.lock().unwrap().kinds
    }

    /// Hidden, and drawn.
    #[zbus(property)]
    fn available_cursor_modes(&self) -> u32 {
        3
    }

    async fn create_session(
        &self,
        options: Options,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        let sender = header.sender().expect("it has a name").as_str();
        let session = object("session", sender, &options, "session_handle_token");
        let results = HashMap::from([("session_handle", Value::from(session.as_str()))]);
        let answered = answer(connection, &header, &options, (0, results)).await;
        self.known.lock().unwrap().sessions.push((sender.into(), session));
        answered
    }

    async fn select_sources(
        &self,
        _session: OwnedObjectPath,
        options: Options,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        let number = |name: &str| options.get(name).and_then(|value| value.downcast_ref::<u32>().ok()).unwrap_or(0);
        assert_eq!((number("cursor_mode"), number("persist_mode")), (2, 2), "the cursor is drawn, the choice is kept");
        let token = options.get("restore_token").and_then(|token| token.downcast_ref::<&str>().ok()).map(String::from);
        self.known.lock().unwrap().asked.push((token, number("types")));
        answer(connection, &header, &options, (0, HashMap::new())).await
    }

    async fn start(
        &self,
        _session: OwnedObjectPath,
        _window: String,
        options: Options,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        let (node, refuses, times) = {
            let known = self.known.lock().unwrap();
            (known.node, known.refuses, known.asked.len())
        };
        if refuses {
            return answer(connection, &header, &options, (1, HashMap::new())).await;
        }
        let properties = HashMap::from([("source_type", Value::from(1_u32))]);
        let streams = Value::from(vec![(node, properties)]);
        let results = HashMap::from([("streams", streams), ("restore_token", Value::from(format!("token-{times}")))]);
        answer(connection, &header, &options, (0, results)).await
    }

    fn open_pipe_wire_remote(&self, _session: OwnedObjectPath, _options: Options) -> zbus::fdo::Result<OwnedFd> {
        if self.known.lock().unwrap().shut {
            return Err(zbus::fdo::Error::Failed("no PipeWire".into()));
        }
        let socket = UnixStream::connect(&self.socket).map_err(|error| zbus::fdo::Error::Failed(error.to_string()))?;
        Ok(std::os::fd::OwnedFd::from(socket).into())
    }
}
