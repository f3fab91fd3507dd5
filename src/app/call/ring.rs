//! Who calls and is not let in yet: said in words, in the window and by a tone, until somebody answers.

use super::super::screen::Screen;
use crate::net;
use crate::present::mixer::Mixer;
use crate::present::ring_tone::RingTone;
use eyeline_proto::session::Command;
use eyeline_proto::session::link::LinkId;
use std::net::SocketAddr;
use std::time::Instant;

/// One of them.
struct Caller {
    call: LinkId,
    name: String,
    answered: bool,
}

/// All of them, the first first. As many as strangers have places.
#[derive(Default)]
pub struct Ring {
    callers: Vec<Caller>,
    tone: Option<RingTone>,
}

impl Ring {
    /// One more calls.
    pub fn begins(&mut self, call: LinkId, name: &str, address: SocketAddr, paired: Option<bool>) {
        let name = match paired {
            Some(true) => format!("{name} (paired)"),
            Some(false) => format!("{name} (NOT the paired one)"),
            None => name.to_string(),
        };
        tracing::info!("{name} ({address}) calls: y lets in, n does not");
        self.callers.push(Caller { call, name, answered: false });
    }

    /// One calls no more: he was answered, or hung up.
    pub fn ends(&mut self, call: LinkId) {
        let Some(place) = self.callers.iter().position(|caller| caller.call == call) else { return };
        let Caller { name, answered, .. } = self.callers.remove(place);
        if !answered {
            tracing::info!("{name} calls no more");
        }
        if let Some(next) = self.callers.first() {
            tracing::info!("{} still calls: y or n", next.name);
        }
    }

    /// Whether anybody calls.
    pub fn is_on(&self) -> bool {
        !self.callers.is_empty()
    }

    /// The first is let in, or not; nothing where nobody calls.
    pub fn answer(&mut self, taken: bool, net: &net::Handle<Command>) {
        let Some(caller) = self.callers.iter_mut().find(|caller| !caller.answered) else { return };
        caller.answered = true;
        net.command(Command::Answer { call: caller.call, taken });
    }

    /// What the window says.
    pub fn show(&self, screen: &mut Screen) {
        let lines = self.callers.first().map(|caller| {
            let more = match self.callers.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            vec![format!("{} calls{more}", caller.name), "y lets in, n does not".to_string()]
        });
        screen.ringing(lines.unwrap_or_default());
    }

    /// The tone goes on as long as somebody calls.
    pub fn sound(&mut self, now: Instant, mixer: Option<&Mixer>) {
        if self.callers.is_empty() {
            self.tone = None;
            return;
        }
        if self.tone.is_none() {
            self.tone = mixer.and_then(Mixer::voice).map(|voice| RingTone::new(voice, now));
        }
        if let Some(tone) = &mut self.tone {
            tone.turn(now);
        }
    }
}
