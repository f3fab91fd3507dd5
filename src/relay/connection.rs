//! The connection to a relay, kept and made anew, on a thread of its own.

use super::follow::{Company, follow};
use super::publish::{Inlet, Outlet, Way, pipe, publish};
use eyeline_proto::media::uplink::Uplink;
use moq_net::{cache, origin};
use moq_tokio::{Status, connect, quic};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use url::Url;

/// A relay that is silent for so long is dialled anew; so long we are silent at most.
const SILENT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(500));

/// From one try to the next, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Whoever is not let in is connected all the same, for a moment.
const SETTLES: Duration = Duration::from_millis(250);

/// Where there is no answer for so long, it is said.
const AFTER: Duration = Duration::from_secs(4);

/// Bytes on their way to us that are not read.
const WINDOW: u64 = 16 << 20;

/// So often it is looked what goes out.
const MEASURES: Duration = Duration::from_millis(250);

/// Bytes that are kept of groups that are not handed on yet, or are published.
const KEPT: u64 = 64 << 20;

/// So long the end waits for what is under way.
const LAST: Duration = Duration::from_millis(300);

/// Which relay, and what for.
pub struct Config {
    /// `https://HOST:PORT/ROOM`, with `?jwt=` where it wants a token.
    pub url: Url,
    /// Certificates (PEM) that are trusted in place of the system's.
    pub roots: Vec<PathBuf>,
    /// What we publish is called so there.
    pub path: Option<String>,
    /// Who takes what others publish.
    pub company: Option<Box<dyn Company>>,
}

/// What is told of it, on its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It is there.
    Connected,
    /// It was, and is dialled anew.
    Lost,
    /// It could not be reached, for this reason, and is dialled on.
    Unreachable(String),
    /// It refuses us: nothing comes of trying again.
    Refused(String),
    /// Whether anybody takes what we publish.
    Watched(bool),
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the relay cannot be used ({0})")]
    Relay(#[from] moq_tokio::Error),
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

/// A connection to a relay. Dropped: it is closed.
pub struct Relay {
    outlet: Option<Outlet>,
    /// Dropped, it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Dials, and goes on doing so until it is dropped.
    pub fn start(config: Config, tell: impl Fn(News) + Send + Sync + Clone + 'static) -> Result<Relay, Error> {
        let (stop, stopped) = oneshot::channel();
        let (outlet, inlet) = config.path.is_some().then(pipe).unzip();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = {
            let _entered = runtime.enter();
            client(&config.roots)?
        };
        let work = move || {
            runtime.block_on(run(client, config, inlet, stopped, tell));
            // What resolves a name may take longer.
            runtime.shutdown_timeout(LAST);
        };
        let thread = std::thread::Builder::new().name("relay".into()).spawn(work)?;
        Ok(Relay { outlet, stop: Some(stop), thread: Some(thread) })
    }

    /// Where what we publish is put in.
    pub fn outlet(&self) -> Option<&Outlet> {
        self.outlet.as_ref()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            crate::threads::join(thread);
        }
    }
}

fn client(roots: &[PathBuf]) -> Result<moq_tokio::Client, moq_tokio::Error> {
    let (mut connect, mut quic) = (connect::Config::default(), quic::Config::default());
    connect.tls.root = roots.to_vec();
    connect.backoff.initial = AGAIN.0;
    connect.backoff.max = AGAIN.1;
    // Then it says why, and is dialled on by us.
    connect.backoff.timeout = AFTER;
    (quic.idle_timeout, quic.keep_alive) = SILENT;
    quic.receive_window = Some(WINDOW);
    connect.init(quic)
}

/// What is kept of what is published, by us and by others.
fn kept() -> origin::Config {
    let mut config = origin::Config::default();
    config.pool = cache::Pool::new(cache::Config::default().with_capacity(KEPT).with_expiry(Duration::from_secs(1)));
    config.cache_duration = Duration::from_secs(1);
    config
}

async fn run(
    client: moq_tokio::Client,
    config: Config,
    inlet: Option<Inlet>,
    stopped: oneshot::Receiver<()>,
    tell: impl Fn(News) + Send + Sync + Clone + 'static,
) {
    let Config { url, path, company, .. } = config;
    let ours = moq_tokio::origin::spawn_config(kept());
    let theirs = moq_tokio::origin::spawn_config(kept());
    let consumer = theirs.consume();
    let client = client.with_publisher(&ours).with_subscriber(theirs);
    let way = inlet.as_ref().map(|inlet| inlet.way.clone());
    let watched = tell.clone();
    let publishes = async {
        if let (Some(path), Some(inlet)) = (path, inlet)
            && let Err(error) = publish(&ours, &path, inlet, move |is| watched(News::Watched(is))).await
        {
            tell(News::Refused(error.to_string()));
        }
        std::future::pending::<()>().await
    };
    let follows = async {
        if let Some(company) = company {
            follow(&consumer, company).await;
        }
        std::future::pending::<()>().await
    };
    tokio::select! {
        _ = stopped => {}
        () = publishes => {}
        () = follows => {}
        () = keep(&client, &url, way, &tell) => {}
    }
    let _ = tokio::time::timeout(LAST, client.close()).await;
}

/// Finds out what the way there takes, for as long as that is of interest.
async fn measure(monitor: moq_tokio::connection::Monitor, way: Option<&Way>) {
    let Some(way) = way else { return std::future::pending().await };
    let (mut uplink, mut before) = (Uplink::default(), (Instant::now(), way.put_in(), None));
    let mut turn = tokio::time::interval(MEASURES);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let stats = monitor.stats().unwrap_or_default();
        let sent = stats.bytes_sent.map(|sent| sent.saturating_sub(stats.bytes_lost.unwrap_or(0)));
        let now = (Instant::now(), way.put_in(), sent);
        match (before.2, sent) {
            (Some(first), Some(last)) if last >= first => {
                let trip = stats.rtt.unwrap_or_default();
                way.takes(uplink.passed(now.0 - before.0, (now.1 - before.1, last - first), trip));
            }
            // Another connection, which may be by another way.
            _ => uplink = Uplink::default(),
        }
        before = now;
    }
}

/// Dials, again and again, for ever, but where we are refused.
async fn keep(client: &moq_tokio::Client, url: &Url, way: Option<Arc<Way>>, tell: &impl Fn(News)) {
    loop {
        let mut connection = client.connect(url.clone());
        let measured = measure(connection.monitor(), way.as_deref());
        let status = async {
            let mut told = false;
            loop {
                let is_connected = connection.connected();
                let status = tokio::select! {
                    status = connection.status() => Some(status),
                    () = tokio::time::sleep(SETTLES), if is_connected && !told => None,
                };
                match status {
                    None => {
                        told = true;
                        tell(News::Connected);
                    }
                    Some(Ok(Status::Disconnected)) if std::mem::take(&mut told) => tell(News::Lost),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return error,
                }
            }
        };
        let error = tokio::select! {
            error = status => error,
            () = measured => return,
        };
        if error.is_auth() {
            tell(News::Refused(error.to_string()));
            return std::future::pending().await;
        }
        tell(News::Unreachable(error.to_string()));
        tokio::time::sleep(AGAIN.1).await;
    }
}
