//! `--metrics`: what `--stats json` says, in the text format 0.0.4 of Prometheus.
//!
//! The same objects are the source of both, and fields keep their names: `lost` of `recv` is `eyeline_recv_lost_total`. What
//! counts since the start ends in `_total` ([`TOTALS`], held against `docs/measurements.md` by a test), all else is a gauge; what
//! is `null` is left out. Who a figure is of, of which stage and which percentile, are labels.

use super::failure::Failure;
use super::status::ExitCode;
use crate::net;
use crate::threads::lock;
use crate::web::answer;
use crate::web::head::Request;
use crate::web::server::{Answer, Caller, PATIENCE, Server, Setup, Site, Stream};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// Scrapers that ask at once.
const MOST: usize = 4;

/// The newest object of each role. Clones are the same.
#[derive(Clone, Default)]
pub struct Figures(Arc<Mutex<BTreeMap<String, Arc<Value>>>>);

impl Figures {
    /// From now on this is what is read of its role.
    pub fn publish(&self, object: &Value) {
        if let Some(role) = object["role"].as_str() {
            lock(&self.0).insert(role.to_string(), Arc::new(object.clone()));
        }
    }

    /// The page of them.
    pub fn page(&self) -> Vec<u8> {
        let objects: Vec<_> = lock(&self.0).values().cloned().collect();
        let text = render(objects.iter().map(Arc::as_ref));
        answer::page("200 OK", "text/plain; version=0.0.4; charset=utf-8", "", text.as_bytes())
    }
}

/// Where they are read.
pub struct Metrics(#[expect(dead_code, reason = "held for as long as it is to answer")] Server);

impl Metrics {
    /// Answers at this address from now on, and says so.
    pub fn open(at: SocketAddr, figures: Figures) -> Result<Metrics, Failure> {
        let opened = net::listen(at).and_then(|listener| {
            let wrap = Box::new(|socket| Ok(Stream::Plain(socket)));
            let setup = Setup { name: "metrics", most: MOST, patience: PATIENCE, wrap };
            Ok(Server::start(listener, setup, |_| Page { figures, is_local: at.ip().is_loopback() })?)
        });
        let server = opened.map_err(|error| Failure::new(ExitCode::Failed, unopened("--metrics", &error)))?;
        tracing::info!("metrics: http://{}/metrics", server.address());
        Ok(Metrics(server))
    }
}

struct Page {
    figures: Figures,
    /// Only this machine asks, which calls itself `localhost` or by an address.
    is_local: bool,
}

impl Site for Page {
    fn answer(&mut self, request: &Request, _: Caller) -> Answer {
        Answer::Bytes(match request.path.as_str() {
            _ if self.is_local && !request.is_for(&[]) => {
                answer::sentence("403 Forbidden", "ask for localhost, or for an address")
            }
            _ if request.method != "GET" => answer::otherwise(),
            "/metrics" => self.figures.page(),
            _ => answer::sentence("404 Not Found", "there is /metrics, and nothing else"),
        })
    }
}

/// Why nobody is answered at the address of this flag.
pub fn unopened(flag: &str, error: &net::Error) -> String {
    match error {
        net::Error::PortTaken { port, by, .. } => {
            format!("TCP port {port} of {flag} is taken{by}: choose another, or leave {flag} out")
        }
        net::Error::Address { ip } => format!("this machine does not have the address {ip} of {flag}: give it one of its own"),
        net::Error::PortForbidden { port } => {
            format!("port {port} of {flag} is reserved for the administrator: choose one above 1023")
        }
        other => other.to_string(),
    }
}

/// Fields that count since the start, by where they stand; of an object all that is in it.
const TOTALS: &[&str] = &[
    "recv.whole",
    "recv.partial",
    "recv.lost",
    "recv.left_out",
    "recv.shown",
    "recv.shown_in_part",
    "recv.slices",
    "recv.slices_dropped",
    "recv.late_fragments",
    "recv.bad_fragments",
    "recv.datagrams",
    "recv.bytes",
    "recv.lost_packets",
    "recv.nacks",
    "recv.recovered",
    "recv.blocks",
    "recv.opus_blocks",
    "recv.copied_blocks",
    "recv.duplicate_blocks",
    "recv.sound.underflows",
    "recv.sound.concealed_frames",
    "recv.sound.late_blocks",
    "recv.sound.dropped_blocks",
    "recv.sound.shed_frames",
    "recv.tracks.whole",
    "recv.tracks.partial",
    "recv.tracks.lost",
    "recv.tracks.left_out",
    "recv.tracks.bytes",
    "recv.tracks.lost_packets",
    "recv.tracks.blocks",
    "recv.tracks.opus_blocks",
    "recv.tracks.shown",
    "recv.tracks.sound.underflows",
    "recv.tracks.sound.concealed_frames",
    "recv.tracks.sound.late_blocks",
    "recv.tracks.sound.dropped_blocks",
    "recv.tracks.sound.shed_frames",
    "recv.too_long",
    "recv.send_errors",
    "recv.receive_errors",
    "recv.rejected",
    "send.pictures",
    "send.slices",
    "send.echo.missing_frames",
    "send.encoded_bytes",
    "send.left_out",
    "send.coded",
    "send.passed_through",
    "send.replaced",
    "send.damaged",
    "send.missed",
    "send.failed",
    "send.blocks",
    "send.lost_frames",
    "send.dropped_blocks",
    "send.too_long",
    "send.send_errors",
    "send.receive_errors",
    "send.rejected",
    "send.peers.datagrams",
    "send.peers.bytes",
    "send.peers.resent",
    "send.peers.parity",
    "send.peers.nacks",
    "send.peers.skipped",
    "send.peers.blocks",
    "send.peers.opus_blocks",
    "send.peers.stale_blocks",
    "send.peers.copies",
    "send.peers.received",
    "send.peers.lost",
    "send.peers.shown",
];

/// Names and values of labels.
type Labels = Vec<(&'static str, String)>;

/// Samples by the name of their metric.
#[derive(Default)]
struct Text(BTreeMap<String, Metric>);

struct Metric {
    /// Where its field stands in `--stats json`.
    field: String,
    is_total: bool,
    samples: Vec<(Labels, String)>,
}

/// The page of these objects.
pub fn render<'a>(objects: impl Iterator<Item = &'a Value>) -> String {
    let mut text = Text::default();
    for object in objects {
        let Some(role @ ("send" | "recv")) = object["role"].as_str() else { continue };
        text.take_fields(&format!("eyeline_{role}"), role, &Labels::new(), object);
    }
    text.finish()
}

impl Text {
    /// Takes in all fields of an object: `name` is what metrics of it begin with, `field` is where it stands.
    fn take_fields(&mut self, name: &str, field: &str, labels: &Labels, object: &Value) {
        for (key, value) in object.as_object().into_iter().flatten() {
            self.take(&format!("{name}_{key}"), &format!("{field}.{key}"), labels, value);
        }
    }

    fn take(&mut self, name: &str, field: &str, labels: &Labels, value: &Value) {
        let key = field.rsplit('.').next().unwrap_or(field);
        match value {
            Value::Null | Value::String(_) => {}
            Value::Bool(is) => self.sample(name, field, labels, u8::from(*is).to_string()),
            Value::Number(number) => self.sample(name, field, labels, number.to_string()),
            Value::Array(sides) if key == "size" => {
                for (side, value) in ["width", "height"].into_iter().zip(sides) {
                    let name = format!("{}{side}", name.strip_suffix("size").unwrap_or(name));
                    self.take(&name, &format!("{field}.{side}"), labels, value);
                }
            }
            Value::Array(ones) => {
                // `peers` of which each is a `peer`.
                let name = name.strip_suffix('s').unwrap_or(name);
                for one in ones {
                    self.take_one(name, field, one);
                }
            }
            Value::Object(parts) if parts.contains_key("p50") => {
                for (percentile, value) in parts {
                    let quantile = format!("0.{}", percentile.trim_start_matches('p').trim_end_matches('0'));
                    self.take(name, field, &labeled(labels, "quantile", &quantile), value);
                }
            }
            Value::Object(parts) if key == "latency_ms" => {
                for (stage, value) in parts {
                    self.take(name, field, &labeled(labels, "stage", stage), value);
                }
            }
            Value::Object(reasons) if key == "rejected" => {
                for (reason, value) in reasons {
                    self.take(name, field, &labeled(labels, "reason", reason), value);
                }
            }
            Value::Object(_) => self.take_fields(name, field, labels, value),
        }
    }

    /// A peer, or a track: what says who it is are labels.
    fn take_one(&mut self, name: &str, field: &str, one: &Value) {
        let label = |key: &'static str| match &one[key] {
            Value::Null => None,
            Value::String(text) => Some((key, text.clone())),
            other => Some((key, other.to_string())),
        };
        let labels: Labels = WHO.iter().filter_map(|key| label(key)).collect();
        for (key, value) in one.as_object().into_iter().flatten().filter(|(key, _)| !WHO.contains(&key.as_str())) {
            self.take(&format!("{name}_{key}"), &format!("{field}.{key}"), &labels, value);
        }
    }

    fn sample(&mut self, name: &str, field: &str, labels: &Labels, value: String) {
        let is_total = TOTALS.contains(&field);
        let name = if is_total { format!("{name}_total") } else { name.to_string() };
        let metric = self.0.entry(name);
        let metric = metric.or_insert_with(|| Metric { field: field.to_string(), is_total, samples: Vec::new() });
        metric.samples.push((labels.clone(), value));
    }

    fn finish(self) -> String {
        let mut out = String::new();
        for (name, metric) in self.0 {
            let kind = if metric.is_total { "counter" } else { "gauge" };
            // Writing to a string does not fail.
            let _ = writeln!(out, "# HELP {name} Field {} of --stats json.\n# TYPE {name} {kind}", metric.field);
            for (labels, value) in metric.samples {
                let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
                let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                let _ = writeln!(out, "{name}{braces} {value}");
            }
        }
        out
    }
}

/// Fields that say who a peer or a track is.
const WHO: [&str; 4] = ["name", "address", "sender", "track"];

fn labeled(labels: &Labels, name: &'static str, value: &str) -> Labels {
    let mut labels = labels.clone();
    labels.push((name, value.to_string()));
    labels
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
