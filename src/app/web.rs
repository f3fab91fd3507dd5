//! `--web`: the page for browsers, where it is said to be, and the words about who looks.

use super::args;
use super::args::Common;
use super::args::web::Tls;
use super::doorman::Doorman;
use super::failure::{Code, Failure};
use super::metrics::{Figures, unopened};
use super::rendezvous;
use super::state;
use super::status::ExitCode;
use crate::net;
use crate::net::own;
use crate::pipeline::guest::Guest;
use crate::pipeline::tee::Tee;
use crate::pipeline::webcast::Webcast;
use crate::present::overlay::Symbol;
use crate::web::audience::{Config, Event};
use crate::web::camera::Takes;
use crate::web::tls::{self, GOOD_FOR, Pem};
use crate::web::token::Token;
use eyeline_proto::session::link::Identity;
use qrcodegen::{QrCode, QrCodeEcc};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// The page that is served.
pub struct Web {
    cast: Webcast,
    /// Its address, for the camera of a phone; `None` where a phone cannot reach it.
    code: Option<QrCode>,
    /// Where the cameras of browsers are taken in, once that is known.
    meets: Arc<OnceLock<SocketAddr>>,
    doorman: Doorman,
}

/// What is served beside pictures and sound, and who is told of what happens there.
pub struct Beside {
    pub figures: Option<Figures>,
    /// What is said on the page goes to others.
    pub chats: bool,
    pub tell: Arc<dyn Fn(Event) + Send + Sync>,
    /// A browser's camera is of use: who sends it, but for the name, and where we wait.
    pub meets: Option<Identity>,
}

impl Web {
    /// Serves what goes through the tee, where that is asked for, and says where.
    pub fn open(common: &Common, tee: &Tee, beside: Beside) -> Result<Option<Web>, Failure> {
        let Some(web) = &common.web else { return Ok(None) };
        let listener = net::listen(web.at).map_err(|error| Failure::new(ExitCode::Failed, unopened("--web", &error)))?;
        let at = listener.local_addr().code(ExitCode::Failed)?;
        let token = web.token.clone().map_or_else(Token::new, Ok).code(ExitCode::Failed)?;
        let names = names(web);
        let addresses = if at.ip().is_unspecified() { own::addresses(at.ip()) } else { vec![at.ip()] };
        let tls = pem(web, &names, &addresses)?.map(|pem| tls::Tls::new(&pem)).transpose();
        let tls = tls.map_err(|error| Failure::new(ExitCode::Failed, unfit(&web.tls, &error)))?;
        let secure = tls.is_some();
        let sources = tee.clone();
        let (figures, meets) = (beside.figures.unwrap_or_default(), Arc::<OnceLock<SocketAddr>>::default());
        let config = Config {
            name: rendezvous::name(common),
            token: token.clone(),
            names,
            chats: beside.chats,
            sources: Box::new(move || sources.names()),
            secure,
            cameras: beside.meets.map(|me| cameras(me, meets.clone())),
            metrics: Box::new(move || figures.page()),
            tell: beside.tell,
        };
        let cast = Webcast::start(listener, tls, tee, config).code(ExitCode::Failed)?;
        let scheme = if secure { "https" } else { "http" };
        let host = web.names.first().cloned().or_else(|| addresses.first().map(|ip| bracketed(*ip)));
        let host = host.unwrap_or_else(|| "localhost".to_string());
        let address = format!("{scheme}://{host}:{}/#{}", at.port(), token.word());
        // To a phone this machine's own address says nothing.
        let code = QrCode::encode_text(&address, QrCodeEcc::Low).ok().filter(|_| !at.ip().is_loopback());
        say(&address, code.as_ref(), at, secure, common);
        if matches!(web.tls, Tls::Given(..)) && web.names.is_empty() {
            tracing::info!(
                "(browsers trust the certificate under its own names: where {host} is none of them, give one as --web-name NAME)"
            );
        }
        Ok(Some(Web { cast, code, meets, doorman: Doorman::default() }))
    }

    /// Its address as a code, for the window.
    pub fn symbol(&self) -> Option<Symbol> {
        let code = self.code.as_ref()?;
        Some(Symbol::new(code.size() as usize, |x, y| code.get_module(x as i32, y as i32)))
    }

    /// We wait there from now on.
    pub fn meets(&self, at: SocketAddr) {
        let _ = self.meets.set(at);
    }

    /// Says what happened at the page.
    pub fn tell(&mut self, event: &Event) {
        let browsers = |viewers: &usize| match viewers {
            0 => "no browser shows it".to_string(),
            1 => "1 browser shows it".to_string(),
            more => format!("{more} browsers show it"),
        };
        match event {
            Event::Came { from, viewers } => {
                self.doorman.peer(&format!("a browser at {} looks: {}", from.ip().to_canonical(), browsers(viewers)));
            }
            Event::Left { from, viewers } => {
                self.doorman.peer(&format!("the browser at {} is gone: {}", from.ip().to_canonical(), browsers(viewers)));
            }
            Event::Refused { from } => self.doorman.turned_away(*from, "a browser that does not know the secret of the page"),
            Event::Far { from } => {
                let sentence =
                    "a browser of another network: without --web-tls the page is for machines of the same network alone";
                self.doorman.turned_away(*from, sentence);
            }
            Event::Said { name, line } => tracing::info!("{name}: {line}"),
        }
    }

    /// Somebody said this to all.
    pub fn says(&self, name: &str, line: &str) {
        self.cast.says(name, line);
    }
}

/// What takes in the camera of a browser: it comes to us like any other sender.
fn cameras(me: Identity, meets: Arc<OnceLock<SocketAddr>>) -> Takes {
    Box::new(move |name| {
        let at = meets.get().ok_or("it is too early: try again")?;
        let me = Identity { name: name.into(), id: eyeline_proto::crypto::random(), ..me.clone() };
        match Guest::come(me, *at, (true, 1)) {
            Ok(guest) => Ok(Box::new(guest)),
            Err(error) => Err(error.to_string()),
        }
    })
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// What this machine is called where browsers look for it.
fn names(web: &args::Web) -> Vec<String> {
    let machine = rendezvous::machine_name().to_lowercase();
    let short = machine.split('.').next().unwrap_or_default().to_string();
    let local = format!("{short}.local");
    web.names.iter().cloned().chain([machine, short, local]).filter(|name| !name.is_empty()).collect()
}

/// Why the page cannot be served so, with the flag and the file that are to blame.
fn unfit(from: &Tls, error: &tls::Error) -> String {
    match (from, error) {
        (Tls::Given(certificate, _), tls::Error::Certificate(_)) => format!("--web-cert: {}: {error}", certificate.display()),
        (Tls::Given(_, key), tls::Error::Key(_)) => format!("--web-key: {}: {error}", key.display()),
        _ => format!("--web-cert and --web-key: {error}"),
    }
}

/// What the page is served with under TLS, if it is.
fn pem(web: &args::Web, names: &[String], addresses: &[IpAddr]) -> Result<Option<Pem>, Failure> {
    let read = |flag: &str, path: &Path| {
        let sentence = |error| format!("{flag}: {} cannot be read: {error}", path.display());
        std::fs::read_to_string(path).map_err(|error| Failure::new(ExitCode::Failed, sentence(error)))
    };
    match &web.tls {
        Tls::Off => Ok(None),
        Tls::Given(certificate, key) => {
            Ok(Some(Pem { certificate: read("--web-cert", certificate)?, key: read("--web-key", key)? }))
        }
        Tls::SelfSigned => own_pem(names, addresses).map(Some),
    }
}

/// Our own certificate: the one that browsers have been told to trust, while it is for all our names and good for long enough.
fn own_pem(names: &[String], addresses: &[IpAddr]) -> Result<Pem, Failure> {
    let addresses = addresses.iter().map(IpAddr::to_string);
    let names: Vec<String> =
        names.iter().cloned().chain(["localhost".into(), "127.0.0.1".into(), "::1".into()]).chain(addresses).collect();
    let kept = state::file("web.pem");
    let head = format!("for {}\n", names.join(" "));
    if let Some(kept) = &kept
        && let Some(pem) = kept_pem(kept, &head)
    {
        return Ok(pem);
    }
    let pem = tls::self_signed(&names).code(ExitCode::Failed)?;
    let text = format!("{head}{}{}", pem.certificate, pem.key);
    match kept.map(|kept| state::replace(&kept, &text).map_err(|error| format!("{}: {error}", kept.display()))) {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::warn!("the certificate of the page is not kept, and browsers ask again next time ({error})"),
        None => {
            tracing::warn!("the certificate of the page is not kept, and browsers ask again next time: there is no home folder")
        }
    }
    Ok(pem)
}

/// The one that was kept, if it is for these names and is good for a while.
fn kept_pem(path: &Path, head: &str) -> Option<Pem> {
    let made = std::fs::metadata(path).and_then(|file| file.modified()).ok()?;
    let age = SystemTime::now().duration_since(made).ok()?;
    let text = std::fs::read_to_string(path).ok()?;
    let rest = text.strip_prefix(head).filter(|_| age < GOOD_FOR / 2)?;
    let (certificate, key) = rest.split_at(rest.find("-----BEGIN PRIVATE")?);
    Some(Pem { certificate: certificate.into(), key: key.into() })
}

/// Where it is, for a person; at a terminal also for the camera of a phone.
fn say(address: &str, code: Option<&QrCode>, at: SocketAddr, secure: bool, common: &Common) {
    tracing::info!("in a browser: {address}");
    if at.ip().is_loopback() {
        tracing::info!("(on this machine alone; --web 0.0.0.0:{} shows it to others)", at.port());
        return;
    }
    if !secure {
        tracing::info!("(in the clear, to machines of the same network alone; --web-tls encrypts it)");
    }
    if let Some(code) = code.filter(|_| common.on_terminal) {
        eprint!("{}", drawn(code));
    }
}

/// Two rows a line, dark on light whatever the terminal's colours, with the quiet zone that cameras need.
fn drawn(code: &QrCode) -> String {
    let (size, zone) = (code.size(), 2);
    let mut text = String::new();
    for y in (-zone..size + zone).step_by(2) {
        text.push_str("\x1b[38;2;0;0;0m\x1b[48;2;255;255;255m");
        for x in -zone..size + zone {
            text.push(match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_or_key_that_is_none_is_named_with_its_flag() {
        let pem = tls::self_signed(&["kitchen".to_string()]).unwrap();
        let given = Tls::Given("kitchen.pem".into(), "kitchen-key.pem".into());
        let sentence = |certificate: &str, key: &str| {
            let pem = Pem { certificate: certificate.into(), key: key.into() };
            tls::Tls::new(&pem).map(drop).map_err(|error| unfit(&given, &error))
        };
        assert_eq!(sentence(&pem.certificate, &pem.key), Ok(()));
        let starts =
            |certificate: &str, key: &str, with: &str| sentence(certificate, key).is_err_and(|said| said.starts_with(with));
        assert!(starts(&pem.certificate, "", "--web-key: kitchen-key.pem: there is no key in PEM in it"));
        assert!(starts("", &pem.key, "--web-cert: kitchen.pem: there is no certificate in PEM in it"));
        assert!(starts(&pem.key, &pem.key, "--web-cert: kitchen.pem: there is no certificate in PEM in it"));
    }

    #[test]
    fn the_code_is_dark_on_light_and_has_a_quiet_zone() {
        let code = QrCode::encode_text("http://192.168.1.20:9690/#aaaaaaaaaaaaaaaaaaaaaa", QrCodeEcc::Low).unwrap();
        let text = drawn(&code);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len() as i32, (code.size() + 4 + 1) / 2);
        assert!(lines.iter().all(|line| line.ends_with("\x1b[0m")));
        assert!(lines[0].trim_end_matches("\x1b[0m").ends_with("  "), "{}", lines[0]);
    }
}
