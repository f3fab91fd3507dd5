//! `--web` and what belongs to it.

use super::units;
use super::{Idle, Wrong, file};
use crate::web::token::{LETTERS, Token};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The page for browsers.
#[derive(Debug, Clone)]
pub struct Web {
    pub at: SocketAddr,
    pub tls: Tls,
    /// Names of this machine beside its own.
    pub names: Vec<String>,
    /// The one that was chosen; else each run has another.
    pub token: Option<Token>,
}

/// Whether it is under TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// With a certificate of our own.
    SelfSigned,
    /// With this one, and its key.
    Given(PathBuf, PathBuf),
}

#[derive(clap::Args, Debug)]
pub(super) struct WebFlags {
    /// Show what comes, or what is sent, on a page for browsers, at http://ADDR:PORT; without ADDR to this machine alone
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = units::served_at, help_heading = "In a browser")]
    web: Option<SocketAddr>,

    /// Serve the page under https, with a certificate of our own, of which a browser asks once
    #[arg(long, help_heading = "In a browser")]
    web_tls: bool,

    /// Serve the page under https, with the certificate in FILE (PEM, with those that lead to its issuer)
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = "In a browser")]
    web_cert: Option<PathBuf>,

    /// The key of --web-cert (PEM)
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = "In a browser")]
    web_key: Option<PathBuf>,

    /// A name under which browsers find this machine, beside its own; may be given again
    #[arg(long, value_name = "NAME", value_parser = units::host_name, help_heading = "In a browser")]
    web_name: Vec<String>,

    /// What a browser must know, in place of a new secret each time: 16 letters or more
    #[arg(long, value_name = "WORD", value_parser = token, help_heading = "In a browser")]
    web_token: Option<Token>,
}

impl WebFlags {
    /// Those that have no use.
    pub fn idle(&self) -> impl Iterator<Item = Idle> + use<> {
        let given = [
            (self.web_tls, "web-tls"),
            (self.web_cert.is_some(), "web-cert"),
            (!self.web_name.is_empty(), "web-name"),
            (self.web_token.is_some(), "web-token"),
        ];
        let (has_page, has_certificate) = (self.web.is_some(), self.web_cert.is_some());
        let idle = given.into_iter().filter(move |(given, _)| *given && !has_page);
        let twice = has_page && has_certificate && self.web_tls;
        let twice = twice.then_some(Idle("web-tls", "with --web-cert the page is under https already, with that certificate"));
        idle.map(|(_, flag)| Idle(flag, "there is no page without --web, like --web 9690")).chain(twice)
    }

    /// What they say.
    pub fn resolve(self) -> Result<Option<Web>, Wrong> {
        let tls = match (self.web_cert, self.web_key) {
            (Some(certificate), Some(key)) => Tls::Given(certificate, key),
            (Some(_), None) => return Err(Wrong::conflict("--web-cert needs its key: --web-key FILE")),
            (None, Some(_)) => return Err(Wrong::conflict("--web-key is the key of a certificate: --web-cert FILE")),
            (None, None) if self.web_tls => Tls::SelfSigned,
            (None, None) => Tls::Off,
        };
        Ok(self.web.map(|at| Web { at, tls, names: self.web_name, token: self.web_token }))
    }
}

fn token(word: &str) -> Result<Token, String> {
    let (least, most) = (LETTERS.start(), LETTERS.end());
    let wrong = || format!("write {least} to {most} letters of A-Z, a-z, 0-9, - and _, which stand in an address as they are");
    Token::chosen(word).ok_or_else(wrong)
}
