//! `--relay` and what belongs to it.

use super::{Idle, Wrong, file};
use clap::error::ErrorKind;
use std::path::PathBuf;

/// A room on a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    #[cfg(feature = "relay")]
    pub url: url::Url,
    /// Certificates that are trusted in place of the system's.
    pub roots: Vec<PathBuf>,
}

impl Relay {
    /// Which it is, without a token: `relay.example.org/class`.
    #[cfg(feature = "relay")]
    pub fn shown(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let room = self.url.path().trim_end_matches('/');
        format!("{}{port}{room}", self.url.host_str().unwrap_or_default())
    }
}

#[derive(clap::Args, Debug)]
pub(super) struct RelayFlags {
    /// Meet others in the room of a relay (moq-relay), https://HOST:PORT/ROOM, with ?jwt=TOKEN where it wants one; all is encrypted
    /// from end to end with the key, which it needs
    #[arg(long, value_name = "URL", value_parser = address, help_heading = "Past one machine")]
    relay: Option<String>,

    /// Trust the certificates in FILE (PEM) for --relay, and none of the system's
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = "Past one machine")]
    relay_ca: Option<PathBuf>,
}

impl RelayFlags {
    /// Whether one is meant.
    pub fn is_given(&self) -> bool {
        self.relay.is_some()
    }

    /// Those that have no use.
    pub fn idle(&self) -> Option<Idle> {
        let is_idle = self.relay_ca.is_some() && self.relay.is_none();
        is_idle.then_some(Idle("relay-ca", "there is no relay without --relay https://HOST:PORT/ROOM"))
    }

    /// What they say; `keyed`: there is a key.
    pub fn resolve(self, keyed: bool) -> Result<Option<Relay>, Wrong> {
        let Some(given) = self.relay else { return Ok(None) };
        let relay = relay(&given, self.relay_ca.into_iter().collect())
            .map_err(|why| Wrong(ErrorKind::ValueValidation, format!("--relay: {why}")))?;
        if !keyed {
            return Err(Wrong::conflict(
                "--relay needs a key, by which what goes through the relay is encrypted: --key, the same for all who meet there; \
                 `--key new` prints a strong one",
            ));
        }
        Ok(Some(relay))
    }
}

/// What can be an address; the rest is judged where relays are built in.
fn address(given: &str) -> Result<String, String> {
    let wrong = || "write its address, like https://relay.example.org:4443/ROOM".to_string();
    given.strip_prefix("https://").filter(|rest| !rest.is_empty() && !rest.starts_with('/')).ok_or_else(wrong)?;
    Ok(given.into())
}

#[cfg(feature = "relay")]
fn relay(given: &str, roots: Vec<PathBuf>) -> Result<Relay, String> {
    let wrong = || "write its address, like https://relay.example.org:4443/ROOM".to_string();
    let url = url::Url::parse(&address(given)?).map_err(|_| wrong())?;
    Ok(Relay { url, roots })
}

#[cfg(not(feature = "relay"))]
fn relay(_: &str, _: Vec<PathBuf>) -> Result<Relay, String> {
    Err("this program was built without it: cargo install --path . --features relay".into())
}

#[cfg(all(test, feature = "relay"))]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_shown_without_its_token() {
        let shown = |given: &str| relay(given, Vec::new()).map(|relay| relay.shown());
        assert_eq!(shown("https://relay.example.org:4443/class?jwt=secret").unwrap(), "relay.example.org:4443/class");
        assert_eq!(shown("https://[::1]/").unwrap(), "[::1]");
        for wrong in ["relay.example.org", "http://relay.example.org", "https://", "moqt://a/b", ""] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }
}
