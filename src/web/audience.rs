//! The page for browsers, and all who look at it: what is asked for is answered, who may not is told so, and who stays is counted.
//!
//! Whoever asks for a page is given it: there is nothing on it. What is to be seen or heard is for those who know the token: a
//! page says it first on its WebSocket, whoever else asks in the address (`?token=`) or as `Authorization: Bearer`. A page of
//! another host is refused (cross-site WebSocket hijacking), and so is one that calls this machine by a name that is not its own
//! (DNS rebinding).

use super::answer;
use super::board::Board;
use super::camera::{Cameras, Takes};
use super::head::Request;
pub use super::house::Event;
use super::house::{FENCES, House, Seat};
use super::multipart::{Multipart, Still};
use super::server::{Answer, Caller, Site};
use super::token::Token;
use super::viewer::Viewer;
use eyeline_proto::wire::text::printable;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;
use tungstenite::handshake::derive_accept_key;

/// What the page is of, and who may see it.
pub struct Config {
    /// What we call ourselves.
    pub name: String,
    pub token: Token,
    /// Names of this machine beside its addresses.
    pub names: Vec<String>,
    /// What is said on the page goes to others.
    pub chats: bool,
    /// Whose pictures there are, now.
    pub sources: Box<dyn Fn() -> Vec<String> + Send>,
    /// It is under TLS: it may be asked for from anywhere.
    pub secure: bool,
    /// What takes in a page's camera, where one may be.
    pub cameras: Option<Takes>,
    /// The page of metrics, with its head.
    pub metrics: Box<dyn Fn() -> Vec<u8> + Send>,
    /// Told what happens, on the server's thread.
    pub tell: Arc<dyn Fn(Event) + Send + Sync>,
}

/// See the module text.
pub struct Audience {
    house: Arc<House>,
    names: Vec<String>,
    sources: Box<dyn Fn() -> Vec<String> + Send>,
    secure: bool,
    metrics: Box<dyn Fn() -> Vec<u8> + Send>,
}

impl Audience {
    pub fn new(config: Config, board: Board) -> Audience {
        let Config { name, token, names, chats, sources, secure, cameras, metrics, tell } = config;
        let cameras = Cameras::new(cameras);
        let house = House { name, token, chats, cameras, board, began: Instant::now(), viewers: AtomicUsize::new(0), tell };
        Audience { house: Arc::new(house), names, sources, secure, metrics }
    }

    /// Whether the request says the token; who says a wrong one is told of.
    fn knows(&self, request: &Request, from: SocketAddr) -> bool {
        let bearer = request.header("authorization").and_then(|words| words.strip_prefix("Bearer "));
        let said = request.asked("token").or(bearer);
        let knows = said.is_some_and(|said| self.house.token.is(said.trim()));
        if said.is_some() && !knows {
            self.house.tell(Event::Refused { from });
        }
        knows
    }

    fn socket(&self, request: &Request, from: SocketAddr) -> Answer {
        let is_socket = request.header("upgrade").is_some_and(|word| word.eq_ignore_ascii_case("websocket"));
        let (Some(key), true, Some("13")) =
            (request.header("sec-websocket-key"), is_socket, request.header("sec-websocket-version"))
        else {
            let lines = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
            return Answer::Bytes(answer::page(
                "426 Upgrade Required",
                "text/plain",
                lines,
                b"this is for the page's WebSocket\n",
            ));
        };
        if !request.is_same_origin() {
            return refuse("a page of another host has nothing to look for here");
        }
        let accept = derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        Answer::Stays(Box::new(Viewer::new(self.house.clone(), from, head.into_bytes())))
    }

    fn pictures(&self, request: &Request, from: SocketAddr) -> Answer {
        if !self.knows(request, from) {
            return no_token();
        }
        let track = request.asked("track").map(percent_decoded);
        if let Some(track) = &track {
            let sources = (self.sources)();
            if !sources.contains(track) {
                return nobody(track, &sources);
            }
        }
        let Some(seat) = Seat::take(&self.house, from) else { return full() };
        let board = self.house.board.clone();
        if request.path == "/stream.mjpeg" {
            Answer::Stays(Box::new(Multipart::new(seat, board, track)))
        } else {
            Answer::Stays(Box::new(Still::new(seat, board, track)))
        }
    }
}

impl Site for Audience {
    fn answer(&mut self, request: &Request, Caller { from, is_own }: Caller) -> Answer {
        if !self.secure && !is_own && !is_near(from.ip()) {
            self.house.tell(Event::Far { from });
            return refuse("without --web-tls this page is for machines of the same network alone");
        }
        if !request.is_for(&self.names) {
            return refuse("this machine is not called so: ask for its address, or name it with --web-name");
        }
        if request.method != "GET" {
            return Answer::Bytes(answer::otherwise());
        }
        match request.path.as_str() {
            "/socket" => self.socket(request, from),
            "/stream.mjpeg" | "/snapshot.jpg" => self.pictures(request, from),
            "/metrics" if self.knows(request, from) => Answer::Bytes((self.metrics)()),
            "/metrics" => no_token(),
            path => Answer::Bytes(match file(path) {
                Some((kind, body)) => answer::page("200 OK", kind, &fences(request), body.as_bytes()),
                None => {
                    answer::sentence("404 Not Found", "there is /, /stream.mjpeg, /snapshot.jpg and /metrics, and nothing else")
                }
            }),
        }
    }
}

/// What the page is made of.
fn file(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "/" => Some(("text/html; charset=utf-8", include_str!("page/index.html"))),
        "/page.css" => Some(("text/css; charset=utf-8", include_str!("page/page.css"))),
        "/page.js" => Some(("text/javascript; charset=utf-8", include_str!("page/page.js"))),
        "/pictures.js" => Some(("text/javascript; charset=utf-8", include_str!("page/pictures.js"))),
        "/sound.js" => Some(("text/javascript; charset=utf-8", include_str!("page/sound.js"))),
        "/link.js" => Some(("text/javascript; charset=utf-8", include_str!("page/link.js"))),
        "/camera.js" => Some(("text/javascript; charset=utf-8", include_str!("page/camera.js"))),
        "/worklet.js" => Some(("text/javascript; charset=utf-8", include_str!("page/worklet.js"))),
        "/icon.svg" => Some(("image/svg+xml", include_str!("page/icon.svg"))),
        _ => None,
    }
}

/// What the page may do: talk to where it came from, and be shown in no other.
fn fences(request: &Request) -> String {
    // Not every browser takes 'self' for sockets. The name was found to be ours.
    let host = request.header("host").unwrap_or("localhost");
    format!(
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
         connect-src 'self' ws://{host} wss://{host}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n\
         {FENCES}"
    )
}

fn refuse(sentence: &str) -> Answer {
    Answer::Bytes(answer::sentence("403 Forbidden", sentence))
}

fn no_token() -> Answer {
    let lines = "WWW-Authenticate: Bearer\r\n";
    let body = b"add ?token= and what stands behind # in the address that Eyeline printed\n";
    Answer::Bytes(answer::page("401 Unauthorized", "text/plain; charset=utf-8", lines, body))
}

fn full() -> Answer {
    Answer::Bytes(answer::sentence("503 Service Unavailable", "it is full: 16 look already"))
}

fn nobody(track: &str, sources: &[String]) -> Answer {
    let there = match sources {
        [] => "nobody sends".to_string(),
        [one] => format!("there is {one}"),
        more => format!("there are {}", more.join(", ")),
    };
    Answer::Bytes(answer::sentence("404 Not Found", &format!("nobody here is called {}; {there}", printable(track))))
}

/// Whether an address is of this machine or of a network that is not the internet.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            // 100.64.0.0/10 is what VPNs and carriers use (RFC 6598).
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// What stands in an address with its `%20`.
fn percent_decoded(text: &str) -> String {
    let (mut out, bytes) = (Vec::with_capacity(text.len()), text.as_bytes());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::server::{PATIENCE, Server, Setup, Stream};
    use super::*;
    use crate::threads::lock;
    use serde_json::{Value, json};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tungstenite::{Message, WebSocket};

    struct Served {
        server: Server,
        board: Board,
        events: Arc<Mutex<Vec<Event>>>,
    }

    const TOKEN: &str = "a-secret-of-the-tests";

    fn config(events: &Arc<Mutex<Vec<Event>>>) -> Config {
        let told = events.clone();
        Config {
            name: "lab".into(),
            token: Token::chosen(TOKEN).unwrap(),
            names: Vec::new(),
            chats: true,
            sources: Box::new(|| vec!["attic".into(), "kitchen".into()]),
            secure: false,
            cameras: None,
            metrics: Box::new(Vec::new),
            tell: Arc::new(move |event| lock(&told).push(event)),
        }
    }

    fn serve() -> Served {
        let (board, events) = (Board::default(), Arc::<Mutex<Vec<Event>>>::default());
        let (shown, config) = (board.clone(), config(&events));
        let setup = Setup { name: "web", most: 4, patience: PATIENCE, wrap: Box::new(|socket| Ok(Stream::Plain(socket))) };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = move |bell| {
            shown.rings(bell);
            Audience::new(config, shown)
        };
        Served { server: Server::start(listener, setup, site).unwrap(), board, events }
    }

    fn page(served: &Served) -> WebSocket<TcpStream> {
        let at = served.server.address();
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(4 * PATIENCE)).unwrap();
        tungstenite::client(format!("ws://{at}/socket"), stream).unwrap().0
    }

    fn says(page: &mut WebSocket<TcpStream>, said: &Value) {
        page.send(Message::text(said.to_string())).unwrap();
    }

    /// The next of its messages that is text.
    fn text(page: &mut WebSocket<TcpStream>) -> Value {
        loop {
            if let Message::Text(text) = page.read().unwrap() {
                return serde_json::from_str(text.as_str()).unwrap();
            }
        }
    }

    /// What is answered at once to a GET.
    fn given(audience: &mut Audience, path: &str, caller: Caller) -> String {
        let request = super::super::head::read(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap().unwrap();
        match audience.answer(&request, caller) {
            Answer::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Answer::Stays(_) => "stays".into(),
        }
    }

    #[test]
    fn in_the_clear_the_page_is_for_this_network_and_for_this_machine_whatever_its_address() {
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let mut audience = Audience::new(config(&events), Board::default());
        let caller = |from: [u8; 4], is_own| Caller { from: SocketAddr::from((from, 1)), is_own };
        for caller in [caller([192, 168, 1, 7], false), caller([192, 0, 2, 2], true), caller([127, 0, 0, 1], true)] {
            assert!(given(&mut audience, "/", caller).starts_with("HTTP/1.1 200 "), "{caller:?}");
        }
        assert!(lock(&events).is_empty());
        let far = caller([192, 0, 2, 2], false);
        assert!(given(&mut audience, "/", far).starts_with("HTTP/1.1 403 "));
        assert_eq!(*lock(&events), [Event::Far { from: far.from }], "it is told of");
    }

    #[test]
    fn who_asks_for_pictures_of_nobody_is_told_at_once_who_is_there() {
        let mut audience = Audience::new(config(&Arc::default()), Board::default());
        let caller = Caller { from: SocketAddr::from(([127, 0, 0, 1], 1)), is_own: true };
        for path in ["/snapshot.jpg", "/stream.mjpeg"] {
            let said = given(&mut audience, &format!("{path}?token={TOKEN}&track=no%0Dbody"), caller);
            assert!(said.starts_with("HTTP/1.1 404 "), "{said}");
            assert!(said.ends_with("body; there are attic, kitchen\n") && !said.contains("no\rbody"), "{said}");
            assert_eq!(given(&mut audience, &format!("{path}?token={TOKEN}&track=kitchen"), caller), "stays");
        }
    }

    #[test]
    fn who_guesses_has_one_try_a_connection() {
        let served = serve();
        let mut guesses = page(&served);
        // It may be thrown out meanwhile.
        let _ = (0..20_000).try_for_each(|guess: u32| guesses.send(Message::text(json!({ "token": guess }).to_string())));
        while guesses.read().is_ok() {}
        let refused = lock(&served.events).iter().filter(|event| matches!(event, Event::Refused { .. })).count();
        assert_eq!(refused, 1);
    }

    #[test]
    fn who_says_anything_else_before_the_secret_is_thrown_out() {
        let served = serve();
        for said in [Message::Pong(Vec::new().into()), Message::Ping(Vec::new().into()), Message::binary(vec![1, 0, 0, 0])] {
            let mut page = page(&served);
            page.send(said).unwrap();
            while page.read().is_ok() {}
        }
        assert!(lock(&served.events).is_empty());
    }

    #[test]
    fn who_talks_without_an_end_has_one_turn_as_all_others() {
        let served = serve();
        let mut talker = page(&served);
        says(&mut talker, &json!({ "token": TOKEN }));
        let stop = Arc::new(AtomicBool::new(false));
        let until = stop.clone();
        let talks = std::thread::spawn(move || {
            let words = Message::text(json!({ "hidden": false }).to_string());
            while !until.load(Ordering::Relaxed) && talker.send(words.clone()).is_ok() {}
        });
        let place = served.board.place("attic").unwrap();
        let mut other = page(&served);
        says(&mut other, &json!({ "token": TOKEN }));
        for _ in 0..20 {
            place.picture(Instant::now(), vec![7; 1000]);
            while !matches!(other.read().unwrap(), Message::Binary(_)) {}
            other.send(Message::binary(vec![1, 0, 0, 0])).unwrap();
        }
        // The server ends while it is talked to, too.
        drop(served);
        stop.store(true, Ordering::Relaxed);
        talks.join().unwrap();
    }

    #[test]
    fn pages_that_never_say_the_secret_keep_out_nobody_who_does() {
        let served = serve();
        let silent: Vec<_> = (0..40).map(|_| page(&served)).collect();
        let mut page = page(&served);
        says(&mut page, &json!({ "token": TOKEN }));
        assert_eq!(text(&mut page)["name"], "lab");
        drop(silent);
    }

    #[test]
    fn who_is_slow_is_sent_the_newest_picture_and_two_that_he_has_not_shown_at_most() {
        let served = serve();
        let place = served.board.place("attic").unwrap();
        let mut page = page(&served);
        says(&mut page, &json!({ "token": TOKEN }));
        assert_eq!(text(&mut page), json!({ "name": "lab", "chats": true, "cameras": false }));
        assert_eq!(text(&mut page), json!({ "tracks": [{ "id": 0, "name": "attic" }] }));
        let (now, large) = (Instant::now(), vec![7; 100_000]);
        let number = |page: &mut WebSocket<TcpStream>| loop {
            if let Message::Binary(part) = page.read().unwrap()
                && part[1] == 1
            {
                return u32::from_le_bytes(part[4..8].try_into().unwrap());
            }
        };
        place.picture(now, large.clone());
        assert_eq!(number(&mut page), 1);
        place.picture(now, large.clone());
        assert_eq!(number(&mut page), 2);
        (3..=9).for_each(|_| place.picture(now, large.clone()));
        // Nothing of those before an answer: what is said is answered first.
        says(&mut page, &json!({ "ping": 1.5 }));
        assert_eq!(text(&mut page)["pong"], 1.5);
        page.send(Message::binary(vec![1, 0, 0, 0])).unwrap();
        assert_eq!(number(&mut page), 9);
    }

    #[test]
    fn lines_are_taken_one_a_second_after_the_first_five() {
        let served = serve();
        let mut page = page(&served);
        says(&mut page, &json!({ "token": TOKEN }));
        (0..7).for_each(|line| says(&mut page, &json!({ "say": format!("line {line}"), "name": "a\nb" })));
        says(&mut page, &json!({ "ping": 1.0 }));
        let mut slower = 0;
        loop {
            let said = text(&mut page);
            slower += u32::from(said["slower"] == true);
            if said["pong"] == 1.0 {
                break;
            }
        }
        let events = lock(&served.events);
        let lines =
            events.iter().filter_map(|event| if let Event::Said { name, line } = event { Some((name, line)) } else { None });
        let lines: Vec<_> = lines.collect();
        assert!(lines.len() == 5 && slower == 2, "{lines:?}");
        assert!(!lines[0].0.contains('\n') && lines[0].1 == "line 0", "{lines:?}");
    }
}
