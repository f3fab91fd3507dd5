//! One page: what is new goes to it over its WebSocket, sound first, of each picture a part after the other, and of pictures only
//! the newest.
//!
//! A picture is begun when the one before is with the kernel, which holds back little ([`keep_short`]), and when the page has
//! shown all but one of a track's: so what a slow path or a slow browser does not take is never sent, rather than sent late.

use super::board::{Block, Picture};
use super::camera::Camera;
use super::house::{Event, House, Seat};
use super::message::{self, Said};
use super::server::{Guest, Stream};
use eyeline_proto::wire::record::MAX_TEXT;
use eyeline_proto::wire::text::printable;
use serde_json::{Value, json};
use socket2::{SockRef, TcpKeepalive};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// How long a page may keep the token to itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes that the kernel holds unsent.
const UNSENT: u32 = 16 << 10;

/// A connection on which nothing is acknowledged for so long is dead.
const DEAD: Duration = Duration::from_secs(10);

/// Messages of a page that are read in one turn.
const A_TURN: usize = 64;

/// And bytes, of whole messages or not.
const A_TURN_BYTES: usize = 256 << 10;

/// Pictures of a track that the page has not shown.
const UNSHOWN: u32 = 2;

/// Bytes of a message of a page; of a name said there, and of a line, which goes to others behind that name and a colon.
const MOST_MESSAGE: usize = 16 << 10;
const MOST_NAME: usize = 80;
const MOST_LINE: usize = MAX_TEXT - MOST_NAME - 2;

/// Bytes of a picture of its own, and of a block of sound.
const MOST_PICTURE: usize = 4 << 20;
const MOST_SOUND: usize = 2 * 4800;

/// Between one camera of a page and its next.
const A_CAMERA: Duration = Duration::from_millis(300);

/// A page says so many lines at once, and one more each time that passes.
const LINES: u32 = 5;
const A_LINE: Duration = Duration::from_secs(1);

/// Lines of others that wait for a page.
const UNREAD: usize = 64;

/// So much of what a page says, and no more: a message that is never whole would be read for ever.
struct Sip<'a> {
    stream: &'a mut Stream,
    left: usize,
}

impl Read for Sip<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = bytes.len().min(self.left);
        let read = self.stream.read(&mut bytes[..most])?;
        self.left -= read;
        Ok(read)
    }
}

impl Write for Sip<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// See the module text.
pub(super) struct Viewer {
    house: Arc<House>,
    from: SocketAddr,
    /// `None` until it has said the token.
    seat: Option<Seat>,
    until: Option<Instant>,
    /// The answer to its request, and how much of it is written.
    head: (Vec<u8>, usize),
    web: WebSocketContext,
    /// Something waits for the kernel.
    writing: bool,
    tracks: BTreeMap<u16, Cursor>,
    changes: u64,
    /// Nothing is to be seen on it just now.
    hidden: bool,
    /// The only track that is to be seen; else all are.
    looks: Option<u16>,
    /// Somebody listens.
    hears: bool,
    /// The picture of which parts have been sent up to there.
    sending: Option<(u16, Arc<Picture>, usize)>,
    /// The track whose turn was last.
    turn: u16,
    texts: VecDeque<String>,
    heard: u64,
    lines: (u32, Option<Instant>),
    /// Its own.
    camera: Option<Camera>,
    /// More may have come than was read then.
    more: Option<Instant>,
    /// When one was last to be taken in.
    filmed: Option<Instant>,
}

/// What of a track went to the page.
#[derive(Default)]
struct Cursor {
    picture: Option<u32>,
    begun: u32,
    shown: u32,
    block: Option<u32>,
}

/// Little waits in the kernel, for what waits there cannot be replaced by what is newer; and a dead connection is found out.
pub(super) fn keep_short(stream: &Stream) -> io::Result<()> {
    let socket = SockRef::from(stream.socket());
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(DEAD))?;
    // Where nothing is sent, nothing is acknowledged either.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(DEAD).with_interval(DEAD / 3).with_retries(3))?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

impl Viewer {
    pub fn new(house: Arc<House>, from: SocketAddr, head: Vec<u8>) -> Viewer {
        Viewer {
            house,
            from,
            seat: None,
            until: None,
            head: (head, 0),
            web: WebSocketContext::new(Role::Server, Some(config())),
            writing: false,
            tracks: BTreeMap::new(),
            // The first list always goes.
            changes: u64::MAX,
            hidden: false,
            looks: None,
            hears: false,
            sending: None,
            turn: 0,
            texts: VecDeque::new(),
            heard: 0,
            lines: (LINES, None),
            camera: None,
            filmed: None,
            more: None,
        }
    }

    /// Reads what came, of which the rest waits for its next turn where it is much: others have theirs. `false`: it is over.
    fn listen(&mut self, stream: &mut Stream, now: Instant) -> Result<bool, Error> {
        let mut stream = Sip { stream, left: A_TURN_BYTES };
        for _ in 0..A_TURN {
            match self.web.read(&mut stream) {
                Ok(Message::Text(text)) => {
                    if !self.told(text.as_str(), now) {
                        return Ok(false);
                    }
                }
                // Without the secret nothing else is said.
                Ok(_) if self.seat.is_none() => return Ok(false),
                Ok(Message::Binary(bytes)) => {
                    if !self.gives(&bytes, now) {
                        return Ok(false);
                    }
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.more = (stream.left == 0).then_some(now);
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
        // What is read from the socket already wakes nobody.
        self.more = Some(now);
        Ok(true)
    }

    /// The page says that it has shown a picture, or gives one of its own, or sound; whether it may stay.
    fn gives(&mut self, bytes: &[u8], now: Instant) -> bool {
        match message::read(bytes) {
            Some(Said::Shown(track)) => {
                if let Some(cursor) = self.tracks.get_mut(&track) {
                    cursor.shown = (cursor.shown + 1).min(cursor.begun);
                }
                true
            }
            Some(Said::Picture(at, jpeg)) => {
                let at = self.house.moment(at, now);
                self.camera.as_mut().is_none_or(|camera| camera.picture(at, jpeg))
            }
            Some(Said::Sound(at, samples)) if samples.len() <= MOST_SOUND => {
                let at = self.house.moment(at, now);
                if let Some(camera) = &mut self.camera {
                    let samples = samples.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
                    camera.sound(at, samples.collect());
                }
                true
            }
            _ => false,
        }
    }

    /// The page's own camera comes, or goes.
    fn films(&mut self, name: Option<&str>, now: Instant) {
        self.camera = None;
        let Some(name) = name else { return };
        let name = Some(cut(name.trim(), MOST_NAME)).filter(|name| !name.is_empty()).unwrap_or_else(|| "a browser".into());
        let is_soon = self.filmed.replace(now).is_some_and(|before| now < before + A_CAMERA);
        let taken =
            if is_soon { Err("that was too fast: try again".to_string()) } else { Camera::take(&self.house.cameras, &name) };
        let answer = match taken {
            Ok(camera) => {
                let answer = json!({ "films": camera.name });
                self.camera = Some(camera);
                answer
            }
            Err(why) => json!({ "films": null, "why": why }),
        };
        self.texts.push_back(answer.to_string());
    }

    /// The page says this; whether it may stay.
    fn told(&mut self, text: &str, now: Instant) -> bool {
        let Ok(said) = serde_json::from_str::<Value>(text) else { return false };
        if self.seat.is_none() {
            // It has one try.
            return self.texts.is_empty() && self.is_let_in(&said, now);
        }
        if let Some(hidden) = said["hidden"].as_bool() {
            self.hidden = hidden;
        }
        if let Some(looks) = said.get("looks") {
            self.looks = looks.as_u64().and_then(|track| u16::try_from(track).ok());
        }
        if let Some(hears) = said["hears"].as_bool() {
            self.hears = hears;
            // It begins with the newest, not with what lay there meanwhile.
            self.tracks.values_mut().for_each(|cursor| cursor.block = None);
        }
        if let Some(asked) = said["ping"].as_f64() {
            let at = self.ms(now);
            self.texts.push_back(json!({ "pong": asked, "at": at }).to_string());
        }
        if let Some(name) = said.get("films") {
            self.films(name.as_str(), now);
        }
        if let Some(line) = said["say"].as_str().map(str::trim).filter(|line| self.house.chats && !line.is_empty()) {
            self.says(said["name"].as_str().unwrap_or_default(), line, now);
        }
        self.texts.len() <= 2 * UNREAD
    }

    fn is_let_in(&mut self, said: &Value, now: Instant) -> bool {
        let token = said["token"].as_str().unwrap_or_default();
        if !self.house.token.is(token) {
            self.house.tell(Event::Refused { from: self.from });
            self.texts.push_back(json!({ "refused": "token" }).to_string());
            // What is said last is written before it is over.
            self.until = Some(now);
            return true;
        }
        match Seat::take(&self.house, self.from) {
            Some(seat) => {
                (self.seat, self.until) = (Some(seat), None);
                if self.house.cameras.are_taken() {
                    // A picture may be on its way before its camera is taken in, and after it was let go.
                    self.web.set_config(|config| {
                        (config.max_message_size, config.max_frame_size) = (Some(MOST_PICTURE), Some(MOST_PICTURE))
                    });
                }
                self.heard = self.house.board.said();
                let House { name, chats, cameras, .. } = &*self.house;
                let hello = json!({ "name": name, "chats": chats, "cameras": cameras.are_taken() });
                self.texts.push_back(hello.to_string());
            }
            None => {
                self.texts.push_back(json!({ "refused": "full" }).to_string());
                self.until = Some(now);
            }
        }
        true
    }

    fn says(&mut self, name: &str, line: &str, now: Instant) {
        let (left, since) = &mut self.lines;
        let more = since.map_or(0, |since| (now.saturating_duration_since(since).as_millis() / A_LINE.as_millis()) as u32);
        if more > 0 || since.is_none() {
            (*left, *since) = (left.saturating_add(more).min(LINES), Some(now));
        }
        if *left == 0 {
            return self.texts.push_back(json!({ "slower": true }).to_string());
        }
        let line = printable(line);
        if line.len() > MOST_LINE {
            return self.texts.push_back(json!({ "long": true }).to_string());
        }
        *left -= 1;
        let name = Some(cut(name.trim(), MOST_NAME)).filter(|name| !name.is_empty()).unwrap_or_else(|| "a browser".into());
        self.house.tell(Event::Said { name, line });
    }

    fn ms(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.house.began).as_secs_f64() * 1000.0
    }

    /// What goes next.
    fn next(&mut self) -> Option<Message> {
        self.seat.as_ref()?;
        if let Some(tracks) = self.house.board.tracks(&mut self.changes) {
            self.tracks.retain(|id, _| tracks.iter().any(|(there, _)| there == id));
            for (id, _) in &tracks {
                self.tracks.entry(*id).or_default();
            }
            self.sending = self.sending.take().filter(|(track, ..)| self.tracks.contains_key(track));
            let tracks: Vec<Value> = tracks.into_iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
            return Some(Message::text(json!({ "tracks": tracks }).to_string()));
        }
        if let Some((track, block)) = self.next_block() {
            let at = self.ms(block.at);
            return Some(Message::binary(message::sound(track, block.number, at, block.channels, &block.samples)));
        }
        if let Some(line) = self.house.board.line(&mut self.heard) {
            return Some(Message::text(json!({ "said": line.1, "by": line.0 }).to_string()));
        }
        self.next_part()
    }

    fn next_block(&mut self) -> Option<(u16, Arc<Block>)> {
        if !self.hears {
            return None;
        }
        let board = &self.house.board;
        self.tracks.iter_mut().find_map(|(track, cursor)| {
            let block = board.block(*track, cursor.block)?;
            cursor.block = Some(block.number);
            Some((*track, block))
        })
    }

    fn next_part(&mut self) -> Option<Message> {
        if self.sending.is_none() {
            self.sending = self.next_picture().map(|(track, picture)| (track, picture, 0));
        }
        let (track, picture, sent) = self.sending.take()?;
        let end = (sent + message::PART).min(picture.jpeg.len());
        let is_last = end == picture.jpeg.len();
        let part = message::picture(track, picture.number, self.ms(picture.at), &picture.jpeg[sent..end], is_last);
        if !is_last {
            self.sending = Some((track, picture, end));
        }
        Some(Message::binary(part))
    }

    /// The newest picture of the track whose turn it is.
    fn next_picture(&mut self) -> Option<(u16, Arc<Picture>)> {
        if self.hidden {
            return None;
        }
        let board = &self.house.board;
        let (before, behind): (Vec<_>, Vec<_>) = self.tracks.iter_mut().partition(|(track, _)| **track <= self.turn);
        let is_seen = |track: u16| self.looks.is_none_or(|looks| looks == track);
        let turns = behind.into_iter().chain(before).filter(|(track, _)| is_seen(**track));
        let mut turns = turns.filter(|(_, cursor)| cursor.begun - cursor.shown < UNSHOWN);
        let (track, picture) = turns.find_map(|(track, cursor)| {
            let picture = board.picture(*track, cursor.picture)?;
            (cursor.picture, cursor.begun) = (Some(picture.number), cursor.begun + 1);
            Some((*track, picture))
        })?;
        self.turn = track;
        Some((track, picture))
    }

    /// Writes what goes without waiting.
    fn write(&mut self, stream: &mut Stream) -> Result<(), Error> {
        loop {
            if !self.writing {
                let Some(message) = self.texts.pop_front().map(Message::text).or_else(|| self.next()) else { return Ok(()) };
                self.writing = true;
                match self.web.write(stream, message) {
                    // It waits there, and goes with the rest.
                    Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    written => written?,
                }
            }
            match self.web.flush(stream) {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                flushed => flushed?,
            }
            self.writing = false;
        }
    }

    fn take_turn(&mut self, stream: &mut Stream, now: Instant) -> Result<bool, Error> {
        let (head, written) = &mut self.head;
        while *written < head.len() {
            *written += stream.write(&head[*written..])?;
        }
        let is_late = self.until.is_some_and(|until| now >= until);
        let goes_on = is_late || self.listen(stream, now)?;
        self.write(stream)?;
        let is_over = self.until.is_some_and(|until| now >= until) && !self.writing;
        Ok(goes_on && !is_over)
    }
}

impl Guest for Viewer {
    fn begin(&mut self, stream: &mut Stream, behind: &[u8], now: Instant) {
        // A socket that cannot be told so is as it is.
        let _ = keep_short(stream);
        self.web = WebSocketContext::from_partially_read(behind.to_vec(), Role::Server, Some(config()));
        self.until = Some(now + PATIENCE);
    }

    fn go_on(&mut self, stream: &mut Stream, now: Instant) -> io::Result<bool> {
        match self.take_turn(stream, now) {
            Ok(goes_on) => Ok(goes_on),
            Err(Error::Io(error)) => Err(error),
            // It said goodbye, or what no page says.
            Err(_) => Ok(false),
        }
    }

    fn is_stranger(&self) -> bool {
        self.seat.is_none()
    }

    fn is_writing(&self) -> bool {
        self.writing || self.head.1 < self.head.0.len()
    }

    fn due(&self) -> Option<Instant> {
        self.more.or(self.until)
    }
}

/// What may be shown to people, of so many bytes at most.
fn cut(text: &str, most: usize) -> String {
    let text = printable(text);
    let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_string()
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * message::PART)
        .max_message_size(Some(MOST_MESSAGE))
        .max_frame_size(Some(MOST_MESSAGE))
}
