//! How it goes, in one line: of the objects of `--stats json`, for a person at a terminal.
//!
//! `kitchen 1280x720 30.0/s 20.1 Mbit/s 12 ms 0 lost, sound`: who is seen, or sees; size, pictures a second and rate; latency, or
//! where we send the round trip; packets that were lost in that second. What else goes on stands before it ([`Ticker::beside`]).

use super::console;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Where stderr is no terminal, a line is written so often.
const EVERY: Duration = Duration::from_secs(10);

/// How it goes is said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// It is not.
    Off,
    /// In one line that stays in its place.
    InPlace,
    /// In a line of its own, every ten seconds.
    Lines,
}

/// Where in the line something stands that is not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// For how long it has been recorded, also while nobody is here.
    Recorded,
    /// Of a film: how far it is.
    Film,
}

/// See the module text.
pub struct Ticker {
    in_place: bool,
    /// When a line was written last.
    written: Option<Instant>,
    roles: BTreeMap<&'static str, Second>,
    beside: BTreeMap<Place, String>,
}

/// What is said of one role, and its totals a second ago.
#[derive(Default)]
struct Second {
    words: String,
    lost: u64,
    blocks: u64,
    /// Pictures that came.
    pictures: u64,
}

impl Ticker {
    /// None where nothing is said.
    pub fn new(style: Style) -> Option<Ticker> {
        let in_place = style == Style::InPlace;
        (style != Style::Off).then(|| Ticker { in_place, written: None, roles: BTreeMap::new(), beside: BTreeMap::new() })
    }

    /// These words stand at this place from now on; none where they are empty.
    pub fn beside(&mut self, place: Place, words: String) {
        self.beside.insert(place, words);
    }

    /// A second's object.
    pub fn take(&mut self, object: &Value, now: Instant) {
        let role = if object["role"] == "send" { "send" } else { "recv" };
        self.roles.entry(role).or_default().take(role, object);
        let line = self.line();
        if self.in_place {
            console::draw(&line);
        } else if !line.is_empty() && self.written.is_none_or(|at| now.saturating_duration_since(at) >= EVERY) {
            self.written = Some(now);
            tracing::info!("{line}");
        }
    }

    /// Nothing where nobody is here.
    fn line(&self) -> String {
        let words = |role| self.roles.get(role).map(|second: &Second| second.words.as_str()).filter(|words| !words.is_empty());
        let measured: Vec<&str> = ["recv", "send"].into_iter().filter_map(words).collect();
        let is_said = |place: &Place| *place == Place::Recorded || !measured.is_empty();
        let beside = self.beside.iter().filter(|(place, words)| is_said(place) && !words.is_empty());
        let beside: Vec<&str> = beside.map(|(_, words)| words.as_str()).collect();
        [beside, measured].concat().join(" | ")
    }
}

impl Second {
    fn take(&mut self, role: &str, object: &Value) {
        let (who, lost, delay) = if role == "send" { watched(object) } else { seen(object) };
        let (blocks, pictures) = (number(object, "blocks"), number(object, "whole") + number(object, "partial"));
        let (lost_before, blocks_before, pictures_before) = (self.lost, self.blocks, self.pictures);
        (self.lost, self.blocks, self.pictures) = (lost, blocks, pictures);
        let Some(who) = who else {
            self.words.clear();
            return;
        };
        if object["quiet"] == true {
            self.words = "no signal".to_string();
            return;
        }
        // Where none are shown, those that came.
        let came = pictures.saturating_sub(pictures_before) as f64;
        let fps = object["fps"].as_f64().filter(|fps| *fps > 0.0).unwrap_or(came);
        let mbit = object["mbit_s"].as_f64().unwrap_or(0.0);
        let delay = delay.map_or(String::new(), |ms| format!(" {ms:.0} ms"));
        let sound = match (blocks > blocks_before, blocks > 0) {
            (true, _) => ", sound",
            (false, true) => ", silent",
            (false, false) => "",
        };
        let lost = lost.saturating_sub(lost_before);
        self.words = format!("{who}{} {fps:.1}/s {mbit:.1} Mbit/s{delay} {lost} lost{sound}", size(object));
    }
}

/// With a space before it, where it is known.
fn size(object: &Value) -> String {
    let sides = object["size"].as_array().map(Vec::as_slice);
    if let Some([width, height]) = sides { format!(" {width}x{height}") } else { String::new() }
}

/// Who is seen, packets that were lost, and the latency in ms.
fn seen(object: &Value) -> (Option<String>, u64, Option<f64>) {
    let tracks = object["tracks"].as_array().map_or(&[][..], Vec::as_slice);
    let here: Vec<&Value> = tracks.iter().filter(|track| track["quiet"] != true).collect();
    let who = match (&here[..], tracks.len()) {
        (_, 0) => None,
        ([one], _) => Some(format!("{}{}", one["name"].as_str().unwrap_or_default(), size(one))),
        (several, _) => Some(format!("{} senders", several.len())),
    };
    (who, number(object, "lost_packets"), object["latency_ms"]["all"]["p50"].as_f64())
}

/// Who watches, packets that they lost, and the longest round trip in ms.
fn watched(object: &Value) -> (Option<String>, u64, Option<f64>) {
    let peers = object["peers"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |peer: &Value| peer["name"].as_str().unwrap_or_default().to_string();
    let who = match peers {
        [] => None,
        [one] => Some(format!("to {}", name(one))),
        [one, other] => Some(format!("to {}, {}", name(one), name(other))),
        [one, others @ ..] => Some(format!("to {} and {} others", name(one), others.len())),
    };
    let lost = peers.iter().map(|peer| number(peer, "lost")).sum();
    let rtt = peers.iter().filter_map(|peer| peer["rtt_ms"].as_f64()).reduce(f64::max);
    (who, lost, rtt)
}

fn number(object: &Value, field: &str) -> u64 {
    object[field].as_u64().unwrap_or(0)
}

/// How far a film is: `0:12 / 1:30 [===>      ]`; of one of unknown length only where it is.
pub fn progress(position: Duration, length: Option<Duration>) -> String {
    const CELLS: usize = 20;
    let Some(length) = length.filter(|length| !length.is_zero()) else { return clock(position) };
    let done = position.min(length).as_secs_f64() / length.as_secs_f64() * CELLS as f64;
    let done = (done as usize).min(CELLS);
    let tip = if done < CELLS { ">" } else { "" };
    format!("{} / {} [{:<CELLS$}]", clock(position), clock(length), "=".repeat(done) + tip)
}

/// The same of a film that may stand still.
pub fn film(place: Duration, length: Option<Duration>, paused: bool) -> String {
    format!("{}{}", progress(place, length), if paused { " paused" } else { "" })
}

/// A place or a length as players show it, in whole seconds: `0:05`, `1:02:03`.
pub fn clock(length: Duration) -> String {
    let seconds = length.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ticker() -> Ticker {
        Ticker { in_place: false, written: None, roles: BTreeMap::new(), beside: BTreeMap::new() }
    }

    fn told(ticker: &mut Ticker, object: &Value) -> String {
        ticker.take(object, Instant::now());
        ticker.line()
    }

    #[test]
    fn of_a_sender_that_is_seen_it_is_said_who_how_large_how_fast_how_late_and_what_was_lost_in_this_second() {
        let recv = |lost: u64, blocks: u64| {
            json!({
                "role": "recv", "fps": 30, "mbit_s": 20.06, "lost_packets": lost, "blocks": blocks,
                "latency_ms": {"all": {"p50": 12.4, "p95": 20, "p99": 30}},
                "tracks": [{"name": "kitchen", "size": [1280, 720], "quiet": false}],
            })
        };
        let mut ticker = ticker();
        assert_eq!(told(&mut ticker, &recv(0, 90)), "kitchen 1280x720 30.0/s 20.1 Mbit/s 12 ms 0 lost, sound");
        assert_eq!(told(&mut ticker, &recv(3, 90)), "kitchen 1280x720 30.0/s 20.1 Mbit/s 12 ms 3 lost, silent");
        assert_eq!(told(&mut ticker, &recv(3, 190)), "kitchen 1280x720 30.0/s 20.1 Mbit/s 12 ms 0 lost, sound");
        let track = |quiet: bool| json!({"name": "a", "size": null, "quiet": quiet});
        let of = |tracks: Vec<Value>, quiet| json!({"role": "recv", "fps": 0, "mbit_s": 0, "tracks": tracks, "quiet": quiet});
        let two = [track(false), track(false), track(true)].to_vec();
        assert_eq!(told(&mut ticker, &of(two, false)), "2 senders 0.0/s 0.0 Mbit/s 0 lost");
        assert_eq!(told(&mut ticker, &of(vec![track(true)], true)), "no signal");
        assert_eq!(told(&mut ticker, &of(vec![], true)), "");
    }

    #[test]
    fn of_what_is_sent_it_is_said_who_watches_and_how_far_a_film_is() {
        let send = |names: &[&str]| {
            let peers: Vec<Value> = names.iter().map(|name| json!({"name": name, "lost": 2, "rtt_ms": 3.6})).collect();
            json!({"role": "send", "fps": 25, "mbit_s": 8, "size": [640, 360], "blocks": 0, "peers": peers})
        };
        let mut ticker = ticker();
        assert_eq!(told(&mut ticker, &send(&["lab"])), "to lab 640x360 25.0/s 8.0 Mbit/s 4 ms 2 lost");
        assert!(told(&mut ticker, &send(&["lab", "attic"])).starts_with("to lab, attic 640x360"));
        ticker.beside(Place::Film, progress(Duration::from_secs(12), Some(Duration::from_secs(90))));
        assert!(told(&mut ticker, &send(&["a", "b", "c"])).starts_with("0:12 / 1:30 [==>                 ] | to a and 2 others"));
        assert_eq!(told(&mut ticker, &send(&[])), "", "nobody watches");
    }

    #[test]
    fn a_film_is_as_far_as_its_bar() {
        let at = |position, length| progress(Duration::from_secs(position), Some(Duration::from_secs(length)));
        assert_eq!(at(0, 60), "0:00 / 1:00 [>                   ]");
        assert_eq!(at(60, 60), "1:00 / 1:00 [====================]");
        assert_eq!(at(70, 60), "1:10 / 1:00 [====================]");
        assert_eq!((progress(Duration::from_secs(5), None), at(5, 0)), ("0:05".into(), "0:05".into()));
        let said = [0, 5_400, 65_000, 3_723_000].map(|ms| clock(Duration::from_millis(ms)));
        assert_eq!(said, ["0:00", "0:05", "1:05", "1:02:03"]);
    }
}
